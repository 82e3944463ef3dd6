//! From listings to a plan: what is compared by content, what differs, which turns there are.

use std::collections::BTreeMap;

use super::{Coordinator, Event, Phase};
use crate::content::manifest::Entry;
use crate::gather::flow::Run;
use crate::gather::plan::{Conflict, EntrySet, Settled, Twins, turns};
use crate::units::{Digest, Time};
use crate::wire::gather::ToMember;

impl Coordinator {
    /// Asks for the hashes that tell what is the same.
    pub(super) fn compare(&mut self, now: Time) {
        self.phase = Phase::Comparing;
        let parts = self.parts();
        let twins = Twins::find(&parts);
        let wanted: Vec<EntrySet> = (0..parts.len())
            .map(|rank| twins.to_hash(&parts, rank))
            .collect();
        let files = wanted.iter().map(EntrySet::count).sum();
        if files > 0 {
            self.event(Event::Comparing(files));
        }
        for (rank, entries) in wanted.iter().enumerate() {
            if entries.is_empty() || !self.is_member_present(rank) {
                continue;
            }
            let runs = entries.runs().flat_map(|run| run.start.0..run.end.0);
            let asked = runs.collect();
            if let Some(node) = self
                .members
                .get(rank)
                .and_then(|it| self.nodes.get_mut(*it))
            {
                node.asked = asked;
            }
            self.tell_entries(rank, entries);
            self.tell_member(rank, ToMember::Hash);
        }
        self.advance(now);
    }

    /// Decides conflicts and makes the plan.
    pub(super) fn settle(&mut self, now: Time) {
        let parts = self.parts();
        let twins = Twins::find(&parts);
        let hashes: Vec<BTreeMap<u32, Digest>> = self
            .members
            .iter()
            .filter_map(|node| Some(self.nodes.get(*node)?.hashes.clone()))
            .collect();
        // A node that is gone by now has nothing that anybody could get.
        let present: Vec<bool> = (0..parts.len())
            .map(|rank| self.is_member_present(rank))
            .collect();
        let parts: Vec<&[Entry]> = parts
            .iter()
            .zip(&present)
            .map(|(part, is_there)| if *is_there { *part } else { &[][..] })
            .collect();
        let twins = if present.contains(&false) {
            Twins::find(&parts)
        } else {
            twins
        };
        let settled = Settled::new(&parts, &twins, &hashes, self.setup.rule);
        let planned = turns(&parts, &settled, &present);
        self.bound_bytes = settled.bound_bytes(&present);
        self.settled = settled;
        let conflicts = self.settled.conflicts.clone();
        for conflict in &conflicts {
            let (path, nodes, winner) = self.named(conflict);
            self.event(Event::Conflict(path, nodes, winner));
        }
        let open = self.settled.open_conflicts().count();
        if open > 0 {
            let reason = format!("{open} paths have different things at different nodes");
            return self.abort(&reason, now);
        }
        self.event(Event::Planned {
            bytes: self.settled.bytes,
            files: self.settled.files,
            bound_bytes: self.bound_bytes,
            senders: planned.len(),
        });
        self.runs = planned
            .into_iter()
            .map(|turn| Run::new(turn, 1, now))
            .collect();
        let mut parts: Vec<u64> = self.runs.iter().map(|run| run.turn.bytes).collect();
        if present.iter().filter(|is_there| **is_there).count() > parts.len() {
            parts.push(0);
        }
        self.links.plan(&parts);
        self.phase = Phase::Exchanging;
        for (rank, is_there) in present.into_iter().enumerate() {
            if is_there {
                let dropped = self.settled.dropped.get(rank).cloned().unwrap_or_default();
                self.tell_entries(rank, &dropped);
                self.tell_member(rank, ToMember::Place);
            }
        }
        self.advance(now);
    }

    pub(super) fn named(&self, conflict: &Conflict) -> (Vec<u8>, Vec<String>, Option<String>) {
        let nodes = conflict.nodes.iter().map(|rank| self.name_of(*rank));
        let winner = conflict.winner.map(|rank| self.name_of(rank));
        (conflict.path.clone(), nodes.collect(), winner)
    }
}
