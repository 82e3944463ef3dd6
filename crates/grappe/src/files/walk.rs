//! Walks the paths to send and writes down what there is: the manifest, and what each file looked like.
//!
//! No content is read here. What cannot be sent is listed with its reason, and the rest goes.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use grappe_os::file::attributes;
use grappe_proto::content::manifest::{Entry, Extra, Kind, Manifest, Terms};
use grappe_proto::limits::{ENTRIES_MAX, PATH_BYTES_MAX};
use rustix::fs::{Dir, FileType, Stat};

use super::filters::Filters;
use super::metadata::{self, MODE_MASK, MODE_MASK_ALL};
use super::root::{Root, Stamp};
use super::staging::is_staging_name;
use super::{Skipped, SourceError, holes};

/// Threads at most that look at files.
const THREADS_MAX: usize = 8;

/// Files from which on it is worth to start a thread for them.
const SHARE_MIN: usize = 32;

/// Entries of a directory that are looked at before they are added, as what is known of them needs memory.
const TOGETHER_MAX: usize = 4096;

/// How a walk, and other work on what it found, is watched, and ended, from another thread.
#[derive(Debug, Default)]
pub struct WalkWatch {
    entries: AtomicU64,
    is_stopped: AtomicBool,
}

impl WalkWatch {
    /// Entries looked at so far.
    pub fn entries(&self) -> u64 {
        self.entries.load(Ordering::Relaxed)
    }

    /// Lets the walk end at the next entries that it looks at, with [`SourceError::Stopped`]; other work soon.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
}

/// What of a tree is sent.
#[derive(Clone, Debug, Default)]
pub struct SourceOptions {
    /// What belongs to the copy.
    pub filters: Filters,
    /// Extended attributes and access lists travel.
    pub attributes: bool,
    /// Devices, pipes and sockets travel.
    pub specials: bool,
    /// Setuid, setgid, sticky bits and capabilities travel.
    pub powers: bool,
    /// Owners travel by number alone.
    pub numeric_owners: bool,
    /// What receivers are asked to do; filters and attributes are filled in by the walk.
    pub terms: Terms,
}

/// What was found under the paths to send.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// One for each path named by the user.
    pub(super) roots: Vec<Root>,
    /// Parents before children, the order the same for the same tree.
    pub(super) manifest: Manifest,
    /// For each entry of the manifest: the root it stands under, and what it looked like.
    pub(super) seen: Vec<(u32, Stamp)>,
    /// What is not in the manifest, and why.
    pub(super) skipped: Vec<Skipped>,
    options: SourceOptions,
    is_root: bool,
    /// No entry is another name of one before.
    has_no_links: bool,
    /// How many look at files at a time.
    threads: usize,
    /// Owners by their numbers, as indices into those of the manifest.
    owners: HashMap<(u32, u32), u32>,
    /// What has several names: the entry of its first one, by device and inode.
    linked: HashMap<(u64, u64), u32>,
}

/// What is in a directory.
struct Child {
    path: Vec<u8>,
    /// What the directory says it is; unknown on some file systems.
    listed: FileType,
}

/// What was found out about a child before its turn.
enum Looked {
    /// The filters keep it out.
    LeftOut,
    /// A file, and what else is to be known of it.
    File(Stat, io::Result<Extra>),
    /// Something else, as far as anybody knows.
    Other(Option<Stat>),
}

impl Walk {
    /// Walks `paths`, in the order in which they are named.
    pub(super) fn new(
        paths: &[PathBuf],
        options: &SourceOptions,
        watch: &WalkWatch,
    ) -> Result<Self, SourceError> {
        let mut walk = Self {
            options: options.clone(),
            is_root: metadata::is_root(),
            threads: threads(),
            ..Self::default()
        };
        walk.manifest.terms = Terms {
            filters: options.filters.typed().to_vec(),
            attributes: options.attributes,
            ..options.terms.clone()
        };
        for (root, name) in locate_all(paths)? {
            walk.roots.push(root);
            walk.add_tree(name, watch)?;
            walk.root().forget();
        }
        if walk.manifest.terms.delete && !walk.skipped.is_empty() {
            walk.manifest.terms.delete = false;
            walk.skipped.push(Skipped {
                path: paths.first().cloned().unwrap_or_default(),
                reason: "nothing is removed at receivers, since not all of the tree is sent".into(),
            });
        }
        Ok(walk)
    }

    /// Walks what is in the directory `path`, which itself is no part of it. Broken-off copies in it are
    /// left out without a word, and each of several names of a file counts as a file.
    pub(super) fn contents(path: &Path, watch: &WalkWatch) -> Result<Self, SourceError> {
        let mut walk = Self {
            is_root: metadata::is_root(),
            threads: threads(),
            has_no_links: true,
            ..Self::default()
        };
        let root = Root::open_contents(path)?;
        let names = root.names().map_err(|source| SourceError::Io {
            path: path.to_path_buf(),
            source,
        })?;
        walk.roots.push(root);
        // Files before directories, as everywhere.
        let is_directory = |name: &Vec<u8>| {
            let stat = walk.root().stat(name);
            stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
        };
        let (directories, others): (Vec<_>, Vec<_>) = names
            .into_iter()
            .filter(|name| !is_staging_name(name))
            .partition(is_directory);
        for name in others.into_iter().chain(directories) {
            walk.add_tree(name, watch)?;
        }
        walk.root().forget();
        Ok(walk)
    }

    /// Adds everything at and below `name` in the last root.
    ///
    /// A directory's files come before its subdirectories, so that a receiver which goes through the
    /// manifest finishes with one directory before it opens the next.
    fn add_tree(&mut self, name: Vec<u8>, watch: &WalkWatch) -> Result<(), SourceError> {
        let mut directories = Vec::new();
        self.add(name, &mut directories)?;
        watch.entries.fetch_add(1, Ordering::Relaxed);
        while let Some(directory) = directories.pop() {
            let known = directories.len();
            let mut children = self.add_directory(directory)?.into_iter();
            while children.len() > 0 {
                let together: Vec<Child> = children.by_ref().take(TOGETHER_MAX).collect();
                let looked = self.look_at(&together, watch);
                for (child, looked) in together.into_iter().zip(looked) {
                    if watch.is_stopped() {
                        return Err(SourceError::Stopped);
                    }
                    self.add_child(child.path, looked, &mut directories)?;
                }
            }
            // The stack gives back the last first.
            directories[known..].reverse();
        }
        Ok(())
    }

    /// Adds `path` unless it is a directory, which is put off to `directories`.
    fn add(&mut self, path: Vec<u8>, directories: &mut Vec<Vec<u8>>) -> Result<(), SourceError> {
        match self.stat(&path) {
            Some(stat) => self.add_known(path, &stat, directories),
            None => Ok(()),
        }
    }

    /// The same for what was looked at, if the filters let it through.
    fn add_child(
        &mut self,
        path: Vec<u8>,
        looked: Looked,
        directories: &mut Vec<Vec<u8>>,
    ) -> Result<(), SourceError> {
        match looked {
            Looked::LeftOut => Ok(()),
            Looked::File(stat, extra) => match self.linked_to(&stat) {
                Some(to) => self.push(path, Kind::HardLink { to }, &stat, None),
                None => self.add_file(path, &stat, extra),
            },
            Looked::Other(stat) => {
                let Some(stat) = stat.or_else(|| self.stat(&path)) else {
                    return Ok(());
                };
                let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
                if !self.options.filters.allow(&path, is_directory) {
                    return Ok(());
                }
                self.add_known(path, &stat, directories)
            }
        }
    }

    /// Looks at `children` of one directory, several at a time: that takes most of a walk, and where files are
    /// on another machine, each look waits for it.
    fn look_at(&self, children: &[Child], watch: &WalkWatch) -> Vec<Looked> {
        let look = |child: &Child| {
            if watch.is_stopped() {
                return Looked::Other(None);
            }
            watch.entries.fetch_add(1, Ordering::Relaxed);
            self.look(child)
        };
        let each = children.len().div_ceil(self.threads).max(SHARE_MIN);
        let mut shares = children.chunks(each);
        let Some(own) = shares.next() else {
            return Vec::new();
        };
        let look_at_share = |share: &[Child]| share.iter().map(look).collect::<Vec<_>>();
        thread::scope(|scope| {
            let start = |share| {
                let builder = thread::Builder::new().name("walk-along".into());
                let started = builder.spawn_scoped(scope, move || look_at_share(share));
                started.map_err(|_no_thread_left| share)
            };
            let others: Vec<_> = shares.map(start).collect();
            let mut looked = look_at_share(own);
            for other in others {
                looked.extend(match other {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    Err(share) => look_at_share(share),
                });
            }
            looked
        })
    }

    /// Finds out what `child` is, and of a file all that is to be known. That it is one is believed of the directory
    /// only where opening it proves it.
    fn look(&self, child: &Child) -> Looked {
        let path = &child.path;
        if path.len() > PATH_BYTES_MAX {
            return Looked::Other(None);
        }
        if child.listed != FileType::RegularFile {
            let stat = self.root().stat(path).ok();
            let is_file =
                |stat: &Stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
            if !stat.as_ref().is_some_and(is_file) {
                return Looked::Other(stat);
            }
        }
        if !self.options.filters.allow(path, false) {
            // A directory of that name might come in: then what it is must be known for sure.
            return match self.options.filters.allow(path, true) {
                true => Looked::Other(self.root().stat(path).ok()),
                false => Looked::LeftOut,
            };
        }
        match self.open_file(path) {
            // Another of its names came before.
            Ok((_, stat)) if self.linked_to(&stat).is_some() => Looked::Other(Some(stat)),
            Ok((file, stat)) => Looked::File(stat, self.describe(&file, &stat)),
            // Whatever stands there, or nothing: as if nobody had said that it is a file.
            Err(_) => Looked::Other(None),
        }
    }

    /// What `path` is; none, and a note of it, when it cannot be sent at all.
    fn stat(&mut self, path: &[u8]) -> Option<Stat> {
        if path.len() > PATH_BYTES_MAX {
            let reason = format!("its path is longer than {PATH_BYTES_MAX} bytes");
            self.skip(path, reason);
            return None;
        }
        match self.root().stat(path) {
            Ok(stat) => Some(stat),
            Err(error) => {
                self.skip(path, error.to_string());
                None
            }
        }
    }

    fn add_known(
        &mut self,
        path: Vec<u8>,
        stat: &Stat,
        directories: &mut Vec<Vec<u8>>,
    ) -> Result<(), SourceError> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            directories.push(path);
            return Ok(());
        }
        if let Some(to) = self.linked_to(stat) {
            return self.push(path, Kind::HardLink { to }, stat, None);
        }
        match kind {
            FileType::RegularFile => {
                return match self.open_file(&path) {
                    Ok((file, stat)) => {
                        let extra = self.describe(&file, &stat);
                        self.add_file(path, &stat, extra)
                    }
                    Err(error) => {
                        self.skip(&path, error.to_string());
                        Ok(())
                    }
                };
            }
            FileType::Symlink => match self.root().link_target(&path) {
                Ok(target) => self.push(path, Kind::Symlink { target }, stat, None)?,
                Err(error) => {
                    self.skip(&path, error.to_string());
                    return Ok(());
                }
            },
            other => match special(other, stat).filter(|_| self.options.specials) {
                Some(kind) => self.push(path, kind, stat, None)?,
                None => {
                    self.skip(&path, format!("it is a {}", kind_name(other)));
                    return Ok(());
                }
            },
        }
        self.note_links(stat);
        Ok(())
    }

    /// The entry of the first name of what is `stat`, if it came under another one.
    fn linked_to(&self, stat: &Stat) -> Option<u32> {
        self.linked.get(&(stat.st_dev, stat.st_ino)).copied()
    }

    /// Remembers the last entry as the first name of something that has several.
    fn note_links(&mut self, stat: &Stat) {
        if stat.st_nlink > 1 && !self.has_no_links {
            let first = self.manifest.entries.len() as u32 - 1;
            self.linked.insert((stat.st_dev, stat.st_ino), first);
        }
    }

    /// Opens the file `path`: better to know now than in the middle of the copy that it cannot be read.
    fn open_file(&self, path: &[u8]) -> io::Result<(File, Stat)> {
        let (file, stat) = self.root().open_file(path)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            return Ok((file, stat));
        }
        Err(io::Error::other("it is no longer a file"))
    }

    /// What else there is to know of an open file.
    fn describe(&self, file: &File, stat: &Stat) -> io::Result<Extra> {
        Ok(Extra {
            extents: holes::find(file, stat)?,
            attributes: self.attributes(file)?,
        })
    }

    /// Adds the file `path`, if it could be described.
    fn add_file(
        &mut self,
        path: Vec<u8>,
        stat: &Stat,
        extra: io::Result<Extra>,
    ) -> Result<(), SourceError> {
        match extra {
            Ok(extra) => {
                let size = Stamp::new(stat).size;
                self.push(path, Kind::File { size }, stat, Some(extra))?;
                self.note_links(stat);
            }
            Err(error) => self.skip(&path, error.to_string()),
        }
        Ok(())
    }

    /// Adds the directory `path` itself and returns what is in it, sorted by path.
    fn add_directory(&mut self, path: Vec<u8>) -> Result<Vec<Child>, SourceError> {
        let (directory, stat) = match self.root().open_directory(&path) {
            Ok(opened) => opened,
            Err(error) => {
                self.skip(&path, error.to_string());
                return Ok(Vec::new());
            }
        };
        let attributes = match self.attributes(&directory) {
            Ok(attributes) => attributes,
            Err(error) => {
                self.skip(&path, error.to_string());
                return Ok(Vec::new());
            }
        };
        let extra = Extra {
            extents: None,
            attributes,
        };
        let mut children = Vec::new();
        if let Err(error) = list(directory, &path, &mut children) {
            self.skip(&path, format!("it could not be listed to its end: {error}"));
        }
        children.sort_unstable_by(|one: &Child, other| one.path.cmp(&other.path));
        self.push(path, Kind::Directory, &stat, Some(extra))?;
        Ok(children)
    }

    /// The attributes of an open file or directory, where they travel.
    fn attributes(&self, file: impl AsFd) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        if !self.options.attributes {
            return Ok(Vec::new());
        }
        let travels = |name: &[u8]| metadata::travels(name, self.is_root, self.options.powers);
        Ok(attributes(file, travels)?)
    }

    fn push(
        &mut self,
        path: Vec<u8>,
        kind: Kind,
        stat: &Stat,
        extra: Option<Extra>,
    ) -> Result<(), SourceError> {
        if self.manifest.entries.len() >= ENTRIES_MAX {
            return Err(SourceError::TooManyEntries { max: ENTRIES_MAX });
        }
        let stamp = Stamp::new(stat);
        let mask = if self.options.powers {
            MODE_MASK_ALL
        } else {
            MODE_MASK
        };
        let mode = stat.st_mode & mask;
        let (owners, by_name) = (&mut self.manifest.owners, !self.options.numeric_owners);
        let owner = *self
            .owners
            .entry((stat.st_uid, stat.st_gid))
            .or_insert_with(|| {
                owners.push(metadata::owner_here(stat.st_uid, stat.st_gid, by_name));
                owners.len() as u32 - 1
            });
        self.manifest.entries.push(Entry {
            path,
            kind,
            mode,
            mtime: stamp.mtime,
            owner: Some(owner),
            extra: extra
                .filter(|extra| *extra != Extra::default())
                .map(Box::new),
        });
        self.seen.push((self.roots.len() as u32 - 1, stamp));
        Ok(())
    }

    fn skip(&mut self, path: &[u8], reason: String) {
        let path = self.root().display_path(path);
        self.skipped.push(Skipped { path, reason });
    }

    /// The root that is being walked: the last.
    fn root(&self) -> &Root {
        &self.roots[self.roots.len() - 1]
    }
}

/// How many look at files at a time on this machine.
fn threads() -> usize {
    thread::available_parallelism().map_or(1, |it| it.get().min(THREADS_MAX))
}

/// Finds where each path stands and what it will be called; no two may be called the same.
fn locate_all(paths: &[PathBuf]) -> Result<Vec<(Root, Vec<u8>)>, SourceError> {
    let mut names: HashMap<Vec<u8>, &Path> = HashMap::new();
    let mut located = Vec::with_capacity(paths.len());
    for path in paths {
        let (root, name) = Root::locate(path)?;
        if let Some(first) = names.insert(name.clone(), path) {
            return Err(SourceError::SameName {
                name: String::from_utf8_lossy(&name).into_owned(),
                first: first.to_path_buf(),
                second: path.clone(),
            });
        }
        located.push((root, name));
    }
    Ok(located)
}

/// Puts what is in `directory`, which stands at `path`, into `children`.
fn list(directory: OwnedFd, path: &[u8], children: &mut Vec<Child>) -> io::Result<()> {
    for item in Dir::new(directory)? {
        let item = item?;
        let name = CStr::to_bytes(item.file_name());
        if name != b"." && name != b".." {
            children.push(Child {
                path: [path, b"/", name].concat(),
                listed: item.file_type(),
            });
        }
    }
    Ok(())
}

/// What a device, pipe or socket is in a manifest.
fn special(kind: FileType, stat: &Stat) -> Option<Kind> {
    match kind {
        FileType::Fifo => Some(Kind::Fifo),
        FileType::Socket => Some(Kind::Socket),
        FileType::CharacterDevice | FileType::BlockDevice => Some(Kind::Device {
            is_block: kind == FileType::BlockDevice,
            major: rustix::fs::major(stat.st_rdev),
            minor: rustix::fs::minor(stat.st_rdev),
        }),
        _ => None,
    }
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "file of unknown kind",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use grappe_proto::content::manifest::Filter;
    use rustix::fs::{CWD, Mode, mknodat};
    use tempfile::TempDir;

    use super::*;

    /// What `threads` find in the folder.
    fn walked(folder: &Path, threads: usize) -> Walk {
        let (root, name) = Root::locate(folder).unwrap();
        let filter = |include, pattern: &[u8]| Filter {
            include,
            pattern: pattern.to_vec(),
        };
        let directories_then_none = vec![filter(true, b"d*7/"), filter(false, b"*7")];
        let mut walk = Walk {
            threads,
            options: SourceOptions {
                filters: Filters::new(directories_then_none).unwrap(),
                ..SourceOptions::default()
            },
            ..Walk::default()
        };
        walk.roots.push(root);
        walk.add_tree(name, &WalkWatch::default()).unwrap();
        walk
    }

    #[test]
    fn however_many_look_what_they_find_is_the_same_and_in_order() {
        let folder = TempDir::new().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("050-directory/inner")).unwrap();
        let many = TOGETHER_MAX + 3 * SHARE_MIN + 1;
        for number in 0..many {
            fs::write(tree.join(format!("{number:04}")), number.to_string()).unwrap();
        }
        symlink("0001", tree.join("0001-link")).unwrap();
        // Its first name is looked at by one thread, its second by another, its third only later.
        for other in ["4000-again", "4190-again"] {
            fs::hard_link(tree.join("0002"), tree.join(other)).unwrap();
        }
        let fifo = tree.join("0003-fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let alone = walked(folder.path(), 1);
        let left_out = (0..many).filter(|number| number % 10 == 7).count();
        // The folder, the tree and its two directories, the link and the other names.
        assert_eq!(alone.manifest.entries.len(), many - left_out + 4 + 3);
        let is_link = |entry: &&Entry| matches!(entry.kind, Kind::HardLink { .. });
        assert_eq!(alone.manifest.entries.iter().filter(is_link).count(), 2);
        assert_eq!(alone.skipped.len(), 1);
        for threads in [2, 3, 8] {
            let together = walked(folder.path(), threads);
            assert_eq!(together.manifest, alone.manifest, "{threads} threads");
            assert_eq!(together.seen, alone.seen);
            assert_eq!(together.skipped.len(), 1);
        }
    }

    #[test]
    fn a_directory_that_says_nothing_or_the_wrong_thing_misleads_nobody() {
        let folder = TempDir::new().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("directory")).unwrap();
        fs::create_dir(tree.join("d7")).unwrap();
        for file in ["file", "linked", "7"] {
            fs::write(tree.join(file), file).unwrap();
        }
        fs::hard_link(tree.join("linked"), tree.join("again")).unwrap();
        symlink("file", tree.join("link")).unwrap();
        let fifo = tree.join("fifo");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        let walk = walked(&tree, 1);
        let look = |name: &str, listed| {
            let path = format!("tree/{name}").into_bytes();
            walk.look(&Child { path, listed })
        };
        for listed in [FileType::Unknown, FileType::RegularFile] {
            assert!(matches!(look("file", listed), Looked::File(_, Ok(_))));
            assert!(matches!(look("7", listed), Looked::LeftOut));
            // It came before, as `again`.
            assert!(matches!(look("linked", listed), Looked::Other(Some(_))));
            for other in ["directory", "d7", "link", "fifo", "absent"] {
                assert!(matches!(look(other, listed), Looked::Other(_)), "{other}");
            }
        }
    }

    #[test]
    fn nobody_looks_on_once_the_walk_is_to_stop() {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("file"), "file").unwrap();
        let walk = walked(folder.path(), 2);
        let watch = WalkWatch::default();
        watch.stop();
        let child = || Child {
            path: b"file".to_vec(),
            listed: FileType::RegularFile,
        };
        let children: Vec<Child> = (0..100).map(|_| child()).collect();
        let looked = walk.look_at(&children, &watch);
        assert!(looked.iter().all(|it| matches!(it, Looked::Other(None))));
        assert_eq!((looked.len(), watch.entries()), (100, 0));
    }
}
