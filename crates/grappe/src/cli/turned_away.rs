//! Who came to a sender and did not take part, and why: told once each, then only counted.
//!
//! A receiver that comes again and again, or somebody who connects for mischief, must not fill a log.

use std::collections::BTreeSet;

/// Different ones that are told. Reasons can be made up by whoever connects, so that comparing them is
/// no bound.
const TOLD_MAX: usize = 256;

/// The account of one copy.
#[derive(Debug, Default)]
pub(crate) struct TurnedAway {
    told: BTreeSet<(String, String)>,
    more: u64,
}

impl TurnedAway {
    /// Notes that `who`, an address or a name, came to nothing for `reason`. Answers whether to tell it.
    pub(crate) fn note(&mut self, who: &str, reason: &str) -> bool {
        let is_new = self.remember(who, reason);
        self.more += u64::from(!is_new);
        is_new
    }

    /// The same for somebody who is told of in any case. Answers whether this is the first time.
    pub(crate) fn remember(&mut self, who: &str, reason: &str) -> bool {
        self.told.len() < TOLD_MAX && self.told.insert((who.into(), reason.into()))
    }

    /// How many came to nothing without being told.
    pub(crate) const fn more(&self) -> u64 {
        self.more
    }

    /// Who was told of, and why they did not take part.
    pub(crate) fn told(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.told.iter().map(|(who, reason)| (&**who, &**reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_told_once_and_counted_from_then_on() {
        let mut turned_away = TurnedAway::default();
        assert_eq!(turned_away.told().len(), 0);
        assert!(turned_away.note("10.0.0.1", "did not greet"));
        assert!(turned_away.note("10.0.0.2", "did not greet"));
        assert!(turned_away.note("10.0.0.1", "not trusted"));
        assert!(!turned_away.note("10.0.0.1", "did not greet"));
        assert_eq!(turned_away.more(), 1);
        assert_eq!(turned_away.told().len(), 3);
    }

    #[test]
    fn reasons_without_end_are_told_up_to_a_bound() {
        let mut turned_away = TurnedAway::default();
        let told = (0..10_000).filter(|number| turned_away.note("10.0.0.1", &number.to_string()));
        assert_eq!(told.count(), TOLD_MAX);
        assert_eq!(turned_away.more(), 10_000 - TOLD_MAX as u64);
    }
}
