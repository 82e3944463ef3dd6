//! The one hash that names the content of a copy, computed the same way by both sides.

use std::ops::Range;

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
    let whole: Vec<WholeFile> = manifest
        .files()
        .filter(|(number, _)| is_whole(*number))
        .filter_map(|(number, size)| {
            let entry = &manifest.entries[number as usize];
            let pieces = layout.piece_numbers_of(number);
            let is_there = entry.data_bytes() == 0 || !pieces.is_empty();
            is_there.then_some(WholeFile {
                number,
                size,
                entry,
                pieces,
            })
        })
        .collect();
    let hashes = whole.iter().map(|file| file.hash(layout, digests));
    if whole.len() == manifest.file_count() as usize {
        return copy_digest(manifest, hashes);
    }
    let files: Vec<Entry> = whole.iter().map(|file| file.entry.clone()).collect();
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

/// A file that was read whole.
struct WholeFile<'a> {
    number: u32,
    size: u64,
    entry: &'a Entry,
    /// The numbers of its pieces.
    pieces: Range<u32>,
}

impl WholeFile<'_> {
    fn hash(&self, layout: &Layout, digests: &Digests) -> Digest {
        let pieces = &digests.pieces[self.pieces.start as usize..self.pieces.end as usize];
        if self.entry.extents().is_none() {
            return file_digest(self.size, pieces);
        }
        let indices = layout.pieces_of(self.number).map(|piece| piece.index());
        let pieces: Vec<(u64, Digest)> = indices.zip(pieces.iter().copied()).collect();
        sparse_file_digest(self.size, &pieces)
    }
}
