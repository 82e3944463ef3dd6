//! What was sent when: bytes and packets since the beginning, for the last second or two.
//!
//! Receivers count packets, and what a way takes are bytes: between packets full of content go beats, that are
//! small and many where the rate is low. And what waits in a queue by now is what a beat found there, and
//! what was sent since.

use std::collections::VecDeque;
use std::time::Duration;

use crate::units::{Rate, Sequence, Time};

/// Between two marks; a burst takes less.
const STEP: Duration = Duration::from_millis(2);

/// With [`STEP`], a second at least. Of a longer queue it is enough to know that it is long.
const MARKS_MAX: usize = 1_024;

/// What had been sent at some moment.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    at: Time,
    bytes: u64,
    /// The number of the next packet.
    next: Sequence,
}

/// The book of what left.
#[derive(Clone, Debug, Default)]
pub(super) struct Sent {
    marks: VecDeque<Mark>,
}

/// A stretch of the book.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) bytes: u64,
    pub(super) packets: u64,
}

impl Sent {
    /// Takes note that `bytes` left at `now`; the next packet will carry `next`.
    pub(super) fn note(&mut self, now: Time, bytes: u64, next: Sequence) {
        let last = self.marks.back().copied().unwrap_or_default();
        let mark = Mark {
            at: now,
            bytes: last.bytes + bytes,
            next,
        };
        let before = self.marks.len().checked_sub(2);
        let before = before.and_then(|index| self.marks.get(index));
        if before.is_some_and(|before| now.since(before.at) < STEP) {
            self.marks.pop_back();
        } else if self.marks.len() >= MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back(mark);
    }

    /// What left after `from` and until `until`, as far as that is remembered.
    pub(super) fn between(&self, from: Time, until: Time) -> Amount {
        let (from, until) = (self.at(from), self.at(until));
        Amount {
            bytes: until.bytes.saturating_sub(from.bytes),
            packets: until.next.0.saturating_sub(from.next.0),
        }
    }

    /// The time by which packets wait longer at `until` than at `from`, in seconds, where what is sent goes into a
    /// queue that is left at the rate `taken`; negative where they wait for less.
    pub(super) fn growth(&self, from: Time, until: Time, taken: Rate) -> f64 {
        let (from, last) = (self.at(from), self.at(until));
        let bytes = last.bytes.saturating_sub(from.bytes) as f64;
        bytes / taken.bytes_per_second().max(1) as f64 - until.since(from.at).as_secs_f64()
    }

    /// The last mark at `time` or before; the first of all for what is forgotten.
    fn at(&self, time: Time) -> Mark {
        let after = self.marks.partition_point(|mark| mark.at <= time);
        let mark = self.marks.get(after.saturating_sub(1));
        mark.copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Time {
        Time::from_nanos(micros * 1_000)
    }

    #[test]
    fn bytes_and_packets_of_any_stretch_come_back() {
        let mut sent = Sent::default();
        for number in 1..=10_000 {
            sent.note(at(number * 500), 100, Sequence(number * 3));
        }
        for (from, until) in [(4_000_000, 4_500_000), (4_000_000, 4_008_000)] {
            let amount = sent.between(at(from), at(until));
            let expected = (until - from) / 500;
            assert!(amount.packets > 0, "{amount:?}");
            assert!(amount.packets.abs_diff(expected * 3) <= 12, "{amount:?}");
            assert_eq!(amount.bytes * 3, amount.packets * 100);
        }
        assert_eq!(
            sent.between(at(4_999_000), at(9_000_000)).packets,
            sent.between(at(4_999_000), at(5_000_000)).packets,
            "nothing left since"
        );
    }

    #[test]
    fn a_queue_grows_by_what_is_sent_faster_than_it_is_taken() {
        let mut sent = Sent::default();
        // 200,000 bytes a second.
        for number in 1..=2_000 {
            sent.note(at(number * 500), 100, Sequence(number));
        }
        let growth = |taken| {
            let taken = Rate::from_bytes_per_second(taken);
            sent.growth(at(900_300), at(1_000_000), taken)
        };
        // In a tenth of a second, give or take one mark.
        for (taken, expected) in [(100_000, 0.1), (200_000, 0.0), (400_000, -0.05)] {
            let error = (growth(taken) - expected).abs();
            assert!(error < 0.003, "{taken}: {}", growth(taken));
        }
        assert!(growth(200_000).abs() < 0.000_6, "{}", growth(200_000));
        let taken = Rate::from_bytes_per_second(100_000);
        let (from, until) = (at(5_000_000), at(1_000_000));
        assert!(
            sent.growth(from, until, taken).abs() < 0.001,
            "an invented time"
        );
    }

    #[test]
    fn of_what_is_forgotten_it_says_what_it_knows() {
        let mut sent = Sent::default();
        assert_eq!(sent.between(at(0), at(7)).bytes, 0);
        for number in 1..=100_000 {
            sent.note(at(number * 1_000), 100, Sequence(number));
        }
        let amount = sent.between(at(0), at(100_000_000));
        assert!(
            (1_000_000..3_000_000).contains(&(amount.bytes * 10)),
            "{amount:?}"
        );
        assert_eq!(amount.bytes, amount.packets * 100);
        assert!(sent.marks.len() <= MARKS_MAX);
    }
}
