//! Where each byte of each file stands in the stream of blocks. Both sides compute it from the manifest.
//!
//! The rule, in manifest order: a file is cut into pieces at the multiples of `BLOCK_SIZE`. A full
//! piece is a block of its own. A rest, or a small file, goes into the open packed block if it still
//! fits; if not, that block is closed and a new one opened. A packed block takes its number when it
//! is closed, the last one at the end: whoever reads files in order has all bytes of a block at hand
//! when its turn comes. So every piece is a complete subtree of its file's BLAKE3 tree.

use std::ops::Range;

use super::manifest::Manifest;
use crate::limits::{BLOCK_SIZE, BLOCKS_MAX, ENTRIES_MAX, MANIFEST_BYTES_MAX};

const FULL: u64 = BLOCK_SIZE as u64;

/// Blocks of a stream that are kept for its manifest and its digests.
const BLOCKS_RESERVED: u32 = 1 << 20;

/// Pieces in one copy, and so content blocks: what `BLOCKS_MAX` leaves beside manifest and digests.
pub const PIECES_MAX: u32 = BLOCKS_MAX - BLOCKS_RESERVED;

const _: () = {
    let digests_bytes_max = 32 * PIECES_MAX as u64 + ENTRIES_MAX as u64;
    assert!(MANIFEST_BYTES_MAX / FULL + digests_bytes_max / FULL + 2 <= BLOCKS_RESERVED as u64);
};

/// A run of bytes of one file that lies in one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Index of the file's entry in the manifest.
    pub entry: u32,
    /// Index of this piece among all pieces of the copy, its place in the digests: files in manifest
    /// order, the pieces of one file one after the other.
    pub number: u32,
    /// First byte in the file, a multiple of `BLOCK_SIZE`.
    pub file_offset: u64,
    /// The content block, counted from 0.
    pub block: u32,
    /// First byte in the block.
    pub block_offset: u32,
    /// Bytes, 1 to `BLOCK_SIZE`.
    pub len: u32,
}

/// The layout of one manifest's content. Content blocks are numbered from 0 here.
///
/// Memory: 36 bytes for each file that is not empty and 12 for each packed block, whatever the size
/// of the files. Every question is answered in logarithmic time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The files that are not empty, in manifest order.
    files: Vec<FileRun>,
    /// Packed blocks, by ascending number.
    packed: Vec<PackedBlock>,
    /// Indices into `files` of those with a rest, in the order in which the rests are packed.
    rests: Vec<u32>,
    block_count: u32,
    piece_count: u32,
}

/// The pieces of one file: full blocks with consecutive numbers, then perhaps a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileRun {
    size: u64,
    entry: u32,
    first_piece: u32,
    /// The number that the next block had when the file's turn came; its first full block.
    first_block: u32,
    /// Where the rest lies: index into `packed`, and first byte in the block. Of no meaning without.
    rest_packed: u32,
    rest_offset: u32,
}

/// A block shared by several rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PackedBlock {
    block: u32,
    /// Its first rest, as an index into `rests`; its last is that before the next block's first.
    first_rest: u32,
    len: u32,
}

impl Layout {
    /// Lays out the files of `manifest`, which must be valid (`Manifest::validate`): numbers wrap or
    /// panic otherwise.
    pub fn new(manifest: &Manifest) -> Self {
        let mut layout = Self {
            files: vec![],
            packed: vec![],
            rests: vec![],
            block_count: 0,
            piece_count: 0,
        };
        let mut open = PackedBlock {
            block: 0,
            first_rest: 0,
            len: 0,
        };
        for (entry, size) in manifest.files().filter(|(_, size)| *size > 0) {
            let mut file = FileRun {
                size,
                entry,
                first_piece: layout.piece_count,
                first_block: layout.block_count,
                rest_packed: 0,
                rest_offset: 0,
            };
            layout.piece_count += file.piece_count();
            layout.block_count += file.full_pieces();
            if file.rest_len() > 0 {
                if open.len + file.rest_len() > BLOCK_SIZE {
                    open = layout.close(open);
                }
                file.rest_packed = layout.packed.len() as u32;
                file.rest_offset = open.len;
                open.len += file.rest_len();
                layout.rests.push(layout.files.len() as u32);
            }
            layout.files.push(file);
        }
        if open.len > 0 {
            layout.close(open);
        }
        layout
    }

    /// How many content blocks there are.
    pub const fn block_count(&self) -> u32 {
        self.block_count
    }

    /// How many pieces there are.
    pub const fn piece_count(&self) -> u32 {
        self.piece_count
    }

    /// Bytes in content block `block`, 1 to `BLOCK_SIZE`; 0 past the last.
    pub fn block_len(&self, block: u32) -> u32 {
        if block >= self.block_count {
            return 0;
        }
        self.packed_at(block)
            .map_or(BLOCK_SIZE, |packed| self.packed[packed].len)
    }

    /// The blocks that are not full, with their lengths in bytes, in ascending order.
    pub fn short_blocks(&self) -> impl Iterator<Item = (u32, u32)> {
        let short = self.packed.iter().filter(|packed| packed.len < BLOCK_SIZE);
        short.map(|packed| (packed.block, packed.len))
    }

    /// The pieces in content block `block`, in the order of their bytes; none past the last block.
    pub fn pieces(&self, block: u32) -> impl Iterator<Item = Piece> {
        let packed = self.packed_at(block);
        let full = match packed {
            None if block < self.block_count => self.full_piece(block),
            _ => None,
        };
        let rests = packed.map_or(0..0, |packed| self.rests_of(packed));
        let files = self.rests[rests]
            .iter()
            .map(|file| self.files[*file as usize]);
        full.into_iter()
            .chain(files.map(|file| self.piece_of(file, file.full_pieces())))
    }

    /// The pieces of the file at index `entry` of the manifest, in the order of their bytes; none for
    /// an empty file and for anything else.
    pub fn pieces_of(&self, entry: u32) -> impl Iterator<Item = Piece> {
        let file = self.file_of(entry);
        let pieces = file
            .into_iter()
            .flat_map(|file| (0..file.piece_count()).map(move |n| (file, n)));
        pieces.map(|(file, nth)| self.piece_of(file, nth))
    }

    /// The numbers of the pieces of the file at index `entry` of the manifest, in the order of their
    /// bytes; none for an empty file and for anything else.
    pub fn piece_numbers_of(&self, entry: u32) -> Range<u32> {
        self.file_of(entry).map_or(0..0, |file| {
            file.first_piece..file.first_piece + file.piece_count()
        })
    }

    /// The piece with number `number`; nothing past the last.
    pub fn piece(&self, number: u32) -> Option<Piece> {
        if number >= self.piece_count {
            return None;
        }
        let after = self
            .files
            .partition_point(|file| file.first_piece <= number);
        let file = *self.files.get(after.checked_sub(1)?)?;
        Some(self.piece_of(file, number - file.first_piece))
    }

    /// Gives the open packed block the next number, and answers with the one to open after it.
    fn close(&mut self, open: PackedBlock) -> PackedBlock {
        self.packed.push(PackedBlock {
            block: self.block_count,
            ..open
        });
        self.block_count += 1;
        PackedBlock {
            block: 0,
            first_rest: self.rests.len() as u32,
            len: 0,
        }
    }

    /// The index in `packed` of block `block`, if it is a packed one.
    fn packed_at(&self, block: u32) -> Option<usize> {
        self.packed
            .binary_search_by_key(&block, |packed| packed.block)
            .ok()
    }

    /// The range in `rests` that lies in the packed block at index `packed`.
    fn rests_of(&self, packed: usize) -> Range<usize> {
        let first = |packed: &PackedBlock| packed.first_rest as usize;
        let end = self.packed.get(packed + 1).map_or(self.rests.len(), first);
        first(&self.packed[packed])..end
    }

    /// The piece that is the whole of `block`, which exists and is not a packed one.
    fn full_piece(&self, block: u32) -> Option<Piece> {
        // The last file to begin at or before the block: later files begin after its full blocks,
        // and files that begin at the same number without a full block stand before it.
        let after = self.files.partition_point(|file| file.first_block <= block);
        let file = *self.files.get(after.checked_sub(1)?)?;
        Some(self.piece_of(file, block - file.first_block))
    }

    fn file_of(&self, entry: u32) -> Option<FileRun> {
        let found = self
            .files
            .binary_search_by_key(&entry, |file| file.entry)
            .ok()?;
        Some(self.files[found])
    }

    /// Piece number `nth` of `file`, counted from 0.
    fn piece_of(&self, file: FileRun, nth: u32) -> Piece {
        let is_full = nth < file.full_pieces();
        Piece {
            entry: file.entry,
            number: file.first_piece + nth,
            file_offset: u64::from(nth) * FULL,
            block: match is_full {
                true => file.first_block + nth,
                false => self.packed[file.rest_packed as usize].block,
            },
            block_offset: if is_full { 0 } else { file.rest_offset },
            len: if is_full { BLOCK_SIZE } else { file.rest_len() },
        }
    }
}

impl FileRun {
    const fn full_pieces(&self) -> u32 {
        (self.size / FULL) as u32
    }

    const fn piece_count(&self) -> u32 {
        self.size.div_ceil(FULL) as u32
    }

    const fn rest_len(&self) -> u32 {
        (self.size % FULL) as u32
    }
}

#[cfg(test)]
mod tests;
