//! Finds addresses, hashes and labelled fields in running text. No meaning is given to them here.
//!
//! Called by the extractors; bounded by the length of the text.

use std::net::IpAddr;
use std::ops::Range;

/// Finds the addresses of a text with their byte ranges, at most `count_max`.
#[must_use]
pub fn addresses(text: &str, count_max: usize) -> Vec<(Range<usize>, IpAddr)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() && found.len() < count_max {
        let Some(range) = next_token(bytes, at) else {
            break;
        };
        at = range.end;
        if let Some(hit) = address_in(text, range) {
            found.push(hit);
        }
    }
    found
}

fn is_address_byte(byte: u8) -> bool {
    byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':')
}

/// A run of letters, digits, points, colons and the like: an address is one, or the start of one.
fn next_token(bytes: &[u8], from: usize) -> Option<Range<usize>> {
    let word = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'-' | b'_' | b'@')
    };
    let start = from + bytes[from..].iter().position(&word)?;
    let end = bytes[start..]
        .iter()
        .position(|b| !word(b))
        .map_or(bytes.len(), |n| start + n);
    Some(start..end)
}

fn address_in(text: &str, token: Range<usize>) -> Option<(Range<usize>, IpAddr)> {
    let raw = &text.as_bytes()[token.clone()];
    // `IP:192.0.2.1` and `ip-192`: a label glued on ends with a colon.
    let skip = match raw.iter().position(|byte| !is_address_byte(*byte)) {
        None => 0,
        Some(_) => {
            let label = raw
                .iter()
                .take_while(|b| b.is_ascii_alphabetic() || **b == b'_')
                .count();
            if label > 0 && raw.get(label) == Some(&b':') {
                label + 1
            } else {
                0
            }
        }
    };
    let start = token.start + skip;
    let mut end = start
        + text.as_bytes()[start..token.end]
            .iter()
            .take_while(|b| is_address_byte(**b))
            .count();
    if end != token.end {
        return None;
    }
    while end > start && matches!(text.as_bytes()[end - 1], b'.' | b':') {
        end -= 1;
    }
    let token = text.get(start..end)?;
    if token.len() > 60 || !token.contains(['.', ':']) {
        return None;
    }
    if let Ok(address) = token.parse() {
        return Some((start..end, address));
    }
    // `192.0.2.1:6881`
    let (host, port) = token.rsplit_once(':')?;
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let address: std::net::Ipv4Addr = host.parse().ok()?;
    digits.then_some((start..start + host.len(), IpAddr::V4(address)))
}

/// A line `label: value`, as forms in mails have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// The label in lower case, without bullets and quote marks, spaces single.
    pub label: String,
    /// The value, trimmed.
    pub value: &'a str,
    /// Bytes of the value.
    pub range: Range<usize>,
}

/// The longest label; a longer one is a sentence.
const LABEL_BYTES_MAX: usize = 60;

/// Finds the labelled fields of a text, in order, at most `count_max`.
#[must_use]
pub fn fields(text: &str, count_max: usize) -> Vec<Field<'_>> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if found.len() >= count_max {
            break;
        }
        let here = start;
        start += line.len();
        let Some(colon) = line.find([':', '=']) else {
            continue;
        };
        let label = line[..colon].trim_matches(|c: char| {
            c.is_whitespace() || matches!(c, '>' | '*' | '-' | '#' | '|' | '\u{2022}' | '\u{a0}')
        });
        if label.is_empty() || label.len() > LABEL_BYTES_MAX {
            continue;
        }
        let rest = &line[colon + 1..];
        let value = rest.trim_matches(|c: char| c.is_whitespace() || c == '\u{a0}' || c == '=');
        if value.is_empty() {
            continue;
        }
        let offset = here + colon + 1 + (value.as_ptr() as usize - rest.as_ptr() as usize);
        found.push(Field {
            label: label
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .to_lowercase(),
            value,
            range: offset..offset + value.len(),
        });
    }
    found
}

/// Whether a text is a hash of 32, 40, 56, 64, 96 or 128 hexadecimal digits.
#[must_use]
pub fn is_hash(text: &str) -> bool {
    matches!(text.len(), 32 | 40 | 56 | 64 | 96 | 128)
        && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Finds hashes in text, with byte ranges.
#[must_use]
pub fn hashes(text: &str, count_max: usize) -> Vec<(Range<usize>, String)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() && found.len() < count_max {
        if !bytes[at].is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let end = bytes[at..]
            .iter()
            .position(|b| !b.is_ascii_alphanumeric())
            .map_or(bytes.len(), |n| at + n);
        if let Some(word) = text.get(at..end)
            && is_hash(word)
        {
            found.push((at..end, word.to_ascii_lowercase()));
        }
        at = end;
    }
    found
}

/// Hashes of nothing: a field that holds one was never filled.
///
/// MD5, SHA-1, SHA-224 and SHA-256 of the empty string.
const EMPTY_HASHES: [&str; 4] = [
    "d41d8cd98f00b204e9800998ecf8427e",
    "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
];

/// Whether a hash is that of the empty string, or one digit repeated.
#[must_use]
pub fn is_hash_of_nothing(hash: &str) -> bool {
    let lower = hash.to_ascii_lowercase();
    let bytes = lower.as_bytes();
    EMPTY_HASHES.contains(&lower.as_str()) || bytes.windows(2).all(|pair| pair[0] == pair[1])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_found_in_prose_and_forms() {
        let text = "From 192.0.2.7, IP:192.0.2.8 and 192.0.2.9:6881 [2001:db8::1]. Not 1.2.3 or 10:30:00, \
                    nor v1.2.3.4a; last 192.0.2.10.";
        let found: Vec<String> = addresses(text, 99)
            .iter()
            .map(|(r, a)| {
                assert_eq!(text[r.clone()].parse::<IpAddr>().unwrap(), *a);
                a.to_string()
            })
            .collect();
        assert_eq!(
            found,
            [
                "192.0.2.7",
                "192.0.2.8",
                "192.0.2.9",
                "2001:db8::1",
                "192.0.2.10"
            ]
        );
    }

    #[test]
    fn fields_have_labels_values_and_places() {
        let text = "Hello\n> IP Address: 192.0.2.1\r\n * Port :  6881\n";
        let found = fields(text, 9);
        assert_eq!(
            (found[0].label.as_str(), found[0].value),
            ("ip address", "192.0.2.1")
        );
        assert_eq!((found[1].label.as_str(), found[1].value), ("port", "6881"));
        assert_eq!(&text[found[1].range.clone()], "6881");
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "\\PC{0,200}") {
            for (range, _) in addresses(&text, 9) { prop_assert!(text.get(range).is_some()); }
            for (range, _) in hashes(&text, 9) { prop_assert!(text.get(range).is_some()); }
            for field in fields(&text, 9) { prop_assert_eq!(&text[field.range], field.value); }
        }

        #[test]
        fn every_address_is_found_alone_and_in_text(address: IpAddr) {
            let text = format!("seen from {address} today");
            prop_assert_eq!(addresses(&text, 9).first().map(|f| f.1), Some(address));
        }
    }
}
