//! The folder inside the destination in which a copy grows until it is whole.
//!
//! It is locked while it is in use, so that what a killed receiver left behind can be told from the
//! work of a receiver that runs, and removed. Which files are in it is decided in `incoming`.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use grappe_os::file::{Access, Directory};
use grappe_proto::units::SessionId;

const NAME_PREFIX: &str = ".grappe-";
const LOCK_NAME: &[u8] = b"lock";

/// Attempts to make the folder. Other receivers, just starting, may take it for a stale one in the
/// instant before it is locked, and lock it themselves as long as they remove it.
const ATTEMPTS_MAX: u32 = 32;

/// Between two attempts: more than the removal of an empty folder takes.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(10);

/// A staging folder of this process. It disappears with this value.
#[derive(Debug)]
pub(super) struct Staging {
    parent: Arc<Directory>,
    name: Vec<u8>,
    directory: Directory,
    /// Locked as long as it is open.
    _lock: File,
    removed: AtomicBool,
}

/// What came of an attempt to make a staging folder.
enum Made {
    Folder(Directory, File),
    InUse,
}

/// What became of a staging folder that may be stale.
#[derive(Debug, PartialEq, Eq)]
enum Stale {
    Removed,
    InUse,
}

/// The name of the staging folder of `session`.
pub(super) fn name(session: SessionId) -> Vec<u8> {
    format!("{NAME_PREFIX}{session}").into_bytes()
}

/// Removes the staging folders in `parent` that no receiver uses any more.
///
/// What cannot be removed, such as another user's, stays: that is no reason not to copy.
pub(super) fn remove_stale(parent: &Directory) -> io::Result<()> {
    for name in parent.entries()? {
        if is_staging_name(&name) {
            let _ = remove_if_stale(parent, &name);
        }
    }
    Ok(())
}

impl Staging {
    /// Makes and locks the folder of `session` in `parent`; `None` when another receiver uses it.
    pub(super) fn create(parent: &Arc<Directory>, session: SessionId) -> io::Result<Option<Self>> {
        let name = name(session);
        let mut in_use = false;
        for _ in 0..ATTEMPTS_MAX {
            match make(parent, &name) {
                Ok(Made::Folder(directory, lock)) => {
                    let (parent, removed) = (Arc::clone(parent), AtomicBool::new(false));
                    return Ok(Some(Self {
                        parent,
                        name,
                        directory,
                        _lock: lock,
                        removed,
                    }));
                }
                Ok(Made::InUse) => in_use = true,
                Err(error) if is_lost_race(&error) => in_use = false,
                Err(error) => return Err(error),
            }
            thread::sleep(ATTEMPT_PAUSE);
        }
        if in_use {
            return Ok(None);
        }
        Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            "other receivers keep removing it",
        ))
    }

    /// The folder itself.
    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Removes the folder and all in it.
    pub(super) fn remove(&self) -> io::Result<()> {
        if self.removed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        remove_folder(&self.parent, &self.name, &self.directory)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Nobody is left to tell; the next receiver in this directory tries again.
        let _ = self.remove();
    }
}

/// Makes, opens and locks the folder `name`, after removing a stale one.
///
/// Fails as [`is_lost_race`] knows it when another receiver took the new folder for a stale one.
fn make(parent: &Directory, name: &[u8]) -> io::Result<Made> {
    match parent.create_directory(name, 0o700) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if remove_if_stale(parent, name)? == Stale::InUse {
                return Ok(Made::InUse);
            }
            parent.create_directory(name, 0o700)?;
        }
        result => result?,
    }
    let directory = parent.open_beneath(name)?;
    let lock = directory.create_exclusive(LOCK_NAME, 0o600)?;
    match lock.try_lock() {
        // Removed between its creation and its locking, the lock would guard nothing.
        Ok(()) if lock.metadata()?.nlink() == 0 => Err(io::ErrorKind::NotFound.into()),
        Ok(()) => Ok(Made::Folder(directory, lock)),
        Err(TryLockError::WouldBlock) => Ok(Made::InUse),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes the staging folder `name` unless its lock is held.
fn remove_if_stale(parent: &Directory, name: &[u8]) -> io::Result<Stale> {
    let directory = parent.open_beneath(name)?;
    let lock = match directory.open_file(LOCK_NAME, Access::ReadWrite) {
        // Made and not yet locked, or emptied and not yet removed. Only an empty folder goes.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            parent.remove_directory(name)?;
            return Ok(Stale::Removed);
        }
        result => result?,
    };
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Stale::InUse),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    remove_folder(parent, name, &directory)?;
    Ok(Stale::Removed)
}

/// Removes the files of a staging folder, its lock last, and the folder.
fn remove_folder(parent: &Directory, name: &[u8], directory: &Directory) -> io::Result<()> {
    for file in directory.entries()? {
        if file != LOCK_NAME {
            directory.remove_file(&file)?;
        }
    }
    directory.remove_file(LOCK_NAME)?;
    match parent.remove_directory(name) {
        // Empty and without its lock, it was removed by another receiver that found it so.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => Ok(result?),
    }
}

/// Whether an error means that another receiver made or removed the folder at the same time.
fn is_lost_race(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, NotFound};
    matches!(error.kind(), NotFound | AlreadyExists | DirectoryNotEmpty)
}

fn is_staging_name(name: &[u8]) -> bool {
    let digits = name.strip_prefix(NAME_PREFIX.as_bytes());
    digits.is_some_and(|digits| digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit))
}
