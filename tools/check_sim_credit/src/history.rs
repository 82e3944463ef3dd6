//! What a SIM had on earlier days: how long it will last, and whether it drops too fast.
//!
//! One line a day in a small file. Money paid in is recognised as a rise and is no use. A forecast
//! needs some days; without them there is none.

use std::path::Path;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::store::{StoreError, replace};

/// A day's last known amount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Seconds since 1970-01-01 UTC.
    pub time_unix: i64,
    /// The currency, or `-`.
    pub currency: String,
    /// The money left then.
    pub amount: Decimal,
}

/// Entries in the order of time, one a day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    entries: Vec<Entry>,
}

const DAY_SECONDS: i64 = 86_400;
/// As long as use is looked back on.
const MONTH_DAYS: i64 = 30;
/// A forecast from less than this is a guess.
const FORECAST_DAYS_MIN: i64 = 3;
/// Two years of days; older ones are dropped.
const ENTRIES_MAX: usize = 730;
/// A day that costs more than this many times the usual one is a sudden drop.
const DROP_TIMES: i64 = 5;

impl History {
    /// Reads a history; a missing file is an empty one, a line that is damaged is left out. So is
    /// one from after `latest_unix`, in seconds since 1970-01-01 UTC: a clock was wrong when it was
    /// noted, and nothing could be noted behind it until that day comes.
    ///
    /// # Errors
    /// What the kernel said, and about which file.
    pub fn load(path: &Path, latest_unix: i64) -> Result<Self, StoreError> {
        let text = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(cause) => {
                return Err(StoreError::Io {
                    path: path.to_owned(),
                    action: "cannot be read",
                    cause,
                });
            }
            Ok(text) => text,
        };
        let text = String::from_utf8_lossy(&text);
        let mut entries: Vec<Entry> = text
            .lines()
            .rev()
            .take(ENTRIES_MAX)
            .filter_map(entry)
            .filter(|entry| entry.time_unix <= latest_unix)
            .collect();
        entries.sort_by_key(|entry| entry.time_unix);
        Ok(Self { entries })
    }

    /// Notes an amount; the day's earlier one is replaced. Says whether anything changed.
    pub fn note(&mut self, entry: Entry) -> bool {
        let day = entry.time_unix.div_euclid(DAY_SECONDS);
        match self.entries.last_mut() {
            Some(last) if last.time_unix > entry.time_unix || *last == entry => return false,
            // A rise within the day is kept apart: it is money paid in.
            Some(last)
                if last.time_unix.div_euclid(DAY_SECONDS) == day && last.amount >= entry.amount =>
            {
                *last = entry;
            }
            _ => self.entries.push(entry),
        }
        if self.entries.len() > ENTRIES_MAX {
            self.entries.remove(0);
        }
        true
    }

    /// Stores the history in one step.
    ///
    /// # Errors
    /// What the kernel said, and about which file.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        let text: String = self
            .entries
            .iter()
            .map(|entry| format!("{} {} {}\n", entry.time_unix, entry.currency, entry.amount))
            .collect();
        replace(path, text.as_bytes())
    }

    /// The use of a day in the last month: what went, without what was paid in. `None` where the history
    /// is shorter than three days.
    #[must_use]
    pub fn use_per_day(&self) -> Option<Decimal> {
        let last = self.entries.last()?;
        self.use_between(
            last.time_unix - MONTH_DAYS * DAY_SECONDS,
            last.time_unix,
            &last.currency,
        )
    }

    fn use_between(&self, from: i64, to: i64, currency: &str) -> Option<Decimal> {
        let entries: Vec<&Entry> = self
            .entries
            .iter()
            .filter(|entry| entry.currency == currency && (from..=to).contains(&entry.time_unix))
            .collect();
        let (first, last) = (entries.first()?, entries.last()?);
        let seconds = last.time_unix - first.time_unix;
        if seconds < FORECAST_DAYS_MIN * DAY_SECONDS {
            return None;
        }
        let used: Decimal = entries
            .windows(2)
            .map(|pair| (pair[0].amount - pair[1].amount).max(Decimal::ZERO))
            .sum();
        used.checked_mul(Decimal::from(DAY_SECONDS))?
            .checked_div(Decimal::from(seconds))
    }

    /// For how many days `amount` lasts at the last month's use; `None` where nothing was used, or too
    /// little is known.
    #[must_use]
    pub fn days_left(&self, amount: Decimal) -> Option<u64> {
        let daily = self.use_per_day().filter(|daily| *daily > Decimal::ZERO)?;
        if amount <= Decimal::ZERO {
            return Some(0);
        }
        amount.checked_div(daily)?.trunc().to_u64()
    }

    /// What the last day cost, if that is more than five times the use of a day before it.
    #[must_use]
    pub fn sudden_drop(&self) -> Option<Decimal> {
        let [.., before, last] = &self.entries[..] else {
            return None;
        };
        let drop = before.amount - last.amount;
        if before.currency != last.currency || drop <= Decimal::ZERO {
            return None;
        }
        let days = ((last.time_unix - before.time_unix) / DAY_SECONDS).max(1);
        let usual = self.use_between(
            before.time_unix - MONTH_DAYS * DAY_SECONDS,
            before.time_unix,
            &last.currency,
        )?;
        let limit = usual.checked_mul(Decimal::from(DROP_TIMES * days))?;
        (usual > Decimal::ZERO && drop > limit).then_some(drop)
    }
}

fn entry(line: &str) -> Option<Entry> {
    let mut fields = line.split(' ');
    let time_unix = fields.next()?.parse().ok()?;
    let currency = fields.next()?.to_owned();
    let amount = fields.next()?.parse().ok()?;
    Some(Entry {
        time_unix,
        currency,
        amount,
    })
}

#[cfg(test)]
mod tests {
    use super::{DAY_SECONDS, Entry, History};

    fn history(amounts: &[&str]) -> History {
        let mut history = History::default();
        for (day, amount) in amounts.iter().enumerate() {
            let time_unix = 1_700_000_000 + DAY_SECONDS * i64::try_from(day).unwrap();
            history.note(Entry {
                time_unix,
                currency: "CHF".into(),
                amount: amount.parse().unwrap(),
            });
        }
        history
    }

    #[test]
    fn money_paid_in_is_no_use() {
        // Ten days, one franc each, twenty paid in between.
        let history = history(&["10", "9", "8", "7", "26", "25", "24", "23", "22", "21"]);
        assert_eq!(history.days_left("18".parse().unwrap()), Some(20));
        assert_eq!(history.days_left("-1".parse().unwrap()), Some(0));
        assert_eq!(history.sudden_drop(), None);
    }

    #[test]
    fn a_short_history_or_no_use_gives_no_forecast() {
        assert_eq!(history(&["10", "9"]).days_left("9".parse().unwrap()), None);
        assert_eq!(
            history(&["10", "10", "10", "10", "10"]).days_left("10".parse().unwrap()),
            None
        );
    }

    #[test]
    fn a_day_far_dearer_than_usual_is_a_sudden_drop() {
        let history = history(&["20", "19.5", "19", "18.5", "18", "10"]);
        assert_eq!(history.sudden_drop(), Some("8".parse().unwrap()));
    }

    #[test]
    fn it_survives_a_damaged_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history");
        let saved = history(&["20", "19"]);
        saved.save(&path).unwrap();
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("17000x CHF\n\u{0}\n");
        std::fs::write(&path, text).unwrap();
        assert_eq!(History::load(&path, i64::MAX).unwrap(), saved);
    }

    #[test]
    fn an_entry_from_the_future_is_dropped_and_the_forecast_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("history");
        let mut saved = history(&["10", "9", "8", "7"]);
        let now = saved.entries[3].time_unix;
        saved.note(Entry {
            time_unix: now + 359 * DAY_SECONDS,
            currency: "CHF".into(),
            amount: "7".parse().unwrap(),
        });
        saved.save(&path).unwrap();
        let mut read = History::load(&path, now + DAY_SECONDS).unwrap();
        assert_eq!(read.entries.len(), 4);
        assert!(read.note(Entry {
            time_unix: now + DAY_SECONDS,
            currency: "CHF".into(),
            amount: "6".parse().unwrap(),
        }));
        assert_eq!(read.days_left("6".parse().unwrap()), Some(6));
    }
}
