//! Where each byte of each file stands in the stream of blocks. Both sides compute it from the manifest.

use super::manifest::Manifest;

/// A run of bytes of one file that lies in one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Index of the file's entry in the manifest.
    pub entry: u32,
    /// Index of this piece among all pieces of the copy, in stream order: its place in the digests.
    pub number: u32,
    /// First byte in the file, a multiple of `BLOCK_SIZE`.
    pub file_offset: u64,
    /// First byte in the block.
    pub block_offset: u32,
    /// Bytes, 1 to `BLOCK_SIZE`.
    pub len: u32,
}

/// The layout of one manifest's content. Content blocks are numbered from 0 here.
#[derive(Clone, Debug)]
pub struct Layout {}

impl Layout {
    /// Lays out the files of `manifest`.
    pub fn new(_manifest: &Manifest) -> Self {
        Self {}
    }
}
