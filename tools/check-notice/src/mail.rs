//! A mail as bytes: header fields with their places, parts decoded as text. Opens no attachment.
//!
//! Not a mail client: nothing is rendered, unpacked or fetched. MIME and character sets are
//! `mail-parser`'s; header fields are split here, as signatures need them byte for byte.

use std::ops::Range;

use mail_parser::{Message, MessageParser, MimeHeaders, PartType};
use thiserror::Error;

/// The largest mail that is read. Complaints with logs have some MB; 32 MiB is far above.
pub const MAIL_BYTES_MAX: usize = 32 << 20;

/// Header fields of a mail; long `Received` chains have some tens.
pub const HEADERS_MAX: usize = 2_000;

/// Bytes of the header block.
pub const HEADER_BYTES_MAX: usize = 1 << 20;

/// MIME parts that are looked at; a real complaint has fewer than 20.
pub const PARTS_MAX: usize = 1_000;

/// Lines that look like boundaries; attached text may have some, each costs memory when it is one.
const BOUNDARIES_MAX: usize = 100_000;

/// Mails within mails. A forward of a forward has 2.
pub const NESTING_MAX: usize = 8;

/// Decoded text of one part that is searched for facts.
pub const TEXT_BYTES_MAX: usize = 2 << 20;

/// Why a mail is not looked at. The words are for the person who runs the tool.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Larger than [`MAIL_BYTES_MAX`].
    #[error(
        "the mail has more than {MAIL_BYTES_MAX} bytes: save its text part alone and check that"
    )]
    TooLarge,
    /// More header fields or bytes than allowed.
    #[error(
        "the header has more than {HEADERS_MAX} fields or {HEADER_BYTES_MAX} bytes: no mail server writes that"
    )]
    HeaderTooLarge,
    /// [`PARTS_MAX`] parts or more, or very many lines that may begin one.
    #[error("the mail has {PARTS_MAX} parts or more: no complaint has; look at it by hand")]
    TooManyParts,
    /// No header fields at all.
    #[error("this is no mail: it does not begin with header fields")]
    NoMail,
}

/// A header field as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name as written.
    pub name: String,
    /// Bytes of the whole field, with its name and the line end.
    pub range: Range<usize>,
    /// Where the value begins: behind the colon.
    pub value_at: usize,
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Index of the part; parts of mails within follow those of the mail around.
    pub index: u32,
    /// How many mails are around it; 0 for parts of the mail itself.
    pub nesting: usize,
    /// `text/plain` and so on, in lower case.
    pub kind: String,
    /// Bytes in the raw mail: from the part's header to its end. Of the outer mail where it was encoded.
    pub raw: Range<usize>,
    /// File name given, decoded.
    pub file_name: Option<String>,
    /// The decoded text, if the part is text by its nature; cut at [`TEXT_BYTES_MAX`].
    pub text: Option<String>,
    /// The first bytes of anything else, to tell programs from pictures.
    pub magic: Vec<u8>,
    /// Decoded length in bytes.
    pub length: usize,
}

/// A mail, split but not judged.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The bytes as they came.
    pub raw: Vec<u8>,
    /// Its header fields, in order.
    pub headers: Vec<Header>,
    /// Where the body begins.
    pub body_at: usize,
    /// Its parts, at most [`PARTS_MAX`].
    pub parts: Vec<Part>,
    /// Things a reader should know: NUL bytes, text cut, mails too deep inside.
    pub remarks: Vec<String>,
}

impl Mail {
    /// Splits a mail.
    ///
    /// # Errors
    ///
    /// What exceeds the limits of this file, and bytes that are no mail.
    pub fn read(raw: Vec<u8>) -> Result<Self, Refusal> {
        if raw.len() > MAIL_BYTES_MAX {
            return Err(Refusal::TooLarge);
        }
        let (headers, body_at) = split_headers(&raw)?;
        if headers.is_empty() {
            return Err(Refusal::NoMail);
        }
        let letters = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if headers
            .first()
            .is_none_or(|first| !first.name.bytes().all(letters))
        {
            return Err(Refusal::NoMail);
        }
        if boundaries(&raw[body_at..]) > BOUNDARIES_MAX {
            return Err(Refusal::TooManyParts);
        }
        let mut mail = Self {
            raw,
            headers,
            body_at,
            parts: Vec::new(),
            remarks: Vec::new(),
        };
        let (parts, remarks) = mail.split_parts();
        if parts.len() >= PARTS_MAX {
            return Err(Refusal::TooManyParts);
        }
        mail.parts = parts;
        mail.remarks = remarks;
        Ok(mail)
    }

    /// The raw value of a field, folded lines and all.
    #[must_use]
    pub fn value(&self, header: &Header) -> String {
        String::from_utf8_lossy(
            self.raw
                .get(header.value_at..header.range.end)
                .unwrap_or_default(),
        )
        .into_owned()
    }

    /// The value of a field on one line, without white space around.
    #[must_use]
    pub fn unfolded(&self, header: &Header) -> String {
        self.value(header)
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// All fields of a name, top first, with their index.
    pub fn all<'a>(
        &'a self,
        name: &'a str,
    ) -> impl DoubleEndedIterator<Item = (usize, &'a Header)> {
        self.headers
            .iter()
            .enumerate()
            .filter(move |(_, header)| header.name.eq_ignore_ascii_case(name))
    }

    /// The first field of a name, unfolded.
    #[must_use]
    pub fn first(&self, name: &str) -> Option<String> {
        self.all(name)
            .next()
            .map(|(_, header)| self.unfolded(header))
    }

    /// The address of the first `From`, in lower case.
    #[must_use]
    pub fn from_address(&self) -> Option<String> {
        addresses_of(&self.first("From")?).into_iter().next()
    }

    /// The domain of the first `From`, in lower case.
    #[must_use]
    pub fn from_domain(&self) -> Option<String> {
        self.from_address()?
            .rsplit_once('@')
            .map(|(_, domain)| domain.to_owned())
    }

    /// Line number of a header field in the mail, from 1.
    #[must_use]
    pub fn line_of(&self, header: &Header) -> usize {
        memchr::memchr_iter(b'\n', &self.raw[..header.range.start]).count() + 1
    }

    fn split_parts(&self) -> (Vec<Part>, Vec<String>) {
        let mut remarks = Vec::new();
        if memchr::memchr(0, &self.raw).is_some() {
            remarks.push("the mail holds NUL bytes, which no mail may (RFC 5322, 3.1)".to_owned());
        }
        let bare = self.raw.iter().filter(|b| **b == b'\n').count()
            - memchr::memmem::find_iter(&self.raw, b"\r\n").count();
        if bare > 0 && memchr::memmem::find(&self.raw, b"\r\n").is_some() {
            remarks.push("the mail mixes line ends, as no mail server sends them".to_owned());
        }
        let mut parts = Vec::new();
        if let Some(message) = MessageParser::default().parse(&self.raw) {
            collect(&message, 0, 0..self.raw.len(), &mut parts, &mut remarks);
        }
        (parts, remarks)
    }
}

fn collect(
    message: &Message<'_>,
    nesting: usize,
    around: Range<usize>,
    parts: &mut Vec<Part>,
    remarks: &mut Vec<String>,
) {
    let mut texts: usize = parts
        .iter()
        .map(|p| p.text.as_ref().map_or(0, String::len))
        .sum();
    for part in &message.parts {
        if parts.len() >= PARTS_MAX {
            return;
        }
        let kind = part.content_type().map_or_else(
            || "text/plain".to_owned(),
            |kind| {
                format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or("")).to_ascii_lowercase()
            },
        );
        let raw = if nesting == 0 {
            part.offset_header as usize..part.offset_end as usize
        } else {
            around.clone()
        };
        let (bytes, text): (&[u8], bool) = match &part.body {
            PartType::Text(text) | PartType::Html(text) => (text.as_bytes(), true),
            PartType::Binary(bytes) | PartType::InlineBinary(bytes) => (bytes, is_textual(&kind)),
            PartType::Message(inner) => {
                if nesting + 1 >= NESTING_MAX {
                    remarks.push(format!(
                        "mails within mails deeper than {NESTING_MAX} were not read"
                    ));
                } else {
                    collect(inner, nesting + 1, raw.clone(), parts, remarks);
                }
                continue;
            }
            PartType::Multipart(_) => continue,
        };
        let text = text.then(|| {
            let room = (TEXT_BYTES_MAX * 4)
                .saturating_sub(texts)
                .min(TEXT_BYTES_MAX);
            if bytes.len() > room {
                remarks.push(format!(
                    "only the first {room} bytes of part {} were read",
                    parts.len()
                ));
            }
            let kept = String::from_utf8_lossy(&bytes[..bytes.len().min(room)]).into_owned();
            texts += kept.len();
            kept
        });
        parts.push(Part {
            index: u32::try_from(parts.len()).unwrap_or(u32::MAX),
            nesting,
            kind,
            raw,
            file_name: part.attachment_name().map(str::to_owned),
            text,
            magic: bytes[..bytes.len().min(16)].to_vec(),
            length: bytes.len(),
        });
    }
}

/// Parts that are text whatever their major type says.
fn is_textual(kind: &str) -> bool {
    kind.starts_with("text/")
        || kind.ends_with("xml")
        || kind.ends_with("json")
        || matches!(
            kind,
            "message/feedback-report"
                | "application/yaml"
                | "message/delivery-status"
                | "text/rfc822-headers"
        )
}

/// Lines that may begin a MIME part.
fn boundaries(body: &[u8]) -> usize {
    let at_start = usize::from(body.starts_with(b"--"));
    memchr::memmem::find_iter(body, b"\n--").count() + at_start
}

fn split_headers(raw: &[u8]) -> Result<(Vec<Header>, usize), Refusal> {
    let mut headers: Vec<Header> = Vec::new();
    let mut at = 0;
    // The line with which an mbox begins a mail.
    if raw.starts_with(b"From ") {
        at = memchr::memchr(b'\n', raw).map_or(raw.len(), |end| end + 1);
    }
    while at < raw.len() {
        let end = memchr::memchr(b'\n', &raw[at..]).map_or(raw.len(), |n| at + n + 1);
        let line = &raw[at..end];
        if line.trim_ascii_end().is_empty() && !matches!(line.first(), Some(b' ' | b'\t')) {
            return Ok((headers, end));
        }
        if headers.len() >= HEADERS_MAX || end > HEADER_BYTES_MAX {
            return Err(Refusal::HeaderTooLarge);
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            match headers.last_mut() {
                Some(last) => last.range.end = end,
                None => return Ok((headers, at)),
            }
        } else {
            let colon = memchr::memchr(b':', line);
            let Some(colon) = colon
                .filter(|n| *n > 0 && line[..*n].trim_ascii_end().iter().all(u8::is_ascii_graphic))
            else {
                // Not a field: the body began without an empty line.
                return Ok((headers, at));
            };
            headers.push(Header {
                name: String::from_utf8_lossy(line[..colon].trim_ascii_end()).into_owned(),
                range: at..end,
                value_at: at + colon + 1,
            });
        }
        at = end;
    }
    Ok((headers, raw.len()))
}

/// The addresses in the value of `From`, `To` and the like, in lower case.
///
/// What stands in angle brackets counts; without any, words with an `@`. Quoted names are left out.
#[must_use]
pub fn addresses_of(value: &str) -> Vec<String> {
    let mut plain = String::with_capacity(value.len());
    let (mut quoted, mut escaped, mut comment) = (false, false, 0_usize);
    for letter in value.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' if comment == 0 => quoted = !quoted,
            _ if quoted => {}
            '(' => comment += 1,
            ')' => comment = comment.saturating_sub(1),
            _ if comment > 0 => {}
            _ => plain.push(letter),
        }
    }
    plain
        .split(',')
        .filter_map(|one| {
            let one = one.trim().trim_end_matches(';');
            let address = match (one.rfind('<'), one.rfind('>')) {
                (Some(open), Some(close)) if open < close => &one[open + 1..close],
                _ => one.split_whitespace().find(|word| word.contains('@'))?,
            };
            let address = address.trim().to_lowercase();
            address.contains('@').then_some(address)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fields_and_parts_keep_their_places() {
        let raw =
            b"From: \"a@evil.example\" <Desk@Example.org>\r\nSubject: x\r\n y\r\n\r\nbody\r\n"
                .to_vec();
        let mail = Mail::read(raw).unwrap();
        assert_eq!(mail.first("subject").unwrap(), "x y");
        assert_eq!(mail.from_address().unwrap(), "desk@example.org");
        assert_eq!(&mail.raw[mail.body_at..], b"body\r\n");
        assert_eq!(mail.parts[0].text.as_deref(), Some("body\r\n"));
        assert_eq!(mail.line_of(&mail.headers[1]), 2);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(mail) = Mail::read(bytes) {
                for header in &mail.headers { let _line = mail.unfolded(header); }
            }
        }

        #[test]
        fn any_header_text_is_survived(text in "(From|To|Content-Type|DKIM-Signature): \\PC{0,80}\n(--a\n|\n|\\PC{0,9}){0,9}") {
            let _split = Mail::read(text.into_bytes());
        }
    }
}
