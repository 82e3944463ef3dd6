//! The last step of a copy: everything that is whole gets its final name at once, with its metadata.
//!
//! Directories first, then files and links by atomic rename, then the directories' own permissions and
//! times from the deepest up, since placing anything in a directory changes its time.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use grappe_os::file::{Access, Directory, Kind as Found, Node};
use grappe_proto::content::digest::FileState;
use grappe_proto::content::manifest::{Entry, Kind};
use grappe_proto::limits::BLOCK_SIZE;
use rustix::io::Errno;

use super::error::kernel_answer;
use super::filters::Filters;
use super::incoming::{Incoming, file_size, staged_name};
use super::parents::Parents;
use super::survey::Keep;
use super::survey::may_remove;
use super::{SinkError, Skipped, metadata, remove};

/// What a directory's owner needs to place things in it, and nothing for anybody else.
const OWNER_MODE: u32 = 0o700;

/// What was placed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// Regular files under their final names.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Files that the sender did not read whole, and why. None of them is placed.
    pub not_whole: Vec<Skipped>,
    /// Directories of another owner that were there: their permissions and times stay as they were.
    pub left_alone: Vec<Skipped>,
    /// Entries that were removed since they are not in the tree.
    pub removed: u64,
    /// What could not be placed here, or not with its permissions and times, and why.
    pub failed: Vec<Skipped>,
}

/// Places what `incoming` holds, then removes its staging folder.
pub(super) fn place(incoming: &Incoming, states: &[FileState]) -> Result<Placed, SinkError> {
    let entries = incoming.manifest.entries.len();
    if states.len() != entries {
        let reason = format!("{} states for {entries} entries", states.len());
        return Err(SinkError::Mismatch { reason });
    }
    let parents = Parents::new(Arc::clone(&incoming.directory));
    let mut placer = Placer {
        incoming,
        parents,
        placed: Placed::default(),
        failed: HashSet::new(),
    };
    let directories = placer.make_directories();
    placer.place_entries(states);
    if incoming.manifest.terms.delete {
        placer.remove_others();
    }
    placer.finish_directories(&directories);
    let placed = placer.placed;
    incoming
        .staging
        .remove()
        .map_err(|error| SinkError::io("remove the staging folder in", &incoming.path, error))?;
    Ok(placed)
}

struct Placer<'a> {
    incoming: &'a Incoming,
    parents: Parents,
    placed: Placed,
    /// The entries that could not be placed: no further name is made of what stands in their place.
    failed: HashSet<u32>,
}

impl<'a> Placer<'a> {
    /// Makes the directories that are not there, open to nobody else yet. Returns all that are there now.
    fn make_directories(&mut self) -> Vec<&'a Entry> {
        let mut made = Vec::new();
        for entry in &self.incoming.manifest.entries {
            if entry.kind == Kind::Directory {
                match self.make_directory(entry) {
                    Ok(()) => made.push(entry),
                    Err(error) => self.fail(entry, explain(error)),
                }
            }
        }
        made
    }

    fn make_directory(&mut self, entry: &Entry) -> io::Result<()> {
        let (parent, name) = metadata::split(&entry.path);
        let parent = self.parents.directory(parent)?;
        match parent.create_directory(name, OWNER_MODE) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if self.incoming.manifest.terms.delete
                    && parent.metadata(name)?.kind != Found::Directory
                {
                    parent.remove_file(name)?;
                    self.placed.removed += 1;
                    return Ok(parent.create_directory(name, OWNER_MODE)?);
                }
                // It may be anything; only a directory, and not a link to one, opens.
                let found = self.parents.directory(&entry.path)?;
                make_writable(&found)
            }
            result => Ok(result?),
        }
    }

    fn place_entries(&mut self, states: &[FileState]) {
        let incoming = self.incoming;
        for (index, (entry, state)) in incoming.manifest.entries.iter().zip(states).enumerate() {
            let result = match &entry.kind {
                Kind::Directory => continue,
                Kind::Symlink { target } => self.place_link(index as u32, entry, target),
                Kind::HardLink { to } => {
                    if let Some(reason) = states.get(*to as usize).copied().and_then(not_whole) {
                        let skipped = self.skipped(entry, reason.to_owned());
                        self.placed.not_whole.push(skipped);
                        continue;
                    }
                    if self.failed.contains(to) {
                        self.fail(entry, "its first name could not be placed".into());
                        continue;
                    }
                    self.place_hard_link(index as u32, entry, *to)
                }
                Kind::Device {
                    is_block,
                    major,
                    minor,
                } => {
                    let node = Node::Device {
                        is_block: *is_block,
                        major: *major,
                        minor: *minor,
                    };
                    self.place_node(index as u32, entry, node)
                }
                Kind::Fifo => self.place_node(index as u32, entry, Node::Fifo),
                Kind::Socket => self.place_node(index as u32, entry, Node::Socket),
                Kind::File { .. } => {
                    if let Some(reason) = not_whole(*state) {
                        let skipped = self.skipped(entry, reason.to_owned());
                        self.placed.not_whole.push(skipped);
                        continue;
                    }
                    self.place_file(index as u32, entry)
                }
            };
            if let Err(error) = result {
                self.failed.insert(index as u32);
                self.fail(entry, explain(error));
            }
        }
    }

    /// Removes what is not in the tree, now that all that is in it stands there. Nothing goes when anything
    /// of the tree could not be placed: what looks superfluous may be needed.
    fn remove_others(&mut self) {
        let manifest = &self.incoming.manifest;
        if !self.placed.failed.is_empty() || !self.placed.not_whole.is_empty() {
            return;
        }
        let top = &self.incoming.directory;
        let removed = Filters::new(manifest.terms.filters.clone())
            .map_err(io::Error::other)
            .and_then(|filters| {
                // It may be long since the survey, and others may have worked here meanwhile.
                let (mut going, mut stays) = (0, 0);
                remove::look(top, manifest, &filters, &mut |_, goes| {
                    *(if goes { &mut going } else { &mut stays }) += 1;
                })?;
                if !may_remove(manifest, going, stays) {
                    let text =
                        format!("{going} entries by now, more than may go without being asked");
                    return Err(io::Error::other(text));
                }
                remove::remove(top, manifest, &filters)
            });
        match removed {
            Ok((removed, left)) => {
                self.placed.removed += removed;
                self.placed.failed.extend(left);
            }
            Err(error) => self.placed.failed.push(Skipped {
                path: self.incoming.path.clone(),
                reason: format!(
                    "what is not in the tree could not be removed: {}",
                    explain(error)
                ),
            }),
        }
    }

    /// Leaves a file where it is, and gives it the metadata of `entry`.
    fn keep_file(&mut self, entry: &Entry, keep: Keep) -> io::Result<()> {
        let (parent, name) = metadata::split(&entry.path);
        let parent = self.parents.directory(parent)?;
        let found = parent.metadata(name)?;
        let is_as_old = entry.mtime == (found.mtime_seconds, found.mtime_nanos);
        let is_same = found.kind == Found::File && found.size == entry.size();
        if !is_same || keep == Keep::ByTime && !is_as_old {
            return Err(io::Error::other("it changed here during the copy"));
        }
        let dress = &self.incoming.dress;
        if !dress.fits(&parent, name, &found, entry, false) {
            dress.adjust(&parent, name, entry)?;
        }
        self.placed.files += 1;
        self.placed.bytes += entry.size();
        Ok(())
    }

    fn place_file(&mut self, index: u32, entry: &Entry) -> io::Result<()> {
        let keep = self.incoming.keep_of(index);
        if matches!(keep, Keep::ByTime | Keep::ByHash) {
            return self.keep_file(entry, keep);
        }
        let staging = self.incoming.staging.directory();
        let staged = staged_name(index);
        let dress = &self.incoming.dress;
        let mut size = file_size(entry);
        if self.incoming.manifest.terms.stream {
            let file = staging.open_file(&staged, Access::ReadWrite)?;
            size = file.metadata()?.len();
            dress.file(&file, entry)?;
        } else if entry.data_bytes() == 0 {
            let file = staging.create_exclusive(&staged, 0o600)?;
            file.set_len(size)?;
            dress.file(&file, entry)?;
        } else if size > u64::from(BLOCK_SIZE) {
            let file = staging.open_file(&staged, Access::ReadWrite)?;
            dress.file(&file, entry)?;
        }
        // The others have their metadata since they were written.
        self.rename(&staged, entry)?;
        self.placed.files += 1;
        self.placed.bytes += size;
        Ok(())
    }

    /// Places a symbolic link. It is made in the staging folder and renamed, so that what it replaces
    /// is there until the link is.
    fn place_link(&mut self, index: u32, entry: &Entry, target: &[u8]) -> io::Result<()> {
        let staging = self.incoming.staging.directory();
        let staged = staged_name(index);
        staging.symlink(target, &staged)?;
        self.incoming.dress.node(staging, &staged, entry, true)?;
        self.rename(&staged, entry)
    }

    /// Places a device, pipe or socket in the same way.
    fn place_node(&mut self, index: u32, entry: &Entry, node: Node) -> io::Result<()> {
        let staging = self.incoming.staging.directory();
        let staged = staged_name(index);
        staging.create_node(&staged, node, 0o600)?;
        self.incoming.dress.node(staging, &staged, entry, false)?;
        self.rename(&staged, entry)
    }

    /// Gives what was placed for entry `to` a further name, in the same way.
    fn place_hard_link(&mut self, index: u32, entry: &Entry, to: u32) -> io::Result<()> {
        let staging = self.incoming.staging.directory();
        let staged = staged_name(index);
        let (parent, name) = metadata::split(&self.incoming.entry(to).path);
        let parent = self.parents.directory(parent)?;
        parent.link_into(name, staging, &staged)?;
        self.rename(&staged, entry)?;
        // A name that was a link to the very same file stays as it is, and so does the staged one
        // (rename(2)).
        match staging.remove_file(&staged) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn rename(&mut self, staged: &[u8], entry: &Entry) -> io::Result<()> {
        let (parent, name) = metadata::split(&entry.path);
        let parent = self.parents.directory(parent)?;
        let staging = self.incoming.staging.directory();
        match staging.rename_into(staged, &parent, name) {
            Err(error)
                if error.kind() == io::ErrorKind::IsADirectory
                    && self.incoming.manifest.terms.delete =>
            {
                if !self.placed.failed.is_empty() || !self.placed.not_whole.is_empty() {
                    let text =
                        "a directory is in its way, and stays as not all of the tree is here";
                    return Err(io::Error::other(text));
                }
                let filters = Filters::new(self.incoming.manifest.terms.filters.clone());
                let filters = filters.map_err(io::Error::other)?;
                if remove::tree(&parent, &entry.path, &filters, &mut self.placed.removed)? {
                    let text = "a directory is in its way, with something in it that was left out";
                    return Err(io::Error::other(text));
                }
                Ok(staging.rename_into(staged, &parent, name)?)
            }
            result => Ok(result?),
        }
    }

    /// Gives the directories their permissions and times, the deepest first: afterwards nothing below
    /// needs to be entered any more.
    fn finish_directories(&mut self, directories: &[&Entry]) {
        for entry in directories.iter().rev() {
            if let Err(error) = self.finish_directory(entry) {
                let error = kernel_answer(error);
                if metadata::is_not_permitted(&error) {
                    let skipped = self.skipped(entry, "it belongs to somebody else".to_owned());
                    self.placed.left_alone.push(skipped);
                    continue;
                }
                let reason = explain(error);
                self.fail(
                    entry,
                    format!("its permissions or time could not be set: {reason}"),
                );
            }
        }
    }

    fn finish_directory(&mut self, entry: &Entry) -> io::Result<()> {
        let directory = self.parents.directory(&entry.path)?;
        let found = directory.own_metadata()?;
        self.incoming.dress.directory(&directory, entry)?;
        if entry.mtime != (found.mtime_seconds, found.mtime_nanos) {
            let (parent, name) = metadata::split(&entry.path);
            let parent = self.parents.directory(parent)?;
            parent.set_mtime(name, entry.mtime.0, entry.mtime.1)?;
        }
        Ok(())
    }

    fn fail(&mut self, entry: &Entry, reason: String) {
        let skipped = self.skipped(entry, reason);
        self.placed.failed.push(skipped);
    }

    fn skipped(&self, entry: &Entry, reason: String) -> Skipped {
        let path = metadata::display_path(&self.incoming.path, &entry.path);
        Skipped { path, reason }
    }
}

/// Lets the owner of a directory that was there place things in it, even when an earlier copy has made
/// it read-only. It gets its own permissions at the end.
fn make_writable(directory: &Directory) -> io::Result<()> {
    let mode = directory.own_metadata()?.mode;
    if mode & OWNER_MODE != OWNER_MODE {
        // Whoever may not do this may still be allowed to write, as group or as root.
        let _ = directory.set_mode(mode | OWNER_MODE);
    }
    Ok(())
}

/// Why a file in that state is not placed, if so.
fn not_whole(state: FileState) -> Option<&'static str> {
    match state {
        FileState::Whole => None,
        FileState::Changed => Some("it changed at the sender during the copy"),
        FileState::Vanished => Some("it vanished at the sender during the copy"),
        FileState::Unreadable => Some("the sender could not read it"),
    }
}

/// An error of placing in words, where the kernel's own would leave the reader guessing.
fn explain(error: io::Error) -> String {
    let error = kernel_answer(error);
    let reason = match Errno::from_io_error(&error) {
        Some(Errno::ISDIR) => "a directory is in the way",
        Some(Errno::NOTDIR) => "a file stands where a directory should be",
        Some(Errno::LOOP) => "a symbolic link stands where a directory should be",
        Some(Errno::XDEV) => "another file system is mounted there; copy into that directly",
        _ => return error.to_string(),
    };
    reason.to_owned()
}
