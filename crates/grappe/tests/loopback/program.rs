//! The program as a process: started, heard, signalled, and ended by its number with the test that
//! started it. No wait is without a bound.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// The longest wait for anything: far above what it takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks whether a process is still there to say something.
const LOOK: Duration = Duration::from_millis(200);

/// A process that runs.
pub(crate) struct Running {
    child: Child,
    said: Arc<Said>,
    standard_output: Option<JoinHandle<String>>,
    standard_error: Option<JoinHandle<()>>,
}

/// The lines of standard error so far.
#[derive(Default)]
struct Said {
    lines: Mutex<Vec<String>>,
    is_over: AtomicBool,
    changed: Condvar,
}

/// A process that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    status: ExitStatus,
    /// Standard output.
    pub(crate) output: String,
    /// Standard error.
    pub(crate) errors: String,
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let piped = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped.spawn().expect("the program starts");
        let mut output = child.stdout.take().expect("standard output is piped");
        let errors = child.stderr.take().expect("standard error is piped");
        let said = Arc::new(Said::default());
        let standard_output = thread::spawn(move || {
            let mut text = String::new();
            output
                .read_to_string(&mut text)
                .expect("standard output is text");
            text
        });
        let standard_error = {
            let said = Arc::clone(&said);
            thread::spawn(move || {
                for line in BufReader::new(errors).split(b'\n').map_while(Result::ok) {
                    let line = String::from_utf8_lossy(&line).into_owned();
                    said.lines
                        .lock()
                        .expect("no test thread panicked")
                        .push(line);
                    said.changed.notify_all();
                }
                said.is_over.store(true, Ordering::Relaxed);
                said.changed.notify_all();
            })
        };
        Self {
            child,
            said,
            standard_output: Some(standard_output),
            standard_error: Some(standard_error),
        }
    }

    /// Waits for a line of standard error with `text` in it.
    #[track_caller]
    pub(crate) fn wait_for(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.said.lines.lock().expect("no test thread panicked");
        loop {
            if let Some(line) = lines.iter().find(|line| line.contains(text)) {
                return line.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let is_over = self.said.is_over.load(Ordering::Relaxed);
            assert!(
                !left.is_zero() && !is_over,
                "never said {text:?}, but:\n{}",
                lines.join("\n")
            );
            lines = self
                .said
                .changed
                .wait_timeout(lines, left.min(LOOK))
                .expect("no test thread panicked")
                .0;
        }
    }

    /// What it has said so far on standard error.
    pub(crate) fn said(&self) -> String {
        self.said
            .lines
            .lock()
            .expect("no test thread panicked")
            .join("\n")
    }

    /// The number of the process.
    pub(crate) fn number(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        signal_to(self.child.id(), signal);
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be asked for")
            .is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(self) -> Ended {
        self.end_within(PATIENCE)
    }

    /// Waits for its end, but not longer than `patience`.
    #[track_caller]
    pub(crate) fn end_within(mut self, patience: Duration) -> Ended {
        let deadline = Instant::now() + patience;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(
                Instant::now() < deadline,
                "still running after {patience:?}; it said:\n{}",
                self.said()
            );
            thread::sleep(Duration::from_millis(5));
        };
        let output = self
            .standard_output
            .take()
            .expect("taken once")
            .join()
            .expect("the reader ends");
        self.standard_error
            .take()
            .expect("taken once")
            .join()
            .expect("the reader ends");
        Ended {
            status,
            output,
            errors: self.said(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already needs no end.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

impl Ended {
    /// The exit code; none, where a signal ended it.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Asserts the exit code; answers itself for more.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.output,
            self.errors
        );
        self
    }

    /// Asserts that `text` was said on standard error; answers itself for more.
    #[track_caller]
    pub(crate) fn saying(self, text: &str) -> Self {
        assert!(
            self.errors.contains(text),
            "did not say {text:?}, but:\n{}",
            self.errors
        );
        self
    }

    /// Asserts that `text` was not said on standard error; answers itself for more.
    #[track_caller]
    pub(crate) fn not_saying(self, text: &str) -> Self {
        assert!(
            !self.errors.contains(text),
            "said {text:?}:\n{}",
            self.errors
        );
        self
    }

    /// The one JSON object that is all of standard output.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        assert_eq!(
            self.output.lines().count(),
            1,
            "one line on stdout, but:\n{}\n{}",
            self.output,
            self.errors
        );
        let report: Value = serde_json::from_str(&self.output).expect("standard output is JSON");
        assert!(report.is_object(), "an object: {report}");
        report
    }
}

/// Sends `signal` to the process of this number.
pub(crate) fn signal_to(number: u32, signal: Signal) {
    let number = i32::try_from(number)
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process has a number");
    kill_process(number, signal).expect("the process is there to be signalled");
}

/// The line of the node `name` in a report.
#[track_caller]
pub(crate) fn node<'a>(report: &'a Value, name: &str) -> &'a Value {
    let nodes = report["nodes"].as_array().expect("a list of nodes");
    let found: Vec<&Value> = nodes.iter().filter(|node| node["name"] == name).collect();
    let [node] = found[..] else {
        panic!("one line for {name}: {report}")
    };
    node
}
