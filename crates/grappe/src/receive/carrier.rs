//! Drives one receiver's machine: takes packets out of the ring, opens each where it belongs, unless that was
//! done ahead, hands whole blocks to the workers, and carries reports and messages. One thread per session.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flume::{Receiver, Sender, unbounded};
use grappe_os::clock::MonotonicClock;
use grappe_os::udp::MulticastReceiver;
use grappe_proto::content::stream::symbols_in;
use grappe_proto::receiver::{Admission, Failure, Input, Job, Output, Receiver as Machine};
use grappe_proto::units::{BlockIndex, SymbolIndex, Time};
use grappe_proto::wire::control::{Done, ToReceiver, ToSender, Welcome};
use grappe_proto::wire::data::Header;
use tokio::sync::mpsc;

use super::agreement::Agreement;
use super::ahead::{Ahead, Parcel};
use super::destination::Destination;
use super::notes::SessionNotes;
use super::piping::{self, Piping};
use super::ring::{self, Chunk, Packet, Ring};
use super::store::{BlockBuffer, Store};
use super::threads::{self, LeftBehind};
use super::workers::{self, Work, Worked};
use crate::pipeline::Fetched;

/// Block buffers kept for reuse: about as many as wait to be stored at 10 Gbit/s where all disks are slow, 32 MiB.
const SPARE_BUFFERS: usize = 128;

/// The session's threads have so long to end; one write or rename takes far less on a sound disk.
const WIND_UP_MAX: Duration = Duration::from_secs(5);

/// What the other threads tell the one that drives the machine.
pub(super) enum Happening {
    Packets(io::Result<Arc<Parcel>>),
    Control(ToReceiver),
    Closed(String),
    Worked(Worked),
    Fetched(Fetched),
    Stop(String),
}

/// What a session needs from outside.
pub(super) struct Setup {
    pub(super) welcome: Welcome,
    pub(super) socket: MulticastReceiver,
    pub(super) sender: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) destination: Arc<Destination>,
    /// Port to take other nodes' links at.
    pub(super) link_port: u16,
    pub(super) outbox: mpsc::UnboundedSender<ToSender>,
    pub(super) notes: SessionNotes,
    pub(super) left_behind: Arc<LeftBehind>,
    pub(super) processors: usize,
    pub(super) ahead: Arc<Ahead>,
}

/// The running session.
pub(super) struct Carrier {
    clock: MonotonicClock,
    /// When the clock was zero.
    started: Instant,
    machine: Machine,
    happenings: Receiver<Happening>,
    outbox: Option<mpsc::UnboundedSender<ToSender>>,
    reports: UdpSocket,
    ring: Arc<Ring>,
    capacity: u64,
    work: Option<Sender<Work>>,
    /// Whether this node's user ended the session.
    stopped: bool,
    /// Set when the session is over: what is queued is not begun any more.
    over: Arc<AtomicBool>,
    store: Arc<Store>,
    destination: Arc<Destination>,
    notes: SessionNotes,
    left_behind: Arc<LeftBehind>,
    threads: Vec<JoinHandle<()>>,
    blocks: BTreeMap<BlockIndex, BlockBuffer>,
    spare: Vec<Vec<u8>>,
    /// The symbols of a packet that do not go right into their place.
    scratch: Vec<u8>,
    links: piping::Setup,
    /// This node's part in the pipeline, if it has one.
    piping: Option<Piping>,
    happened: Sender<Happening>,
}

impl Carrier {
    /// Starts the threads of a session; the second half of the answer is where its control channel's
    /// messages go.
    ///
    /// # Errors
    ///
    /// In words, when the session cannot be held.
    pub(super) fn start(setup: Setup) -> Result<(Self, Sender<Happening>), String> {
        let Setup {
            welcome,
            socket,
            sender,
            local,
            destination,
            link_port,
            outbox,
            notes,
            left_behind,
            processors,
            ahead,
        } = setup;
        let (clock, started) = (MonotonicClock::new(), Instant::now());
        let now = Time::from_nanos(clock.now_nanos());
        let machine = Machine::new(&welcome, now).map_err(|error| error.to_string())?;
        let text = |error: io::Error| format!("cannot set the session up: {error}");
        let reports = UdpSocket::bind(local).map_err(text)?;
        let mut report_port = sender;
        report_port.set_port(welcome.report_port);
        reports.connect(report_port).map_err(text)?;
        reports.set_nonblocking(true).map_err(text)?;
        let (happened, happenings) = unbounded();
        let (work, jobs) = unbounded();
        let over = Arc::new(AtomicBool::new(false));
        let store = Store::new(
            Arc::clone(&destination),
            &welcome,
            notes.clone(),
            Agreement::new(outbox.clone()),
            Arc::clone(&over),
        );
        let store = Arc::new(store);
        let doer = workers::doer(Arc::clone(&store));
        let mut threads = workers::start(
            &doer,
            processors,
            &jobs,
            &over,
            &happened,
            Happening::Worked,
        )
        .map_err(text)?;
        let ring = Ring::new();
        let capacity = ring::capacity(&socket);
        let deliver = {
            let (ring, opener) = (Arc::clone(&ring), machine.opener().clone());
            move |filled: io::Result<Chunk>| {
                Happening::Packets(filled.map(|chunk| ahead.wrap(chunk, &opener, ring.queued())))
            }
        };
        threads.push(
            ring::start(
                Arc::clone(&ring),
                socket,
                notes.clone(),
                happened.clone(),
                deliver,
            )
            .map_err(text)?,
        );
        let carrier = Self {
            clock,
            started,
            machine,
            happenings,
            outbox: Some(outbox),
            reports,
            ring,
            capacity,
            work: Some(work),
            stopped: false,
            over,
            store,
            destination,
            notes,
            left_behind,
            threads,
            blocks: BTreeMap::new(),
            spare: Vec::new(),
            scratch: vec![0; welcome.symbol_size.into()],
            links: piping::Setup::new(&welcome, sender, link_port),
            piping: None,
            happened: happened.clone(),
        };
        Ok((carrier, happened))
    }

    /// Plays the session to its end.
    pub(super) fn run(mut self) -> Result<Done, Failure> {
        let buffer_bytes = self.capacity;
        self.machine
            .handle(Input::Joined { buffer_bytes }, self.now());
        let result = loop {
            let facts = Input::Facts {
                ring_permille: self.ring.fill_permille(),
                dropped: self.ring.dropped(),
            };
            let now = self.now();
            self.machine.handle(facts, now);
            match self.machine.poll(now) {
                Output::Wait(until) => {
                    let patience = until.since(now).min(Duration::from_secs(1));
                    if let Ok(happening) = self.happenings.recv_timeout(patience) {
                        self.take_in(happening);
                    }
                }
                Output::Finished(result) => break result,
                output => self.carry_out(output),
            }
        };
        if self.is_worth_keeping(&result) {
            let bytes = self.store.keep_for_later();
            if bytes > 0 {
                self.notes.tell(format_args!(
                    "{bytes} bytes of it are kept for a week; the same copy goes on from there"
                ));
            }
        }
        self.wind_up();
        result
    }

    /// Whether another attempt at the same copy could end better.
    fn is_worth_keeping(&self, result: &Result<Done, Failure>) -> bool {
        match result {
            Ok(_) | Err(Failure::Refused(_)) => false,
            Err(Failure::SenderGone(_)) => true,
            Err(Failure::Failed(_)) => self.stopped,
        }
    }

    fn now(&self) -> Time {
        Time::from_nanos(self.clock.now_nanos())
    }

    fn take_in(&mut self, happening: Happening) {
        let now = self.now();
        let input = match happening {
            Happening::Packets(Ok(parcel)) => {
                // Nobody else takes it.
                let Some(chunk) = parcel.take() else {
                    return;
                };
                let now = self.now();
                for (packet, arrived) in chunk.packets() {
                    match packet {
                        Packet::Sealed(packet) => self.packet(packet, arrived, now),
                        Packet::Opened(header, symbols) => self.opened(&header, symbols, now),
                    }
                }
                if let Some(interval) = self.machine.report_interval() {
                    self.ring.reported_every(interval);
                }
                return self.ring.recycle(chunk);
            }
            Happening::Packets(Err(error)) => {
                Input::Failed(format!("cannot hear the group: {error}"))
            }
            Happening::Control(ToReceiver::Manifest { bytes }) => {
                if self.store.take_manifest(bytes) {
                    Input::ManifestKnown
                } else {
                    let text = "the manifest that came is not the one the sender described";
                    Input::Failed(text.into())
                }
            }
            Happening::Control(ToReceiver::Part { bytes, is_last }) => {
                match self.store.agreement().part(&bytes, is_last) {
                    Ok(()) => Input::Control(ToReceiver::Alive),
                    Err(reason) => Input::Failed(reason),
                }
            }
            Happening::Control(message) => Input::Control(message),
            Happening::Closed(reason) => Input::Closed(reason),
            Happening::Stop(reason) => {
                self.stopped = true;
                Input::Failed(reason)
            }
            Happening::Worked(Worked::Prepared(prepared)) => Input::Prepared(prepared),
            Happening::Worked(Worked::Rehearsed) => Input::Rehearsed,
            Happening::Worked(Worked::Stored(block, buffer)) => {
                let is_piped = self.machine.is_piped();
                match (&self.piping, self.machine.stream().place(block)) {
                    (Some(piping), _) if is_piped => piping.stored(block..block.next()),
                    (Some(piping), Some(place)) => {
                        let bytes = buffer.data.get(..place.len() as usize);
                        piping.keep(block, bytes.unwrap_or_default());
                    }
                    _ => {}
                }
                if is_piped {
                    self.give_back(buffer.data);
                } else if self.spare.len() < SPARE_BUFFERS {
                    self.spare.push(buffer.data);
                }
                Input::Stored(block)
            }
            Happening::Worked(Worked::StreamEnded(stream)) => Input::Laid(stream),
            Happening::Fetched(Fetched::Block(number, block, len, data)) => {
                if self.machine.is_as_long(block, len) {
                    return self.fetched(block, len, data, now);
                }
                self.give_back(data);
                if let Some(piping) = &mut self.piping {
                    piping.refuse(number, block);
                }
                Input::unfed(number, "it gives blocks of another length")
            }
            Happening::Fetched(Fetched::Spare(data)) => return self.give_back(data),
            Happening::Fetched(Fetched::Ended(number, reason)) => Input::unfed(number, reason),
            Happening::Worked(Worked::Verified(wrong)) => Input::Verified(wrong),
            Happening::Worked(Worked::Placed(done)) => Input::Placed(done),
            Happening::Worked(Worked::Failed(reason)) => Input::Failed(reason),
        };
        self.machine.handle(input, now);
    }

    /// One packet of the group: opened straight into its place, or dropped without a trace.
    fn packet(&mut self, packet: &[u8], arrived: Instant, now: Time) {
        let Ok(header) = Header::read(packet) else {
            return;
        };
        match self.machine.admit(&header) {
            Admission::Foreign => {}
            Admission::Beat => {
                let since = arrived.saturating_duration_since(self.started);
                let _forged = self
                    .machine
                    .open_beat(&header, packet, Time::ZERO + since, now);
            }
            Admission::Sounding => {
                let _forged = self.machine.open_sounding(&header, packet, now);
            }
            Admission::Surplus | Admission::Place(..) => self.symbols(&header, packet, now),
        }
    }

    /// A packet with symbols. It is opened right into its place where all of it is wanted and stands side by
    /// side in a block that has memory: memory is given for a packet that opened, not for a header that anybody can
    /// write, and what does not open leaves no sense where it was to go.
    fn symbols(&mut self, header: &Header, packet: &[u8], now: Time) {
        let Some(count) = self.machine.opener().symbols_carried(header, packet.len()) else {
            return;
        };
        let size = usize::from(self.machine.symbol_size());
        let (start, len) = (
            usize::from(header.symbol.0) * size,
            usize::from(count) * size,
        );
        let is_wanted = |index| {
            let admission = self.machine.admit(&header.of_symbol(index));
            matches!(admission, Admission::Place(..))
        };
        if (0..count).all(is_wanted)
            && let Some(buffer) = self.blocks.get_mut(&header.block)
            && let Some(place) = buffer.data.get_mut(start..start + len)
        {
            if self.machine.opener().open(header, packet, place).is_ok() {
                for index in 0..count {
                    self.machine.accept(&header.of_symbol(index), now);
                }
            }
            return;
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(len, 0);
        if self
            .machine
            .opener()
            .open(header, packet, &mut scratch)
            .is_ok()
        {
            self.opened(header, &scratch, now);
        }
        self.scratch = scratch;
    }

    /// The symbols of a packet that was opened elsewhere.
    fn opened(&mut self, header: &Header, symbols: &[u8], now: Time) {
        let size = usize::from(self.machine.symbol_size());
        for (index, symbol) in (0_u8..).zip(symbols.chunks_exact(size)) {
            let header = header.of_symbol(index);
            if let Admission::Place(block, number) = self.machine.admit(&header) {
                self.place(block, number, symbol);
            }
            self.machine.accept(&header, now);
        }
    }

    /// A block came through the pipeline.
    fn fetched(&mut self, block: BlockIndex, len: u32, data: Vec<u8>, now: Time) {
        if self.machine.accept_block(block, len, now) {
            let parities = Vec::new();
            // Takes the place of what came of it by multicast.
            self.blocks.insert(block, BlockBuffer { data, parities });
        } else {
            self.give_back(data);
        }
    }

    fn give_back(&self, data: Vec<u8>) {
        if let Some(piping) = &self.piping {
            piping.give_back(data);
        }
    }

    /// This node's part in the pipeline, which begins now if it had none.
    fn piping(&mut self) -> &mut Piping {
        let (links, store, have) = (&self.links, &self.store, self.machine.have());
        let happened = self.happened.clone();
        self.piping.get_or_insert_with(|| {
            Piping::new(links, store, have, move |fetched| {
                let _over = happened.send(Happening::Fetched(fetched));
            })
        })
    }

    fn serve(&mut self) {
        let now = self.now();
        match self.piping().serve() {
            Ok(port) => self.machine.handle(Input::Serving(port), now),
            // The others go past this node.
            Err(error) => self
                .notes
                .tell(format_args!("cannot give blocks to other nodes: {error}")),
        }
    }

    /// Keeps a wanted symbol in the memory of its block.
    fn place(&mut self, block: BlockIndex, symbol: SymbolIndex, bytes: &[u8]) {
        let len = self.machine.stream().place(block).map_or(0, |it| it.len());
        let spare = &mut self.spare;
        let buffer = self.blocks.entry(block).or_insert_with(|| {
            let mut data = spare.pop().unwrap_or_default();
            let symbols = symbols_in(len, self.machine.symbol_size());
            let whole = usize::from(symbols) * bytes.len();
            // Were it to grow by itself, it would take twice as much.
            data.reserve_exact(whole.saturating_sub(data.len()));
            data.resize(whole, 0);
            BlockBuffer {
                data,
                parities: Vec::new(),
            }
        });
        let start = usize::from(symbol.0) * bytes.len();
        match buffer.data.get_mut(start..start + bytes.len()) {
            Some(place) => place.copy_from_slice(bytes),
            None => buffer.parities.push((symbol, bytes.to_vec())),
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Report(packet) => {
                // Lost like any packet when the queue is full; the next one says the same and more.
                let _lost = self.reports.send(&packet);
            }
            Output::Serve => self.serve(),
            Output::Pull { source, blocks } => {
                if let Err(error) = self.piping().fetch(source, blocks) {
                    let (now, text) = (self.now(), format!("cannot fetch blocks: {error}"));
                    self.machine.handle(Input::Failed(text), now);
                }
            }
            Output::Control(message) => {
                if let (ToSender::Ready { have, .. }, Some(piping)) = (&message, &self.piping) {
                    piping.has(have);
                }
                if let Some(outbox) = &self.outbox {
                    // A closed channel is reported by its reader.
                    let _closed = outbox.send(message);
                }
            }
            Output::Hear(hearing) => self.ring.hear(hearing),
            Output::Discard => {
                let room = SPARE_BUFFERS.saturating_sub(self.spare.len());
                let discarded = std::mem::take(&mut self.blocks).into_values();
                self.spare
                    .extend(discarded.take(room).map(|buffer| buffer.data));
            }
            Output::Job(job) => {
                let work = match job {
                    Job::Prepare => Work::Prepare,
                    Job::Verify { digests_hash } => Work::Verify(digests_hash),
                    Job::EndStream { bytes } => Work::EndStream(bytes),
                    Job::Place => Work::Place,
                    Job::Store { block, present } => {
                        let buffer = self.blocks.remove(&block).unwrap_or_default();
                        Work::Store {
                            block,
                            present,
                            buffer,
                        }
                    }
                };
                if let Some(workers) = &self.work {
                    let _over = workers.send(work);
                }
            }
            Output::Wait(_) | Output::Finished(_) => {}
        }
    }

    fn wind_up(&mut self) {
        // First of all: the sender waits for the channel to close.
        self.outbox = None;
        self.store.agreement().close();
        self.dismiss();
        if let Some(piping) = self.piping.take() {
            let fetching = piping.stop();
            self.threads.extend(fetching);
        }
        let ends = threads::join_within(std::mem::take(&mut self.threads), WIND_UP_MAX);
        for name in ends.panicked {
            self.notes
                .tell(format_args!("internal error: the thread {name} panicked"));
        }
        if !ends.hanging.is_empty() {
            self.notes.tell(format_args!(
                "left behind what did not end within {} s: {}; look whether the file system of {} hangs",
                WIND_UP_MAX.as_secs(),
                threads::names(&ends.hanging),
                self.destination.path().display()
            ));
            self.left_behind.add(ends.hanging);
        }
    }

    /// Lets the threads end as soon as they are done with what they are doing.
    fn dismiss(&mut self) {
        self.over.store(true, Ordering::Release);
        self.ring.stop();
        self.work = None;
    }
}

impl Drop for Carrier {
    /// Whatever ends this thread ends the others.
    fn drop(&mut self) {
        self.dismiss();
    }
}
