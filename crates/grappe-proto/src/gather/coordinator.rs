//! The coordinator's machine: who takes part, what the parts are, what is sent when, and how it ended.
//!
//! It opens no connection and reads no file. Copies are made by the members; this machine tells them what
//! to send to whom, and when. How turns overlap and share the links is in `flow`.

mod members;
mod settling;
mod summary;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use self::members::{Node, Stage};
pub use self::summary::{MemberOutcome, MemberState, Summary, by_name};
use super::flow::{Links, Run};
use super::plan::{ConflictRule, EntrySet, Settled, Turn};
use crate::content::block_set::RUNS_MAX;
use crate::content::manifest::Entry;
use crate::session::Expectation;
use crate::units::{Rate, Time};
use crate::wire::gather::{ToCoordinator, ToMember, TurnReceiver};

/// A member that says nothing for so long is lost; each says something every second.
const MEMBER_SILENCE_MAX: Duration = Duration::from_secs(10);

/// How often members are told that the coordinator is there.
const ALIVE: Duration = Duration::from_secs(2);

/// A receiver that a sender lost, and that is there nevertheless, is tried again after so long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How often a turn is tried for a receiver that was lost in it.
const ATTEMPTS_MAX: u32 = 2;

/// What the machine must know before it starts.
#[derive(Clone, Debug)]
pub struct CoordinatorSetup {
    /// The gather's name.
    pub gather: [u8; 16],
    /// Whom to wait for.
    pub expectation: Expectation,
    /// How long to wait for them.
    pub wait: Duration,
    /// Who wins a conflict.
    pub rule: ConflictRule,
    /// The most that may reach a node, in bytes of packets a second.
    pub rate: Option<Rate>,
}

/// What happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A trusted node greeted on a new connection, which the driver numbers: 0 for the first.
    Hello {
        /// The connection's number.
        node: usize,
        /// The name that it gave.
        name: String,
        /// Its address.
        address: IpAddr,
    },
    /// A message of a node.
    Message(usize, ToCoordinator),
    /// The connection of a node ended.
    Left(usize, String),
    /// An expected node will not come, as whoever called it knows.
    Absent {
        /// Its name.
        name: String,
        /// Why, for a human.
        reason: String,
    },
    /// The user or a signal ends the gather.
    Cancel(String),
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send a message.
    Tell(usize, ToMember),
    /// Close a connection once everything before was sent.
    Close(usize),
    /// Tell the user.
    Event(Event),
    /// Nothing more to do before this instant or the next input.
    Wait(Time),
    /// The gather is over; nothing follows.
    Finished(Summary),
}

/// What the user may want to know as it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node joined.
    Joined(String),
    /// A node was turned away, and why.
    Refused(String, String),
    /// So many nodes take part.
    Began(usize),
    /// So many paths that several nodes have are compared by content.
    Comparing(u64),
    /// A conflict was decided, or was not: path, the nodes, the winner.
    Conflict(Vec<u8>, Vec<String>, Option<String>),
    /// What is to be done: bytes and files that all are to have, bytes that the bound counts, turns.
    Planned {
        /// Bytes of all files.
        bytes: u64,
        /// Number of files.
        files: u64,
        /// What the node with the smallest part lacks, in bytes.
        bound_bytes: u64,
        /// Nodes that have something to send.
        senders: usize,
    },
    /// The content of a node's turn flows.
    Flowing(String),
    /// Links carry so much, in bytes of packets a second.
    Measured(Rate),
    /// A node's turn is over.
    Sent(String),
    /// A node's turn came to nothing, and why.
    Unsent(String, String),
    /// A node failed or was lost.
    Gone(String, String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until the deadline, nodes may join.
    Joining(Time),
    /// Listings are on their way.
    Listing,
    /// Hashes are on their way.
    Comparing,
    /// Turns.
    Exchanging,
    /// The summary was given.
    Over,
}

/// The machine.
#[derive(Debug)]
pub struct Coordinator {
    pub(super) setup: CoordinatorSetup,
    phase: Phase,
    /// As they connected.
    pub(super) nodes: Vec<Node>,
    /// Nodes that will not come, and why; only names that are expected.
    absent: BTreeMap<String, String>,
    /// Those who take part, by name: the order of everything that follows.
    pub(super) members: Vec<usize>,
    pub(super) outputs: VecDeque<Output>,
    settled: Settled,
    /// What lacks at the node with the smallest part.
    bound_bytes: u64,
    pub(super) runs: Vec<Run>,
    pub(super) links: Links,
    pub(super) began_at: Option<Time>,
    alive_at: Time,
    skipped: u64,
    cancelled: Option<String>,
}

impl Coordinator {
    /// A machine that lets nodes join from `now` on.
    pub fn new(setup: CoordinatorSetup, now: Time) -> Self {
        Self {
            phase: Phase::Joining(now + setup.wait),
            nodes: Vec::new(),
            absent: BTreeMap::new(),
            members: Vec::new(),
            outputs: VecDeque::new(),
            settled: Settled::default(),
            bound_bytes: 0,
            runs: Vec::new(),
            links: Links::new(setup.rate, now),
            began_at: None,
            alive_at: now,
            skipped: 0,
            cancelled: None,
            setup,
        }
    }

    /// Takes in what happened; afterwards, poll until [`Output::Wait`] or [`Output::Finished`].
    pub fn handle(&mut self, input: Input, now: Time) {
        if self.phase == Phase::Over {
            return;
        }
        match input {
            Input::Hello {
                node,
                name,
                address,
            } => self.hello(node, name, address, now),
            Input::Message(node, message) => self.message(node, message, now),
            Input::Left(node, reason) => self.gone(node, Stage::Lost, reason, now),
            Input::Absent { name, reason } => self.absent(name, reason),
            Input::Cancel(reason) => self.cancelled = Some(reason),
        }
    }

    /// What to do next. Never answers the same twice but for [`Output::Wait`].
    pub fn poll(&mut self, now: Time) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        if self.phase == Phase::Over {
            return Output::Wait(Time::NEVER);
        }
        self.bury_the_silent(now);
        self.keep_company(now);
        if let Some(reason) = self.cancelled.clone() {
            self.abort(&reason, now);
        } else {
            self.advance(now);
        }
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        Output::Wait(self.wake_at(now))
    }

    /// Whether it is settled who sends what.
    pub const fn is_exchanging(&self) -> bool {
        matches!(self.phase, Phase::Exchanging)
    }

    /// Bytes that are still to be sent once, and all that are to be sent.
    pub fn progress(&self) -> (u64, u64) {
        let left = self.runs.iter().map(Run::left).sum();
        (left, self.runs.iter().map(|run| run.turn.bytes).sum())
    }

    fn advance(&mut self, now: Time) {
        match self.phase {
            Phase::Joining(deadline) => self.poll_joining(deadline, now),
            Phase::Listing if self.present().all(|(_, node)| node.stage == Stage::Listed) => {
                self.compare(now);
            }
            Phase::Comparing
                if self
                    .present()
                    .all(|(_, node)| node.answered == node.asked.len()) =>
            {
                self.settle(now);
            }
            Phase::Exchanging => {
                self.flow(now);
                let all_sent = self.runs.iter().all(Run::is_over);
                if all_sent && self.present().all(|(_, node)| node.is_placed) {
                    self.end(now);
                }
            }
            Phase::Listing | Phase::Comparing | Phase::Over => {}
        }
    }

    fn wake_at(&self, now: Time) -> Time {
        let deadline = match self.phase {
            Phase::Joining(deadline) => deadline,
            Phase::Exchanging => self.flow_wakes_at(now),
            _ => Time::NEVER,
        };
        let silence = self.present().map(|(_, node)| node.heard_at);
        let silence = silence
            .min()
            .map_or(Time::NEVER, |at| at + MEMBER_SILENCE_MAX);
        deadline.min(silence).min(self.alive_at)
    }

    /// Members that are there, with their places in the order.
    pub(super) fn present(&self) -> impl Iterator<Item = (usize, &Node)> {
        let members = self.members.iter().enumerate();
        let known = members.filter_map(|(rank, node)| Some((rank, self.nodes.get(*node)?)));
        known.filter(|(_, node)| node.is_present())
    }

    pub(super) fn is_member_present(&self, rank: usize) -> bool {
        self.present().any(|(present, _)| present == rank)
    }

    pub(super) fn name_of(&self, rank: usize) -> String {
        let node = self
            .members
            .get(rank)
            .and_then(|node| self.nodes.get(*node));
        node.map_or_else(String::new, |node| node.name.clone())
    }

    pub(super) fn tell_member(&mut self, rank: usize, message: ToMember) {
        if let Some(node) = self.members.get(rank) {
            self.outputs.push_back(Output::Tell(*node, message));
        }
    }

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Tells a member of entries, in as many messages as it takes.
    pub(super) fn tell_entries(&mut self, rank: usize, entries: &EntrySet) {
        let mut runs = entries.runs().peekable();
        while runs.peek().is_some() {
            let mut numbers = EntrySet::new();
            for run in runs.by_ref().take(RUNS_MAX) {
                numbers.insert_range(run);
            }
            self.tell_member(rank, ToMember::Entries { numbers });
        }
    }

    /// Where the receivers of a turn are.
    pub(super) fn receivers_of(&self, turn: &Turn) -> Vec<TurnReceiver> {
        let receivers = turn.receivers.iter().filter_map(|rank| {
            let node = self.nodes.get(*self.members.get(*rank)?)?;
            Some(TurnReceiver {
                name: node.name.clone(),
                address: node.address,
            })
        });
        receivers.collect()
    }

    fn parts(&self) -> Vec<&[Entry]> {
        let entries = |node: &usize| self.nodes.get(*node).map_or(&[][..], |it| &it.entries);
        self.members.iter().map(entries).collect()
    }

    fn abort(&mut self, reason: &str, now: Time) {
        let present = self.nodes.iter().enumerate();
        let present = present.filter(|(_, node)| node.is_present());
        for node in present.map(|(node, _)| node).collect::<Vec<_>>() {
            let reason = reason.to_owned();
            self.outputs
                .push_back(Output::Tell(node, ToMember::Abort { reason }));
            self.outputs.push_back(Output::Close(node));
        }
        self.cancelled = Some(reason.to_owned());
        self.finish(now);
    }

    fn end(&mut self, now: Time) {
        let present = self.nodes.iter().enumerate();
        let present = present.filter(|(_, node)| node.is_present());
        for node in present.map(|(node, _)| node).collect::<Vec<_>>() {
            self.outputs.push_back(Output::Tell(node, ToMember::End));
            self.outputs.push_back(Output::Close(node));
        }
        self.finish(now);
    }
}
