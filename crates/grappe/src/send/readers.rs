//! The threads that read blocks ahead of the sender, hash them on the way, and form the digests.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use grappe_proto::content::digest::Digests;
use grappe_proto::content::layout::Layout;
use grappe_proto::content::stream::{Place, Stream};
use grappe_proto::limits::SYMBOL_SIZE;
use grappe_proto::units::{BlockIndex, Digest};

use super::Happening;
use crate::copy_hash::copy_hash;
use crate::files::Source;

/// Reading threads: one hides the other's wait for the disk.
const READERS: usize = 2;

/// What is to be sent, in all its forms.
pub(super) struct Content {
    pub(super) source: Source,
    pub(super) layout: Layout,
    pub(super) stream: Stream,
    pub(super) manifest_bytes: Vec<u8>,
    /// Hashes of the pieces read so far, then the whole digests object.
    hashes: Mutex<Digests>,
    digests_bytes: Mutex<Vec<u8>>,
}

/// What a reader is asked for.
pub(super) enum Request {
    /// A block, into this buffer.
    Block(BlockIndex, Vec<u8>),
    /// The digests object, all content having been read.
    Digests,
}

impl Content {
    pub(super) fn new(
        source: Source,
        layout: Layout,
        stream: Stream,
        manifest_bytes: Vec<u8>,
    ) -> Self {
        let pieces = vec![Digest::default(); layout.piece_count() as usize];
        Self {
            source,
            layout,
            stream,
            manifest_bytes,
            hashes: Mutex::new(Digests {
                pieces,
                states: Vec::new(),
            }),
            digests_bytes: Mutex::new(Vec::new()),
        }
    }

    /// Fills `buffer` with `block`, padded with zeros to whole symbols.
    fn read(&self, block: BlockIndex, buffer: &mut Vec<u8>) {
        match self.stream.place(block) {
            Some(Place::Manifest { offset, len }) => {
                copy_part(&self.manifest_bytes, offset, len, buffer);
            }
            Some(Place::Digests { offset, len }) => {
                let bytes = self
                    .digests_bytes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                copy_part(&bytes, offset, len, buffer);
            }
            Some(Place::Content { block, .. }) => {
                let read = self.source.read_block(&self.layout, block, buffer);
                let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
                // A block read again for a late repair must not change what was promised.
                if hashes.states.is_empty() {
                    for (number, digest) in read.digests {
                        hashes.pieces[number as usize] = digest;
                    }
                }
            }
            None => buffer.clear(),
        }
        buffer.resize(buffer.len().next_multiple_of(SYMBOL_SIZE.into()), 0);
    }

    /// Forms the digests object; answers its hash and the hash over all files.
    fn form_digests(&self) -> (Digest, Digest) {
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        hashes.states = self.source.finish();
        let bytes = hashes.encode();
        let hash = Digest(*blake3::hash(&bytes).as_bytes());
        let copy = copy_hash(self.source.manifest(), &self.layout, &hashes);
        *self
            .digests_bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = bytes;
        (hash, copy)
    }
}

/// Starts the readers; they end when `requests` is closed and everything asked for is done.
///
/// # Errors
///
/// When the system has no thread left.
pub(super) fn start(
    content: &Arc<Content>,
    requests: &Receiver<Request>,
    happenings: &Sender<Happening>,
) -> std::io::Result<Vec<JoinHandle<()>>> {
    let start_one = |number: usize| {
        let (content, requests, happenings) =
            (Arc::clone(content), requests.clone(), happenings.clone());
        thread::Builder::new()
            .name(format!("read-{number}"))
            .spawn(move || {
                for request in requests {
                    let happening = match request {
                        Request::Block(block, mut buffer) => {
                            content.read(block, &mut buffer);
                            Happening::Block(block, buffer)
                        }
                        Request::Digests => {
                            let (hash, copy) = content.form_digests();
                            Happening::Digests { hash, copy }
                        }
                    };
                    if happenings.send(happening).is_err() {
                        return;
                    }
                }
            })
    };
    (0..READERS).map(start_one).collect()
}

fn copy_part(bytes: &[u8], offset: u64, len: u32, buffer: &mut Vec<u8>) {
    buffer.clear();
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    buffer.extend_from_slice(
        bytes
            .get(start..start.saturating_add(len as usize))
            .unwrap_or_default(),
    );
}
