//! The receive ring: one thread takes packets out of the socket as fast as they come and fills chunks
//! of memory with them; another takes whole chunks out and works at its own pace.
//!
//! It does not look into packets, but for those that are opened ahead.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use flume::Sender;
use grappe_os::udp::{MulticastReceiver, TRAIN_BYTES_MAX, Train, Wait};
use grappe_proto::limits::SENDER_SILENCE_MAX;
use grappe_proto::receiver::{Opener, symbols_within};
use grappe_proto::wire::data::Header;

use super::REJOIN;
use super::notes::SessionNotes;
use super::outage::Outage;
use super::workers::internal_error;

/// Bytes of a chunk: four full trains.
const CHUNK_BYTES: usize = 256 * 1024;

/// Reads that one chunk takes: a flood of empty packets must not fill the memory with their lengths.
const RUNS_MAX: usize = 1024;

/// Chunks in the ring: 32 MiB, a quarter of a second at 1 Gbit/s.
pub(super) const CHUNKS: usize = 128;

/// Chunks waiting to be worked on from which on a chunk is filled up before it is passed on.
const QUEUE_SHORT: usize = 4;

/// Packets are let gather for so long while they flow: fewer wake-ups, larger batches. At least, and at
/// most where they come slowly and are reported of seldom.
const GATHER: Duration = Duration::from_millis(1);
const GATHER_MOST: Duration = Duration::from_millis(16);

/// Of the time between two reports, packets may gather for this part: a report is to be fresh.
const GATHER_PART: u32 = 6;

/// What should gather.
const GATHERED: usize = 96 * 1024;

/// Nothing waits longer in a socket; more is a wall clock that was set.
const WAITED_MAX: Duration = Duration::from_secs(1);

/// The socket must hold what arrives meanwhile: in a millisecond at 10 Gbit/s three times as much. Packets gather for longer only
/// where they came slowly, and what comes faster all at once may fill it one time.
const GATHER_BUFFER_MIN: usize = 4 << 20;

/// How often a thread that has left the group looks whether it is to come back.
const AWAY: Duration = Duration::from_millis(2);

/// How often an idle thread looks whether it is still wanted.
const IDLE: Duration = Duration::from_millis(20);

/// Trouble with the socket that is borne: an interface may be down for a moment.
const OUTAGE_MAX: Duration = Duration::from_secs(8);

// Else the session would end for the sender's silence, and the true reason stay unknown.
const _: () = assert!(OUTAGE_MAX.as_nanos() < SENDER_SILENCE_MAX.as_nanos());

/// Between two attempts to hear, in trouble.
const RETRY: Duration = Duration::from_millis(100);

/// A run of packets of equal length in a chunk.
#[derive(Clone, Copy, Debug)]
struct Run {
    start: usize,
    len: usize,
    segment: usize,
    /// When they reached this host.
    arrived: Instant,
}

/// A packet as it came, or opened ahead.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// Header, ciphertext and tag.
    Sealed(&'a [u8]),
    /// The symbols of a data packet of the session.
    Opened(Header, &'a [u8]),
}

/// What became of a packet that was to be opened ahead. A byte for each: a flood of tiny packets must not fill the
/// memory with them.
#[derive(Clone, Copy, Debug)]
enum Seal {
    /// It is no data packet of the session, and was left alone.
    Kept,
    Opened,
    /// It was none after all, and is of no use any more.
    Broken,
}

/// A piece of the ring with the packets in it.
pub(super) struct Chunk {
    memory: Box<[u8]>,
    runs: Vec<Run>,
    used: usize,
    /// Of the first packets, those that were looked at ahead.
    seals: Vec<Seal>,
}

impl Chunk {
    fn new() -> Self {
        Self {
            memory: vec![0; CHUNK_BYTES].into_boxed_slice(),
            runs: Vec::new(),
            used: 0,
            seals: Vec::new(),
        }
    }

    /// The packets, in the order of their arrival, and when each reached this host.
    pub(super) fn packets(&self) -> impl Iterator<Item = (Packet<'_>, Instant)> {
        let arrived = self.runs.iter().flat_map(|run| {
            let packets = &self.memory[run.start..run.start + run.len];
            let packets = packets.chunks(run.segment.max(1));
            packets.map(|packet| (packet, run.arrived))
        });
        let seals = self.seals.iter().copied();
        let seals = seals.chain(std::iter::repeat(Seal::Kept));
        arrived.zip(seals).filter_map(|((packet, arrived), seal)| {
            let packet = match seal {
                Seal::Kept => Packet::Sealed(packet),
                // The header stands there as it was.
                Seal::Opened => Packet::Opened(Header::read(packet).ok()?, symbols_within(packet)),
                Seal::Broken => return None,
            };
            Some((packet, arrived))
        })
    }

    /// Opens the data packets of the session where they lie, until `is_wanted` between two reads. What was looked
    /// at before is left alone.
    pub(super) fn open(&mut self, opener: &Opener, is_wanted: &AtomicBool) {
        let mut seen = self.seals.len();
        for run in &self.runs {
            if is_wanted.load(Ordering::Relaxed) {
                return;
            }
            let packets = &mut self.memory[run.start..run.start + run.len];
            for packet in packets.chunks_mut(run.segment.max(1)) {
                if seen > 0 {
                    seen -= 1;
                    continue;
                }
                let seal = match opener.fits(packet) {
                    None => Seal::Kept,
                    Some(header) => match opener.open_in_place(&header, packet) {
                        Ok(()) => Seal::Opened,
                        Err(_) => Seal::Broken,
                    },
                };
                self.seals.push(seal);
            }
        }
    }

    fn has_room(&self) -> bool {
        CHUNK_BYTES - self.used >= TRAIN_BYTES_MAX && self.runs.len() < RUNS_MAX
    }
}

#[cfg(test)]
impl Chunk {
    /// A chunk with these packets, each a read of its own.
    pub(super) fn of(packets: &[Vec<u8>]) -> Self {
        let mut chunk = Self::new();
        for packet in packets {
            let start = chunk.used;
            chunk.used += packet.len();
            chunk.memory[start..chunk.used].copy_from_slice(packet);
            chunk.runs.push(Run {
                start,
                len: packet.len(),
                segment: packet.len(),
                arrived: Instant::now(),
            });
        }
        chunk
    }
}

/// What both ends of the ring share.
pub(super) struct Ring {
    free: Mutex<Vec<Chunk>>,
    made: AtomicUsize,
    queued: AtomicUsize,
    dropped: AtomicU32,
    wanted: AtomicBool,
    /// Whether the group is to be heard.
    hearing: AtomicBool,
    /// How long packets may gather, in microseconds.
    gather_most: AtomicU32,
}

impl Ring {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            free: Mutex::new(Vec::new()),
            made: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            dropped: AtomicU32::new(0),
            wanted: AtomicBool::new(true),
            hearing: AtomicBool::new(true),
            gather_most: AtomicU32::new(GATHER.as_micros() as u32),
        })
    }

    /// Gives a chunk back, its packets being worked off.
    pub(super) fn recycle(&self, mut chunk: Chunk) {
        chunk.runs.clear();
        chunk.seals.clear();
        chunk.used = 0;
        self.queued.fetch_sub(1, Ordering::Relaxed);
        // The last one used is the next one filled: it is still in the cache.
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(chunk);
    }

    /// Chunks that were passed on and not given back yet.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// How full the ring is, in thousandths.
    pub(super) fn fill_permille(&self) -> u16 {
        (self.queued().min(CHUNKS) * 1000 / CHUNKS) as u16
    }

    /// Reads that the socket had no room for.
    pub(super) fn dropped(&self) -> u32 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Whether to hear the group, or to leave it for a while.
    pub(super) fn hear(&self, hearing: bool) {
        self.hearing.store(hearing, Ordering::Relaxed);
    }

    /// Takes note of how often what comes is reported of.
    pub(super) fn reported_every(&self, interval: Duration) {
        let most = (interval / GATHER_PART).clamp(GATHER, GATHER_MOST);
        self.gather_most
            .store(most.as_micros() as u32, Ordering::Relaxed);
    }

    fn gather_most(&self) -> Duration {
        Duration::from_micros(self.gather_most.load(Ordering::Relaxed).into())
    }

    /// Ends the receiving thread.
    pub(super) fn stop(&self) {
        self.wanted.store(false, Ordering::Relaxed);
    }

    fn take_free(&self) -> Option<Chunk> {
        let recycled = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        recycled.or_else(|| {
            let made = self.made.load(Ordering::Relaxed);
            // Only the receiving thread makes chunks.
            (made < CHUNKS).then(|| {
                self.made.store(made + 1, Ordering::Relaxed);
                Chunk::new()
            })
        })
    }
}

/// Bytes of packets that may be on the way to this socket and ring without loss.
pub(super) fn capacity(socket: &MulticastReceiver) -> u64 {
    let socket = socket.receive_buffer_bytes().unwrap_or(0) as u64;
    // The kernel counts its own bookkeeping against the socket's buffer; half is a safe share. Of the
    // ring, a quarter: the thread that fills it must find the processor in time.
    socket / 2 + (CHUNKS * CHUNK_BYTES / 4) as u64
}

/// The socket, or what stands for it in a test.
trait Ear {
    fn receive_train(&self, buffer: &mut [u8], wait: Wait) -> io::Result<Option<Train>>;
    fn rejoin(&self) -> io::Result<()>;
    fn leave(&self) -> io::Result<()>;
}

impl Ear for MulticastReceiver {
    fn receive_train(&self, buffer: &mut [u8], wait: Wait) -> io::Result<Option<Train>> {
        self.receive_train(buffer, wait)
    }

    fn rejoin(&self) -> io::Result<()> {
        self.rejoin()
    }

    fn leave(&self) -> io::Result<()> {
        self.leave()
    }
}

/// Starts the thread that fills the ring; `deliver` makes the message that carries a chunk.
///
/// # Errors
///
/// When the system has no thread left.
pub(super) fn start<M: Send + 'static>(
    ring: Arc<Ring>,
    socket: MulticastReceiver,
    notes: SessionNotes,
    out: Sender<M>,
    deliver: impl Fn(io::Result<Chunk>) -> M + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("ring".into()).spawn(move || {
        let gathers = socket
            .receive_buffer_bytes()
            .is_ok_and(|bytes| bytes >= GATHER_BUFFER_MIN);
        let filling = || fill(&ring, &socket, gathers, &notes, &out, &deliver);
        // The session ends with this thread, so nobody relies on what a panic left half done.
        let filled = catch_unwind(AssertUnwindSafe(filling)).unwrap_or_else(|panic| {
            let text = internal_error("taking packets in", panic.as_ref());
            Err(io::Error::other(text))
        });
        if let Err(error) = filled {
            let _over = out.send(deliver(Err(error)));
        }
    })
}

fn fill<M>(
    ring: &Ring,
    socket: &impl Ear,
    gathers: bool,
    notes: &SessionNotes,
    out: &Sender<M>,
    deliver: &impl Fn(io::Result<Chunk>) -> M,
) -> io::Result<()> {
    let mut outage = Outage::new("hear the group");
    let mut joined_at = Some(Instant::now());
    let mut pace = Pace::new(Instant::now());
    while ring.wanted.load(Ordering::Relaxed) {
        if !ring.hearing.load(Ordering::Relaxed) {
            if joined_at.take().is_some() {
                // When the membership is lost already, so much the better.
                let _ = socket.leave();
            }
            thread::sleep(AWAY);
            continue;
        }
        let Some(mut chunk) = ring.take_free() else {
            // Everything is queued; meanwhile the socket's own buffer fills.
            thread::sleep(GATHER);
            continue;
        };
        let filled =
            renew(socket, &mut joined_at).and_then(|()| fill_chunk(ring, socket, &mut chunk));
        // What arrived before an error is good.
        let has_packets = !chunk.runs.is_empty();
        let (used, is_full) = (chunk.used, !chunk.has_room());
        ring.queued.fetch_add(1, Ordering::Relaxed);
        if !has_packets {
            ring.recycle(chunk);
        } else if out.send(deliver(Ok(chunk))).is_err() {
            return Ok(());
        }
        let now = Instant::now();
        let told = match &filled {
            Err(error) => outage.failed(error, now),
            Ok(()) if has_packets => outage.worked(now),
            Ok(()) => None,
        };
        if let Some(text) = told {
            notes.tell(text);
        }
        if let Err(error) = filled {
            if outage.lasted(now) >= OUTAGE_MAX {
                return Err(error);
            }
            // Whatever happened, the membership may be lost.
            joined_at = None;
            thread::sleep(RETRY);
        } else if gathers {
            thread::sleep(pace.pause(used, is_full, now, ring.gather_most()));
        }
    }
    Ok(())
}

/// How fast packets come, in so far as it says how long to let them gather.
struct Pace {
    since: Instant,
    gather: Duration,
}

impl Pace {
    const fn new(now: Instant) -> Self {
        Self {
            since: now,
            gather: GATHER,
        }
    }

    /// How long to let packets gather after `bytes` came since the last call: half as long as now or
    /// twice as long at most, as what comes in one go says little. Not at all where more may be waiting, as
    /// it filled the chunk: a pause for each chunk would bound the rate.
    fn pause(&mut self, bytes: usize, is_full: bool, now: Instant, most: Duration) -> Duration {
        let took = now.saturating_duration_since(self.since);
        self.since = now;
        let wanted = took.as_secs_f64() * GATHERED as f64 / bytes.max(1) as f64;
        let last = self.gather.as_secs_f64();
        let next = wanted.clamp(last / 2.0, last * 2.0);
        self.gather = Duration::from_secs_f64(next).clamp(GATHER, most);
        if is_full { Duration::ZERO } else { self.gather }
    }
}

/// Renews the membership, where that is due.
fn renew(socket: &impl Ear, joined_at: &mut Option<Instant>) -> io::Result<()> {
    if joined_at.is_none_or(|joined| joined.elapsed() >= REJOIN) {
        socket.rejoin()?;
        *joined_at = Some(Instant::now());
    }
    Ok(())
}

/// Fills `chunk` with what comes, until it is full, or is waited for and nothing more comes.
fn fill_chunk(ring: &Ring, socket: &impl Ear, chunk: &mut Chunk) -> io::Result<()> {
    let mut patience = IDLE;
    while chunk.has_room() {
        let Some(train) =
            socket.receive_train(&mut chunk.memory[chunk.used..], Wait::UpTo(patience))?
        else {
            let is_wanted = ring.wanted.load(Ordering::Relaxed);
            // Who is to leave the group may hear nothing of it.
            if !is_wanted || !ring.hearing.load(Ordering::Relaxed) {
                return Ok(());
            }
            if !chunk.runs.is_empty() && ring.queued.load(Ordering::Relaxed) < QUEUE_SHORT {
                return Ok(());
            }
            patience = if chunk.runs.is_empty() { IDLE } else { GATHER };
            continue;
        };
        let now = Instant::now();
        ring.dropped.store(train.dropped_total, Ordering::Relaxed);
        chunk.runs.push(Run {
            start: chunk.used,
            len: train.len,
            segment: train.segment_size,
            arrived: now - train.waited.min(WAITED_MAX),
        });
        chunk.used += train.len;
        patience = Duration::ZERO;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
