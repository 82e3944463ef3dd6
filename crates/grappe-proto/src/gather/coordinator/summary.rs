//! How a gather ended: for each turn, for each node, and for all.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::time::Duration;

use super::members::Stage;
use super::{ATTEMPTS_MAX, Coordinator, Event, Output, Phase, RETRY_AFTER};
use crate::gather::flow::{Run, State};
use crate::gather::plan::Turn;
use crate::session::Expectation;
use crate::units::{Rate, Time};
use crate::wire::gather::TurnResult;

/// How a node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberState {
    /// It has all that any node had.
    Complete,
    /// It is there, and lacks something.
    Incomplete,
    /// It said that it cannot go on.
    Failed,
    /// It fell silent or its connection broke.
    Lost,
    /// It was expected by name and never came.
    Absent,
}

impl MemberState {
    /// The word for it in tables and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Lost => "lost",
            Self::Absent => "absent",
        }
    }
}

/// One line of the coordinator's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberOutcome {
    /// The node's name.
    pub name: String,
    /// How it ended.
    pub state: MemberState,
    /// Why it did not end well.
    pub reason: Option<String>,
    /// Bytes of its part.
    pub part_bytes: u64,
    /// Bytes of files that it got from others.
    pub received_bytes: u64,
    /// From the first content to the end of the last turn that it took part in.
    pub elapsed: Duration,
    /// Symbols that reached it by repair.
    pub repaired: u64,
    /// What held its turns back most often, as in the results of a copy.
    pub limited_by: Option<u8>,
    /// The nodes from which it lacks something.
    pub lacks: Vec<String>,
}

/// The result of a gather.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// A line for each node that took part or was expected by name.
    pub nodes: Vec<MemberOutcome>,
    /// Nodes that were expected by number and never came.
    pub missing: usize,
    /// What differed, as path, nodes and winner.
    pub conflicts: Vec<(Vec<u8>, Vec<String>, Option<String>)>,
    /// Bytes that every node was to have.
    pub bytes: u64,
    /// Number of files.
    pub files: u64,
    /// What the node with the smallest part lacked, in bytes.
    pub bound_bytes: u64,
    /// What the links carry, in bytes of packets a second, once that was measured.
    pub capacity: Option<Rate>,
    /// From the first content to the end.
    pub elapsed: Duration,
    /// Files that a node could not read, or that changed while they were sent or copied to its own directory.
    pub skipped: u64,
    /// Why the gather was broken off, when it was.
    pub cancelled: Option<String>,
}

impl Coordinator {
    pub(super) fn result(&mut self, number: usize, result: &TurnResult, now: Time) {
        let names = self.members.iter().map(|node| self.nodes.get(*node));
        let mut ranks = names.enumerate();
        let rank = ranks.find(|(_, node)| node.is_some_and(|node| node.name == result.name));
        let (Some((rank, _)), Some(run)) = (rank, self.runs.get_mut(number)) else {
            return;
        };
        run.results
            .insert(rank, (result.state, result.reason.clone()));
        let node = self.members.get(rank).copied();
        if let Some(node) = node.and_then(|node| self.nodes.get_mut(node)) {
            node.repaired += result.repaired;
            *node.limits.entry(result.limited_by).or_default() += 1;
            if result.state == 0 {
                node.received_bytes += result.bytes;
                node.finished_at = Some(now);
            }
        }
    }

    /// The turn `number` is over, well or not.
    pub(in crate::gather) fn turn_ended(
        &mut self,
        number: usize,
        reason: Option<String>,
        now: Time,
    ) {
        let Some(run) = self.runs.get_mut(number) else {
            return;
        };
        if run.is_over() {
            return;
        }
        run.state = State::Over;
        self.links.changed = true;
        let (turn, attempt) = (run.turn.clone(), run.attempt);
        let results = std::mem::take(&mut run.results);
        let sender = self.name_of(turn.sender);
        let is_sender_there = self.is_member_present(turn.sender);
        let mut again = BTreeSet::new();
        for rank in &turn.receivers {
            let (state, why) = results.get(rank).cloned().unwrap_or((2, reason.clone()));
            if state == 0 {
                continue;
            }
            let may_come = is_sender_there && self.is_member_present(*rank);
            if state == 2 && may_come && attempt < ATTEMPTS_MAX && reason.is_none() {
                again.insert(*rank);
            } else {
                self.note_lack(*rank, turn.sender, why);
            }
        }
        if !again.is_empty() {
            let turn = Turn {
                receivers: again,
                ..turn
            };
            self.runs
                .push(Run::new(turn, attempt + 1, now + RETRY_AFTER));
        }
        self.event(match reason {
            None => Event::Sent(sender),
            Some(reason) => Event::Unsent(sender, reason),
        });
    }

    pub(in crate::gather) fn note_lack(&mut self, rank: usize, sender: usize, why: Option<String>) {
        let sender_name = self.name_of(sender);
        let node = self.members.get(rank).copied();
        if let Some(node) = node.and_then(|node| self.nodes.get_mut(node)) {
            node.lacks.insert(sender);
            let why = why.unwrap_or_else(|| "it was lost".into());
            let text = format!("what {sender_name} has did not arrive: {why}");
            node.reason.get_or_insert(text);
        }
    }

    pub(super) fn finish(&mut self, now: Time) {
        let is_whole = matches!(self.phase, Phase::Exchanging) && self.cancelled.is_none();
        self.phase = Phase::Over;
        let began = self.began_at.unwrap_or(now);
        let mut nodes: Vec<MemberOutcome> = (0..self.members.len())
            .filter_map(|rank| self.outcome(rank, began, is_whole))
            .collect();
        let mut missing = 0;
        match &self.setup.expectation {
            Expectation::Anybody => {}
            Expectation::Count(count) => missing = count.saturating_sub(nodes.len()),
            Expectation::Names(names) => {
                let came = |name: &&String| nodes.iter().any(|node| node.name == **name);
                let absent: Vec<MemberOutcome> = names
                    .iter()
                    .filter(|name| !came(name))
                    .map(|name| absent(name, self.absent.get(name)))
                    .collect();
                nodes.extend(absent);
            }
        }
        let conflicts = self.settled.conflicts.iter();
        self.outputs.push_back(Output::Finished(Summary {
            nodes,
            missing,
            conflicts: conflicts.map(|conflict| self.named(conflict)).collect(),
            bytes: self.settled.bytes,
            files: self.settled.files,
            bound_bytes: self.bound_bytes,
            capacity: self.links.measured(),
            elapsed: now.since(began),
            skipped: self.skipped,
            cancelled: self.cancelled.clone(),
        }));
    }

    pub(super) fn outcome(
        &self,
        rank: usize,
        began: Time,
        is_whole: bool,
    ) -> Option<MemberOutcome> {
        let node = self.nodes.get(*self.members.get(rank)?)?;
        let state = match node.stage {
            Stage::Failed => MemberState::Failed,
            Stage::Lost => MemberState::Lost,
            _ if node.lacks.is_empty() && is_whole => MemberState::Complete,
            _ => MemberState::Incomplete,
        };
        let limits = node.limits.iter().max_by_key(|(_, count)| **count);
        Some(MemberOutcome {
            name: node.name.clone(),
            state,
            reason: node.reason.clone(),
            part_bytes: self.settled.held.get(rank).copied().unwrap_or(0),
            received_bytes: node.received_bytes,
            elapsed: node
                .finished_at
                .map_or(Duration::ZERO, |at| at.since(began)),
            repaired: node.repaired,
            limited_by: limits.map(|(cause, _)| *cause),
            lacks: node.lacks.iter().map(|rank| self.name_of(*rank)).collect(),
        })
    }
}

fn absent(name: &str, reason: Option<&String>) -> MemberOutcome {
    MemberOutcome {
        name: name.to_owned(),
        state: MemberState::Absent,
        reason: Some(reason.map_or("never came", |reason| reason).into()),
        part_bytes: 0,
        received_bytes: 0,
        elapsed: Duration::ZERO,
        repaired: 0,
        limited_by: None,
        lacks: Vec::new(),
    }
}

/// The order of names in which numbers count as numbers: `n2` before `n10`.
pub fn by_name(left: &str, right: &str) -> Ordering {
    let (mut left_rest, mut right_rest) = (left, right);
    loop {
        let (left_text, left_number, left_after) = next_part(left_rest);
        let (right_text, right_number, right_after) = next_part(right_rest);
        let order = left_text
            .cmp(right_text)
            .then_with(|| left_number.len().cmp(&right_number.len()))
            .then_with(|| left_number.cmp(right_number));
        if order != Ordering::Equal {
            return order;
        }
        if left_after.is_empty() || right_after.is_empty() {
            let rest = left_after.len().cmp(&right_after.len());
            return rest.then_with(|| left.cmp(right));
        }
        (left_rest, right_rest) = (left_after, right_after);
    }
}

/// The text up to the first number, that number without leading zeros, and what follows.
fn next_part(name: &str) -> (&str, &str, &str) {
    let is_digit = |character: char| character.is_ascii_digit();
    let (text, rest) = name.split_at(name.find(is_digit).unwrap_or(name.len()));
    let end = rest.find(|it: char| !is_digit(it)).unwrap_or(rest.len());
    let (number, after) = rest.split_at(end);
    (text, number.trim_start_matches('0'), after)
}
