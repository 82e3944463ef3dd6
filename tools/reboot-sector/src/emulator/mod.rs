//! Boots a disk image in QEMU and watches what happens: a reset, by which way, or none. It emulates with
//! TCG always, as a triple fault is no reset under every hypervisor. `simulate` and the tests call it.

mod qmp;
mod watch;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub use qmp::QmpError;
pub use watch::{Way, ways};

use qmp::Qmp;

/// The program.
pub const QEMU: &str = "qemu-system-x86_64";

/// A machine to be started.
#[derive(Clone, Debug)]
pub struct Machine {
    /// QEMU's `-M`, such as `pc`, `q35` or `isapc,i8042=off`.
    pub kind: String,
    /// Bytes of memory, in MiB.
    pub memory_mib: u32,
    /// The disk; changes to it are dropped.
    pub disk: PathBuf,
    /// Log what the guest writes to ports, for [`Running::ways`]; that makes it slower.
    pub logs_ports: bool,
    /// Keep running after a reset, instead of ending at the first.
    pub reboots: bool,
    /// Further arguments.
    pub more: Vec<OsString>,
}

/// A machine that runs. It is killed when this is dropped, and when this process dies.
#[derive(Debug)]
pub struct Running {
    child: Child,
    qmp: Qmp,
    log: PathBuf,
    since: Instant,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The guest reset the machine, so long after power-on.
    Reset(Duration),
    /// QEMU ended for another reason: its own word, or its exit code.
    Ended(String),
    /// Nothing of that in the time given.
    StillRuns,
}

/// Why a machine cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum EmulatorError {
    /// QEMU cannot be started.
    #[error("cannot start {QEMU}: {0}; on Debian: apt-get install qemu-system-x86")]
    Start(io::Error),
    /// QEMU does not talk as expected.
    #[error("cannot talk to {QEMU}: {0}")]
    Qmp(#[from] QmpError),
}

impl Machine {
    /// A PC of the 1990s with the disk as its first.
    pub fn new(kind: &str, disk: &Path) -> Self {
        Self {
            kind: kind.to_owned(),
            memory_mib: if kind.starts_with("isapc") { 16 } else { 64 },
            disk: disk.to_owned(),
            logs_ports: true,
            reboots: false,
            more: Vec::new(),
        }
    }

    /// Starts it. What the guest writes to ports goes to `log`.
    ///
    /// # Errors
    /// When QEMU is not there or refuses its arguments.
    pub fn start(&self, log: &Path) -> Result<Running, EmulatorError> {
        let interface = if self.kind.starts_with("q35") {
            "none,id=disk"
        } else {
            "ide"
        };
        // A comma in a value is doubled.
        let path = self.disk.as_os_str().to_string_lossy().replace(',', ",,");
        // setpriv: QEMU must not outlive this process, however that ends.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", QEMU]);
        command.args([
            "-accel",
            "tcg",
            "-M",
            &self.kind,
            "-m",
            &self.memory_mib.to_string(),
        ]);
        command.args(["-display", "none", "-nodefaults", "-vga", "std"]);
        command
            .args(["-qmp", "stdio", "-d", "cpu_reset", "-D"])
            .arg(log);
        if self.logs_ports {
            command.args(["-trace", "memory_region_ops_write"]);
        }
        command.arg("-drive");
        command.arg(format!("file={path},format=raw,if={interface},snapshot=on"));
        if interface != "ide" {
            command.args(["-device", "ide-hd,drive=disk"]);
        }
        if !self.reboots {
            command.arg("-no-reboot");
        }
        command.args(&self.more);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let since = Instant::now();
        let mut child = command.spawn().map_err(EmulatorError::Start)?;
        let pipes = (child.stdin.take(), child.stdout.take());
        let talk = match pipes {
            (Some(to), Some(from)) => Qmp::open(to, from),
            _ => Err(QmpError::Closed),
        };
        match talk {
            Ok(qmp) => Ok(Running {
                child,
                qmp,
                log: log.to_owned(),
                since,
            }),
            Err(error) => {
                let _already_ended = child.kill();
                let said = child
                    .wait_with_output()
                    .map(|out| out.stderr)
                    .unwrap_or_default();
                let said = String::from_utf8_lossy(&said).trim().to_owned();
                Err(if said.is_empty() {
                    error.into()
                } else {
                    QmpError::Refused(said).into()
                })
            }
        }
    }
}

impl Running {
    /// Waits for a reset, the end, or until `limit` has passed.
    ///
    /// # Errors
    /// When QEMU says what is no QMP.
    pub fn wait(&mut self, limit: Duration) -> Result<Outcome, EmulatorError> {
        let end = Instant::now() + limit;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.qmp.event(left) {
                Ok(Some(event)) if event.is_guest_reset() => {
                    return Ok(Outcome::Reset(self.since.elapsed()));
                }
                Ok(Some(event)) if event.name == "SHUTDOWN" => {
                    return Ok(Outcome::Ended(event.reason));
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Outcome::StillRuns),
                Err(QmpError::Closed) => {
                    let status = self.child.wait().map_err(EmulatorError::Start)?;
                    return Ok(Outcome::Ended(status.code().map_or_else(
                        || "killed".to_owned(),
                        |code| format!("exit code {code}"),
                    )));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The letters on the emulated screen in text mode, 25 lines of 80.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub fn screen(&mut self) -> Result<String, EmulatorError> {
        let dump = self.qmp.monitor("xp /4000xb 0xb8000")?;
        Ok(watch::screen(&dump))
    }

    /// Presses a key, named as QEMU names it: `a`, `esc`, `spc`.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub fn press(&mut self, key: &str) -> Result<(), EmulatorError> {
        self.qmp.monitor(&format!("sendkey {key}"))?;
        Ok(())
    }

    /// Asks QEMU's own monitor, for what has no method here.
    ///
    /// # Errors
    /// When QEMU does not answer.
    pub fn monitor(&mut self, line: &str) -> Result<String, EmulatorError> {
        Ok(self.qmp.monitor(line)?)
    }

    /// The ways of resetting that the guest has tried, in order.
    pub fn ways(&self) -> Vec<Way> {
        // The log is cut off where QEMU writes at this moment.
        ways(&String::from_utf8_lossy(
            &fs::read(&self.log).unwrap_or_default(),
        ))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _already_ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
