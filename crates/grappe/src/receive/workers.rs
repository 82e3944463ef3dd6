//! The worker threads of one session: they take jobs and answer with what became of them.
//!
//! What the jobs are is in `store`; when they are due, the machine says.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use flume::{Receiver, Sender};
use grappe_proto::content::stream::Stream;
use grappe_proto::fec::SymbolSet;
use grappe_proto::receiver::Prepared;
use grappe_proto::units::{BlockIndex, Digest};
use grappe_proto::wire::control::Done;

use super::store::{BlockBuffer, Preparation, Store};

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
    EndStream(u64),
    Verify(Digest),
    Place,
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Worked {
    Prepared(Result<Prepared, String>),
    Rehearsed,
    Stored(BlockIndex, BlockBuffer),
    StreamEnded(Stream),
    Verified(Vec<BlockIndex>),
    Placed(Done),
    Failed(String),
}

/// Who does the work.
pub(super) type Doer = Arc<dyn Fn(Work) -> Worked + Send + Sync>;

/// The one who does it with `store`.
pub(super) fn doer(store: Arc<Store>) -> Doer {
    Arc::new(move |job| run(&store, job))
}

/// Starts the workers of a node with so many `processors`; they end when `work` is closed, and leave what is
/// queued once `over` is set.
///
/// # Errors
///
/// When the system has no thread left.
pub(super) fn start<M: Send + 'static>(
    doer: &Doer,
    processors: usize,
    work: &Receiver<Work>,
    over: &Arc<AtomicBool>,
    out: &Sender<M>,
    deliver: fn(Worked) -> M,
) -> io::Result<Vec<JoinHandle<()>>> {
    let start_one = |number| {
        let (doer, work, out) = (Arc::clone(doer), work.clone(), out.clone());
        let over = Arc::clone(over);
        thread::Builder::new()
            .name(format!("store-{number}"))
            .spawn(move || {
                for job in work {
                    if over.load(Ordering::Acquire)
                        || out.send(deliver(run_guarded(&doer, job))).is_err()
                    {
                        return;
                    }
                }
            })
    };
    (0..(processors / 2).clamp(1, WORKERS_MAX))
        .map(start_one)
        .collect()
}

/// A defect in a job fails the session in words; unnoticed, it would leave the sender waiting.
fn run_guarded(doer: &Doer, job: Work) -> Worked {
    let action = match &job {
        Work::Prepare => "preparing",
        Work::Store { .. } => "storing a block",
        Work::EndStream(_) => "ending a stream",
        Work::Verify(_) => "verifying",
        Work::Place => "placing",
    };
    // The session is over after a panic, so nobody relies on what it left half done.
    catch_unwind(AssertUnwindSafe(|| doer(job)))
        .unwrap_or_else(|panic| Worked::Failed(internal_error(action, panic.as_ref())))
}

/// What to say of a panic while `action` was going on.
pub(super) fn internal_error(action: &str, panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no reason given");
    format!("internal error while {action}: {text}; please report this")
}

fn run(store: &Store, job: Work) -> Worked {
    let done = match job {
        Work::Prepare => {
            return match store.prepare() {
                Ok(Preparation::Ready(prepared)) => Worked::Prepared(Ok(prepared)),
                Ok(Preparation::Rehearsed) => Worked::Rehearsed,
                Err(reason) => Worked::Prepared(Err(reason)),
            };
        }
        Work::Store {
            block,
            present,
            mut buffer,
        } => store
            .store(block, &present, &mut buffer)
            .map(|()| Worked::Stored(block, buffer)),
        Work::EndStream(bytes) => store.end_stream(bytes).map(Worked::StreamEnded),
        Work::Verify(digests_hash) => store.verify(digests_hash).map(Worked::Verified),
        Work::Place => store.place().map(Worked::Placed),
    };
    done.unwrap_or_else(Worked::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flume::unbounded;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn a_panic_in_a_job_is_told_as_a_failure() {
        let doer: Doer = Arc::new(|_| panic!("on purpose"));
        let (out, told) = unbounded();
        let (work, jobs) = unbounded();
        let over = Arc::default();
        let threads = start(&doer, 2, &jobs, &over, &out, |worked| worked).unwrap();
        work.send(Work::Place).unwrap();
        let Worked::Failed(reason) = told.recv_timeout(PATIENCE).unwrap() else {
            panic!("a failure was expected");
        };
        assert!(
            reason.contains("internal error while placing: on purpose"),
            "{reason}"
        );
        drop(work);
        for thread in threads {
            thread.join().unwrap();
        }
    }

    #[test]
    fn what_is_queued_is_not_done_once_the_session_is_over() {
        let (release, held) = unbounded::<()>();
        let (began, begun) = unbounded();
        let doer: Doer = Arc::new(move |job| {
            assert!(!matches!(job, Work::Place), "the session is over");
            began.send(()).unwrap();
            let _released = held.recv();
            Worked::Verified(Vec::new())
        });
        let (out, told) = unbounded();
        let (work, jobs) = unbounded();
        let over = Arc::new(AtomicBool::new(false));
        let threads = start(&doer, 2, &jobs, &over, &out, |worked| worked).unwrap();
        for _ in &threads {
            work.send(Work::Prepare).unwrap();
        }
        for _ in &threads {
            begun.recv_timeout(PATIENCE).unwrap();
        }
        work.send(Work::Place).unwrap();
        over.store(true, Ordering::Release);
        drop((release, work, out));
        for thread in threads {
            thread.join().unwrap();
        }
        assert!(
            told.iter()
                .all(|worked| matches!(worked, Worked::Verified(_)))
        );
    }
}
