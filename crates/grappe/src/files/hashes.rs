//! The hashes of pieces as both ends, and whoever compares, form them: of all that their files have there, holes
//! included.
//!
//! Nothing is read or written here; `grappe_proto::content::digest` says what the hash of a piece is.

use grappe_proto::content::digest::{PieceBytes, piece_digest, piece_digests};
use grappe_proto::content::layout::Piece;
use grappe_proto::content::manifest::{Entry, Manifest};
use grappe_proto::units::Digest;

use super::holes;

/// Pieces hashed together at most: a block may have one for each of its bytes, and what each of them needs here
/// meanwhile is more than that.
const TOGETHER_MAX: usize = 1024;

/// The number and the hash of each of the `pieces` of one block, in their order. Its `bytes` leave holes out.
pub(super) fn of_block(
    manifest: &Manifest,
    mut pieces: impl Iterator<Item = Piece>,
    bytes: &[u8],
) -> Vec<(u32, Digest)> {
    let mut digests = Vec::new();
    loop {
        let together: Vec<Piece> = pieces.by_ref().take(TOGETHER_MAX).collect();
        if together.is_empty() {
            return digests;
        }
        let numbers = together.iter().map(|piece| piece.number);
        digests.extend(numbers.zip(of_some(manifest, &together, bytes)));
    }
}

fn of_some(manifest: &Manifest, pieces: &[Piece], bytes: &[u8]) -> Vec<Digest> {
    let entry = |piece: &Piece| &manifest.entries[piece.entry as usize];
    let data = |piece: &Piece| {
        let start = piece.block_offset as usize;
        &bytes[start..start + piece.len as usize]
    };
    let standing = |piece: &Piece| PieceBytes {
        file_len: entry(piece).size(),
        offset: piece.file_offset,
        bytes: data(piece),
    };
    if !pieces.iter().any(Piece::has_holes) {
        return piece_digests(&pieces.iter().map(standing).collect::<Vec<_>>());
    }
    // Holes are filled for one piece at a time: they may be far larger than the block.
    let alone = |piece: &Piece| of_piece(entry(piece), piece, data(piece));
    pieces.iter().map(alone).collect()
}

/// The hash of a piece of `entry` whose data, holes left out, is `data`.
pub(super) fn of_piece(entry: &Entry, piece: &Piece, data: &[u8]) -> Digest {
    if piece.has_holes() {
        let bytes = holes::fill(entry, piece, data);
        return piece_digest(entry.size(), piece.file_offset, &bytes);
    }
    piece_digest(entry.size(), piece.file_offset, data)
}

#[cfg(test)]
mod tests {
    use grappe_proto::content::layout::Layout;
    use grappe_proto::content::manifest::{Extent, Extra, Kind};

    use super::*;

    /// Files of such sizes; of those with an odd number, the first half is a hole where `holes` says so.
    fn manifest(sizes: &[u64], holes: bool) -> Manifest {
        let entry = |(number, size): (usize, &u64)| {
            let data = Extent {
                offset: size / 2,
                len: size - size / 2,
            };
            let extra = Extra {
                extents: Some(vec![data]),
                ..Extra::default()
            };
            Entry {
                path: format!("{number:04}").into_bytes(),
                kind: Kind::File { size: *size },
                extra: (holes && number % 2 == 1).then(|| Box::new(extra)),
                ..Entry::default()
            }
        };
        Manifest {
            entries: sizes.iter().enumerate().map(entry).collect(),
            ..Manifest::default()
        }
    }

    #[test]
    fn each_piece_of_a_block_gets_its_own_hash() {
        let sizes: Vec<u64> = (0..20).map(|number| 1500 + 337 * number).collect();
        let tiny = vec![3; TOGETHER_MAX + 5];
        for (sizes, holes) in [(&sizes, false), (&sizes, true), (&tiny, false)] {
            let manifest = manifest(sizes, holes);
            let layout = Layout::new(&manifest);
            assert_eq!(layout.block_count(), 1);
            let block: Vec<u8> = (0..layout.block_len(0)).map(|at| (at / 7) as u8).collect();
            let digests = of_block(&manifest, layout.pieces(0), &block);
            let expected = layout.pieces(0).map(|piece| {
                let entry = &manifest.entries[piece.entry as usize];
                let mut file = vec![0; entry.size() as usize];
                let start = piece.block_offset as usize;
                let data = &block[start..start + piece.len as usize];
                let hole = file.len() - data.len();
                file[hole..].copy_from_slice(data);
                (piece.number, Digest(*blake3::hash(&file).as_bytes()))
            });
            assert_eq!(digests, expected.collect::<Vec<_>>(), "holes: {holes}");
        }
    }
}
