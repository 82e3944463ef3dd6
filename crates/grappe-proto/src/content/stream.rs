//! The block numbers of one copy: manifest blocks first, then content, then digests.
//!
//! It knows how long each block is and which bytes of which object it holds; which files those are
//! is in `layout`. A receiver begins with the manifest's length alone and adds the rest once it has
//! the manifest.

use std::ops::Range;

use thiserror::Error;

use super::layout::Layout;
use crate::limits::{BLOCK_SIZE, BLOCKS_MAX, MANIFEST_BYTES_MAX};
use crate::units::BlockIndex;

/// Why the objects of a copy cannot be numbered.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum StreamError {
    /// The manifest is longer than `MANIFEST_BYTES_MAX`.
    #[error("a manifest of {len} bytes is longer than {MANIFEST_BYTES_MAX}")]
    ManifestLength {
        /// Bytes.
        len: u64,
    },
    /// Manifest, content and digests together have more than `BLOCKS_MAX` blocks.
    #[error("a copy of {blocks} blocks is larger than {BLOCKS_MAX}")]
    BlockCount {
        /// Blocks, as many as can be counted.
        blocks: u64,
    },
}

/// What a block of the stream holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Part of the encoded manifest.
    Manifest {
        /// First byte in the encoded manifest.
        offset: u64,
        /// Bytes, 1 to `BLOCK_SIZE`.
        len: u32,
    },
    /// A content block of the [`Layout`].
    Content {
        /// The layout's number of the block, from 0.
        block: u32,
        /// Bytes, 1 to `BLOCK_SIZE`.
        len: u32,
    },
    /// Part of the encoded digests.
    Digests {
        /// First byte in the encoded digests.
        offset: u64,
        /// Bytes, 1 to `BLOCK_SIZE`.
        len: u32,
    },
}

impl Place {
    /// Bytes of the block, 1 to `BLOCK_SIZE`.
    pub const fn len(&self) -> u32 {
        match self {
            Self::Manifest { len, .. } | Self::Content { len, .. } | Self::Digests { len, .. } => {
                *len
            }
        }
    }

    /// False: there are no empty blocks.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The numbering of all blocks of one copy.
///
/// Memory: 8 bytes for each content block that is not full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    manifest_len: u64,
    digests_len: u64,
    content_blocks: u32,
    /// Content blocks below `BLOCK_SIZE` with their lengths, ascending.
    short_blocks: Vec<(u32, u32)>,
}

impl Stream {
    /// The stream of a copy of which only the encoded manifest's length in bytes is known.
    pub fn of_manifest_only(manifest_len: u64) -> Result<Self, StreamError> {
        if manifest_len > MANIFEST_BYTES_MAX {
            return Err(StreamError::ManifestLength { len: manifest_len });
        }
        Ok(Self {
            manifest_len,
            digests_len: 0,
            content_blocks: 0,
            short_blocks: Vec::new(),
        })
    }

    /// The same stream with its content, and with encoded digests of `digests_len` bytes
    /// (`Digests::encoded_len`).
    pub fn with_content(&self, layout: &Layout, digests_len: u64) -> Result<Self, StreamError> {
        let around = blocks_in(self.manifest_len).saturating_add(blocks_in(digests_len));
        let blocks = around.saturating_add(u64::from(layout.block_count()));
        if blocks > u64::from(BLOCKS_MAX) {
            return Err(StreamError::BlockCount { blocks });
        }
        Ok(Self {
            manifest_len: self.manifest_len,
            digests_len,
            content_blocks: layout.block_count(),
            short_blocks: layout.short_blocks().collect(),
        })
    }

    /// The same stream with `blocks` full blocks of content, the last filled up with zeros, and digests of
    /// `digests_len` bytes: what comes from a pipe, whose end is not known before it is there.
    pub fn with_full_blocks(&self, blocks: u32, digests_len: u64) -> Result<Self, StreamError> {
        let around = blocks_in(self.manifest_len).saturating_add(blocks_in(digests_len));
        let all = around.saturating_add(blocks.into());
        if all > u64::from(BLOCKS_MAX) {
            return Err(StreamError::BlockCount { blocks: all });
        }
        Ok(Self {
            manifest_len: self.manifest_len,
            digests_len,
            content_blocks: blocks,
            short_blocks: Vec::new(),
        })
    }

    /// Bytes of the encoded manifest.
    pub const fn manifest_len(&self) -> u64 {
        self.manifest_len
    }

    /// How many blocks there are, as far as is known.
    pub fn block_count(&self) -> u32 {
        self.digests_blocks().end.0
    }

    /// The blocks of the manifest, from 0.
    pub fn manifest_blocks(&self) -> Range<BlockIndex> {
        // At most MANIFEST_BYTES_MAX / BLOCK_SIZE blocks, checked when made.
        BlockIndex(0)..BlockIndex(blocks_in(self.manifest_len) as u32)
    }

    /// The blocks of the content; none while only the manifest's length is known.
    pub fn content_blocks(&self) -> Range<BlockIndex> {
        let start = self.manifest_blocks().end;
        start..BlockIndex(start.0 + self.content_blocks)
    }

    /// The blocks of the digests; none while only the manifest's length is known.
    pub fn digests_blocks(&self) -> Range<BlockIndex> {
        let start = self.content_blocks().end;
        // The sum is at most BLOCKS_MAX, checked when made.
        start..BlockIndex(start.0 + blocks_in(self.digests_len) as u32)
    }

    /// The stream's number of the layout's content block `block`; nothing past the last.
    pub fn content_block(&self, block: u32) -> Option<BlockIndex> {
        (block < self.content_blocks).then(|| BlockIndex(self.content_blocks().start.0 + block))
    }

    /// What `block` holds; nothing past the last block known.
    pub fn place(&self, block: BlockIndex) -> Option<Place> {
        if self.manifest_blocks().contains(&block) {
            let (offset, len) = part(self.manifest_len, block.0);
            return Some(Place::Manifest { offset, len });
        }
        if self.content_blocks().contains(&block) {
            let block = block.0 - self.content_blocks().start.0;
            return Some(Place::Content {
                block,
                len: self.content_len(block),
            });
        }
        if self.digests_blocks().contains(&block) {
            let (offset, len) = part(self.digests_len, block.0 - self.digests_blocks().start.0);
            return Some(Place::Digests { offset, len });
        }
        None
    }

    /// Bytes in `block`, 1 to `BLOCK_SIZE`; nothing past the last block known.
    pub fn block_len(&self, block: BlockIndex) -> Option<u32> {
        self.place(block).map(|place| place.len())
    }

    fn content_len(&self, block: u32) -> u32 {
        match self
            .short_blocks
            .binary_search_by_key(&block, |(short, _)| *short)
        {
            Ok(found) => self.short_blocks[found].1,
            Err(_) => BLOCK_SIZE,
        }
    }
}

/// How many symbols of `symbol_size` bytes carry `len` bytes, the last perhaps short.
///
/// A code can have at most 255 of them; more, and 65,535 for a symbol size of zero, says that the
/// size does not fit blocks of that length.
pub const fn symbols_in(len: u32, symbol_size: u16) -> u16 {
    if symbol_size == 0 {
        return u16::MAX;
    }
    let count = len.div_ceil(symbol_size as u32);
    if count > u16::MAX as u32 {
        u16::MAX
    } else {
        count as u16
    }
}

/// How many blocks carry an object of `len` bytes.
const fn blocks_in(len: u64) -> u64 {
    len.div_ceil(BLOCK_SIZE as u64)
}

/// First byte and length of the block number `block` of an object of `len` bytes, which it has.
fn part(len: u64, block: u32) -> (u64, u32) {
    let offset = u64::from(block) * u64::from(BLOCK_SIZE);
    (
        offset,
        len.saturating_sub(offset).min(u64::from(BLOCK_SIZE)) as u32,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::manifest::{Entry, Kind, Manifest};

    const FULL: u64 = BLOCK_SIZE as u64;

    fn layout(sizes: &[u64]) -> Layout {
        let entry = |(number, size): (usize, &u64)| Entry {
            path: format!("{number}").into_bytes(),
            kind: Kind::File { size: *size },
            mode: 0o644,
            mtime: (0, 0),
            ..Entry::default()
        };
        Layout::new(&Manifest {
            entries: sizes.iter().enumerate().map(entry).collect(),
            ..Manifest::default()
        })
    }

    #[test]
    fn objects_follow_one_another() {
        let stream = Stream::of_manifest_only(FULL + 1).unwrap();
        assert_eq!(stream.block_count(), 2);
        assert_eq!(stream.place(BlockIndex(2)), None);
        let stream = stream
            .with_content(&layout(&[10, FULL, 20]), 2 * FULL + 7)
            .unwrap();
        let places: Vec<Place> = (0..)
            .map_while(|block| stream.place(BlockIndex(block)))
            .collect();
        assert_eq!(
            places,
            [
                Place::Manifest {
                    offset: 0,
                    len: BLOCK_SIZE
                },
                Place::Manifest {
                    offset: FULL,
                    len: 1
                },
                Place::Content {
                    block: 0,
                    len: BLOCK_SIZE
                },
                Place::Content { block: 1, len: 30 },
                Place::Digests {
                    offset: 0,
                    len: BLOCK_SIZE
                },
                Place::Digests {
                    offset: FULL,
                    len: BLOCK_SIZE
                },
                Place::Digests {
                    offset: 2 * FULL,
                    len: 7
                },
            ]
        );
        assert_eq!(stream.block_count(), 7);
        assert_eq!(stream.block_len(BlockIndex(3)), Some(30));
        assert_eq!(stream.block_len(BlockIndex(7)), None);
        assert_eq!(stream.content_block(1), Some(BlockIndex(3)));
        assert_eq!(stream.content_block(2), None);
    }

    #[test]
    fn a_copy_without_content_has_no_content_blocks() {
        let stream = Stream::of_manifest_only(5)
            .unwrap()
            .with_content(&layout(&[]), 0)
            .unwrap();
        assert_eq!(stream.block_count(), 1);
        assert!(stream.content_blocks().is_empty() && stream.digests_blocks().is_empty());
    }

    #[test]
    fn lengths_beyond_the_limits_are_refused() {
        let len = MANIFEST_BYTES_MAX + 1;
        assert_eq!(
            Stream::of_manifest_only(len),
            Err(StreamError::ManifestLength { len })
        );
        let stream = Stream::of_manifest_only(MANIFEST_BYTES_MAX).unwrap();
        let refused = stream.with_content(&layout(&[1]), u64::MAX);
        assert!(matches!(refused, Err(StreamError::BlockCount { .. })));
    }

    #[test]
    fn symbols_are_counted_upwards() {
        assert_eq!(symbols_in(0, 1433), 0);
        assert_eq!(symbols_in(1, 1433), 1);
        assert_eq!(symbols_in(1433, 1433), 1);
        assert_eq!(symbols_in(1434, 1433), 2);
        assert_eq!(symbols_in(BLOCK_SIZE, 1433), 183);
        assert_eq!(symbols_in(BLOCK_SIZE, 1), u16::MAX);
        assert_eq!(symbols_in(BLOCK_SIZE, 0), u16::MAX);
    }
}
