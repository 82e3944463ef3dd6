//! Turns events of a log that gives out addresses into leases: one ends where the next begins.
//!
//! The order of lines decides nothing, only their times do: in a night in which clocks go back a line may
//! mean two hours, and then a lease is possible as long, and sure as short, as either allows.

use std::net::IpAddr;

use super::{HolderIndex, Lease, SourceIndex};
use crate::time::{Interval, Seconds};

/// An event of a log that gives out addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grant {
    pub(super) address: IpAddr,
    /// First and last second that the writing of the event may mean.
    pub(super) at: Interval,
    /// Given, or taken back.
    pub(super) gives: bool,
    /// To whom or from whom; nothing where an address was taken back from whoever had it.
    pub(super) holder: Option<HolderIndex>,
    /// Until when it was given: first and last second that may be meant.
    pub(super) until: Interval,
    /// Whether its beginning is known; a file of the present may show the end alone.
    pub(super) begins: bool,
    pub(super) source: SourceIndex,
    pub(super) line: u64,
}

impl Grant {
    /// Whether this event would end a lease of `holder`, if it comes after its beginning.
    fn ends(&self, holder: HolderIndex) -> bool {
        self.gives || self.holder.is_none_or(|from| from == holder)
    }
}

/// The leases that these events show, with their addresses.
pub(super) fn leases_of_grants(mut grants: Vec<Grant>) -> impl Iterator<Item = (IpAddr, Lease)> {
    grants.sort_unstable();
    let mut leases = Vec::with_capacity(grants.len());
    for same in grants.chunk_by(|one, other| one.address == other.address) {
        settle(same, &mut leases);
    }
    leases.into_iter()
}

/// Settles the events of one address, sorted by their earliest second.
fn settle(all: &[Grant], leases: &mut Vec<(IpAddr, Lease)>) {
    // The latest second that any event up to an index may mean: how far to look back.
    let mut latest = Seconds::MIN;
    let reach: Vec<Seconds> = all
        .iter()
        .map(|grant| {
            latest = latest.max(grant.at.to);
            latest
        })
        .collect();
    for (index, grant) in all.iter().enumerate() {
        let Some(holder) = grant.holder.filter(|_| grant.gives) else {
            continue;
        };
        let mut possible_to = grant.until.to;
        let mut sure_to = grant.until.from;
        let mut look = |other: &Grant| {
            if !other.ends(holder) {
                return;
            }
            if other.at.from > grant.at.to {
                possible_to = possible_to.min(other.at.to);
            }
            // A renewal leaves it the same holder's.
            let renewal = other.gives && other.holder == Some(holder);
            if !renewal && other.at.to >= grant.at.from {
                sure_to = sure_to.min(other.at.from);
            }
        };
        for other in all[..index]
            .iter()
            .zip(&reach)
            .rev()
            .take_while(|(_, reach)| **reach >= grant.at.from)
            .map(|(other, _)| other)
        {
            look(other);
        }
        for other in all[index + 1..]
            .iter()
            .take_while(|other| other.at.from <= grant.until.to)
        {
            look(other);
            if other.gives && other.holder != Some(holder) && other.at.from > grant.at.to {
                // What comes later comes after this one too.
                break;
            }
        }
        let lease = Lease {
            holder,
            device: None,
            possible: Interval::new(grant.at.from, possible_to.max(grant.at.from)),
            sure: (grant.begins && sure_to >= grant.at.to)
                .then(|| Interval::new(grant.at.to, sure_to)),
            sealed: false,
            source: grant.source,
            line: grant.line,
        };
        leases.push((grant.address, lease));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: HolderIndex = HolderIndex(0);
    const B: HolderIndex = HolderIndex(1);

    fn event(from: Seconds, to: Seconds, holder: Option<HolderIndex>, gives: bool) -> Grant {
        Grant {
            address: IpAddr::from([192, 0, 2, 1]),
            at: Interval::new(from, to),
            gives,
            holder,
            until: Interval::new(from + 7_200, to + 7_200),
            begins: true,
            source: SourceIndex(0),
            line: 1,
        }
    }

    fn settled(all: Vec<Grant>) -> Vec<Lease> {
        leases_of_grants(all).map(|(_, lease)| lease).collect()
    }

    #[test]
    fn a_lease_ends_where_another_begins_or_it_is_given_back() {
        let leases = settled(vec![
            event(0, 0, Some(A), true),
            event(1_000, 1_000, Some(B), true),
            event(2_000, 2_000, Some(B), false),
        ]);
        assert_eq!(leases[0].possible, Interval::new(0, 1_000));
        assert_eq!(leases[0].sure, Some(Interval::new(0, 1_000)));
        assert_eq!(leases[1].possible, Interval::new(1_000, 2_000));
        // What another gives back is not this one's.
        let leases = settled(vec![
            event(0, 0, Some(A), true),
            event(9, 9, Some(B), false),
        ]);
        assert_eq!(leases[0].possible.to, 7_200);
        assert_eq!(leases[0].sure, Some(Interval::new(0, 7_200)));
    }

    #[test]
    fn an_hour_that_came_twice_leaves_both_orders_possible() {
        // A at 02:10, B at 02:50, A again at 02:20: each in the first or the second such hour.
        let twice = |minute: Seconds, who| event(minute * 60, minute * 60 + 3_600, Some(who), true);
        let leases = settled(vec![twice(10, A), twice(50, B), twice(20, A)]);
        let last_of_both = (20 * 60 + 3_600, 50 * 60 + 3_600);
        for lease in &leases {
            assert!(lease.possible.to > last_of_both.1, "{lease:?}");
            assert_eq!(lease.sure, None, "{lease:?}");
        }
    }

    #[test]
    fn the_order_of_lines_decides_nothing() {
        let all = vec![
            event(0, 0, Some(A), true),
            event(500, 500, Some(A), false),
            event(500, 500, Some(B), true),
            event(900, 4_500, Some(A), true),
            event(950, 950, None, false),
        ];
        let straight = settled(all.clone());
        let mut turned = all;
        turned.reverse();
        assert_eq!(settled(turned), straight);
    }
}
