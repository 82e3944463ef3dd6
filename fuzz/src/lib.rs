//! What the fuzz targets share: bytes read as a script of events, and trees and streams made from it.

use grappe_proto::content::digest::Digests;
use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::{Entry, Kind, Manifest};
use grappe_proto::content::stream::Stream;

/// Arbitrary bytes as a source of numbers; zeros when they are used up.
#[derive(Debug)]
pub struct Script<'a> {
    bytes: &'a [u8],
}

impl<'a> Script<'a> {
    /// The script that `bytes` are.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Whether everything was read.
    pub fn is_over(&self) -> bool {
        self.bytes.is_empty()
    }

    /// So many bytes, or what is left.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (front, rest) = self.bytes.split_at(count.min(self.bytes.len()));
        self.bytes = rest;
        front
    }

    /// The next bytes as an array.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let front = self.bytes(N);
        array[..front.len()].copy_from_slice(front);
        array
    }

    /// The next number.
    pub fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.array())
    }

    /// The next number.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// The next number.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// The next number.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// A number that is small more often than not, so that it names something that exists.
    pub fn near(&mut self) -> u32 {
        let number = self.u8();
        if number == u8::MAX {
            self.u32()
        } else {
            u32::from(number)
        }
    }
}

/// A tree of up to seven files of up to 16 MiB.
pub fn tree(script: &mut Script<'_>) -> Manifest {
    let entry = |number: u8, size: u32| Entry {
        path: vec![b'a' + number],
        kind: Kind::File {
            size: u64::from(size >> 8),
        },
        mode: 0o644,
        mtime: (0, 0),
    };
    let count = script.u8() % 8;
    Manifest {
        entries: (0..count)
            .map(|number| entry(number, script.u32()))
            .collect(),
    }
}

/// The whole stream of `tree`, whose manifest takes `manifest_len` bytes.
pub fn whole_stream(manifest_len: u64, tree: &Manifest) -> Option<Stream> {
    let layout = Layout::new(tree);
    let digests_len = Digests::encoded_len(layout.piece_count(), tree.entries.len() as u32);
    Stream::of_manifest_only(manifest_len)
        .ok()?
        .with_content(&layout, digests_len)
        .ok()
}
