//! The queue that one of many receivers has alone, before a slower link than the others'.
//!
//! Where reports are rare, nobody else knows of it between two of its own. This says for how long what it told is to
//! hold; what the rate does about it is decided in `control`. Not for queues that many stand in: of those somebody reports
//! all the time.

use std::time::Duration;

use super::Queue;
use crate::units::{PeerId, Time};

/// A wait up to here may be late packets.
const QUEUE_MIN: Duration = Duration::from_millis(3);

/// Who waits for so much less does not stand in the same queue.
const DIFFERENCE_MIN: Duration = Duration::from_millis(2);

/// Where a receiver may be silent for longer, what it told is no reason to hold the rate: all others would wait.
const SILENCE_MAX: Duration = Duration::from_millis(600);

/// So many reports in a row of a queue that does not go away tell of somebody else's, or of nothing: there is no use in
/// holding the rate for it.
const REPORTS_MAX: u32 = 6;

/// So many others with a queue meanwhile stand in the same one, or have it heard often enough.
const OTHERS_MAX: u32 = 4;

/// For so long it counts that somebody was slower.
const KNOWN: Duration = Duration::from_secs(3);

/// What is known of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Alone {
    /// The longest such queue, until whoever told of it is heard again.
    told: Option<Told>,
    /// Who had one last, and when.
    slower: Option<(PeerId, Time)>,
    /// The longest time from one report of a receiver to the next.
    between: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    queue: Queue,
    /// How many reports in a row told of it, none shorter than the one before.
    reports: u32,
    /// How many others had a queue meanwhile.
    others: u32,
}

impl Alone {
    /// Takes note of the longest time from one report of a receiver to the next.
    pub(super) const fn reported_within(&mut self, between: Duration) {
        self.between = between;
    }

    /// Takes note of what a receiver told of its queue; `best` is the shortest of late.
    pub(super) fn note(&mut self, queue: Queue, best: Option<Queue>) {
        let Queue { peer, wait, at } = queue;
        let is_alone = best.is_some_and(|best| {
            best.peer != peer && best.wait + DIFFERENCE_MIN <= wait && best.wait <= DIFFERENCE_MIN
        });
        let before = self
            .told
            .filter(|told| told.queue.peer == peer || at.since(told.queue.at) <= self.between);
        if wait <= QUEUE_MIN || self.between > SILENCE_MAX {
            self.told.take_if(|told| told.queue.peer == peer);
            return;
        }
        match before {
            Some(told) if told.queue.peer == peer => {
                let shrinks = wait + wait / 8 < told.queue.wait;
                let reports = if shrinks {
                    1
                } else {
                    told.reports.saturating_add(1)
                };
                self.told = Some(Told {
                    queue,
                    reports,
                    ..told
                });
            }
            Some(mut told) => {
                told.others = told.others.saturating_add(1);
                if is_alone && wait > told.queue.wait {
                    (told.queue, told.reports) = (queue, 1);
                }
                self.told = Some(told);
            }
            None if is_alone => {
                self.told = Some(Told {
                    queue,
                    reports: 1,
                    others: 0,
                });
            }
            None => self.told = None,
        }
        if self.holds(at) {
            self.slower = Some((peer, at));
        } else {
            self.slower.take_if(|(slower, _)| *slower == peer);
        }
    }

    /// Whether the rate is to be held, as one receiver told of its queue and was not heard since.
    pub(super) fn holds(&self, now: Time) -> bool {
        self.told.is_some_and(|told| {
            told.reports <= REPORTS_MAX
                && told.others <= OTHERS_MAX
                && now.since(told.queue.at) <= self.between.min(SILENCE_MAX)
        })
    }

    /// Whether it is held for another receiver than `peer`.
    pub(super) fn holds_for_other(&self, now: Time, peer: PeerId) -> bool {
        self.holds(now) && self.told.is_some_and(|told| told.queue.peer != peer)
    }

    /// How long it takes to hear of a slower receiver's queue again; no time where none is known.
    pub(super) fn silence(&self, now: Time) -> Duration {
        let between = self.between.min(SILENCE_MAX);
        match self.slower {
            Some((_, at)) if now.since(at) <= between + KNOWN => between,
            _ => Duration::ZERO,
        }
    }

    /// Forgets a receiver that is gone.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.told.take_if(|told| told.queue.peer == peer);
        self.slower.take_if(|(slower, _)| *slower == peer);
    }

    /// Forgets what was told: the rate is looked for anew.
    pub(super) const fn begin_again(&mut self) {
        (self.told, self.slower) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: PeerId = PeerId(7);
    const BETWEEN: Duration = Duration::from_millis(160);

    fn at(millis: u64) -> Time {
        Time::from_nanos(millis * 1_000_000)
    }

    fn queue(peer: PeerId, wait: u64, millis: u64) -> Queue {
        Queue {
            peer,
            wait: Duration::from_millis(wait),
            at: at(millis),
        }
    }

    /// One that was told of a queue of 10 ms at the beginning, others having none.
    fn told() -> Alone {
        let mut alone = Alone::default();
        alone.reported_within(BETWEEN);
        alone.note(queue(SLOW, 10, 0), Some(queue(PeerId(1), 0, 0)));
        alone
    }

    #[test]
    fn what_one_told_holds_until_it_is_heard_again() {
        let mut alone = told();
        assert!(alone.holds(at(160)) && !alone.holds(at(161)));
        assert!(alone.holds_for_other(at(9), PeerId(1)) && !alone.holds_for_other(at(9), SLOW));
        // What others tell changes nothing.
        alone.note(queue(PeerId(2), 0, 20), Some(queue(PeerId(2), 0, 20)));
        assert!(alone.holds(at(20)));
        alone.note(queue(SLOW, 3, 100), Some(queue(PeerId(1), 0, 90)));
        assert!(!alone.holds(at(100)));
        // It is known for a while that somebody is slower.
        assert_eq!(alone.silence(at(3_160)), BETWEEN);
        assert_eq!(alone.silence(at(3_161)), Duration::ZERO);
    }

    #[test]
    fn the_longer_of_two_holds() {
        let mut alone = told();
        let none = Some(queue(PeerId(1), 0, 0));
        alone.note(queue(PeerId(8), 5, 10), none);
        alone.note(queue(PeerId(8), 0, 20), none);
        assert!(alone.holds(at(20)), "its own end is not told yet");
        alone.note(queue(PeerId(8), 12, 30), none);
        alone.note(queue(SLOW, 0, 40), none);
        assert!(alone.holds(at(40)));
    }

    #[test]
    fn a_queue_that_many_stand_in_is_not_one_receivers() {
        // Others have one; one nearly as long; or nobody else was heard. Only of 4.5 ms beside 2 ms it is alone.
        let known = [
            (10, PeerId(1), 5),
            (4, PeerId(1), 2),
            (3, PeerId(1), 2),
            (10, SLOW, 0),
        ];
        for (wait, peer, best) in known {
            let mut alone = Alone::default();
            alone.reported_within(BETWEEN);
            let mine = Queue {
                wait: Duration::from_micros(wait * 1_000 + 500),
                ..queue(SLOW, 0, 0)
            };
            alone.note(mine, Some(queue(peer, best, 0)));
            let is_alone = (wait, best) == (4, 2);
            assert_eq!(alone.holds(at(0)), is_alone, "{wait} ms beside {best} ms");
        }
        // Half of them.
        let mut alone = told();
        for peer in 10..15 {
            assert!(alone.holds(at(1)));
            alone.note(queue(PeerId(peer), 9, 1), Some(queue(PeerId(1), 0, 0)));
        }
        assert!(!alone.holds(at(1)));
    }

    #[test]
    fn a_queue_that_does_not_go_away_is_held_for_no_longer() {
        let mut alone = told();
        let none = Some(queue(PeerId(1), 0, 0));
        for report in 1..REPORTS_MAX.into() {
            alone.note(queue(SLOW, 10, 100 * report), none);
            assert!(alone.holds(at(100 * report)));
        }
        alone.note(queue(SLOW, 10, 700), none);
        assert!(!alone.holds(at(700)));
        assert_eq!(alone.silence(at(700)), Duration::ZERO);
        // One that drains is worth the wait, however long that takes.
        let mut draining = told();
        for (report, wait) in (1..).zip([90, 70, 55, 45, 36, 29, 23, 18, 14]) {
            draining.note(queue(SLOW, wait, 100 * report), none);
        }
        assert!(draining.holds(at(900)));
        // Once it was gone, the next one counts.
        alone.note(queue(SLOW, 1, 800), none);
        alone.note(queue(SLOW, 10, 900), none);
        assert!(alone.holds(at(900)));
    }

    #[test]
    fn it_is_not_waited_for_one_that_is_silent_for_long() {
        let mut alone = told();
        alone.reported_within(SILENCE_MAX * 2);
        assert!(!alone.holds(at(0) + SILENCE_MAX + Duration::from_millis(1)));
        alone.note(queue(SLOW, 10, 700), Some(queue(PeerId(1), 0, 700)));
        assert!(!alone.holds(at(700)));
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let mut alone = told();
        alone.forget(PeerId(1));
        assert!(alone.holds(at(1)));
        alone.forget(SLOW);
        assert!(!alone.holds(at(1)));
        assert_eq!(alone.silence(at(1)), Duration::ZERO);
        let mut alone = told();
        alone.begin_again();
        assert!(!alone.holds(at(1)));
    }
}
