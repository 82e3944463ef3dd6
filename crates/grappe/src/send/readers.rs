//! The threads that read blocks ahead of the sender, hash them on the way, and form the digests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender};
use grappe_proto::content::digest::Digests;
use grappe_proto::content::layout::Layout;
use grappe_proto::content::stream::{Place, Stream};
use grappe_proto::limits::SYMBOL_SIZE;
use grappe_proto::units::{BlockIndex, Digest};

use super::Happening;
use super::threads::guarded;
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
    hashes: Mutex<Hashes>,
    /// The digests object, once it is formed.
    digests_bytes: Mutex<Vec<u8>>,
}

/// Hashes of the pieces read so far.
struct Hashes {
    digests: Digests,
    /// All was read: a block read again for a late repair must not change what is promised.
    is_settled: bool,
}

/// What a reader is asked for.
pub(super) enum Request {
    /// A block, into this buffer.
    Block(BlockIndex, Vec<u8>),
    /// The hashes of a block that is not to be sent, as every receiver has it.
    Hash(BlockIndex),
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
            hashes: Mutex::new(Hashes {
                digests: Digests {
                    pieces,
                    states: Vec::new(),
                },
                is_settled: false,
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
                let mut hashes = self.lock_hashes();
                if !hashes.is_settled {
                    for (number, digest) in read.digests {
                        if let Some(piece) = hashes.digests.pieces.get_mut(number as usize) {
                            *piece = digest;
                        }
                    }
                }
            }
            None => buffer.clear(),
        }
        buffer.resize(buffer.len().next_multiple_of(SYMBOL_SIZE.into()), 0);
    }

    /// Forms the digests object; answers its hash and the hash over all files.
    fn form_digests(&self) -> (Digest, Digest) {
        self.lock_hashes().is_settled = true;
        // Looks at every file: the other reader must not wait for the lock meanwhile.
        let states = self.source.finish();
        let mut hashes = self.lock_hashes();
        hashes.digests.states = states;
        let bytes = hashes.digests.encode();
        let hash = Digest(*blake3::hash(&bytes).as_bytes());
        let copy = copy_hash(self.source.manifest(), &self.layout, &hashes.digests);
        *self
            .digests_bytes
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = bytes;
        (hash, copy)
    }

    /// Nothing is left half done under this lock.
    fn lock_hashes(&self) -> MutexGuard<'_, Hashes> {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what is asked for.
    fn serve(&self, request: Request) -> Happening {
        match request {
            Request::Block(block, mut buffer) => match guarded(|| self.read(block, &mut buffer)) {
                Ok(()) => Happening::Block(block, buffer),
                Err(panic) => defect(format_args!("reading block {block}"), &panic),
            },
            Request::Hash(block) => match guarded(|| self.read(block, &mut Vec::new())) {
                Ok(()) => Happening::Hashed(block),
                Err(panic) => defect(format_args!("reading block {block}"), &panic),
            },
            Request::Digests => match guarded(|| self.form_digests()) {
                Ok((hash, copy)) => Happening::Digests { hash, copy },
                Err(panic) => defect(format_args!("forming the digests"), &panic),
            },
        }
    }
}

/// The copy's end for a reader that panicked: nobody would read what was asked of it.
fn defect(work: std::fmt::Arguments<'_>, panic: &str) -> Happening {
    Happening::Broken(format!(
        "{work} failed by a defect of this program: {panic}"
    ))
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
                    if happenings.send(content.serve(request)).is_err() {
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
