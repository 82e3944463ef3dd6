//! Opens packets ahead of the thread that takes them in, where that one cannot keep up: the processors that
//! a node has to spare then share what a fast link costs most, and the order of packets stays.
//!
//! What becomes of symbols is decided elsewhere: here they are opened where they lie.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use grappe_proto::receiver::Opener;

use super::ring::{CHUNKS, Chunk};

/// Chunks that were passed on and are not worked off, from which on help is called: fewer, and who takes them in is
/// about to do so.
const WAITING_MIN: usize = 4;

/// One processor of so many is there to help.
const PROCESSORS_EACH: usize = 4;

/// Helpers at most: the thread that takes packets out of the socket feeds no more.
const HELPERS_MAX: usize = 4;

/// The helpers that a node has for all its sessions, less those that sessions have.
#[derive(Debug)]
pub(super) struct Pool(AtomicUsize);

impl Pool {
    /// Those of a node with so many processors: none where all are busy anyway.
    pub(super) fn of(processors: usize) -> Arc<Self> {
        let helpers = (processors / PROCESSORS_EACH).min(HELPERS_MAX);
        Arc::new(Self(AtomicUsize::new(helpers)))
    }

    /// All that are left.
    fn take(&self) -> usize {
        self.0.swap(0, Ordering::Relaxed)
    }

    fn give_back(&self, helpers: usize) {
        self.0.fetch_add(helpers, Ordering::Relaxed);
    }
}

/// A chunk on its way to who takes its packets in; whoever helps opens it meanwhile.
pub(super) struct Parcel {
    chunk: Mutex<Option<Chunk>>,
    /// Whether it is waited for: a helper that has it stops.
    is_wanted: AtomicBool,
}

impl Parcel {
    fn new(chunk: Chunk) -> Self {
        Self {
            chunk: Mutex::new(Some(chunk)),
            is_wanted: AtomicBool::new(false),
        }
    }

    /// The chunk, opened in part where a helper was about to. Nothing once it was taken.
    pub(super) fn take(&self) -> Option<Chunk> {
        self.is_wanted.store(true, Ordering::Relaxed);
        self.lock().take()
    }

    fn open(&self, opener: &Opener) {
        if let Some(chunk) = self.lock().as_mut() {
            chunk.open(opener, &self.is_wanted);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Chunk>> {
        // What a helper left undone is not marked as opened.
        self.chunk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The helpers of one session; they end when it goes.
pub(super) struct Ahead {
    offers: Arc<Offers>,
    pool: Arc<Pool>,
    helpers: usize,
}

/// What helpers may open.
#[derive(Default)]
struct Offers {
    offered: Mutex<Offered>,
    news: Condvar,
}

#[derive(Default)]
struct Offered {
    parcels: VecDeque<Arc<Parcel>>,
    is_over: bool,
}

impl Ahead {
    /// Starts the helpers that `pool` has left.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(super) fn start(
        pool: &Arc<Pool>,
        opener: &Opener,
    ) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let ahead = Self {
            offers: Arc::default(),
            pool: Arc::clone(pool),
            helpers: pool.take(),
        };
        let start_one = |number| {
            let (offers, opener) = (Arc::clone(&ahead.offers), opener.clone());
            let name = format!("open-{number}");
            thread::Builder::new()
                .name(name)
                .spawn(move || offers.help(&opener))
        };
        let threads = (0..ahead.helpers)
            .map(start_one)
            .collect::<io::Result<_>>()?;
        Ok((ahead, threads))
    }

    /// Wraps up `chunk`, with which so many are not worked off, and lets helpers open it if those are many.
    pub(super) fn wrap(&self, chunk: Chunk, waiting: usize) -> Arc<Parcel> {
        let parcel = Arc::new(Parcel::new(chunk));
        if self.helpers > 0 && waiting >= WAITING_MIN {
            self.offers.offer(Arc::clone(&parcel));
        }
        parcel
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        let mut offered = self.offers.lock();
        offered.is_over = true;
        offered.parcels.clear();
        drop(offered);
        self.offers.news.notify_all();
        self.pool.give_back(self.helpers);
    }
}

impl Offers {
    fn offer(&self, parcel: Arc<Parcel>) {
        let mut offered = self.lock();
        // Those at the front were taken long ago.
        if offered.parcels.len() >= CHUNKS {
            offered.parcels.pop_front();
        }
        offered.parcels.push_back(parcel);
        drop(offered);
        self.news.notify_one();
    }

    fn help(&self, opener: &Opener) {
        while let Some(parcel) = self.next() {
            parcel.open(opener);
        }
    }

    /// The parcel that is taken in last: who takes them in begins at the other end.
    fn next(&self) -> Option<Arc<Parcel>> {
        let mut offered = self.lock();
        while !offered.is_over {
            if let Some(parcel) = offered.parcels.pop_back() {
                return Some(parcel);
            }
            offered = self
                .news
                .wait(offered)
                .unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn lock(&self) -> MutexGuard<'_, Offered> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
