//! The one hash that names the content of a copy, computed the same way by both sides.

use grappe_proto::content::digest::{FileState, copy_digest, file_digest, sparse_file_digest};
use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::Manifest;
use grappe_proto::units::Digest;

/// The hash over all files that were read whole: a single file's own BLAKE3 hash, otherwise that of
/// the lines that `b3sum` prints for them. Files that were left out of `layout` since nobody lacked them
/// are left out here. `piece` gives the hash of the piece with that number, and is asked in their order; there is one of
/// `states` for each entry.
pub(crate) fn copy_hash(
    manifest: &Manifest,
    layout: &Layout,
    mut piece: impl FnMut(u32) -> Digest,
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
        let hash = if entry.extents().is_none() {
            file_digest(size, numbers.map(&mut piece))
        } else {
            let indices = layout.pieces_of(number).map(|piece| piece.index());
            sparse_file_digest(size, indices.zip(numbers.map(&mut piece)))
        };
        Some((&entry.path[..], hash))
    }))
}
