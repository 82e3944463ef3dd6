//! Whether the thread that drives a sender can keep up: it cannot while it hardly ever waits for anything.

use std::time::Duration;

use grappe_proto::units::Time;

/// The time over which waiting is counted: some trains at any rate that keeps a thread busy.
const SPAN: Duration = Duration::from_millis(10);

/// Who waits for less than this part of the time cannot keep up.
const LITTLE: f64 = 0.2;

/// Who waits for more than this part could do without help: with it, half of the work is gone.
const PLENTY: f64 = 0.7;

/// The time that a thread has left.
#[derive(Debug)]
pub(super) struct Leisure {
    since: Time,
    rested: Duration,
    is_over: bool,
}

impl Leisure {
    pub(super) const fn new(now: Time) -> Self {
        Self {
            since: now,
            rested: Duration::ZERO,
            is_over: false,
        }
    }

    /// The thread has waited for so long, until now.
    pub(super) fn rested(&mut self, time: Duration) {
        self.rested += time;
    }

    /// Whether the thread could not keep up of late.
    pub(super) fn is_over(&mut self, now: Time) -> bool {
        let span = now.since(self.since);
        if span >= SPAN {
            let part = self.rested.as_secs_f64() / span.as_secs_f64();
            let bound = if self.is_over { PLENTY } else { LITTLE };
            *self = Self {
                is_over: part < bound,
                ..Self::new(now)
            };
        }
        self.is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::ZERO + Duration::from_millis(millis)
    }

    #[test]
    fn a_thread_that_hardly_waits_cannot_keep_up() {
        let mut leisure = Leisure::new(at(0));
        assert!(!leisure.is_over(at(9)), "too early to tell");
        assert!(leisure.is_over(at(10)));
        leisure.rested(Duration::from_millis(6));
        assert!(leisure.is_over(at(20)), "it has help, and needs it");
        leisure.rested(Duration::from_millis(4));
        leisure.rested(Duration::from_millis(4));
        assert!(leisure.is_over(at(29)), "not told before");
        assert!(!leisure.is_over(at(30)));
        leisure.rested(Duration::from_millis(3));
        assert!(!leisure.is_over(at(40)), "less than a third is enough");
        leisure.rested(Duration::from_millis(1));
        assert!(leisure.is_over(at(50)), "a tenth is little");
    }

    #[test]
    fn a_long_wait_counts_as_one() {
        let mut leisure = Leisure::new(at(0));
        leisure.rested(Duration::from_millis(900));
        assert!(!leisure.is_over(at(1_000)));
        assert!(
            leisure.is_over(at(1_010)),
            "what was long ago does not count"
        );
    }
}
