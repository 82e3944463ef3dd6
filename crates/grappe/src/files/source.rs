//! The sender's files: what there is to send, and the bytes of each block with their hashes.
//!
//! It does not send. The files may change meanwhile: that is noticed and told, never hidden.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use grappe_proto::content::digest::FileState;
use grappe_proto::content::layout::{Layout, Piece};
use grappe_proto::content::manifest::{Entry, Kind, Manifest, Sync, Terms};
use grappe_proto::gather::plan::EntrySet;
use grappe_proto::limits::BLOCK_SIZE;
use grappe_proto::units::{BlockIndex, Digest};
use rustix::fs::{Advice, FileType};

use super::open_files::OpenFiles;
use super::root::{Root, Stamp};
use super::walk::{SourceOptions, Walk, WalkWatch};
use super::{Skipped, SourceError, hashes, holes};

/// What came of reading one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRead {
    /// The number of each piece in the block, and the hash of the bytes handed out for it.
    pub digests: Vec<(u32, Digest)>,
}

/// The files to send, as they were when the copy began. Shared by the threads that read.
#[derive(Debug)]
pub struct Source {
    roots: Arc<Vec<Root>>,
    manifest: Arc<Manifest>,
    /// For each entry: the root it stands under and what it looked like.
    seen: Vec<(u32, Stamp)>,
    skipped: Vec<Skipped>,
    open: OpenFiles,
    /// Files may be linked elsewhere meanwhile, and replaced there: that changes their state.
    may_be_linked: bool,
    /// What happened to files since, by entry; the first cause stays.
    problems: Mutex<BTreeMap<u32, Problem>>,
}

#[derive(Clone, Debug)]
struct Problem {
    state: FileState,
    reason: String,
}

impl Problem {
    fn changed(reason: &str) -> Self {
        Self {
            state: FileState::Changed,
            reason: reason.to_owned(),
        }
    }
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self {
                state: FileState::Vanished,
                reason: "it vanished during the copy".to_owned(),
            },
            _ => Self {
                state: FileState::Unreadable,
                reason: format!("it became unreadable: {error}"),
            },
        }
    }
}

impl Source {
    /// Walks `paths` and everything below, without following any symbolic link there.
    ///
    /// A path arrives under its last name, `a/b` as `b`; a path that is itself a symbolic link is sent
    /// as a link. With a trailing `/`, or as `.` or `..`, it means the directory that it leads to, under
    /// its real name. Permissions travel without setuid, setgid and sticky.
    ///
    /// # Errors
    ///
    /// When a path does not exist, two would arrive under one name, or all is too much for one copy.
    /// What cannot be read, and what is neither file, directory nor link, is only left out: see
    /// [`Source::skipped`].
    pub fn open(paths: &[PathBuf]) -> Result<Self, SourceError> {
        Self::open_watched(paths, &SourceOptions::default(), &WalkWatch::default())
    }

    /// As [`Source::open`], for a tree that may be large: another thread can watch and stop it.
    ///
    /// # Errors
    ///
    /// As there, and [`SourceError::Stopped`].
    pub fn open_watched(
        paths: &[PathBuf],
        options: &SourceOptions,
        watch: &WalkWatch,
    ) -> Result<Self, SourceError> {
        Self::of(Walk::new(paths, options, watch)?)
    }

    /// As [`Source::open_watched`], for what is in the directory `path`, which itself is no part of it.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn open_contents(path: &Path, watch: &WalkWatch) -> Result<Self, SourceError> {
        Self::of(Walk::contents(path, watch)?)
    }

    fn of(walk: Walk) -> Result<Self, SourceError> {
        let Walk {
            roots,
            manifest,
            seen,
            skipped,
            ..
        } = walk;
        manifest.validate()?;
        let manifest = Arc::new(manifest);
        let (open, problems) = (OpenFiles::default(), Mutex::default());
        Ok(Self {
            roots: Arc::new(roots),
            manifest,
            seen,
            skipped,
            open,
            may_be_linked: false,
            problems,
        })
    }

    /// A source of which only the name is known: the bytes come from elsewhere, and it is not
    /// asked for them.
    ///
    /// # Errors
    ///
    /// When a file cannot have that name.
    pub fn of_stream(name: &[u8]) -> Result<Self, SourceError> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let manifest = Manifest {
            entries: vec![Entry {
                path: name.to_vec(),
                kind: Kind::File { size: 0 },
                mode: 0o644,
                mtime: (now.as_secs() as i64, now.subsec_nanos()),
                ..Entry::default()
            }],
            terms: Terms {
                stream: true,
                ..Terms::default()
            },
            ..Manifest::default()
        };
        manifest.validate()?;
        Ok(Self {
            roots: Arc::default(),
            manifest: Arc::new(manifest),
            seen: Vec::new(),
            skipped: Vec::new(),
            open: OpenFiles::default(),
            may_be_linked: false,
            problems: Mutex::default(),
        })
    }

    /// The part of this source that consists of `entries`; what leads to them must be among them.
    ///
    /// Receivers are asked to keep what they have of it, as `sync` says. A file that only got or lost another
    /// name meanwhile, as one that is linked elsewhere, counts as unchanged. A further name of a file whose
    /// first name is not among `entries` is left out.
    pub fn select(&self, entries: &EntrySet, sync: Sync) -> Self {
        let mut seen = Vec::new();
        let mut manifest = Manifest {
            owners: self.manifest.owners.clone(),
            terms: Terms {
                sync,
                ..self.manifest.terms.clone()
            },
            ..Manifest::default()
        };
        // By its number here, what the first name of a file is there.
        let mut numbers = BTreeMap::new();
        for (number, entry) in (0_u32..).zip(&self.manifest.entries) {
            if !entries.contains(BlockIndex(number)) {
                continue;
            }
            let mut entry = entry.clone();
            if let Kind::HardLink { to } = &mut entry.kind {
                match numbers.get(to) {
                    Some(first) => *to = *first,
                    None => continue,
                }
            }
            numbers.insert(number, seen.len() as u32);
            manifest.entries.push(entry);
            seen.push(self.seen[number as usize]);
        }
        Self {
            roots: Arc::clone(&self.roots),
            manifest: Arc::new(manifest),
            seen,
            skipped: Vec::new(),
            open: OpenFiles::default(),
            may_be_linked: true,
            problems: Mutex::default(),
        }
    }

    /// The BLAKE3 hash of the file `entry`, if it can be read and is what the walk saw, and until `watch` is stopped.
    pub fn hash_file(&self, entry: u32, watch: &WalkWatch) -> Option<Digest> {
        let file = self.open_unchanged(entry).ok()?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; BLOCK_SIZE as usize];
        let mut at = 0;
        while !watch.is_stopped() {
            match file.read_at(&mut buffer, at) {
                Ok(0) => break,
                Ok(read) => {
                    hasher.update(&buffer[..read]);
                    at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        let is_whole = at == self.seen[entry as usize].1.size;
        is_whole.then(|| Digest(*hasher.finalize().as_bytes()))
    }

    /// The file `entry`, open for reading, if it has the content that the walk saw, as far as size and time
    /// tell. Of a file with several names, each name that is linked elsewhere changes the others' state.
    pub(super) fn open_entry(&self, entry: u32) -> io::Result<File> {
        let (root, path) = self.place(entry);
        let (file, stat) = root.open_file(path)?;
        let is_same = Stamp::new(&stat).is_same_content(self.listed(entry));
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && is_same {
            return Ok(file);
        }
        Err(io::Error::other("it changed meanwhile"))
    }

    /// The file of `entry` as it was listed.
    pub(super) fn listed(&self, entry: u32) -> &Stamp {
        &self.seen[entry as usize].1
    }

    /// Whether this is what is in the directory `path`, which is then all there already.
    pub fn is_contents_of(&self, path: &Path) -> bool {
        let Ok(there) = std::fs::metadata(path) else {
            return false;
        };
        let is_it = |root: &Root| root.is(there.dev(), there.ino());
        self.roots.first().is_some_and(is_it)
    }

    /// What the copy consists of.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// What was found but is not in the manifest, and why.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// Reads content block `block` of `layout`, which must be that of this source's manifest, into
    /// `buffer`, and hashes its pieces.
    ///
    /// It never fails. From the moment when a file is found to have vanished, shrunk or become
    /// unreadable, its bytes are zeros, and [`Source::finish`] tells its state.
    pub fn read_block(&self, layout: &Layout, block: u32, buffer: &mut Vec<u8>) -> BlockRead {
        buffer.resize(layout.block_len(block) as usize, 0);
        for piece in layout.pieces(block) {
            let start = piece.block_offset as usize;
            let bytes = &mut buffer[start..start + piece.len as usize];
            if let Err(problem) = self.read_piece(&piece, bytes) {
                bytes.fill(0);
                self.note(piece.entry, problem);
            }
        }
        let digests = hashes::of_block(&self.manifest, layout.pieces(block), buffer);
        BlockRead { digests }
    }

    /// Looks at every file once more, and tells for each entry of the manifest whether what was sent is
    /// what the file was from the beginning to now. Call it after the last read.
    pub fn finish(&self) -> Vec<FileState> {
        // Nothing was written.
        let _read = self.open.close_all();
        let mut states = vec![FileState::Whole; self.manifest.entries.len()];
        if self.manifest.terms.stream {
            return states;
        }
        for root in self.roots.iter() {
            root.forget();
        }
        for (entry, _) in self.manifest.files() {
            states[entry as usize] = self.final_state(entry);
        }
        for root in self.roots.iter() {
            root.forget();
        }
        states
    }

    /// The files that are not sent whole, and what happened to each; then that nothing was removed for that
    /// reason, where it was to be. Complete after [`Source::finish`].
    pub fn problems(&self) -> Vec<Skipped> {
        let problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        let skipped = problems.iter().map(|(entry, problem)| {
            let (root, path) = self.place(*entry);
            Skipped {
                path: root.display_path(path),
                reason: problem.reason.clone(),
            }
        });
        let mut skipped: Vec<Skipped> = skipped.collect();
        if self.manifest.terms.delete && !skipped.is_empty() {
            skipped.push(Skipped {
                path: self.roots[0].display_path(&self.manifest.entries[0].path),
                reason:
                    "nothing was removed at receivers, since not all of the tree was sent whole"
                        .into(),
            });
        }
        skipped
    }

    fn read_piece(&self, piece: &Piece, bytes: &mut [u8]) -> Result<(), Problem> {
        // A file already given up is not read again: whatever came of it would be thrown away.
        if let Some(problem) = self.known_problem(piece.entry) {
            return Err(problem);
        }
        let large = self.seen[piece.entry as usize].1.size > u64::from(BLOCK_SIZE);
        let entry = &self.manifest.entries[piece.entry as usize];
        let mut read = |file: &File| {
            if piece.has_holes() {
                holes::read(file, entry, piece, bytes)
            } else {
                file.read_exact_at(bytes, piece.file_offset)
            }
        };
        let read = if large {
            let open = || self.open_large(piece.entry);
            read(&*self.open.file(piece.entry, open)?)
        } else {
            read(&self.open_unchanged(piece.entry)?)
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(Problem::changed("it became shorter during the copy"))
            }
            result => Ok(result?),
        }
    }

    fn open_large(&self, entry: u32) -> Result<File, Problem> {
        let file = self.open_unchanged(entry)?;
        // Only advice: file systems that do not know it lose nothing.
        let _ = rustix::fs::fadvise(&file, 0, None, Advice::Sequential);
        Ok(file)
    }

    /// Opens the file of `entry` if it is still what the walk saw.
    fn open_unchanged(&self, entry: u32) -> Result<File, Problem> {
        let (root, path) = self.place(entry);
        let (file, stat) = root.open_file(path)?;
        // Something else of that name may not even be a file.
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            self.check(entry, &Stamp::new(&stat))?;
            return Ok(file);
        }
        Err(Problem::changed("it was replaced during the copy"))
    }

    /// Compares what the file of `entry` looks like now with what it looked like at the walk.
    fn check(&self, entry: u32, now: &Stamp) -> Result<(), Problem> {
        let before = &self.seen[entry as usize].1;
        if now == before || self.may_be_linked && now.is_same_content(before) {
            return Ok(());
        }
        Err(Problem::changed("it changed during the copy"))
    }

    fn final_state(&self, entry: u32) -> FileState {
        if let Some(problem) = self.known_problem(entry) {
            return problem.state;
        }
        let (root, path) = self.place(entry);
        let checked = root.stat(path).map_err(Problem::from);
        match checked.and_then(|stat| self.check(entry, &Stamp::new(&stat))) {
            Ok(()) => FileState::Whole,
            Err(problem) => {
                let state = problem.state;
                self.note(entry, problem);
                state
            }
        }
    }

    fn known_problem(&self, entry: u32) -> Option<Problem> {
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&entry)
            .cloned()
    }

    fn note(&self, entry: u32, problem: Problem) {
        let mut problems = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        problems.entry(entry).or_insert(problem);
    }

    fn place(&self, entry: u32) -> (&Root, &[u8]) {
        let index = entry as usize;
        (
            &self.roots[self.seen[index].0 as usize],
            &self.manifest.entries[index].path,
        )
    }
}
