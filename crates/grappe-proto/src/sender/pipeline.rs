//! Receivers that get their content through the pipeline: from one to the next, over TCP, each fetching
//! what it lacks. They are no part of any pass; nobody waits for their reports.
//!
//! Who fetches from whom is decided in `chain`.

use std::time::Duration;

use super::chain::{Feed, Source};
use super::peer::{Peer, Role};
use super::{Event, Output, Sender};
use crate::session::LimitedBy;
use crate::units::{PeerId, Time};
use crate::wire::control::{MANIFEST_BY_CONTROL_MAX, ToReceiver};
use crate::wire::report::Report;

#[cfg(test)]
mod tests;

/// A receiver that has everything stays for those that still fetch from it, when they lack at most so many
/// blocks, 64 MiB, and for so long at most. Others go on with another source.
const OWED_MAX: u32 = 256;
const PARTING_MAX: Duration = Duration::from_secs(2);

/// Complete blocks waiting to be stored for the disk to be the cause.
const BACKLOG_BUSY: u16 = 8;

impl Sender {
    /// Gives a receiver the rest through the pipeline.
    pub(super) fn pipe(&mut self, id: PeerId, why: String, now: Time) {
        let Some(peer) = self.peers.get_mut(id.as_usize()) else {
            return;
        };
        peer.role = Role::Piped;
        peer.way.is_pipeline = true;
        peer.way.why = Some(why.clone());
        peer.storing_at = now;
        let (name, serves) = (peer.name.clone(), peer.serves_at.is_some());
        self.outputs
            .push_back(Output::Event(Event::Piped(name, why)));
        self.chain.add(id, now);
        if serves {
            self.chain.serves(id);
        } else {
            self.outputs
                .push_back(Output::Control(id, ToReceiver::Serve));
        }
        self.give_manifest(id);
        self.rate.forget(id);
        self.refresh_floor();
    }

    /// Sends the manifest on the control connection, once and if it is short enough.
    pub(super) fn give_manifest(&mut self, id: PeerId) {
        let is_short = self.setup.stream.manifest_len() <= MANIFEST_BY_CONTROL_MAX;
        let Some(peer) = self.peers.get_mut(id.as_usize()) else {
            return;
        };
        if is_short && !peer.has_manifest && !peer.is_prepared() {
            peer.has_manifest = true;
            self.outputs.push_back(Output::Manifest(id));
        }
    }

    /// A receiver says where others can fetch blocks from it.
    pub(super) fn serving(&mut self, id: PeerId, port: u16) {
        if let Some(peer) = self.peer_mut(id) {
            peer.serves_at = Some(port);
            self.chain.serves(id);
        }
    }

    /// A receiver's source is of no use to it.
    pub(super) fn unfed(&mut self, id: PeerId, number: u32, reason: String, now: Time) {
        if self.chain.unfed(id, number, now)
            && let Some(peer) = self.peers.get(id.as_usize())
        {
            let name = peer.name.clone();
            self.outputs
                .push_back(Output::Event(Event::Unfed(name, reason)));
        }
    }

    /// A report of a receiver in the pipeline.
    pub(super) fn report_piped(&mut self, id: PeerId, report: &Report, now: Time) {
        let stored_below = report.stored_below.min(self.end());
        let is_storing = report.store_backlog > 0;
        self.chain.progress(id, stored_below, is_storing, now);
        let has_all = self.chain.has_all_there_is(id, self.gate);
        let Some(peer) = self.peers.get_mut(id.as_usize()) else {
            return;
        };
        if stored_below > peer.stored_below || has_all {
            peer.storing_at = now;
        }
        peer.stored_below = stored_below;
        let (all, busy) = &mut peer.piped_reports;
        *all = all.saturating_add(1);
        *busy = busy.saturating_add(u32::from(report.store_backlog >= BACKLOG_BUSY));
    }

    /// Gives the orders that follow from what was heard, and lets go who is needed no more.
    pub(super) fn poll_pipeline(&mut self, now: Time) {
        self.part_with_the_free(now);
        if self.chain.is_empty() {
            return;
        }
        self.choose_trunk(now);
        for starved in self.chain.starved(now) {
            if let Some(peer) = self.peers.get(starved.as_usize()) {
                let reason = "its source gave nothing for 5 s".into();
                let event = Event::Unfed(peer.name.clone(), reason);
                self.outputs.push_back(Output::Event(event));
            }
        }
        let (moved, feeds) = self.chain.settle(now);
        for moved in moved {
            if let Some(peer) = self.peers.get(moved.peer.as_usize()) {
                let event = Event::PassedBy(peer.name.clone(), moved.reason.into());
                self.outputs.push_back(Output::Event(event));
            }
        }
        for Feed {
            peer,
            number,
            source,
        } in feeds
        {
            let source = match source {
                Source::Sender => None,
                Source::Peer(source) => self.port_of(source).map(|port| (source, port)),
            };
            self.outputs.push_back(Output::Feed {
                peer,
                number,
                source,
            });
        }
    }

    /// When `poll_pipeline` is due though nothing happened.
    pub(super) fn pipeline_at(&self, now: Time) -> Time {
        let parting = self.parting.iter().map(|(_, until)| *until).min();
        let chain = self.chain.wake_at(now);
        parting
            .map_or(chain, |until| until.min(chain))
            .max(now + Duration::from_micros(1))
    }

    /// A receiver has everything: it may go, unless others soon have everything from it.
    pub(super) fn part(&mut self, id: PeerId, now: Time) {
        match self.chain.owes(id) {
            Some(owed) if owed <= OWED_MAX && !self.is_rehearsal => {
                self.parting.push((id, now + PARTING_MAX));
            }
            _ => self.let_go(id),
        }
    }

    /// Lets everybody go who was kept.
    pub(super) fn part_with_all(&mut self) {
        for (id, _) in std::mem::take(&mut self.parting) {
            self.let_go(id);
        }
    }

    /// What held a receiver of the pipeline back.
    pub(super) const fn cause_in_pipeline(peer: &Peer) -> LimitedBy {
        let (all, busy) = peer.piped_reports;
        if busy * 2 > all {
            LimitedBy::Disk
        } else {
            LimitedBy::Network
        }
    }

    fn part_with_the_free(&mut self, now: Time) {
        if self.parting.is_empty() {
            return;
        }
        let is_free =
            |(id, until): &&(PeerId, Time)| now >= *until || self.chain.owes(*id).is_none();
        let free: Vec<PeerId> = self
            .parting
            .iter()
            .filter(is_free)
            .map(|(id, _)| *id)
            .collect();
        self.parting.retain(|(id, _)| !free.contains(id));
        for id in free {
            self.let_go(id);
        }
    }

    fn let_go(&mut self, id: PeerId) {
        self.outputs.push_back(Output::Control(id, ToReceiver::End));
        self.chain.remove(id);
        self.outputs.push_back(Output::Close(id));
    }

    /// Where receivers hear the group, one of them feeds the first of the pipeline: the sender's link is
    /// the group's.
    fn choose_trunk(&mut self, now: Time) {
        let start = self.setup.stream.content_blocks().start;
        // Who came back to the pass later lacks what went by meanwhile.
        let has_from_start = |peer: &Peer| peer.have.covers(start..peer.from.max(start));
        let is_of_use = |id: PeerId| {
            let parts = self.parting.iter().any(|(parting, _)| *parting == id);
            parts
                || self.peers.get(id.as_usize()).is_some_and(|peer| {
                    peer.is_present()
                        && matches!(peer.role, Role::Member | Role::Finishing)
                        && has_from_start(peer)
                })
        };
        if let Some(trunk) = self.chain.trunk_peer() {
            if is_of_use(trunk) {
                return;
            }
            self.chain.remove(trunk);
        }
        let may_feed = |peer: &&Peer| has_from_start(peer) && !self.chain.is_slow_trunk(peer.id);
        let Some(peer) = self.live().find(may_feed) else {
            return;
        };
        let (id, serves) = (peer.id, peer.serves_at.is_some());
        self.chain.set_trunk(id, now);
        if serves {
            self.chain.serves(id);
        } else {
            self.outputs
                .push_back(Output::Control(id, ToReceiver::Serve));
        }
    }

    fn port_of(&self, id: PeerId) -> Option<u16> {
        self.peers.get(id.as_usize())?.serves_at
    }
}
