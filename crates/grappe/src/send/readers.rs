//! The threads that read blocks ahead of the sender, hash them on the way, and form the digests.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use flume::{Receiver, Sender};
use grappe_proto::content::digest::{Digests, file_digest};
use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::Manifest;
use grappe_proto::content::stream::{Place, Stream, StreamError};
use grappe_proto::content::survey::EntrySet;
use grappe_proto::limits::{BLOCK_SIZE, SYMBOL_SIZE_MAX};
use grappe_proto::units::{BlockIndex, Digest};

use super::Happening;
use super::pipe::{Pipe, Piped};
use super::threads::guarded;
use crate::copy_hash::copy_hash;
use crate::files::Source;

/// Reading threads: one hides the other's wait for the disk.
const READERS: usize = 2;

/// What is to be sent, in all its forms.
pub(super) struct Content {
    pub(super) source: Source,
    pub(super) manifest_bytes: Vec<u8>,
    symbol_size: u16,
    laid: Mutex<Arc<Laid>>,
    /// Where the content comes from, when it is not from files.
    pipe: Option<Pipe>,
    hashes: Mutex<Hashes>,
    /// The digests object, once it is formed.
    digests_bytes: Mutex<Vec<u8>>,
    read_blocks: AtomicU64,
}

/// Where everything stands in the stream.
pub(super) struct Laid {
    pub(super) layout: Layout,
    pub(super) stream: Stream,
}

impl Laid {
    /// Lays out those files of `manifest` that are `selected`; its encoding takes `manifest_len` bytes.
    pub(super) fn new(
        manifest: &Manifest,
        manifest_len: u64,
        selected: impl Fn(u32) -> bool,
    ) -> Result<Self, StreamError> {
        let layout = Layout::of(manifest, selected);
        let entries = u32::try_from(manifest.entries.len()).unwrap_or(u32::MAX);
        let digests_len = Digests::encoded_len(layout.piece_count(), entries);
        let stream = Stream::of_manifest_only(manifest_len)?.with_content(&layout, digests_len)?;
        Ok(Self { layout, stream })
    }
}

/// Hashes of the pieces read so far.
struct Hashes {
    digests: Digests,
    /// The hashes of these pieces are known from before there was a layout.
    known: BTreeSet<u32>,
    /// All was read: a block read again for a late repair must not change what is promised.
    is_settled: bool,
}

/// Memory for any block, and for what fills up its last symbol: were it to grow by that, it would take twice as much.
pub(super) fn block_memory() -> Vec<u8> {
    Vec::with_capacity(BLOCK_SIZE as usize + usize::from(SYMBOL_SIZE_MAX))
}

/// What a reader is asked for.
pub(super) enum Request {
    /// A block, into this buffer.
    Block(BlockIndex, Vec<u8>),
    /// The hashes of a block that is not to be sent, as every receiver has it.
    Hash(BlockIndex),
    /// The digests object, all content having been read.
    Digests,
    /// The hashes of files of which receivers have another version.
    Compare(EntrySet),
}

impl Content {
    pub(super) fn new(
        source: Source,
        laid: Laid,
        manifest_bytes: Vec<u8>,
        symbol_size: u16,
    ) -> Self {
        let pieces = vec![Digest::default(); laid.layout.piece_count() as usize];
        Self {
            source,
            manifest_bytes,
            symbol_size,
            laid: Mutex::new(Arc::new(laid)),
            pipe: None,
            hashes: Mutex::new(Hashes {
                digests: Digests {
                    pieces,
                    states: Vec::new(),
                },
                known: BTreeSet::new(),
                is_settled: false,
            }),
            digests_bytes: Mutex::new(Vec::new()),
            read_blocks: AtomicU64::new(0),
        }
    }

    /// Blocks read so far, be it only to hash them, each as often as it was read.
    pub(super) fn read_blocks(&self) -> u64 {
        self.read_blocks.load(Ordering::Relaxed)
    }

    /// The same with content that comes from `pipe`.
    pub(super) fn with_pipe(self, pipe: Pipe) -> Self {
        Self {
            pipe: Some(pipe),
            ..self
        }
    }

    /// Whether the content comes from a pipe, and can be read once only.
    pub(super) const fn is_piped(&self) -> bool {
        self.pipe.is_some()
    }

    /// Bytes of all files, as far as they are known.
    pub(super) fn bytes(&self) -> u64 {
        match &self.pipe {
            Some(pipe) => pipe.end().unwrap_or_default(),
            None => self.source.manifest().total_bytes(),
        }
    }

    /// The end of the pipe was read after so many bytes: now the stream is known.
    pub(super) fn end_stream(&self, bytes: u64) -> Result<Arc<Laid>, StreamError> {
        let blocks = u32::try_from(bytes.div_ceil(BLOCK_SIZE.into())).unwrap_or(u32::MAX);
        let digests_len = Digests::encoded_len(blocks, 1);
        let stream = Stream::of_manifest_only(self.manifest_bytes.len() as u64)?
            .with_full_blocks(blocks, digests_len)?;
        let layout = Layout::new(self.source.manifest());
        let laid = Arc::new(Laid { layout, stream });
        *self.laid.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&laid);
        Ok(laid)
    }

    /// Fills `buffer` with a block of the pipe; tells of its end before. None when there is no such block.
    fn read_pipe(
        &self,
        pipe: &Pipe,
        block: u32,
        buffer: &mut Vec<u8>,
        out: &Sender<Happening>,
    ) -> std::io::Result<Option<()>> {
        let ended = |bytes| {
            // Over with the copy.
            let _over = out.send(Happening::StreamEnded(bytes));
        };
        let Piped::Block(digest) = pipe.read(block, buffer, ended)? else {
            return Ok(None);
        };
        self.read_blocks.fetch_add(1, Ordering::Relaxed);
        let mut hashes = self.lock_hashes();
        let pieces = &mut hashes.digests.pieces;
        if pieces.len() <= block as usize {
            pieces.resize(block as usize + 1, Digest::default());
        }
        pieces[block as usize] = digest;
        drop(hashes);
        buffer.resize(buffer.len().next_multiple_of(self.symbol_size.into()), 0);
        Ok(Some(()))
    }

    /// Where everything stands.
    pub(super) fn laid(&self) -> Arc<Laid> {
        Arc::clone(&self.laid.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Lays out the `selected` files alone. `compared` are the hashes of the pieces of those `hashed`, as
    /// [`Request::Compare`] gave them.
    pub(super) fn select(
        &self,
        selected: &EntrySet,
        hashed: &EntrySet,
        compared: &[u8],
    ) -> Result<Arc<Laid>, StreamError> {
        let manifest = self.source.manifest();
        let len = self.manifest_bytes.len() as u64;
        let laid = Arc::new(Laid::new(manifest, len, |entry| selected.contains(entry))?);
        let mut hashes = self.lock_hashes();
        let mut pieces = vec![Digest::default(); laid.layout.piece_count() as usize];
        let mut compared = compared.as_chunks::<32>().0.iter();
        hashes.known.clear();
        for entry in hashed.iter() {
            for number in laid.layout.piece_numbers_of(entry) {
                if let (Some(piece), Some(digest)) =
                    (pieces.get_mut(number as usize), compared.next())
                {
                    *piece = Digest(*digest);
                    hashes.known.insert(number);
                }
            }
        }
        hashes.digests.pieces = pieces;
        drop(hashes);
        *self.laid.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&laid);
        Ok(laid)
    }

    /// The hashes of the pieces of the files `entries`, one after the other.
    fn compare(&self, entries: &EntrySet) -> Vec<u8> {
        let layout = Layout::of(self.source.manifest(), |entry| entries.contains(entry));
        let mut pieces = vec![Digest::default(); layout.piece_count() as usize];
        let mut buffer = Vec::new();
        for block in 0..layout.block_count() {
            self.read_blocks.fetch_add(1, Ordering::Relaxed);
            for (number, digest) in self.source.read_block(&layout, block, &mut buffer).digests {
                if let Some(piece) = pieces.get_mut(number as usize) {
                    *piece = digest;
                }
            }
        }
        pieces.iter().flat_map(|digest| digest.0).collect()
    }

    /// Hashes a block that is not sent, unless its hashes are known.
    fn hash(&self, block: BlockIndex) {
        let laid = self.laid();
        if let Some(Place::Content { block, .. }) = laid.stream.place(block) {
            let hashes = self.lock_hashes();
            let mut pieces = laid.layout.pieces(block);
            if pieces.all(|piece| hashes.known.contains(&piece.number)) {
                return;
            }
        }
        self.read(block, &mut Vec::new());
    }

    /// Fills `buffer` with `block`, padded with zeros to whole symbols.
    fn read(&self, block: BlockIndex, buffer: &mut Vec<u8>) {
        self.read_plain(block, buffer);
        buffer.resize(buffer.len().next_multiple_of(self.symbol_size.into()), 0);
    }

    /// Fills `buffer` with `block`, and takes note of the hashes of content.
    pub(super) fn read_plain(&self, block: BlockIndex, buffer: &mut Vec<u8>) {
        self.read_blocks.fetch_add(1, Ordering::Relaxed);
        let laid = self.laid();
        match laid.stream.place(block) {
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
                let read = self.source.read_block(&laid.layout, block, buffer);
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
        let copy = match self.pipe.as_ref().and_then(Pipe::end) {
            Some(bytes) => file_digest(bytes, hashes.digests.pieces.iter().copied()),
            None => {
                let (manifest, layout) = (self.source.manifest(), &self.laid().layout);
                let Digests { pieces, states } = &hashes.digests;
                copy_hash(manifest, layout, |piece| pieces[piece as usize], states)
            }
        };
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
    fn serve(&self, request: Request, out: &Sender<Happening>) -> Option<Happening> {
        if let (Some(pipe), Request::Block(block, _) | Request::Hash(block)) =
            (&self.pipe, &request)
            && let Some(Place::Content { block: number, .. }) = self.laid().stream.place(*block)
        {
            let mut buffer = Vec::new();
            return match guarded(|| self.read_pipe(pipe, number, &mut buffer, out)) {
                Ok(Ok(read)) => read.map(|()| Happening::Block(*block, buffer)),
                Ok(Err(error)) => Some(Happening::Broken(format!(
                    "standard input cannot be read: {error}"
                ))),
                Err(panic) => Some(defect(format_args!("reading block {block}"), &panic)),
            };
        }
        Some(match request {
            Request::Block(block, mut buffer) => match guarded(|| self.read(block, &mut buffer)) {
                Ok(()) => Happening::Block(block, buffer),
                Err(panic) => defect(format_args!("reading block {block}"), &panic),
            },
            Request::Hash(block) => match guarded(|| self.hash(block)) {
                Ok(()) => Happening::Hashed(block),
                Err(panic) => defect(format_args!("reading block {block}"), &panic),
            },
            Request::Compare(entries) => match guarded(|| self.compare(&entries)) {
                Ok(digests) => Happening::Compared(digests),
                Err(panic) => defect(format_args!("hashing old versions"), &panic),
            },
            Request::Digests => match guarded(|| self.form_digests()) {
                Ok((hash, copy)) => Happening::Digests { hash, copy },
                Err(panic) => defect(format_args!("forming the digests"), &panic),
            },
        })
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
                    if let Some(happening) = content.serve(request, &happenings)
                        && happenings.send(happening).is_err()
                    {
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
