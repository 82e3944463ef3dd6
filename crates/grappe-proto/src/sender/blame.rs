//! What held the copy back, by the time it did.
//!
//! At each pause of the sender the reason of the pause is noted; the time until the next poll is
//! charged to it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::session::LimitedBy;
use crate::units::{PeerId, Time};

/// The account.
#[derive(Debug)]
pub(super) struct Blame {
    since: Time,
    current: Option<(Option<PeerId>, LimitedBy)>,
    spent: BTreeMap<(Option<PeerId>, LimitedBy), Duration>,
}

/// A node's share of the pauses above which it, not the whole copy, is named as the cause.
const OWN_SHARE: u32 = 4;

impl Blame {
    pub(super) const fn new(now: Time) -> Self {
        Self {
            since: now,
            current: None,
            spent: BTreeMap::new(),
        }
    }

    /// From `now` on, the sender pauses for `cause`, on account of one receiver or of all.
    pub(super) fn charge(&mut self, now: Time, cause: Option<(Option<PeerId>, LimitedBy)>) {
        if let Some(current) = self.current {
            *self.spent.entry(current).or_default() += now.since(self.since);
        }
        (self.since, self.current) = (now, cause);
    }

    /// Who held everybody back longest, and for a good share of the pauses.
    pub(super) fn holder(&self) -> Option<PeerId> {
        let total: Duration = self.spent.values().sum();
        let mut by_peer: BTreeMap<PeerId, Duration> = BTreeMap::new();
        for ((who, _), spent) in &self.spent {
            if let Some(peer) = who {
                *by_peer.entry(*peer).or_default() += *spent;
            }
        }
        let longest = by_peer.into_iter().max_by_key(|(_, spent)| *spent);
        let (peer, _) = longest.filter(|(_, spent)| *spent * OWN_SHARE >= total)?;
        Some(peer)
    }

    /// What limited `peer`: its own cause if it held everybody back for a good share of the pauses,
    /// else what held the whole copy back most.
    pub(super) fn verdict(&self, peer: PeerId) -> LimitedBy {
        let total: Duration = self.spent.values().sum();
        let own = self.spent.iter().filter(|((who, _), _)| *who == Some(peer));
        if let Some(((_, cause), spent)) = own.max_by_key(|(_, spent)| **spent)
            && *spent * OWN_SHARE >= total
        {
            return *cause;
        }
        let mut by_cause: BTreeMap<LimitedBy, Duration> = BTreeMap::new();
        for ((_, cause), spent) in self.spent.iter().filter(|((who, _), _)| who.is_none()) {
            *by_cause.entry(*cause).or_default() += *spent;
        }
        by_cause
            .into_iter()
            .max_by_key(|(_, spent)| *spent)
            .map_or(LimitedBy::Network, |(cause, _)| cause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slow_node_is_named_and_the_others_are_not() {
        let at = |millis: u64| Time::from_nanos(millis * 1_000_000);
        let mut blame = Blame::new(Time::ZERO);
        blame.charge(at(0), Some((Some(PeerId(3)), LimitedBy::Disk)));
        blame.charge(at(50), Some((None, LimitedBy::Network)));
        blame.charge(at(80), None);
        assert_eq!(blame.verdict(PeerId(3)), LimitedBy::Disk);
        assert_eq!(blame.verdict(PeerId(4)), LimitedBy::Network);
        assert_eq!(blame.holder(), Some(PeerId(3)));
        blame.charge(at(80), Some((None, LimitedBy::Network)));
        blame.charge(at(300), None);
        assert_eq!(blame.holder(), None, "most of the time nobody did");
    }
}
