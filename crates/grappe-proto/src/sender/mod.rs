//! The sender's machine: who takes part, what is sent next, when the copy is over.
//!
//! It reads no file, seals no data packet and knows no address: bursts and jobs go out as coordinates,
//! reports and finished jobs come in. The driver in `grappe` and the simulator carry them out.

mod blame;
mod chain;
mod flow;
mod hearing;
mod lateness;
mod packets;
mod peer;
mod pipeline;
mod probe;
mod reports;
mod roster;
mod stragglers;
mod turns;
mod waiting;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use self::blame::Blame;
use self::chain::Chain;
use self::flow::Obstacle;
pub use self::packets::in_packets;
use self::peer::{Peer, Stage};
use self::probe::Probing;
use self::stragglers::Held;
use crate::content::block_set::BlockSet;
use crate::content::stream::{Stream, symbols_in};
use crate::limits::{
    IP_UDP_HEADERS, PEER_SILENCE_MAX, PEERS_MAX, REPORT_PROMPT, longest_between_reports,
};
use crate::rate::{Pacer, RateControl, RateLimits};
use crate::repair::RepairLedger;
use crate::seal::SealKey;
use crate::session::{Expectation, NodeOutcome, Straggler, Transport};
use crate::units::{BlockIndex, Digest, PeerId, Rate, Sequence, SymbolIndex, Time};
use crate::wire::control::{ToReceiver, ToSender};
use crate::wire::data::{Beat, HEADER_LEN, TAG_LEN};

/// What the machine must know before it starts.
#[derive(Debug)]
pub struct SenderSetup {
    /// Tells this session's packets from others'.
    pub tag: u32,
    /// The blocks to send.
    pub stream: Stream,
    /// Bytes in a symbol.
    pub symbol_size: u16,
    /// Whom to wait for.
    pub expectation: Expectation,
    /// How long to wait for them.
    pub wait: Duration,
    /// What becomes of a receiver that is far slower than the others.
    pub straggler: Straggler,
    /// How content gets to receivers.
    pub transport: Transport,
    /// Bytes of the largest IP packet that the interface takes, with headers as long as those of IPv4.
    pub mtu: u32,
    /// Bounds of the rate.
    pub rate: RateLimits,
    /// Packets that fit one train of the driver's socket.
    pub burst_packets_max: usize,
    /// Content flows only after [`Input::Start`]: other copies to the same nodes come first, or share
    /// their links with this one.
    pub starts_when_told: bool,
}

/// What happened outside.
#[derive(Debug)]
pub enum Input<'a> {
    /// A trusted receiver greeted on a new control connection, which the driver numbers `peer`.
    Hello {
        /// The connection's number: 0 for the first, then counting.
        peer: PeerId,
        /// The name that the receiver gave.
        name: String,
        /// A fresh random key for its reports.
        report_key: SealKey,
    },
    /// A control message of a receiver.
    Control(PeerId, ToSender),
    /// The control connection of a receiver ended.
    Left(PeerId, String),
    /// A datagram arrived at the report port.
    Datagram(&'a [u8]),
    /// A block asked for by [`Job::Read`] is in memory.
    BlockReady(BlockIndex),
    /// A block asked for by [`Job::Hash`] is hashed, or one that a receiver of the pipeline asked for.
    BlockHashed(BlockIndex),
    /// A receiver of the pipeline that gets blocks from this node has got as far as this one: those before
    /// it were given, or are not wanted.
    Reached(BlockIndex),
    /// The digests object asked for by [`Job::Digests`] is in memory and has this hash.
    DigestsReady {
        /// BLAKE3 of the digests object.
        hash: Digest,
        /// Hash over all files, as every complete receiver must report it.
        copy: Digest,
    },
    /// What is sent is known by now: the stream with its content. See [`Sender::await_layout`]. It comes
    /// again when the end of a stream from a pipe was read, and blocks beyond it are not to be.
    Laid(Stream),
    /// A node that is expected by name will not come, for this reason: it is not waited for any longer.
    /// Of no effect while it is there, or on a name that nobody expects.
    Absent {
        /// The name.
        name: String,
        /// Why, for a human.
        reason: String,
    },
    /// This process stood still for so long: the receivers' silence in that time was its own deafness.
    Stalled(Duration),
    /// Content may flow, at this rate if one is known to be right.
    Start(Option<Rate>),
    /// The most to send from now on.
    Cap(Rate),
    /// The user or a signal ends the copy.
    Cancel(String),
}

/// Work for the driver that takes a while; it answers with an [`Input`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Job {
    /// Read a block into memory, hashing content on the way; keep it until [`Output::Forget`].
    Read(BlockIndex),
    /// Read a block of content that nobody needs, only to hash it.
    Hash(BlockIndex),
    /// All content was read: form the digests object.
    Digests,
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Seal and send these symbols, numbered from `first` on.
    Burst {
        /// Number of the first symbol.
        first: Sequence,
        /// The symbols.
        symbols: Vec<(BlockIndex, SymbolIndex)>,
        /// How many of them may share a packet, see [`in_packets`].
        together: u8,
    },
    /// Seal and send a beat.
    Beat {
        /// The packet's number.
        sequence: Sequence,
        /// Every block before this one was sent once.
        block: BlockIndex,
        /// Its body.
        beat: Beat,
    },
    /// Seal and send zeros, in one packet.
    Sounding {
        /// The packet's number.
        sequence: Sequence,
        /// Every block before this one was sent once.
        block: BlockIndex,
        /// Bytes of the IP packet.
        bytes: u16,
    },
    /// Answer a greeting with the session's parameters and keys.
    Welcome(PeerId),
    /// Tell a receiver where it gets blocks from now on.
    Feed {
        /// The receiver.
        peer: PeerId,
        /// Tells this order from earlier ones.
        number: u32,
        /// The receiver that it gets them from, and its port; the sender itself when there is none.
        source: Option<(PeerId, u16)>,
    },
    /// Send a control message.
    Control(PeerId, ToReceiver),
    /// Send the manifest on the control channel.
    Manifest(PeerId),
    /// Close a control connection once everything before was sent.
    Close(PeerId),
    /// Do some work.
    Job(Job),
    /// Blocks before this one are needed no more.
    Forget(BlockIndex),
    /// Tell the user.
    Event(Event),
    /// Nothing more to do before this instant or the next input.
    Wait(Time),
    /// The session is over; nothing follows.
    Finished(Summary),
}

/// What the user may want to know as it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A receiver joined.
    Joined(String),
    /// A receiver joined after the copy had begun.
    JoinedLate(String),
    /// A receiver is sent apart from now on, for this reason.
    Demoted(String, String),
    /// A receiver that was sent apart, or came late, goes with the others from here on.
    Returned(String),
    /// So many receivers get what they still lack.
    Apart(usize),
    /// A receiver was turned away or declined.
    Refused(String, String),
    /// Content flows to so many receivers.
    Started(usize),
    /// So many receivers are ready for the content, which may not flow yet.
    Prepared(usize),
    /// All content of this pass was sent once; what follows is repair.
    SentOnce,
    /// A receiver gets its content through the pipeline from here on, for this reason.
    Piped(String, String),
    /// A receiver of the pipeline is at its end from here on, for this reason.
    PassedBy(String, String),
    /// A receiver of the pipeline lost its source, for this reason, and gets another.
    Unfed(String, String),
    /// A receiver is complete and verified.
    Complete(String),
    /// A receiver failed or was lost.
    Gone(String, String),
}

/// The result of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// A line for each node that joined or was expected by name.
    pub nodes: Vec<NodeOutcome>,
    /// Receivers that were expected by number and never came.
    pub missing: usize,
    /// Why the session was broken off, when it was.
    pub cancelled: Option<String>,
    /// Time from the start of content flow to the end.
    pub elapsed: Duration,
    /// Packets sent, beats included.
    pub packets_sent: u64,
    /// Packets sent for repair.
    pub packets_repair: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until the deadline, receivers may join.
    Joining(Time),
    /// The manifest is on its way; receivers prepare.
    Manifest,
    /// Everything else.
    Content,
    /// The summary was given.
    Over,
}

/// The machine.
#[derive(Debug)]
pub struct Sender {
    setup: SenderSetup,
    phase: Phase,
    peers: Vec<Peer>,
    /// Expected nodes that will not come, and why.
    absent: BTreeMap<String, String>,
    outputs: VecDeque<Output>,
    started_at: Time,
    cancelled: Option<String>,
    /// First symbol never sent: `(block, symbol)`.
    cursor: (BlockIndex, u16),
    /// Blocks before this one may be sent.
    gate: BlockIndex,
    /// What is sent in this pass: what one of its receivers lacks.
    plan: BlockSet,
    /// The number of the last turn given to a receiver.
    turns: u32,
    alive_at: Time,
    /// Blocks in the driver's memory, and blocks asked for.
    ready: BTreeSet<BlockIndex>,
    reading: BTreeSet<BlockIndex>,
    /// Reads were issued for every block before this one.
    read_ahead: BlockIndex,
    /// Blocks of the plan between the cursor and `read_ahead`.
    ahead: u32,
    /// Content that was read at least once.
    hashed: BlockSet,
    digests: Digests,
    /// Number of the last packet of each block's first sending in this pass.
    ends: BTreeMap<BlockIndex, Sequence>,
    sequence: u64,
    beats: u64,
    packets_repair: u64,
    repairs: VecDeque<(BlockIndex, SymbolIndex)>,
    ledger: RepairLedger,
    rate: RateControl,
    pacer: Pacer,
    beat_at: Time,
    blame: Blame,
    /// What last held a burst back, other than the pace.
    obstacle: Obstacle,
    floor: Floor,
    /// Since when every live receiver has been behind with storing.
    behind_since: Option<Time>,
    /// How many live receivers there are.
    receivers: usize,
    /// Symbols that share a packet, as every live receiver hears packets so large.
    together: u8,
    /// Whether the content of the stream is known.
    is_laid: bool,
    /// Whether receivers only tell what they would do.
    is_rehearsal: bool,
    held: Held,
    probing: Probing,
    /// When the group is sounded next, while somebody's hearing is tested.
    sound_at: Time,
    /// Who gets blocks from whom in the pipeline.
    chain: Chain,
    /// How far receivers of the pipeline have got that get blocks from this node.
    reached: BlockIndex,
    /// Receivers that have everything and may not go yet, as others get blocks from them; and until when.
    parting: Vec<(PeerId, Time)>,
    start: Start,
    /// Whether it was told that all content was sent once.
    sent_once: bool,
}

/// Whether content may flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    /// Not yet.
    Awaited,
    /// Not yet, and the user knows that all is prepared.
    Prepared,
    /// Yes, at this rate first if one is known.
    Given(Option<Rate>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Digests {
    Unread,
    Asked,
    Ready { hash: Digest, copy: Digest },
}

/// The slowest of the live receivers in each respect, so that a decision need not look at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Floor {
    stored_below: BlockIndex,
    highest: Sequence,
    /// Packets before this number may leave without overrunning anybody's buffer.
    credit_end: u64,
}

impl Sender {
    /// A machine that lets receivers join from `now` on.
    pub fn new(setup: SenderSetup, now: Time) -> Self {
        let packet_bytes = packet_bytes(setup.symbol_size);
        Self {
            phase: Phase::Joining(now + setup.wait),
            peers: Vec::new(),
            absent: BTreeMap::new(),
            outputs: VecDeque::new(),
            started_at: now,
            cancelled: None,
            cursor: (BlockIndex(0), 0),
            gate: BlockIndex(0),
            plan: BlockSet::new(),
            turns: 0,
            alive_at: now,
            ready: BTreeSet::new(),
            reading: BTreeSet::new(),
            read_ahead: BlockIndex(0),
            ahead: 0,
            hashed: BlockSet::new(),
            digests: Digests::Unread,
            ends: BTreeMap::new(),
            // Zero in a report means that nothing was heard yet.
            sequence: 1,
            beats: 0,
            packets_repair: 0,
            repairs: VecDeque::new(),
            ledger: RepairLedger::default(),
            rate: RateControl::new(setup.rate, packet_bytes, now),
            pacer: Pacer::new(now),
            beat_at: now,
            blame: Blame::new(now),
            obstacle: None,
            behind_since: None,
            floor: Floor {
                stored_below: BlockIndex(0),
                highest: Sequence(0),
                credit_end: 0,
            },
            receivers: 0,
            together: 1,
            is_laid: true,
            is_rehearsal: false,
            held: Held::new(now),
            probing: Probing::new(now),
            start: if setup.starts_when_told {
                Start::Awaited
            } else {
                Start::Given(None)
            },
            sent_once: false,
            sound_at: now,
            chain: Chain::new(BlockIndex(setup.stream.block_count())),
            reached: BlockIndex(0),
            parting: Vec::new(),
            setup,
        }
    }

    /// Takes in what happened; afterwards, poll until [`Output::Wait`] or [`Output::Finished`].
    pub fn handle(&mut self, input: Input<'_>, now: Time) {
        if self.phase == Phase::Over {
            return;
        }
        match input {
            Input::Hello {
                peer,
                name,
                report_key,
            } => self.hello(peer, name, report_key, now),
            Input::Control(peer, message) => self.control(peer, message, now),
            Input::Left(peer, reason) => self.left(peer, reason, now),
            Input::Datagram(bytes) => self.datagram(bytes, now),
            Input::BlockReady(block) => self.block_ready(block),
            Input::BlockHashed(block) => self.block_hashed(block),
            Input::Reached(block) => self.reached = self.reached.max(block),
            Input::DigestsReady { hash, copy } => self.digests_ready(hash, copy),
            Input::Laid(stream) => {
                self.setup.stream = stream;
                self.is_laid = true;
                self.chain.set_end(self.end());
                self.close_plan();
                self.refresh_floor();
            }
            Input::Absent { name, reason } => self.absent(name, reason),
            Input::Stalled(gap) => {
                self.behind_since = None;
                for peer in &mut self.peers {
                    peer.excuse(gap);
                }
                self.chain.excuse(gap);
                // Nobody held anybody meanwhile.
                self.held = stragglers::Held::new(now);
            }
            Input::Start(rate) => self.start = Start::Given(rate),
            Input::Cap(rate) => {
                self.setup.rate.cap = Some(rate);
                self.rate.set_cap(rate, Sequence(self.sequence));
            }
            Input::Cancel(reason) => self.cancelled = Some(reason),
        }
    }

    /// What to do next. Never answers the same twice but for [`Output::Wait`].
    pub fn poll(&mut self, now: Time) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        match self.phase {
            Phase::Over => return Output::Wait(Time::NEVER),
            Phase::Joining(deadline) => self.poll_joining(deadline, now),
            Phase::Manifest | Phase::Content => self.poll_flow(now),
        }
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        Output::Wait(self.wake_at(now))
    }

    /// Whether the rate at which packets get lost was met by now.
    pub const fn knows_knee(&self) -> bool {
        self.rate.knee().is_some()
    }

    /// How far the copy is.
    pub fn progress(&self) -> Progress {
        let content = self.setup.stream.content_blocks();
        let blocks =
            |below: BlockIndex| below.clamp(content.start, content.end).0 - content.start.0;
        let stored = self.chain.stored_below();
        // Without multicast nothing leaves by way of the cursor.
        let (sent, rate) = if self.receivers > 0 || self.chain.is_empty() {
            (self.cursor.0, self.rate.leaving().bytes_per_second())
        } else {
            (self.reached, self.chain.rate())
        };
        Progress {
            stored_blocks: blocks(self.floor.stored_below.min(stored)),
            sent_blocks: blocks(sent),
            content_blocks: content.end.0 - content.start.0,
            planned_blocks: self.planned_content(),
            allowed: self.rate.rate().bytes_per_second(),
            knee: self.rate.knee().map(Rate::bytes_per_second),
            packets: (self.packets_sent(), self.packets_repair),
            receivers: self.present().count(),
            rate,
        }
    }

    /// What reached each receiver so far, as its reports tell, in the order of their coming; those that
    /// ended stay.
    pub fn receptions(&self) -> impl Iterator<Item = Reception<'_>> {
        let bytes = u64::from(self.setup.symbol_size);
        self.peers.iter().map(move |peer| Reception {
            name: &peer.name,
            heard_at: peer.heard_at,
            bytes: peer.carried * bytes,
        })
    }

    /// Whether receivers may still join.
    pub fn is_joining(&self) -> bool {
        matches!(self.phase, Phase::Joining(_))
    }

    /// Whether content may not flow before [`Input::Start`], though all are prepared.
    pub fn awaits_start(&self) -> bool {
        self.start == Start::Prepared
    }

    /// Sends the manifest alone until [`Input::Laid`] says what follows it, which depends on what receivers
    /// have. To be called at the beginning.
    pub const fn await_layout(&mut self) {
        self.is_laid = false;
    }

    /// Takes a receiver as complete that has told what it would do. To be called at the beginning.
    pub const fn rehearse(&mut self) {
        self.is_laid = false;
        self.is_rehearsal = true;
    }

    /// Those of the present pass who have joined, and have not said yet that they are ready for content.
    pub fn unprepared(&self) -> impl Iterator<Item = PeerId> {
        let joined = self.live().filter(|peer| peer.stage == Stage::Joined);
        joined.map(|peer| peer.id)
    }

    /// Those of the present pass who have joined and have not ended.
    pub fn members(&self) -> impl Iterator<Item = PeerId> {
        let joined = self
            .live()
            .filter(|peer| matches!(peer.stage, Stage::Joined | Stage::Ready));
        joined.map(|peer| peer.id)
    }

    /// Packets sent so far.
    pub const fn packets_sent(&self) -> u64 {
        self.sequence - 1
    }

    /// Blocks of content that this pass has still to send.
    fn planned_content(&self) -> u32 {
        let content = self.setup.stream.content_blocks();
        if self.phase != Phase::Content {
            return content.end.0 - content.start.0;
        }
        let from = self.cursor.0.max(content.start);
        let runs = self.plan.runs();
        let left =
            runs.map(|run| (run.end.min(content.end).0).saturating_sub(run.start.max(from).0));
        left.sum()
    }

    /// One past the last block.
    fn end(&self) -> BlockIndex {
        BlockIndex(self.setup.stream.block_count())
    }

    /// Data symbols in `block`; zero when there is no such block.
    fn symbols(&self, block: BlockIndex) -> u16 {
        self.setup
            .stream
            .place(block)
            .map_or(0, |place| symbols_in(place.len(), self.setup.symbol_size))
    }

    /// Those who take part in the present pass.
    fn live(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(|peer| peer.is_live())
    }

    /// Those who take part in the session.
    fn present(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter().filter(|peer| peer.is_present())
    }

    fn peer_mut(&mut self, id: PeerId) -> Option<&mut Peer> {
        self.peers.get_mut(id.as_usize())
    }

    /// How often each receiver reports.
    fn report_interval(&self) -> Duration {
        reports::interval(
            self.receivers as u64,
            self.rate.taken(),
            self.shares_links(),
        )
    }

    /// The longest time from one report of a receiver to the next: rare ones are spread.
    fn report_interval_most(&self) -> Duration {
        longest_between_reports(self.report_interval())
    }

    /// How many times a receiver's buffer may be on the way to it. Where reports are seldom, a receiver has
    /// processed much that it has not reported; one whose buffer fills says so out of turn.
    fn stretch(&self) -> u64 {
        let times = self.report_interval().as_micros() / REPORT_PROMPT.as_micros();
        u64::try_from(times).unwrap_or(1).max(1)
    }

    /// Whether this is one of several senders, each with a share of the links, or bounded by who leads them.
    const fn shares_links(&self) -> bool {
        self.setup.starts_when_told && self.setup.rate.cap.is_some()
    }

    fn wake_at(&self, now: Time) -> Time {
        let silence = self
            .present()
            .map(|peer| peer.heard_at + PEER_SILENCE_MAX)
            .min()
            .unwrap_or(Time::NEVER);
        match self.phase {
            Phase::Joining(deadline) => {
                // Beats go to those who joined; before that none is due.
                let beat = match self.live().next() {
                    Some(_) => self.beat_at,
                    None => Time::NEVER,
                };
                // Once it is over, only the test of the group is waited for.
                let deadline = if deadline > now {
                    deadline
                } else {
                    Time::NEVER
                };
                deadline.min(silence).min(beat).min(self.test_at())
            }
            Phase::Over => Time::NEVER,
            Phase::Manifest | Phase::Content => {
                let patience = if self.ledger.is_idle() {
                    Time::NEVER
                } else {
                    now + Duration::from_millis(1)
                };
                let pace = self.pacer.ready_at();
                let pace = if pace > now { pace } else { Time::NEVER };
                silence
                    .min(self.beat_at)
                    .min(patience)
                    .min(pace)
                    .min(self.alive_at)
                    .min(self.test_at())
                    .min(self.pipeline_at(now))
            }
        }
    }
}

/// How far a copy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Blocks of content that every receiver has stored, those left out that are sent apart.
    pub stored_blocks: u32,
    /// Blocks of content that were sent once.
    pub sent_blocks: u32,
    /// Blocks of content in all.
    pub content_blocks: u32,
    /// Blocks of content that this pass has still to send; all of them before it has begun.
    pub planned_blocks: u32,
    /// The rate at which packets may leave, in bytes per second.
    pub allowed: u64,
    /// The rate at which packets got lost last, if they did.
    pub knee: Option<u64>,
    /// Packets sent so far, and those among them that were repairs.
    pub packets: (u64, u64),
    /// Receivers that take part.
    pub receivers: usize,
    /// The rate at which packets leave at present, in bytes per second.
    pub rate: u64,
}

/// What reached a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reception<'a> {
    /// Its name.
    pub name: &'a str,
    /// When it reported last, or came.
    pub heard_at: Time,
    /// Bytes of symbols, repairs and repetitions included.
    pub bytes: u64,
}

/// Bytes of a data packet as IP payload of a link counts them: UDP and IPv4 headers included.
fn packet_bytes(symbol_size: u16) -> u64 {
    HEADER_LEN as u64 + u64::from(symbol_size) + TAG_LEN as u64 + IP_UDP_HEADERS as u64
}

const _: () = assert!(PEERS_MAX <= u16::MAX as usize);
