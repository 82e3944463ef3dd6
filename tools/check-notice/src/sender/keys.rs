//! DKIM keys at hand: from a file, from stamps, or from DNS. Here only the choice; no I/O.

use super::dkim::{tag, tags};
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
    /// What it says about a mail of that time.
    pub standing: Standing,
}

/// What a key says about a mail, by when it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Within two days of the receipt, or vouched for: a fit proves, a misfit speaks against.
    OfThatTime,
    /// Later: a fit proves, as the mail was there before; a misfit says nothing.
    Later,
    /// Long before, and whether it was still published is not known: neither says anything.
    LongBefore,
    /// Before it was withdrawn, which was seen when the mail came or before; where that was seen, in words.
    Withdrawn(String),
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

impl Seen {
    /// Whether it says that there is no key: no record, or one that is withdrawn (RFC 6376, 3.6.1).
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.record.is_empty()
            || tag(&tags(&self.record), "p").is_some_and(|key| key.trim().is_empty())
    }

    fn origin(&self) -> String {
        self.at.map_or_else(
            || self.from.to_owned(),
            |at| format!("{} of {}", self.from, show(at)),
        )
    }
}

impl KeyFile {
    /// Whether a key is there of which a fit would prove a mail received at a time.
    #[must_use]
    pub fn has(&self, name: &str, received: Seconds) -> bool {
        self.seen
            .iter()
            .filter(|seen| seen.name == name && !seen.is_none())
            .any(|seen| {
                let standing = self.standing(seen, received);
                matches!(standing, Standing::OfThatTime | Standing::Later)
            })
    }

    fn standing(&self, of: &Seen, received: Seconds) -> Standing {
        let Some(at) = of.at else {
            return Standing::OfThatTime;
        };
        if at > received {
            return if at - received <= SAME_TIME_S {
                Standing::OfThatTime
            } else {
                Standing::Later
            };
        }
        // The newest word before the mail counts, be it that there is no key any more.
        let gone = self.seen.iter().find(|other| {
            let later = other.at.is_some_and(|seen| at < seen && seen <= received);
            later && other.name == of.name && other.is_none()
        });
        match gone {
            Some(gone) => Standing::Withdrawn(gone.origin()),
            None if received - at <= SAME_TIME_S => Standing::OfThatTime,
            None => Standing::LongBefore,
        }
    }
}

impl Keys for KeyFile {
    fn find(&self, name: &str, received: Seconds) -> Vec<Key> {
        let mut found: Vec<&Seen> = self.seen.iter().filter(|seen| seen.name == name).collect();
        found.sort_by_key(|seen| seen.at.map_or(0, |at| (at - received).abs()));
        found
            .into_iter()
            .map(|seen| Key {
                record: seen.record.clone(),
                origin: seen.origin(),
                standing: self.standing(seen, received),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Seconds = 86_400;

    /// Of sightings of one name, each its record and day, what the first says of a mail of day 100.
    fn standing(all: &[(&str, i64)]) -> Standing {
        let seen = |(record, day): &(&str, i64)| Seen {
            name: "s._domainkey.a.example".to_owned(),
            record: (*record).to_owned(),
            at: Some(day * DAY),
            from: "stamp",
        };
        let file = KeyFile {
            seen: all.iter().map(seen).collect(),
        };
        let standing = file.standing(&file.seen[0], 100 * DAY);
        let proves = matches!(standing, Standing::OfThatTime | Standing::Later);
        assert_eq!(file.has("s._domainkey.a.example", 100 * DAY), proves);
        standing
    }

    #[test]
    fn a_key_counts_if_it_was_seen_about_then_or_later_and_was_not_withdrawn() {
        let (key, gone) = ("v=DKIM1; p=AAAA", "v=DKIM1; p=");
        assert_eq!(standing(&[(key, 98)]), Standing::OfThatTime);
        assert_eq!(standing(&[(key, 102)]), Standing::OfThatTime);
        assert_eq!(standing(&[(key, 103)]), Standing::Later);
        assert_eq!(standing(&[(key, 97)]), Standing::LongBefore);
        for none in [gone, ""] {
            for day in [99, 100] {
                let withdrawn = standing(&[(key, 98), (none, day)]);
                assert!(matches!(withdrawn, Standing::Withdrawn(_)), "{day}");
            }
            // It came back, or was withdrawn after the mail had come.
            for day in [97, 101] {
                assert_eq!(standing(&[(key, 98), (none, day)]), Standing::OfThatTime);
            }
        }
    }

    #[test]
    fn a_key_that_the_operator_vouches_for_is_of_every_time() {
        let file = KeyFile::read("# keys\ns._domainkey.A.example. v=DKIM1; p=AAAA\n");
        assert_eq!(file.seen[0].name, "s._domainkey.a.example");
        assert!(file.has("s._domainkey.a.example", 0));
        assert_eq!(file.standing(&file.seen[0], 0), Standing::OfThatTime);
    }
}
