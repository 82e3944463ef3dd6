//! How late a receiver's process is: the time from a beat's arrival at its socket to the report that speaks of it.
//!
//! Where packets wait for a process that does not get to run, they wait in the socket, where nobody counts them. It
//! serves to name a cause, and decides nothing: a report may as well be late on its way back, or here.

use std::time::Duration;

use crate::units::Time;

/// Far above what it takes to report a beat now and then where a processor is busy: beats are 20 ms apart at most, and
/// each report speaks of the latest.
const LATE: Duration = Duration::from_millis(60);

/// So many reports in a row must be late: a thread may once have to wait for its turn.
const TIMES: u8 = 3;

/// So much of the time that passes the clocks of two machines may drift apart: 100 us in a second.
const DRIFT: u32 = 10_000;

/// What reports tell of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lateness {
    /// What a beat took to the socket, from one clock to the other, which have no common origin.
    way: Shortest,
    /// What it took from there until its report was here. The shortest is the way back.
    answer: Shortest,
    /// When the latest beat left that it has processed.
    latest: Time,
    /// Reports in a row that were late.
    times: u8,
}

/// The shortest of many times, in nanoseconds. It grows slowly, as clocks drift.
#[derive(Clone, Copy, Debug, Default)]
struct Shortest(Option<(i64, Time)>);

impl Shortest {
    /// Takes note of a time; gives the shortest so far.
    fn note(&mut self, now: Time, took: i64) -> i64 {
        let shortest = self.0.map_or(took, |(before, at)| {
            let drift = i64::try_from((now.since(at) / DRIFT).as_nanos()).unwrap_or(0);
            took.min(before.saturating_add(drift))
        });
        self.0 = Some((shortest, now));
        shortest
    }
}

impl Lateness {
    /// Takes note of a report that came `now`, of a beat that left at `sent_at` by this clock, and arrived at `arrived_at` by
    /// the receiver's.
    pub(super) fn note(&mut self, now: Time, sent_at: Time, arrived_at: Time) {
        if sent_at <= self.latest {
            // It has processed none since: perhaps none reached it.
            return;
        }
        self.latest = sent_at;
        let [now_nanos, sent, arrived] = [now, sent_at, arrived_at].map(|at| at.as_nanos() as i64);
        let way = self.way.note(now, arrived.wrapping_sub(sent));
        let answer = now_nanos.wrapping_sub(arrived.wrapping_sub(way));
        let late = answer.saturating_sub(self.answer.note(now, answer));
        let is_late = u64::try_from(late).is_ok_and(|late| Duration::from_nanos(late) >= LATE);
        self.times = if is_late {
            (self.times + 1).min(TIMES)
        } else {
            0
        };
    }

    /// Whether its process did not get to run, when it was heard last.
    pub(super) const fn is_late(&self) -> bool {
        self.times >= TIMES
    }

    /// Forgets how late it was, but not how short its way is.
    pub(super) const fn forget(&mut self) {
        self.times = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER_CLOCK: u64 = 77_000_000_000;

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    /// One whose beats take a millisecond, and whose way back takes `back`.
    fn prompt(back: u64) -> Lateness {
        let mut lateness = Lateness::default();
        hear(&mut lateness, 10, 1, back);
        assert!(!lateness.is_late());
        lateness
    }

    /// Beats of a tenth of a second that take so long each, and are reported so long after.
    fn hear(lateness: &mut Lateness, beats: u64, way: u64, answer: u64) {
        let first = lateness.latest.as_nanos() / 1_000_000 + 100;
        for sent in (first..).step_by(100).take(beats as usize) {
            let arrived = Time::from_nanos(OTHER_CLOCK) + Duration::from_millis(sent + way);
            lateness.note(at(sent + way + answer), at(sent), arrived);
        }
    }

    #[test]
    fn a_beat_that_waits_in_the_socket_is_late_and_one_that_waits_on_the_way_is_not() {
        let mut lateness = prompt(2);
        hear(&mut lateness, 5, 300, 2);
        assert!(!lateness.is_late(), "they waited on the way");
        hear(&mut lateness, 2, 1, 90);
        assert!(!lateness.is_late(), "too few to tell");
        hear(&mut lateness, 1, 1, 90);
        assert!(lateness.is_late());
        hear(&mut lateness, 1, 1, 5);
        assert!(!lateness.is_late(), "it has caught up");
    }

    #[test]
    fn a_long_way_back_makes_nobody_late() {
        let mut lateness = prompt(200);
        hear(&mut lateness, 5, 1, 250);
        assert!(!lateness.is_late());
        hear(&mut lateness, 5, 1, 270);
        assert!(lateness.is_late());
        lateness.forget();
        assert!(!lateness.is_late());
    }

    #[test]
    fn who_is_reached_by_no_beat_any_more_is_not_late_for_that() {
        let mut lateness = prompt(2);
        let latest = lateness.latest;
        for millis in [5_000, 5_010, 5_020, 5_030] {
            lateness.note(at(millis), latest, Time::from_nanos(OTHER_CLOCK));
        }
        assert!(!lateness.is_late());
    }

    #[test]
    fn clocks_that_drift_apart_make_nobody_late() {
        for runs_fast in [true, false] {
            let mut lateness = Lateness::default();
            for second in 1..7_200 {
                let sent = at(second * 1_000);
                let arrived = sent + Duration::from_nanos(OTHER_CLOCK);
                let drift = Duration::from_micros(second * 50);
                let arrived = if runs_fast {
                    arrived + drift
                } else {
                    arrived - drift
                };
                lateness.note(sent + Duration::from_millis(5), sent, arrived);
                assert!(!lateness.is_late(), "after {second} s");
            }
        }
    }

    #[test]
    fn what_a_receiver_invents_does_not_panic() {
        for arrived in [0, u64::MAX, 1, i64::MAX as u64, i64::MAX as u64 + 1] {
            let mut lateness = Lateness::default();
            for sent in [0, 1, i64::MAX as u64, u64::MAX] {
                lateness.note(at(100), Time::from_nanos(sent), Time::from_nanos(arrived));
            }
        }
    }
}
