//! The ends of a session's threads: waited for, but not for ever. A thread that hangs in the kernel, on
//! a disk or a mount that does not answer, cannot be ended; it must not keep others from ending.
//!
//! What the threads do is in `ring` and `workers`.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two looks whether a thread has ended.
const LOOK: Duration = Duration::from_millis(2);

/// What became of the threads of a session.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// Those that did not end in time.
    pub(super) hanging: Vec<JoinHandle<()>>,
    /// Names of those that panicked.
    pub(super) panicked: Vec<String>,
}

/// Waits for all `threads`, for at most `patience` together.
pub(super) fn join_within(threads: Vec<JoinHandle<()>>, patience: Duration) -> Ends {
    let deadline = Instant::now() + patience;
    let mut ends = Ends::default();
    for thread in threads {
        while !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        if !thread.is_finished() {
            ends.hanging.push(thread);
            continue;
        }
        let name = name(&thread);
        if thread.join().is_err() {
            ends.panicked.push(name);
        }
    }
    ends
}

/// The names of `threads`, for a message.
pub(super) fn names(threads: &[JoinHandle<()>]) -> String {
    threads.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn name(thread: &JoinHandle<()>) -> String {
    thread.thread().name().unwrap_or("unnamed").to_owned()
}

/// Threads of sessions that are over, which still hang. Shared by all sessions of a daemon.
#[derive(Debug, Default)]
pub(super) struct LeftBehind {
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl LeftBehind {
    /// Keeps an eye on `threads`.
    pub(super) fn add(&self, threads: Vec<JoinHandle<()>>) {
        self.lock().extend(threads);
    }

    /// How many still hang.
    pub(super) fn count(&self) -> usize {
        let mut threads = self.lock();
        threads.retain(|thread| !thread.is_finished());
        threads.len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::resume_unwind;
    use std::sync::mpsc;

    fn named(name: &str, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
        thread::Builder::new().name(name.into()).spawn(run).unwrap()
    }

    #[test]
    fn a_thread_that_hangs_is_left_behind_and_the_others_are_joined() {
        let (release, held) = mpsc::channel::<()>();
        let threads = vec![
            named("hangs", move || {
                let _released = held.recv();
            }),
            named("ends", || {}),
            // A panic as far as the thread's end goes, without a word on standard error.
            named("panics", || resume_unwind(Box::new("on purpose"))),
        ];
        let deadline = Instant::now() + Duration::from_secs(60);
        while !threads[1..].iter().all(JoinHandle::is_finished) {
            assert!(Instant::now() < deadline, "these two end");
            thread::sleep(LOOK);
        }
        let ends = join_within(threads, Duration::from_millis(50));
        assert_eq!(names(&ends.hanging), "hangs");
        assert_eq!(ends.panicked, ["panics"]);
        let left = LeftBehind::default();
        left.add(ends.hanging);
        assert_eq!(left.count(), 1);
        drop(release);
        while left.count() > 0 {
            assert!(Instant::now() < deadline, "it ended, and is forgotten");
            thread::sleep(LOOK);
        }
    }
}
