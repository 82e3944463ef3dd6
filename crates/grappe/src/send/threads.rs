//! What becomes of threads that hang in a system call or die: neither may pass unnoticed or hold the
//! copy's end.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Between two looks at a thread that should end.
const LOOK: Duration = Duration::from_millis(2);

/// Waits at most `patience` for all of `threads` to end; answers the names of those left to themselves.
///
/// A thread that waits for a file system that does not answer cannot be ended from outside.
pub(super) fn join_in_time(threads: Vec<JoinHandle<()>>, patience: Duration) -> Vec<String> {
    let deadline = Instant::now() + patience;
    let mut left = Vec::new();
    for thread in threads {
        while !thread.is_finished() && Instant::now() < deadline {
            thread::sleep(LOOK);
        }
        if thread.is_finished() {
            let ended = thread.join();
            debug_assert!(ended.is_ok(), "a thread of the sender panicked");
        } else {
            left.push(thread.thread().name().unwrap_or("unnamed").to_owned());
        }
    }
    left
}

/// Does `work`, or answers in words what made it panic.
///
/// # Errors
///
/// The panic's own words.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // Whoever asks gives the copy up after an error: nothing half done is looked at again.
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| words(&*panic))
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without words".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_hangs_is_left_behind_by_name() {
        let (end, ended) = crossbeam_channel::bounded::<()>(0);
        let hanging = move || {
            let _end = ended.recv();
        };
        let hanging = thread::Builder::new().name("read-0".into()).spawn(hanging);
        let quick = thread::Builder::new().name("read-1".into()).spawn(|| {});
        let threads = vec![hanging.unwrap(), quick.unwrap()];
        let left = join_in_time(threads, Duration::from_millis(300));
        assert_eq!(left, ["read-0"]);
        drop(end);
    }

    #[test]
    fn a_panic_becomes_words() {
        assert_eq!(guarded(|| 7), Ok(7));
        let block = 3;
        let told = guarded(|| -> u8 { panic!("block {block} is odd") });
        assert_eq!(told, Err("block 3 is odd".into()));
    }
}
