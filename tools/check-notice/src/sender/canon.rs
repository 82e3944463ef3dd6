//! Canonical forms of headers and bodies (RFC 6376, 3.4), byte for byte.

/// Simple or relaxed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Simple,
    Relaxed,
}

impl Form {
    pub(super) fn named(text: &str) -> Option<Self> {
        match text {
            "simple" => Some(Self::Simple),
            "relaxed" => Some(Self::Relaxed),
            _ => None,
        }
    }
}

/// A header field, with its line end; `raw` is the whole field as it stands.
pub(super) fn header(form: Form, raw: &[u8]) -> Vec<u8> {
    if form == Form::Simple {
        return crlf(raw);
    }
    let colon = memchr::memchr(b':', raw).unwrap_or(raw.len());
    let mut out: Vec<u8> = raw[..colon].trim_ascii().to_ascii_lowercase();
    out.push(b':');
    let value = raw.get(colon + 1..).unwrap_or_default();
    let words = value
        .split(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
        .filter(|word| !word.is_empty());
    for (index, word) in words.enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// A whole body.
pub(super) fn body(form: Form, raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + 64);
    let mut empty_lines = 0_usize;
    for line in raw.split_inclusive(|b| *b == b'\n') {
        let ended = line.ends_with(b"\n");
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let content = if ended {
            content.strip_suffix(b"\r").unwrap_or(content)
        } else {
            content
        };
        let start = out.len();
        match form {
            Form::Simple => {
                if content.is_empty() {
                    empty_lines += 1;
                    continue;
                }
                out.extend(std::iter::repeat_n(*b"\r\n", empty_lines).flatten());
                out.extend_from_slice(content);
            }
            Form::Relaxed => {
                let kept = content.trim_ascii_end_blanks();
                if kept.is_empty() {
                    empty_lines += 1;
                    continue;
                }
                out.extend(std::iter::repeat_n(*b"\r\n", empty_lines).flatten());
                let mut blank = false;
                for byte in kept {
                    if matches!(byte, b' ' | b'\t') {
                        blank = true;
                        continue;
                    }
                    if blank {
                        out.push(b' ');
                        blank = false;
                    }
                    out.push(*byte);
                }
            }
        }
        debug_assert!(out.len() >= start);
        empty_lines = 0;
        out.extend_from_slice(b"\r\n");
    }
    // RFC 6376, 3.4.3: an empty body is one line end; in the relaxed form it is nothing.
    if out.is_empty() && form == Form::Simple {
        out.extend_from_slice(b"\r\n");
    }
    out
}

trait Blanks {
    fn trim_ascii_end_blanks(&self) -> &[u8];
}

impl Blanks for [u8] {
    fn trim_ascii_end_blanks(&self) -> &[u8] {
        let end = self
            .iter()
            .rposition(|b| !matches!(b, b' ' | b'\t'))
            .map_or(0, |at| at + 1);
        &self[..end]
    }
}

/// Line ends as on the wire.
fn crlf(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len() + 8);
    for line in raw.split_inclusive(|b| *b == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(content) => {
                out.extend_from_slice(content.strip_suffix(b"\r").unwrap_or(content));
                out.extend_from_slice(b"\r\n");
            }
            None => out.extend_from_slice(line),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 6376, 3.4.5.
        assert_eq!(header(Form::Relaxed, b"A: X\r\n"), b"a:X\r\n");
        assert_eq!(header(Form::Relaxed, b"B : Y\t\r\n\tZ  \r\n"), b"b:Y Z\r\n");
        assert_eq!(
            body(Form::Relaxed, b" C \r\nD \t E\r\n\r\n\r\n"),
            b" C\r\nD E\r\n"
        );
        assert_eq!(
            body(Form::Simple, b" C \r\nD \t E\r\n\r\n\r\n"),
            b" C \r\nD \t E\r\n"
        );
        assert_eq!(body(Form::Simple, b""), b"\r\n");
        assert_eq!(body(Form::Relaxed, b"\r\n"), b"");
    }
}
