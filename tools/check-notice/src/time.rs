//! Points in time as complaints and logs write them, and all instants that such a text may mean.
//!
//! A text without a zone, an ambiguous `IST`, a `03/04/2020` or an hour of the night in which clocks go
//! back have several meanings; all are kept. Nothing here asks what time it is now.
//! Called by the extractors and by the readers of records.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

mod read;

pub use self::read::{find, read};

/// Seconds since 1970-01-01T00:00:00Z.
pub type Seconds = i64;

/// A closed interval of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    /// The first second.
    pub from: Seconds,
    /// The last second; never before `from`.
    pub to: Seconds,
}

impl Interval {
    /// An interval between two seconds, in either order.
    #[must_use]
    pub fn new(one: Seconds, other: Seconds) -> Self {
        Self {
            from: one.min(other),
            to: one.max(other),
        }
    }

    /// Longer by `seconds` on both sides.
    #[must_use]
    pub fn widened(self, seconds: Seconds) -> Self {
        Self {
            from: self.from.saturating_sub(seconds),
            to: self.to.saturating_add(seconds),
        }
    }

    /// Whether a second is common to both.
    #[must_use]
    pub fn touches(self, other: Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }

    /// Whether each second of `other` is in this one.
    #[must_use]
    pub fn holds(self, other: Self) -> bool {
        self.from <= other.from && other.to <= self.to
    }

    /// The common part.
    #[must_use]
    pub fn common(self, other: Self) -> Option<Self> {
        self.touches(other).then(|| Self {
            from: self.from.max(other.from),
            to: self.to.min(other.to),
        })
    }
}

/// Sorts intervals and joins those that touch.
#[must_use]
pub fn merged(mut intervals: Vec<Interval>) -> Vec<Interval> {
    intervals.sort_unstable();
    let mut joined: Vec<Interval> = Vec::with_capacity(intervals.len());
    for interval in intervals {
        match joined.last_mut() {
            Some(last) if interval.from <= last.to.saturating_add(1) => {
                last.to = last.to.max(interval.to);
            }
            _ => joined.push(interval),
        }
    }
    joined
}

/// What a text says about its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Zone {
    /// Any of these offsets from UTC, in seconds; one, but for abbreviations that mean several.
    Offsets(Vec<i32>),
    /// The rules of a place, as `Europe/Paris`.
    Place(TimeZone),
    /// Nothing.
    Missing,
}

/// How fine a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Precision {
    /// To the second.
    Second,
    /// To the minute.
    Minute,
    /// A day without an hour.
    Day,
}

impl Precision {
    fn seconds(self) -> Seconds {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Day => 86_400,
        }
    }
}

/// A point in time as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct When {
    /// What the clock showed: one reading, two for an ambiguous order of day and month.
    pub readings: Vec<DateTime>,
    /// What the text says about its zone.
    pub zone: Zone,
    /// How fine the text is.
    pub precision: Precision,
}

/// Every offset from UTC that is in civil use somewhere, in minutes.
///
/// Source: the IANA time zone database, 2025. A clock without a stated zone may show any of them.
const OFFSETS_IN_USE: [i32; 40] = [
    -720, -660, -600, -570, -540, -480, -420, -360, -300, -240, -210, -180, -150, -120, -60, 0, 60,
    120, 180, 210, 240, 270, 300, 330, 345, 360, 390, 420, 480, 525, 540, 570, 600, 630, 660, 720,
    765, 780, 825, 840,
];

impl When {
    /// A second in UTC.
    #[must_use]
    pub fn utc(seconds: Seconds) -> Option<Self> {
        let stamp = jiff::Timestamp::from_second(seconds).ok()?;
        Some(Self {
            readings: vec![TimeZone::UTC.to_datetime(stamp)],
            zone: Zone::Offsets(vec![0]),
            precision: Precision::Second,
        })
    }

    /// Whether the text has no zone.
    #[must_use]
    pub fn lacks_zone(&self) -> bool {
        self.zone == Zone::Missing
    }

    /// The same reading, held to be in `zone` where the text has none.
    #[must_use]
    pub fn in_zone_if_missing(mut self, zone: &TimeZone) -> Self {
        if self.lacks_zone() {
            self.zone = Zone::Place(zone.clone());
        }
        self
    }

    /// All intervals of time that the text may mean, sorted, those that touch joined.
    ///
    /// An hour that a place's clocks skipped is taken with the offsets before and after the change.
    #[must_use]
    pub fn meanings(&self) -> Vec<Interval> {
        let mut found = Vec::new();
        for reading in &self.readings {
            let Ok(utc) = reading.to_zoned(TimeZone::UTC) else {
                continue;
            };
            let utc = utc.timestamp().as_second();
            let mut push = |offset: i32| {
                let from = utc.saturating_sub(Seconds::from(offset));
                found.push(Interval::new(
                    from,
                    from.saturating_add(self.precision.seconds() - 1),
                ));
            };
            match &self.zone {
                Zone::Offsets(offsets) => offsets.iter().copied().for_each(&mut push),
                Zone::Missing => OFFSETS_IN_USE.iter().for_each(|minutes| push(minutes * 60)),
                Zone::Place(zone) => match zone.to_ambiguous_timestamp(*reading).offset() {
                    AmbiguousOffset::Unambiguous { offset } => push(offset.seconds()),
                    AmbiguousOffset::Gap { before, after }
                    | AmbiguousOffset::Fold { before, after } => {
                        push(before.seconds());
                        push(after.seconds());
                    }
                },
            }
        }
        merged(found)
    }

    /// From the first to the last second that the text may mean.
    #[must_use]
    pub fn hull(&self) -> Option<Interval> {
        let meanings = self.meanings();
        Some(Interval::new(meanings.first()?.from, meanings.last()?.to))
    }

    /// The only interval that the text may mean, or nothing if there are several.
    #[must_use]
    pub fn only_meaning(&self) -> Option<Interval> {
        match self.meanings().as_slice() {
            [one] if one.to - one.from < self.precision.seconds() => Some(*one),
            _ => None,
        }
    }
}

/// A second as text in UTC, `2026-03-01T12:00:00Z`.
#[must_use]
pub fn show(seconds: Seconds) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| format!("second {seconds}"), |t| t.to_string())
}

/// A length of time in words, `3 h 12 min`.
#[must_use]
pub fn show_length(seconds: Seconds) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, rest) = (seconds / 60 % 60, seconds % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{rest} s"),
        (0, 0, _) => format!("{minutes} min {rest} s"),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_offset_that_clocks_somewhere_show_may_be_meant() {
        let days = (0..24).map(|half| 1_735_689_600 + half * 15 * 86_400);
        let days: Vec<jiff::Timestamp> = days
            .map(|at| jiff::Timestamp::from_second(at).unwrap())
            .collect();
        let mut places = 0;
        for name in jiff::tz::db().available() {
            let Ok(zone) = TimeZone::get(name.as_str()) else {
                continue;
            };
            places += 1;
            for day in &days {
                let seconds = zone.to_offset(*day).seconds();
                let known = OFFSETS_IN_USE.iter().any(|minutes| minutes * 60 == seconds);
                assert!(known, "{name:?}: {seconds} s");
            }
        }
        assert!(places > 300, "{places}");
    }

    #[test]
    fn a_missing_zone_means_more_than_a_day_and_a_stated_one_a_second() {
        let (missing, _) = read("2026-03-01 12:00:00").unwrap();
        let meanings = missing.meanings();
        assert_eq!(meanings.len(), 40);
        assert_eq!(meanings[39].to - meanings[0].from, 26 * 3_600);
        let (stated, _) = read("2026-03-01T12:00:00+01:00").unwrap();
        assert_eq!(
            show(stated.only_meaning().unwrap().from),
            "2026-03-01T11:00:00Z"
        );
    }

    #[test]
    fn an_hour_that_came_twice_has_two_meanings_and_a_skipped_one_too() {
        let paris = TimeZone::get("Europe/Paris").unwrap();
        for text in ["2025-10-26 02:30:00", "2025-03-30 02:30:00"] {
            let when = read(text).unwrap().0.in_zone_if_missing(&paris);
            let meanings = when.meanings();
            assert_eq!(meanings.len(), 2, "{text}");
            assert_eq!(meanings[1].from - meanings[0].from, 3_600);
            assert_eq!(when.only_meaning(), None);
        }
    }

    #[test]
    fn joined_intervals_neither_touch_nor_lose_a_second() {
        let joined = merged(vec![
            Interval::new(5, 9),
            Interval::new(0, 4),
            Interval::new(20, 30),
            Interval::new(25, 26),
        ]);
        assert_eq!(joined, [Interval::new(0, 9), Interval::new(20, 30)]);
    }
}
