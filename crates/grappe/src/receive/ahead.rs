//! Opens packets ahead of the thread that takes them in, where that one cannot keep up: the processors that
//! a node has to spare then share what a fast link costs most, and the order of packets stays.
//!
//! What becomes of symbols is decided elsewhere: here they are opened where they lie.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use grappe_proto::receiver::Opener;

use super::ring::{CHUNKS, Chunk};

/// Chunks that were passed on and are not worked off, from which on help is called: fewer, and who takes them in is
/// about to do so.
const WAITING_MIN: usize = 4;

/// One processor of so many is there to help.
const PROCESSORS_EACH: usize = 4;

/// Helpers at most: the thread that takes packets out of the socket feeds no more.
const HELPERS_MAX: usize = 4;

/// How many helpers a node with so many processors has: none where all are busy anyway.
fn helpers(processors: usize) -> usize {
    (processors / PROCESSORS_EACH).min(HELPERS_MAX)
}

/// A chunk on its way to who takes its packets in; whoever helps opens it meanwhile.
pub(super) struct Parcel {
    chunk: Mutex<Option<Chunk>>,
    opener: Opener,
    /// Whether it is waited for: a helper that has it stops.
    is_wanted: AtomicBool,
}

impl Parcel {
    fn new(chunk: Chunk, opener: &Opener) -> Self {
        Self {
            chunk: Mutex::new(Some(chunk)),
            opener: opener.clone(),
            is_wanted: AtomicBool::new(false),
        }
    }

    /// The chunk, opened in part where a helper was about to. Nothing once it was taken.
    pub(super) fn take(&self) -> Option<Chunk> {
        self.is_wanted.store(true, Ordering::Relaxed);
        self.lock().take()
    }

    fn open(&self) {
        if let Some(chunk) = self.lock().as_mut() {
            chunk.open(&self.opener, &self.is_wanted);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Chunk>> {
        // What a helper left undone is not marked as opened.
        self.chunk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The helpers of a node, for all its sessions; they end when it goes.
pub(super) struct Ahead {
    offers: Arc<Offers>,
    has_helpers: bool,
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
    /// Starts the helpers of a node with so many `processors`.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(super) fn start(processors: usize) -> io::Result<Arc<Self>> {
        let helpers = helpers(processors);
        let ahead = Self {
            offers: Arc::default(),
            has_helpers: helpers > 0,
        };
        for number in 0..helpers {
            let (offers, name) = (Arc::clone(&ahead.offers), format!("open-{number}"));
            // It ends by itself once nothing can be offered any more.
            let _thread = thread::Builder::new()
                .name(name)
                .spawn(move || offers.help())?;
        }
        Ok(Arc::new(ahead))
    }

    /// Wraps up `chunk`, with which so many are not worked off, and lets helpers open it if those are many.
    pub(super) fn wrap(&self, chunk: Chunk, opener: &Opener, waiting: usize) -> Arc<Parcel> {
        let parcel = Arc::new(Parcel::new(chunk, opener));
        if self.has_helpers && waiting >= WAITING_MIN {
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

    fn help(&self) {
        while let Some(parcel) = self.next() {
            parcel.open();
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
