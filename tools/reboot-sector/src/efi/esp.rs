//! Puts the application into an EFI system partition: a mounted one through its directory, another one
//! through its bytes as FAT. It knows nothing of boot options. The commands `install` and `image` call it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};

/// More than is ever read to find and read one small file. A directory whose clusters make a ring, in a
/// damaged or hostile file system, would be read for ever.
const SEARCH_BYTES_MAX: u64 = 16 << 20;
/// More is not read of a file. Boot loaders of others are shorter; ours has some kilobytes.
pub const FILE_BYTES_MAX: u64 = 8 << 20;

/// A part of a file or disk, as something to seek in.
#[derive(Debug)]
pub struct Slice {
    file: File,
    start: u64,
    len: u64,
    at: u64,
    /// Bytes that may still be read.
    left: u64,
}

impl Slice {
    /// `len` bytes of `file` from `start`.
    pub fn new(file: File, start: u64, len: u64) -> Self {
        Self {
            file,
            start,
            len,
            at: 0,
            left: u64::MAX,
        }
    }

    fn room(&mut self, wanted: usize) -> io::Result<usize> {
        self.file.seek(SeekFrom::Start(self.start + self.at))?;
        let left = usize::try_from(self.len.saturating_sub(self.at)).unwrap_or(usize::MAX);
        Ok(wanted.min(left))
    }
}

impl Read for Slice {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = self.room(buffer.len())?;
        if self.left == 0 {
            return Err(io::Error::other("its file system goes round in a circle"));
        }
        let read = self.file.read(&mut buffer[..room])?;
        self.left = self.left.saturating_sub(read as u64);
        self.at += read as u64;
        Ok(read)
    }
}

impl Write for Slice {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.room(bytes.len())?;
        let written = self.file.write(&bytes[..room])?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Seek for Slice {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

/// Makes an empty FAT file system in the slice.
///
/// # Errors
/// When it is too small, or cannot be written.
pub fn format(slice: &mut Slice) -> io::Result<()> {
    fatfs::format_volume(
        slice,
        FormatVolumeOptions::new().volume_label(*b"REBOOT     "),
    )
}

/// Puts a file to `place` in the FAT file system of the slice, syncs, and reads it back.
///
/// # Errors
/// When it is no FAT file system, is full, or gives back something else.
pub fn put_in_slice(slice: Slice, place: &[&str; 3], bytes: &[u8]) -> io::Result<()> {
    let volume = FileSystem::new(slice, FsOptions::new())?;
    let [first, second, name] = place;
    {
        let directory = volume.root_dir().create_dir(first)?.create_dir(second)?;
        let mut file = directory.create_file(name)?;
        file.truncate()?;
        file.write_all(bytes)?;
        file.flush()?;
        file.seek(SeekFrom::Start(0))?;
        let mut back = Vec::new();
        file.read_to_end(&mut back)?;
        if back != bytes {
            return Err(io::Error::other("it gives back something else"));
        }
    }
    volume.unmount()
}

/// Takes the file away again. Directories stay.
///
/// # Errors
/// When it is not there, or the file system cannot be written.
pub fn remove_from_slice(slice: Slice, place: &[&str; 3]) -> io::Result<()> {
    let volume = FileSystem::new(slice, FsOptions::new())?;
    volume.root_dir().remove(&place.join("/"))?;
    volume.unmount()
}

/// Reads the file at `place`, at most [`FILE_BYTES_MAX`].
///
/// # Errors
/// When it is not there, or the file system is damaged.
pub fn read_from_slice(slice: Slice, place: &[&str; 3]) -> io::Result<Vec<u8>> {
    let slice = Slice {
        left: SEARCH_BYTES_MAX,
        ..slice
    };
    let volume = FileSystem::new(slice, FsOptions::new())?;
    let mut bytes = Vec::new();
    volume
        .root_dir()
        .open_file(&place.join("/"))?
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Puts a file below the directory where the partition is mounted: under another name, synced, renamed.
///
/// # Errors
/// What the kernel answers; then nothing is left behind.
pub fn put_in_directory(root: &Path, place: &[&str; 3], bytes: &[u8]) -> io::Result<()> {
    let path = path_below(root, place);
    let directory = path.parent().unwrap_or(root);
    fs::create_dir_all(directory)?;
    let part = directory.join("reboot.new");
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let placed = written.and_then(|()| fs::rename(&part, &path));
    if placed.is_err() {
        let _may_be_absent = fs::remove_file(&part);
    }
    placed?;
    if fs::read(&path)? != bytes {
        return Err(io::Error::other("it gives back something else"));
    }
    File::open(directory)?.sync_all()
}

/// Reads the file at `place` below a mount, at most [`FILE_BYTES_MAX`].
///
/// # Errors
/// What the kernel answers.
pub fn read_from_directory(root: &Path, place: &[&str; 3]) -> io::Result<Vec<u8>> {
    let file = File::open(path_below(root, place))?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The file's path below a mount.
pub fn path_below(root: &Path, place: &[&str; 3]) -> PathBuf {
    place
        .iter()
        .fold(root.to_owned(), |path, part| path.join(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_put_into_a_slice_and_nothing_else_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        fs::write(&path, vec![0xaa; 5 << 20]).unwrap();
        let slice = || {
            let file = File::options().read(true).write(true).open(&path).unwrap();
            Slice::new(file, 1 << 20, 3 << 20)
        };
        format(&mut slice()).unwrap();
        let place = super::super::PLACE;
        put_in_slice(slice(), &place, &[7; 3000]).unwrap();
        put_in_slice(slice(), &place, &[8; 2000]).unwrap();
        assert_eq!(read_from_slice(slice(), &place).unwrap(), [8; 2000]);
        remove_from_slice(slice(), &place).unwrap();
        assert!(read_from_slice(slice(), &place).is_err());
        let bytes = fs::read(&path).unwrap();
        assert!(
            bytes[..1 << 20]
                .iter()
                .chain(&bytes[4 << 20..])
                .all(|byte| *byte == 0xaa)
        );
    }

    #[test]
    fn a_directory_whose_clusters_make_a_ring_is_not_read_for_ever() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk");
        fs::write(&path, vec![0; 3 << 20]).unwrap();
        let slice = || {
            let file = File::options().read(true).write(true).open(&path).unwrap();
            Slice::new(file, 0, 3 << 20)
        };
        format(&mut slice()).unwrap();
        let place = super::super::PLACE;
        put_in_slice(slice(), &place, b"there").unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let word = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let (reserved, copies, root, fat) = (word(14), usize::from(bytes[16]), word(17), word(22));
        // The first directory has cluster 2; FAT12 has its next cluster in 12 bits from byte 3.
        let start = (reserved + copies * fat) * 512 + root * 32;
        let len = usize::from(bytes[13]) * 512;
        for copy in 0..copies {
            let at = (reserved + copy * fat) * 512 + 3;
            assert_eq!((bytes[at], bytes[at + 1] & 0x0f), (0xff, 0x0f));
            bytes[at] = 2;
            bytes[at + 1] &= 0xf0;
        }
        for entry in bytes[start..start + len].chunks_mut(32) {
            entry.fill(0);
            entry[..11].copy_from_slice(b"OTHER   TXT");
        }
        fs::write(&path, bytes).unwrap();
        let error = read_from_slice(slice(), &place).unwrap_err();
        assert!(error.to_string().contains("circle"), "{error}");
    }

    #[test]
    fn a_file_is_put_below_a_directory_whole() {
        let directory = tempfile::tempdir().unwrap();
        let place = super::super::PLACE;
        put_in_directory(directory.path(), &place, b"new").unwrap();
        let path = path_below(directory.path(), &place);
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
