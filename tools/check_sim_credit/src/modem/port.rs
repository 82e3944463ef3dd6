//! A serial port, opened for oneself alone and given back as it was.
//!
//! Never blocks beyond a deadline: the descriptor does not block, every wait is a `poll`. On closing,
//! what was not sent is thrown away, as the kernel would wait for a dead modem to take it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::{
    ControlModes, OptionalActions, QueueSelector, Termios, ioctl_tiocexcl, ioctl_tiocnxcl, tcflush,
    tcgetattr, tcsetattr,
};

use super::holder::{Holder, holders};
use super::lock::{Lock, LockError};

/// An open port. Dropped, it is closed and its lock is gone.
#[derive(Debug)]
pub struct Port {
    descriptor: OwnedFd,
    path: PathBuf,
    before: Option<Termios>,
    /// Given back after the port was closed.
    _lock: Lock,
}

/// Why a port cannot be had or used.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Another process has it open.
    #[error(
        "{path} is held by {holder}; two readers on one port steal each other's answers. If this is smsd, let it ask: regular_run_cmd in smsd.conf"
    )]
    Busy {
        /// The device.
        path: PathBuf,
        /// Who has it.
        holder: Holder,
    },
    /// The lock file says so.
    #[error(transparent)]
    Locked(#[from] LockError),
    /// Not a serial port.
    #[error("{0} is not a serial port")]
    NoTerminal(PathBuf),
    /// The modem was unplugged.
    #[error("{0}: the modem is gone (unplugged, or switched off)")]
    Gone(PathBuf),
    /// The modem does not take what is written.
    #[error("{0}: the modem takes no characters (hardware flow control, or a dead modem)")]
    Stuck(PathBuf),
    /// The kernel refused.
    #[error("{path}: {cause}{hint}")]
    Io {
        /// The device.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
        /// What to do, with a blank and brackets, or nothing.
        hint: &'static str,
    },
}

impl Port {
    /// Opens `path` at `baud`, with its lock file in `lock_directory`.
    ///
    /// # Errors
    /// A holder, a lock, or what the kernel said.
    pub fn open(path: &Path, baud: u32, lock_directory: &Path) -> Result<Self, PortError> {
        let io = |error: Errno| PortError::Io {
            path: path.to_owned(),
            cause: error.into(),
            hint: match error {
                Errno::ACCESS | Errno::PERM => {
                    " (is this user in the group of the device? adduser USER dialout)"
                }
                Errno::NOENT => " (is the modem plugged in?)",
                Errno::BUSY => " (another program has it exclusively)",
                _ => "",
            },
        };
        let about = rustix::fs::stat(path).map_err(io)?;
        if !FileType::from_raw_mode(about.st_mode).is_char_device() {
            return Err(PortError::NoTerminal(path.to_owned()));
        }
        let lock = Lock::take(path, lock_directory)?;
        let refuse_holder = || match holders(path).into_iter().next() {
            Some(holder) => Err(PortError::Busy {
                path: path.to_owned(),
                holder,
            }),
            None => Ok(()),
        };
        refuse_holder()?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, Mode::empty()).map_err(io)?;
        let before = match tcgetattr(&descriptor) {
            Err(Errno::NOTTY) => return Err(PortError::NoTerminal(path.to_owned())),
            read => read.map_err(io)?,
        };
        // Who opens it from here on is refused by the kernel; who did in between is seen now.
        ioctl_tiocexcl(&descriptor).map_err(io)?;
        let port = Self {
            descriptor,
            path: path.to_owned(),
            before: Some(before.clone()),
            _lock: lock,
        };
        refuse_holder()?;
        let mut settings = before;
        settings.make_raw();
        // Receive, and mind no carrier: a modem without a call may show none.
        settings.control_modes |= ControlModes::CREAD | ControlModes::CLOCAL;
        settings.set_speed(baud).map_err(io)?;
        tcsetattr(&port.descriptor, OptionalActions::Now, &settings).map_err(io)?;
        tcflush(&port.descriptor, QueueSelector::IOFlush).map_err(io)?;
        Ok(port)
    }

    /// The device's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Throws away what has come and was not read.
    pub fn forget_input(&self) {
        let _ = tcflush(&self.descriptor, QueueSelector::IFlush);
    }

    /// Writes all of `bytes`, by `deadline`.
    ///
    /// # Errors
    /// A modem that is gone or takes nothing.
    pub fn write(&self, mut bytes: &[u8], deadline: Instant) -> Result<(), PortError> {
        while !bytes.is_empty() {
            if !self.wait(PollFlags::OUT, deadline)? {
                return Err(PortError::Stuck(self.path.clone()));
            }
            match rustix::io::write(&self.descriptor, bytes) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(self.lost(error)),
            }
        }
        Ok(())
    }

    /// Appends what comes to `bytes`; `false` when nothing came by `deadline`.
    ///
    /// # Errors
    /// A modem that is gone.
    pub fn read(&self, bytes: &mut Vec<u8>, deadline: Instant) -> Result<bool, PortError> {
        let mut piece = [0_u8; 4096];
        loop {
            if !self.wait(PollFlags::IN, deadline)? {
                return Ok(false);
            }
            match rustix::io::read(&self.descriptor, &mut piece) {
                Ok(0) => return Err(PortError::Gone(self.path.clone())),
                Ok(count) => {
                    bytes.extend_from_slice(piece.get(..count).unwrap_or_default());
                    return Ok(true);
                }
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    fn wait(&self, what: PollFlags, deadline: Instant) -> Result<bool, PortError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut waiting = [PollFd::from_borrowed_fd(self.descriptor.as_fd(), what)];
            match poll(&mut waiting, Some(&timeout)) {
                Ok(0) => return Ok(false),
                Ok(_) => {
                    let seen = waiting[0].revents();
                    if seen.intersects(what) {
                        return Ok(true);
                    }
                    return Err(PortError::Gone(self.path.clone()));
                }
                Err(Errno::INTR) if left > Duration::ZERO => {}
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    fn lost(&self, error: Errno) -> PortError {
        match error {
            Errno::IO | Errno::NXIO | Errno::NODEV => PortError::Gone(self.path.clone()),
            other => PortError::Io {
                path: self.path.clone(),
                cause: other.into(),
                hint: "",
            },
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let _ = tcflush(&self.descriptor, QueueSelector::IOFlush);
        if let Some(before) = &self.before {
            let _ = tcsetattr(&self.descriptor, OptionalActions::Now, before);
        }
        let _ = ioctl_tiocnxcl(&self.descriptor);
    }
}
