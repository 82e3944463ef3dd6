//! How late a receiver's process is: the time from a beat's arrival at its socket to the report that speaks of it.
//!
//! Where packets wait for a process that does not get to run, they wait in the socket, where nobody counts them. It
//! serves to name a cause, never to set the rate.

use std::time::Duration;

use crate::units::Time;

/// Far above what a report takes that goes out every so often and meets a busy processor: with beats 20 ms apart at
/// most, and some milliseconds on the way.
const LATE: Duration = Duration::from_millis(60);

/// So much of the time that passes the clocks of two machines may drift apart: 100 us in a second.
const DRIFT: u32 = 10_000;

/// What reports tell of it. The clocks of the two ends have no common origin, so the shortest way counts as none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lateness {
    /// The shortest time that a beat took, in nanoseconds between the two clocks, and when it was known.
    shortest: Option<(i64, Time)>,
    /// When the latest beat left that it has processed.
    latest: Time,
    late: Duration,
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
        let took = (arrived_at.as_nanos() as i64).wrapping_sub(sent_at.as_nanos() as i64);
        let shortest = match self.shortest {
            None => took,
            Some((before, at)) => {
                let drift = i64::try_from((now.since(at) / DRIFT).as_nanos()).unwrap_or(0);
                took.min(before.saturating_add(drift))
            }
        };
        self.shortest = Some((shortest, now));
        let arrived_here = (arrived_at.as_nanos() as i64).wrapping_sub(shortest);
        let late = (now.as_nanos() as i64).saturating_sub(arrived_here);
        self.late = Duration::from_nanos(u64::try_from(late).unwrap_or(0));
    }

    /// Whether its process did not get to run, when it was heard last.
    pub(super) fn is_late(&self) -> bool {
        self.late >= LATE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER_CLOCK: u64 = 77_000_000_000;

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn there(millis: u64) -> Time {
        Time::from_nanos(OTHER_CLOCK + millis * 1_000_000)
    }

    #[test]
    fn a_beat_that_waits_in_the_socket_is_late_and_one_that_waits_on_the_way_is_not() {
        let mut lateness = Lateness::default();
        lateness.note(at(103), at(100), there(101));
        assert!(!lateness.is_late());
        lateness.note(at(400), at(200), there(399));
        assert!(!lateness.is_late(), "it waited on the way");
        lateness.note(at(500), at(400), there(401));
        assert!(lateness.is_late());
        lateness.note(at(506), at(500), there(501));
        assert!(!lateness.is_late(), "it has caught up");
    }

    #[test]
    fn who_is_reached_by_no_beat_any_more_is_not_late_for_that() {
        let mut lateness = Lateness::default();
        lateness.note(at(103), at(100), there(101));
        lateness.note(at(900), at(100), there(101));
        assert!(!lateness.is_late());
    }

    #[test]
    fn nothing_is_known_before_a_beat_was_heard() {
        let mut lateness = Lateness::default();
        lateness.note(at(900), Time::ZERO, Time::ZERO);
        assert!(!lateness.is_late());
    }

    #[test]
    fn clocks_that_drift_apart_make_nobody_late() {
        for runs_fast in [true, false] {
            let mut lateness = Lateness::default();
            for second in 0..7_200 {
                let (sent, arrived) = (at(second * 1_000), there(second * 1_000 + 1));
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
        let mut lateness = Lateness::default();
        for arrived in [0, u64::MAX, 1, i64::MAX as u64, i64::MAX as u64 + 1] {
            for sent in [1, u64::MAX, i64::MAX as u64] {
                lateness.note(at(100), Time::from_nanos(sent), Time::from_nanos(arrived));
            }
        }
    }
}
