//! How long nothing of a copy has moved, and when that is too long.
//!
//! What moves, the carrier says; what is then waited for, the machine.

use std::time::Duration;

use grappe_proto::units::Time;

/// Without any progress for so long, the user is told what is waited for.
const WAITING_NOTICE: Duration = Duration::from_secs(5);

/// Without any progress for so long, the copy is given up: placing ten million files takes less, so it
/// is stuck.
const STALL_MAX: Duration = Duration::from_secs(1800);

/// Bytes that a disk in use reads each second at the least: nothing is seen to move while receivers hash what they
/// have from an earlier time, and they get so much longer for it.
const READ_RATE_MIN: u64 = 20_000_000;

/// What of a copy can be seen to move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Blocks that all receivers have stored.
    pub(super) stored_blocks: u32,
    /// Blocks that were sent once.
    pub(super) sent_blocks: u32,
    /// Blocks that this node has read, be it only to hash them.
    pub(super) read_blocks: u64,
    /// Receivers that take part.
    pub(super) receivers: usize,
    /// Nothing need move: receivers may still join, which has its own deadline, or whoever leads a gather has not let
    /// this turn begin.
    pub(super) is_held: bool,
    /// Bytes that receivers may be hashing before they are prepared.
    pub(super) hashing_bytes: u64,
}

/// What follows from a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All is well.
    Moves,
    /// The user may want to know what is waited for.
    Waits,
    /// The copy is stuck: nothing has moved for so long.
    IsStuck(Duration),
}

/// Since when nothing has moved.
#[derive(Debug)]
pub(super) struct Standstill {
    since: Time,
    told_at: Time,
    seen: Seen,
}

impl Standstill {
    /// Something moved at `now`.
    pub(super) fn new(now: Time) -> Self {
        Self {
            since: now,
            told_at: now,
            seen: Seen::default(),
        }
    }

    /// Something moved that is not in [`Seen`].
    pub(super) const fn moved(&mut self, now: Time) {
        self.since = now;
    }

    /// What follows from what is `seen` at `now`.
    pub(super) fn look(&mut self, seen: Seen, now: Time) -> Verdict {
        if seen != self.seen {
            *self = Self {
                since: now,
                told_at: now,
                seen,
            };
            return Verdict::Moves;
        }
        let (still, bound) = (now.since(self.since), bound(&seen));
        if !seen.is_held && still >= bound {
            return Verdict::IsStuck(still);
        }
        if now.since(self.told_at) >= WAITING_NOTICE {
            self.told_at = now;
            return Verdict::Waits;
        }
        Verdict::Moves
    }
}

fn bound(seen: &Seen) -> Duration {
    STALL_MAX + Duration::from_secs(seen.hashing_bytes / READ_RATE_MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn what_stands_still_for_half_an_hour_is_stuck_and_the_user_hears_before_what_it_waits_for() {
        let mut standstill = Standstill::new(Time::ZERO);
        let seen = Seen {
            stored_blocks: 7,
            receivers: 1,
            ..Seen::default()
        };
        assert_eq!(standstill.look(seen, Time::ZERO), Verdict::Moves);
        let after = |minutes: u32| Time::ZERO + MINUTE * minutes;
        assert_eq!(standstill.look(seen, after(29)), Verdict::Waits);
        assert_eq!(standstill.look(seen, after(29)), Verdict::Moves, "told");
        let stuck = Verdict::IsStuck(MINUTE * 30);
        assert_eq!(standstill.look(seen, after(30)), stuck);
    }

    #[test]
    fn blocks_that_are_only_hashed_move() {
        let mut standstill = Standstill::new(Time::ZERO);
        for minute in 1..100 {
            let seen = Seen {
                read_blocks: minute.into(),
                ..Seen::default()
            };
            let now = Time::ZERO + MINUTE * minute;
            assert_eq!(standstill.look(seen, now), Verdict::Moves);
        }
    }

    #[test]
    fn a_turn_that_may_not_begin_is_never_stuck_and_has_all_its_time_afterwards() {
        let mut standstill = Standstill::new(Time::ZERO);
        let held = Seen {
            is_held: true,
            ..Seen::default()
        };
        let begun = Seen::default();
        let after = |minutes: u32| Time::ZERO + MINUTE * minutes;
        for minute in 0..300 {
            let verdict = standstill.look(held, after(minute));
            assert!(!matches!(verdict, Verdict::IsStuck(_)), "{minute}");
        }
        assert_eq!(standstill.look(begun, after(300)), Verdict::Moves);
        assert_eq!(standstill.look(begun, after(329)), Verdict::Waits);
        assert!(matches!(
            standstill.look(begun, after(330)),
            Verdict::IsStuck(_)
        ));
    }

    #[test]
    fn receivers_that_hash_much_have_longer_for_it() {
        let mut standstill = Standstill::new(Time::ZERO);
        let seen = Seen {
            hashing_bytes: 72_000_000_000,
            ..Seen::default()
        };
        let after = |minutes: u32| Time::ZERO + MINUTE * minutes;
        standstill.look(seen, Time::ZERO);
        assert_eq!(standstill.look(seen, after(89)), Verdict::Waits);
        let stuck = Verdict::IsStuck(MINUTE * 90);
        assert_eq!(standstill.look(seen, after(90)), stuck);
    }
}
