//! Bytes that grow with the copy, and the hashes of its pieces by number: in memory, or where they would be too many
//! for that, in a file without a name beside the content.
//!
//! Nothing is hashed or judged here. What is in the file is believed as memory is: it has no name, and whoever could open
//! it through this process could read and write its memory as well.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use grappe_os::file::Directory;
use grappe_proto::content::layout::Layout;
use grappe_proto::units::Digest;

/// More bytes than this go to a file: hashes of 128 GiB in large files, or of half a million small ones. In tests three
/// are enough.
const IN_MEMORY_MAX: u64 = if cfg!(test) { 64 } else { 16 << 20 };

/// Bytes that are read or written at a time.
const READ: u64 = 64 << 10;

/// Bytes of a hash.
const HASH: u64 = 32;

/// About the bytes of disk that the hashes of a copy take, its journal included: those of few need none to speak of.
pub(super) fn room(layout: &Layout) -> u64 {
    let hashes = HASH * u64::from(layout.piece_count());
    if hashes > IN_MEMORY_MAX {
        3 * hashes
    } else {
        0
    }
}

/// A fixed number of bytes, zeros at first. Shared by the threads that write.
#[derive(Debug)]
pub struct Spill {
    len: u64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(Mutex<Vec<u8>>),
    File(File),
}

impl Spill {
    /// So many bytes, in memory if they are few, or where the file system of `directory` has no files without
    /// a name (NFS, older FUSE).
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn new(directory: &Directory, len: u64) -> io::Result<Self> {
        Self::beyond(IN_MEMORY_MAX, directory, len)
    }

    fn beyond(in_memory_max: u64, directory: &Directory, len: u64) -> io::Result<Self> {
        let file = match len > in_memory_max {
            true => directory.nameless_file()?,
            false => None,
        };
        let place = match file {
            Some(file) => {
                file.set_len(len)?;
                Place::File(file)
            }
            None => {
                // Whether there is so much, first: then pages that are touched only when they are written.
                let len = index(len)?;
                let tried = Vec::<u8>::new().try_reserve_exact(len);
                tried.map_err(io::Error::other)?;
                Place::Memory(Mutex::new(vec![0; len]))
            }
        };
        Ok(Self { len, place })
    }

    /// Writes `bytes` from `offset` on.
    ///
    /// # Errors
    ///
    /// When they are not within what is there, or the file system fails or is full.
    pub fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.check(offset, bytes.len())?;
        match &self.place {
            Place::Memory(memory) => {
                let start = index(offset)?;
                lock(memory)[start..start + bytes.len()].copy_from_slice(bytes);
                Ok(())
            }
            Place::File(file) => file.write_all_at(bytes, offset),
        }
    }

    /// Fills `buffer` from `offset` on.
    ///
    /// # Errors
    ///
    /// As [`write_at`](Self::write_at).
    pub fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.check(offset, buffer.len())?;
        match &self.place {
            Place::Memory(memory) => {
                let start = index(offset)?;
                buffer.copy_from_slice(&lock(memory)[start..start + buffer.len()]);
                Ok(())
            }
            Place::File(file) => file.read_exact_at(buffer, offset),
        }
    }

    /// Gives all bytes in order, some at a time, to `take`.
    ///
    /// # Errors
    ///
    /// When the file system fails, or what `take` says.
    pub fn read_all(&self, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = vec![0; index(READ.min(self.len))?];
        let mut offset = 0;
        while offset < self.len {
            let part = &mut buffer[..index(READ.min(self.len - offset))?];
            self.read_at(offset, part)?;
            take(part)?;
            offset += part.len() as u64;
        }
        Ok(())
    }

    fn check(&self, offset: u64, len: usize) -> io::Result<()> {
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| end > self.len) {
            let text = format!("{len} bytes at {offset} are not within {}", self.len);
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        Ok(())
    }
}

/// The hash of each piece of a copy, at the piece's number; zeros until it is known.
#[derive(Debug)]
pub struct PieceHashes(Spill);

impl PieceHashes {
    /// Those of `count` pieces, none known yet.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn new(directory: &Directory, count: u32) -> io::Result<Self> {
        Spill::new(directory, HASH * u64::from(count)).map(Self)
    }

    /// Takes note of `hashes` of some pieces, whose numbers mostly follow each other.
    ///
    /// # Errors
    ///
    /// When a piece has too large a number, or the file system fails or is full.
    pub fn set(&self, hashes: impl IntoIterator<Item = (u32, Digest)>) -> io::Result<()> {
        let (mut first, mut run) = (0_u64, Vec::new());
        for (number, hash) in hashes {
            let offset = HASH * u64::from(number);
            if offset != first + run.len() as u64 || run.len() as u64 >= READ {
                self.0.write_at(first, &run)?;
                run.clear();
                first = offset;
            }
            run.extend(hash.0);
        }
        self.0.write_at(first, &run)
    }

    /// A way to read them in about their order.
    pub const fn reader(&self) -> Reader<'_> {
        Reader::new(&self.0, self.0.len)
    }
}

/// Reads hashes, many at a time, from the beginning of some bytes.
#[derive(Debug)]
pub struct Reader<'a> {
    spill: &'a Spill,
    /// Bytes that are hashes.
    len: u64,
    /// What was read last, and where it begins.
    buffer: Vec<u8>,
    start: u64,
    /// What went wrong first.
    error: Option<io::Error>,
}

impl<'a> Reader<'a> {
    /// Reads those that are the first `len` bytes of `spill`.
    pub const fn new(spill: &'a Spill, len: u64) -> Self {
        Self {
            spill,
            len,
            buffer: Vec::new(),
            start: 0,
            error: None,
        }
    }

    /// The hash of piece `number`; zeros where it cannot be read, which [`done`](Self::done) tells.
    pub fn get(&mut self, number: u32) -> Digest {
        let offset = HASH * u64::from(number);
        let read = |buffer: &[u8], start: u64| {
            let from = usize::try_from(offset.checked_sub(start)?).ok()?;
            buffer.get(from..)?.first_chunk().copied().map(Digest)
        };
        if let Some(hash) = read(&self.buffer, self.start) {
            return hash;
        }
        let len = READ.min(self.len.saturating_sub(offset));
        self.buffer.resize(usize::try_from(len).unwrap_or(0), 0);
        self.start = offset;
        if let Err(error) = self.spill.read_at(offset, &mut self.buffer) {
            self.buffer.clear();
            self.error.get_or_insert(error);
        }
        read(&self.buffer, self.start).unwrap_or_default()
    }

    /// Whether all could be read.
    ///
    /// # Errors
    ///
    /// When the file system failed.
    pub fn done(self) -> io::Result<()> {
        self.error.map_or(Ok(()), Err)
    }
}

fn lock(memory: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn index(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COUNT: u32 = 5_000;

    /// The same in memory and in a file.
    fn both(folder: &tempfile::TempDir) -> [PieceHashes; 2] {
        let directory = Directory::open(folder.path()).unwrap();
        [u64::MAX, 0].map(|max| {
            PieceHashes(Spill::beyond(max, &directory, HASH * u64::from(COUNT)).unwrap())
        })
    }

    fn hash(number: u32, version: u8) -> Digest {
        let mut bytes = [version; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        Digest(bytes)
    }

    #[test]
    fn what_is_much_has_a_file_that_nobody_sees() {
        let folder = tempfile::tempdir().unwrap();
        let [small, large] = both(&folder);
        assert!(matches!(small.0.place, Place::Memory(_)));
        assert!(matches!(large.0.place, Place::File(_)));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_there_can_neither_be_written_nor_read() {
        let folder = tempfile::tempdir().unwrap();
        for hashes in both(&folder) {
            assert!(hashes.set([(COUNT, hash(0, 1))]).is_err());
            assert!(hashes.0.write_at(u64::MAX, &[1, 2]).is_err());
            let mut reader = hashes.reader();
            assert_eq!(reader.get(COUNT - 1), Digest::default());
            assert_eq!(reader.get(COUNT), Digest::default());
            assert!(reader.done().is_ok());
        }
    }

    proptest! {
        #[test]
        fn every_hash_comes_back_in_any_order(
            runs in proptest::collection::vec((0..COUNT, 1..3_000_u32, any::<u8>()), 1..12),
            asked in proptest::collection::vec(0..COUNT, 1..50),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut model = vec![Digest::default(); COUNT as usize];
            let all = both(&folder);
            for (first, count, version) in runs {
                let numbers = first..(first + count).min(COUNT);
                for number in numbers.clone() {
                    model[number as usize] = hash(number, version);
                }
                for hashes in &all {
                    hashes.set(numbers.clone().map(|number| (number, hash(number, version)))).unwrap();
                }
            }
            // All at once, with gaps.
            let some = |(number, hash): &(usize, &Digest)| number % 7 != 3 && **hash != Digest::default();
            let known: Vec<(u32, Digest)> = model.iter().enumerate().filter(some)
                .map(|(number, hash)| (number as u32, *hash)).collect();
            for hashes in &all {
                hashes.set(known.iter().map(|(number, _)| (*number, Digest([5; 32])))).unwrap();
                hashes.set(known.iter().copied()).unwrap();
            }
            let bytes: Vec<u8> = model.iter().flat_map(|hash| hash.0).collect();
            for hashes in &all {
                let mut reader = hashes.reader();
                for number in asked.iter().copied().chain(0..COUNT) {
                    prop_assert_eq!(reader.get(number), model[number as usize]);
                }
                reader.done().unwrap();
                let mut read = Vec::new();
                hashes.0.read_all(|part| {
                    read.extend_from_slice(part);
                    Ok(())
                }).unwrap();
                prop_assert_eq!(&read, &bytes);
            }
        }
    }
}
