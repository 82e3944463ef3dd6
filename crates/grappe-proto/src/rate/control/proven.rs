//! What is known to arrive as long as no knee is known: for how often receivers are asked to report, not for the rate.
//!
//! A copy may begin at many times what the links take. The reports that links of such a rate bear would fill the one on
//! which the sender hears, and what they say would come too late.

use std::time::Duration;

use crate::units::{PeerId, Rate, Time};

/// Links are taken for so much before anybody told of more, 50 Mbit/s: of the way back of links of 10 Mbit/s, reports take
/// five eighths then. Where links are far faster, half as much costs a copy to 300 receivers 50 ms more at its beginning,
/// and this 2 to 16 ms.
const LEAST: Rate = Rate::from_bytes_per_second(6_250_000);

/// What arrived longer ago, or twice as long, is forgotten once more is heard: it may have been the burst that a shaper
/// lets pass.
const MEMORY: Duration = Duration::from_millis(100);

/// What is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Proven {
    /// Since `since`, and in the time before that.
    now: Most,
    before: Most,
    since: Time,
}

/// The two receivers to which most arrived, the first of them first. What one alone tells may be invented.
#[derive(Clone, Copy, Debug, Default)]
struct Most([Option<(PeerId, Rate)>; 2]);

impl Proven {
    /// Takes note of what arrived lately at a receiver.
    pub(super) fn arrived(&mut self, now: Time, peer: PeerId, rate: Rate) {
        if now.since(self.since) >= MEMORY {
            self.before = std::mem::take(&mut self.now);
            self.since = now;
        }
        self.now.note(peer, rate);
    }

    /// Forgets a receiver that is gone: were it to come again, it would count as two.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.now.forget(peer);
        self.before.forget(peer);
    }

    /// What the links may take, of the `rate` at which packets leave.
    pub(super) fn of(&self, rate: Rate) -> Rate {
        let told = self.now.of_two().max(self.before.of_two());
        rate.min(told.unwrap_or(LEAST).max(LEAST))
    }
}

impl Most {
    fn note(&mut self, peer: PeerId, rate: Rate) {
        let [first, second] = &mut self.0;
        let is_more = |than: &Option<(PeerId, Rate)>| than.is_none_or(|(_, than)| rate > than);
        let is_first = first.is_some_and(|(first, _)| first == peer);
        if is_more(first) {
            if !is_first {
                *second = *first;
            }
            *first = Some((peer, rate));
        } else if !is_first && is_more(second) {
            *second = Some((peer, rate));
        }
    }

    fn forget(&mut self, peer: PeerId) {
        let [first, second] = &mut self.0;
        if second.is_some_and(|(second, _)| second == peer) {
            *second = None;
        }
        if first.is_some_and(|(first, _)| first == peer) {
            *first = second.take();
        }
    }

    /// So much arrived at two receivers at least.
    fn of_two(&self) -> Option<Rate> {
        self.0[1].map(|(_, rate)| rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mega(rate: u64) -> Rate {
        Rate::from_bytes_per_second(rate * 1_000_000)
    }

    /// What links may take that are sent 100 MB/s, and of which `told` is heard, at these milliseconds of these receivers.
    fn taken(told: &[(u64, u16, u64)]) -> u64 {
        let mut proven = Proven::default();
        for (milli, peer, rate) in told {
            let now = Time::from_nanos(milli * 1_000_000);
            proven.arrived(now, PeerId(*peer), mega(*rate));
        }
        proven.of(mega(100)).bytes_per_second()
    }

    #[test]
    fn what_two_receivers_got_is_proven() {
        assert_eq!(taken(&[(1, 1, 12), (2, 2, 50), (3, 3, 40)]), 40_000_000);
        assert_eq!(taken(&[(1, 1, 40), (2, 2, 12), (3, 3, 50)]), 40_000_000);
        assert_eq!(taken(&[(1, 1, 12), (2, 2, 10), (3, 1, 11)]), 10_000_000);
        assert_eq!(taken(&[(1, 1, 180), (2, 2, 190)]), 100_000_000);
    }

    #[test]
    fn what_one_receiver_claims_is_not() {
        let least = LEAST.bytes_per_second();
        assert_eq!(taken(&[]), least);
        assert_eq!(taken(&[(1, 1, 50), (2, 1, 90), (3, 1, 70)]), least);
        assert_eq!(
            taken(&[(1, 1, 8), (2, 2, 50), (3, 2, 60), (4, 3, 7)]),
            8_000_000
        );
    }

    #[test]
    fn who_is_gone_is_forgotten() {
        let mut proven = Proven::default();
        let told = |proven: &mut Proven, peer, rate| {
            proven.arrived(Time::from_nanos(1_000_000), PeerId(peer), mega(rate));
        };
        told(&mut proven, 1, 40);
        told(&mut proven, 2, 50);
        proven.forget(PeerId(2));
        // The same one again, by another number.
        told(&mut proven, 3, 50);
        assert_eq!(proven.of(mega(100)), mega(40));
        proven.forget(PeerId(1));
        assert_eq!(proven.of(mega(100)), LEAST);
    }

    #[test]
    fn a_burst_is_forgotten() {
        let burst = [(100, 1, 40), (110, 2, 40)];
        let after = |milli| [(milli, 1, 7), (milli + 1, 2, 7)];
        assert_eq!(taken(&[&burst[..], &after(200)].concat()), 40_000_000);
        let twice = [&burst[..], &after(200), &after(300)].concat();
        assert_eq!(taken(&twice), 7_000_000);
    }
}
