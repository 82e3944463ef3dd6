//! DKIM keys at hand: from a file, from stamps, or from DNS. Here only the choice; no I/O.

use crate::time::{Seconds, show};

/// How far from the receipt of a mail a key may have been seen and still be of that time: rotations
/// leave both keys up for days (M3AAWG, DKIM key rotation).
const SAME_TIME_S: Seconds = 2 * 86_400;

/// A key record with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The text of the TXT record.
    pub record: String,
    /// Where it is from, in words.
    pub origin: String,
    /// Whether it was the published one when the mail came: only then can a misfit speak against it.
    pub of_that_time: bool,
}

/// A place to look for keys.
pub trait Keys {
    /// Keys of a name, best first, for a mail received at a time.
    fn find(&self, name: &str, received: Seconds) -> Vec<Key>;
}

/// A record seen at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The name, in lower case.
    pub name: String,
    /// The text of the record; empty if the name server said that there is none.
    pub record: String,
    /// When it was seen, in seconds; nothing for a file of keys, which the operator vouches for.
    pub at: Option<Seconds>,
    /// `stamp`, `file` or `DNS`.
    pub from: &'static str,
}

/// Keys that were collected before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyFile {
    /// All of them.
    pub seen: Vec<Seen>,
}

impl KeyFile {
    /// Reads lines `NAME RECORD`; comments begin with `#`.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'));
        let seen = lines.filter_map(|line| {
            let (name, record) = line.trim().split_once(char::is_whitespace)?;
            Some(Seen {
                name: name.trim_end_matches('.').to_ascii_lowercase(),
                record: record.trim().to_owned(),
                at: None,
                from: "file",
            })
        });
        Self {
            seen: seen.collect(),
        }
    }
}

impl Keys for KeyFile {
    fn find(&self, name: &str, received: Seconds) -> Vec<Key> {
        let mut found: Vec<&Seen> = self
            .seen
            .iter()
            .filter(|seen| seen.name == name && !seen.record.is_empty())
            .collect();
        found.sort_by_key(|seen| seen.at.map_or(0, |at| (at - received).abs()));
        found
            .into_iter()
            .map(|seen| Key {
                record: seen.record.clone(),
                origin: seen.at.map_or_else(
                    || seen.from.to_owned(),
                    |at| format!("{} of {}", seen.from, show(at)),
                ),
                of_that_time: seen
                    .at
                    .is_none_or(|at| (at - received).abs() <= SAME_TIME_S),
            })
            .collect()
    }
}
