//! A simulated gather: the coordinator's machine that ships, around members that are models.
//!
//! A member lists, hashes, places and sends as `grappe receive` does, but its copies are a fluid: bytes
//! that flow at the rate it was told, as far as the links of the others carry them. So it tells when turns
//! run and who ends with what, not how packets fare; that is what the rest of this crate is for.

mod member;
mod oracle;

use std::time::Duration;

use grappe_proto::content::manifest::{Entry, Kind};
use grappe_proto::gather::coordinator::{
    Coordinator, CoordinatorSetup, Input, MemberState, Output, Summary,
};
use grappe_proto::gather::plan::ConflictRule;
use grappe_proto::session::Expectation;
use grappe_proto::units::{Rate, Time};
use grappe_proto::wire::gather::{ToCoordinator, ToMember};

use self::member::Member;
use crate::random::Random;

/// The fluid moves in such steps.
const STEP: Duration = Duration::from_millis(5);

/// No gather here takes longer.
const TIME_MAX: Duration = Duration::from_secs(400);

/// A gather to play.
#[derive(Clone, Debug)]
pub struct GatherScenario {
    /// What all chance comes from.
    pub seed: u64,
    /// For each node the files of its part: a name's number and the size in bytes. The same number at
    /// several nodes is the same file.
    pub parts: Vec<Vec<(u8, u64)>>,
    /// What a link carries, in bytes per second.
    pub link: u64,
    /// Nodes that die, when, and whether their connection tells of it.
    pub deaths: Vec<(usize, Duration, bool)>,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct GatherOutcome {
    /// What the machine said.
    pub summary: Option<Summary>,
    /// What should never be and was.
    pub violations: Vec<String>,
    /// The bound over the time it took, when all is complete and something flowed.
    pub reached: Option<f64>,
}

impl GatherScenario {
    /// A random one: up to ten nodes, parts of all sizes, up to three deaths at any time.
    pub fn random(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let nodes = 1 + random.below(10);
        let part = |random: &mut Random, node: u64| {
            let files = random.below(4);
            let file = |random: &mut Random, number: u64| {
                // One in four is a file that others may have as well.
                let is_common = random.chance(0.25);
                let number = if is_common {
                    200 + random.below(5)
                } else {
                    node * 4 + number
                };
                // The same number must be the same file everywhere.
                let size = Random::new(seed ^ number).below(80) << 20;
                (number as u8, size)
            };
            let mut part: Vec<(u8, u64)> = (0..files).map(|number| file(random, number)).collect();
            part.sort_unstable();
            part.dedup();
            part
        };
        let parts: Vec<Vec<(u8, u64)>> = (0..nodes).map(|node| part(&mut random, node)).collect();
        let deaths = (0..random.below(4)).map(|_| {
            let node = random.below(nodes) as usize;
            let at = random.duration(Duration::from_secs(8));
            (node, at, random.chance(0.5))
        });
        Self {
            seed,
            deaths: deaths.collect(),
            parts,
            link: 117_000_000,
        }
    }
}

/// Plays `scenario` to its end and judges it. The same scenario gives the same outcome.
pub fn run_gather(scenario: &GatherScenario) -> GatherOutcome {
    Play::new(scenario).play()
}

/// A gather that goes on.
struct Play<'a> {
    scenario: &'a GatherScenario,
    machine: Coordinator,
    members: Vec<Member>,
    violations: Vec<String>,
    /// Messages on their way to the coordinator: when they arrive, in the order in which they left.
    mail: Vec<(Time, usize, Result<ToCoordinator, String>)>,
    /// For how long some link was asked for more than it carries, after its rate was known.
    overfull: Duration,
}

impl<'a> Play<'a> {
    fn new(scenario: &'a GatherScenario) -> Self {
        let mut random = Random::new(scenario.seed).fork(1);
        let setup = CoordinatorSetup {
            gather: [7; 16],
            expectation: Expectation::Count(scenario.parts.len()),
            wait: Duration::from_secs(2),
            rule: ConflictRule::Fail,
            rate: None,
        };
        let members = scenario.parts.iter().enumerate().map(|(node, part)| {
            let entries = part.iter().map(|(number, size)| entry(*number, *size));
            let death = scenario.deaths.iter().find(|(dead, ..)| *dead == node);
            Member::new(
                format!("n{node}"),
                entries.collect(),
                death.map(|(_, at, is_told)| (Time::ZERO + *at, *is_told)),
                random.fork(node as u64),
            )
        });
        let members = members.collect();
        let _unused = random.next();
        Self {
            scenario,
            machine: Coordinator::new(setup, Time::ZERO),
            members,
            violations: Vec::new(),
            mail: Vec::new(),
            overfull: Duration::ZERO,
        }
    }

    fn play(mut self) -> GatherOutcome {
        for node in 0..self.members.len() {
            let name = self.members[node].name.clone();
            let address = [10, 0, 0, node as u8].into();
            self.machine.handle(
                Input::Hello {
                    node,
                    name,
                    address,
                },
                Time::ZERO,
            );
        }
        let mut now = Time::ZERO;
        let summary = loop {
            if let Some(summary) = self.poll(now) {
                break Some(summary);
            }
            now = now + STEP;
            if now.since(Time::ZERO) > TIME_MAX {
                self.violations.push("it never ends".into());
                break None;
            }
            self.flow(now);
            for node in 0..self.members.len() {
                let said = self.members[node].step(now, &[]);
                self.post(node, said);
            }
            self.deliver(now);
        };
        let reached = oracle::judge(&mut self, summary.as_ref());
        GatherOutcome {
            summary,
            violations: self.violations,
            reached,
        }
    }

    /// Polls the machine until it waits; the summary ends it.
    fn poll(&mut self, now: Time) -> Option<Summary> {
        loop {
            match self.machine.poll(now) {
                Output::Wait(_) => return None,
                Output::Finished(summary) => return Some(summary),
                Output::Tell(node, message) => self.tell(node, &message, now),
                Output::Close(_) | Output::Event(_) => {}
            }
        }
    }

    fn tell(&mut self, node: usize, message: &ToMember, now: Time) {
        if let Some(member) = self.members.get_mut(node) {
            member.hear(message, now);
        }
    }

    fn post(&mut self, node: usize, said: Vec<(Time, Result<ToCoordinator, String>)>) {
        let mail = said.into_iter().map(|(at, message)| (at, node, message));
        self.mail.extend(mail);
        self.mail.sort_by_key(|(at, ..)| *at);
    }

    fn deliver(&mut self, now: Time) {
        while self.mail.first().is_some_and(|(at, ..)| *at <= now) {
            let (_, node, message) = self.mail.remove(0);
            let input = match message {
                Ok(message) => Input::Message(node, message),
                Err(reason) => Input::Left(node, reason),
            };
            self.machine.handle(input, now);
        }
    }

    /// Moves the fluid for one step: every sender sends at its rate, as far as each listening link
    /// carries the sum of it.
    fn flow(&mut self, now: Time) {
        let rates: Vec<u64> = self
            .members
            .iter()
            .map(|member| member.sends(now))
            .collect();
        let total: u64 = rates.iter().sum();
        let most = (self.members.iter().zip(&rates))
            .filter(|(member, _)| !member.is_dead(now))
            .map(|(_, own)| total - own)
            .max()
            .unwrap_or(0);
        let carried = if most > self.scenario.link {
            self.scenario.link as f64 / most as f64
        } else {
            1.0
        };
        if carried < 0.9 && rates.iter().filter(|rate| **rate > 0).count() > 1 {
            self.overfull += STEP;
        }
        let sending = rates.iter().enumerate().filter(|(_, rate)| **rate > 0);
        for sender in sending.map(|(sender, _)| sender) {
            let done = self.members[sender].send(STEP, carried, self.scenario.link, now);
            for turn in done {
                self.hand_out(sender, &turn, now);
            }
        }
    }

    /// A turn has sent everything: its receivers that live have it.
    fn hand_out(&mut self, sender: usize, turn: &member::SentTurn, now: Time) {
        let mut results = Vec::new();
        for name in &turn.receivers {
            let found = self.members.iter_mut().find(|member| member.name == *name);
            let Some(receiver) = found else { continue };
            let is_there = !receiver.is_dead(now);
            if is_there {
                for entry in &turn.entries {
                    receiver.gets(entry);
                }
            }
            results.push((name.clone(), is_there));
        }
        let said = self.members[sender].tell_results(turn.number, &results, now);
        self.post(sender, said);
    }
}

/// The file of this number.
fn entry(number: u8, size: u64) -> Entry {
    Entry {
        path: format!("f{number:03}").into_bytes(),
        kind: Kind::File { size },
        mode: 0o644,
        mtime: (0, 0),
        ..Entry::default()
    }
}

fn size_of(entry: &Entry) -> u64 {
    match entry.kind {
        Kind::File { size } => size,
        _ => 0,
    }
}

/// Whether the machine says that the node has everything.
fn is_complete(summary: &Summary, name: &str) -> bool {
    let mut nodes = summary.nodes.iter();
    nodes.any(|node| node.name == name && node.state == MemberState::Complete)
}

/// A rate that a sender may use before it was told one.
const FIRST_RATE: Rate = Rate::from_bytes_per_second(12_500_000);
