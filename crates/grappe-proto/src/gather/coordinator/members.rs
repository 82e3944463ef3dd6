//! Members: who greets, what they say, and what becomes of the turns of one that is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::summary::by_name;
use super::{ALIVE, Coordinator, Event, MEMBER_SILENCE_MAX, Output, Phase};
use crate::content::manifest::{Entry, Manifest};
use crate::gather::flow::{Run, State};
use crate::gather::plan::{EntrySet, Turn};
use crate::limits::{MANIFEST_BYTES_MAX, PEERS_MAX, PROTOCOL_VERSION};
use crate::session::Expectation;
use crate::units::{BlockIndex, Digest, Time};
use crate::wire::gather::{ToCoordinator, ToMember};

/// A node that greeted.
#[derive(Debug)]
pub(in crate::gather) struct Node {
    pub(in crate::gather) name: String,
    pub(super) address: IpAddr,
    pub(super) stage: Stage,
    pub(super) listing: Vec<u8>,
    pub(in crate::gather) entries: Vec<Entry>,
    /// Files whose hashes are awaited, and those that came.
    pub(super) asked: Vec<u32>,
    pub(super) hashes: BTreeMap<u32, Digest>,
    pub(super) answered: usize,
    pub(super) heard_at: Time,
    pub(super) is_placed: bool,
    pub(super) received_bytes: u64,
    pub(super) repaired: u64,
    pub(super) limits: BTreeMap<u8, u32>,
    pub(super) finished_at: Option<Time>,
    pub(super) lacks: BTreeSet<usize>,
    pub(super) reason: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its listing is on the way.
    Listing,
    /// Its listing is there.
    Listed,
    /// It was never wanted, and has no line.
    Declined,
    /// It said that it cannot go on.
    Failed,
    /// It is gone.
    Lost,
}

impl Coordinator {
    pub(super) fn hello(&mut self, number: usize, name: String, address: IpAddr, now: Time) {
        debug_assert_eq!(
            number,
            self.nodes.len(),
            "connections are numbered as they come"
        );
        let declined = self.reason_to_decline(&name);
        let stage = match declined {
            None => Stage::Listing,
            Some(_) => Stage::Declined,
        };
        self.nodes.push(Node {
            name: name.clone(),
            address,
            stage,
            listing: Vec::new(),
            entries: Vec::new(),
            asked: Vec::new(),
            hashes: BTreeMap::new(),
            answered: 0,
            heard_at: now,
            is_placed: false,
            received_bytes: 0,
            repaired: 0,
            limits: BTreeMap::new(),
            finished_at: None,
            lacks: BTreeSet::new(),
            reason: None,
        });
        let Some(reason) = declined else {
            let version = PROTOCOL_VERSION;
            self.outputs
                .push_back(Output::Tell(number, ToMember::Welcome { version }));
            return self.event(Event::Joined(name));
        };
        self.event(Event::Refused(name, reason.clone()));
        self.outputs
            .push_back(Output::Tell(number, ToMember::Refused { reason }));
        self.outputs.push_back(Output::Close(number));
    }

    pub(super) fn reason_to_decline(&self, name: &str) -> Option<String> {
        if !matches!(self.phase, Phase::Joining(_)) {
            return Some("the gather has begun without this node".into());
        }
        if self.nodes.len() >= PEERS_MAX {
            return Some(format!(
                "{PEERS_MAX} nodes are the most that a gather takes"
            ));
        }
        if let Expectation::Names(names) = &self.setup.expectation
            && !names.contains(name)
        {
            return Some(format!("this gather is not for a node named `{name}`"));
        }
        let mut present = self.nodes.iter().filter(|node| node.is_present());
        present.any(|node| node.name == name).then(|| {
            format!("another node named `{name}` takes part; give each node a --name of its own")
        })
    }

    pub(super) fn poll_joining(&mut self, deadline: Time, now: Time) {
        let joined = self.nodes.iter().filter(|node| node.is_present());
        let joined = joined.map(|node| &*node.name);
        // For those that will not come, nobody waits.
        let is_there = |name: &&str| {
            self.nodes
                .iter()
                .any(|it| it.is_present() && it.name == *name)
        };
        let absent = self.absent.keys().map(|name| &**name);
        let settled = joined.chain(absent.filter(|name| !is_there(name)));
        let is_met = self.setup.expectation.is_met(settled);
        if !is_met && now < deadline {
            return;
        }
        let mut members: Vec<usize> = (0..self.nodes.len()).collect();
        members.retain(|node| self.nodes.get(*node).is_some_and(Node::is_present));
        let name = |node: &usize| self.nodes.get(*node).map_or("", |node| &node.name);
        members.sort_by(|left, right| by_name(name(left), name(right)));
        self.members = members;
        if self.members.is_empty() {
            return self.end(now);
        }
        self.event(Event::Began(self.members.len()));
        self.phase = Phase::Listing;
        self.advance(now);
    }

    /// Stops waiting for an expected node that is not there.
    pub(super) fn absent(&mut self, name: String, reason: String) {
        let is_expected =
            matches!(&self.setup.expectation, Expectation::Names(names) if names.contains(&name));
        let mut namesakes = self.nodes.iter().filter(|node| node.name == name);
        // What became of one that takes part, or took part, is seen by its connection. While others may
        // still join, one that came and is gone is waited for no longer either.
        let came = namesakes.any(|node| node.stage != Stage::Declined);
        let is_joining = matches!(self.phase, Phase::Joining(_));
        if !is_expected || came && !is_joining || self.absent.contains_key(&name) {
            return;
        }
        if !came {
            self.event(Event::Gone(name.clone(), reason.clone()));
        }
        self.absent.insert(name, reason);
    }

    pub(super) fn message(&mut self, number: usize, message: ToCoordinator, now: Time) {
        let phase = self.phase;
        let Some(node) = self.nodes.get_mut(number) else {
            return;
        };
        if !node.is_present() {
            return;
        }
        node.heard_at = now;
        let wrong = match message {
            ToCoordinator::Alive => None,
            ToCoordinator::Failed { reason } => {
                return self.gone(number, Stage::Failed, reason, now);
            }
            ToCoordinator::Listing { bytes } if node.stage == Stage::Listing => {
                node.listing.extend_from_slice(&bytes);
                let is_long = node.listing.len() as u64 > MANIFEST_BYTES_MAX;
                is_long.then_some("its listing is too long")
            }
            ToCoordinator::Listed { skipped } if node.stage == Stage::Listing => {
                match Manifest::decode(&std::mem::take(&mut node.listing)) {
                    Ok(manifest) => {
                        node.entries = manifest.entries;
                        node.stage = Stage::Listed;
                        self.skipped = self.skipped.saturating_add(skipped);
                        None
                    }
                    Err(_) => Some("its listing is not valid"),
                }
            }
            ToCoordinator::Hashes { bytes } if phase == Phase::Comparing => {
                node.take_hashes(&bytes)
            }
            ToCoordinator::Placed { skipped, .. } => {
                if !std::mem::replace(&mut node.is_placed, true) {
                    self.skipped = self.skipped.saturating_add(skipped);
                }
                None
            }
            message => {
                let rank = self.members.iter().position(|member| *member == number);
                let is_known = rank.is_some_and(|rank| self.turn_message(rank, message, now));
                (!is_known).then_some("a message out of its turn")
            }
        };
        if let Some(wrong) = wrong {
            let reason = format!("broke the protocol: {wrong}");
            self.gone(number, Stage::Failed, reason, now);
        }
    }

    /// What a member says of a turn; false when it may not.
    pub(super) fn turn_message(&mut self, rank: usize, message: ToCoordinator, now: Time) -> bool {
        let number = match &message {
            ToCoordinator::Prepared { turn }
            | ToCoordinator::Progress { turn, .. }
            | ToCoordinator::SentOnce { turn }
            | ToCoordinator::Result { turn, .. }
            | ToCoordinator::Ended { turn, .. } => *turn as usize,
            _ => return false,
        };
        let Some(run) = self.runs.get_mut(number) else {
            return false;
        };
        if run.turn.sender != rank || run.state == State::Waiting {
            return false;
        }
        match message {
            ToCoordinator::Result { result, .. } => self.result(number, &result, now),
            ToCoordinator::Ended {
                reason, skipped, ..
            } => {
                self.skipped = self.skipped.saturating_add(skipped);
                self.turn_ended(number, reason, now);
            }
            ToCoordinator::Prepared { .. } if run.state == State::Preparing => {
                run.state = State::Prepared;
            }
            ToCoordinator::SentOnce { .. } if matches!(run.state, State::Flowing(_)) => {
                run.state = State::Sent;
                self.links.changed = true;
            }
            ToCoordinator::Progress { progress, .. } => run.note(progress),
            // Late words of a turn that was given up here.
            _ => {}
        }
        true
    }

    pub(super) fn bury_the_silent(&mut self, now: Time) {
        let is_silent =
            |node: &Node| node.is_present() && now.since(node.heard_at) >= MEMBER_SILENCE_MAX;
        let silent = self
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, it)| is_silent(it));
        for node in silent.map(|(node, _)| node).collect::<Vec<_>>() {
            let reason = format!("silent for {} s", MEMBER_SILENCE_MAX.as_secs());
            self.gone(node, Stage::Lost, reason, now);
        }
    }

    pub(super) fn keep_company(&mut self, now: Time) {
        if now < self.alive_at {
            return;
        }
        self.alive_at = now + ALIVE;
        let present = self.nodes.iter().enumerate();
        let present = present.filter(|(_, node)| node.is_present());
        for node in present.map(|(node, _)| node).collect::<Vec<_>>() {
            self.outputs.push_back(Output::Tell(node, ToMember::Alive));
        }
    }

    pub(super) fn gone(&mut self, number: usize, stage: Stage, reason: String, now: Time) {
        let Some(node) = self.nodes.get_mut(number) else {
            return;
        };
        if !node.is_present() {
            return;
        }
        node.stage = stage;
        node.reason = Some(reason.clone());
        let name = node.name.clone();
        self.outputs.push_back(Output::Close(number));
        self.event(Event::Gone(name, reason.clone()));
        if let Some(rank) = self.members.iter().position(|member| *member == number) {
            self.member_gone(rank, &reason, now);
        }
    }

    /// Ends the turns of a member that is gone; what others have of it as well, they send in its place.
    pub(super) fn member_gone(&mut self, rank: usize, reason: &str, now: Time) {
        self.links.changed = true;
        let own = self.runs.iter().enumerate();
        let own = own.filter(|(_, run)| run.turn.sender == rank && !run.is_over());
        for number in own.map(|(number, _)| number).collect::<Vec<_>>() {
            let Some(run) = self.runs.get(number) else {
                continue;
            };
            let (turn, results) = (run.turn.clone(), run.results.clone());
            self.turn_ended(number, Some(format!("the node is gone: {reason}")), now);
            self.replace(&turn, &results, now);
        }
        for run in &mut self.runs {
            if run.state == State::Waiting {
                run.turn.receivers.remove(&rank);
                if run.turn.receivers.is_empty() {
                    run.state = State::Over;
                }
            }
        }
    }

    /// Lets others send what of `turn`, whose sender is gone, they have as well.
    pub(super) fn replace(
        &mut self,
        turn: &Turn,
        results: &BTreeMap<usize, (u8, Option<String>)>,
        now: Time,
    ) {
        let is_done = |rank: &usize| results.get(rank).is_some_and(|(state, _)| *state == 0);
        let receivers: BTreeSet<usize> = turn.receivers.iter().copied().collect();
        let receivers: BTreeSet<usize> = receivers
            .into_iter()
            .filter(|rank| !is_done(rank) && self.is_member_present(*rank))
            .collect();
        let mut instead: BTreeMap<usize, Turn> = BTreeMap::new();
        for shared in &self.settled.shared {
            let is_of = |(holder, entry): &(usize, u32)| {
                let entry = BlockIndex(*entry);
                *holder == turn.sender && turn.entries.contains(entry)
            };
            if !shared.holders.iter().any(is_of) {
                continue;
            }
            let mut others = shared.holders.iter();
            let Some((sender, entry)) = others.find(|(it, _)| self.is_member_present(*it)) else {
                continue;
            };
            let substitute = instead.entry(*sender).or_insert_with(|| Turn {
                sender: *sender,
                entries: EntrySet::new(),
                bytes: 0,
                receivers: receivers
                    .iter()
                    .copied()
                    .filter(|it| it != sender)
                    .collect(),
            });
            substitute.entries.insert(BlockIndex(*entry));
            substitute.bytes += shared.bytes;
        }
        for substitute in instead.into_values() {
            if !substitute.receivers.is_empty() {
                self.runs.push(Run::new(substitute, 1, now));
            }
        }
    }
}

impl Node {
    pub(super) fn is_present(&self) -> bool {
        matches!(self.stage, Stage::Listing | Stage::Listed)
    }

    /// Takes the next hashes; says what is wrong with them.
    fn take_hashes(&mut self, bytes: &[u8]) -> Option<&'static str> {
        for hash in bytes.chunks(32) {
            let (Ok(hash), Some(entry)) =
                (<[u8; 32]>::try_from(hash), self.asked.get(self.answered))
            else {
                return Some("more hashes than were asked for");
            };
            if hash != [0; 32] {
                self.hashes.insert(*entry, Digest(hash));
            }
            self.answered += 1;
        }
        None
    }
}
