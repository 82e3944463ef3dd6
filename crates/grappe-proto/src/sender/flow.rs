//! What leaves: repairs first, new blocks as far as gate, window, credit, memory and pace allow,
//! beats in between.

use std::time::Duration;

use super::peer::Peer;
use super::stragglers::Hold;
use super::{Digests, Event, Job, Output, Phase, Sender, Start};
use crate::limits::{BLOCK_SIZE, WINDOW_BLOCKS};
use crate::rate::{BURST, BURST_SHARED, Pacer};
use crate::session::LimitedBy;
use crate::units::{BlockIndex, Digest, PeerId, Sequence, SymbolIndex, Time};
use crate::wire::control::ToReceiver;
use crate::wire::data::{BEAT_BODY_LEN, Beat};

/// Blocks read before they are sent: hides the disk's hiccups for 4 MiB of line time.
const READ_AHEAD_BLOCKS: u32 = 16;

/// Between beats while there is something to hear about, and while all is quiet.
const BEAT_ACTIVE: Duration = Duration::from_millis(5);
/// Where several senders share the links: who leads them sets the rates, and each node hears all beats.
const BEAT_SHARED: Duration = Duration::from_millis(20);
const BEAT_QUIET: Duration = Duration::from_millis(200);

/// What a receiver must have in its ring for its processor, not the network, to be the cause.
const RING_BUSY_PERMILLE: u16 = 250;

/// Complete blocks waiting to be stored for the disk to be the cause.
const BACKLOG_BUSY: u16 = 8;

/// Complete blocks waiting to be stored at every receiver from which on more would only fill their memory, where
/// all disks are slower than what comes: 8 MiB, beside what comes before the next report.
const BACKLOG_ENOUGH: u64 = (8 << 20) / BLOCK_SIZE as u64;

/// Blocks at one receiver with which it has caught up.
const BACKLOG_CAUGHT_UP: u16 = 8;

/// So long all must be behind to count as slow: disks that only stand still for a moment, all of them even, are to find
/// what came meanwhile.
const BEHIND_MIN: Duration = Duration::from_secs(1);

/// Why nothing can leave now.
pub(super) type Obstacle = Option<(Option<PeerId>, LimitedBy)>;

impl Sender {
    pub(super) fn poll_flow(&mut self, now: Time) {
        self.bury_the_silent(now);
        if let Some(reason) = self.cancelled.clone() {
            return self.abort(&reason, now);
        }
        self.keep_company(now);
        self.sound(now);
        self.admit_tested(now);
        self.poll_pipeline(now);
        if self.pass_is_over() && !self.next_pass(now) {
            return self.finish(now);
        }
        self.open_gate();
        if self.start == Start::Prepared {
            // Nobody stores anything while nothing is sent, and nobody is stuck for that.
            for peer in &mut self.peers {
                peer.storing_at = now;
            }
        }
        if self.phase == Phase::Manifest {
            let holds = self.live().any(|peer| peer.is_ready());
            self.note_held(now, holds.then_some(Hold::Prepare));
        }
        self.issue_reads();
        if now >= self.beat_at {
            self.beat(now);
        }
        if !self.outputs.is_empty() || self.receivers == 0 {
            // Who gets its blocks through the pipeline fetches them.
            return;
        }
        if self.pacer.ready_at() > now {
            if self.rate.is_slack() && !self.rate.is_capped() {
                // The rate only follows what really leaves: the pace is not what limits.
                return self.blame.charge(now, self.obstacle);
            }
            let cause = if self.rate.is_capped() {
                LimitedBy::RateCap
            } else {
                LimitedBy::Network
            };
            let peer = self.rate.limited_by();
            let charged = match (cause, peer) {
                (LimitedBy::Network, Some((peer, at_host))) => {
                    let cause = if at_host { LimitedBy::Host } else { cause };
                    (Some(peer), self.named(peer, cause))
                }
                _ => (None, cause),
            };
            self.blame.charge(now, Some(charged));
        } else {
            let obstacle = self.burst(now);
            self.blame.charge(now, obstacle);
            self.obstacle = obstacle.or(self.obstacle);
            self.note_sent_once();
        }
    }

    /// Tells, once, that all content was sent.
    fn note_sent_once(&mut self) {
        let content = self.setup.stream.content_blocks();
        if !self.sent_once && self.phase == Phase::Content && self.cursor.0 >= content.end {
            self.sent_once = true;
            self.outputs.push_back(Output::Event(Event::SentOnce));
        }
    }

    pub(super) fn block_ready(&mut self, block: BlockIndex) {
        if self.reading.remove(&block) {
            self.ready.insert(block);
            self.note_hashed(block);
        }
    }

    pub(super) fn block_hashed(&mut self, block: BlockIndex) {
        // Not asked for when a receiver of the pipeline got it.
        self.reading.remove(&block);
        self.note_hashed(block);
    }

    fn note_hashed(&mut self, block: BlockIndex) {
        if self.setup.stream.content_blocks().contains(&block) {
            self.hashed.insert(block);
        }
    }

    pub(super) fn digests_ready(&mut self, hash: Digest, copy: Digest) {
        if self.digests != Digests::Asked {
            return;
        }
        self.digests = Digests::Ready { hash, copy };
        let present: Vec<PeerId> = self.present().map(|peer| peer.id).collect();
        for id in present {
            self.outputs.push_back(Output::Control(
                id,
                ToReceiver::Finish {
                    digests_hash: hash.0,
                },
            ));
        }
    }

    /// Content flows when all have prepared; digests when all content was read.
    fn open_gate(&mut self) {
        if !self.is_laid {
            self.gate = self.setup.stream.manifest_blocks().end;
            return;
        }
        if self.phase == Phase::Manifest && self.live().all(|peer| peer.is_ready()) {
            match self.start {
                Start::Given(rate) => {
                    self.begin_content();
                    if let Some(rate) = rate {
                        self.rate.go_back_to(rate, Sequence(self.sequence));
                        self.start = Start::Given(None);
                    }
                }
                Start::Awaited => {
                    self.start = Start::Prepared;
                    let receivers = self.live().count();
                    self.outputs
                        .push_back(Output::Event(Event::Prepared(receivers)));
                }
                Start::Prepared => {}
            }
        }
        let content = self.setup.stream.content_blocks();
        if self.digests == Digests::Unread && self.hashed.covers(content.clone()) {
            self.digests = Digests::Asked;
            self.outputs.push_back(Output::Job(Job::Digests));
        }
        self.gate = match (self.phase, self.digests) {
            (Phase::Content, Digests::Ready { .. }) => self.end(),
            (Phase::Content, _) => content.end,
            _ => content.start,
        };
    }

    /// Reads ahead of the cursor: what is planned to be sent, and content that is not, to be hashed.
    fn issue_reads(&mut self) {
        let readable = match (self.phase, self.digests) {
            (Phase::Content, Digests::Ready { .. }) => self.end(),
            (Phase::Content, _) => self.setup.stream.content_blocks().end,
            _ => self.setup.stream.manifest_blocks().end,
        };
        while self.ahead < READ_AHEAD_BLOCKS && self.reading.len() < READ_AHEAD_BLOCKS as usize {
            let block = self.next_to_read();
            if block >= readable {
                return;
            }
            self.read_ahead = block.next();
            if self.plan.contains(block) {
                self.ahead += 1;
                self.ask(block);
            } else if self.reading.insert(block) {
                self.outputs.push_back(Output::Job(Job::Hash(block)));
            }
        }
    }

    /// The first block from `read_ahead` on that is planned, or content that was never read.
    fn next_to_read(&self) -> BlockIndex {
        let planned = self.planned_from(self.read_ahead);
        let content = self.setup.stream.content_blocks();
        if self.digests != Digests::Unread || self.phase != Phase::Content {
            return planned;
        }
        let unread = self.hashed.next_out(self.read_ahead.max(content.start));
        // What a receiver of the pipeline fetches is read and hashed for it, once.
        let fetched = self.receivers == 0 && self.chain.draws_on_sender();
        let end = if fetched {
            self.reached.min(content.end)
        } else {
            content.end
        };
        if unread < end {
            planned.min(unread)
        } else {
            planned
        }
    }

    fn ask(&mut self, block: BlockIndex) {
        if !self.ready.contains(&block) && self.reading.insert(block) {
            self.outputs.push_back(Output::Job(Job::Read(block)));
        }
    }

    /// Puts one burst out, or says why none can leave.
    fn burst(&mut self, now: Time) -> Obstacle {
        let packet = super::packet_bytes(self.setup.symbol_size);
        let time = if self.shares_links() {
            BURST_SHARED
        } else {
            BURST
        };
        let train = self.setup.burst_packets_max;
        let packets_max = Pacer::burst_packets(time, self.rate.rate(), packet, train);
        let room = usize::try_from(self.floor.credit_end.saturating_sub(self.sequence))
            .unwrap_or(usize::MAX);
        if room == 0 {
            self.note_held(now, Some(Hold::Buffer));
            return self.slowest_hearer();
        }
        // Whole packets, if there is room for one.
        let together = usize::from(self.together);
        let packets_max = packets_max.max(together).min(train).min(room);
        let packets_max = match packets_max / together * together {
            0 => packets_max,
            whole => whole,
        };
        let first = Sequence(self.sequence);
        let mut symbols = Vec::with_capacity(packets_max);
        let have_enough = self.have_all_enough(now);
        self.take_repairs(now, packets_max, false, &mut symbols);
        let obstacle = self.take_new(packets_max, have_enough, &mut symbols);
        if symbols.is_empty() {
            // That somebody is not prepared was noted before.
            if self.phase != Phase::Manifest {
                let by = self.is_window_closed().then_some(Hold::Window);
                self.note_held(now, by);
            }
            // Who is served without end holds the others all the same.
            if self.is_window_closed() || self.cursor.0 >= self.gate || have_enough {
                self.take_repairs(now, packets_max, true, &mut symbols);
            }
            if symbols.is_empty() {
                return obstacle;
            }
        } else {
            self.note_held(now, None);
        }
        let bytes = packet * symbols.len() as u64;
        let rate = self.rate.rate();
        self.pacer.sent(now, bytes, rate);
        self.rate.sent(now, bytes, Sequence(self.sequence));
        let together = self.together;
        self.outputs.push_back(Output::Burst {
            first,
            symbols,
            together,
        });
        None
    }

    fn take_repairs(
        &mut self,
        now: Time,
        packets_max: usize,
        nothing_else: bool,
        symbols: &mut Vec<(BlockIndex, SymbolIndex)>,
    ) {
        let patience = self.report_interval_most();
        while symbols.len() < packets_max {
            if let Some((block, symbol)) = self.repairs.pop_front() {
                self.ledger.sent(block, symbol, Sequence(self.sequence));
                symbols.push((block, symbol));
                self.sequence += 1;
                self.packets_repair += 1;
                continue;
            }
            let mut ledger = std::mem::take(&mut self.ledger);
            let due = ledger.due(now, patience, nothing_else, |block| {
                self.heard_by_all(block)
            });
            self.ledger = ledger;
            let Some((block, wanted)) = due else { return };
            if self.ready.contains(&block) {
                self.repairs
                    .extend(wanted.into_iter().map(|symbol| (block, symbol)));
            } else {
                // It left memory; once it is read again the next report asks again.
                self.ask(block);
            }
        }
    }

    fn take_new(
        &mut self,
        packets_max: usize,
        have_enough: bool,
        symbols: &mut Vec<(BlockIndex, SymbolIndex)>,
    ) -> Obstacle {
        while symbols.len() < packets_max {
            let (block, mut symbol) = self.cursor;
            if block >= self.gate {
                return self.waiting_at_gate();
            }
            if self.is_window_closed() || symbol == 0 && have_enough {
                return self.slowest_storer();
            }
            if !self.ready.contains(&block) {
                // Planned only after the reading had passed it, perhaps.
                self.ask(block);
                return Some((None, LimitedBy::Sender));
            }
            let count = self.symbols(block);
            while symbol < count && symbols.len() < packets_max {
                symbols.push((block, SymbolIndex(symbol as u8)));
                self.sequence += 1;
                symbol += 1;
            }
            self.cursor = (block, symbol);
            if symbol >= count {
                let last = Sequence(self.sequence.saturating_sub(1));
                self.ends.insert(block, last);
                self.cursor = (self.planned_from(block.next()), 0);
                self.ahead = self.ahead.saturating_sub(1);
                self.issue_reads();
            }
        }
        None
    }

    /// Whether the cursor is as far ahead of the slowest receiver as it may be.
    fn is_window_closed(&self) -> bool {
        let (block, _) = self.cursor;
        block < self.gate && block.0 >= self.floor.stored_below.0.saturating_add(WINDOW_BLOCKS)
    }

    /// Whether every receiver has more to store than it can before the sender hears of it and sends on, and has been
    /// behind for a while. Who is slower than others is not waited for here: that is the window's.
    fn have_all_enough(&mut self, now: Time) -> bool {
        let unheard = self.rate.rate().bytes_in(2 * self.report_interval_most());
        let enough = BACKLOG_ENOUGH + unheard / u64::from(BLOCK_SIZE);
        if enough >= WINDOW_BLOCKS.into() {
            self.behind_since = None;
            return false;
        }
        let mut live = self.live().map(|peer| peer.store_backlog).peekable();
        let is_anybody = live.peek().is_some();
        let (mut are_behind, mut have_enough) = (is_anybody, is_anybody);
        for backlog in live {
            have_enough &= u64::from(backlog) >= enough;
            are_behind &= backlog > BACKLOG_CAUGHT_UP;
            if !are_behind {
                break;
            }
        }
        if !are_behind {
            self.behind_since = None;
            return false;
        }
        let since = *self.behind_since.get_or_insert(now);
        have_enough && now.since(since) >= BEHIND_MIN
    }

    fn waiting_at_gate(&self) -> Obstacle {
        match (self.phase, self.digests) {
            (Phase::Content, Digests::Ready { .. }) => self.slowest_storer(),
            (Phase::Content, _) => Some((None, LimitedBy::Sender)),
            _ => None,
        }
    }

    /// Whose buffer is full of packets that it did not process.
    fn slowest_hearer(&self) -> Obstacle {
        let stretch = self.stretch();
        let slowest = self.live().min_by_key(|peer| peer.credit_end(stretch))?;
        let cause = match Self::cause(slowest) {
            LimitedBy::Disk => LimitedBy::Disk,
            _ => LimitedBy::Host,
        };
        Some((Some(slowest.id), self.named(slowest.id, cause)))
    }

    /// What `cause` is called to the user: where a receiver's process does not get to run, its packets wait in the socket, and
    /// what it has to store comes all at once, so that it looks like a slow link or a slow disk.
    pub(super) fn named(&self, id: PeerId, cause: LimitedBy) -> LimitedBy {
        let peer = self.peers.get(id.as_usize());
        if peer.is_some_and(|peer| peer.lateness.is_late()) {
            LimitedBy::Host
        } else {
            cause
        }
    }

    /// Whose store is behind.
    fn slowest_storer(&self) -> Obstacle {
        let slowest = self.live().min_by_key(|peer| peer.stored_below)?;
        Some((
            Some(slowest.id),
            self.named(slowest.id, Self::cause(slowest)),
        ))
    }

    /// What holds this receiver back, as far as its reports tell. Packets are taken in whatever waits for the disk: where
    /// they wait in the ring, the process does not get to run, and to store no more than that.
    pub(super) fn cause(peer: &Peer) -> LimitedBy {
        if peer.ring_permille >= RING_BUSY_PERMILLE {
            LimitedBy::Host
        } else if peer.store_backlog >= BACKLOG_BUSY {
            LimitedBy::Disk
        } else {
            LimitedBy::Network
        }
    }

    /// Puts a beat out.
    pub(super) fn beat(&mut self, now: Time) {
        if !self.present().any(|peer| !peer.is_piped()) {
            self.beat_at = now + BEAT_QUIET;
            return;
        }
        let active =
            !self.is_joining() && (self.floor.stored_below < self.gate || !self.ledger.is_idle());
        let (block, _) = self.cursor;
        let sequence = Sequence(self.sequence);
        self.sequence += 1;
        self.beats += 1;
        let report_interval_us =
            u32::try_from(self.report_interval().as_micros()).unwrap_or(u32::MAX);
        let beat = Beat {
            sent_at: now,
            report_interval_us,
            active,
        };
        self.outputs.push_back(Output::Beat {
            sequence,
            block,
            beat,
        });
        let bytes = super::packet_bytes(BEAT_BODY_LEN as u16);
        self.rate.sent_beside(now, bytes, Sequence(self.sequence));
        let every = match active {
            true if self.shares_links() => BEAT_SHARED,
            true => BEAT_ACTIVE,
            false => BEAT_QUIET,
        };
        self.beat_at = now + every;
    }
}
