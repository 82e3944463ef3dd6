//! Who takes part: greetings, joining, control messages, ends, and the summary.

use std::time::Duration;

use super::peer::{Peer, Role, Stage};
use super::{Digests, Event, Floor, Output, Phase, Sender, Summary};
use crate::limits::PEERS_MAX;
use crate::seal::SealKey;
use crate::session::{Expectation, LimitedBy, NodeOutcome, NodeState, Way};
use crate::units::{BlockIndex, PeerId, Time};
use crate::wire::control::{Done, ToReceiver, ToSender};

#[cfg(test)]
mod tests;

/// Receivers of one name get numbers; more than this share a host only by mistake.
const NAMESAKES_MAX: usize = 1_000;

impl Sender {
    pub(super) fn hello(&mut self, id: PeerId, name: String, report_key: SealKey, now: Time) {
        debug_assert_eq!(
            id.as_usize(),
            self.peers.len(),
            "connections are numbered as they come"
        );
        let declined = self.reason_to_decline(&name);
        if declined.is_none() {
            self.supersede(&name, now);
        }
        let name = if declined.is_none() {
            self.absent.remove(&name);
            self.unique(name)
        } else {
            name
        };
        self.peers
            .push(Peer::new(id, name.clone(), report_key, now));
        match declined {
            None => self.outputs.push_back(Output::Welcome(id)),
            Some(reason) => {
                self.outputs
                    .push_back(Output::Event(Event::Refused(name, reason.clone())));
                self.outputs
                    .push_back(Output::Control(id, ToReceiver::Refused { reason }));
                // Nobody asked for this node: it has no line in the table.
                self.end_silently(id, now);
            }
        }
    }

    pub(super) fn control(&mut self, id: PeerId, message: ToSender, now: Time) {
        let is_rehearsal = self.is_rehearsal;
        let Some(peer) = self.peer_mut(id) else {
            return;
        };
        peer.heard_at = now;
        self.chain.heard(id, now);
        let Some(peer) = self.peers.get_mut(id.as_usize()) else {
            return;
        };
        match (message, &peer.stage) {
            (_, Stage::Ended { .. }) => {}
            (ToSender::Joined { buffer_bytes }, Stage::Greeted) => {
                self.joined(id, buffer_bytes, now);
            }
            (ToSender::Ready { turn, have }, Stage::Joined | Stage::Ready) => {
                self.ready_for(id, turn, have, now);
            }
            (ToSender::Done(done), Stage::Joined) if is_rehearsal => {
                self.complete(id, done, now);
            }
            (ToSender::Done(done), Stage::Ready) => self.done(id, done, now),
            (ToSender::Heard { bytes }, Stage::Joined | Stage::Ready) => self.heard(id, bytes, now),
            (ToSender::Serving { port }, Stage::Joined | Stage::Ready) => self.serving(id, port),
            (ToSender::Unfed { number, reason }, Stage::Joined | Stage::Ready) => {
                self.unfed(id, number, reason, now);
            }
            (ToSender::Refused { reason }, _) => self.ended(id, NodeState::Refused, reason, now),
            (ToSender::Failed { reason }, _) => self.ended(id, NodeState::Failed, reason, now),
            (message, _) => {
                let reason = format!("broke the protocol: unexpected {}", kind(&message));
                self.ended(id, NodeState::Failed, reason, now);
            }
        }
    }

    /// Stops waiting for an expected node that is not there.
    pub(super) fn absent(&mut self, name: String, reason: String) {
        let is_expected =
            matches!(&self.setup.expectation, Expectation::Names(names) if names.contains(&name));
        let namesakes = || self.peers.iter().filter(|peer| peer.name == name);
        let is_there = namesakes().any(|peer| !peer.has_ended());
        if !is_expected || is_there || self.absent.contains_key(&name) {
            return;
        }
        // Of one that came and went, the user knows.
        if namesakes().next().is_none() {
            let event = Event::Gone(name.clone(), reason.clone());
            self.outputs.push_back(Output::Event(event));
        }
        self.absent.insert(name, reason);
    }

    pub(super) fn left(&mut self, id: PeerId, reason: String, now: Time) {
        if self.peer_mut(id).is_some_and(|peer| !peer.has_ended()) {
            self.ended(id, NodeState::Lost, reason, now);
        }
        // It may have ended and stayed for those that got blocks from it.
        self.chain.remove(id);
    }

    /// Ends receivers that have been silent too long, and those that report but get nowhere: they would
    /// hold all others for ever.
    pub(super) fn bury_the_silent(&mut self, now: Time) {
        let is_flowing = matches!(self.phase, Phase::Manifest | Phase::Content);
        let found: Vec<(PeerId, String)> = self
            .peers
            .iter()
            .filter(|peer| !peer.has_ended())
            .filter_map(|peer| Some((peer.id, peer.reason_to_bury(now, is_flowing)?)))
            .collect();
        for (id, reason) in found {
            self.ended(id, NodeState::Lost, reason, now);
        }
        if is_flowing {
            self.pipe_the_deaf(now);
        }
    }

    pub(super) fn poll_joining(&mut self, deadline: Time, now: Time) {
        self.bury_the_silent(now);
        if let Some(reason) = self.cancelled.clone() {
            return self.abort(&reason, now);
        }
        let complete = self.setup.expectation.is_met(self.awaited_no_more());
        self.sound(now);
        if (!complete && now < deadline) || self.is_testing(now, deadline) {
            if now >= self.beat_at && self.live().next().is_some() {
                // Those who came early must not take the wait for silence.
                self.beat(now);
            }
            return;
        }
        let late: Vec<PeerId> = self
            .peers
            .iter()
            .filter(|peer| peer.stage == Stage::Greeted)
            .map(|peer| peer.id)
            .collect();
        for id in late {
            self.ended(
                id,
                NodeState::Lost,
                "did not join the group in time".into(),
                now,
            );
        }
        if self.live().next().is_none() {
            return self.finish(now);
        }
        let receivers = self.live().count();
        self.outputs
            .push_back(Output::Event(Event::Started(receivers)));
        self.started_at = now;
        self.choose_ways(now);
        self.begin_pass(now);
    }

    /// The names of those that are there, and of those that will not come.
    fn awaited_no_more(&self) -> impl Iterator<Item = &str> {
        let present = self.live().map(|peer| &*peer.name);
        present.chain(self.absent.keys().map(|name| &**name))
    }

    /// Tells every receiver that the copy is broken off, and ends.
    pub(super) fn abort(&mut self, reason: &str, now: Time) {
        let present: Vec<PeerId> = self.present().map(|peer| peer.id).collect();
        for id in present {
            self.outputs.push_back(Output::Control(
                id,
                ToReceiver::Abort {
                    reason: reason.to_owned(),
                },
            ));
            self.ended(id, NodeState::Failed, reason.to_owned(), now);
        }
        self.finish(now);
    }

    /// Gives the summary; nothing follows.
    pub(super) fn finish(&mut self, now: Time) {
        self.phase = Phase::Over;
        self.part_with_all();
        // Where there is one alone, it holds nobody.
        let is_group = self
            .peers
            .iter()
            .filter(|it| it.has_joined)
            .nth(1)
            .is_some();
        let holder = self.blame.holder().filter(|_| is_group);
        let mut nodes: Vec<NodeOutcome> = self
            .peers
            .iter()
            .filter_map(|peer| self.outcome(peer, holder))
            .collect();
        let mut missing = 0;
        match &self.setup.expectation {
            Expectation::Anybody => {}
            Expectation::Count(count) => missing = count.saturating_sub(nodes.len()),
            Expectation::Names(names) => {
                let absent = names
                    .iter()
                    .filter(|name| nodes.iter().all(|node| node.name != **name));
                let absent: Vec<NodeOutcome> = absent
                    .map(|name| never_came(name, self.absent.get(name)))
                    .collect();
                nodes.extend(absent);
            }
        }
        nodes.sort_by(|left, right| left.name.cmp(&right.name));
        self.outputs.push_back(Output::Finished(Summary {
            nodes,
            missing,
            cancelled: self.cancelled.take(),
            elapsed: now.since(self.started_at),
            packets_sent: self.packets_sent(),
            packets_repair: self.packets_repair,
        }));
    }

    /// Recomputes, after a receiver moved or ended, what is that of the slowest: the floor, and how many symbols share
    /// a packet.
    pub(super) fn refresh_floor(&mut self) {
        let nobody = Floor {
            stored_below: self.end(),
            highest: crate::units::Sequence(u64::MAX),
            credit_end: u64::MAX,
        };
        self.receivers = self.live().count();
        let stretch = self.stretch();
        let floor = self.live().fold(nobody, |floor, peer| Floor {
            stored_below: floor.stored_below.min(peer.stored_below),
            highest: floor.highest.min(peer.heard()),
            credit_end: floor.credit_end.min(peer.credit_end(stretch)),
        });
        self.floor = floor;
        self.together = self.symbols_heard_together();
        self.rate.set_together(self.together);
        self.forget_stored();
    }

    fn reason_to_decline(&self, name: &str) -> Option<String> {
        if self.peers.len() >= PEERS_MAX {
            return Some(format!(
                "{PEERS_MAX} receivers are the most that a session takes"
            ));
        }
        let has_all = |peer: &Peer| {
            let complete = NodeState::Complete;
            matches!(&peer.stage, Stage::Ended { state, .. } if *state == complete)
        };
        if self
            .peers
            .iter()
            .any(|peer| peer.name == name && has_all(peer))
        {
            return Some(format!(
                "a receiver named `{name}` has the whole copy already"
            ));
        }
        if let Expectation::Names(names) = &self.setup.expectation {
            if !names.contains(name) {
                return Some(format!("this copy is not for a node named `{name}`"));
            }
            if self
                .peers
                .iter()
                .any(|peer| peer.name == name && !peer.has_ended())
            {
                return Some(format!("another receiver named `{name}` has joined"));
            }
        }
        None
    }

    /// `name`, with a number when another receiver has it already.
    fn unique(&self, name: String) -> String {
        let taken = |name: &str| {
            self.peers
                .iter()
                .any(|peer| peer.name == name && !peer.has_ended())
        };
        if !taken(&name) {
            return name;
        }
        let mut candidates = (2..NAMESAKES_MAX).map(|number| format!("{name}#{number}"));
        candidates
            .find(|candidate| !taken(candidate))
            .unwrap_or(name)
    }

    /// A receiver that comes again takes the place of its earlier self, which has no line of its own.
    fn supersede(&mut self, name: &str, now: Time) {
        for peer in &mut self.peers {
            if peer.name == name && peer.has_ended() {
                let (state, done) = (NodeState::Refused, Done::default());
                peer.stage = Stage::Ended {
                    state,
                    reason: None,
                    done,
                    at: now,
                };
            }
        }
    }

    fn joined(&mut self, id: PeerId, buffer_bytes: u64, now: Time) {
        let packet = super::packet_bytes(self.setup.symbol_size);
        let is_joining = self.is_joining();
        let Some(peer) = self.peers.get_mut(id.as_usize()) else {
            return;
        };
        peer.stage = Stage::Joined;
        peer.has_joined = true;
        peer.tested_from = now;
        if !is_joining {
            peer.role = Role::Testing;
            peer.in_turn = false;
        }
        // One train must always fit, or nothing would ever move.
        peer.credit = (buffer_bytes / packet).max(self.setup.burst_packets_max as u64);
        let name = peer.name.clone();
        self.outputs.push_back(Output::Event(if is_joining {
            Event::Joined(name)
        } else {
            Event::JoinedLate(name)
        }));
        self.sound_at = now;
        if !is_joining {
            self.give_manifest(id);
        }
        self.refresh_floor();
    }

    fn done(&mut self, id: PeerId, done: Done, now: Time) {
        match self.digests {
            Digests::Ready { copy, .. } if copy.0 == done.digest => self.complete(id, done, now),
            _ => self.ended(
                id,
                NodeState::Failed,
                "says it is done with other content than was sent".into(),
                now,
            ),
        }
    }

    fn complete(&mut self, id: PeerId, done: Done, now: Time) {
        let Some(peer) = self.peers.get_mut(id.as_usize()) else {
            return;
        };
        let name = peer.name.clone();
        peer.stage = Stage::Ended {
            state: NodeState::Complete,
            reason: None,
            done,
            at: now,
        };
        self.outputs.push_back(Output::Event(Event::Complete(name)));
        self.rate.forget(id);
        self.refresh_floor();
        self.part(id, now);
    }

    pub(super) fn ended(&mut self, id: PeerId, state: NodeState, reason: String, now: Time) {
        let Some(peer) = self.peers.get_mut(id.as_usize()) else {
            return;
        };
        let name = peer.name.clone();
        peer.stage = Stage::Ended {
            state,
            reason: Some(reason.clone()),
            done: Done::default(),
            at: now,
        };
        self.outputs.push_back(Output::Event(match state {
            NodeState::Refused => Event::Refused(name, reason),
            _ => Event::Gone(name, reason),
        }));
        self.closed(id);
    }

    /// Ends a receiver that never belonged to the session.
    fn end_silently(&mut self, id: PeerId, now: Time) {
        let Some(peer) = self.peers.get_mut(id.as_usize()) else {
            return;
        };
        peer.stage = Stage::Ended {
            state: NodeState::Refused,
            reason: None,
            done: Done::default(),
            at: now,
        };
        self.closed(id);
    }

    fn closed(&mut self, id: PeerId) {
        self.chain.remove(id);
        self.outputs.push_back(Output::Close(id));
        self.rate.forget(id);
        self.refresh_floor();
    }

    /// The line of a receiver that has ended, where `holder` held all others back.
    fn outcome(&self, peer: &Peer, holder: Option<PeerId>) -> Option<NodeOutcome> {
        let Stage::Ended {
            state,
            reason,
            done,
            at,
        } = &peer.stage
        else {
            return None;
        };
        if *state == NodeState::Refused && reason.is_none() {
            return None;
        }
        Some(NodeOutcome {
            name: peer.name.clone(),
            state: *state,
            joined: peer.has_joined,
            reason: reason.clone(),
            bytes: done.bytes,
            elapsed: at.since(self.started_at),
            repaired: done.repaired,
            limited_by: if !peer.has_joined {
                // What held the copy back did not reach it.
                LimitedBy::Network
            } else if peer.way.is_pipeline {
                Self::cause_in_pipeline(peer)
            } else {
                peer.apart_for()
                    .unwrap_or_else(|| self.blame.verdict(peer.id))
            },
            holds_all: holder == Some(peer.id),
            apart: peer.apart.is_some(),
            way: peer.way.clone(),
        })
    }

    /// Forgets the blocks that every live receiver has stored.
    fn forget_stored(&mut self) {
        let below = self.floor.stored_below.min(self.cursor.0);
        let is_forgotten = |first: Option<&BlockIndex>| first.is_none_or(|first| *first >= below);
        if is_forgotten(self.ready.first()) && is_forgotten(self.ends.keys().next()) {
            return;
        }
        self.ready = self.ready.split_off(&below);
        // What waited to be sent again is needed no more, and the driver drops its bytes now.
        self.repairs.retain(|(block, _)| *block >= below);
        self.ledger.forget_below(below);
        self.ends = self.ends.split_off(&below);
        self.outputs.push_back(Output::Forget(below));
    }
}

fn never_came(name: &str, reason: Option<&String>) -> NodeOutcome {
    NodeOutcome {
        name: name.to_owned(),
        state: NodeState::Lost,
        joined: false,
        reason: Some(reason.map_or_else(|| "did not join".into(), String::clone)),
        bytes: 0,
        elapsed: Duration::ZERO,
        repaired: 0,
        limited_by: LimitedBy::Network,
        holds_all: false,
        apart: false,
        way: Way::default(),
    }
}

fn kind(message: &ToSender) -> &'static str {
    match message {
        ToSender::Hello { .. } => "greeting",
        ToSender::Joined { .. } => "`joined`",
        ToSender::Ready { .. } => "`ready`",
        ToSender::Refused { .. } => "`refused`",
        ToSender::Done(_) => "`done`",
        ToSender::Failed { .. } => "`failed`",
        ToSender::Part { .. } => "survey",
        ToSender::EndKnown => "end of a stream",
        ToSender::Here(_) | ToSender::Measured(_) => "answer to an examination",
        ToSender::Heard { .. } => "`heard`",
        ToSender::Serving { .. } => "`serving`",
        ToSender::Unfed { .. } => "`unfed`",
    }
}
