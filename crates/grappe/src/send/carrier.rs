//! Drives the sender's machine: carries what happens to it and what it decides to sockets, readers and
//! the control plane. One thread; the copy's pace is its pace.

mod ending;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flume::{Receiver, RecvTimeoutError, Sender, unbounded};
use grappe_os::clock::{MonotonicClock, precise_timers};
use grappe_os::udp::{Interface, MulticastSender, SendOutcome};
use grappe_proto::content::manifest::Sync;
use grappe_proto::content::stream::Stream;
use grappe_proto::content::survey::Survey;
use grappe_proto::limits::{IP_UDP_HEADERS, PROTOCOL_VERSION};
use grappe_proto::seal::{KEY_LEN, SealKey};
use grappe_proto::sender::{Event, Input, Job, Output, Sender as Machine, SenderSetup};
use grappe_proto::session::{Expectation, Straggler, Transport};
use grappe_proto::units::{Digest, PeerId, SessionId, Time};
use grappe_proto::wire::control::{ToReceiver, ToSender, Welcome};

use super::cipher;
use super::control::{Connection, ControlPlane, Outbox, Setup, Word};
use super::leader::Leader;
use super::leisure::Leisure;
use super::outage::{Outage, QUEUE_FULL, Verdict};
use super::piping::Piping;
use super::readers::{self, Content, Request};
use super::reports::listen;
use super::standstill::{Seen, Standstill, Verdict as Still};
use super::survey::{Heard, Surveys, pieces_in};
use super::transmit::{Blocks, Transmitter, train_packets_max};
use super::{
    Absence, Happening, Notice, Receptions, SendError, SendOptions, SendReport, Steer, limits,
    random,
};
use crate::announce::{Announcer, Call};
use crate::control::Endpoint;
use crate::network::symbol_size;

/// Between two looks at the progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// Buffers of blocks kept for reuse.
const SPARE_BUFFERS: usize = 32;

/// A pass of the main loop that took so long was no work, but a process that stood still.
const STALL_NOTED: Duration = Duration::from_secs(1);

/// Happenings taken in before the machine is polled again: a flood of them must not stop the flow.
const HAPPENINGS_AT_ONCE: usize = 64;

/// The running copy.
pub(super) struct Carrier {
    clock: MonotonicClock,
    machine: Machine,
    content: Arc<Content>,
    /// What receivers of the pipeline fetch from this node.
    piping: Piping,
    session: SessionId,
    welcome: Welcome,
    happenings: Receiver<Happening>,
    requests: Option<Sender<Request>>,
    threads: Vec<JoinHandle<()>>,
    listening: Arc<AtomicBool>,
    control: Option<ControlPlane>,
    socket: Arc<MulticastSender>,
    transmitter: Transmitter,
    /// The way to the group.
    outage: Outage,
    blocks: Blocks,
    spare: Vec<Vec<u8>>,
    peers: Vec<Peer>,
    numbers: BTreeMap<Connection, PeerId>,
    own_interface: Interface,
    control_port: u16,
    absences: Option<crossbeam_channel::Receiver<Absence>>,
    hash: Option<Digest>,
    /// What receivers tell of what they have, where that is asked for.
    surveys: Option<Surveys>,
    /// The end of a pipe that not all receivers know yet.
    stream_end: Option<StreamEnd>,
    told: Vec<(PeerId, Survey)>,
    names: BTreeMap<PeerId, String>,
    standstill: Standstill,
    noticed_at: Time,
    knee_told: bool,
}

/// A receiver as the carrier knows it.
struct Peer {
    outbox: Option<Outbox>,
    report_key: [u8; KEY_LEN],
    is_local: bool,
    address: IpAddr,
}

/// The end of a pipe, which receivers are told of before the blocks of the hashes follow.
struct StreamEnd {
    stream: Stream,
    /// Who knows it.
    known: BTreeSet<PeerId>,
}

impl Carrier {
    pub(super) fn start(
        options: SendOptions,
        content: Arc<Content>,
        session: SessionId,
        listener: TcpListener,
        socket: Arc<MulticastSender>,
        leader: Option<Leader>,
    ) -> Result<Self, SendError> {
        let clock = MonotonicClock::new();
        let (happened, happenings) = unbounded();
        let (requests, requested) = unbounded();
        let mut threads = readers::start(&content, &requested, &happened)
            .map_err(SendError::system("start a thread"))?;
        let listening = Arc::new(AtomicBool::new(true));
        threads.push(
            listen(
                Arc::clone(&socket),
                happened.clone(),
                Arc::clone(&listening),
            )
            .map_err(SendError::system("start a thread"))?,
        );
        let control_port = listener
            .local_addr()
            .map_err(SendError::system("open the control port"))?
            .port();
        let network = &options.network;
        let announcer = options
            .announce
            .then(|| {
                let (key, call) = (&options.identity, Call::Copy);
                Announcer::new(network, key, call, session, control_port)
            })
            .transpose()
            .map_err(SendError::system("open the announcement socket"))?;
        let is_led = leader.is_some();
        let nodes = match (leader, &options.expectation) {
            // Their names need not resolve.
            (Some(leader), _) => leader.follow(&happened)?,
            (None, Expectation::Names(names)) => names.iter().cloned().collect(),
            _ => Vec::new(),
        };
        let setup = Setup {
            listener,
            endpoint: Endpoint::new(&options.identity)?,
            trust: options.trust,
            session: session.0,
            announcer,
            nodes,
            port: network.port,
        };
        let tag = u32::from_be_bytes(random()?);
        let data_key = random()?;
        let suite = options.cipher.unwrap_or_else(cipher::fastest);
        let piping = Piping::new(
            tag,
            SealKey::new(suite, &data_key),
            &content,
            options.rate,
            happened.clone(),
        );
        let control = ControlPlane::start(setup, happened)
            .map_err(SendError::system("start the control plane"))?;
        let data = network.data_address(session);
        let symbol_size = symbol_size(network.interface.family());
        let welcome = Welcome {
            version: PROTOCOL_VERSION,
            peer: 0,
            tag,
            group: data.ip(),
            port: data.port(),
            report_port: socket.local_port(),
            data_key,
            report_key: [0; KEY_LEN],
            suite,
            symbol_size,
            manifest_len: content.manifest_bytes.len() as u64,
            manifest_hash: *blake3::hash(&content.manifest_bytes).as_bytes(),
            content_bytes: content.source.manifest().total_bytes(),
        };
        let now = Time::from_nanos(clock.now_nanos());
        let transport = match (content.is_piped(), options.transport) {
            (true, Transport::Pipeline) => return Err(SendError::StreamInPipeline),
            // Who falls behind others in the pipeline asks for what was read before.
            (true, _) => Transport::Multicast,
            (false, transport) => transport,
        };
        let terms = &content.source.manifest().terms;
        let is_surveyed = terms.sync != Sync::None || terms.delete || terms.dry_run;
        let transmitter = Transmitter::start(
            Arc::<MulticastSender>::clone(&socket),
            options.processors,
            SealKey::new(suite, &data_key),
            tag,
            symbol_size,
        )
        .map_err(SendError::system("start a thread"))?;
        let setup = SenderSetup {
            tag,
            stream: match is_surveyed {
                true => Stream::of_manifest_only(content.manifest_bytes.len() as u64)?,
                false => content.laid().stream.clone(),
            },
            symbol_size,
            expectation: options.expectation,
            wait: options.wait,
            rate: limits(options.rate),
            // What was sent of a pipe cannot be sent again to whoever was left behind.
            straggler: match (content.is_piped(), options.straggler) {
                (true, Straggler::Demote) => Straggler::Wait,
                (_, straggler) => straggler,
            },
            transport,
            mtu: mtu_over_ipv4(&network.interface),
            burst_packets_max: train_packets_max(symbol_size),
            starts_when_told: is_led,
        };
        let mut machine = Machine::new(setup, now);
        if is_surveyed {
            machine.await_layout();
        } else {
            piping.has_content();
        }
        if content.source.manifest().terms.dry_run {
            machine.rehearse();
        }
        Ok(Self {
            machine,
            surveys: is_surveyed.then(Surveys::default),
            stream_end: None,
            told: Vec::new(),
            names: BTreeMap::new(),
            transmitter,
            outage: Outage::new("cannot send to the group"),
            own_interface: network.interface.clone(),
            control_port,
            absences: options.absences,
            clock,
            content,
            piping,
            session,
            welcome,
            happenings,
            requests: Some(requests),
            threads,
            listening,
            control: Some(control),
            socket,
            blocks: Blocks::new(),
            spare: Vec::new(),
            peers: Vec::new(),
            numbers: BTreeMap::new(),
            hash: None,
            standstill: Standstill::new(now),
            noticed_at: now,
            knee_told: false,
        })
    }

    pub(super) fn run(
        mut self,
        cancel: &crossbeam_channel::Receiver<String>,
        notice: &mut dyn FnMut(Notice<'_>),
    ) -> Result<SendReport, SendError> {
        // Without it a pause of the pacer lasts 50 microseconds longer than meant; it works all the same.
        let _refused = precise_timers();
        let manifest = self.content.source.manifest();
        notice(Notice::Announced {
            session: self.session,
            control: self.own_interface.socket_address(self.control_port),
            bytes: manifest.total_bytes(),
            files: manifest.file_count().into(),
        });
        let mut awake_at = self.now();
        let mut leisure = Leisure::new(awake_at);
        let summary = loop {
            let gap = self.now().since(awake_at);
            if gap >= STALL_NOTED {
                let now = self.now();
                self.machine.handle(Input::Stalled(gap), now);
            }
            awake_at = self.now();
            for _ in 0..HAPPENINGS_AT_ONCE {
                let Ok(happening) = self.happenings.try_recv() else {
                    break;
                };
                self.take_in(happening, notice);
            }
            if let Ok(reason) = cancel.try_recv() {
                let now = self.now();
                self.machine.handle(Input::Cancel(reason), now);
            }
            self.select_when_due();
            self.lay_end_when_due();
            self.note_absences();
            let now = self.now();
            self.tell_progress(now, notice);
            match self.machine.poll(now) {
                Output::Wait(until) => {
                    let until = until.min(now + PROGRESS_INTERVAL);
                    let waits_at = self.now();
                    let happened = self.happenings.recv_timeout(until.since(waits_at));
                    leisure.rested(self.now().since(waits_at));
                    match happened {
                        Ok(happening) => self.take_in(happening, notice),
                        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
                    }
                }
                Output::Finished(summary) => break summary,
                output => {
                    self.transmitter.hurry(leisure.is_over(now));
                    self.carry_out(output, notice);
                }
            }
        };
        Ok(self.wind_up(summary, notice))
    }

    fn now(&self) -> Time {
        Time::from_nanos(self.clock.now_nanos())
    }

    fn take_in(&mut self, happening: Happening, notice: &mut dyn FnMut(Notice<'_>)) {
        let now = self.now();
        match happening {
            Happening::Report(bytes) => self.machine.handle(Input::Datagram(&bytes), now),
            Happening::Block(block, buffer) => {
                self.blocks.insert(block, buffer);
                self.machine.handle(Input::BlockReady(block), now);
            }
            Happening::Hashed(block) => self.machine.handle(Input::BlockHashed(block), now),
            Happening::Digests { hash, copy } => {
                self.hash = Some(copy);
                self.piping.has_digests();
                self.machine.handle(Input::DigestsReady { hash, copy }, now);
            }
            Happening::Hello {
                connection,
                name,
                address,
                outbox,
            } => {
                self.hello(connection, name, address, outbox, now);
            }
            Happening::StreamEnded(bytes) => self.stream_ended(bytes),
            Happening::Compared(digests) => self.selected(digests, now),
            Happening::Message(connection, message) if self.is_for_survey(&message) => {
                if let Some(peer) = self.numbers.get(&connection) {
                    self.survey(*peer, message, now);
                }
            }
            Happening::Message(connection, ToSender::EndKnown) if self.stream_end.is_some() => {
                if let (Some(peer), Some(end)) =
                    (self.numbers.get(&connection), &mut self.stream_end)
                {
                    end.known.insert(*peer);
                }
            }
            Happening::Message(connection, message) => {
                if let Some(peer) = self.numbers.get(&connection) {
                    self.machine.handle(Input::Control(*peer, message), now);
                }
            }
            Happening::Left(connection, address, reason) => match self.numbers.get(&connection) {
                Some(peer) => self.machine.handle(Input::Left(*peer, reason), now),
                None => notice(Notice::Stranger(address, &reason)),
            },
            Happening::Steer(Steer::Start(rate)) => self.machine.handle(Input::Start(rate), now),
            Happening::Steer(Steer::Cap(rate)) => self.machine.handle(Input::Cap(rate), now),
            Happening::Link(stream) => self.piping.take(stream),
            Happening::Reached(block) => self.machine.handle(Input::Reached(block), now),
            Happening::Note(text) => notice(Notice::Note(&text)),
            Happening::Broken(reason) => self.machine.handle(Input::Cancel(reason), now),
        }
    }

    fn note_absences(&mut self) {
        let Some(absences) = &self.absences else {
            return;
        };
        let now = self.now();
        for Absence { name, reason } in absences.try_iter() {
            self.machine.handle(Input::Absent { name, reason }, now);
        }
    }

    fn hello(
        &mut self,
        connection: Connection,
        name: String,
        address: SocketAddr,
        outbox: Outbox,
        now: Time,
    ) {
        if self.content.is_piped() && !self.machine.is_joining() {
            let reason = "a stream has begun, and its beginning cannot be sent again";
            let reason = reason.into();
            let _closed = outbox.send(Word::Message(ToReceiver::Refused { reason }));
            return;
        }
        let (Ok(number), Ok(report_key)) = (u16::try_from(self.peers.len()), random()) else {
            return;
        };
        let peer = PeerId(number);
        self.numbers.insert(connection, peer);
        self.names.insert(peer, name.clone());
        let is_local = address.ip() == self.own_interface.address || address.ip().is_loopback();
        self.peers.push(Peer {
            outbox: Some(outbox),
            report_key,
            is_local,
            address: address.ip(),
        });
        self.machine.handle(
            Input::Hello {
                peer,
                name,
                report_key: SealKey::new(self.welcome.suite, &report_key),
            },
            now,
        );
    }

    /// The end of the input is known: tells everybody where it is.
    fn stream_ended(&mut self, bytes: u64) {
        match self.content.end_stream(bytes) {
            Ok(laid) => {
                self.stream_end = Some(StreamEnd {
                    stream: laid.stream.clone(),
                    known: BTreeSet::new(),
                });
            }
            Err(error) => return self.break_off(error.to_string()),
        }
        for number in 0..self.peers.len() {
            if let Ok(number) = u16::try_from(number) {
                self.tell(PeerId(number), ToReceiver::Ended { bytes });
            }
        }
    }

    /// Once all receivers know where the stream ends, tells the machine what follows it.
    fn lay_end_when_due(&mut self) {
        let is_due =
            |end: &mut StreamEnd| self.machine.members().all(|peer| end.known.contains(&peer));
        if let Some(end) = self.stream_end.take_if(is_due) {
            let now = self.now();
            self.standstill.moved(now);
            self.machine.handle(Input::Laid(end.stream), now);
        }
    }

    /// Whether a message is about what a receiver has, or comes before that is settled: not yet the
    /// machine's business.
    fn is_for_survey(&self, message: &ToSender) -> bool {
        let is_early = |surveys: &Surveys| !surveys.is_selected();
        match message {
            ToSender::Part { .. } => self.surveys.is_some(),
            ToSender::Ready { .. } => self.surveys.as_ref().is_some_and(is_early),
            _ => false,
        }
    }

    fn survey(&mut self, peer: PeerId, message: ToSender, now: Time) {
        let Some(surveys) = &mut self.surveys else {
            return;
        };
        self.standstill.moved(now);
        let ToSender::Part { bytes, is_last } = message else {
            let reason = "broke the protocol: ready before anything was selected";
            return self.turn_out(peer, reason.into(), now);
        };
        let survey = match surveys.part(peer, &bytes, is_last) {
            Ok(Some(survey)) => survey,
            Ok(None) => return,
            Err(reason) => return self.turn_out(peer, reason, now),
        };
        let heard = surveys.add(&survey);
        self.told.push((peer, survey));
        match heard {
            Heard::Noted => {}
            Heard::Answer(answer) => self.say(peer, Word::Frames(answer)),
            Heard::TooLate => {
                let reason = "came when what it lacks was not to be sent any more; send again";
                self.turn_out(peer, reason.into(), now);
            }
        }
    }

    /// Ends the session for one receiver.
    fn turn_out(&mut self, peer: PeerId, reason: String, now: Time) {
        let told = reason.clone();
        self.tell(peer, ToReceiver::Abort { reason: told });
        self.machine.handle(Input::Left(peer, reason), now);
    }

    /// Has old versions hashed when all receivers have told what they have.
    fn select_when_due(&mut self) {
        let is_due = !self.machine.is_joining()
            && self
                .surveys
                .as_ref()
                .is_some_and(|surveys| surveys.is_complete(self.machine.unprepared()));
        if is_due
            && !self.content.source.manifest().terms.dry_run
            && let (Some(surveys), Some(requests)) = (&mut self.surveys, &self.requests)
        {
            let (_, compare) = surveys.close(pieces_in(self.content.source.manifest()));
            let _over = requests.send(Request::Compare(compare));
        }
    }

    /// The hashes are there: lays out what is sent, and tells everybody.
    fn selected(&mut self, digests: Vec<u8>, now: Time) {
        let Some(surveys) = &mut self.surveys else {
            return;
        };
        let (selected, hashed) = surveys.close(pieces_in(self.content.source.manifest()));
        match self.content.select(&selected, &hashed, &digests) {
            Ok(laid) => self.machine.handle(Input::Laid(laid.stream.clone()), now),
            Err(error) => return self.break_off(error.to_string()),
        }
        self.piping.has_content();
        self.standstill.moved(now);
        let (peers, answer) = surveys.select(digests);
        for peer in peers {
            self.say(peer, Word::Frames(Arc::clone(&answer)));
        }
    }

    fn carry_out(&mut self, output: Output, notice: &mut dyn FnMut(Notice<'_>)) {
        match output {
            Output::Burst {
                first,
                symbols,
                together,
            } => {
                let outcome = self
                    .transmitter
                    .burst(&self.blocks, first, &symbols, together);
                self.sent(&outcome, notice);
            }
            Output::Beat {
                sequence,
                block,
                beat,
            } => {
                let outcome = self.transmitter.beat(sequence, block, &beat);
                self.sent(&outcome, notice);
            }
            Output::Sounding {
                sequence,
                block,
                bytes,
            } => {
                let outcome = self.transmitter.sounding(sequence, block, bytes);
                self.sent(&outcome, notice);
            }
            Output::Feed {
                peer,
                number,
                source,
            } => self.feed(peer, number, source),
            Output::Welcome(peer) => self.welcome(peer),
            Output::Control(peer, message) => self.tell(peer, message),
            Output::Manifest(peer) => {
                let bytes = self.content.manifest_bytes.clone();
                self.tell(peer, ToReceiver::Manifest { bytes });
            }
            Output::Close(peer) => {
                if let Some(peer) = self.peers.get_mut(peer.as_usize()) {
                    peer.outbox = None;
                }
            }
            Output::Job(job) => self.request(job),
            Output::Forget(below) => {
                let kept = self.blocks.split_off(&below);
                let forgotten = std::mem::replace(&mut self.blocks, kept);
                let room = SPARE_BUFFERS.saturating_sub(self.spare.len());
                self.spare.extend(forgotten.into_values().take(room));
            }
            Output::Event(event) => {
                if let (Event::Started(_), Some(control)) = (&event, &mut self.control) {
                    control.announce_rarely();
                }
                notice(Notice::Event(&event));
            }
            Output::Wait(_) | Output::Finished(_) => {}
        }
    }

    fn welcome(&mut self, peer: PeerId) {
        let Some(known) = self.peers.get(peer.as_usize()) else {
            return;
        };
        if known.is_local {
            // Costs a copy of every packet, so only when a receiver on this host needs it.
            if let Err(error) = self.socket.set_loopback(true) {
                return self.break_off(format!("cannot send to this host: {error}"));
            }
        }
        let welcome = Welcome {
            peer: peer.0,
            report_key: known.report_key,
            ..self.welcome.clone()
        };
        self.tell(peer, ToReceiver::Welcome(welcome));
    }

    /// Tells a receiver where it gets blocks from.
    fn feed(&self, peer: PeerId, number: u32, source: Option<(PeerId, u16)>) {
        let known = |source: PeerId| Some(self.peers.get(source.as_usize())?.address);
        // Zeros stand for this node: it may have another address at the receiver than here.
        let (address, port) = match source.map(|(source, port)| (known(source), port)) {
            Some((Some(address), port)) => (address, port),
            _ => (Ipv4Addr::UNSPECIFIED.into(), 0),
        };
        let message = ToReceiver::Pull {
            number,
            address,
            port,
        };
        self.tell(peer, message);
    }

    fn tell(&self, peer: PeerId, message: ToReceiver) {
        self.say(peer, Word::Message(message));
    }

    fn say(&self, peer: PeerId, word: Word) {
        if let Some(Peer {
            outbox: Some(outbox),
            ..
        }) = self.peers.get(peer.as_usize())
        {
            // A closed connection is reported by its reader.
            let _closed = outbox.send(word);
        }
    }

    fn request(&mut self, job: Job) {
        let request = match job {
            Job::Read(block) => {
                let memory = self.spare.pop().unwrap_or_else(readers::block_memory);
                Request::Block(block, memory)
            }
            Job::Hash(block) => Request::Hash(block),
            Job::Digests => Request::Digests,
        };
        if let Some(requests) = &self.requests {
            let _over = requests.send(request);
        }
    }

    /// What did not leave is lost like any packet, as long as the way to the group may come back.
    fn sent(&mut self, outcome: &io::Result<SendOutcome>, notice: &mut dyn FnMut(Notice<'_>)) {
        let now = Instant::now();
        let verdict = match outcome {
            // What became of it is told with a later one.
            Ok(SendOutcome::Sent { packets: 0 }) => Verdict::Bear,
            Ok(SendOutcome::Refused { sent: 0, .. }) => {
                self.outage.failed_for(now, QUEUE_FULL.into())
            }
            Ok(_) => match self.outage.passed(now) {
                Some(text) => Verdict::Tell(text),
                None => Verdict::Bear,
            },
            Err(error) => self.outage.failed(now, error),
        };
        match verdict {
            Verdict::Bear => {}
            Verdict::Tell(text) => notice(Notice::Note(&text)),
            Verdict::GiveUp(reason) => self.break_off(reason),
        }
    }

    fn break_off(&mut self, reason: String) {
        let now = self.now();
        self.machine.handle(Input::Cancel(reason), now);
    }

    fn tell_progress(&mut self, now: Time, notice: &mut dyn FnMut(Notice<'_>)) {
        // Who leads a gather waits for this sender's first word of what the links carry.
        let is_news = !self.knee_told && self.machine.knows_knee();
        if now.since(self.noticed_at) < PROGRESS_INTERVAL && !is_news {
            return;
        }
        self.noticed_at = now;
        self.knee_told |= is_news;
        let progress = self.machine.progress();
        notice(Notice::Progress(progress));
        notice(Notice::Receptions(Receptions(&self.machine)));
        let is_preparing = self.machine.unprepared().next().is_some();
        let seen = Seen {
            stored_blocks: progress.stored_blocks,
            sent_blocks: progress.sent_blocks,
            read_blocks: self.content.read_blocks(),
            receivers: progress.receivers,
            is_held: self.machine.is_joining() || self.machine.awaits_start(),
            hashing_bytes: if is_preparing {
                self.content.source.manifest().total_bytes()
            } else {
                0
            },
        };
        match self.standstill.look(seen, now) {
            Still::Moves => {}
            Still::Waits => notice(Notice::Waiting(&self.machine.waiting_for())),
            Still::IsStuck(time) => {
                let reason = format!(
                    "nothing moved for {} s, waiting for {}",
                    time.as_secs(),
                    self.machine.waiting_for()
                );
                self.break_off(reason);
            }
        }
    }
}

/// The MTU of packets with headers as short as those of IPv4, by which the machine counts.
fn mtu_over_ipv4(interface: &Interface) -> u32 {
    let longer = interface.family().header_bytes() - IP_UDP_HEADERS;
    interface.mtu.saturating_sub(longer as u32)
}
