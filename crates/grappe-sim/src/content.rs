//! What is copied: a manifest, its layout and stream, and real bytes where the scenario wants them.

use grappe_proto::content::block_set::BlockSet;
use grappe_proto::content::digest::{Digests, FileState, copy_digest, file_digest, piece_digest};
use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::{Entry, Kind, Manifest};
use grappe_proto::content::stream::{Place, Stream, symbols_in};
use grappe_proto::limits::{BLOCK_SIZE, SYMBOL_SIZE};
use grappe_proto::units::{BlockIndex, Digest};

use crate::random::Random;

/// One copy's content, as the sender has it.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) manifest: Vec<u8>,
    pub(crate) stream: Stream,
    pub(crate) digests_hash: Digest,
    pub(crate) copy: Digest,
    pub(crate) bytes: u64,
    layout: Layout,
    /// The files' bytes, in manifest order; empty when only coordinates travel.
    files: Vec<Vec<u8>>,
    digests: Vec<u8>,
}

impl Content {
    /// Content of `bytes`: one file without bytes, or several with them.
    pub(crate) fn new(bytes: u64, payload: bool, random: &mut Random) -> Self {
        let sizes = if payload {
            file_sizes(bytes, random)
        } else {
            vec![bytes]
        };
        let manifest = Manifest {
            entries: sizes.iter().enumerate().map(entry).collect(),
            ..Manifest::default()
        };
        let layout = Layout::new(&manifest);
        let encoded = manifest.encode();
        let digests_len = Digests::encoded_len(layout.piece_count(), manifest.entries.len() as u32);
        let stream = Stream::of_manifest_only(encoded.len() as u64)
            .and_then(|stream| stream.with_content(&layout, digests_len))
            .expect("scenarios are far smaller than the bounds of a stream");
        let mut content = Self {
            manifest: encoded,
            stream,
            digests_hash: Digest(random.bytes()),
            copy: Digest(random.bytes()),
            bytes,
            layout,
            files: Vec::new(),
            digests: Vec::new(),
        };
        if payload {
            content.fill(&manifest, &sizes, random);
        }
        content
    }

    /// Data symbols of all blocks: packets that a copy without loss takes.
    pub(crate) fn symbols(&self) -> u64 {
        let symbols = |block| {
            self.stream
                .block_len(BlockIndex(block))
                .map_or(0, |len| symbols_in(len, SYMBOL_SIZE))
        };
        (0..self.stream.block_count())
            .map(|block| u64::from(symbols(block)))
            .sum()
    }

    /// The manifest and the first hundredths of the rest.
    pub(crate) fn beginning(&self, percent: u32) -> BlockSet {
        let content = self.stream.content_blocks();
        let count = u64::from(content.end.0 - content.start.0) * u64::from(percent) / 100;
        let mut blocks = BlockSet::new();
        blocks.insert_range(self.stream.manifest_blocks());
        blocks.insert_range(content.start..BlockIndex(content.start.0 + count as u32));
        blocks
    }

    /// The bytes of `block`.
    pub(crate) fn block(&self, block: BlockIndex) -> Vec<u8> {
        let part = |bytes: &[u8], offset: u64, len: u32| {
            bytes[offset as usize..offset as usize + len as usize].to_vec()
        };
        match self.stream.place(block) {
            None => Vec::new(),
            Some(Place::Manifest { offset, len }) => part(&self.manifest, offset, len),
            Some(Place::Digests { offset, len }) => part(&self.digests, offset, len),
            Some(Place::Content { block, len }) => {
                let mut bytes = vec![0; len as usize];
                for piece in self.layout.pieces(block) {
                    let file = &self.files[piece.entry as usize][piece.file_offset as usize..];
                    bytes[piece.block_offset as usize..][..piece.len as usize]
                        .copy_from_slice(&file[..piece.len as usize]);
                }
                bytes
            }
        }
    }

    fn fill(&mut self, manifest: &Manifest, sizes: &[u64], random: &mut Random) {
        for size in sizes {
            let mut bytes = vec![0; *size as usize];
            random.fill(&mut bytes);
            self.files.push(bytes);
        }
        let piece = |number| {
            let piece = self
                .layout
                .piece(number)
                .expect("every number below the count has its piece");
            let file = &self.files[piece.entry as usize];
            let bytes = &file[piece.file_offset as usize..][..piece.len as usize];
            piece_digest(file.len() as u64, piece.file_offset, bytes)
        };
        let pieces: Vec<Digest> = (0..self.layout.piece_count()).map(piece).collect();
        let states = vec![FileState::Whole; manifest.entries.len()];
        self.copy = copy_of(manifest, &self.layout, &pieces);
        self.digests = Digests { pieces, states }.encode();
        self.digests_hash = Digest(*blake3::hash(&self.digests).as_bytes());
    }
}

/// The digest of the whole copy whose pieces have these digests.
pub(crate) fn copy_of(manifest: &Manifest, layout: &Layout, pieces: &[Digest]) -> Digest {
    let file = |(entry, size): (u32, u64)| {
        let numbers = layout.piece_numbers_of(entry);
        let pieces = &pieces[numbers.start as usize..numbers.end as usize];
        let path = &manifest.entries[entry as usize].path[..];
        (path, file_digest(size, pieces.iter().copied()))
    };
    copy_digest(manifest.files().map(file))
}

/// A few files of all kinds of sizes that make up `bytes`.
fn file_sizes(bytes: u64, random: &mut Random) -> Vec<u64> {
    let mut sizes = Vec::new();
    let mut left = bytes;
    while left > 0 && sizes.len() < 12 {
        let most = random.pick(&[1, 1_000, 100_000, u64::from(BLOCK_SIZE), 1 << 22]);
        let size = random.below(left.min(most) + 1);
        sizes.push(size);
        left -= size;
    }
    sizes.push(left);
    sizes
}

fn entry((number, size): (usize, &u64)) -> Entry {
    let path = format!("file{number:03}").into_bytes();
    Entry {
        path,
        kind: Kind::File { size: *size },
        mode: 0o644,
        mtime: (1_700_000_000, 0),
        ..Entry::default()
    }
}
