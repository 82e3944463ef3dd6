//! A copy that is arriving: its blocks go into files in the staging folder, named by entry number, or in the nests
//! there.
//!
//! Nothing appears under a final name here (`place` does that), and nobody judges hashes here: they are
//! kept for the caller, who knows what they must be.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use grappe_os::file::{self, Access, Directory};
use grappe_proto::content::block_set::BlockSet;
use grappe_proto::content::digest::FileState;
use grappe_proto::content::layout::{Layout, Piece};
use grappe_proto::content::manifest::{Entry, Manifest};
use grappe_proto::content::survey::Selection;
use grappe_proto::limits::BLOCK_SIZE;
use grappe_proto::units::{BlockIndex, Digest};

use super::error::is_full;
use super::journal::Journal;
use super::keep::Compared;
use super::metadata::{Dress, MODE_MASK};
use super::nests::{Folder, Nest, Nests};
use super::open_files::OpenFiles;
use super::place::{self, Placed};
use super::resume::Earlier;
use super::root::Stamp;
use super::spill::{PieceHashes, Spill};
use super::staging::Staging;
use super::survey::Keep;
use super::{SinkError, hashes, holes, metadata};

/// The directory of a file that was just written to its nest, and the nest: the files of a block mostly stand side by
/// side.
type Recent<'a> = (&'a [u8], Arc<Nest>);

/// What a file's owner needs to write to it.
const OWNER_ACCESS: u32 = 0o600;

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
    pub(super) dress: Dress,
    layout: Arc<Layout>,
    /// Bytes that the whole copy takes.
    needed: u64,
    large: OpenFiles,
    /// The large files that exist in the staging folder.
    created: Mutex<HashSet<u32>>,
    journal: Journal,
    /// The blocks that an earlier attempt left, or that were found elsewhere.
    earlier: BlockSet,
    hashes: PieceHashes,
    /// What becomes of each entry; empty in a copy that keeps nothing.
    keeps: Vec<Keep>,
    /// The files that stay for their content, as they were when it was compared.
    compared: HashMap<u32, Compared>,
    /// Whether what is not in the tree goes.
    is_cleared: bool,
    pub(super) nests: Nests,
}

/// What was found out and made ready before the first block comes.
pub(super) struct Begun {
    /// Bytes that the whole copy takes.
    pub(super) needed: u64,
    pub(super) dress: Dress,
    pub(super) journal: Journal,
    pub(super) earlier: Earlier,
    /// Those of the pieces that are there.
    pub(super) hashes: PieceHashes,
    /// What becomes of each entry; empty in a copy that keeps nothing.
    pub(super) keeps: Vec<Keep>,
    /// Whether what is not in the tree goes.
    pub(super) is_cleared: bool,
    pub(super) nests: Nests,
}

impl Incoming {
    pub(super) fn new(
        (directory, path): (Arc<Directory>, PathBuf),
        manifest: Arc<Manifest>,
        layout: Arc<Layout>,
        staging: Staging,
        begun: Begun,
    ) -> Self {
        let Begun {
            needed,
            dress,
            journal,
            earlier,
            hashes,
            keeps,
            is_cleared,
            nests,
        } = begun;
        let (large, created) = (OpenFiles::default(), Mutex::new(earlier.entries));
        Self {
            directory,
            path,
            manifest,
            staging,
            dress,
            layout,
            needed,
            large,
            created,
            journal,
            earlier: earlier.blocks,
            hashes,
            keeps,
            compared: HashMap::new(),
            is_cleared,
            nests,
        }
    }

    /// The blocks that need not come: an earlier attempt left them, or [`compare`](Self::compare) found them.
    pub const fn earlier(&self) -> &BlockSet {
        &self.earlier
    }

    #[cfg(test)]
    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The hashes of the pieces that are there.
    pub const fn hashes(&self) -> &PieceHashes {
        &self.hashes
    }

    /// Room for so many bytes more that belong to this copy, zeros at first.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn spill(&self, len: u64) -> Result<Spill, SinkError> {
        Spill::new(self.staging.directory(), len)
            .map_err(|error| SinkError::io("create a file in", &self.path, error))
    }

    /// Compares the other versions that are there with the hashes of `selection`, and takes over what is
    /// equal: whole files stay where they are, pieces are copied. [`Incoming::earlier`] tells of them.
    ///
    /// # Errors
    ///
    /// When the file system is full or fails, or there is not one hash for each piece; a version that cannot be
    /// read counts as none.
    pub fn compare(&mut self, selection: &Selection) -> Result<(), SinkError> {
        let pieces = selection.hashed.iter();
        let pieces: usize = pieces
            .map(|entry| self.layout.piece_numbers_of(entry).len())
            .sum();
        if selection.digests.len() != 32 * pieces {
            let reason = format!(
                "{} bytes of hashes came for {pieces} pieces",
                selection.digests.len()
            );
            return Err(SinkError::Mismatch { reason });
        }
        // By number.
        let mut equal = BlockSet::new();
        let mut digests = selection.digests.as_chunks::<32>().0.iter();
        for entry in selection.hashed.iter() {
            let layout = Arc::clone(&self.layout);
            let wanted: Vec<(Piece, Digest)> = layout
                .pieces_of(entry)
                .zip(digests.by_ref().map(|digest| Digest(*digest)))
                .collect();
            if self.keep_of(entry) == Keep::Compare
                && let Some((piece, error)) = self.compare_file(entry, &wanted, &mut equal).err()
            {
                return Err(self.write_error(&piece, error));
            }
        }
        for block in 0..self.layout.block_count() {
            // A piece that is believed by its file's time has no hash here.
            let is_there = |piece: Piece| {
                equal.contains(BlockIndex(piece.number))
                    || self.keep_of(piece.entry) == Keep::ByTime
            };
            if self.layout.pieces(block).all(is_there) {
                self.earlier.insert(BlockIndex(block));
            }
        }
        Ok(())
    }

    /// Compares one file, piece by piece. Fails only where the copy itself cannot be written.
    fn compare_file(
        &mut self,
        number: u32,
        wanted: &[(Piece, Digest)],
        equal: &mut BlockSet,
    ) -> Result<(), (Piece, io::Error)> {
        let manifest = Arc::clone(&self.manifest);
        let Some(entry) = manifest.entries.get(number as usize) else {
            return Ok(());
        };
        let Ok((old, stat)) = self.open_old(entry) else {
            self.keeps[number as usize] = Keep::No;
            return Ok(());
        };
        let mut buffer = Vec::new();
        let is_equal = |piece: &Piece, digest_wanted: &Digest, buffer: &mut Vec<u8>| {
            buffer.resize(piece.len as usize, 0);
            holes::read(&old, entry, piece, buffer).is_ok()
                && hashes::of_piece(entry, piece, buffer) == *digest_wanted
        };
        let same: Vec<&(Piece, Digest)> = wanted
            .iter()
            .filter(|(piece, wanted)| is_equal(piece, wanted, &mut buffer))
            .collect();
        // What a hole hides has no hash: the holes must be the same.
        let has_same_holes = entry.extents().is_none()
            || holes::find(&old, &stat).is_ok_and(|found| found.as_deref() == entry.extents());
        let is_still =
            rustix::fs::fstat(&old).is_ok_and(|now| Stamp::new(&now) == Stamp::new(&stat));
        if same.len() == wanted.len()
            && is_still
            && stat.st_size.unsigned_abs() == entry.size()
            && has_same_holes
        {
            self.keeps[number as usize] = Keep::ByHash;
            self.compared.insert(number, Compared::new(&stat));
            for (piece, wanted) in same {
                self.note_equal(piece, *wanted, equal)?;
            }
            return Ok(());
        }
        self.keeps[number as usize] = Keep::No;
        for (piece, wanted) in same {
            // Hashed again: somebody may be writing to it.
            if is_equal(piece, wanted, &mut buffer) {
                // What an earlier attempt wrote of it is about to go.
                self.journal
                    .take_back(piece.block)
                    .map_err(|error| (*piece, error))?;
                self.write_piece(piece, &buffer, &mut None)
                    .map_err(|error| (*piece, error))?;
                self.note_equal(piece, *wanted, equal)?;
            }
        }
        Ok(())
    }

    /// Takes note that `piece` is there with this `hash`.
    fn note_equal(
        &self,
        piece: &Piece,
        hash: Digest,
        equal: &mut BlockSet,
    ) -> Result<(), (Piece, io::Error)> {
        equal.insert(BlockIndex(piece.number));
        let noted = self.hashes.set([(piece.number, hash)]);
        noted.map_err(|error| (*piece, error))
    }

    /// Opens what stands where `entry` is to be.
    fn open_old(&self, entry: &Entry) -> io::Result<(File, rustix::fs::Stat)> {
        let (parent, name) = metadata::split(&entry.path);
        let file = self
            .directory
            .open_beneath(parent)?
            .open_file(name, Access::Read)?;
        let stat = rustix::fs::fstat(&file)?;
        Ok((file, stat))
    }

    /// The file that stays for its content under entry `entry`, as it was when it was compared.
    pub(super) fn compared(&self, entry: u32) -> Option<&Compared> {
        self.compared.get(&entry)
    }

    /// Whether what is not in the tree goes.
    pub(super) const fn is_cleared(&self) -> bool {
        self.is_cleared
    }

    pub(super) fn keep_of(&self, entry: u32) -> Keep {
        self.keeps.get(entry as usize).copied().unwrap_or_default()
    }

    /// Whether the piece with that number is of a file that stays for its size and time.
    pub fn is_believed(&self, number: usize) -> bool {
        let piece = u32::try_from(number)
            .ok()
            .and_then(|it| self.layout.piece(it));
        piece.is_some_and(|piece| self.keep_of(piece.entry) == Keep::ByTime)
    }

    /// Whether the file of `entry` stays where it is.
    fn is_kept(&self, entry: u32) -> bool {
        matches!(self.keep_of(entry), Keep::ByTime | Keep::ByHash)
    }

    /// The file that the one entry of a stream grows in, empty.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn stream_file(&self) -> Result<File, SinkError> {
        let (staging, name) = (self.staging.directory(), staged_name(0));
        let created = match staging.create_exclusive(&name, 0o600) {
            // Of a stream that was broken off, which is another one.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => staging
                .remove_file(&name)
                .and_then(|()| staging.create_exclusive(&name, 0o600)),
            created => created,
        };
        created.map_err(|error| SinkError::io("create a file in", &self.path, error.into()))
    }

    /// Leaves what is there for another attempt at the same copy, when this value goes.
    ///
    /// Not where the file system refused to write what it had taken: that would be believed to be there.
    pub fn keep(&self) {
        if self.large.close_all().is_ok() {
            self.staging.keep();
        }
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
        let digests = hashes::of_block(&self.manifest, self.layout.pieces(block), bytes);
        let (mut is_written, mut recent) = (true, None);
        for piece in self.layout.pieces(block) {
            let start = piece.block_offset as usize;
            let content = &bytes[start..start + piece.len as usize];
            if self.is_kept(piece.entry) {
                is_written = false;
                continue;
            }
            self.write_piece(&piece, content, &mut recent)
                .map_err(|error| self.write_error(&piece, error))?;
        }
        // What is kept may be another file by the next attempt.
        if is_written {
            self.journal.add(block, &digests).map_err(journal_error)?;
        }
        let noted = self.hashes.set(digests.iter().copied());
        noted.map_err(journal_error)?;
        Ok(digests)
    }

    /// Reads content block `block`, which was written, into `buffer`.
    ///
    /// # Errors
    ///
    /// When the file system fails, or the files have their final names already.
    pub fn read_back(&self, block: u32, buffer: &mut Vec<u8>) -> Result<(), SinkError> {
        buffer.resize(self.layout.block_len(block) as usize, 0);
        for piece in self.layout.pieces(block) {
            let start = piece.block_offset as usize;
            let place = &mut buffer[start..start + piece.len as usize];
            self.read_piece(&piece, place).map_err(|error| {
                let path = metadata::display_path(&self.path, &self.entry(piece.entry).path);
                SinkError::io("read back", &path, error)
            })?;
        }
        Ok(())
    }

    /// Puts everything under its final name, once every block is written and verified. `states` tells
    /// for each entry of the manifest what the sender said of it at the end.
    ///
    /// A file that is not whole is not placed. It is listed in the result, as is what fails alone, and does
    /// not stop the rest. Call it once; the staging folder is gone afterwards.
    ///
    /// # Errors
    ///
    /// When `states` does not fit the manifest, or the file system refused to write what it had taken.
    pub fn finalize(&self, states: &[FileState]) -> Result<Placed, SinkError> {
        let closed = self.large.close_all();
        closed.map_err(|error| SinkError::io("write to", &self.path, error))?;
        self.nests.close_all();
        self.journal.close();
        place::place(self, states)
    }

    pub(super) fn entry(&self, entry: u32) -> &Entry {
        &self.manifest.entries[entry as usize]
    }

    fn write_piece<'a>(
        &'a self,
        piece: &Piece,
        content: &[u8],
        recent: &mut Option<Recent<'a>>,
    ) -> io::Result<()> {
        let size = file_size(self.entry(piece.entry));
        if size <= u64::from(BLOCK_SIZE) {
            return self.write_small(piece, content, recent);
        }
        let file = self
            .large
            .file(piece.entry, || self.open_large(piece.entry, size))?;
        self.write_data(&file, piece, content)
    }

    fn write_data(&self, file: &File, piece: &Piece, content: &[u8]) -> io::Result<()> {
        if piece.has_holes() {
            return holes::write(file, self.entry(piece.entry), piece, content);
        }
        file.write_all_at(content, piece.file_offset)
    }

    fn read_piece(&self, piece: &Piece, place: &mut [u8]) -> io::Result<()> {
        let entry = self.entry(piece.entry);
        if self.is_kept(piece.entry) {
            let (file, _) = self.open_old(entry)?;
            return holes::read(&file, entry, piece, place);
        }
        if entry.size() <= u64::from(BLOCK_SIZE) {
            let folders = (self.staging.directory(), &self.nests);
            let (folder, name) = staged(folders, Nests::open, piece.entry, entry)?;
            let file = folder.open_file(&name, Access::Read)?;
            return holes::read(&file, entry, piece, place);
        }
        let open = || self.open_large(piece.entry, entry.size());
        let file = self.large.file(piece.entry, open)?;
        holes::read(&file, entry, piece, place)
    }

    /// Writes a whole file that came in one piece, and is then done with it.
    fn write_small<'a>(
        &'a self,
        piece: &Piece,
        content: &[u8],
        recent: &mut Option<Recent<'a>>,
    ) -> io::Result<()> {
        let entry = self.entry(piece.entry);
        let (parent, own_name) = metadata::split(&entry.path);
        // Every file that is written here is small, so its nest depends on its directory alone.
        let (folder, name) = match recent {
            Some((known, nest)) if *known == parent => {
                (Folder::Nest(Arc::clone(nest)), Cow::Borrowed(own_name))
            }
            _ => {
                let folders = (self.staging.directory(), &self.nests);
                let found = staged(folders, Nests::make, piece.entry, entry)?;
                if let Folder::Nest(nest) = &found.0 {
                    *recent = Some((parent, Arc::clone(nest)));
                }
                found
            }
        };
        // Nobody else gets into the folder: it has its own permissions at once, as most files do. Not all file
        // systems make a file that its owner may not write to, and open it.
        let mode = self.dress.mode(entry) & MODE_MASK | OWNER_ACCESS;
        let file = match folder.create_exclusive(&name, mode) {
            // It came before, and may be read-only by now.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                folder.remove_file(&name)?;
                folder.create_exclusive(&name, mode)?
            }
            result => result?,
        };
        if piece.has_holes() {
            file.set_len(piece.file_len.into())?;
        }
        self.write_data(&file, piece, content)?;
        let made = folder.made(&file, mode)?;
        self.dress.new_file(&file, entry, made)?;
        file::close(file)
    }

    fn open_large(&self, entry: u32, size: u64) -> io::Result<File> {
        let staging = self.staging.directory();
        let mut created = self.created.lock().unwrap_or_else(PoisonError::into_inner);
        if created.contains(&entry) {
            return self.open_staged(entry);
        }
        let file = staging.create_exclusive(&staged_name(entry), 0o600)?;
        // The full length at once, so that blocks may come in any order. No space is reserved: file
        // systems without extents would do that by writing zeros, and the space was checked.
        file.set_len(size)?;
        created.insert(entry);
        Ok(file)
    }

    /// Opens what of `entry` is in the staging folder already.
    pub(super) fn open_staged(&self, entry: u32) -> io::Result<File> {
        let (staging, name) = (self.staging.directory(), staged_name(entry));
        match staging.open_file(&name, Access::ReadWrite) {
            // An attempt that ended while it placed may have made it read-only.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                staging.set_mode_of(&name, 0o600)?;
                Ok(staging.open_file(&name, Access::ReadWrite)?)
            }
            opened => Ok(opened?),
        }
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

/// Where the content of the entry with that number is staged; `open` opens its nest, if it has one.
pub(super) fn staged<'a>(
    (staging, nests): (&'a Directory, &Nests),
    open: impl Fn(&Nests, &Directory, u32) -> io::Result<Arc<Nest>>,
    number: u32,
    entry: &'a Entry,
) -> io::Result<(Folder<'a>, Cow<'a, [u8]>)> {
    Ok(match nests.number_for(entry) {
        Some(nest) => {
            let name = metadata::split(&entry.path).1;
            (
                Folder::Nest(open(nests, staging, nest)?),
                Cow::Borrowed(name),
            )
        }
        None => (Folder::Staging(staging), Cow::Owned(staged_name(number))),
    })
}

/// The name in the staging folder of the content of `entry`, where it has no nest.
pub(super) fn staged_name(entry: u32) -> Vec<u8> {
    entry.to_string().into_bytes()
}

/// The name in the staging folder of a copy of what is here already for `entry`. An attempt that is broken off
/// may leave it half written, and none after it takes that for content that was received.
pub(super) fn apart_name(entry: u32) -> Vec<u8> {
    format!("{entry}-apart").into_bytes()
}

/// Bytes in a regular file; nothing else has content.
pub(super) const fn file_size(entry: &Entry) -> u64 {
    entry.size()
}
