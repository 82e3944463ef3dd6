//! A node's own part under the directory that everything arrives in: by clone, by link, or by copy.
//!
//! Files get their final names one by one, each whole. What arrives from others is placed in `place`.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use grappe_os::file::{self, Directory};
use grappe_proto::content::manifest::{Entry, Kind};
use grappe_proto::gather::plan::EntrySet;
use grappe_proto::units::{BlockIndex, Digest};

use super::metadata::{Dress, MODE_MASK};
use super::parents::Parents;
use super::place::parent::{make_writable, where_writable};
use super::staging::Staging;
use super::{Sink, SinkError, Source, WalkWatch, keep, metadata};

/// What a directory's owner needs to place things in it.
const OWNER_MODE: u32 = 0o700;

/// The name in the staging folder; there is one at a time.
const STAGED: &[u8] = b"own";

/// A part on its way into a directory of the same node.
pub struct OwnPart<'a> {
    sink: &'a Sink,
    source: &'a Source,
    staging: Staging,
    parents: Parents,
    dress: Dress,
    directories: Vec<u32>,
    /// Files that must be copied byte by byte.
    to_copy: Vec<u32>,
    bytes: u64,
}

/// What became of a node's own part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnPlaced {
    /// Bytes in all files that are placed.
    pub bytes: u64,
    /// Files that were left out, because somebody wrote to them while they were copied.
    pub changed: Vec<PathBuf>,
}

impl<'a> OwnPart<'a> {
    /// Makes ready to place `source` in `sink`; `name` is that of the gather.
    ///
    /// # Errors
    ///
    /// When the staging folder cannot be made.
    pub fn begin(sink: &'a Sink, source: &'a Source, name: Digest) -> Result<Self, SinkError> {
        let folder = sink.path().to_path_buf();
        let made = Staging::create(sink.directory(), name);
        let staging = match made {
            Ok(Some(staging)) => staging,
            Ok(None) => return Err(SinkError::InUse { path: folder }),
            Err(error) => return Err(SinkError::io("create a folder in", &folder, error)),
        };
        Ok(Self {
            sink,
            source,
            staging,
            parents: Parents::new(Arc::clone(sink.directory())),
            dress: Dress::new(source.manifest(), false),
            directories: Vec::new(),
            to_copy: Vec::new(),
            bytes: 0,
        })
    }

    /// Places directories, links, and the files that can be cloned or linked, but for `dropped`.
    ///
    /// # Errors
    ///
    /// When something in the directory is in the way, or the kernel refuses.
    pub fn link(&mut self, dropped: &EntrySet) -> Result<(), SinkError> {
        let source = self.source;
        for (number, entry) in (0_u32..).zip(&source.manifest().entries) {
            if dropped.contains(BlockIndex(number)) {
                continue;
            }
            self.place(number, entry)
                .map_err(|error| self.error(entry, error))?;
        }
        Ok(())
    }

    /// Copies what could be neither cloned nor linked, and gives directories their permissions and times.
    ///
    /// # Errors
    ///
    /// As [`OwnPart::link`]; and soon after `watch` is stopped, when something is left to copy.
    pub fn copy(mut self, watch: &WalkWatch) -> Result<OwnPlaced, SinkError> {
        let source = self.source;
        let entries = &source.manifest().entries;
        let mut changed = Vec::new();
        for number in std::mem::take(&mut self.to_copy) {
            let entry = &entries[number as usize];
            let copied = self.copy_file(number, entry, watch);
            if !copied.map_err(|error| self.error(entry, error))? {
                self.bytes = self.bytes.saturating_sub(entry.size());
                changed.push(metadata::display_path(self.sink.path(), &entry.path));
            }
        }
        for number in std::mem::take(&mut self.directories).into_iter().rev() {
            let entry = &entries[number as usize];
            self.finish_directory(entry)
                .map_err(|error| self.error(entry, error))?;
        }
        let removed = self.staging.remove();
        removed.map_err(|error| SinkError::io("remove a folder in", self.sink.path(), error))?;
        Ok(OwnPlaced {
            bytes: self.bytes,
            changed,
        })
    }

    fn place(&mut self, number: u32, entry: &Entry) -> io::Result<()> {
        let (parent, name) = metadata::split(&entry.path);
        match &entry.kind {
            Kind::Directory => {
                let parent = self.parents.directory(parent)?;
                match where_writable(&parent, || Ok(parent.create_directory(name, OWNER_MODE)?)) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        // It may be anything; only a directory, and not a link to one, opens.
                        let found = self.parents.directory(&entry.path)?;
                        // An earlier gather may have left it read-only.
                        make_writable(&found)?;
                    }
                    result => result?,
                }
                self.directories.push(number);
                Ok(())
            }
            Kind::Symlink { target } => {
                let parent = self.parents.directory(parent)?;
                let staging = self.staging.directory();
                staging.symlink(target, STAGED)?;
                self.dress.node(staging, STAGED, entry, true)?;
                self.give_name(&parent, name)
            }
            _ => self.link_or_clone(number, entry),
        }
    }

    fn link_or_clone(&mut self, number: u32, entry: &Entry) -> io::Result<()> {
        let file = self.source.open_entry(number)?;
        let (parent, name) = metadata::split(&entry.path);
        let parent = self.parents.directory(parent)?;
        let found = file.metadata()?;
        self.bytes += found.len();
        if is_there(&parent, name, &found) {
            return Ok(());
        }
        let staging = self.staging.directory();
        let clone = staging.create_exclusive(STAGED, 0o600)?;
        if rustix::fs::ioctl_ficlone(&clone, &file).is_ok() {
            self.dress.file(&clone, entry)?;
            file::close(clone)?;
            return self.give_name(&parent, name);
        }
        drop(clone);
        staging.remove_file(STAGED)?;
        // A link has the file's own permissions: with more than travel elsewhere it would differ.
        if mode_of(&found) & !MODE_MASK != 0 || staging.link_file(&file, STAGED).is_err() {
            self.to_copy.push(number);
            return Ok(());
        }
        self.give_name(&parent, name)
    }

    /// Copies a file; leaves it out, and says so, when somebody writes to it or removes it meanwhile.
    fn copy_file(&mut self, number: u32, entry: &Entry, watch: &WalkWatch) -> io::Result<bool> {
        let Ok(file) = self.source.open_entry(number) else {
            return Ok(false);
        };
        let (parent, name) = metadata::split(&entry.path);
        let parent = self.parents.directory(parent)?;
        let staging = self.staging.directory();
        let copy = staging.create_exclusive(STAGED, 0o600)?;
        if !keep::copy_content(&file, &copy, self.source.listed(number), watch)? {
            staging.remove_file(STAGED)?;
            return Ok(false);
        }
        self.dress.file(&copy, entry)?;
        file::close(copy)?;
        self.give_name(&parent, name)?;
        Ok(true)
    }

    /// Gives what is staged its name, in the place of what has it.
    fn give_name(&self, parent: &Directory, name: &[u8]) -> io::Result<()> {
        let staging = self.staging.directory();
        where_writable(parent, || Ok(staging.rename_into(STAGED, parent, name)?))
    }

    fn finish_directory(&mut self, entry: &Entry) -> io::Result<()> {
        let directory: Rc<Directory> = self.parents.directory(&entry.path)?;
        self.dress.directory(&directory, entry)?;
        let (parent, name) = metadata::split(&entry.path);
        let parent = self.parents.directory(parent)?;
        Ok(parent.set_mtime(name, entry.mtime.0, entry.mtime.1)?)
    }

    fn error(&self, entry: &Entry, error: io::Error) -> SinkError {
        let path = metadata::display_path(self.sink.path(), &entry.path);
        SinkError::io("place", &path, error)
    }
}

/// Whether that very file has the name already, as after an earlier gather.
fn is_there(parent: &Directory, name: &[u8], file: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let found = parent.metadata(name);
    found.is_ok_and(|found| (found.device, found.inode) == (file.dev(), file.ino()))
}

fn mode_of(found: &std::fs::Metadata) -> u32 {
    use std::os::unix::fs::MetadataExt;
    found.mode() & 0o7777
}
