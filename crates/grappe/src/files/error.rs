//! What can end the reading or the placing of a whole copy, in words for its user.
//!
//! Not here: what concerns one file alone. That is reported at the end, and the rest is copied.

use std::io;
use std::path::{Path, PathBuf};

use grappe_os::file::FileError;
use grappe_proto::content::manifest::ManifestError;
use rustix::io::Errno;

/// Why the paths that the user named cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A path leads to nothing.
    #[error("{} does not exist", .path.display())]
    Missing {
        /// The path as typed.
        path: PathBuf,
    },
    /// Two paths would arrive under one name.
    #[error("{} and {} would both arrive as {name:?}; send them one after the other", .first.display(), .second.display())]
    SameName {
        /// The name at the receivers.
        name: String,
        /// The path named first.
        first: PathBuf,
        /// The path named second.
        second: PathBuf,
    },
    /// A path whose last component gives the copy no name, such as `/`.
    #[error("{} has no name to arrive under; name what is in it instead", .path.display())]
    Nameless {
        /// The path as typed.
        path: PathBuf,
    },
    /// More files than one copy can carry.
    #[error("there are more than {max} files; send them in parts")]
    TooManyEntries {
        /// The bound.
        max: usize,
    },
    /// The files together are more than one copy can carry.
    #[error("this cannot be one copy: {0}")]
    Manifest(#[from] ManifestError),
    /// Nobody wants the result any more.
    #[error("the reading of the tree was stopped")]
    Stopped,
    /// The kernel refused.
    #[error("cannot read {}: {source}", .path.display())]
    Io {
        /// What was asked for.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Why a copy cannot be placed, or no longer be placed.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The directory to copy into is not there.
    #[error("{} does not exist; create it first", .path.display())]
    Missing {
        /// The directory as named by the user.
        path: PathBuf,
    },
    /// The path to copy into is something else.
    #[error("{} is not a directory; name the directory to copy into", .path.display())]
    NotDirectory {
        /// The path as named by the user.
        path: PathBuf,
    },
    /// Nothing can be written there by this user.
    #[error("{} cannot be written to; look at its permissions, and whether it is mounted read-only", .path.display())]
    NotWritable {
        /// The directory as named by the user.
        path: PathBuf,
    },
    /// The file system is too small, or became full.
    #[error("not enough space in {}: {needed} bytes needed, {available} available", .path.display())]
    NoSpace {
        /// The directory copied into.
        path: PathBuf,
        /// Bytes that the whole copy takes.
        needed: u64,
        /// Bytes that were free.
        available: u64,
    },
    /// Something stands where the copy must place something that cannot replace it.
    #[error("{} is in the way: {reason}", .path.display())]
    Conflict {
        /// What is in the way.
        path: PathBuf,
        /// What it is, and what should be there.
        reason: String,
    },
    /// The copy would remove more than it may.
    #[error("{removed} entries in {} would be removed, and {stays} stay; look with --dry-run, then allow it with --delete-max {removed}", .path.display())]
    TooManyRemovals {
        /// The directory copied into.
        path: PathBuf,
        /// Entries that would go.
        removed: u64,
        /// Entries beside them that would stay.
        stays: u64,
    },
    /// The copy brings what this receiver does not take without being told to.
    #[error("{} would get {what}; this receiver takes that only with {flag}", .path.display())]
    NotAllowed {
        /// What would get it.
        path: PathBuf,
        /// What it would get.
        what: &'static str,
        /// The flag of `receive` that allows it.
        flag: &'static str,
    },
    /// Another receiver is writing this very session into this very directory.
    #[error("another receiver is placing this copy in {}; stop one of the two", .path.display())]
    InUse {
        /// The staging folder of the other.
        path: PathBuf,
    },
    /// The manifest is not one that a receiver may follow.
    #[error("the sender's list of files is not acceptable: {0}")]
    Manifest(#[from] ManifestError),
    /// A block or the states do not fit the manifest: a defect of the caller or the sender.
    #[error("the copy contradicts itself: {reason}")]
    Mismatch {
        /// What does not fit.
        reason: String,
    },
    /// The kernel refused.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// The verb: "write", "create".
        action: &'static str,
        /// What was asked for.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl SinkError {
    /// The kernel's refusal to `action` `path`.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_path_buf(),
            source: kernel_answer(source),
        }
    }
}

/// The kernel's own answer where `error` only wraps it: that alone tells a user the reason.
pub(super) fn kernel_answer(error: io::Error) -> io::Error {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(FileError::Kernel { errno, .. }) => (*errno).into(),
        Some(FileError::Symlink) => Errno::LOOP.into(),
        Some(FileError::NotDirectory) => Errno::NOTDIR.into(),
        _ => error,
    }
}

/// Whether a file system or a quota is full.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
