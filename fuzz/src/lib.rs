//! What the fuzz targets share: bytes read as a script of events, and trees and streams made from it.

use std::collections::VecDeque;

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

/// Jobs that a machine gave to its driver; they are done in any order, as threads do them.
#[derive(Debug)]
pub struct Jobs<J> {
    waiting: VecDeque<J>,
}

impl<J> Default for Jobs<J> {
    fn default() -> Self {
        let waiting = VecDeque::new();
        Self { waiting }
    }
}

impl<J> Jobs<J> {
    /// One more.
    pub fn add(&mut self, job: J) {
        self.waiting.push_back(job);
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.waiting.len()
    }

    /// The one that waits longest.
    pub fn oldest(&mut self) -> Option<J> {
        self.waiting.pop_front()
    }

    /// The one that the script picks, not always the first.
    pub fn pick(&mut self, script: &mut Script<'_>) -> Option<J> {
        let which = usize::from(script.u8());
        self.waiting.remove(which % self.waiting.len().max(1))
    }
}

/// Takes outputs of a machine, all at the same instant, until `take` says that it waits.
///
/// # Panics
///
/// When it still has something to say after `outputs_max` of them: a machine must come to rest.
pub fn until_at_rest(outputs_max: usize, mut take: impl FnMut() -> bool) {
    assert!(
        (0..outputs_max).any(|_| take()),
        "the machine does not come to rest"
    );
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
        ..Entry::default()
    };
    let count = script.u8() % 8;
    Manifest {
        entries: (0..count)
            .map(|number| entry(number, script.u32()))
            .collect(),
        ..Manifest::default()
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
