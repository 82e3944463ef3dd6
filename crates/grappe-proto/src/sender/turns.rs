//! Passes and turns: a pass sends what its receivers lack, from the first block to the last. Receivers
//! that came late, or were sent apart, get a turn in the running pass or in the next.
//!
//! Who is sent apart is decided in `stragglers`.

use std::time::Duration;

use super::peer::{Peer, Role, Stage};
use super::probe::Probing;
use super::{Digests, Event, Output, Phase, Sender, stragglers};
use crate::content::block_set::BlockSet;
use crate::rate::{Pacer, RateControl};
use crate::repair::RepairLedger;
use crate::units::{BlockIndex, PeerId, Sequence, Time};
use crate::wire::control::ToReceiver;

/// With less of the content to come, a turn in the running pass is not worth its beginning.
const LEFT_MIN: u32 = 64;

/// How often those who do not hear the group are told that the sender is there; a fifth of the silence
/// after which they give up.
const ALIVE: Duration = Duration::from_secs(2);

impl Sender {
    /// Begins the first pass with all who joined, another with all who wait.
    pub(super) fn begin_pass(&mut self, now: Time) {
        self.phase = Phase::Manifest;
        self.behind_since = None;
        self.beat_at = now;
        let manifest = self.setup.stream.manifest_blocks();
        for id in self.waiting_ids() {
            self.give_turn(id, BlockIndex(0), now);
        }
        for peer in &mut self.peers {
            (peer.hearing_at, peer.storing_at) = (now, now);
        }
        self.plan = BlockSet::new();
        if self.live().any(|peer| peer.stage == Stage::Joined) {
            self.plan.insert_range(manifest.clone());
        }
        self.gate = manifest.end;
        self.cursor = (self.planned_from(BlockIndex(0)), 0);
        (self.read_ahead, self.ahead) = (self.cursor.0, 0);
        self.ends.clear();
        self.repairs.clear();
        self.ledger = RepairLedger::default();
        let packet = super::packet_bytes(self.setup.symbol_size);
        let was_led = self.rate.is_led();
        self.rate = RateControl::new(self.setup.rate, packet, now);
        if let Some(cap) = self.setup.rate.cap.filter(|_| was_led) {
            self.rate.set_cap(cap, Sequence(self.sequence));
        }
        // What the slowest of them takes is known; more would only be lost.
        let knees = self.live().filter_map(|peer| peer.apart?.knee);
        if let Some(knee) = knees.min() {
            self.rate.go_back_to(knee, Sequence(self.sequence));
        }
        self.pacer = Pacer::new(now);
        self.obstacle = None;
        self.held = stragglers::Held::new(now);
        self.probing = Probing::new(now);
        self.refresh_floor();
    }

    /// All of the pass have the manifest: plans the content.
    pub(super) fn begin_content(&mut self) {
        self.phase = Phase::Content;
        let content = self.setup.stream.content_blocks();
        let mut plan = BlockSet::new();
        for peer in self.live() {
            for lack in peer.have.lacking(content.clone()) {
                plan.insert_range(lack);
            }
        }
        if self.receivers > 0 {
            plan.insert_range(self.setup.stream.digests_blocks());
        }
        self.plan = plan;
        self.cursor = (self.planned_from(content.start), 0);
        (self.read_ahead, self.ahead) = (content.start, 0);
    }

    /// Takes out of a plan what is beyond the end of the content, and puts the digests in its place.
    pub(super) fn close_plan(&mut self) {
        if self.phase != Phase::Content {
            return;
        }
        let end = self.setup.stream.content_blocks().end;
        let mut plan = BlockSet::new();
        for run in self.plan.runs() {
            plan.insert_range(run.start..run.end.min(end));
        }
        plan.insert_range(self.setup.stream.digests_blocks());
        self.plan = plan;
        self.reading.retain(|block| *block < end);
        self.ready.retain(|block| *block < end);
        if self.cursor.0 >= end {
            self.cursor = (self.planned_from(end), 0);
        }
        (self.read_ahead, self.ahead) = (self.cursor.0, 0);
    }

    /// The first block from `block` on that is planned; past the last one known when there is none.
    pub(super) fn planned_from(&self, block: BlockIndex) -> BlockIndex {
        self.plan.next_in(block).unwrap_or(match self.phase {
            Phase::Manifest => self.setup.stream.manifest_blocks().end,
            _ => self.end(),
        })
    }

    /// Whether nobody in the pass needs anything more, and others may have their turn.
    pub(super) fn pass_is_over(&self) -> bool {
        let mut live = self.live().peekable();
        live.peek().is_none()
            // Until it is laid out, there may be more than what they have all of.
            || self.is_laid
                && self.peers.iter().any(|peer| peer.is_waiting())
                && live.all(|peer| peer.stored_below >= self.end())
    }

    /// Gives those who wait their turn. Says whether anybody is left at all.
    pub(super) fn next_pass(&mut self, now: Time) -> bool {
        let waiting = self.waiting_ids().len();
        if waiting > 0 {
            for peer in &mut self.peers {
                if peer.is_live() {
                    peer.role = Role::Finishing;
                }
            }
            self.outputs.push_back(Output::Event(Event::Apart(waiting)));
            self.begin_pass(now);
        }
        self.present().next().is_some()
    }

    /// A receiver says what it has stored, its manifest being there or its turn having begun.
    pub(super) fn ready_for(&mut self, id: PeerId, turn: u32, have: BlockSet, now: Time) {
        let Some(peer) = self.peers.get_mut(id.as_usize()) else {
            return;
        };
        // Who is sent apart does not come back by saying again that it is ready.
        let comes_back =
            peer.apart.is_none() || !peer.is_prepared() || stragglers::has_caught_up(peer, now);
        peer.stage = Stage::Ready;
        peer.have = have;
        peer.in_turn |= turn == peer.turn;
        let is_admitted = peer.is_waiting() && comes_back;
        if let Digests::Ready { hash, .. } = self.digests {
            let digests_hash = hash.0;
            self.outputs
                .push_back(Output::Control(id, ToReceiver::Finish { digests_hash }));
        }
        if is_admitted {
            self.try_to_admit(id, now);
        }
    }

    /// Lets a receiver that waits take part in the running pass from here on, if that is worth it.
    pub(super) fn try_to_admit(&mut self, id: PeerId, now: Time) {
        let from = self.cursor.0.next();
        let content = self.setup.stream.content_blocks();
        if self.phase != Phase::Content || from.0.saturating_add(LEFT_MIN) > content.end.0 {
            return;
        }
        self.give_turn(id, from, now);
        let Some(peer) = self.peers.get(id.as_usize()) else {
            return;
        };
        for lack in peer.have.lacking(from..content.end) {
            self.plan.insert_range(lack);
        }
        let name = peer.name.clone();
        self.outputs.push_back(Output::Event(Event::Returned(name)));
        // What is planned now may have been passed over by the reading.
        (self.read_ahead, self.ahead) = (self.cursor.0, 0);
        self.refresh_floor();
    }

    fn give_turn(&mut self, id: PeerId, from: BlockIndex, now: Time) {
        self.turns += 1;
        let (number, base) = (self.turns, Sequence(self.sequence - 1));
        let Some(peer) = self.peers.get_mut(id.as_usize()) else {
            return;
        };
        peer.role = Role::Member;
        (peer.turn, peer.in_turn) = (number, false);
        (peer.from, peer.stored_below, peer.base) = (from, from, base);
        (peer.hearing_at, peer.storing_at) = (now, now);
        peer.large = None;
        peer.lateness.forget();
        self.outputs.push_back(Output::Control(
            id,
            ToReceiver::Turn {
                number,
                from,
                base: base.0,
            },
        ));
    }

    /// A receiver has all that came in its turn. When that is not everything, it waits for another.
    pub(super) fn turn_is_over(&mut self, id: PeerId) {
        let start = self.setup.stream.content_blocks().start;
        let Some(peer) = self.peers.get_mut(id.as_usize()) else {
            return;
        };
        if !peer.have.covers(start..peer.from.max(start)) {
            peer.role = Role::Waiting;
            self.refresh_floor();
        }
    }

    /// Tells those who do not hear the group, now and then, that the sender is there.
    pub(super) fn keep_company(&mut self, now: Time) {
        if now >= self.alive_at {
            self.alive_at = now + ALIVE;
            let lonely = |peer: &&Peer| !peer.is_live() && peer.role != Role::Finishing;
            let lonely: Vec<PeerId> = self.present().filter(lonely).map(|peer| peer.id).collect();
            for id in lonely {
                self.outputs
                    .push_back(Output::Control(id, ToReceiver::Alive));
            }
        }
    }

    fn waiting_ids(&self) -> Vec<PeerId> {
        let waiting = self.peers.iter().filter(|peer| peer.is_waiting());
        waiting.map(|peer| peer.id).collect()
    }
}
