//! The folder inside the destination in which a copy grows until it is whole.
//!
//! It is named after the copy's manifest, so that the same copy finds what an earlier attempt left. It is
//! locked while it is in use, so that what a killed receiver left behind can be told from the work of a
//! receiver that runs. Which files are in it is decided in `incoming`.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use grappe_os::file::{Access, Directory};
use grappe_proto::units::Digest;

use super::{journal, nests};

const NAME_PREFIX: &str = ".grappe-";
pub(super) const LOCK_NAME: &[u8] = b"lock";

/// Attempts to make the folder. Other receivers, just starting, may take it for a stale one in the
/// instant before it is locked, and lock it themselves as long as they remove it.
const ATTEMPTS_MAX: u32 = 32;

/// Between two attempts: more than the removal of an empty folder takes.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(10);

/// A broken-off copy that nobody goes on with is removed after so long.
const KEPT_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// A staging folder of this process. It disappears with this value, unless it is kept.
#[derive(Debug)]
pub(super) struct Staging {
    parent: Arc<Directory>,
    name: Vec<u8>,
    directory: Directory,
    /// Locked as long as it is open; none once the folder is removed.
    lock: Mutex<Option<File>>,
    removed: AtomicBool,
    kept: AtomicBool,
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
    /// A copy that was broken off, and may be gone on with.
    Kept,
}

/// The name of the staging folder of the copy whose manifest has this hash.
pub(super) fn name(manifest_hash: Digest) -> Vec<u8> {
    let mut name = NAME_PREFIX.to_owned();
    for byte in &manifest_hash.0[..16] {
        name.push_str(&format!("{byte:02x}"));
    }
    name.into_bytes()
}

/// Removes the staging folders in `parent` that no receiver uses any more and that no copy can go on
/// with, or that were left alone for a week.
///
/// What cannot be removed, such as another user's, stays: that is no reason not to copy.
pub(super) fn remove_stale(parent: &Directory) -> io::Result<()> {
    remove_unused(parent, KEPT_MAX)
}

/// Removes all staging folders in `parent` that no receiver uses, for the space.
pub(super) fn remove_kept(parent: &Directory) -> io::Result<()> {
    remove_unused(parent, Duration::ZERO)
}

fn remove_unused(parent: &Directory, kept_max: Duration) -> io::Result<()> {
    for name in parent.entries()? {
        if is_staging_name(&name) {
            let _ = remove_if_stale(parent, &name, kept_max);
        }
    }
    Ok(())
}

impl Staging {
    /// Makes and locks the folder of a copy in `parent`, or takes over what an earlier attempt left;
    /// `None` when another receiver uses it.
    pub(super) fn create(
        parent: &Arc<Directory>,
        manifest_hash: Digest,
    ) -> io::Result<Option<Self>> {
        let name = name(manifest_hash);
        let mut in_use = false;
        for _ in 0..ATTEMPTS_MAX {
            match make(parent, &name) {
                Ok(Made::Folder(directory, lock)) => {
                    return Ok(Some(Self {
                        parent: Arc::clone(parent),
                        name,
                        directory,
                        lock: Mutex::new(Some(lock)),
                        removed: AtomicBool::new(false),
                        kept: AtomicBool::new(false),
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

    /// Leaves the folder where it is, for another attempt.
    pub(super) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// Removes the folder and all in it.
    pub(super) fn remove(&self) -> io::Result<()> {
        if self.removed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let lock = self
            .lock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        remove_folder(&self.parent, &self.name, &self.directory, lock)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::Relaxed) {
            // Nobody is left to tell; the next receiver in this directory tries again.
            let _ = self.remove();
        }
    }
}

/// Makes, opens and locks the folder `name`, or locks the one that is there.
///
/// Fails as [`is_lost_race`] knows it when another receiver took the new folder for a stale one.
fn make(parent: &Directory, name: &[u8]) -> io::Result<Made> {
    match parent.create_directory(name, 0o700) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if let Some(made) = take_over(parent, name)? {
                return Ok(made);
            }
            parent.create_directory(name, 0o700)?;
        }
        result => result?,
    }
    let directory = parent.open_beneath(name)?;
    let lock = directory.create_exclusive(LOCK_NAME, 0o600)?;
    locked(directory, lock)
}

/// Locks the folder `name` that is there. An empty one is removed.
fn take_over(parent: &Directory, name: &[u8]) -> io::Result<Option<Made>> {
    let directory = parent.open_beneath(name)?;
    match directory.open_file(LOCK_NAME, Access::ReadWrite) {
        // Made and not yet locked, or emptied and not yet removed. Only an empty folder goes.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            parent.remove_directory(name)?;
            Ok(None)
        }
        lock => locked(directory, lock?).map(Some),
    }
}

fn locked(directory: Directory, lock: File) -> io::Result<Made> {
    match lock.try_lock() {
        // Removed between its creation and its locking, the lock would guard nothing.
        Ok(()) if lock.metadata()?.nlink() == 0 => Err(io::ErrorKind::NotFound.into()),
        Ok(()) => Ok(Made::Folder(directory, lock)),
        Err(TryLockError::WouldBlock) => Ok(Made::InUse),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes the staging folder `name` unless its lock is held, or its journal is younger than `kept_max`.
fn remove_if_stale(parent: &Directory, name: &[u8], kept_max: Duration) -> io::Result<Stale> {
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
    if let Ok(journal) = directory.metadata(journal::NAME)
        && age(journal.mtime_seconds) < kept_max
    {
        return Ok(Stale::Kept);
    }
    remove_folder(parent, name, &directory, Some(lock))?;
    Ok(Stale::Removed)
}

/// How long ago that was; nothing when it is to come, by another clock.
fn age(unix_seconds: i64) -> Duration {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.saturating_sub(Duration::from_secs(
        u64::try_from(unix_seconds).unwrap_or(0),
    ))
}

/// Removes the files of a staging folder, its lock last, and the folder.
fn remove_folder(
    parent: &Directory,
    name: &[u8],
    directory: &Directory,
    lock: Option<File>,
) -> io::Result<()> {
    for file in directory.entries()? {
        if nests::is_nest(&file) {
            nests::clear(directory, &file, |_| false)?;
        } else if file != LOCK_NAME {
            directory.remove_file(&file)?;
        }
    }
    directory.remove_file(LOCK_NAME)?;
    // Where a removed file keeps a name while it is open (NFS, FUSE), the folder would not be empty.
    drop(lock);
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

pub(super) fn is_staging_name(name: &[u8]) -> bool {
    let digits = name.strip_prefix(NAME_PREFIX.as_bytes());
    digits.is_some_and(|digits| digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit))
}
