//! Whether a log shows that it was written at a time: silence counts only where it does.
//!
//! Minutes in which a record was written are collected; a pause far above the usual rhythm is a gap, and
//! so is a record that cannot be read. A single lost line cannot be seen. Called by `records` and `evidence`.

use crate::time::{Interval, Seconds, merged, show};

/// Fewer minutes with records than this show no rhythm.
const MINUTES_MIN: usize = 20;

/// The least pause that is called a gap when the rhythm is learnt.
const GAP_MIN: Seconds = 5 * 60;

/// The greatest pause that is borne when the rhythm is learnt: a log this calm shows nothing.
const GAP_MAX: Seconds = 60 * 60;

/// Why a log does not cover a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hole {
    /// It has too few records to know its rhythm.
    TooFewRecords,
    /// It begins later.
    BeginsAt(Seconds),
    /// It ends earlier.
    EndsAt(Seconds),
    /// It pauses.
    Pause(Interval),
    /// It has a record that cannot be read, and may be about anybody.
    Unreadable(Interval),
}

impl std::fmt::Display for Hole {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooFewRecords => write!(out, "it has too few records to know its rhythm"),
            Self::BeginsAt(at) => write!(out, "its first record is of {}", show(*at)),
            Self::EndsAt(at) => write!(out, "its last record is of {}", show(*at)),
            Self::Pause(pause) => write!(
                out,
                "it has no record from {} to {}",
                show(pause.from),
                show(pause.to)
            ),
            Self::Unreadable(lost) => write!(
                out,
                "it has records from {} to {} that cannot be read",
                show(lost.from),
                show(lost.to)
            ),
        }
    }
}

/// Minutes as they are collected.
#[derive(Debug, Clone, Default)]
pub struct Pulse {
    minutes: Vec<u32>,
    last: Option<u32>,
    /// First and last minute of records that cannot be read.
    lost: Vec<Interval>,
    /// Whether one was met of which not even the hour is known, since the last minute.
    lost_since: bool,
}

impl Pulse {
    /// A record was written at this second.
    pub fn beat(&mut self, at: Seconds) {
        let Ok(minute) = u32::try_from(at.div_euclid(60)) else {
            return;
        };
        if std::mem::take(&mut self.lost_since) {
            // It stands between its neighbours.
            self.lose_minutes(self.last.unwrap_or(minute), minute);
        }
        if self.last == Some(minute) {
            return;
        }
        self.last = Some(minute);
        self.minutes.push(minute);
        // Unsorted logs repeat minutes: bounded by the number of different ones, not of lines.
        if self.minutes.len() >= 1 << 20 && self.minutes.len().is_power_of_two() {
            self.tidy();
        }
    }

    /// A record of this time cannot be read; nothing where its time cannot be either.
    pub fn lose(&mut self, at: Option<Interval>) {
        let minute = |second: Seconds| u32::try_from(second.div_euclid(60)).ok();
        let Some(at) = at else {
            self.lost_since = true;
            return;
        };
        if let Some(from) = minute(at.from) {
            self.lose_minutes(from, minute(at.to).unwrap_or(from));
        }
    }

    /// A file of the log is over: what comes next is no neighbour of its last line.
    pub fn end_file(&mut self) {
        if let (true, Some(last)) = (std::mem::take(&mut self.lost_since), self.last) {
            self.lose_minutes(last, last);
        }
        self.last = None;
    }

    fn lose_minutes(&mut self, one: u32, other: u32) {
        let second = |minute: u32| Seconds::from(minute) * 60;
        let lost = Interval::new(second(one.min(other)), second(one.max(other)) + 59);
        if self.lost.last() == Some(&lost) {
            return;
        }
        self.lost.push(lost);
        if self.lost.len() >= 1 << 16 && self.lost.len().is_power_of_two() {
            self.lost = merged(std::mem::take(&mut self.lost));
        }
    }

    fn tidy(&mut self) {
        self.minutes.sort_unstable();
        self.minutes.dedup();
    }

    /// The stretches that are covered; `gap_s` is the longest pause borne, learnt where nothing is given.
    #[must_use]
    pub fn coverage(mut self, gap_s: Option<Seconds>) -> Coverage {
        self.tidy();
        let gap = gap_s.or_else(|| self.learnt_gap());
        let mut stretches: Vec<Interval> = Vec::new();
        for minute in &self.minutes {
            let from = Seconds::from(*minute) * 60;
            match (stretches.last_mut(), gap) {
                (Some(last), Some(gap)) if from - last.to <= gap => last.to = from + 59,
                _ => stretches.push(Interval::new(from, from + 59)),
            }
        }
        let lost = merged(self.lost);
        Coverage {
            stretches: without(&stretches, &lost),
            lost,
            rhythm_known: gap.is_some(),
        }
    }

    fn learnt_gap(&self) -> Option<Seconds> {
        if self.minutes.len() < MINUTES_MIN {
            return None;
        }
        let mut pauses: Vec<u32> = self
            .minutes
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .collect();
        pauses.sort_unstable();
        let usual = *pauses.get(pauses.len() * 95 / 100)?;
        Some((Seconds::from(usual) * 60 * 4).clamp(GAP_MIN, GAP_MAX))
    }
}

/// What is left of sorted intervals without others, sorted as well.
fn without(all: &[Interval], holes: &[Interval]) -> Vec<Interval> {
    let mut left = Vec::with_capacity(all.len());
    for interval in all {
        let mut from = interval.from;
        let first = holes.partition_point(|hole| hole.to < from);
        for hole in holes.iter().skip(first) {
            if hole.from > interval.to {
                break;
            }
            if hole.from > from {
                left.push(Interval::new(from, hole.from - 1));
            }
            from = hole.to + 1;
        }
        if from <= interval.to {
            left.push(Interval::new(from, interval.to));
        }
    }
    left
}

/// When a log was demonstrably written, and can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    stretches: Vec<Interval>,
    lost: Vec<Interval>,
    rhythm_known: bool,
}

impl Coverage {
    /// Nothing, or why the log does not show that it was written all through an interval.
    ///
    /// # Errors
    ///
    /// The first hole.
    pub fn covers(&self, wanted: Interval) -> Result<(), Hole> {
        if !self.rhythm_known {
            return Err(Hole::TooFewRecords);
        }
        let lost = self.lost.partition_point(|lost| lost.to < wanted.from);
        if let Some(lost) = self.lost.get(lost).filter(|lost| lost.touches(wanted)) {
            return Err(Hole::Unreadable(*lost));
        }
        let after = self
            .stretches
            .partition_point(|stretch| stretch.to < wanted.from);
        match (
            after.checked_sub(1).and_then(|n| self.stretches.get(n)),
            self.stretches.get(after),
        ) {
            (_, Some(stretch)) if stretch.holds(wanted) => Ok(()),
            (Some(before), Some(stretch)) if stretch.from > wanted.from => {
                Err(Hole::Pause(Interval::new(before.to, stretch.from)))
            }
            (None, Some(stretch)) if stretch.from > wanted.from => {
                Err(Hole::BeginsAt(stretch.from))
            }
            (_, Some(stretch)) => Err(match self.stretches.get(after + 1) {
                Some(next) => Hole::Pause(Interval::new(stretch.to, next.from)),
                None => Hole::EndsAt(stretch.to),
            }),
            (Some(before), None) => Err(Hole::EndsAt(before.to)),
            (None, None) => Err(Hole::TooFewRecords),
        }
    }

    /// The stretch around a second.
    #[must_use]
    pub fn stretch(&self, at: Seconds) -> Option<Interval> {
        let index = self.stretches.partition_point(|stretch| stretch.to < at);
        self.stretches
            .get(index)
            .copied()
            .filter(|stretch| stretch.from <= at)
    }

    /// The last second that is covered.
    #[must_use]
    pub fn end(&self) -> Option<Seconds> {
        self.stretches.last().map(|stretch| stretch.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(minutes: impl Iterator<Item = i64>) -> Coverage {
        let mut pulse = Pulse::default();
        for minute in minutes {
            pulse.beat(minute * 60);
        }
        pulse.coverage(None)
    }

    #[test]
    fn a_pause_above_the_rhythm_is_a_hole_and_one_below_is_none() {
        let steady = log((0..100).map(|n| n * 2));
        assert_eq!(steady.covers(Interval::new(600, 9_000)), Ok(()));
        let paused = log((0..50).chain(80..130));
        assert_eq!(paused.covers(Interval::new(60, 2_000)), Ok(()));
        assert!(matches!(
            paused.covers(Interval::new(60, 5_000)),
            Err(Hole::Pause(_))
        ));
        assert!(matches!(
            paused.covers(Interval::new(3_500, 3_600)),
            Err(Hole::Pause(_))
        ));
        assert!(matches!(
            paused.covers(Interval::new(5_000, 50_000)),
            Err(Hole::EndsAt(_))
        ));
        assert!(matches!(
            paused.covers(Interval::new(9_000, 50_000)),
            Err(Hole::EndsAt(_))
        ));
    }

    #[test]
    fn records_that_cannot_be_read_are_a_hole_where_they_stand() {
        let lost = |at: &dyn Fn(&mut Pulse)| {
            let mut pulse = Pulse::default();
            for minute in 0..100 {
                pulse.beat(minute * 60);
                if minute == 49 {
                    at(&mut pulse);
                }
            }
            pulse.end_file();
            pulse.coverage(None)
        };
        let hole = |from: Seconds, to: Seconds| {
            Err(Hole::Unreadable(Interval::new(from * 60, to * 60 + 59)))
        };
        let all = Interval::new(60, 5_900);
        let dated = lost(&|pulse| pulse.lose(Some(Interval::new(3_010, 3_010))));
        assert_eq!(dated.covers(all), hole(50, 50));
        assert_eq!(dated.covers(Interval::new(60, 2_999)), Ok(()));
        assert_eq!(dated.covers(Interval::new(3_060, 5_900)), Ok(()));
        assert_eq!(dated.stretch(3_600), Some(Interval::new(3_060, 5_999)));
        // Without an hour it stands between its neighbours.
        assert_eq!(lost(&|pulse| pulse.lose(None)).covers(all), hole(49, 50));
        let last = lost(&|pulse| {
            pulse.lose(None);
            pulse.end_file();
        });
        assert_eq!(last.covers(all), hole(49, 49));
        assert_eq!(last.end(), Some(5_999));
    }

    #[test]
    fn the_edges_of_a_log_and_short_logs_cover_nothing() {
        let late = log(1_000..1_100);
        assert!(matches!(
            late.covers(Interval::new(0, 60_500)),
            Err(Hole::BeginsAt(60_000))
        ));
        assert_eq!(
            log(0..5).covers(Interval::new(60, 120)),
            Err(Hole::TooFewRecords)
        );
    }
}
