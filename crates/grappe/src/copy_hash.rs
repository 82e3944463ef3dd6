//! The one hash that names the content of a copy, computed the same way by both sides.

use grappe_proto::content::digest::{
    Digests, FileState, copy_digest, file_digest, sparse_file_digest,
};
use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::{Entry, Kind, Manifest};
use grappe_proto::units::Digest;

/// The hash over all files that were read whole: a single file's own BLAKE3 hash, otherwise that of
/// the lines that `b3sum` prints for them. Files that were left out of `layout` since nobody lacked them
/// are left out here.
pub(crate) fn copy_hash(manifest: &Manifest, layout: &Layout, digests: &Digests) -> Digest {
    let is_whole = |entry: u32| digests.states.get(entry as usize) == Some(&FileState::Whole);
    let is_there = |entry: u32| {
        let data = manifest.entries[entry as usize].data_bytes();
        data == 0 || !layout.piece_numbers_of(entry).is_empty()
    };
    let whole: Vec<(u32, u64)> = manifest
        .files()
        .filter(|(entry, _)| is_whole(*entry) && is_there(*entry))
        .collect();
    let hashes = whole.iter().map(|(entry, size)| {
        file_hash(
            &manifest.entries[*entry as usize],
            *entry,
            *size,
            layout,
            digests,
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
    let files = Manifest {
        entries: files,
        ..Manifest::default()
    };
    copy_digest(&files, hashes)
}

fn file_hash(entry: &Entry, number: u32, size: u64, layout: &Layout, digests: &Digests) -> Digest {
    let numbers = layout.piece_numbers_of(number);
    let pieces = &digests.pieces[numbers.start as usize..numbers.end as usize];
    if entry.extents().is_none() {
        return file_digest(size, pieces);
    }
    let indices = layout.pieces_of(number).map(|piece| piece.index());
    let pieces: Vec<(u64, Digest)> = indices.zip(pieces.iter().copied()).collect();
    sparse_file_digest(size, &pieces)
}
