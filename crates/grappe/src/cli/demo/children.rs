//! The processes of the demo: receivers and a sender of this very program.
//!
//! None outlives the demo: each ends when its standard input does, which the demo holds open.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::super::error::{CommandError, say};
use super::{Stage, Stop, io_error};

/// Between two looks whether a process has ended.
const LOOK: Duration = Duration::from_millis(10);

/// How long processes may take to end by themselves when the demo ends early.
const FAREWELL: Duration = Duration::from_secs(2);

/// A receiver that has not ended so long after the copy never will.
const RECEIVER_END_MAX: Duration = Duration::from_secs(15);

/// Lines of a receiver that are kept, for the case that it fails.
const LAST_WORDS: usize = 5;

/// Bytes of a line that are kept.
const LINE_MAX: u64 = 4096;

/// A child that is killed with this value.
struct Tethered {
    child: Child,
    /// The child ends in order when this is closed.
    tether: Option<ChildStdin>,
}

impl Tethered {
    fn start(command: &mut Command, action: &'static str) -> Result<Self, CommandError> {
        let mut child = command
            .arg("--until-eof")
            .stdin(Stdio::piped())
            .spawn()
            .map_err(io_error(action))?;
        // Out of the child, because waiting for it would close it.
        let tether = child.stdin.take();
        Ok(Self { child, tether })
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>, CommandError> {
        self.child
            .try_wait()
            .map_err(io_error("wait for a process"))
    }

    fn wait(&mut self, stop: &Stop) -> Result<ExitStatus, CommandError> {
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            stop.check()?;
            thread::sleep(LOOK);
        }
    }

    /// Waits until it has ended by itself, but not beyond `deadline`, nor in haste.
    fn end_by(&mut self, deadline: Instant, stop: &Stop) {
        let is_time_up = || stop.is_in_haste() || Instant::now() >= deadline;
        while matches!(self.child.try_wait(), Ok(None)) && !is_time_up() {
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Tethered {
    fn drop(&mut self) {
        // One that has ended already needs no end.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// The running sender; what it says goes where the demo's words go.
pub(super) struct Sender(Tethered);

impl Sender {
    pub(super) fn start(stage: &Stage, data: &Path, nodes: usize) -> Result<Self, CommandError> {
        let mut command = stage.command("send");
        command
            .arg(data)
            .args(["--wait", "20s", "--expect", &nodes.to_string()]);
        Tethered::start(&mut command, "start the sender").map(Self)
    }

    /// Waits for its end; told to stop, it first lets the sender say what became of the copy.
    pub(super) fn wait(mut self, stop: &Stop) -> Result<ExitStatus, CommandError> {
        let result = self.0.wait(stop);
        if result.is_err() {
            self.0.tether = None;
            self.0.end_by(Instant::now() + FAREWELL, stop);
        }
        result
    }
}

/// A running receiver.
pub(super) struct Node {
    pub(super) name: String,
    /// What it receives into.
    pub(super) into: PathBuf,
    process: Tethered,
    last_words: JoinHandle<VecDeque<String>>,
}

impl Node {
    pub(super) fn start(stage: &Stage, name: &str) -> Result<Self, CommandError> {
        let into = stage.folder.join(name);
        fs::create_dir(&into).map_err(io_error("make a receiver's directory"))?;
        let mut command = stage.command("receive");
        command.arg("--into").arg(&into);
        command
            .args(["--once", "--name", name])
            .stderr(Stdio::piped());
        let mut process = Tethered::start(&mut command, "start a receiver")?;
        let errors = process.child.stderr.take();
        let last_words = thread::Builder::new()
            .name(name.into())
            .spawn(move || errors.map(last_lines).unwrap_or_default())
            .map_err(io_error("hear a receiver"))?;
        Ok(Self {
            name: name.into(),
            into,
            process,
            last_words,
        })
    }

    /// Waits for its end, which comes at once when the copy is over.
    pub(super) fn wait(&mut self, stop: &Stop) -> Result<ExitStatus, CommandError> {
        let deadline = Instant::now() + RECEIVER_END_MAX;
        while Instant::now() < deadline {
            if let Some(status) = self.process.ended()? {
                return Ok(status);
            }
            stop.check()?;
            thread::sleep(LOOK);
        }
        Err(CommandError::failed(format_args!(
            "the receiver {} did not end within {} s of the copy's end",
            self.name,
            RECEIVER_END_MAX.as_secs()
        )))
    }
}

/// Shows, name by name, what receivers said last: those that fail have time to say why.
pub(super) fn show_last_words(nodes: Vec<Node>, stop: &Stop) {
    let deadline = Instant::now() + FAREWELL;
    for mut node in nodes {
        node.process.end_by(deadline, stop);
        drop(node.process);
        for line in node.last_words.join().unwrap_or_default() {
            say(format_args!("{}: {line}", node.name));
        }
    }
}

impl Stage {
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(name).arg("--key").arg(&self.key);
        command.args(["--interface", "lo", "--ttl", "0"]);
        command.args(["--port", &self.port.to_string()]);
        command
    }
}

/// Reads `text` to its end and answers its last lines.
fn last_lines(text: impl Read) -> VecDeque<String> {
    let mut text = BufReader::new(text);
    let mut lines = VecDeque::new();
    loop {
        let mut line = Vec::new();
        match (&mut text).take(LINE_MAX).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return lines,
            Ok(_) if lines.len() == LAST_WORDS => drop(lines.pop_front()),
            Ok(_) => {}
        }
        lines.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_the_memory_is_bounded() {
        let text: String = (0..100).map(|number| format!("line {number}\n")).collect();
        let lines = last_lines(text.as_bytes());
        assert_eq!(lines.len(), LAST_WORDS);
        assert_eq!(lines.back().map(String::as_str), Some("line 99"));
        let endless = last_lines(&vec![b'x'; 1 << 20][..]);
        assert!(endless.iter().all(|line| line.len() as u64 <= LINE_MAX));
        assert!(last_lines(&b""[..]).is_empty());
    }
}
