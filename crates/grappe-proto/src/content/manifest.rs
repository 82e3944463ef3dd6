//! The manifest: what a copy consists of, in the order of the stream. The first object that travels.
//!
//! It names and describes; it does not say where bytes stand (`layout`) nor touch files. Its form on
//! the wire is in `encoding`; what makes a decoded one safe to follow is in `rules`.

mod encoding;
mod rules;
mod terms;

use thiserror::Error;

pub use self::terms::{Filter, Sync, Terms};
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
    /// A hard link to something that is not a file, link or device before it.
    #[error("entry {entry} is a hard link to nothing that stands before it")]
    HardLink {
        /// The entry.
        entry: u32,
    },
    /// The parts of a file that hold data overlap, leave it or are on something else than a file.
    #[error("entry {entry} has impossible holes")]
    Extents {
        /// The entry.
        entry: u32,
    },
    /// The owner is not among the owners, or has an impossible name.
    #[error("entry {entry} has an owner that is not listed")]
    Owner {
        /// The entry.
        entry: u32,
    },
    /// There are too many owners, or one has an impossible name.
    #[error("the list of owners is not acceptable")]
    Owners,
    /// An extended attribute has a name that does not travel, or is too long.
    #[error("entry {entry} has an extended attribute that is not allowed")]
    Attribute {
        /// The entry.
        entry: u32,
    },
    /// The terms contradict themselves or are too long.
    #[error("the terms of the copy are not acceptable")]
    Terms,
    /// The files together have more bytes or pieces than can be numbered.
    #[error("the files have more bytes than {PIECES_MAX} pieces can hold")]
    TotalSize,
}

/// One thing of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Whose it is: an index into [`Manifest::owners`]. None: whoever receives it.
    pub owner: Option<u32>,
    /// What few entries have.
    pub extra: Option<Box<Extra>>,
}

/// What few entries have, apart so that the others stay small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// Of a file with holes: where it has data, in ascending order. None: everywhere.
    pub extents: Option<Vec<Extent>>,
    /// Extended attributes: names as `user.colour`, and values. Access lists are among them, as the
    /// kernel gives them (`system.posix_acl_access`, acl(5)).
    pub attributes: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A run of bytes of a file that is no hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First byte in the file.
    pub offset: u64,
    /// Bytes, at least one.
    pub len: u64,
}

/// Whose files are, by name and number: a receiver takes the name where it knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// Number of the user at the sender.
    pub uid: u32,
    /// Number of the group at the sender.
    pub gid: u32,
    /// Name of the user; empty when only the number counts.
    pub user: Vec<u8>,
    /// Name of the group; empty when only the number counts.
    pub group: Vec<u8>,
}

/// The kind of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A directory; stands before everything in it.
    #[default]
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
    /// Another name of an entry that stands before it, which is neither a directory nor a hard link.
    HardLink {
        /// The entry.
        to: u32,
    },
    /// A device node.
    Device {
        /// Whether it is a block device; otherwise a character device.
        is_block: bool,
        /// The driver's number.
        major: u32,
        /// The device's number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
}

impl Entry {
    /// Where the file has data, when it has holes.
    pub fn extents(&self) -> Option<&[Extent]> {
        self.extra.as_ref()?.extents.as_deref()
    }

    /// Its extended attributes.
    pub fn attributes(&self) -> &[(Vec<u8>, Vec<u8>)] {
        self.extra.as_ref().map_or(&[], |extra| &extra.attributes)
    }

    /// Bytes of the file, or 0 for anything else.
    pub const fn size(&self) -> u64 {
        match self.kind {
            Kind::File { size } => size,
            _ => 0,
        }
    }

    /// Bytes of the file that are in no hole.
    pub fn data_bytes(&self) -> u64 {
        match self.extents() {
            Some(extents) => extents.iter().fold(0, |sum, it| sum.saturating_add(it.len)),
            None => self.size(),
        }
    }

    /// The runs of data among the `len` bytes from `offset` on, ascending.
    pub fn data_in(&self, offset: u64, len: u32) -> impl Iterator<Item = Extent> {
        let (start, end) = (offset, offset.saturating_add(len.into()));
        let whole = [Extent {
            offset,
            len: len.into(),
        }];
        let (whole, extents) = match self.extents() {
            None => (Some(whole), &[][..]),
            Some(extents) => {
                let first = extents.partition_point(|it| it.offset.saturating_add(it.len) <= start);
                (None, &extents[first..])
            }
        };
        let clipped = extents
            .iter()
            .take_while(move |it| it.offset < end)
            .map(move |it| {
                let from = it.offset.max(start);
                let to = it.offset.saturating_add(it.len).min(end);
                Extent {
                    offset: from,
                    len: to - from,
                }
            });
        whole.into_iter().flatten().chain(clipped)
    }
}

/// All entries, parents before children, no path twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The entries, in stream order.
    pub entries: Vec<Entry>,
    /// Who owns entries, where that travels.
    pub owners: Vec<Owner>,
    /// What is agreed for the whole copy.
    pub terms: Terms,
}

impl Manifest {
    /// Bytes of all paths, which whoever holds the manifest holds unfolded: at most as many as a manifest may have.
    pub fn paths_len(&self) -> u64 {
        let lengths = self.entries.iter().map(|entry| entry.path.len() as u64);
        lengths.sum()
    }

    /// The manifest as bytes. Only a valid one can be decoded again; see [`Manifest::validate`].
    pub fn encode(&self) -> Vec<u8> {
        encoding::encode(self)
    }

    /// The manifest that `bytes` encode, valid in the sense of [`Manifest::validate`].
    ///
    /// Needs memory in proportion to the length of `bytes`, whatever they claim.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let manifest = encoding::decode(bytes, MANIFEST_BYTES_MAX)?;
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
                _ => None,
            })
    }

    /// The sum of the sizes of all regular files, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.files()
            .fold(0, |total, (_, size)| total.saturating_add(size))
    }

    /// The sum of the bytes of all regular files that are in no hole.
    pub fn data_bytes(&self) -> u64 {
        let bytes = self.entries.iter().map(Entry::data_bytes);
        bytes.fold(0, u64::saturating_add)
    }

    /// How many regular files there are.
    pub fn file_count(&self) -> u32 {
        self.files().count() as u32
    }
}

#[cfg(test)]
mod tests;
