//! A program under test or measurement: started, watched, bounded in time, killed when dropped.
//!
//! Its output goes to files, never to pipes: a full pipe would stall what is being measured.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How finely the end of a program is timed.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

/// A running program; dropped, it is killed.
#[derive(Debug)]
pub struct Process {
    child: Child,
    label: String,
    output: PathBuf,
    messages: PathBuf,
}

impl Process {
    /// Starts `command`; standard output goes to `folder/label.out`, standard error to `folder/label.err`.
    ///
    /// # Errors
    ///
    /// When the files cannot be made or the program cannot be started.
    pub fn start(mut command: Command, folder: &Path, label: &str) -> Result<Self> {
        let output = folder.join(format!("{label}.out"));
        let messages = folder.join(format!("{label}.err"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&output)?)
            .stderr(File::create(&messages)?)
            .spawn()
            .with_context(|| format!("cannot start {label}: {command:?}"))?;
        Ok(Self {
            child,
            label: label.into(),
            output,
            messages,
        })
    }

    /// Waits for the end, at most as long as `limit`; `None` when it still runs then.
    ///
    /// # Errors
    ///
    /// When the kernel cannot tell.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Waits for the end and wants success.
    ///
    /// # Errors
    ///
    /// When it takes longer than `limit` or fails; the message carries the program's last words.
    pub fn finish(&mut self, limit: Duration) -> Result<()> {
        match self.wait(limit)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("{}: {status}: {}", self.label, self.last_words()),
            None => bail!(
                "{}: not done after {limit:?}: {}",
                self.label,
                self.last_words()
            ),
        }
    }

    /// Whether it has not ended.
    ///
    /// # Errors
    ///
    /// When the kernel cannot tell.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Lets it stand still, as if its machine hung.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    ///
    /// When it has ended.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most resident memory that it has had, in bytes.
    ///
    /// # Errors
    ///
    /// When it is gone.
    pub fn peak_bytes(&self) -> Result<u64> {
        peak_bytes(self.id()).with_context(|| format!("{} is gone", self.label))
    }

    /// Kills it without warning, as `kill -9` does, and waits until it is gone.
    pub fn kill(&mut self) {
        // Both fail only for a process that is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal)
            .with_context(|| format!("cannot signal {}", self.label))
    }

    /// What it wrote to standard output so far; empty when that is no text.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// What it wrote to standard error so far.
    #[must_use]
    pub fn messages(&self) -> String {
        fs::read(&self.messages)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    fn last_words(&self) -> String {
        let messages = self.messages();
        let source = if messages.trim().is_empty() {
            self.output()
        } else {
            messages
        };
        let lines: Vec<_> = source.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The most resident memory that a process has had, in bytes: `VmHWM` of proc_pid_status(5). None for one that is gone.
#[must_use]
pub fn peak_bytes(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    peak_in_status(&status)
}

/// A zombie has none.
fn peak_in_status(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// User and system time of all children that this process has waited for, in seconds.
///
/// Work that the kernel does in its own threads is nobody's child and is missing.
///
/// # Errors
///
/// When `/proc/self/stat` is not as proc(5) describes it.
pub fn children_cpu_seconds() -> Result<f64> {
    /// The kernel reports to user space in this unit on all architectures Rust runs on.
    const TICKS_PER_SECOND: f64 = 100.0;
    /// `cutime` and `cstime`, counted from the field after the program's name.
    const CHILD_TIMES: std::ops::RangeInclusive<usize> = 13..=14;

    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat
        .rsplit_once(')')
        .context("no name in /proc/self/stat")?;
    let fields: Vec<_> = fields.split_whitespace().collect();
    let mut ticks = 0.0;
    for field in fields
        .get(CHILD_TIMES)
        .context("/proc/self/stat is short")?
    {
        ticks += field.parse::<f64>()?;
    }
    Ok(ticks / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_words_of_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo oh no >&2; exit 3"]);
        let mut process = Process::start(command, folder.path(), "failing").unwrap();
        let error = process
            .finish(Duration::from_secs(10))
            .unwrap_err()
            .to_string();
        assert!(error.contains("oh no") && error.contains('3'), "{error}");
    }

    #[test]
    fn peaks_are_read_in_bytes() {
        assert_eq!(
            peak_in_status("Name:\tsocat\nVmHWM:\t    2048 kB\nVmRSS:\t 10 kB\n"),
            Some(2 << 20)
        );
        assert_eq!(peak_in_status("Name:\tsocat\nState:\tZ (zombie)\n"), None);
    }

    #[test]
    fn is_bounded_and_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("1000");
        let mut process = Process::start(command, folder.path(), "sleeping").unwrap();
        assert!(process.is_running().unwrap());
        assert!(process.wait(Duration::from_millis(20)).unwrap().is_none());
        process.kill();
        assert!(!process.is_running().unwrap());
        assert!(children_cpu_seconds().unwrap() >= 0.0);
    }
}
