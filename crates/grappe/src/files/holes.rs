//! Holes of files: where a file has data, and its bytes with and without the holes between.
//!
//! Which holes travel as what is in `grappe_proto::content::layout`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use grappe_proto::content::layout::Piece;
use grappe_proto::content::manifest::{Entry, Extent};
use rustix::fs::{SeekFrom, Stat};
use rustix::io::Errno;

/// Bytes in a unit of `st_blocks`, whatever the file system (stat(2)).
const STAT_BLOCK: u64 = 512;

/// Where `file` has data; none when it has no holes, or its file system does not tell.
pub(super) fn find(file: &File, stat: &Stat) -> io::Result<Option<Vec<Extent>>> {
    let size = stat.st_size.unsigned_abs();
    if stat.st_blocks.unsigned_abs().saturating_mul(STAT_BLOCK) >= size {
        return Ok(None);
    }
    let mut extents: Vec<Extent> = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // No data up to the end (lseek(2)).
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        let end = rustix::fs::seek(file, SeekFrom::Hole(start))?.min(size);
        if end <= start {
            break;
        }
        match extents.last_mut() {
            Some(last) if last.offset + last.len == start => last.len += end - start,
            _ => extents.push(Extent {
                offset: start,
                len: end - start,
            }),
        }
        at = end;
    }
    let is_whole = matches!(extents[..], [Extent { offset: 0, len }] if len == size);
    Ok((!is_whole).then_some(extents))
}

/// Reads the data of `piece`, holes left out, into `data`, which is as long.
pub(super) fn read(file: &File, entry: &Entry, piece: &Piece, data: &mut [u8]) -> io::Result<()> {
    let mut rest = data;
    for extent in entry.data_in(piece.file_offset, piece.file_len) {
        let (part, after) = rest
            .split_at_mut_checked(extent.len as usize)
            .ok_or(io::ErrorKind::InvalidData)?;
        file.read_exact_at(part, extent.offset)?;
        rest = after;
    }
    Ok(())
}

/// Writes the data of `piece` where it belongs.
pub(super) fn write(file: &File, entry: &Entry, piece: &Piece, data: &[u8]) -> io::Result<()> {
    let mut rest = data;
    for extent in entry.data_in(piece.file_offset, piece.file_len) {
        let (part, after) = rest
            .split_at_checked(extent.len as usize)
            .ok_or(io::ErrorKind::InvalidData)?;
        file.write_all_at(part, extent.offset)?;
        rest = after;
    }
    Ok(())
}

/// The bytes of the file that `piece` stands for, from its data.
pub(super) fn fill(entry: &Entry, piece: &Piece, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; piece.file_len as usize];
    let mut rest = data;
    for extent in entry.data_in(piece.file_offset, piece.file_len) {
        let start = (extent.offset - piece.file_offset) as usize;
        let end = start + extent.len as usize;
        if let (Some(place), Some((part, after))) = (
            bytes.get_mut(start..end),
            rest.split_at_checked(extent.len as usize),
        ) {
            place.copy_from_slice(part);
            rest = after;
        }
    }
    bytes
}
