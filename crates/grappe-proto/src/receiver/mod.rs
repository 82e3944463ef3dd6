//! The receiver's machine: which packets are wanted, which blocks are whole, what to report, when the
//! copy is over.
//!
//! Payload stays with the driver, which opens each packet where [`Receiver::admit`] says, or beforehand
//! with an [`Opener`], and then calls [`Receiver::accept`]; hashing, storing and placing are jobs.

mod opener;
mod pull;
mod report;
#[cfg(test)]
mod tests;
mod window;

use std::collections::VecDeque;
use std::time::Duration;

pub use self::opener::{Opener, symbols_within};
pub use self::pull::Source;
use self::window::Window;
use crate::content::block_set::BlockSet;
use crate::content::stream::{Stream, StreamError, symbols_in};
use crate::fec::SymbolSet;
use crate::limits::{IP_UDP_HEADERS, SENDER_SILENCE_MAX};
use crate::seal::{ReplayWindow, SealKey, Unsealed};
use crate::units::{BlockIndex, Digest, PeerId, Sequence, SymbolIndex, Time};
use crate::wire::WireError;
use crate::wire::control::{Done, ToReceiver, ToSender, Welcome};
use crate::wire::data::{BEAT_BODY_LEN, Beat, HEADER_LEN, Header, Kind, TAG_LEN};

/// How often blocks whose hash differs are fetched again before the copy is given up.
const REFETCHES_MAX: u32 = 3;

/// Between reports while nothing arrives.
const REPORT_QUIET: Duration = Duration::from_millis(200);

/// A pause between two polls that was no wait: reports are due far more often.
const STALL_NOTED: Duration = Duration::from_secs(1);

/// What happened outside.
#[derive(Clone, Debug)]
pub enum Input {
    /// The group is joined; so many bytes of packets may be on the way.
    Joined {
        /// Socket buffer and ring together.
        buffer_bytes: u64,
    },
    /// The whole manifest is there already: from a copy that was broken off, or on the control channel.
    ManifestKnown,
    /// A control message of the sender, after its welcome.
    Control(ToReceiver),
    /// The control connection ended.
    Closed(String),
    /// The job [`Job::Prepare`] is done, or why not.
    Prepared(Result<Prepared, String>),
    /// The job [`Job::Prepare`] is done, and nothing more is wanted than to know what it found.
    Rehearsed,
    /// The job [`Job::EndStream`] is done: the blocks that there are.
    Laid(Stream),
    /// The job [`Job::Store`] is done.
    Stored(BlockIndex),
    /// The job [`Job::Verify`] is done; these blocks hold other bytes than the sender read.
    Verified(Vec<BlockIndex>),
    /// The job [`Job::Place`] is done.
    Placed(Done),
    /// A job failed, or the node cannot go on.
    Failed(String),
    /// Others' connections are taken at this TCP port.
    Serving(u16),
    /// What [`Output::Pull`] asked for cannot be had there.
    Unfed {
        /// The source's number.
        number: u32,
        /// Why, for a human.
        reason: String,
    },
    /// The state of socket and ring, for the next report.
    Facts {
        /// How full the receive ring is, in thousandths.
        ring_permille: u16,
        /// Packets that the socket dropped so far.
        dropped: u32,
    },
}

/// What is known once the manifest is decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// All blocks of the copy.
    pub stream: Stream,
    /// The content blocks that are stored from a copy that was broken off.
    pub have: BlockSet,
}

/// Work for the driver that takes a while; it answers with an [`Input`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Job {
    /// The manifest's blocks are stored: decode it, lay it out, check space, prepare the store.
    Prepare,
    /// The block is whole: rebuild what is missing from parity, hash and write.
    Store {
        /// The block.
        block: BlockIndex,
        /// The symbols that are there, parity included.
        present: SymbolSet,
    },
    /// The sender read its pipe to the end: write what was kept back of the last block, lay the blocks out.
    EndStream {
        /// Bytes in the stream.
        bytes: u64,
    },
    /// Every block is stored: compare the digests object with this hash, and all hashes with it.
    Verify {
        /// What the sender says the digests object hashes to.
        digests_hash: Digest,
    },
    /// Everything is verified: put it under its final names.
    Place,
}

/// What is to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this datagram to the sender's report port.
    Report(Vec<u8>),
    /// Send a control message.
    Control(ToSender),
    /// Join the group, or leave it. It is joined at the beginning.
    Hear(bool),
    /// Forget what came of blocks that are not whole.
    Discard,
    /// Give other receivers blocks: take their connections, and answer with [`Input::Serving`].
    Serve,
    /// Fetch these blocks from this source, in their order, instead of what was asked for before.
    Pull {
        /// Where from; the connection stays as long as its number does.
        source: Source,
        /// Which.
        blocks: BlockSet,
    },
    /// Do some work.
    Job(Job),
    /// Nothing to do before this instant or the next input.
    Wait(Time),
    /// The session is over; nothing follows.
    Finished(Result<Done, Failure>),
}

/// Why a session ended without a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// This node declined: no room, no right, a conflict.
    Refused(String),
    /// This node could not go on.
    Failed(String),
    /// The sender broke off, fell silent or vanished.
    SenderGone(String),
}

/// Where an arriving packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Open it into this symbol's place of this block, then [`Receiver::accept`] it.
    Place(BlockIndex, SymbolIndex),
    /// Open it anywhere and [`Receiver::accept`] it: it counts, its symbol is not needed.
    Surplus,
    /// Open it with [`Receiver::open_beat`].
    Beat,
    /// Open it with [`Receiver::open_sounding`].
    Sounding,
    /// It is not for this session or cannot be; drop it.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Collecting the manifest.
    Manifest,
    /// The driver prepares.
    Preparing,
    /// Collecting content and digests.
    Content,
    Verifying,
    Placing,
    /// The result was told; waiting for the sender's `End`.
    Telling,
    Over,
}

/// Without a sender, files may take so long to get their names: on a file system that hangs, the session must end.
const PLACING_ALONE_MAX: Duration = Duration::from_secs(1800);

/// Beats that are remembered beside the latest: as many as come in the time that a report tells of, 5 ms apart.
const BEATS_BEFORE: usize = 32;

/// A beat, when it reached the socket, and how many packets had been received with it.
#[derive(Clone, Copy, Debug)]
struct HeardBeat {
    beat: Beat,
    arrived: Time,
    received: u64,
}

/// The machine.
#[derive(Debug)]
pub struct Receiver {
    peer: PeerId,
    opener: Opener,
    report_key: SealKey,
    stream: Stream,
    phase: Phase,
    outputs: VecDeque<Output>,
    /// The turn that this receiver takes part in.
    turn: u32,
    /// The last packet sent before it.
    turn_base: Sequence,
    /// Whether it does; otherwise it waits for the next.
    hears: bool,
    window: Window,
    replay: ReplayWindow,
    highest: Sequence,
    received: u64,
    repaired: u64,
    refetches: u32,
    digests_hash: Option<Digest>,
    /// Where the sender's pipe ended, until the driver is told. A short one ends before all is prepared.
    stream_end: Option<u64>,
    result: Option<Done>,
    /// The sender went while files got their final names, for which it is not needed.
    is_alone: bool,
    beat: Option<HeardBeat>,
    /// Those before it, the earliest first.
    beats_before: VecDeque<HeardBeat>,
    heard_at: Time,
    /// When it was asked last what to do.
    polled_at: Time,
    report_at: Time,
    /// How often reports were wanted when that was set.
    turn_interval: Duration,
    /// When the last one was made, and how full it said the ring was.
    reported_at: Time,
    told_permille: u16,
    report_sequence: u64,
    /// Something changed since the last report.
    news: bool,
    joined: bool,
    ring_permille: u16,
    dropped: u32,
    /// Where blocks are fetched from, in the pipeline.
    source: Option<Source>,
    /// Bytes of the largest sounding that was heard.
    sounded: u16,
}

impl Receiver {
    /// A machine for the session that `welcome` describes.
    ///
    /// # Errors
    ///
    /// When the manifest could not be held.
    pub fn new(welcome: &Welcome, now: Time) -> Result<Self, StreamError> {
        let stream = Stream::of_manifest_only(welcome.manifest_len)?;
        Ok(Self {
            peer: PeerId(welcome.peer),
            opener: Opener::new(
                SealKey::new(welcome.suite, &welcome.data_key),
                welcome.tag,
                welcome.symbol_size,
            ),
            report_key: SealKey::new(welcome.suite, &welcome.report_key),
            stream,
            phase: Phase::Manifest,
            outputs: VecDeque::new(),
            turn: 0,
            turn_base: Sequence(0),
            hears: true,
            window: Window::default(),
            replay: ReplayWindow::new(),
            highest: Sequence(0),
            received: 0,
            repaired: 0,
            refetches: 0,
            digests_hash: None,
            stream_end: None,
            result: None,
            is_alone: false,
            beat: None,
            beats_before: VecDeque::new(),
            heard_at: now,
            polled_at: now,
            report_at: now,
            turn_interval: Duration::ZERO,
            reported_at: now,
            told_permille: 0,
            report_sequence: 0,
            news: true,
            joined: false,
            ring_permille: 0,
            dropped: 0,
            source: None,
            sounded: 0,
        })
    }

    /// Where the packet with this header goes. Nothing is believed yet.
    pub fn admit(&self, header: &Header) -> Admission {
        if header.tag != self.opener.tag || self.phase == Phase::Over {
            return Admission::Foreign;
        }
        match header.kind {
            Kind::Beat => Admission::Beat,
            Kind::Sounding => Admission::Sounding,
            Kind::Data if self.wants(header.block, header.symbol) => {
                Admission::Place(header.block, header.symbol)
            }
            Kind::Data => Admission::Surplus,
        }
    }

    /// What opens its data packets.
    pub const fn opener(&self) -> &Opener {
        &self.opener
    }

    /// Takes a symbol of a data packet that opened into its account; `header` is that of this symbol, see
    /// [`Header::of_symbol`]. Says whether the symbol is news.
    pub fn accept(&mut self, header: &Header, now: Time) -> bool {
        let fresh = self.count(header.sequence, now);
        let symbols = self.symbols(header.block);
        let is_data = u16::from(header.symbol.0) < symbols;
        if fresh && is_data && header.sequence > self.turn_base {
            self.window.passed_to(header.block);
        }
        if !self.wants(header.block, header.symbol) {
            return false;
        }
        if header.block < self.window.passed() {
            self.repaired += 1;
        }
        if let Some(present) = self.window.insert(header.block, header.symbol, symbols) {
            self.outputs.push_back(Output::Job(Job::Store {
                block: header.block,
                present,
            }));
        }
        true
    }

    /// Opens a beat, which reached the socket at `arrived`, and takes it into account.
    ///
    /// # Errors
    ///
    /// [`WireError`] when it does not open or is malformed; both count as a wrong length.
    pub fn open_beat(
        &mut self,
        header: &Header,
        packet: &[u8],
        arrived: Time,
        now: Time,
    ) -> Result<(), WireError> {
        let mut body = [0; BEAT_BODY_LEN];
        if packet.len() != HEADER_LEN + BEAT_BODY_LEN + TAG_LEN {
            return Err(WireError::Length(packet.len()));
        }
        self.opener
            .open(header, packet, &mut body)
            .map_err(|_| WireError::Length(packet.len()))?;
        let beat = Beat::read(&body)?;
        self.accept_beat(header, beat, arrived, now);
        Ok(())
    }

    /// Opens a sounding, and tells the sender when it is the largest so far.
    ///
    /// # Errors
    ///
    /// [`Unsealed`] when it was not sealed by the session's sender key.
    pub fn open_sounding(
        &mut self,
        header: &Header,
        packet: &[u8],
        now: Time,
    ) -> Result<(), Unsealed> {
        let len = packet.len().checked_sub(HEADER_LEN + TAG_LEN);
        self.opener
            .open(header, packet, &mut vec![0; len.ok_or(Unsealed)?])?;
        self.accept_sounding(header, packet.len(), now);
        Ok(())
    }

    /// Takes an opened sounding of so many bytes into account.
    pub fn accept_sounding(&mut self, header: &Header, packet_len: usize, now: Time) {
        let bytes = u16::try_from(packet_len.saturating_add(IP_UDP_HEADERS)).unwrap_or(u16::MAX);
        if self.phase != Phase::Over && self.count(header.sequence, now) && bytes > self.sounded {
            self.sounded = bytes;
            self.outputs
                .push_back(Output::Control(ToSender::Heard { bytes }));
        }
    }

    /// Takes an opened beat into account, which reached the socket at `arrived`.
    pub fn accept_beat(&mut self, header: &Header, beat: Beat, arrived: Time, now: Time) {
        if self.count(header.sequence, now) {
            if header.sequence > self.turn_base {
                self.window.passed_to(header.block);
            }
            if self
                .beat
                .is_none_or(|known| beat.sent_at >= known.beat.sent_at)
            {
                let heard = HeardBeat {
                    beat,
                    arrived,
                    received: self.received,
                };
                if let Some(before) = self.beat.replace(heard) {
                    if self.beats_before.len() >= BEATS_BEFORE {
                        self.beats_before.pop_front();
                    }
                    self.beats_before.push_back(before);
                }
                self.hasten(now);
            }
        }
    }

    /// Takes in what happened; afterwards, poll until [`Output::Wait`] or [`Output::Finished`].
    pub fn handle(&mut self, input: Input, now: Time) {
        if self.phase == Phase::Over {
            return;
        }
        match input {
            Input::Joined { buffer_bytes } => {
                self.joined = true;
                self.heard_at = now;
                self.outputs
                    .push_back(Output::Control(ToSender::Joined { buffer_bytes }));
            }
            Input::Control(message) => self.control(message, now),
            Input::Closed(reason) => self.over(Err(Failure::SenderGone(reason))),
            Input::ManifestKnown => {
                if self.phase == Phase::Manifest {
                    let mut have = BlockSet::new();
                    have.insert_range(self.stream.manifest_blocks());
                    self.window.stored_before(&have);
                }
            }
            Input::Prepared(Ok(Prepared { stream, have })) => {
                self.stream = stream;
                self.phase = Phase::Content;
                self.window.stored_before(&have);
                self.say_ready();
                self.fetch();
            }
            Input::Prepared(Err(reason)) => {
                self.outputs.push_back(Output::Control(ToSender::Refused {
                    reason: reason.clone(),
                }));
                self.over(Err(Failure::Refused(reason)));
            }
            Input::Laid(stream) => {
                if self.phase == Phase::Content {
                    self.stream = stream;
                    self.news = true;
                    self.outputs.push_back(Output::Control(ToSender::EndKnown));
                }
            }
            Input::Rehearsed => {
                let done = Done::default();
                self.outputs
                    .push_back(Output::Control(ToSender::Done(done.clone())));
                self.result = Some(done);
                self.phase = Phase::Telling;
            }
            Input::Stored(block) => {
                self.news = true;
                self.window.stored(block);
            }
            Input::Verified(wrong) => self.verified(&wrong),
            Input::Placed(done) => {
                let done = Done {
                    repaired: self.repaired,
                    dropped: u64::from(self.dropped),
                    ..done
                };
                self.outputs
                    .push_back(Output::Control(ToSender::Done(done.clone())));
                self.result = Some(done.clone());
                self.phase = Phase::Telling;
                if self.is_alone {
                    self.over(Ok(done));
                }
            }
            Input::Failed(reason) => self.fail(reason),
            Input::Serving(port) => self.serving(port),
            Input::Unfed { number, reason } => self.unfed(number, reason),
            Input::Facts {
                ring_permille,
                dropped,
            } => (self.ring_permille, self.dropped) = (ring_permille, dropped),
        }
    }

    /// What to do next.
    pub fn poll(&mut self, now: Time) -> Output {
        let gap = now.since(std::mem::replace(&mut self.polled_at, now));
        // Alone it hears nobody anyway, and waits long.
        if gap >= STALL_NOTED && !self.is_alone {
            // This process stood still, or its clock leapt: the sender's silence was its own deafness.
            self.heard_at = self.heard_at + gap;
        }
        if self.outputs.is_empty() {
            self.advance(now);
        }
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        if self.is_alone && self.phase != Phase::Over {
            return Output::Wait(self.heard_at + PLACING_ALONE_MAX);
        }
        if self.phase == Phase::Over || !self.joined {
            return Output::Wait(Time::NEVER);
        }
        if now >= self.report_due() {
            return Output::Report(self.report(now));
        }
        Output::Wait(self.report_due().min(self.heard_at + SENDER_SILENCE_MAX))
    }

    /// Bytes in a symbol.
    pub const fn symbol_size(&self) -> u16 {
        self.opener.symbol_size
    }

    /// What is known of the stream: its manifest alone until it was prepared.
    pub const fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The blocks that are stored.
    pub const fn have(&self) -> &BlockSet {
        self.window.have()
    }

    /// Blocks stored without a gap, and blocks in all as far as known.
    pub fn progress(&self) -> (u32, u32) {
        (self.window.stored_below().0, self.stream.block_count())
    }

    /// Whether the symbol of a packet is to be kept; of blocks that are fetched whole, none is.
    fn wants(&self, block: BlockIndex, symbol: SymbolIndex) -> bool {
        !self.is_piped() && self.stream.place(block).is_some() && self.window.wants(block, symbol)
    }

    /// Counts a packet that opened; says whether it came for the first time.
    fn count(&mut self, sequence: Sequence, now: Time) -> bool {
        if !self.replay.insert(sequence) {
            return false;
        }
        self.heard_at = now;
        self.received += 1;
        self.highest = self.highest.max(sequence);
        self.news = true;
        true
    }

    fn symbols(&self, block: BlockIndex) -> u16 {
        self.stream
            .place(block)
            .map_or(0, |place| symbols_in(place.len(), self.opener.symbol_size))
    }

    fn control(&mut self, message: ToReceiver, now: Time) {
        self.heard_at = now;
        match message {
            ToReceiver::Finish { digests_hash } => self.digests_hash = Some(Digest(digests_hash)),
            ToReceiver::End => match self.result.take() {
                Some(done) => self.over(Ok(done)),
                None if self.phase == Phase::Placing => self.is_alone = true,
                None => self.fail("the sender ended the session before this node was done".into()),
            },
            ToReceiver::Abort { reason } | ToReceiver::Refused { reason } => {
                self.over(Err(Failure::SenderGone(reason)));
            }
            ToReceiver::Turn { number, from, base } => {
                self.begin_turn(number, from, Sequence(base));
            }
            ToReceiver::Pause => {
                self.hears = false;
                self.outputs.push_back(Output::Hear(false));
            }
            ToReceiver::Ended { bytes } => self.stream_end = Some(bytes),
            ToReceiver::Alive => {}
            ToReceiver::Serve => self.outputs.push_back(Output::Serve),
            ToReceiver::Pull {
                number,
                address,
                port,
            } => self.pull(Source {
                number,
                address,
                port,
            }),
            ToReceiver::Welcome(_)
            | ToReceiver::Manifest { .. }
            | ToReceiver::Part { .. }
            | ToReceiver::Examine(_)
            | ToReceiver::Measure => {
                self.fail("the sender broke the protocol: it said again what was said".into());
            }
        }
    }

    /// Goes on to the next phase when this one is complete, and gives up on a silent sender.
    fn advance(&mut self, now: Time) {
        match self.phase {
            Phase::Manifest if self.window.covers(self.stream.manifest_blocks()) => {
                self.phase = Phase::Preparing;
                self.outputs.push_back(Output::Job(Job::Prepare));
            }
            Phase::Content if self.stream_end.is_some() => {
                if let Some(bytes) = self.stream_end.take() {
                    self.outputs
                        .push_back(Output::Job(Job::EndStream { bytes }));
                }
            }
            Phase::Content if self.window.covers(self.all_blocks()) => {
                if let Some(digests_hash) = self.digests_hash {
                    self.phase = Phase::Verifying;
                    self.outputs
                        .push_back(Output::Job(Job::Verify { digests_hash }));
                }
            }
            _ => {}
        }
        if self.is_alone
            && self.phase != Phase::Over
            && now.since(self.heard_at) >= PLACING_ALONE_MAX
        {
            let reason = "the sender is gone, and files do not get their names".into();
            self.phase = Phase::Over;
            self.outputs
                .push_back(Output::Finished(Err(Failure::SenderGone(reason))));
        }
        let silent = self.joined && now.since(self.heard_at) >= SENDER_SILENCE_MAX;
        if silent && self.phase != Phase::Over && !self.is_alone {
            let reason = format!(
                "nothing heard from the sender for {} s",
                SENDER_SILENCE_MAX.as_secs()
            );
            // If only this direction still works, its table can say why this node left.
            self.outputs.push_back(Output::Control(ToSender::Failed {
                reason: reason.clone(),
            }));
            self.over(Err(Failure::SenderGone(reason)));
        }
    }

    fn all_blocks(&self) -> std::ops::Range<BlockIndex> {
        BlockIndex(0)..BlockIndex(self.stream.block_count())
    }

    fn begin_turn(&mut self, number: u32, from: BlockIndex, base: Sequence) {
        (self.turn, self.turn_base) = (number, base);
        self.window.begin_turn(from);
        self.outputs.push_back(Output::Discard);
        if !std::mem::replace(&mut self.hears, true) {
            self.outputs.push_back(Output::Hear(true));
        }
        self.news = true;
        if !matches!(self.phase, Phase::Manifest | Phase::Preparing) {
            self.say_ready();
        }
    }

    /// Says what is there; when the manifest is not, that is said once it is.
    fn say_ready(&mut self) {
        self.news = true;
        self.outputs.push_back(Output::Control(ToSender::Ready {
            turn: self.turn,
            have: self.window.have().clone(),
        }));
    }

    fn verified(&mut self, wrong: &[BlockIndex]) {
        if wrong.is_empty() {
            self.phase = Phase::Placing;
            self.outputs.push_back(Output::Job(Job::Place));
            return;
        }
        self.refetches += 1;
        if self.refetches > REFETCHES_MAX {
            let blocks = wrong.len();
            return self.fail(format!(
                "{blocks} blocks differ from the sender's even after {REFETCHES_MAX} fetches"
            ));
        }
        self.window.reopen(wrong);
        self.phase = Phase::Content;
        self.news = true;
        if let Some(source) = self.source {
            // The source may have the same wrong blocks.
            let blocks = wrong.len();
            self.unfed(
                source.number,
                format!("{blocks} blocks differ from the sender's"),
            );
        }
    }

    fn fail(&mut self, reason: String) {
        self.outputs.push_back(Output::Control(ToSender::Failed {
            reason: reason.clone(),
        }));
        self.over(Err(Failure::Failed(reason)));
    }

    fn over(&mut self, result: Result<Done, Failure>) {
        if self.phase == Phase::Placing && matches!(result, Err(Failure::SenderGone(_))) {
            // Files get their final names already, which cannot be broken off in the middle.
            self.is_alone = true;
            return;
        }
        // Once everything stands under its final name, nothing that the sender does changes that.
        let result = self.result.take().map_or(result, Ok);
        self.phase = Phase::Over;
        self.outputs.push_back(Output::Finished(result));
    }
}
