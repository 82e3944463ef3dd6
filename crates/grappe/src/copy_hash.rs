//! The one hash that names the content of a copy, computed the same way by both sides.

use grappe_proto::content::digest::{FileState, copy_digest, file_digest, sparse_file_digest};
use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::Manifest;
use grappe_proto::units::Digest;

/// The hash over all files that were read whole: a single file's own BLAKE3 hash, otherwise that of
/// the lines that `b3sum` prints for them. Files that were left out of `layout` since nobody lacked them
/// are left out here. There is one of `pieces` for each of the layout, and one of `states` for each entry.
pub(crate) fn copy_hash(
    manifest: &Manifest,
    layout: &Layout,
    pieces: &[Digest],
    states: &[FileState],
) -> Digest {
    copy_digest(manifest.files().filter_map(|(number, size)| {
        let entry = &manifest.entries[number as usize];
        let is_whole = states.get(number as usize) == Some(&FileState::Whole);
        let numbers = layout.piece_numbers_of(number);
        let is_there = entry.data_bytes() == 0 || !numbers.is_empty();
        if !is_whole || !is_there {
            return None;
        }
        let pieces = &pieces[numbers.start as usize..numbers.end as usize];
        let hash = if entry.extents().is_none() {
            file_digest(size, pieces)
        } else {
            let indices = layout.pieces_of(number).map(|piece| piece.index());
            let pieces: Vec<(u64, Digest)> = indices.zip(pieces.iter().copied()).collect();
            sparse_file_digest(size, &pieces)
        };
        Some((&entry.path[..], hash))
    }))
}
