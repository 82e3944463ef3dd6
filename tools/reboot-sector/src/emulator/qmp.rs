//! QEMU's machine protocol over its standard input and output: commands, answers, events. It knows nothing
//! of boot sectors. `Running` owns one.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// QEMU answers within this, also on a busy machine, or not at all.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// Why the talk failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QmpError {
    /// QEMU ended.
    #[error("it ended")]
    Closed,
    /// No answer in time.
    #[error("it does not answer")]
    Silent,
    /// It refused, in its words.
    #[error("{0}")]
    Refused(String),
}

/// Something that happened in the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) reason: String,
}

impl Event {
    pub(super) fn is_guest_reset(&self) -> bool {
        matches!(&*self.name, "RESET" | "SHUTDOWN") && self.reason == "guest-reset"
    }
}

#[derive(Debug)]
pub(super) struct Qmp {
    to: ChildStdin,
    lines: Receiver<Value>,
    events: VecDeque<Event>,
}

impl Qmp {
    pub(super) fn open(to: ChildStdin, from: ChildStdout) -> Result<Self, QmpError> {
        let (tell, lines) = channel();
        // Ends with the pipe, so with QEMU.
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                let Ok(value) = serde_json::from_str(&line) else {
                    continue;
                };
                if tell.send(value).is_err() {
                    break;
                }
            }
        });
        let mut qmp = Self {
            to,
            lines,
            events: VecDeque::new(),
        };
        qmp.command(json!({"execute": "qmp_capabilities"}))?;
        Ok(qmp)
    }

    /// The next event, or `None` when none came in time.
    pub(super) fn event(&mut self, limit: Duration) -> Result<Option<Event>, QmpError> {
        let end = Instant::now() + limit;
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            match self
                .lines
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(value) => self.take(&value),
                Err(RecvTimeoutError::Timeout) => return Ok(None),
                Err(RecvTimeoutError::Disconnected) => return Err(QmpError::Closed),
            }
        }
    }

    /// Runs a line of the human monitor, and returns what it prints.
    pub(super) fn monitor(&mut self, line: &str) -> Result<String, QmpError> {
        let arguments = json!({"command-line": line});
        let answer =
            self.command(json!({"execute": "human-monitor-command", "arguments": arguments}))?;
        Ok(answer.as_str().unwrap_or_default().to_owned())
    }

    fn command(&mut self, command: Value) -> Result<Value, QmpError> {
        writeln!(self.to, "{command}").map_err(|_| QmpError::Closed)?;
        let end = Instant::now() + ANSWER_LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let value = self.lines.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => QmpError::Silent,
                RecvTimeoutError::Disconnected => QmpError::Closed,
            })?;
            if let Some(answer) = value.get("return") {
                return Ok(answer.clone());
            }
            if let Some(error) = value.get("error") {
                let said = error["desc"].as_str().unwrap_or("it refused a command");
                return Err(QmpError::Refused(said.to_owned()));
            }
            self.take(&value);
        }
    }

    fn take(&mut self, value: &Value) {
        if let Some(name) = value["event"].as_str() {
            let reason = value["data"]["reason"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            self.events.push_back(Event {
                name: name.to_owned(),
                reason,
            });
        }
    }
}
