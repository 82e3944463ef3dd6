//! The play: takes one event after the other from the agenda and gives it to the node it concerns,
//! until everybody ended or the virtual deadline is over.

use std::time::Duration;

use grappe_proto::receiver::Input;
use grappe_proto::units::Time;

use crate::event::{Event, Mail};
use crate::oracle;
use crate::outcome::{End, NodeResult, Outcome};
use crate::outside::Outside;
use crate::random::Random;
use crate::receiver_node::{Host, ReceiverNode};
use crate::scenario::{Fault, Scenario};
use crate::sender_node::SenderNode;

/// One sender, its receivers and their world.
pub(crate) struct Cluster<'a> {
    scenario: &'a Scenario,
    outside: Outside,
    sender: SenderNode,
    receivers: Vec<ReceiverNode>,
    now: Time,
}

impl<'a> Cluster<'a> {
    pub(crate) fn new(scenario: &'a Scenario) -> Self {
        let random = Random::new(scenario.seed);
        let mut outside = Outside::new(scenario, &random);
        let sender = SenderNode::new(scenario, &outside);
        let receiver = |node| {
            ReceiverNode::new(
                node,
                scenario,
                &outside,
                random.fork(1_000_000 + node as u64),
            )
        };
        let receivers: Vec<ReceiverNode> = (0..scenario.receivers).map(receiver).collect();
        for node in 0..scenario.receivers {
            let at = scenario.comes_at(node);
            if !at.is_zero() {
                outside.stored_below[node] = u32::MAX;
            }
            outside.agenda.plan(Time::ZERO + at, Event::Comes { node });
        }
        let mut cluster = Self {
            scenario,
            outside,
            sender,
            receivers,
            now: Time::ZERO,
        };
        cluster.plan_faults();
        cluster
    }

    /// Plays to the end.
    pub(crate) fn play(mut self) -> Outcome {
        while !self.is_over() {
            let Some((at, event)) = self.outside.agenda.next() else {
                let silent = self.sender.has_crashed();
                if !silent {
                    self.outside
                        .violation(self.now, || "nobody waits for anything".into());
                }
                break;
            };
            debug_assert!(at >= self.now, "time runs forward");
            self.now = at;
            if at > Time::ZERO + self.scenario.deadline {
                let waiting_for = self.sender.waiting_for();
                self.outside.violation(at, || {
                    format!("not over in time; the sender waits for {waiting_for}")
                });
                break;
            }
            self.dispatch(event);
        }
        self.outcome()
    }

    fn is_over(&self) -> bool {
        self.sender.is_over() && self.receivers.iter().all(ReceiverNode::is_over)
    }

    fn plan_faults(&mut self) {
        for (number, fault) in self.scenario.faults.iter().enumerate() {
            let at = match fault {
                Fault::ReceiverCrash { at, .. }
                | Fault::SenderCrash { at, .. }
                | Fault::ReceiverRestart { at, .. }
                | Fault::ReceiverPause { at, .. }
                | Fault::DiskStall { at, .. }
                | Fault::Narrow { at, .. }
                | Fault::Rate { at, .. }
                | Fault::TornDisk { at, .. }
                | Fault::ClockJump { at, .. } => *at,
                Fault::SlowDisk { .. }
                | Fault::SlowHost { .. }
                | Fault::SlowPrepare { .. }
                | Fault::Mismatch { .. }
                | Fault::Liar { .. }
                | Fault::LateJoin { .. }
                | Fault::Partition { .. }
                | Fault::Resume { .. }
                | Fault::ResumeWith { .. } => Duration::ZERO,
            };
            self.outside
                .agenda
                .plan(Time::ZERO + at, Event::Fault(number));
        }
    }

    fn dispatch(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::ToSender(mail) => self.sender.receive(now, mail, &mut self.outside),
            Event::SenderWake => self.sender.wake(now, &mut self.outside),
            Event::Fault(number) => self.strike(number),
            Event::Comes { node } => self.comes(node),
            Event::Welcome { node, life }
            | Event::ToReceiver { node, life, .. }
            | Event::ReceiverJob { node, life, .. } => {
                // What was meant for a process that is gone reaches nobody.
                if self.outside.lives[node] == life {
                    self.at_receiver(node, event);
                }
            }
            Event::Packets { node, .. }
            | Event::PacketsRead { node, .. }
            | Event::ReceiverWake { node } => {
                self.at_receiver(node, event);
            }
        }
    }

    fn at_receiver(&mut self, node: usize, event: Event) {
        let (now, receiver, outside) = (self.now, &mut self.receivers[node], &mut self.outside);
        if receiver.is_over() {
            return;
        }
        if now < receiver.paused_until {
            let waits = match &event {
                Event::Packets { train, arrival, .. } => receiver.buffer(train, *arrival),
                _ => true,
            };
            if waits {
                outside.agenda.plan(receiver.paused_until, event);
            }
            return;
        }
        match event {
            Event::Packets { train, arrival, .. } if receiver.host.is_some() => {
                receiver.take(now, train, arrival, outside);
            }
            Event::Packets { train, arrival, .. } => {
                receiver.packets(now, now, &train, arrival, outside);
            }
            Event::PacketsRead {
                train,
                arrival,
                arrived,
                ..
            } => receiver.packets(now, arrived, &train, arrival, outside),
            Event::Welcome { .. } => receiver.welcome(now, outside),
            Event::ToReceiver { input, .. } => receiver.input(now, input, outside),
            Event::ReceiverJob { job, .. } => receiver.job_done(now, job, outside),
            Event::ReceiverWake { .. } => receiver.wake(now, outside),
            Event::ToSender(_) | Event::SenderWake | Event::Fault(_) | Event::Comes { .. } => {}
        }
    }

    /// A receiver greets, unless nobody is there to hear it.
    fn comes(&mut self, node: usize) {
        let (now, outside) = (self.now, &mut self.outside);
        if self.sender.is_over() {
            return self.receivers[node].too_late(now, outside);
        }
        self.receivers[node].live(outside);
        let hello = Mail::Hello(outside.now_living(node), outside.keys.reports[node]);
        outside.control_to_sender(now, node, hello);
    }

    fn restart(&mut self, node: usize, after: Duration) {
        let (now, outside) = (self.now, &mut self.outside);
        if self.receivers[node].is_over() {
            return;
        }
        self.receivers[node].crash(now, false, outside);
        self.receivers[node].leave_behind();
        outside.lives[node] += 1;
        outside.agenda.plan(now + after, Event::Comes { node });
        self.receivers[node].end = End::Running;
    }

    fn strike(&mut self, number: usize) {
        let now = self.now;
        match &self.scenario.faults[number] {
            Fault::ReceiverCrash { node, silent, .. } => {
                self.receivers[*node].crash(now, *silent, &mut self.outside);
            }
            Fault::ReceiverRestart { node, after, .. } => self.restart(*node, *after),
            Fault::TornDisk {
                node,
                after,
                blocks,
                ..
            } => {
                self.restart(*node, *after);
                self.receivers[*node].torn = *blocks;
            }
            Fault::ClockJump { node, by, .. } => match node {
                Some(node) if !self.receivers[*node].is_over() => {
                    self.receivers[*node].clock_jumps(now, *by, &mut self.outside);
                }
                Some(_) => {}
                None => self.sender.clock_jumps(now, *by, &mut self.outside),
            },
            // Those act on packets, and on the beginning.
            Fault::Partition { .. } | Fault::LateJoin { .. } => {}
            Fault::Resume { node, percent } => {
                let stored = self.outside.content.beginning(*percent);
                self.receivers[*node].resume(&stored, &self.outside);
            }
            Fault::ResumeWith { node, stored } => {
                self.receivers[*node].resume(stored, &self.outside);
            }
            Fault::SenderCrash { silent, .. } => self.crash_sender(*silent),
            Fault::ReceiverPause { node, lasting, .. } => {
                self.receivers[*node].paused_until = now + *lasting;
            }
            Fault::Narrow { node, mtu, .. } => self.outside.narrow(*node, *mtu),
            Fault::Rate { node, rate, .. } => match node {
                Some(node) => self.outside.set_rate(now, *node, *rate),
                None => {
                    for node in 0..self.receivers.len() {
                        self.outside.set_rate(now, node, *rate);
                    }
                }
            },
            Fault::DiskStall { node, lasting, .. } => {
                self.receivers[*node].disk.stall(now, *lasting);
            }
            Fault::SlowHost {
                node,
                rate,
                holds_bytes,
            } => self.receivers[*node].host = Some(Host::new(*rate, *holds_bytes)),
            Fault::SlowDisk { node, rate } => self.receivers[*node].disk.set_rate(*rate),
            Fault::SlowPrepare { node, lasting } => {
                self.receivers[*node].prepares_for = *lasting;
            }
            Fault::Mismatch { node, blocks } => self.receivers[*node].spoils.extend(blocks),
            Fault::Liar { node, lie } => {
                self.receivers[*node].lie = Some(*lie);
                // What a liar really has binds nobody.
                self.outside.stored_below[*node] = u32::MAX;
            }
        }
    }

    fn crash_sender(&mut self, silent: bool) {
        if self.sender.is_over() {
            return;
        }
        self.sender.crash();
        if !silent {
            for node in 0..self.receivers.len() {
                self.outside.control_to_receiver(
                    self.now,
                    node,
                    Input::Closed("connection reset by peer".into()),
                );
            }
        }
    }

    fn outcome(self) -> Outcome {
        let since_start = |at: Time| at.since(Time::ZERO);
        let table = self
            .sender
            .summary
            .as_ref()
            .map(|(summary, _)| &summary.nodes[..])
            .unwrap_or_default();
        let result = |(node, receiver): (usize, &ReceiverNode)| {
            let name = format!("node{node:04}");
            let line = table.iter().find(|line| line.name == name);
            NodeResult {
                state: line.map(|line| line.state),
                limited_by: line.map(|line| line.limited_by),
                end: receiver.end.clone(),
                ended_at: receiver.ended_at.map(since_start),
                backlog_max: receiver.backlog_max,
                stored: receiver.stored().clone(),
                got: receiver.got.clone(),
                rival: self.outside.rival_passed(node),
                waits: self.outside.waits(node),
            }
        };
        let nodes: Vec<NodeResult> = self.receivers.iter().enumerate().map(result).collect();
        let over_at = self.sender.summary.as_ref().map_or(self.now, |(_, at)| *at);
        let elapsed = over_at.since(self.sender.started_at.unwrap_or(over_at));
        let completed = nodes.iter().any(|node| node.end == End::Complete);
        let goodput = if completed {
            self.scenario.bytes as f64 / elapsed.as_secs_f64().max(1e-9)
        } else {
            0.0
        };
        let mut outcome = Outcome {
            elapsed,
            packets_sent: self.sender.data_packets,
            datagrams: self.sender.datagrams,
            packets_useful: self.outside.content.symbols(),
            packets_repair: self.sender.packets_repair(),
            beats: self.sender.beats,
            packets_lost: self.outside.packets_lost,
            reports: self.outside.reports,
            reports_by_time: self.outside.reports_by_time,
            nodes,
            goodput,
            summary: self.sender.summary.map(|(summary, _)| summary),
            ended_at: since_start(self.now),
            violations: self.outside.violations,
        };
        oracle::judge(self.scenario, &mut outcome);
        outcome
    }
}
