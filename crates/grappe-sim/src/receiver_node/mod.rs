//! The driver of one receiver's machine: gives it what happens and carries out what it asks for, as the
//! real driver does, and watches that it asks for nothing impossible.
//!
//! Packets are polled for once a train, not once a packet: so does the real driver.

mod host;
mod jobs;
mod packets;

use std::collections::BTreeSet;
use std::time::Duration;

use grappe_proto::content::block_set::BlockSet;
use grappe_proto::receiver::{Failure, Input, Output, Receiver};
use grappe_proto::seal::SealKey;
use grappe_proto::units::{BlockIndex, Time};
use grappe_proto::wire::control::{Done, ToSender};

pub(crate) use self::host::Host;
use self::jobs::JOB_TIME;
use crate::disk::Disk;
use crate::event::{Event, Mail};
use crate::liar::twist;
use crate::marks::Marks;
use crate::outcome::End;
use crate::outside::{Outside, SUITE};
use crate::payload::Store;
use crate::random::Random;
use crate::scenario::{Lie, Scenario};

/// Outputs in one instant after which a machine is taken to run in a circle.
const OUTPUTS_MAX: u32 = 100_000;

/// A receiver and what belongs to it.
pub(crate) struct ReceiverNode {
    node: usize,
    machine: Option<Receiver>,
    /// What is stored from a life before.
    journal: BlockSet,
    /// Whether it is a member of the group.
    hears: bool,
    report_key: SealKey,
    random: Random,
    pub(crate) disk: Disk,
    /// Whole blocks that its disk has before it, and the most that it had.
    backlog: u32,
    pub(crate) backlog_max: u32,
    /// Bytes of the symbols that it did not have before.
    pub(crate) got: Marks,
    store: Option<Store>,
    buffer_bytes: u64,
    /// Bytes that wait in the socket while the process stands still.
    waiting_bytes: u64,
    dropped: u32,
    told_dropped: u32,
    wake_at: Time,
    /// How far its clock is ahead of the world's.
    ahead: Duration,
    /// Its processor, where that is slow.
    pub(crate) host: Option<Host>,
    told_permille: u16,
    /// Until then the process stands still.
    pub(crate) paused_until: Time,
    pub(crate) lie: Option<Lie>,
    /// How long it takes to prepare.
    pub(crate) prepares_for: Duration,
    /// Content blocks that the disk will spoil once.
    pub(crate) spoils: BTreeSet<u32>,
    /// How many of the last blocks of the journal will turn out to be rubbish.
    pub(crate) torn: u32,
    /// Blocks that are spoilt now, in a copy without bytes.
    spoilt: BTreeSet<BlockIndex>,
    pub(crate) end: End,
    pub(crate) ended_at: Option<Time>,
}

impl ReceiverNode {
    pub(crate) fn new(node: usize, scenario: &Scenario, outside: &Outside, random: Random) -> Self {
        Self {
            node,
            machine: None,
            journal: BlockSet::new(),
            hears: true,
            report_key: SealKey::new(SUITE, &outside.keys.reports[node]),
            random,
            disk: Disk::new(scenario.store_rate),
            backlog: 0,
            backlog_max: 0,
            got: Marks::default(),
            store: scenario.payload.then(Store::default),
            buffer_bytes: scenario.buffer_bytes,
            waiting_bytes: 0,
            dropped: 0,
            told_dropped: 0,
            wake_at: Time::NEVER,
            ahead: Duration::ZERO,
            host: None,
            told_permille: 0,
            paused_until: Time::ZERO,
            lie: None,
            prepares_for: JOB_TIME,
            spoils: BTreeSet::new(),
            torn: 0,
            spoilt: BTreeSet::new(),
            end: End::Running,
            ended_at: None,
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.end != End::Running
    }

    /// The connection, and the machine on it.
    pub(crate) fn welcome(&mut self, now: Time, outside: &mut Outside) {
        let welcome = outside.welcome_of(self.node);
        match Receiver::new(&welcome, now + self.ahead) {
            Ok(machine) => self.machine = Some(machine),
            Err(error) => return outside.violation(now, || error.to_string()),
        }
        self.input(
            now,
            Input::Joined {
                buffer_bytes: self.buffer_bytes,
            },
            outside,
        );
        if self.lie == Some(Lie::HearsAnySize) {
            let heard = ToSender::Heard { bytes: u16::MAX };
            let mail = Mail::Control(outside.now_living(self.node), heard);
            outside.control_to_sender(now, self.node, mail);
        }
        if self
            .journal
            .covers(outside.content.stream.manifest_blocks())
        {
            self.input(now, Input::ManifestKnown, outside);
        }
    }

    /// Its process is gone, and another one will come: what was stored stays.
    pub(crate) fn leave_behind(&mut self) {
        self.journal = self.stored().clone();
        self.machine = None;
    }

    /// A process begins, with what the one before has stored.
    pub(crate) fn live(&mut self, outside: &Outside) {
        let torn = std::mem::take(&mut self.torn);
        self.tear(torn, outside);
        self.hears = true;
        self.backlog = 0;
        self.wake_at = Time::NEVER;
    }

    /// Its clock leaps.
    pub(crate) fn clock_jumps(&mut self, now: Time, by: Duration, outside: &mut Outside) {
        self.ahead += by;
        self.wake_at = Time::NEVER;
        self.run(now, outside);
    }

    /// The last `count` content blocks of its journal hold rubbish.
    fn tear(&mut self, count: u32, outside: &Outside) {
        let content = outside.content.stream.content_blocks();
        let stored = (content.start.0..content.end.0)
            .rev()
            .map(BlockIndex)
            .filter(|block| self.journal.contains(*block));
        for block in stored.take(count as usize) {
            match &mut self.store {
                Some(store) => store.spoil(block),
                None => _ = self.spoilt.insert(block),
            }
        }
    }

    /// The sender was gone before it came.
    pub(crate) fn too_late(&mut self, now: Time, outside: &mut Outside) {
        self.ended(
            now,
            End::Failed(Failure::SenderGone("nobody is there".into())),
            outside,
        );
    }

    /// What a copy before has stored.
    pub(crate) fn resume(&mut self, stored: &BlockSet, outside: &Outside) {
        let manifest = outside.content.stream.manifest_blocks();
        let mut known = stored.clone();
        if !stored.covers(manifest.clone()) {
            // Without the whole manifest nobody knows what the rest is.
            known = BlockSet::new();
        }
        for block in known.runs().flat_map(|run| run.start.0..run.end.0) {
            let block = BlockIndex(block);
            if let Some(store) = &mut self.store {
                store.keep(block, outside.content.block(block));
            }
        }
        self.journal = known;
    }

    /// What it has stored.
    pub(crate) fn stored(&self) -> &BlockSet {
        self.machine.as_ref().map_or(&self.journal, Receiver::have)
    }

    pub(crate) fn crash(&mut self, now: Time, silent: bool, outside: &mut Outside) {
        if !self.is_over() {
            self.ended(now, End::Crashed, outside);
            if !silent {
                self.leave(now, "connection reset by peer", outside);
            }
        }
    }

    pub(crate) fn input(&mut self, now: Time, input: Input, outside: &mut Outside) {
        if let Some(machine) = &mut self.machine {
            machine.handle(input, now + self.ahead);
            self.run(now, outside);
        }
    }

    /// The instant it asked for has come, unless another was asked for since.
    pub(crate) fn wake(&mut self, now: Time, outside: &mut Outside) {
        if now >= self.wake_at {
            self.wake_at = Time::NEVER;
            self.run(now, outside);
        }
    }

    fn run(&mut self, now: Time, outside: &mut Outside) {
        for _ in 0..OUTPUTS_MAX {
            let (Some(machine), false) = (&mut self.machine, self.end != End::Running) else {
                return;
            };
            match machine.poll(now + self.ahead) {
                Output::Wait(at) if at == Time::NEVER => return self.wait(now, at, outside),
                Output::Wait(at) => return self.wait(now, at - self.ahead, outside),
                Output::Report(packet) => self.report(now, packet, outside),
                Output::Control(message) => {
                    let mail = Mail::Control(outside.now_living(self.node), message);
                    outside.control_to_sender(now, self.node, mail);
                }
                Output::Hear(hears) => {
                    self.hears = hears;
                    if let (true, Some(machine)) = (hears, &self.machine) {
                        outside.stored_below[self.node] = machine.progress().0;
                    }
                }
                Output::Discard => {
                    if let Some(store) = &mut self.store {
                        store.discard();
                    }
                }
                Output::Serve | Output::Pull { .. } => {
                    outside.violation(now, || "the pipeline is not played here".into());
                }
                Output::Job(job) => self.begin(now, job, outside),
                Output::Finished(result) => self.finished(now, result, outside),
            }
        }
        outside.violation(now, || format!("receiver {} runs in a circle", self.node));
        self.ended(now, End::Crashed, outside);
    }

    fn wait(&mut self, now: Time, at: Time, outside: &mut Outside) {
        if at <= now {
            outside.violation(now, || {
                format!(
                    "receiver {} waits for an instant that has passed",
                    self.node
                )
            });
        }
        if let (Some(machine), None) = (&self.machine, self.lie) {
            let stored = &mut outside.stored_below[self.node];
            if *stored != u32::MAX {
                *stored = machine.progress().0;
            }
        }
        let at = at.max(now + Duration::from_micros(1));
        if at < self.wake_at && at != Time::NEVER {
            self.wake_at = at;
            outside
                .agenda
                .plan(at, Event::ReceiverWake { node: self.node });
        }
    }

    fn report(&mut self, now: Time, packet: Vec<u8>, outside: &mut Outside) {
        let packet = match self.lie {
            Some(lie) => twist(lie, &packet, &self.report_key, &mut self.random),
            None => packet,
        };
        outside.report(now, self.node, packet);
    }

    fn finished(&mut self, now: Time, result: Result<Done, Failure>, outside: &mut Outside) {
        let end = match result {
            Ok(_) => End::Complete,
            Err(failure) => End::Failed(failure),
        };
        if end == End::Complete {
            self.compare(now, outside);
        }
        self.ended(now, end, outside);
        self.leave(now, "the receiver closed the connection", outside);
    }

    fn ended(&mut self, now: Time, end: End, outside: &mut Outside) {
        self.end = end;
        self.ended_at = Some(now);
        outside.stored_below[self.node] = u32::MAX;
    }

    fn leave(&self, now: Time, reason: &str, outside: &mut Outside) {
        outside.control_to_sender(
            now,
            self.node,
            Mail::Left(outside.now_living(self.node), reason.into()),
        );
    }
}
