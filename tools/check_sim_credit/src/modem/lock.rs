//! The lock file of a serial port, as UUCP and its heirs write it: `LCK..ttyS0`, the holder's number.
//!
//! Filesystem Hierarchy Standard 3.0, `/var/lock`: ten characters of decimal number and a line end. A
//! lock of a process that is gone is taken over.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, test_kill_process};

/// A lock, held until dropped.
#[derive(Debug)]
pub struct Lock {
    paths: Vec<PathBuf>,
}

/// Why a port cannot be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A living process has it.
    #[error("{path} says that process {process}{name} has the port; wait for it, or stop it")]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The holder's number.
        process: i32,
        /// The holder's name in brackets, where it is known.
        name: String,
    },
    /// The kernel refused.
    #[error("{path}: {action}: {cause}{hint}")]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        cause: std::io::Error,
        /// What to do, with a blank and brackets, or nothing.
        hint: &'static str,
    },
}

impl Lock {
    /// Locks `device`, and under its real name too where it is a link, in `directory`.
    ///
    /// # Errors
    /// A holder that lives, or what the kernel said.
    pub fn take(device: &Path, directory: &Path) -> Result<Self, LockError> {
        let mut lock = Self { paths: Vec::new() };
        let real = std::fs::canonicalize(device).unwrap_or_else(|_| device.to_owned());
        let mut names: Vec<String> = [device, real.as_path()]
            .iter()
            .filter_map(|path| path.file_name())
            .map(|name| format!("LCK..{}", name.to_string_lossy()))
            .collect();
        names.dedup();
        for name in names {
            let path = directory.join(name);
            make(&path)?;
            lock.paths.push(path);
        }
        Ok(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        for path in &self.paths {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Makes one lock file, in one step: another process sees it whole or not at all.
fn make(path: &Path) -> Result<(), LockError> {
    let io = |action| {
        move |cause: std::io::Error| {
            let hint = if cause.kind() == ErrorKind::PermissionDenied {
                " (may this user lock serial ports? run as root or in the group that owns the directory, or give another one with --lock-dir)"
            } else {
                ""
            };
            LockError::Io {
                path: path.to_owned(),
                action,
                cause,
                hint,
            }
        }
    };
    let own = path.with_extension(format!("{}.new", std::process::id()));
    let _ = std::fs::remove_file(&own);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&own)
        .map_err(io("cannot be made"))?;
    let written = file
        .write_all(format!("{:>10}\n", std::process::id()).as_bytes())
        .map_err(io("cannot be written"));
    let linked = written.and_then(|()| link(&own, path, &io));
    let _ = std::fs::remove_file(&own);
    linked
}

fn link<E: Fn(std::io::Error) -> LockError>(
    own: &Path,
    path: &Path,
    io: &impl Fn(&'static str) -> E,
) -> Result<(), LockError> {
    // Once more after a stale lock was taken away.
    for _ in 0..2 {
        match std::fs::hard_link(own, path) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io("cannot be made")(error)),
        }
        if let Some(process) = living_holder(path) {
            let name = std::fs::read_to_string(format!("/proc/{process}/comm"))
                .map(|name| format!(" ({})", name.trim()))
                .unwrap_or_default();
            return Err(LockError::Held {
                path: path.to_owned(),
                process,
                name,
            });
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io("is left over and cannot be removed")(error));
            }
            _ => {}
        }
    }
    Err(io("cannot be made")(ErrorKind::AlreadyExists.into()))
}

/// The process that a lock file names, if it lives. A file without a number is nobody's.
pub(super) fn living_holder(path: &Path) -> Option<i32> {
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(64)
        .read_to_string(&mut text)
        .ok()?;
    let process: i32 = text.split_whitespace().next()?.parse().ok()?;
    let pid = Pid::from_raw(process)?;
    match test_kill_process(pid) {
        Err(rustix::io::Errno::SRCH) => None,
        _ => Some(process),
    }
}

#[cfg(test)]
mod tests {
    use super::{Lock, LockError};

    #[test]
    fn a_lock_keeps_others_out_and_goes_with_its_holder() {
        let directory = tempfile::tempdir().unwrap();
        let device = std::path::Path::new("/dev/ttyS99");
        let path = directory.path().join("LCK..ttyS99");
        let lock = Lock::take(device, directory.path()).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.len(), 11, "ten characters and a line end");
        assert_eq!(text.trim(), std::process::id().to_string());
        let error = Lock::take(device, directory.path()).unwrap_err();
        assert!(matches!(error, LockError::Held { .. }), "{error}");
        drop(lock);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_lock_of_a_process_that_is_gone_is_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("LCK..ttyS99");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        std::fs::write(&path, format!("{:>10}\n", child.id())).unwrap();
        assert!(Lock::take(std::path::Path::new("/dev/ttyS99"), directory.path()).is_ok());
        std::fs::write(&path, "").unwrap();
        assert!(Lock::take(std::path::Path::new("/dev/ttyS99"), directory.path()).is_ok());
    }
}
