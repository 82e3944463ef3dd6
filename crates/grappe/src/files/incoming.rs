//! A copy that is arriving: its blocks go into files in the staging folder, named by entry number.
//!
//! Nothing appears under a final name here (`place` does that), and nobody judges hashes here: they are
//! handed to the caller, who knows what they must be.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use grappe_os::file::{Access, Directory};
use grappe_proto::content::digest::{FileState, piece_digest};
use grappe_proto::content::layout::{Layout, Piece};
use grappe_proto::content::manifest::{Entry, Kind, Manifest};
use grappe_proto::limits::BLOCK_SIZE;
use grappe_proto::units::Digest;

use super::error::is_full;
use super::journal::Journal;
use super::open_files::OpenFiles;
use super::place::{self, Placed};
use super::resume::Earlier;
use super::staging::Staging;
use super::{SinkError, metadata};

/// A copy on its way into a directory. Shared by the threads that write.
///
/// Dropped before [`Incoming::finalize`], it leaves nothing behind, unless [`Incoming::keep`] was called.
#[derive(Debug)]
pub struct Incoming {
    pub(super) directory: Arc<Directory>,
    /// The directory as its user named it.
    pub(super) path: PathBuf,
    pub(super) manifest: Arc<Manifest>,
    pub(super) staging: Staging,
    layout: Arc<Layout>,
    /// Bytes that the whole copy takes.
    needed: u64,
    large: OpenFiles,
    /// The large files that exist in the staging folder.
    created: Mutex<HashSet<u32>>,
    journal: Journal,
    /// What an earlier attempt left: blocks, and the hashes of their pieces.
    earlier: BTreeMap<u32, Vec<Digest>>,
}

impl Incoming {
    pub(super) fn new(
        (directory, path): (Arc<Directory>, PathBuf),
        manifest: Arc<Manifest>,
        layout: Arc<Layout>,
        staging: Staging,
        needed: u64,
        journal: Journal,
        earlier: Earlier,
    ) -> Self {
        let (large, created) = (OpenFiles::default(), Mutex::new(earlier.entries));
        Self {
            directory,
            path,
            manifest,
            staging,
            layout,
            needed,
            large,
            created,
            journal,
            earlier: earlier.blocks,
        }
    }

    /// The blocks that an earlier attempt left, each with the numbers and hashes of its pieces.
    pub fn earlier(&self) -> impl Iterator<Item = (u32, Vec<(u32, Digest)>)> {
        self.earlier.iter().map(|(block, digests)| {
            let numbers = self.layout.pieces(*block).map(|piece| piece.number);
            (*block, numbers.zip(digests.iter().copied()).collect())
        })
    }

    /// Leaves what is there for another attempt at the same copy, when this value goes.
    pub fn keep(&self) {
        self.staging.keep();
    }

    /// Hashes the pieces of content block `block` and writes them, so that the bytes are fetched from
    /// memory once. Returns the number of each piece and its hash.
    ///
    /// Blocks come in any order, and one may come again.
    ///
    /// # Errors
    ///
    /// When the file system is full or fails, or `bytes` is not as long as that block.
    pub fn hash_and_write(
        &self,
        block: u32,
        bytes: &[u8],
    ) -> Result<Vec<(u32, Digest)>, SinkError> {
        if bytes.len() != self.layout.block_len(block) as usize {
            let reason = format!("block {block} has {} bytes", bytes.len());
            return Err(SinkError::Mismatch { reason });
        }
        let journal_error = |error| match self.layout.pieces(block).next() {
            Some(piece) => self.write_error(&piece, error),
            None => SinkError::io("write", &self.path, error),
        };
        self.journal.take_back(block).map_err(journal_error)?;
        let mut digests = Vec::new();
        for piece in self.layout.pieces(block) {
            let start = piece.block_offset as usize;
            let content = &bytes[start..start + piece.len as usize];
            let size = file_size(self.entry(piece.entry));
            digests.push((piece.number, piece_digest(size, piece.file_offset, content)));
            self.write_piece(&piece, content)
                .map_err(|error| self.write_error(&piece, error))?;
        }
        self.journal.add(block, &digests).map_err(journal_error)?;
        Ok(digests)
    }

    /// Puts everything under its final name, once every block is written and verified. `states` tells
    /// for each entry of the manifest what the sender said of it at the end.
    ///
    /// A file that is not whole is not placed. It is listed in the result, as is what fails alone, and does
    /// not stop the rest. Call it once; the staging folder is gone afterwards.
    ///
    /// # Errors
    ///
    /// When `states` does not fit the manifest, or the staging folder cannot be removed.
    pub fn finalize(&self, states: &[FileState]) -> Result<Placed, SinkError> {
        self.large.close_all();
        place::place(self, states)
    }

    pub(super) fn entry(&self, entry: u32) -> &Entry {
        &self.manifest.entries[entry as usize]
    }

    fn write_piece(&self, piece: &Piece, content: &[u8]) -> io::Result<()> {
        let size = file_size(self.entry(piece.entry));
        if size <= u64::from(BLOCK_SIZE) {
            return self.write_small(piece.entry, content);
        }
        let file = self
            .large
            .file(piece.entry, || self.open_large(piece.entry, size))?;
        file.write_all_at(content, piece.file_offset)
    }

    /// Writes a whole file that came in one piece, and is then done with it.
    fn write_small(&self, entry: u32, content: &[u8]) -> io::Result<()> {
        let staging = self.staging.directory();
        let name = staged_name(entry);
        let file = match staging.create_exclusive(&name, 0o600) {
            // It came before, and may be read-only by now.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                staging.remove_file(&name)?;
                staging.create_exclusive(&name, 0o600)?
            }
            result => result?,
        };
        file.write_all_at(content, 0)?;
        metadata::set(&file, self.entry(entry))
    }

    fn open_large(&self, entry: u32, size: u64) -> io::Result<File> {
        let staging = self.staging.directory();
        let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
        if created.contains(&entry) {
            return Ok(staging.open_file(&staged_name(entry), Access::ReadWrite)?);
        }
        let file = staging.create_exclusive(&staged_name(entry), 0o600)?;
        // The full length at once, so that blocks may come in any order. No space is reserved: file
        // systems without extents would do that by writing zeros, and the space was checked.
        file.set_len(size)?;
        created.insert(entry);
        Ok(file)
    }

    fn write_error(&self, piece: &Piece, error: io::Error) -> SinkError {
        if is_full(&error) {
            let available = self.directory.available_bytes().unwrap_or(0);
            return SinkError::NoSpace {
                path: self.path.clone(),
                needed: self.needed,
                available,
            };
        }
        let path = metadata::display_path(&self.path, &self.entry(piece.entry).path);
        SinkError::io("write", &path, error)
    }
}

/// The name in the staging folder of the content of `entry`.
pub(super) fn staged_name(entry: u32) -> Vec<u8> {
    entry.to_string().into_bytes()
}

/// Bytes in a regular file; nothing else has content.
pub(super) fn file_size(entry: &Entry) -> u64 {
    if let Kind::File { size } = entry.kind {
        size
    } else {
        0
    }
}
