//! Walks the paths to send and writes down what there is: the manifest, and what each file looked like.
//!
//! No content is read here. What cannot be sent is listed with its reason, and the rest goes.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use grappe_proto::content::manifest::{Entry, Kind, Manifest};
use grappe_proto::limits::{ENTRIES_MAX, PATH_BYTES_MAX};
use rustix::fs::{Dir, FileType, Stat};

use super::metadata::MODE_MASK;
use super::root::{Root, Stamp};
use super::{Skipped, SourceError};

/// How a walk is watched, and ended, from another thread.
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

    /// Lets the walk end at its next entry, with [`SourceError::Stopped`].
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }
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
}

impl Walk {
    /// Walks `paths`, in the order in which they are named.
    pub(super) fn new(paths: &[PathBuf], watch: &WalkWatch) -> Result<Self, SourceError> {
        let mut walk = Self::default();
        for (root, name) in locate_all(paths)? {
            walk.roots.push(root);
            walk.add_tree(name, watch)?;
        }
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
            for child in self.add_directory(directory)? {
                if watch.is_stopped() {
                    return Err(SourceError::Stopped);
                }
                self.add(child, &mut directories)?;
                watch.entries.fetch_add(1, Ordering::Relaxed);
            }
            // The stack gives back the last first.
            directories[known..].reverse();
        }
        Ok(())
    }

    /// Adds `path` unless it is a directory, which is put off to `directories`.
    fn add(&mut self, path: Vec<u8>, directories: &mut Vec<Vec<u8>>) -> Result<(), SourceError> {
        if path.len() >= PATH_BYTES_MAX {
            self.skip(
                &path,
                format!("its path is longer than {} bytes", PATH_BYTES_MAX - 1),
            );
            return Ok(());
        }
        let stat = match self.root().stat(&path) {
            Ok(stat) => stat,
            Err(error) => {
                self.skip(&path, error.to_string());
                return Ok(());
            }
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => directories.push(path),
            FileType::RegularFile => self.add_file(path)?,
            FileType::Symlink => match self.root().link_target(&path) {
                Ok(target) => self.push(path, Kind::Symlink { target }, &stat)?,
                Err(error) => self.skip(&path, error.to_string()),
            },
            other => self.skip(&path, format!("it is a {}", kind_name(other))),
        }
        Ok(())
    }

    /// Adds the file `path`, if it can be opened: better to know now than in the middle of the copy.
    fn add_file(&mut self, path: Vec<u8>) -> Result<(), SourceError> {
        match self.root().open_file(&path) {
            Ok((_, stat)) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
                let size = Stamp::new(&stat).size;
                self.push(path, Kind::File { size }, &stat)?;
            }
            Ok(_) => self.skip(&path, "it is no longer a file".to_owned()),
            Err(error) => self.skip(&path, error.to_string()),
        }
        Ok(())
    }

    /// Adds the directory `path` itself and returns the paths of what is in it, sorted.
    fn add_directory(&mut self, path: Vec<u8>) -> Result<Vec<Vec<u8>>, SourceError> {
        let (directory, stat) = match self.root().open_directory(&path) {
            Ok(opened) => opened,
            Err(error) => {
                self.skip(&path, error.to_string());
                return Ok(Vec::new());
            }
        };
        let mut children = Vec::new();
        if let Err(error) = list(directory, &path, &mut children) {
            self.skip(&path, format!("it could not be listed to its end: {error}"));
        }
        children.sort_unstable();
        self.push(path, Kind::Directory, &stat)?;
        Ok(children)
    }

    fn push(&mut self, path: Vec<u8>, kind: Kind, stat: &Stat) -> Result<(), SourceError> {
        if self.manifest.entries.len() >= ENTRIES_MAX {
            return Err(SourceError::TooManyEntries { max: ENTRIES_MAX });
        }
        let stamp = Stamp::new(stat);
        let mode = stat.st_mode & MODE_MASK;
        self.manifest.entries.push(Entry {
            path,
            kind,
            mode,
            mtime: stamp.mtime,
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

/// Puts the paths of what is in `directory`, which stands at `path`, into `children`.
fn list(directory: OwnedFd, path: &[u8], children: &mut Vec<Vec<u8>>) -> io::Result<()> {
    for item in Dir::new(directory)? {
        let item = item?;
        let name = CStr::to_bytes(item.file_name());
        if name != b"." && name != b".." {
            children.push([path, b"/", name].concat());
        }
    }
    Ok(())
}

fn kind_name(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "fifo",
        FileType::Socket => "socket",
        FileType::CharacterDevice | FileType::BlockDevice => "device",
        _ => "file of unknown kind",
    }
}
