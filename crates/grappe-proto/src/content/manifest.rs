//! The manifest: what a copy consists of, in the order of the stream. The first object that travels.
//!
//! It names and describes; it does not say where bytes stand (`layout`) nor touch files. Its form on
//! the wire is in `encoding`; what makes a decoded one safe to follow is in `rules`.

mod encoding;
mod rules;

use thiserror::Error;

use super::layout::PIECES_MAX;
use crate::limits::{ENTRIES_MAX, MANIFEST_BYTES_MAX};

/// Why a manifest cannot be accepted. An `entry` is an index into `Manifest::entries`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum ManifestError {
    /// The encoding is longer than `MANIFEST_BYTES_MAX`.
    #[error("the manifest is longer than {MANIFEST_BYTES_MAX} bytes")]
    TooLong,
    /// The bytes are not a manifest, or end too early.
    #[error("the manifest is broken at byte {at}")]
    Malformed {
        /// Position in the encoding.
        at: usize,
    },
    /// The encoding has a version that this program does not know.
    #[error("the manifest has the unknown version {version}")]
    Version {
        /// The version found.
        version: u32,
    },
    /// The manifest is followed by more bytes.
    #[error("the manifest ends at byte {at}, but more follows")]
    TrailingBytes {
        /// Position in the encoding.
        at: usize,
    },
    /// An entry is of a kind that this program does not know.
    #[error("entry {entry} is of the unknown kind {kind}")]
    Kind {
        /// The entry.
        entry: u32,
        /// The number of the kind.
        kind: u8,
    },
    /// There are more than `ENTRIES_MAX` entries.
    #[error("the manifest has more than {ENTRIES_MAX} entries")]
    EntryCount,
    /// The path is absolute, leaves the tree, is too long or has an impossible component.
    #[error("entry {entry} has a path that is not allowed")]
    Path {
        /// The entry.
        entry: u32,
    },
    /// The path was there before.
    #[error("entry {entry} has the path of another entry")]
    RepeatedPath {
        /// The later of the two entries.
        entry: u32,
    },
    /// The parent of the path is not a directory among the entries before.
    #[error("no directory stands before entry {entry} to hold it")]
    Parent {
        /// The entry.
        entry: u32,
    },
    /// The mode has other bits than the twelve of permissions.
    #[error("entry {entry} has an impossible mode")]
    Mode {
        /// The entry.
        entry: u32,
    },
    /// The nanoseconds are a second or more.
    #[error("entry {entry} has an impossible time")]
    Time {
        /// The entry.
        entry: u32,
    },
    /// The target of a symbolic link is empty, too long or has a NUL.
    #[error("entry {entry} links to an impossible target")]
    Target {
        /// The entry.
        entry: u32,
    },
    /// The files together have more bytes or pieces than can be numbered.
    #[error("the files have more bytes than {PIECES_MAX} pieces can hold")]
    TotalSize,
}

/// One thing of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative path in raw bytes (`b"DIR/sub/file"`): components separated by one `/`, none empty,
    /// none `.` or `..`, no NUL, neither first nor last byte a `/`.
    pub path: Vec<u8>,
    /// What it is, with what belongs to that kind alone.
    pub kind: Kind,
    /// Permission bits, `0o7777` at most; of no meaning for symbolic links.
    pub mode: u32,
    /// Time of last modification: seconds since 1970 and nanoseconds below 10^9.
    pub mtime: (i64, u32),
}

/// The kind of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory; stands before everything in it.
    Directory,
    /// A regular file of so many bytes.
    File {
        /// Length in bytes when the copy began.
        size: u64,
    },
    /// A symbolic link; the target is copied as text and never followed.
    Symlink {
        /// The link's text: at most 4,095 bytes, no NUL.
        target: Vec<u8>,
    },
}

/// All entries, parents before children, no path twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The entries, in stream order.
    pub entries: Vec<Entry>,
}

impl Manifest {
    /// The manifest as bytes. Only a valid one can be decoded again; see [`Manifest::validate`].
    pub fn encode(&self) -> Vec<u8> {
        encoding::encode(self)
    }

    /// The manifest that `bytes` encode, valid in the sense of [`Manifest::validate`].
    ///
    /// Needs memory in proportion to the length of `bytes`, whatever they claim.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest = encoding::decode(bytes)?;
        manifest.validate()?;
        Ok(manifest)
    }

    /// Whether all the rules for paths, values, order and limits are kept.
    ///
    /// A sender checks its own manifest with it before it encodes; `decode` checks what a sender says.
    /// Time: about linear when entries stand in the order of a walk through the tree by name.
    pub fn validate(&self) -> Result<(), ManifestError> {
        rules::validate(self)
    }

    /// The regular files with their sizes in bytes, as indices into the entries.
    pub fn files(&self) -> impl Iterator<Item = (u32, u64)> {
        // A valid manifest has at most ENTRIES_MAX entries, which fit in a u32.
        self.entries
            .iter()
            .enumerate()
            .filter_map(|(entry, found)| match found.kind {
                Kind::File { size } => Some((entry as u32, size)),
                Kind::Directory | Kind::Symlink { .. } => None,
            })
    }

    /// The sum of the sizes of all regular files, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.files()
            .fold(0, |total, (_, size)| total.saturating_add(size))
    }

    /// How many regular files there are.
    pub fn file_count(&self) -> u32 {
        self.files().count() as u32
    }
}

#[cfg(test)]
mod tests;
