//! The hashes of pieces as both ends form them: of all that their files have there, holes included.
//!
//! What the hash of a piece is says `grappe_proto::content::digest`.

use grappe_proto::content::digest::{PieceBytes, piece_digest, piece_digests};
use grappe_proto::content::layout::Piece;
use grappe_proto::content::manifest::{Entry, Manifest};
use grappe_proto::units::Digest;

use super::holes;

/// The number and the hash of each of the `pieces` of one block, whose `bytes` leave holes out.
pub(super) fn of_block(manifest: &Manifest, pieces: &[Piece], bytes: &[u8]) -> Vec<(u32, Digest)> {
    let entry = |piece: &Piece| &manifest.entries[piece.entry as usize];
    let data = |piece: &Piece| {
        let start = piece.block_offset as usize;
        &bytes[start..start + piece.len as usize]
    };
    let solid = pieces.iter().filter(|piece| !piece.has_holes());
    let solid = solid.map(|piece| PieceBytes {
        file_len: entry(piece).size(),
        offset: piece.file_offset,
        bytes: data(piece),
    });
    let mut digests = piece_digests(&solid.collect::<Vec<_>>()).into_iter();
    // Holes are filled for one piece at a time: they may be far larger than the block.
    let digest = |piece: &Piece| {
        let known = (!piece.has_holes()).then(|| digests.next()).flatten();
        known.unwrap_or_else(|| of_piece(entry(piece), piece, data(piece)))
    };
    let numbers = pieces.iter().map(|piece| piece.number);
    numbers.zip(pieces.iter().map(digest)).collect()
}

/// The hash of a piece of `entry` whose data, holes left out, is `data`.
pub(super) fn of_piece(entry: &Entry, piece: &Piece, data: &[u8]) -> Digest {
    if piece.has_holes() {
        let bytes = holes::fill(entry, piece, data);
        return piece_digest(entry.size(), piece.file_offset, &bytes);
    }
    piece_digest(entry.size(), piece.file_offset, data)
}
