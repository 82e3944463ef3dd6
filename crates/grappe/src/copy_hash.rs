//! The one hash that names the content of a copy, computed the same way by both sides.

use grappe_proto::content::digest::{Digests, FileState, copy_digest, file_digest};
use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::{Entry, Kind, Manifest};
use grappe_proto::units::Digest;

/// The hash over all files that were read whole: a single file's own BLAKE3 hash, otherwise that of
/// the lines that `b3sum` prints for them.
pub(crate) fn copy_hash(manifest: &Manifest, layout: &Layout, digests: &Digests) -> Digest {
    let is_whole = |entry: u32| digests.states.get(entry as usize) == Some(&FileState::Whole);
    let whole: Vec<(u32, u64)> = manifest
        .files()
        .filter(|(entry, _)| is_whole(*entry))
        .collect();
    let hashes = whole.iter().map(|(entry, size)| {
        let pieces = layout.piece_numbers_of(*entry);
        file_digest(
            *size,
            &digests.pieces[pieces.start as usize..pieces.end as usize],
        )
    });
    if whole.len() == manifest.file_count() as usize {
        return copy_digest(manifest, hashes);
    }
    let files: Vec<Entry> = whole
        .iter()
        .map(|(entry, _)| manifest.entries[*entry as usize].clone())
        .collect();
    debug_assert!(
        files
            .iter()
            .all(|entry| matches!(entry.kind, Kind::File { .. }))
    );
    copy_digest(&Manifest { entries: files }, hashes)
}
