//! The jobs of a receiver: preparing for a manifest, storing whole blocks, verifying, placing.
//!
//! Worker threads run them; the carrier hands blocks over and takes results back.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use grappe_proto::content::block_set::BlockSet;
use grappe_proto::content::digest::{Digests, EncodedDigests, FileState, file_digest};
use grappe_proto::content::layout::{Layout, PIECES_MAX};
use grappe_proto::content::manifest::{Manifest, Sync};
use grappe_proto::content::stream::{Place, Stream};
use grappe_proto::fec::{Code, SymbolSet};
use grappe_proto::limits::{BLOCK_SIZE, SENDER_SILENCE_MAX};
use grappe_proto::receiver;
use grappe_proto::units::{BlockIndex, Digest, SymbolIndex};
use grappe_proto::wire::control::{Done, Welcome};

use super::agreement::Agreement;
use super::destination::Destination;
use super::notes::SessionNotes;
use super::stream::{self, Outlet};
use crate::copy_hash::copy_hash;
use crate::files::{Here, Incoming, Reader, Sink, SinkError, Skipped, Spill};
use crate::gf_kernel::MachineKernel;

#[cfg(test)]
mod tests;

/// How long an earlier attempt at the same copy is waited for: it ends within the silence that proves its
/// sender's end.
const EARLIER_ENDS_MAX: Duration = SENDER_SILENCE_MAX.saturating_add(Duration::from_secs(3));
const EARLIER_LOOK: Duration = Duration::from_millis(50);

/// Entries named to the user of those that were not placed, by either side's fault; the rest is counted.
const NAMED_MAX: usize = 20;

/// Names at the top of a copy that are told of: a person types them.
const TOPS_MAX: usize = 1000;

/// A block's memory: K symbols, of which some came as parity instead.
#[derive(Debug, Default)]
pub(super) struct BlockBuffer {
    pub(super) data: Vec<u8>,
    pub(super) parities: Vec<(SymbolIndex, Vec<u8>)>,
}

/// One session's store, shared by its workers.
pub(super) struct Store {
    destination: Arc<Destination>,
    manifest_len: u64,
    manifest_hash: Digest,
    content_bytes: u64,
    symbol_size: u16,
    /// The blocks of the manifest, and of the digests of a stream, which stay in memory.
    objects: Mutex<Objects>,
    prepared: OnceLock<Prepared>,
    /// What comes from a pipe, in place of that.
    piped: OnceLock<Piped>,
    /// What the sender said became of each entry, once verified.
    verified: OnceLock<Vec<FileState>>,
    notes: SessionNotes,
    agreement: Agreement,
    /// Set when the session is over.
    over: Arc<AtomicBool>,
    /// What there is was to be left for another attempt.
    is_left: AtomicBool,
}

/// What came of preparing.
pub(super) enum Preparation {
    /// The content can come.
    Ready(receiver::Prepared),
    /// Nothing is to come: the sender only wanted to know what would be done.
    Rehearsed,
}

#[derive(Debug, Default)]
struct Objects {
    manifest: Vec<u8>,
    digests: Vec<u8>,
}

/// A copy of a stream.
struct Piped {
    manifest: Manifest,
    incoming: stream::Incoming,
    /// The place of the file, where it is to be one.
    place: Option<Incoming>,
    /// The stream with its end, once that is known.
    stream: OnceLock<Stream>,
}

struct Prepared {
    manifest: Arc<Manifest>,
    layout: Arc<Layout>,
    stream: Stream,
    incoming: Incoming,
    /// The digests as the sender told them. They stay for other nodes.
    told: Spill,
    /// The content blocks stored, counted from the first of the content.
    stored: Mutex<BlockSet>,
}

impl Store {
    pub(super) fn new(
        destination: Arc<Destination>,
        welcome: &Welcome,
        notes: SessionNotes,
        agreement: Agreement,
        over: Arc<AtomicBool>,
    ) -> Self {
        Self {
            destination,
            manifest_len: welcome.manifest_len,
            manifest_hash: Digest(welcome.manifest_hash),
            content_bytes: welcome.content_bytes,
            symbol_size: welcome.symbol_size,
            objects: Mutex::default(),
            prepared: OnceLock::new(),
            piped: OnceLock::new(),
            verified: OnceLock::new(),
            notes,
            agreement,
            over,
            is_left: AtomicBool::new(false),
        }
    }

    /// Rebuilds what the block lacks, then keeps or writes it. `len` is the block's without padding.
    pub(super) fn store(
        &self,
        block: BlockIndex,
        present: &SymbolSet,
        buffer: &mut BlockBuffer,
    ) -> Result<(), String> {
        rebuild(self.symbol_size, present, buffer)?;
        if let Some(piped) = self.piped.get() {
            return self.store_piped(piped, block, &buffer.data);
        }
        match self.prepared.get() {
            None => {
                let stream = Stream::of_manifest_only(self.manifest_len)
                    .map_err(|error| error.to_string())?;
                self.keep(&stream, block, &buffer.data)
            }
            Some(prepared) => match prepared.stream.place(block) {
                Some(Place::Content { block, len }) => {
                    prepared.write(block, beginning(&buffer.data, len as usize)?)
                }
                Some(Place::Digests { offset, len }) => {
                    let bytes = beginning(&buffer.data, len as usize)?;
                    prepared.told.write_at(offset, bytes).map_err(hashes_error)
                }
                _ => self.keep(&prepared.stream, block, &buffer.data),
            },
        }
    }

    /// Reads a stored block again, for another node, into `buffer`.
    pub(super) fn read_back(&self, block: BlockIndex, buffer: &mut Vec<u8>) -> Result<(), String> {
        let prepared = self.prepared()?;
        match prepared.stream.place(block) {
            Some(Place::Content { block, .. }) => prepared
                .incoming
                .read_back(block, buffer)
                .map_err(|error| error.to_string()),
            Some(Place::Digests { offset, len }) => {
                buffer.resize(len as usize, 0);
                prepared.told.read_at(offset, buffer).map_err(hashes_error)
            }
            _ => Err(format!("block {block} is not kept")),
        }
    }

    /// Takes the whole manifest, which came by the control channel; says whether it is the right one.
    pub(super) fn take_manifest(&self, bytes: Vec<u8>) -> bool {
        let is_right = *blake3::hash(&bytes).as_bytes() == self.manifest_hash.0;
        if is_right {
            self.objects().manifest = bytes;
        }
        is_right
    }

    /// How the sender and this node agree on what is sent.
    pub(super) const fn agreement(&self) -> &Agreement {
        &self.agreement
    }

    /// Leaves what is stored for another attempt at the same copy; says how many bytes that are.
    pub(super) fn keep_for_later(&self) -> u64 {
        // Before it is looked: whoever still prepares looks after that.
        self.is_left.store(true, Ordering::SeqCst);
        let Some(prepared) = self.prepared.get() else {
            return 0;
        };
        let stored = prepared
            .stored
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !stored.is_empty() {
            prepared.incoming.keep();
        }
        prepared.bytes(&stored)
    }

    /// The manifest's blocks are there: reads it, makes ready for the content, and finds what an earlier
    /// attempt left.
    pub(super) fn prepare(&self) -> Result<Preparation, String> {
        let bytes = std::mem::take(&mut self.objects().manifest);
        if *blake3::hash(&bytes).as_bytes() != self.manifest_hash.0 {
            return Err("the manifest that arrived is not the one the sender described".into());
        }
        let manifest = Manifest::decode(&bytes)
            .map_err(|error| format!("the manifest is not valid: {error}"))?;
        drop(bytes);
        if manifest.total_bytes() != self.content_bytes {
            return Err("the manifest is not as large as the sender said".into());
        }
        if manifest.terms.stream {
            return self.prepare_stream(manifest).map(Preparation::Ready);
        }
        let Destination::Directory(sink) = &*self.destination else {
            return Err(format!(
                "{} takes a stream alone, from `grappe send -`",
                self.destination.path().display()
            ));
        };
        let manifest = Arc::new(manifest);
        let terms = &manifest.terms;
        let (here, selection) = if terms.dry_run || terms.delete || terms.sync != Sync::None {
            let here = sink.survey(&manifest).map_err(|error| error.to_string())?;
            self.agreement.tell(&here.survey);
            if let Some(spared @ 1..) = here.survey.spared {
                let spared = count(spared as usize, "entry is", "entries are");
                self.notes.tell(format_args!(
                    "nothing is removed, by --no-delete: {spared} not in the tree"
                ));
            }
            if terms.dry_run {
                // Whoever plans wants to know what a node would decline, too.
                sink.check(&manifest).map_err(|error| error.to_string())?;
                return Ok(Preparation::Rehearsed);
            }
            (here, Some(self.agreement.selection(&self.over)?))
        } else {
            self.agreement.close();
            (Here::default(), None)
        };
        let layout = match &selection {
            Some(selection) => Layout::of(&manifest, |it| selection.entries.contains(it)),
            None => Layout::new(&manifest),
        };
        let entries = u32::try_from(manifest.entries.len()).unwrap_or(u32::MAX);
        let digests_len = Digests::encoded_len(layout.piece_count(), entries);
        let stream = Stream::of_manifest_only(self.manifest_len)
            .and_then(|stream| stream.with_content(&layout, digests_len))
            .map_err(|error| error.to_string())?;
        let layout = Arc::new(layout);
        // With other files it is another copy, whose blocks have other numbers. Which of them are compared
        // differs from attempt to attempt.
        let name = match &selection {
            Some(selection) => {
                let files = minicbor::to_vec(&selection.entries).unwrap_or_default();
                let mut hasher = blake3::Hasher::new();
                hasher.update(&self.manifest_hash.0).update(&files);
                Digest(*hasher.finalize().as_bytes())
            }
            None => self.manifest_hash,
        };
        let mut incoming = self.begin(sink, name, &manifest, &layout, here)?;
        if let Some(selection) = &selection {
            let compared = incoming.compare(selection);
            compared.map_err(|error| {
                if !incoming.earlier().is_empty() {
                    incoming.keep();
                }
                error.to_string()
            })?;
        }
        self.make_ready(manifest, layout, stream, incoming, selection.is_some())
            .map(Preparation::Ready)
    }

    /// Takes account of what is there, and waits for the rest.
    fn make_ready(
        &self,
        manifest: Arc<Manifest>,
        layout: Arc<Layout>,
        stream: Stream,
        incoming: Incoming,
        is_selected: bool,
    ) -> Result<receiver::Prepared, String> {
        let stored = incoming.earlier().clone();
        let mut have = BlockSet::new();
        let blocks = stored.runs().flat_map(|run| run.start.0..run.end.0);
        for block in blocks.filter_map(|block| stream.content_block(block)) {
            have.insert(block);
        }
        let entries = u32::try_from(manifest.entries.len()).unwrap_or(u32::MAX);
        let told = Digests::encoded_len(layout.piece_count(), entries);
        let told = incoming.spill(told).map_err(|error| {
            if !stored.is_empty() {
                incoming.keep();
            }
            error.to_string()
        })?;
        let prepared = Prepared {
            manifest,
            layout,
            stream: stream.clone(),
            incoming,
            told,
            stored: Mutex::new(stored),
        };
        let there = prepared.bytes(
            &prepared
                .stored
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        if there > 0 {
            let found = if is_selected {
                "of what is sent to all"
            } else {
                "goes on from an earlier attempt:"
            };
            let blocks = 0..prepared.layout.block_count();
            let bytes: u64 = blocks
                .map(|block| u64::from(prepared.layout.block_len(block)))
                .sum();
            self.notes
                .tell(format_args!("{found} {there} of {bytes} bytes are there"));
        }
        self.prepared
            .set(prepared)
            .map_err(|_| "the manifest came twice")?;
        if self.is_left.load(Ordering::SeqCst) {
            // The copy ended meanwhile: what an earlier attempt left stays.
            self.keep_for_later();
        }
        Ok(receiver::Prepared { stream, have })
    }

    /// Makes ready for content that comes from a pipe.
    fn prepare_stream(&self, manifest: Manifest) -> Result<receiver::Prepared, String> {
        self.agreement.close();
        if !matches!(manifest.files().collect::<Vec<_>>()[..], [(0, 0)]) {
            return Err("the sender describes a stream as more than one file".into());
        }
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let copy = |file: &File| file.try_clone().map_err(|error| text(&error));
        let (outlet, place) = match &*self.destination {
            Destination::Directory(sink) => {
                let layout = Arc::new(Layout::new(&manifest));
                let shared = Arc::new(manifest.clone());
                // Each attempt is another stream: nothing is gone on with.
                let place =
                    self.begin(sink, self.manifest_hash, &shared, &layout, Here::default())?;
                let file = place.stream_file().map_err(|error| text(&error))?;
                (Outlet::File(file), Some(place))
            }
            Destination::Device(_, file) => (Outlet::File(copy(file)?), None),
            Destination::StandardOutput(file) => (Outlet::Pipe(copy(file)?), None),
        };
        let piped = Piped {
            manifest,
            incoming: stream::Incoming::new(outlet),
            place,
            stream: OnceLock::new(),
        };
        self.piped
            .set(piped)
            .map_err(|_| "the manifest came twice")?;
        let stream = Stream::of_manifest_only(self.manifest_len)
            .and_then(|stream| stream.with_full_blocks(PIECES_MAX, 0))
            .map_err(|error| text(&error))?;
        Ok(receiver::Prepared {
            stream,
            have: BlockSet::new(),
        })
    }

    fn store_piped(&self, piped: &Piped, block: BlockIndex, data: &[u8]) -> Result<(), String> {
        let open;
        let stream = match piped.stream.get() {
            Some(stream) => stream,
            None => {
                open = Stream::of_manifest_only(self.manifest_len)
                    .and_then(|stream| stream.with_full_blocks(PIECES_MAX, 0))
                    .map_err(|error| error.to_string())?;
                &open
            }
        };
        match stream.place(block) {
            Some(Place::Content { block, len }) => piped
                .incoming
                .write(block, beginning(data, len as usize)?)
                .map_err(|error| self.outlet_error(&error)),
            _ => self.keep(stream, block, data),
        }
    }

    /// The end of a stream is known; gives the blocks that there are.
    pub(super) fn end_stream(&self, bytes: u64) -> Result<Stream, String> {
        let piped = self
            .piped
            .get()
            .ok_or("the end of a stream that never began")?;
        let blocks = u32::try_from(bytes.div_ceil(BLOCK_SIZE.into())).unwrap_or(u32::MAX);
        let stream = Stream::of_manifest_only(self.manifest_len)
            .and_then(|it| it.with_full_blocks(blocks, Digests::encoded_len(blocks, 1)))
            .map_err(|error| error.to_string())?;
        piped
            .stream
            .set(stream.clone())
            .map_err(|_| "the stream ended twice")?;
        piped
            .incoming
            .end(bytes)
            .map_err(|error| self.outlet_error(&error))?;
        Ok(stream)
    }

    fn verify_piped(&self, piped: &Piped, digests_hash: Digest) -> Result<Vec<BlockIndex>, String> {
        let stream = piped.stream.get().ok_or("the stream has no end yet")?;
        let bytes = std::mem::take(&mut self.objects().digests);
        if *blake3::hash(&bytes).as_bytes() != digests_hash.0 {
            let blocks = stream.digests_blocks();
            return Ok((blocks.start.0..blocks.end.0).map(BlockIndex).collect());
        }
        let blocks = stream.content_blocks();
        let told = EncodedDigests::new(&bytes, blocks.end.0 - blocks.start.0, 1)
            .map_err(|error| error.to_string())?;
        let states = told.states().map_err(|error| error.to_string())?;
        if !told.pieces().eq(piped.incoming.pieces()) {
            return Err(format!(
                "what was written to {} is not what the sender read; it cannot be taken back",
                self.destination.path().display()
            ));
        }
        self.verified.set(states).map_err(|_| "verified twice")?;
        Ok(Vec::new())
    }

    fn place_piped(&self, piped: &Piped) -> Result<Done, String> {
        let states = self.verified.get().ok_or("nothing was verified")?;
        let bytes = piped.incoming.size().unwrap_or_default();
        piped
            .incoming
            .finish()
            .map_err(|error| self.outlet_error(&error))?;
        if let Some(place) = &piped.place {
            let placed = place.finalize(states).map_err(|error| error.to_string())?;
            if let Some(first) = placed.failed.first() {
                return Err(format!("{}: {}", first.path.display(), first.reason));
            }
        }
        self.notes.placed(
            piped
                .manifest
                .entries
                .iter()
                .map(|it| it.path.clone())
                .collect(),
        );
        Ok(Done {
            bytes,
            files: 1,
            repaired: 0,
            dropped: 0,
            digest: file_digest(bytes, piped.incoming.pieces()).0,
        })
    }

    fn outlet_error(&self, error: &io::Error) -> String {
        format!(
            "cannot write to {}: {error}",
            self.destination.path().display()
        )
    }

    /// Begins the copy in the sink. An attempt whose sender vanished holds the folder until its silence is
    /// noticed, and the user may be quicker.
    fn begin(
        &self,
        sink: &Sink,
        name: Digest,
        manifest: &Arc<Manifest>,
        layout: &Arc<Layout>,
        here: Here,
    ) -> Result<Incoming, String> {
        let deadline = Instant::now() + EARLIER_ENDS_MAX;
        loop {
            let (manifest, layout) = (Arc::clone(manifest), Arc::clone(layout));
            match sink.begin_beside(name, manifest, layout, here.clone()) {
                Err(SinkError::InUse { .. })
                    if Instant::now() < deadline && !self.over.load(Ordering::Acquire) =>
                {
                    thread::sleep(EARLIER_LOOK);
                }
                begun => return begun.map_err(|error| error.to_string()),
            }
        }
    }

    /// Compares everything stored with the digests object, which must hash to `digests_hash`. Answers
    /// the blocks that differ; none means that all is well.
    pub(super) fn verify(&self, digests_hash: Digest) -> Result<Vec<BlockIndex>, String> {
        if let Some(piped) = self.piped.get() {
            return self.verify_piped(piped, digests_hash);
        }
        let prepared = self.prepared()?;
        let mut hasher = blake3::Hasher::new();
        let hashed = prepared.told.read_all(|bytes| {
            hasher.update(bytes);
            Ok(())
        });
        hashed.map_err(hashes_error)?;
        if *hasher.finalize().as_bytes() != digests_hash.0 {
            let blocks = prepared.stream.digests_blocks();
            return Ok((blocks.start.0..blocks.end.0).map(BlockIndex).collect());
        }
        let states = prepared.states()?;
        let wrong = prepared.settle().map_err(hashes_error)?;
        if wrong.is_empty() {
            self.verified.set(states).map_err(|_| "verified twice")?;
        }
        Ok(wrong)
    }

    /// Puts everything under its final names.
    pub(super) fn place(&self) -> Result<Done, String> {
        if let Some(piped) = self.piped.get() {
            return self.place_piped(piped);
        }
        let prepared = self.prepared()?;
        let states = self.verified.get().ok_or("nothing was verified")?;
        // Before anything has its final name: then nothing may fail any more.
        let digest = prepared.copy_hash(states).map_err(hashes_error)?;
        let placed = prepared
            .incoming
            .finalize(states)
            .map_err(|error| error.to_string())?;
        self.tell("not sent whole, an earlier one stays", &placed.not_whole);
        self.tell("its permissions and time stay", &placed.left_alone);
        self.tell("stays", &placed.mounted);
        self.tell("not placed", &placed.failed);
        let removed = count(placed.removed as usize, "entry", "entries");
        match (placed.others_stay, placed.removed) {
            (true, 0) => self.notes.tell(format_args!(
                "nothing that is not in the tree was removed, as not all of the tree is here"
            )),
            (true, _) => self.notes.tell(format_args!(
                "{removed} in the way of the tree removed, and nothing else, as not all of the tree is here"
            )),
            (false, 0) => {}
            (false, _) => self
                .notes
                .tell(format_args!("{removed} not in the tree removed")),
        }
        if let Some(first) = placed.failed.first() {
            let others_stay = match (placed.others_stay, placed.removed) {
                (true, 0) => "; so nothing was removed".to_owned(),
                (true, _) => format!("; so nothing was removed but {removed} in the way"),
                (false, _) => String::new(),
            };
            return Err(format!(
                "{} not placed, such as {}: {}{others_stay}",
                count(placed.failed.len(), "entry", "entries"),
                first.path.display(),
                first.reason
            ));
        }
        let entries = prepared.manifest.entries.iter();
        let tops = entries.filter(|entry| !entry.path.contains(&b'/'));
        self.notes.placed(
            tops.take(TOPS_MAX)
                .map(|entry| entry.path.clone())
                .collect(),
        );
        Ok(Done {
            bytes: placed.bytes,
            files: placed.files,
            repaired: 0,
            dropped: 0,
            digest: digest.0,
        })
    }

    /// Tells the user of `entries`, of the first ones by name.
    fn tell(&self, what: &str, entries: &[Skipped]) {
        for entry in entries.iter().take(NAMED_MAX) {
            let path = entry.path.display();
            self.notes
                .tell(format_args!("{path}: {what}: {}", entry.reason));
        }
        let more = entries.len().saturating_sub(NAMED_MAX);
        if more > 0 {
            self.notes.tell(format_args!("and {more} more: {what}"));
        }
    }

    fn keep(&self, stream: &Stream, block: BlockIndex, data: &[u8]) -> Result<(), String> {
        let mut objects = self.objects();
        let (object, offset, len) = match stream.place(block) {
            Some(Place::Manifest { offset, len }) => (&mut objects.manifest, offset, len),
            Some(Place::Digests { offset, len }) => (&mut objects.digests, offset, len),
            _ => return Err(format!("block {block} belongs to no object")),
        };
        let start = usize::try_from(offset).map_err(|_| "object too large for this machine")?;
        let data = beginning(data, len as usize)?;
        let end = start
            .checked_add(data.len())
            .ok_or("object too large for this machine")?;
        if object.len() < end {
            object.resize(end, 0);
        }
        let place = object.get_mut(start..end);
        place
            .ok_or_else(|| format!("block {block} does not fit its object"))?
            .copy_from_slice(data);
        Ok(())
    }

    fn prepared(&self) -> Result<&Prepared, String> {
        self.prepared
            .get()
            .ok_or_else(|| "there is no manifest yet".into())
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Prepared {
    fn write(&self, block: u32, data: &[u8]) -> Result<(), String> {
        self.incoming
            .hash_and_write(block, data)
            .map_err(|error| error.to_string())?;
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        stored.insert(BlockIndex(block));
        Ok(())
    }

    fn bytes(&self, stored: &BlockSet) -> u64 {
        let blocks = stored.runs().flat_map(|run| run.start.0..run.end.0);
        blocks
            .map(|block| u64::from(self.layout.block_len(block)))
            .sum()
    }

    /// The hash over all that is whole.
    fn copy_hash(&self, states: &[FileState]) -> io::Result<Digest> {
        let mut hashes = self.incoming.hashes().reader();
        let hash = copy_hash(
            &self.manifest,
            &self.layout,
            |piece| hashes.get(piece),
            states,
        );
        hashes.done().map(|()| hash)
    }

    /// What became of each entry at the sender, as it told.
    fn states(&self) -> Result<Vec<FileState>, String> {
        let entries = u32::try_from(self.manifest.entries.len()).unwrap_or(u32::MAX);
        let mut bytes = vec![0; self.manifest.entries.len()];
        let offset = self.told_hashes_len();
        self.told
            .read_at(offset, &mut bytes)
            .map_err(hashes_error)?;
        let told = EncodedDigests::new(&bytes, 0, entries);
        told.and_then(|told| told.states())
            .map_err(|error| error.to_string())
    }

    /// Bytes of what the sender told that are the hashes of pieces; the others are about entries.
    fn told_hashes_len(&self) -> u64 {
        Digests::encoded_len(self.layout.piece_count(), 0)
    }

    /// The blocks whose pieces are not what the sender told; when there are none, its hashes are taken over for
    /// what is believed without any.
    fn settle(&self) -> io::Result<Vec<BlockIndex>> {
        let mut mine = self.incoming.hashes().reader();
        let mut told = Reader::new(&self.told, self.told_hashes_len());
        // Sets of blocks serve for numbers of pieces as well.
        let mut differing = BlockSet::new();
        for number in 0..self.layout.piece_count() {
            if mine.get(number) != told.get(number) {
                differing.insert(BlockIndex(number));
            }
        }
        let differing = || differing.runs().flat_map(|run| run.start.0..run.end.0);
        let mut wrong = BlockSet::new();
        for number in differing() {
            // What is believed by its time, and did not come, has no hash.
            let is_unknown = mine.get(number) == Digest::default();
            let is_believed = is_unknown && self.incoming.is_believed(number as usize);
            if !is_believed && let Some(piece) = self.layout.piece(number) {
                wrong.insert(BlockIndex(piece.block));
            }
        }
        mine.done()?;
        if wrong.is_empty() {
            let believed = differing().map(|number| (number, told.get(number)));
            self.incoming.hashes().set(believed)?;
        }
        told.done()?;
        let wrong = wrong.runs().flat_map(|run| run.start.0..run.end.0);
        Ok(wrong
            .filter_map(|block| self.stream.content_block(block))
            .collect())
    }
}

fn rebuild(symbol_size: u16, present: &SymbolSet, buffer: &mut BlockBuffer) -> Result<(), String> {
    let symbols = u16::try_from(buffer.data.len() / usize::from(symbol_size)).unwrap_or(u16::MAX);
    if present.missing(symbols).next().is_none() {
        return Ok(());
    }
    let parities: Vec<(SymbolIndex, &[u8])> = buffer
        .parities
        .iter()
        .map(|(symbol, bytes)| (*symbol, &bytes[..]))
        .collect();
    Code::new(symbols)
        .and_then(|code| {
            code.decode(
                &MachineKernel,
                &mut buffer.data,
                symbol_size,
                present,
                &parities,
            )
        })
        .map_err(|error| format!("a block cannot be rebuilt: {error}"))
}

/// The first `len` bytes of a block's memory.
fn beginning(data: &[u8], len: usize) -> Result<&[u8], String> {
    data.get(..len)
        .ok_or_else(|| format!("a block of {len} bytes has only {}", data.len()))
}

fn hashes_error(error: io::Error) -> String {
    format!("cannot keep the hashes of the copy beside it: {error}")
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
