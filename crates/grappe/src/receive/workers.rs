//! The worker threads of one session: they take jobs and answer with what became of them.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use grappe_proto::content::stream::Stream;
use grappe_proto::fec::SymbolSet;
use grappe_proto::units::{BlockIndex, Digest};
use grappe_proto::wire::control::Done;

use super::store::{BlockBuffer, Store};

/// Workers at most: from four on a disk, not the processor, is the limit.
const WORKERS_MAX: usize = 4;

/// What is to be done.
pub(super) enum Work {
    Prepare,
    Store {
        block: BlockIndex,
        present: SymbolSet,
        buffer: BlockBuffer,
    },
    Verify(Digest),
    Place,
}

/// What became of it.
pub(super) enum Worked {
    Prepared(Result<Stream, String>),
    Stored(BlockIndex, BlockBuffer),
    Verified(Vec<BlockIndex>),
    Placed(Done),
    Failed(String),
}

/// Starts the workers; they end when `work` is closed.
///
/// # Errors
///
/// When the system has no thread left.
pub(super) fn start<M: Send + 'static>(
    store: &Arc<Store>,
    work: &Receiver<Work>,
    out: &Sender<M>,
    deliver: fn(Worked) -> M,
) -> io::Result<Vec<JoinHandle<()>>> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let start_one = |number| {
        let (store, work, out) = (Arc::clone(store), work.clone(), out.clone());
        thread::Builder::new()
            .name(format!("store-{number}"))
            .spawn(move || {
                for job in work {
                    if out.send(deliver(run(&store, job))).is_err() {
                        return;
                    }
                }
            })
    };
    (0..(processors / 2).clamp(1, WORKERS_MAX))
        .map(start_one)
        .collect()
}

fn run(store: &Store, job: Work) -> Worked {
    let done = match job {
        Work::Prepare => return Worked::Prepared(store.prepare()),
        Work::Store {
            block,
            present,
            mut buffer,
        } => store
            .store(block, &present, &mut buffer)
            .map(|()| Worked::Stored(block, buffer)),
        Work::Verify(digests_hash) => store.verify(digests_hash).map(Worked::Verified),
        Work::Place => store.place().map(Worked::Placed),
    };
    done.unwrap_or_else(Worked::Failed)
}
