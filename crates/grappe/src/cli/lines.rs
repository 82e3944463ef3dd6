//! Lines on their way to whoever reads an output, by a thread of their own: one who does not read holds up
//! no copy.
//!
//! What is said is made elsewhere: in `error` for people, in `events` for programs.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flume::{Sender, bounded};

/// Lines that wait to be read. A copy tells some ten for each node; who lags by so many has stopped.
const WAITING_MAX: usize = 4096;

/// A reader that has no more than so many lines before it has caught up.
const LATE: usize = 64;

/// The way to one output.
#[derive(Debug)]
pub(super) struct Lines {
    queue: Sender<Item>,
    lost: AtomicU64,
}

enum Item {
    Line(String),
    /// Answered when all before it has been written.
    Mark(Sender<()>),
}

impl Lines {
    /// Starts the thread `name`, which writes each line by `write`; it ends with this value.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(super) fn start(
        name: &str,
        mut write: impl FnMut(&str) + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, waiting) = bounded(WAITING_MAX);
        let work = move || {
            for item in waiting {
                match item {
                    Item::Line(line) => write(&line),
                    Item::Mark(done) => {
                        let _nobody_waits = done.send(());
                    }
                }
            }
        };
        thread::Builder::new().name(name.into()).spawn(work)?;
        let lost = AtomicU64::new(0);
        Ok(Self { queue, lost })
    }

    /// Passes on a line with its end; never waits. Answers false where too many wait already: it is lost.
    pub(super) fn tell(&self, line: String) -> bool {
        let is_taken = self.queue.try_send(Item::Line(line)).is_ok();
        if !is_taken {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        is_taken
    }

    /// Whether the reader lags, so that what soon comes again may be left out.
    pub(super) fn is_late(&self) -> bool {
        self.queue.len() > LATE
    }

    /// How many lines were lost since this was last answered, if any were, and the reader has caught up.
    pub(super) fn take_lost(&self) -> Option<u64> {
        if self.is_late() {
            return None;
        }
        Some(self.lost.swap(0, Ordering::Relaxed)).filter(|lost| *lost > 0)
    }

    /// Waits until all lines so far have been written, but not longer than `patience`. Answers whether they
    /// were.
    pub(super) fn flush(&self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let (done, written) = bounded(1);
        let is_queued = self.queue.send_deadline(Item::Mark(done), deadline).is_ok();
        is_queued && written.recv_deadline(deadline).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn lines_come_in_order_and_are_there_after_a_flush() {
        let written = Arc::new(Mutex::new(String::new()));
        let text = Arc::clone(&written);
        let lines = Lines::start("test", move |line| text.lock().unwrap().push_str(line)).unwrap();
        for number in 0..9 {
            assert!(lines.tell(number.to_string()));
        }
        assert!(lines.flush(Duration::from_secs(60)));
        assert_eq!(*written.lock().unwrap(), "012345678");
    }

    #[test]
    fn one_who_does_not_read_holds_up_nobody() {
        let (free, stuck) = bounded::<()>(0);
        let lines = Lines::start("test", move |_| {
            let _freed = stuck.recv();
        })
        .unwrap();
        let taken = (0..WAITING_MAX + 10).filter(|_| lines.tell(String::new()));
        // One may be in the hands of the thread.
        assert!((WAITING_MAX..=WAITING_MAX + 1).contains(&taken.count()));
        assert!(lines.is_late() && lines.take_lost().is_none());
        assert!(!lines.flush(Duration::from_millis(20)));
        drop(free);
        assert!(lines.flush(Duration::from_secs(60)));
        assert!((9..=10).contains(&lines.take_lost().unwrap()));
        assert_eq!(lines.take_lost(), None);
    }
}
