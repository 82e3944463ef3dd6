//! `+CUSD` lines in the bytes of a conversation with a modem, however they are broken.
//!
//! Seen in the field: before or after `OK`, two in a row, other messages between, blanks after commas,
//! no quotes, quotes and line ends inside the text, no closing quote, no dcs, a final `OK` glued to the
//! dcs, NULs and garbage behind. Parses bytes, because a text may be raw UCS2.

use std::fmt;

/// What the network did with the dialogue: `<m>` of 3GPP TS 27.007 clause 7.15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// 0: the answer, and the dialogue is over.
    Done,
    /// 1: the answer, and the network waits for a reply.
    Waiting,
    /// 2: ended by the network. With a text it is an answer all the same.
    Ended,
    /// 3: another program of the modem answered.
    OtherClient,
    /// 4: not supported.
    NotSupported,
    /// 5: the network timed out.
    TimedOut,
    /// A number the standard does not have.
    Unknown(u8),
}

impl Mode {
    /// The number on the line.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Waiting => 1,
            Self::Ended => 2,
            Self::OtherClient => 3,
            Self::NotSupported => 4,
            Self::TimedOut => 5,
            Self::Unknown(number) => number,
        }
    }

    fn of(number: u8) -> Self {
        match number {
            0 => Self::Done,
            1 => Self::Waiting,
            2 => Self::Ended,
            3 => Self::OtherClient,
            4 => Self::NotSupported,
            5 => Self::TimedOut,
            other => Self::Unknown(other),
        }
    }

    /// Whether a text on such a line is the network's answer.
    #[must_use]
    pub fn may_carry_text(self) -> bool {
        matches!(self, Self::Done | Self::Waiting | Self::Ended)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => write!(f, "the network ended the dialogue (+CUSD: 0)"),
            Self::Waiting => write!(f, "the network waits for a reply (+CUSD: 1)"),
            Self::Ended => write!(f, "ended by the network (+CUSD: 2)"),
            Self::OtherClient => {
                write!(f, "another program on the modem got the answer (+CUSD: 3)")
            }
            Self::NotSupported => write!(f, "the network does not support the code (+CUSD: 4)"),
            Self::TimedOut => write!(f, "the network timed out (+CUSD: 5)"),
            Self::Unknown(number) => write!(f, "unknown result (+CUSD: {number})"),
        }
    }
}

/// One `+CUSD` line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cusd {
    /// What became of the dialogue.
    pub mode: Mode,
    /// The text as bytes, still encoded.
    pub text: Option<Vec<u8>>,
    /// The data coding scheme, 3GPP TS 23.038 clause 5, if the modem gave one.
    pub dcs: Option<u8>,
    /// Whether the text's end was seen: a closing quote, or without quotes the line's end.
    pub terminated: bool,
}

/// The most bytes of a text that are kept: 182 characters as UCS2 in hexadecimal take 728.
const TEXT_BYTES_MAX: usize = 2048;

const PREFIX: &[u8] = b"+CUSD:";

/// All `+CUSD` lines of `bytes` that begin with a number, in order.
#[must_use]
pub fn parse_cusd(bytes: &[u8]) -> Vec<Cusd> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(found) = find(&bytes[at..], PREFIX) {
        starts.push(at + found);
        at += found + PREFIX.len();
    }
    // The echo of the question, AT+CUSD=1, is none: it has no colon.
    let mut lines = Vec::new();
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(bytes.len());
        lines.extend(line(&bytes[start + PREFIX.len()..end]));
    }
    lines
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

fn line(rest: &[u8]) -> Option<Cusd> {
    let rest = skip_blanks(rest);
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let number = std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()?;
    let mode = Mode::of(number);
    let rest = skip_blanks(&rest[digits..]);
    let bare = Cusd {
        mode,
        text: None,
        dcs: None,
        terminated: true,
    };
    let Some(rest) = rest.strip_prefix(b",") else {
        return Some(bare);
    };
    let rest = skip_blanks(rest);
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        return Some(unquoted(mode, rest));
    };
    let quoted = &quoted[..quoted.len().min(TEXT_BYTES_MAX)];
    // The last quote behind which the line is over, or the dcs stands: quotes may be in the text.
    let closing = (0..quoted.len())
        .rev()
        .find(|&at| quoted[at] == b'"' && closes(&quoted[at + 1..]));
    let Some(closing) = closing else {
        let end = line_end(quoted);
        return Some(Cusd {
            text: Some(quoted[..end].to_vec()),
            terminated: false,
            ..bare
        });
    };
    let dcs = dcs(&quoted[closing + 1..]);
    Some(Cusd {
        text: Some(quoted[..closing].to_vec()),
        dcs,
        ..bare
    })
}

/// Whether what follows a quote says that it was the closing one.
fn closes(after: &[u8]) -> bool {
    let after = skip_blanks(after);
    match after.first() {
        None | Some(b'\r' | b'\n' | 0) => true,
        Some(b',') => {
            let digits = skip_blanks(&after[1..]);
            digits.first().is_some_and(u8::is_ascii_digit) && {
                let rest = &digits[digits
                    .iter()
                    .take_while(|byte| byte.is_ascii_digit())
                    .count()..];
                // "15", "15OK", "15" and the line's end.
                matches!(rest.first(), None | Some(b'\r' | b'\n' | b' ' | 0))
                    || rest.starts_with(b"OK")
            }
        }
        _ => false,
    }
}

fn dcs(after: &[u8]) -> Option<u8> {
    let after = skip_blanks(skip_blanks(after).strip_prefix(b",")?);
    let digits = after
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    std::str::from_utf8(&after[..digits]).ok()?.parse().ok()
}

/// A text without quotes goes to the line's end; its dcs is what follows the last comma.
fn unquoted(mode: Mode, rest: &[u8]) -> Cusd {
    let whole = &rest[..line_end(rest).min(TEXT_BYTES_MAX)];
    let comma = whole.iter().rposition(|&byte| byte == b',');
    let number = comma.and_then(|comma| {
        std::str::from_utf8(&whole[comma + 1..])
            .ok()?
            .trim()
            .parse()
            .ok()
    });
    let (text, dcs) = match (comma, number) {
        // "12,44" may be an amount: only the codes that are used are taken.
        (Some(comma), Some(dcs)) if matches!(dcs, 0 | 1 | 15 | 17 | 64 | 68 | 72 | 240 | 244) => {
            (&whole[..comma], Some(dcs))
        }
        _ => (whole, None),
    };
    let terminated = rest.len() > whole.len();
    Cusd {
        mode,
        text: (!text.is_empty()).then(|| text.to_vec()),
        dcs,
        terminated,
    }
}

fn line_end(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|&byte| matches!(byte, b'\r' | b'\n'))
        .unwrap_or(bytes.len())
}

fn skip_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|&&byte| byte == b' ').count();
    &bytes[blanks..]
}

#[cfg(test)]
mod tests {
    use super::{Mode, parse_cusd};

    fn one(bytes: &[u8]) -> (Mode, Option<String>, Option<u8>, bool) {
        let lines = parse_cusd(bytes);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = &lines[0];
        let text = line
            .text
            .as_ref()
            .map(|text| String::from_utf8_lossy(text).into_owned());
        (line.mode, text, line.dcs, line.terminated)
    }

    #[test]
    fn every_shape_seen_is_read() {
        let text = || Some("Bal".to_owned());
        assert_eq!(
            one(b"OK\r\n+CUSD: 2,\"Bal\",15\r\n"),
            (Mode::Ended, text(), Some(15), true)
        );
        assert_eq!(
            one(b"+CUSD: 0, \"Bal\", 15"),
            (Mode::Done, text(), Some(15), true)
        );
        assert_eq!(
            one(b"+CUSD:0,\"Bal\",15OK"),
            (Mode::Done, text(), Some(15), true)
        );
        assert_eq!(
            one(b"+CUSD: 0,\"Bal\"\r\nOK"),
            (Mode::Done, text(), None, true)
        );
        assert_eq!(
            one(b"+CUSD: 0,Bal,15\r\n"),
            (Mode::Done, text(), Some(15), true)
        );
        assert_eq!(one(b"+CUSD: 0,\"Bal"), (Mode::Done, text(), None, false));
        assert_eq!(one(b"+CUSD: 4\r\n"), (Mode::NotSupported, None, None, true));
        assert_eq!(
            one(b"AT+CUSD=1,\"*130#\",15\r\r\n+CUSD: 2\r\n"),
            (Mode::Ended, None, None, true)
        );
        assert_eq!(
            one(b"+CUSD: 0,\"a \"b\" c\",15"),
            (Mode::Done, Some("a \"b\" c".into()), Some(15), true)
        );
        assert_eq!(
            one(b"+CUSD: 1,\"a\r\nb\",15\r\n"),
            (Mode::Waiting, Some("a\r\nb".into()), Some(15), true)
        );
    }

    #[test]
    fn two_answers_are_two_lines() {
        let lines =
            parse_cusd(b"+CUSD: 2,\"Initiating Release\",15\r\n\r\n+CUSD: 0,\"R49.96\",15\r\nOK");
        assert_eq!(lines.len(), 2);
    }
}
