//! The manifest: what a copy consists of, in the order of the stream. The first object that travels.
//!
//! It names and describes; it does not say where bytes stand (`layout`) nor touch files.

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
