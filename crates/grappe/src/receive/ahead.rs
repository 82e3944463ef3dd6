//! Opens packets ahead of the thread that takes them in, where that one cannot keep up: the processors that
//! a node has to spare then share what a fast link costs most, and the order of packets stays.
//!
//! What becomes of symbols is decided elsewhere: here they are opened where they lie.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use grappe_proto::receiver::Opener;

use super::ring::{CHUNKS, Chunk};

/// Chunks that wait from which on help is called: fewer, and who takes them in is about to do so.
const WAITING_MIN: usize = 4;

/// One processor of so many is there to help.
const PROCESSORS_EACH: usize = 4;

/// Helpers at most: the thread that takes packets out of the socket feeds no more.
const HELPERS_MAX: usize = 4;

/// How many helpers a session has on a node with so many processors: none where all are busy anyway.
pub(super) fn helpers(processors: usize) -> usize {
    (processors / PROCESSORS_EACH).min(HELPERS_MAX)
}

/// A chunk on its way to who takes its packets in; whoever helps opens it meanwhile.
pub(super) struct Parcel(Mutex<Option<Chunk>>);

impl Parcel {
    /// The chunk; waits where a helper is just opening it. Nothing once it was taken.
    pub(super) fn take(&self) -> Option<Chunk> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Chunk>> {
        // What a helper left undone is not marked as opened.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The helpers of one session; they end when it goes.
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
    /// Starts so many `helpers`.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(super) fn start(
        helpers: usize,
        opener: &Opener,
    ) -> io::Result<(Self, Vec<JoinHandle<()>>)> {
        let ahead = Self {
            offers: Arc::default(),
            has_helpers: helpers > 0,
        };
        let start_one = |number| {
            let (offers, opener) = (Arc::clone(&ahead.offers), opener.clone());
            let name = format!("open-{number}");
            thread::Builder::new()
                .name(name)
                .spawn(move || offers.help(&opener))
        };
        let threads = (0..helpers).map(start_one).collect::<io::Result<_>>()?;
        Ok((ahead, threads))
    }

    /// Wraps up `chunk`, before which so many wait, and lets helpers open it if those are many.
    pub(super) fn wrap(&self, chunk: Chunk, waiting: usize) -> Arc<Parcel> {
        let parcel = Arc::new(Parcel(Mutex::new(Some(chunk))));
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

    fn help(&self, opener: &Opener) {
        while let Some(parcel) = self.next() {
            if let Some(chunk) = parcel.lock().as_mut() {
                chunk.open(opener);
            }
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
