//! The driver of the sender's machine: carries out what it asks for, as the real driver does, and
//! models the socket that pushes back. What leaves is watched in `trains`.

mod trains;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use grappe_proto::limits::{BLOCK_SIZE, SYMBOL_SIZE};
use grappe_proto::rate::RateLimits;
use grappe_proto::receiver;
use grappe_proto::seal::SealKey;
use grappe_proto::sender::{Event as Told, Input, Job, Output, Sender, SenderSetup, Summary};
use grappe_proto::session::{Expectation, Transport};
use grappe_proto::units::{BlockIndex, PeerId, Sequence, Time};
use grappe_proto::wire::control::ToReceiver;

use crate::disk::Disk;
use crate::event::{Event, Mail, Node};
use crate::network::Uplink;
use crate::outside::{Outside, SUITE};
use crate::scenario::Scenario;
use crate::train::TRAIN_PACKETS_MAX;

/// Outputs in one instant after which a machine is taken to run in a circle.
const OUTPUTS_MAX: u32 = 1_000_000;

/// The sender and what belongs to it.
pub(crate) struct SenderNode {
    machine: Sender,
    key: SealKey,
    uplink: Uplink,
    disk: Disk,
    payload: bool,
    inbox: VecDeque<Mail>,
    /// Who is behind each connection.
    connections: Vec<Node>,
    /// Blocks read and not forgotten, with their bytes where there are any.
    memory: BTreeMap<BlockIndex, Vec<u8>>,
    /// Blocks before this one were sent, in part at least.
    begun: BlockIndex,
    next: Sequence,
    wake_at: Time,
    crashed: bool,
    /// How far its clock is ahead of the world's.
    ahead: Duration,
    pub(crate) data_packets: u64,
    pub(crate) datagrams: u64,
    pub(crate) beats: u64,
    pub(crate) started_at: Option<Time>,
    pub(crate) summary: Option<(Summary, Time)>,
}

impl SenderNode {
    pub(crate) fn new(scenario: &Scenario, outside: &Outside) -> Self {
        let setup = SenderSetup {
            tag: outside.keys.tag,
            stream: outside.content.stream.clone(),
            symbol_size: SYMBOL_SIZE,
            expectation: Expectation::Count(scenario.expected()),
            wait: Duration::from_secs(2),
            straggler: scenario.straggler,
            transport: Transport::Multicast,
            mtu: scenario.downlink.mtu.into(),
            rate: RateLimits {
                cap: scenario.rate_cap,
                ..RateLimits::default()
            },
            burst_packets_max: TRAIN_PACKETS_MAX,
            starts_when_told: false,
        };
        Self {
            machine: Sender::new(setup, Time::ZERO),
            key: SealKey::new(SUITE, &outside.keys.data),
            uplink: Uplink::new(scenario.uplink, scenario.uplink_queue_bytes),
            disk: Disk::new(scenario.read_rate),
            payload: scenario.payload,
            inbox: VecDeque::new(),
            connections: Vec::new(),
            memory: BTreeMap::new(),
            begun: BlockIndex(0),
            next: Sequence(1),
            wake_at: Time::NEVER,
            crashed: false,
            ahead: Duration::ZERO,
            data_packets: 0,
            datagrams: 0,
            beats: 0,
            started_at: None,
            summary: None,
        }
    }

    /// Whether nothing more will come from it.
    pub(crate) const fn is_over(&self) -> bool {
        self.crashed || self.summary.is_some()
    }

    pub(crate) const fn has_crashed(&self) -> bool {
        self.crashed
    }

    /// Packets beyond the first sending of each symbol.
    pub(crate) fn packets_repair(&self) -> u64 {
        self.summary
            .as_ref()
            .map_or(0, |(summary, _)| summary.packets_repair)
    }

    pub(crate) fn waiting_for(&self) -> String {
        self.machine.waiting_for()
    }

    pub(crate) fn crash(&mut self) {
        self.crashed = true;
    }

    /// Its clock leaps, and its driver notices, as the real one does.
    pub(crate) fn clock_jumps(&mut self, now: Time, by: Duration, outside: &mut Outside) {
        self.ahead += by;
        self.machine.handle(Input::Stalled(by), now + self.ahead);
        self.wake_at = Time::NEVER;
        self.run(now, outside);
    }

    /// Takes in what came; a sender whose socket is full reads it later.
    pub(crate) fn receive(&mut self, now: Time, mail: Mail, outside: &mut Outside) {
        self.inbox.push_back(mail);
        self.run(now, outside);
    }

    /// The instant it asked for has come, unless another was asked for since.
    pub(crate) fn wake(&mut self, now: Time, outside: &mut Outside) {
        if now >= self.wake_at {
            self.wake_at = Time::NEVER;
            self.run(now, outside);
        }
    }

    /// Polls and reads the inbox by turns until both are empty or the socket is full.
    pub(crate) fn run(&mut self, now: Time, outside: &mut Outside) {
        for _ in 0..OUTPUTS_MAX {
            if self.is_over() {
                return;
            }
            if let Some(at) = self.uplink.full_until(now) {
                return self.wake_me(at, outside);
            }
            match self.machine.poll(now + self.ahead) {
                Output::Wait(at) => match self.inbox.pop_front() {
                    Some(mail) => self.handle(now + self.ahead, mail),
                    None if at == Time::NEVER => return self.wait(now, at, outside),
                    None => return self.wait(now, at - self.ahead, outside),
                },
                output => self.carry_out(now, output, outside),
            }
        }
        outside.violation(now, || "the sender runs in a circle".into());
        self.crashed = true;
    }

    fn wait(&mut self, now: Time, at: Time, outside: &mut Outside) {
        if at <= now {
            outside.violation(now, || {
                "the sender waits for an instant that has passed".into()
            });
        }
        self.wake_me(at.max(now + Duration::from_micros(1)), outside);
    }

    fn wake_me(&mut self, at: Time, outside: &mut Outside) {
        if at < self.wake_at {
            self.wake_at = at;
            outside.agenda.plan(at, Event::SenderWake);
        }
    }

    fn handle(&mut self, now: Time, mail: Mail) {
        match mail {
            Mail::Hello(node, report_key) => {
                let peer = PeerId(self.connections.len() as u16);
                self.connections.push(node);
                let name = format!("node{:04}", node.node);
                self.machine.handle(
                    Input::Hello {
                        peer,
                        name,
                        report_key: SealKey::new(SUITE, &report_key),
                    },
                    now,
                );
            }
            Mail::Control(node, message) => {
                if let Some(peer) = self.peer_of(node) {
                    self.machine.handle(Input::Control(peer, message), now);
                }
            }
            Mail::Left(node, reason) => {
                if let Some(peer) = self.peer_of(node) {
                    self.machine.handle(Input::Left(peer, reason), now);
                }
            }
            Mail::Report(packet) => self.machine.handle(Input::Datagram(&packet), now),
            Mail::BlockRead(block, bytes) => {
                self.memory.insert(block, bytes);
                self.machine.handle(Input::BlockReady(block), now);
            }
            Mail::BlockHashed(block) => self.machine.handle(Input::BlockHashed(block), now),
            Mail::DigestsFormed { hash, copy } => {
                self.machine.handle(Input::DigestsReady { hash, copy }, now);
            }
        }
    }

    fn carry_out(&mut self, now: Time, output: Output, outside: &mut Outside) {
        match output {
            Output::Burst {
                first,
                symbols,
                together,
            } => self.burst(now, first, &symbols, together, outside),
            Output::Beat {
                sequence,
                block,
                beat,
            } => self.beat(now, sequence, block, beat, outside),
            Output::Welcome(peer) => {
                if let Some(node) = self.reached(peer, outside) {
                    outside.peers[node] = peer;
                    outside.welcome(now, node);
                }
            }
            Output::Control(peer, message) => {
                if let Some(node) = self.reached(peer, outside) {
                    if message == ToReceiver::Pause {
                        outside.stored_below[node] = u32::MAX;
                    }
                    outside.control_to_receiver(now, node, receiver::Input::Control(message));
                }
            }
            Output::Manifest(peer) => {
                if let Some(node) = self.reached(peer, outside) {
                    outside.control_to_receiver(now, node, receiver::Input::ManifestKnown);
                }
            }
            Output::Close(peer) => {
                let closed = receiver::Input::Closed("the sender closed the connection".into());
                if let Some(node) = self.reached(peer, outside) {
                    outside.stored_below[node] = u32::MAX;
                    outside.control_to_receiver(now, node, closed);
                }
            }
            Output::Sounding {
                sequence,
                block,
                bytes,
            } => self.sounding(now, sequence, block, bytes, outside),
            Output::Feed { .. } => {
                outside.violation(now, || "the pipeline is not played here".into());
            }
            Output::Job(job) => self.job(now, job, outside),
            Output::Forget(below) => self.memory = self.memory.split_off(&below),
            Output::Event(Told::Started(_)) => self.started_at = Some(now),
            Output::Event(_) | Output::Wait(_) => {}
            Output::Finished(summary) => self.summary = Some((summary, now)),
        }
    }

    fn peer_of(&self, node: Node) -> Option<PeerId> {
        let at = self.connections.iter().rposition(|known| *known == node)?;
        Some(PeerId(at as u16))
    }

    /// The receiver at the other end of a connection, if it still lives.
    fn reached(&self, peer: PeerId, outside: &Outside) -> Option<usize> {
        let node = self.connections.get(peer.as_usize())?;
        (outside.lives[node.node] == node.life).then_some(node.node)
    }

    fn job(&mut self, now: Time, job: Job, outside: &mut Outside) {
        let (done_at, mail) = match job {
            Job::Read(block) => {
                let bytes = if self.payload {
                    outside.content.block(block)
                } else {
                    Vec::new()
                };
                (
                    self.disk.work(now, u64::from(BLOCK_SIZE)),
                    Mail::BlockRead(block, bytes),
                )
            }
            Job::Hash(block) => (
                self.disk.work(now, u64::from(BLOCK_SIZE)),
                Mail::BlockHashed(block),
            ),
            Job::Digests => {
                let (hash, copy) = (outside.content.digests_hash, outside.content.copy);
                (
                    now + Duration::from_millis(1),
                    Mail::DigestsFormed { hash, copy },
                )
            }
        };
        outside.agenda.plan(done_at, Event::ToSender(mail));
    }
}
