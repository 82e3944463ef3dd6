//! Going on with a copy that was broken off: which of the blocks in its journal are there.
//!
//! What is not sure to be there counts as missing, and is sent again.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;

use grappe_os::file::{Access, Directory};
use grappe_proto::content::block_set::BlockSet;
use grappe_proto::content::layout::{Layout, Piece};
use grappe_proto::content::manifest::Manifest;
use grappe_proto::units::{BlockIndex, Digest};

use super::incoming::{file_size, staged, staged_name};
use super::journal::{self, Records};
use super::nests::{self, Nests};
use super::spill::PieceHashes;
use super::staging::Staging;
use super::{hashes, holes, metadata};

/// What an earlier attempt left.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    /// The blocks that are there.
    pub(super) blocks: BlockSet,
    /// The entries that have a file in the staging folder.
    pub(super) entries: HashSet<u32>,
}

/// Finds out what is there of the copy, whose pieces then have their `hashes`, and removes everything else from its
/// staging folder.
pub(super) fn find(
    staging: &Staging,
    nests: &Nests,
    manifest_hash: Digest,
    manifest: &Manifest,
    layout: &Layout,
    hashes: &PieceHashes,
) -> io::Result<Earlier> {
    let staging = staging.directory();
    let mut earlier = Earlier::default();
    if let Some(records) = journal::read(staging, manifest_hash, layout, Some(hashes))? {
        let mut search = Search {
            staging,
            nests,
            manifest,
            same_boot: records.same_boot,
            files: HashMap::new(),
            buffer: Vec::new(),
        };
        earlier = search.run(&records, layout, hashes)?;
    }
    // Names in the folder, and in the nests there.
    let mut wanted: HashSet<Vec<u8>> = HashSet::new();
    let mut wanted_in: HashMap<Vec<u8>, HashSet<&[u8]>> = HashMap::new();
    for number in &earlier.entries {
        let entry = manifest.entries.get(*number as usize);
        match entry.and_then(|entry| Some((entry, nests.number_for(entry)?))) {
            Some((entry, nest)) => {
                let name = metadata::split(&entry.path).1;
                wanted_in.entry(nests::name(nest)).or_default().insert(name);
            }
            None => {
                wanted.insert(staged_name(*number));
            }
        }
    }
    for name in staging.entries()? {
        if name == journal::NAME || name == super::staging::LOCK_NAME {
            continue;
        }
        if nests::is_nest(&name) {
            let wanted = wanted_in.get(&name);
            nests::clear(staging, &name, |file| {
                wanted.is_some_and(|wanted| wanted.contains(file))
            })?;
        } else if !wanted.contains(&name) {
            staging.remove_file(&name)?;
        }
    }
    nests.close_all();
    Ok(earlier)
}

struct Search<'a> {
    staging: &'a Directory,
    nests: &'a Nests,
    manifest: &'a Manifest,
    same_boot: bool,
    /// The staged file of an entry, where it is there with its full length. Only the last one looked at
    /// stays open.
    files: HashMap<u32, bool>,
    buffer: Vec<u8>,
}

impl Search<'_> {
    fn run(
        &mut self,
        records: &Records,
        layout: &Layout,
        hashes: &PieceHashes,
    ) -> io::Result<Earlier> {
        let mut earlier = Earlier::default();
        let (mut open, mut reader) = (None, hashes.reader());
        for block in records.blocks.runs().flat_map(|run| run.start.0..run.end.0) {
            let are_there = layout
                .pieces(block)
                .all(|piece| self.is_there(&piece, reader.get(piece.number), &mut open));
            let pieces = layout.pieces(block);
            if are_there {
                earlier.entries.extend(pieces.map(|piece| piece.entry));
                earlier.blocks.insert(BlockIndex(block));
            } else {
                hashes.set(pieces.map(|piece| (piece.number, Digest::default())))?;
            }
        }
        reader.done()?;
        Ok(earlier)
    }

    fn is_there(&mut self, piece: &Piece, wanted: Digest, open: &mut Option<(u32, File)>) -> bool {
        let Some(entry) = self.manifest.entries.get(piece.entry as usize) else {
            return false;
        };
        let size = file_size(entry);
        let folders = (self.staging, self.nests);
        let Ok((folder, name)) = staged(folders, Nests::open, piece.entry, entry) else {
            return false;
        };
        let is_long_enough = *self.files.entry(piece.entry).or_insert_with(|| {
            let found = folder.metadata(&name);
            found.is_ok_and(|found| found.size == size)
        });
        if !is_long_enough || self.same_boot {
            return is_long_enough;
        }
        if open.as_ref().is_none_or(|(entry, _)| *entry != piece.entry) {
            *open = match folder.open_file(&name, Access::Read) {
                Ok(file) => Some((piece.entry, file)),
                Err(_) => return false,
            };
        }
        let Some((_, file)) = open else { return false };
        self.buffer.resize(piece.len as usize, 0);
        holes::read(file, entry, piece, &mut self.buffer).is_ok()
            && hashes::of_piece(entry, piece, &self.buffer) == wanted
    }
}
