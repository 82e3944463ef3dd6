//! The text of a `+CUSD` line: which of the possible encodings it is in.
//!
//! The dcs describes the radio side, the bytes on the port follow `AT+CSCS`, and both are wrong often
//! enough. So every encoding that fits is tried and scored by what comes out; the dcs only tips the
//! scale. Whoever wants to see the choice gets it with the text.

use std::fmt;

use super::cusd::Cusd;
use super::gsm7;

/// How a text was encoded on the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As it stands, in ASCII or UTF-8.
    Plain,
    /// One character of ISO 8859-1 in each byte.
    Latin1,
    /// One character of the GSM alphabet in each byte.
    Gsm,
    /// GSM septets packed into octets, in hexadecimal.
    PackedHex,
    /// UCS2 in hexadecimal.
    Ucs2Hex,
    /// UCS2 as raw bytes.
    Ucs2Raw,
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain text",
            Self::Latin1 => "ISO 8859-1",
            Self::Gsm => "GSM alphabet",
            Self::PackedHex => "packed 7-bit, hexadecimal",
            Self::Ucs2Hex => "UCS2, hexadecimal",
            Self::Ucs2Raw => "UCS2, raw",
        })
    }
}

/// A text and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// What the operator wrote.
    pub text: String,
    /// The encoding taken.
    pub coding: Coding,
    /// Whether the text's end was seen; figures at the end of another may be cut.
    pub terminated: bool,
}

/// The most likely text of a line; empty where the line has none.
#[must_use]
pub fn decode(line: &Cusd) -> Decoded {
    let bytes = line.text.as_deref().unwrap_or_default();
    let mut best: Option<(i64, Coding, String)> = None;
    for (coding, text) in candidates(bytes) {
        let text = tidy(text, coding, line.dcs);
        let score = score(&text) + prior(coding, line.dcs, bytes);
        if best.as_ref().is_none_or(|(highest, ..)| score > *highest) {
            best = Some((score, coding, text));
        }
    }
    let (_, coding, text) = best.unwrap_or((0, Coding::Plain, String::new()));
    Decoded {
        text,
        coding,
        terminated: line.terminated,
    }
}

fn candidates(bytes: &[u8]) -> Vec<(Coding, String)> {
    let mut found = Vec::new();
    if let Ok(text) = std::str::from_utf8(bytes) {
        found.push((Coding::Plain, text.to_owned()));
    }
    if !bytes.is_ascii() {
        found.push((
            Coding::Latin1,
            bytes.iter().map(|&byte| char::from(byte)).collect(),
        ));
    }
    if bytes.iter().all(u8::is_ascii)
        && bytes
            .iter()
            .any(|&byte| byte < 0x20 || matches!(byte, 0x5b..=0x60 | 0x7b..=0x7f))
    {
        found.push((Coding::Gsm, gsm7::text(bytes)));
    }
    if let Some(octets) = from_hex(bytes) {
        found.push((Coding::PackedHex, gsm7::text(&gsm7::unpack(&octets))));
        if octets.len().is_multiple_of(2) {
            found.push((Coding::Ucs2Hex, ucs2(&octets)));
        }
    }
    if bytes.len() >= 2
        && bytes.len().is_multiple_of(2)
        && (!bytes.is_ascii() || bytes.contains(&0))
    {
        found.push((Coding::Ucs2Raw, ucs2(bytes)));
    }
    found
}

fn from_hex(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < 4 || !bytes.len().is_multiple_of(2) || !bytes.iter().all(u8::is_ascii_hexdigit)
    {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    bytes
        .chunks_exact(2)
        .map(|pair| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok())
        .collect()
}

fn ucs2(octets: &[u8]) -> String {
    let units = octets
        .chunks_exact(2)
        .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or('\u{fffd}'))
        .collect()
}

/// Cuts garbage behind a NUL, and the language that may stand in front.
fn tidy(text: String, coding: Coding, dcs: Option<u8>) -> String {
    let text = text.split('\0').next().unwrap_or_default();
    let text = match (dcs, coding) {
        // Two letters of ISO 639 and a CR (clause 5, 0x10).
        (Some(0x10), _) => {
            let letters: Vec<char> = text.chars().take(3).collect();
            match letters[..] {
                [first, second, '\r']
                    if first.is_ascii_lowercase() && second.is_ascii_lowercase() =>
                {
                    &text[3..]
                }
                _ => text,
            }
        }
        // Two septets of the language packed into the first unit (clause 5, 0x11). Some networks
        // leave them out.
        (Some(0x11), Coding::Ucs2Hex | Coding::Ucs2Raw) => strip_packed_language(text),
        _ => text,
    };
    text.to_owned()
}

fn strip_packed_language(text: &str) -> &str {
    let Some(first) = text.chars().next() else {
        return text;
    };
    let Ok(unit) = u16::try_from(u32::from(first)) else {
        return text;
    };
    let letters = gsm7::unpack(&unit.to_be_bytes());
    let language = letters.len() >= 2 && letters[..2].iter().all(u8::is_ascii_lowercase);
    if language {
        &text[first.len_utf8()..]
    } else {
        text
    }
}

/// How much a text looks like one: letters, digits and blanks for it, control characters and
/// characters of no or of many scripts against it. Per character, so that no encoding wins by length.
fn score(text: &str) -> i64 {
    let mut sum = 0_i64;
    let mut count = 0_i64;
    let mut scripts = [false; 4];
    for character in text.chars() {
        count += 1;
        sum += match character {
            '\r' | '\n' | ' ' => 10,
            '0'..='9' => 9,
            'a'..='z' | 'A'..='Z' => {
                scripts[0] = true;
                10
            }
            '.' | ',' | ':' | '-' | '*' | '#' | '/' | '!' | '?' | '\'' | '"' | '(' | ')' | '+'
            | '%' | '&' | ';' | '$' | '€' | '£' => 8,
            '\u{fffd}' => -60,
            control if control.is_control() => -60,
            'À'..='ÿ' => {
                scripts[0] = true;
                6
            }
            '\u{100}'..='\u{17f}' => 7,
            '\u{400}'..='\u{4ff}' => {
                scripts[1] = true;
                10
            }
            '\u{e00}'..='\u{e7f}' | '\u{600}'..='\u{6ff}' | '\u{590}'..='\u{5ff}' => {
                scripts[2] = true;
                10
            }
            '\u{370}'..='\u{3ff}' => -5,
            '\u{4e00}'..='\u{9fff}' | '\u{3040}'..='\u{30ff}' | '\u{ac00}'..='\u{d7a3}' => {
                scripts[3] = true;
                3
            }
            letter if letter.is_alphabetic() => 0,
            _ => -10,
        };
    }
    if count == 0 {
        return -1000;
    }
    let mixed = scripts
        .iter()
        .filter(|&&seen| seen)
        .count()
        .saturating_sub(1);
    sum * 10 / count - 15 * i64::try_from(mixed).unwrap_or_default()
}

/// What the dcs and the form of the bytes say before looking at the text.
fn prior(coding: Coding, dcs: Option<u8>, bytes: &[u8]) -> i64 {
    let ucs2_said =
        dcs.is_some_and(|dcs| dcs == 0x11 || (dcs & 0xc0 == 0x40 && dcs & 0x0c == 0x08));
    let has_letter_digit = bytes
        .iter()
        .any(|byte| matches!(byte, b'A'..=b'F' | b'a'..=b'f'));
    match coding {
        Coding::Ucs2Hex | Coding::Ucs2Raw if ucs2_said => 40,
        Coding::PackedHex if !ucs2_said && has_letter_digit => 5,
        Coding::PackedHex => -40,
        // Digits alone are a number until a dcs says otherwise.
        Coding::Ucs2Hex if !has_letter_digit && !bytes.starts_with(b"00") => -40,
        // A text of hexadecimal digits and nothing else is rare; a number is not.
        Coding::Plain if bytes.len() >= 16 && from_hex(bytes).is_some() => -40,
        Coding::Gsm => -3,
        Coding::Latin1 => -2,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{best_answer, parse_cusd};
    use super::{Coding, decode};

    fn text(bytes: &[u8]) -> (String, Coding) {
        let (_, decoded) = best_answer(bytes).unwrap();
        (decoded.text, decoded.coding)
    }

    #[test]
    fn a_dcs_that_lies_does_not_mislead() {
        assert_eq!(
            text(b"+CUSD: 2,\"004B0072006500640069007400200031002E0035\",15").0,
            "Kredit 1.5"
        );
        assert_eq!(text(b"+CUSD: 0,\"Balance 5.00\",255").0, "Balance 5.00");
        assert_eq!(
            text(b"+CUSD: 0,\"Cr\xe9dit: 5,00\",15"),
            ("Crédit: 5,00".into(), Coding::Latin1)
        );
        assert_eq!(
            text("+CUSD: 0,\"Crédit: 5,00\",15".as_bytes()),
            ("Crédit: 5,00".into(), Coding::Plain)
        );
        assert_eq!(
            text(b"+CUSD: 0,\"W{hle 5\",15"),
            ("Wähle 5".into(), Coding::Gsm)
        );
        assert_eq!(
            text(b"+CUSD: 0,\"Cr\x05dit: 5\",15"),
            ("Crédit: 5".into(), Coding::Gsm)
        );
        assert_eq!(text(b"+CUSD: 0,\"1234567890\",15").0, "1234567890");
    }

    #[test]
    fn the_language_in_front_is_cut_where_there_is_one() {
        assert_eq!(text(b"+CUSD: 0,\"en\rBalance 5\",16").0, "Balance 5");
        assert_eq!(text(b"+CUSD: 0,\"613900350030\",17").0, "50");
        assert_eq!(
            text(b"+CUSD: 2,\"003600310031002e0032003000200440002e\", 17").0,
            "611.20 р."
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(bytes in proptest::collection::vec(any::<u8>(), 0..400), dcs in any::<u8>()) {
            let mut line = b"+CUSD: 0,\"".to_vec();
            line.extend(&bytes);
            line.extend(format!("\",{dcs}\r\n").bytes());
            for line in parse_cusd(&line) {
                let _ = decode(&line);
            }
            let _ = best_answer(&bytes);
        }
    }
}
