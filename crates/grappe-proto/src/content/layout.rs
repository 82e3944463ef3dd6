//! Where each byte of each file stands in the stream of blocks. Both sides compute it from the manifest.
//!
//! The rule, in manifest order: a file is cut into pieces at the multiples of `BLOCK_SIZE`. A full
//! piece is a block of its own. A rest, or a small file, goes into the open packed block if it still
//! fits; if not, that block is closed and a new one opened. A packed block takes its number when it
//! is closed, the last one at the end: whoever reads files in order has all bytes of a block at hand
//! when its turn comes. So every piece is a complete subtree of its file's BLAKE3 tree.
//!
//! Holes are left out: of a piece that is partly a hole, only the data is in the stream, packed like a
//! rest; a piece that is all hole does not exist. Files that nobody lacks can be left out as a whole.

use std::ops::Range;

use super::manifest::{Extent, Manifest};
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
    /// Bytes in the block, 1 to `BLOCK_SIZE`: those of the file without its holes.
    pub len: u32,
    /// Bytes of the file that it stands for, holes included; never below `len`.
    pub file_len: u32,
}

impl Piece {
    /// Its place among the pieces of its file, those that are all hole counted.
    pub const fn index(&self) -> u64 {
        self.file_offset / FULL
    }

    /// Whether part of it is a hole.
    pub const fn has_holes(&self) -> bool {
        self.len < self.file_len
    }
}

/// The layout of one manifest's content. Content blocks are numbered from 0 here.
///
/// Memory: 40 bytes for each file that is not empty, or for each stretch of data between holes, and 12
/// for each packed block, whatever the size of the files. Every question is answered in logarithmic time,
/// but for those about all pieces of a file with holes: they also take time for each stretch of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The stretches of the files that are not empty, in manifest order.
    files: Vec<FileRun>,
    /// Packed blocks, by ascending number.
    packed: Vec<PackedBlock>,
    /// Indices into `files` of those with a rest, in the order in which the rests are packed.
    rests: Vec<u32>,
    block_count: u32,
    piece_count: u32,
}

/// Pieces of one file that follow one another: full blocks with consecutive numbers, then perhaps a rest.
/// A file without holes has just one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileRun {
    /// Index of its first piece in the file.
    first_index: u64,
    entry: u32,
    first_piece: u32,
    /// The number that the next block had when the stretch's turn came; its first full block.
    first_block: u32,
    full: u32,
    /// Bytes of the rest in the stream, 0 without one, and in the file.
    rest_len: u32,
    rest_file_len: u32,
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
        Self::of(manifest, |_| true)
    }

    /// Lays out those files of `manifest` whose entries are `selected`.
    pub fn of(manifest: &Manifest, selected: impl Fn(u32) -> bool) -> Self {
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
        for (entry, size) in manifest.files().filter(|(entry, _)| selected(*entry)) {
            let extents = manifest.entries[entry as usize].extents();
            for_each_stretch(size, extents, |stretch| {
                open = layout.add(entry, stretch, open);
            });
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
            .chain(files.map(|file| self.piece_of(file, file.full)))
    }

    /// The pieces of the file at index `entry` of the manifest, in the order of their bytes; none for
    /// an empty file and for anything else.
    pub fn pieces_of(&self, entry: u32) -> impl Iterator<Item = Piece> {
        let runs = self.runs_of(entry).iter();
        let pieces = runs.flat_map(|run| (0..run.piece_count()).map(move |n| (*run, n)));
        pieces.map(|(run, nth)| self.piece_of(run, nth))
    }

    /// The numbers of the pieces of the file at index `entry` of the manifest, in the order of their
    /// bytes; none for an empty file and for anything else.
    pub fn piece_numbers_of(&self, entry: u32) -> Range<u32> {
        match self.runs_of(entry) {
            [] => 0..0,
            [first, .., last] => first.first_piece..last.first_piece + last.piece_count(),
            [only] => only.first_piece..only.first_piece + only.piece_count(),
        }
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

    /// Adds a stretch of a file; answers the packed block that is open then.
    fn add(&mut self, entry: u32, stretch: Stretch, mut open: PackedBlock) -> PackedBlock {
        let mut run = FileRun {
            first_index: stretch.first,
            entry,
            first_piece: self.piece_count,
            first_block: self.block_count,
            full: stretch.full as u32,
            rest_len: stretch.rest_len,
            rest_file_len: stretch.rest_file_len,
            rest_packed: 0,
            rest_offset: 0,
        };
        self.piece_count += run.piece_count();
        self.block_count += run.full;
        if run.rest_len > 0 {
            if open.len + run.rest_len > BLOCK_SIZE {
                open = self.close(open);
            }
            run.rest_packed = self.packed.len() as u32;
            run.rest_offset = open.len;
            open.len += run.rest_len;
            self.rests.push(self.files.len() as u32);
        }
        self.files.push(run);
        open
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

    fn runs_of(&self, entry: u32) -> &[FileRun] {
        let start = self.files.partition_point(|run| run.entry < entry);
        let runs = &self.files[start..];
        // Most files have one.
        let count = runs.iter().take_while(|run| run.entry == entry).count();
        &runs[..count]
    }

    /// Piece number `nth` of `file`, counted from 0.
    fn piece_of(&self, file: FileRun, nth: u32) -> Piece {
        let is_full = nth < file.full;
        Piece {
            entry: file.entry,
            number: file.first_piece + nth,
            file_offset: (file.first_index + u64::from(nth)) * FULL,
            block: match is_full {
                true => file.first_block + nth,
                false => self.packed[file.rest_packed as usize].block,
            },
            block_offset: if is_full { 0 } else { file.rest_offset },
            len: if is_full { BLOCK_SIZE } else { file.rest_len },
            file_len: if is_full {
                BLOCK_SIZE
            } else {
                file.rest_file_len
            },
        }
    }
}

impl FileRun {
    const fn piece_count(&self) -> u32 {
        self.full + (self.rest_len > 0) as u32
    }
}

/// Full pieces of a file that follow one another, and perhaps a piece after them that is not full.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    first: u64,
    full: u64,
    rest_len: u32,
    rest_file_len: u32,
}

/// How many pieces a file has in the stream.
pub fn data_pieces(size: u64, extents: Option<&[Extent]>) -> u64 {
    let mut pieces = 0_u64;
    for_each_stretch(size, extents, |stretch| {
        pieces = pieces.saturating_add(stretch.full + u64::from(stretch.rest_len > 0));
    });
    pieces
}

fn for_each_stretch(size: u64, extents: Option<&[Extent]>, mut take: impl FnMut(Stretch)) {
    let Some(extents) = extents else {
        let rest = (size % FULL) as u32;
        if size > 0 {
            take(Stretch {
                first: 0,
                full: size / FULL,
                rest_len: rest,
                rest_file_len: rest,
            });
        }
        return;
    };
    let mut cutter = Cutter {
        size,
        open: Stretch::default(),
        partial: None,
    };
    for extent in extents {
        cutter.extent(*extent, &mut take);
    }
    cutter.close_partial(&mut take);
    cutter.close(&mut take);
}

/// Cuts a file with holes into stretches.
struct Cutter {
    size: u64,
    /// Full pieces so far; none when `full` is 0.
    open: Stretch,
    /// A piece with holes that may have more data: its index, and bytes of data.
    partial: Option<(u64, u32)>,
}

impl Cutter {
    fn extent(&mut self, extent: Extent, take: &mut impl FnMut(Stretch)) {
        let (mut at, end) = (extent.offset, extent.offset.saturating_add(extent.len));
        while at < end {
            let index = at / FULL;
            let whole = (end - at) / FULL;
            if at % FULL == 0 && whole > 0 {
                self.close_partial(take);
                if self.open.first + self.open.full != index {
                    self.close(take);
                }
                if self.open.full == 0 {
                    self.open.first = index;
                }
                self.open.full += whole;
                at += whole * FULL;
                continue;
            }
            let piece_end = (index + 1).saturating_mul(FULL).min(end);
            let data = (piece_end - at) as u32;
            match &mut self.partial {
                Some((known, sum)) if *known == index => *sum += data,
                _ => {
                    self.close_partial(take);
                    self.partial = Some((index, data));
                }
            }
            at = piece_end;
        }
    }

    fn close_partial(&mut self, take: &mut impl FnMut(Stretch)) {
        let Some((index, data)) = self.partial.take() else {
            return;
        };
        if self.open.first + self.open.full != index {
            self.close(take);
        }
        if self.open.full == 0 {
            self.open.first = index;
        }
        self.open.rest_len = data;
        self.open.rest_file_len = (self.size - index * FULL).min(FULL) as u32;
        take(std::mem::take(&mut self.open));
    }

    fn close(&mut self, take: &mut impl FnMut(Stretch)) {
        let stretch = std::mem::take(&mut self.open);
        if stretch.full > 0 {
            take(stretch);
        }
    }
}

#[cfg(test)]
mod tests;
