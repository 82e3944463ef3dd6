//! What a node can give to others: the blocks that just came or were just read, in memory and sealed,
//! and all others that it has by way of its disk.
//!
//! A link that needs a block waits here until it is there. Sealing is here as well: every record of this
//! node has a number of its own.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use grappe_proto::content::block_set::BlockSet;
use grappe_proto::seal::{SealKey, Unsealed};
use grappe_proto::units::BlockIndex;
use grappe_proto::wire::data::TAG_LEN;
use grappe_proto::wire::link::{RECORD_HEADER_LEN, RecordHeader, RecordKind};

/// Blocks kept in memory, 8 MiB: what the next node may be behind without this one's disk being asked.
const RECENT: usize = 32;

/// How long a link waits for a block before it looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where blocks are that are not in memory any more.
pub(crate) trait Backing: Send + Sync {
    /// A link has got as far as `block`.
    fn reached(&self, block: BlockIndex);

    /// Reads `block`, which this node has, into `buffer`.
    ///
    /// # Errors
    ///
    /// Why it cannot be had, in words.
    fn read(&self, block: BlockIndex, buffer: &mut Vec<u8>) -> Result<(), String>;
}

/// A whole sealed record.
pub(crate) type Record = Arc<Vec<u8>>;

/// The blocks of one session at this node.
pub(crate) struct Shelf {
    tag: u32,
    key: SealKey,
    sealer: u32,
    next: AtomicU64,
    backing: Box<dyn Backing>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    recent: VecDeque<(BlockIndex, Record)>,
    /// What the backing has.
    stored: BlockSet,
    is_over: bool,
    /// Memory of records, for reuse.
    spare: Vec<Vec<u8>>,
}

/// What became of a wish for a block.
pub(super) enum Found {
    Record(Record),
    /// Not yet; the link may look whether its other end is still there.
    NotYet,
    /// The session is over.
    Over,
}

impl Shelf {
    /// A shelf in the session with this tag and key, at the node that seals as `sealer`, which is not
    /// zero and no other node's.
    pub(crate) fn new(tag: u32, key: SealKey, sealer: u32, backing: Box<dyn Backing>) -> Self {
        Self {
            tag,
            key,
            sealer,
            next: AtomicU64::new(0),
            backing,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The session's tag.
    pub(super) const fn tag(&self) -> u32 {
        self.tag
    }

    /// The backing has these blocks from now on.
    pub(crate) fn stored(&self, blocks: Range<BlockIndex>) {
        self.lock().stored.insert_range(blocks);
        self.changed.notify_all();
    }

    /// Takes a block that came by multicast and is stored, for a node that fetches it here.
    pub(crate) fn keep(&self, block: BlockIndex, bytes: &[u8]) {
        let mut record = self.memory();
        self.seal(RecordKind::Block, block, bytes, &mut record);
        self.put(block, Arc::new(record));
    }

    /// Takes a record that came, for the node after this one.
    pub(super) fn put(&self, block: BlockIndex, record: Record) {
        let mut state = self.lock();
        state.recent.push_back((block, record));
        if state.recent.len() > RECENT
            && let Some((_, record)) = state.recent.pop_front()
            && let Ok(bytes) = Arc::try_unwrap(record)
        {
            state.spare.push(bytes);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Gives no record of `block` that came to anybody any more.
    pub(super) fn forget(&self, block: BlockIndex) {
        self.lock().recent.retain(|(recent, _)| *recent != block);
    }

    /// Memory for a record, of any length and content.
    pub(super) fn memory(&self) -> Vec<u8> {
        self.lock().spare.pop().unwrap_or_default()
    }

    /// Ends all waiting.
    pub(crate) fn close(&self) {
        self.lock().is_over = true;
        self.changed.notify_all();
    }

    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    /// The sealed record of `block`, once it is there. `buffer` is for reading.
    ///
    /// # Errors
    ///
    /// Why it cannot be had, in words.
    pub(super) fn find(&self, block: BlockIndex, buffer: &mut Vec<u8>) -> Result<Found, String> {
        self.backing.reached(block);
        let mut state = self.lock();
        loop {
            if state.is_over {
                return Ok(Found::Over);
            }
            let mut recent = state.recent.iter().rev();
            if let Some((_, record)) = recent.find(|(recent, _)| *recent == block) {
                return Ok(Found::Record(Arc::clone(record)));
            }
            if state.stored.contains(block) {
                break;
            }
            let (woken, waited) = self
                .changed
                .wait_timeout(state, PATIENCE)
                .unwrap_or_else(PoisonError::into_inner);
            state = woken;
            if waited.timed_out() {
                return Ok(Found::NotYet);
            }
        }
        drop(state);
        self.backing.read(block, buffer)?;
        let mut record = self.memory();
        self.seal(RecordKind::Block, block, buffer, &mut record);
        Ok(Found::Record(Arc::new(record)))
    }

    /// Gives the memory of a record back that nobody else holds.
    pub(super) fn give_back(&self, record: Record) {
        if let Ok(bytes) = Arc::try_unwrap(record) {
            let mut state = self.lock();
            if state.spare.len() < 2 {
                state.spare.push(bytes);
            }
        }
    }

    /// Makes the whole record of `body`.
    pub(super) fn seal(
        &self,
        kind: RecordKind,
        block: BlockIndex,
        body: &[u8],
        record: &mut Vec<u8>,
    ) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let header = RecordHeader {
            kind,
            block,
            len: u32::try_from(body.len()).unwrap_or(u32::MAX),
            sealer: self.sealer,
            number,
        }
        .emit();
        record.resize(RECORD_HEADER_LEN + body.len() + TAG_LEN, 0);
        let (front, sealed) = record.split_at_mut(RECORD_HEADER_LEN);
        front.copy_from_slice(&header);
        self.key
            .seal_record((self.sealer, number), &header, body, sealed);
    }

    /// Opens a whole record into `body`, which has the length that its header says.
    ///
    /// # Errors
    ///
    /// [`Unsealed`] when it is not what a node of the session sealed.
    pub(super) fn open(
        &self,
        header: &RecordHeader,
        record: &[u8],
        body: &mut [u8],
    ) -> Result<(), Unsealed> {
        let (front, sealed) = record.split_at_checked(RECORD_HEADER_LEN).ok_or(Unsealed)?;
        self.key
            .open_record((header.sealer, header.number), front, sealed, body)
    }

    /// Nothing is left half done under this lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
