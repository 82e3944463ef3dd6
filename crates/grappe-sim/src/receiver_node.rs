//! The driver of one receiver's machine: opens packets, carries out jobs, and watches that the machine
//! asks for nothing impossible.

use std::collections::BTreeSet;
use std::time::Duration;

use grappe_proto::fec::SymbolSet;
use grappe_proto::limits::{SYMBOL_SIZE, WINDOW_BLOCKS};
use grappe_proto::receiver::{Admission, Failure, Input, Job, Output, Receiver};
use grappe_proto::seal::SealKey;
use grappe_proto::units::{BlockIndex, PeerId, Time};
use grappe_proto::wire::control::Done;
use grappe_proto::wire::data::Header;

use crate::disk::Disk;
use crate::event::{Event, Mail};
use crate::liar::twist;
use crate::outcome::End;
use crate::outside::Outside;
use crate::payload::{Store, Symbol};
use crate::random::Random;
use crate::scenario::{Lie, Scenario};
use crate::train::{Arrival, Train};

/// Preparing, verifying and placing take so long.
const JOB_TIME: Duration = Duration::from_millis(2);

/// Outputs in one instant after which a machine is taken to run in a circle.
const OUTPUTS_MAX: u32 = 100_000;

/// A receiver and what belongs to it.
pub(crate) struct ReceiverNode {
    node: usize,
    machine: Option<Receiver>,
    report_key: SealKey,
    random: Random,
    pub(crate) disk: Disk,
    store: Option<Store>,
    buffer_bytes: u64,
    /// Bytes that wait in the socket while the process stands still.
    waiting_bytes: u64,
    dropped: u32,
    told_dropped: u32,
    wake_at: Time,
    /// Until then the process stands still.
    pub(crate) paused_until: Time,
    pub(crate) lie: Option<Lie>,
    /// Content blocks that the disk will spoil once.
    pub(crate) spoils: BTreeSet<u32>,
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
            report_key: SealKey::new(&outside.keys.reports[node]),
            random,
            disk: Disk::new(scenario.store_rate),
            store: scenario.payload.then(Store::default),
            buffer_bytes: scenario.buffer_bytes,
            waiting_bytes: 0,
            dropped: 0,
            told_dropped: 0,
            wake_at: Time::NEVER,
            paused_until: Time::ZERO,
            lie: None,
            spoils: BTreeSet::new(),
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
        match Receiver::new(&welcome, now) {
            Ok(machine) => self.machine = Some(machine),
            Err(error) => return outside.violation(now, || error.to_string()),
        }
        self.input(now, Input::Joined { buffer_bytes: self.buffer_bytes }, outside);
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
            machine.handle(input, now);
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

    /// Packets reach the socket while the process stands still. Says whether they wait there.
    pub(crate) fn buffer(&mut self, train: &Train, arrival: Arrival) -> bool {
        let bytes = train.packet_bytes * u64::from(arrival.count());
        if self.waiting_bytes + bytes > self.buffer_bytes {
            self.dropped += arrival.count();
            return false;
        }
        self.waiting_bytes += bytes;
        true
    }

    /// Packets reach the process.
    pub(crate) fn packets(&mut self, now: Time, train: &Train, arrival: Arrival, outside: &mut Outside) {
        self.waiting_bytes = 0;
        if self.dropped != self.told_dropped {
            self.told_dropped = self.dropped;
            self.input(now, Input::Facts { ring_permille: 0, dropped: self.dropped }, outside);
        }
        for index in 0..train.len() {
            if arrival.broken >> index & 1 == 1 {
                self.broken_packet(now, train, index, outside);
            }
            if arrival.whole >> index & 1 == 1 {
                self.packet(now, train, index, outside);
            }
        }
        self.run(now, outside);
    }

    fn packet(&mut self, now: Time, train: &Train, index: usize, outside: &mut Outside) {
        let header = train.header(index);
        let Some(machine) = &mut self.machine else { return };
        let admission = machine.admit(&header);
        if let Admission::Place(block, _) = admission
            && block.0 >= machine.progress().0 + WINDOW_BLOCKS
        {
            outside.violation(now, || format!("receiver {} would hold block {block}", self.node));
        }
        match (admission, train.sealed.get(index)) {
            (Admission::Foreign, _) => {}
            (Admission::Beat, None) => {
                if let Some(beat) = train.beat() {
                    machine.accept_beat(&header, beat, now);
                }
            }
            (Admission::Beat, Some(packet)) => {
                if machine.open_beat(&header, packet, now).is_err() {
                    outside.violation(now, || format!("receiver {} cannot open a whole beat", self.node));
                }
            }
            (Admission::Place(..) | Admission::Surplus, None) => {
                machine.accept(&header, now);
            }
            (Admission::Place(..) | Admission::Surplus, Some(packet)) => {
                let mut symbol: Symbol = [0; SYMBOL_SIZE as usize];
                if machine.open(&header, packet, &mut symbol).is_err() {
                    return outside.violation(now, || format!("receiver {} cannot open a whole packet", self.node));
                }
                let is_news = machine.accept(&header, now);
                if let (Admission::Place(block, index), Some(store), true) = (admission, &mut self.store, is_news) {
                    store.insert(block, index, &symbol);
                }
            }
        }
    }

    /// A packet with one bit flipped must be survived and must not open.
    fn broken_packet(&mut self, now: Time, train: &Train, index: usize, outside: &mut Outside) {
        let Some(machine) = &mut self.machine else { return };
        let mut packet = match train.sealed.get(index) {
            Some(packet) => packet.clone(),
            None => [&train.header(index).emit()[..], &[0; 64]].concat(),
        };
        let bit = self.random.below(packet.len() as u64 * 8) as usize;
        packet[bit / 8] ^= 1 << (bit % 8);
        let Ok(header) = Header::read(&packet) else { return };
        let opened = match machine.admit(&header) {
            Admission::Foreign => false,
            Admission::Beat => machine.open_beat(&header, &packet, now).is_ok(),
            Admission::Place(..) | Admission::Surplus => {
                machine.open(&header, &packet, &mut [0; SYMBOL_SIZE as usize]).is_ok()
            }
        };
        if opened {
            outside.violation(now, || format!("receiver {} opened a broken packet", self.node));
        }
    }

    fn run(&mut self, now: Time, outside: &mut Outside) {
        for _ in 0..OUTPUTS_MAX {
            let (Some(machine), false) = (&mut self.machine, self.end != End::Running) else { return };
            match machine.poll(now) {
                Output::Wait(at) => return self.wait(now, at, outside),
                Output::Report(packet) => self.report(now, packet, outside),
                Output::Control(message) => {
                    let mail = Mail::Control(PeerId(self.node as u16), message);
                    outside.control_to_sender(now, self.node, mail);
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
            outside.violation(now, || format!("receiver {} waits for an instant that has passed", self.node));
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
            outside.agenda.plan(at, Event::ReceiverWake { node: self.node });
        }
    }

    fn report(&mut self, now: Time, packet: Vec<u8>, outside: &mut Outside) {
        let packet = match self.lie {
            Some(lie) => twist(lie, &packet, &self.report_key, &mut self.random),
            None => packet,
        };
        outside.report(now, self.node, packet);
    }

    fn begin(&mut self, now: Time, job: Job, outside: &mut Outside) {
        let done_at = match job {
            Job::Store { block, present } => {
                let len = self.block_len(block);
                self.check_store(now, block, len, present, outside);
                self.disk.work(now, u64::from(len))
            }
            Job::Prepare | Job::Verify { .. } | Job::Place => now + JOB_TIME,
        };
        outside.agenda.plan(done_at, Event::ReceiverJob { node: self.node, job });
    }

    /// A job that was begun is done.
    pub(crate) fn job_done(&mut self, now: Time, job: Job, outside: &mut Outside) {
        let Some(machine) = &self.machine else { return };
        let stream = machine.stream().clone();
        let input = match job {
            Job::Prepare => Input::Prepared(match &mut self.store {
                Some(store) => store.prepare(&stream),
                None => Ok(outside.content.stream.clone()),
            }),
            Job::Store { block, .. } => {
                self.maybe_spoil(block, outside);
                Input::Stored(block)
            }
            Job::Verify { digests_hash } => Input::Verified(match &self.store {
                Some(store) => store.wrong_blocks(&stream, digests_hash),
                None => std::mem::take(&mut self.spoilt).into_iter().collect(),
            }),
            Job::Place => Input::Placed(Done {
                bytes: outside.content.bytes,
                files: 1,
                digest: self.store.as_ref().map_or(outside.content.copy, |store| store.copy(&stream)).0,
                ..Done::default()
            }),
        };
        self.input(now, input, outside);
    }

    fn check_store(&mut self, now: Time, block: BlockIndex, len: u32, present: SymbolSet, outside: &mut Outside) {
        if let Some(store) = &mut self.store
            && let Err(wrong) = store.store(block, len, present)
        {
            outside.violation(now, || format!("receiver {}: {wrong}", self.node));
        }
    }

    fn maybe_spoil(&mut self, block: BlockIndex, outside: &Outside) {
        let content = outside.content.stream.content_blocks();
        if content.contains(&block) && self.spoils.remove(&(block.0 - content.start.0)) {
            match &mut self.store {
                Some(store) => store.spoil(block),
                None => _ = self.spoilt.insert(block),
            }
        }
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

    /// A receiver that says it is complete must have the sender's bytes.
    fn compare(&self, now: Time, outside: &mut Outside) {
        let Some(store) = &self.store else { return };
        let content = std::rc::Rc::clone(&outside.content);
        for block in (0..content.stream.block_count()).map(BlockIndex) {
            if store.block(block) != Some(&content.block(block)[..]) {
                outside.violation(now, || format!("receiver {} is complete with a wrong block {block}", self.node));
            }
        }
    }

    fn ended(&mut self, now: Time, end: End, outside: &mut Outside) {
        self.end = end;
        self.ended_at = Some(now);
        outside.stored_below[self.node] = u32::MAX;
    }

    fn leave(&self, now: Time, reason: &str, outside: &mut Outside) {
        outside.control_to_sender(now, self.node, Mail::Left(PeerId(self.node as u16), reason.into()));
    }

    fn block_len(&self, block: BlockIndex) -> u32 {
        self.machine.as_ref().and_then(|machine| machine.stream().block_len(block)).unwrap_or(0)
    }
}
