//! The last step of a copy: everything that is whole gets its final name at once, with its metadata.
//!
//! Directories first, new ones together with the small files that grew in them, then files and links by atomic
//! rename, then the directories' own permissions and times from the deepest up, since placing anything in a
//! directory changes its time.

pub(super) mod parent;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::sync::Arc;

use grappe_os::file::{self, Access, Directory, Kind as Found};
use grappe_proto::content::digest::FileState;
use grappe_proto::content::manifest::{Entry, Kind, Sync};
use grappe_proto::limits::BLOCK_SIZE;
use rustix::fs::{RenameFlags, renameat_with};
use rustix::io::Errno;

use super::error::kernel_answer;
use super::filters::Filters;
use super::incoming::{Incoming, apart_name, file_size, staged_name};
use super::keep::{self, Kept, node_of};
use super::nests::{self, Folder};
use super::parents::Parents;
use super::sink::filters_of;
use super::spelling::Names;
use super::survey::{Keep, may_remove};
use super::{SinkError, Skipped, metadata, remove};
use parent::{inherit_group, make_writable, where_writable};

/// Why something in a directory that could not be made is not placed.
const SHUT: &str = "the directory that it belongs in could not be made";

/// Why something does not give way though everything else of its kind does.
pub(super) const LEFT_OUT: &str = "what stands there was left out of the copy, and stays";

/// Lists of nests kept: enough to come back up from a few levels of subdirectories.
const LISTED_MAX: usize = 8;

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
    /// What is mounted where something was removed: it stays, and so do the directories that it is in.
    pub mounted: Vec<Skipped>,
    /// Whether what is not in the tree was to be removed, and stays since not all of the tree is here. What
    /// was in the way of some of it may have gone before.
    pub others_stay: bool,
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
    let filters = if incoming.is_cleared() {
        filters_of(&incoming.manifest)?
    } else {
        Filters::default()
    };
    let parents = Parents::new(Arc::clone(&incoming.directory));
    let mut placer = Placer {
        incoming,
        parents,
        placed: Placed::default(),
        failed: HashSet::new(),
        shut: HashSet::new(),
        late: Late::default(),
        is_clearing: false,
        filters,
        ways: HashSet::new(),
        is_beyond: false,
        names: Names::default(),
        made: Vec::new(),
        full: full_nests(incoming, states),
        moved: HashSet::new(),
        heirs: HashSet::new(),
        listed: Vec::new(),
    };
    placer.make_directories();
    placer.place_entries(states);
    placer.place_late();
    if incoming.is_cleared() {
        placer.remove_others();
    }
    placer.finish_directories();
    if let Err(error) = incoming.staging.remove() {
        let reason = explain(error);
        placer.placed.failed.push(Skipped {
            path: incoming.path.clone(),
            reason: format!("the staging folder of the copy could not be removed: {reason}"),
        });
    }
    Ok(placer.placed)
}

struct Placer<'a> {
    incoming: &'a Incoming,
    parents: Parents,
    placed: Placed,
    /// The entries that could not be placed: no further name is made of what stands in their place.
    failed: HashSet<u32>,
    /// Directories that could not be made: what should be in them has no place, even where the path leads
    /// somewhere.
    shut: HashSet<&'a [u8]>,
    late: Late<'a>,
    /// Whether what is in the way is removed: only once all is placed that has nothing in its way.
    is_clearing: bool,
    /// What was left out of the tree, where something is removed.
    filters: Filters,
    /// The entries for which all that is in their way goes, as was found before any of it went.
    ways: HashSet<&'a [u8]>,
    /// Whether nothing goes since it would be more than may, or nobody knows how much.
    is_beyond: bool,
    names: Names<'a>,
    /// The directories that are there now, each after the one that it is in.
    made: Vec<&'a Entry>,
    /// The nests in which all is whole, and the names of that, sorted.
    full: HashMap<u32, Vec<&'a [u8]>>,
    /// The directories that were placed with the files in their nests.
    moved: HashSet<&'a [u8]>,
    /// The directories that were there, and those in them: what is new there inherits from them.
    heirs: HashSet<&'a [u8]>,
    /// What is in the nests that files were last taken from, the latest at the end.
    listed: Vec<(u32, HashSet<Vec<u8>>)>,
}

/// What waits until all is placed that has nothing in its way.
#[derive(Default)]
struct Late<'a> {
    /// Entries in the order of the manifest, and what of them is ready in the staging folder.
    entries: BTreeMap<u32, Option<Staged>>,
    /// The directories among them.
    directories: HashSet<&'a [u8]>,
}

/// Something ready in the staging folder.
struct Staged {
    /// Its name there, or in its nest.
    name: Vec<u8>,
    /// Its bytes, if it is a file.
    bytes: Option<u64>,
    /// Its nest, if it has one.
    nest: Option<u32>,
}

impl Staged {
    /// Something that has no nest.
    const fn alone(name: Vec<u8>, bytes: Option<u64>) -> Self {
        let nest = None;
        Self { name, bytes, nest }
    }
}

impl<'a> Placer<'a> {
    /// Makes the directories that are not there, open to nobody else yet.
    fn make_directories(&mut self) {
        for (index, entry) in (0_u32..).zip(&self.incoming.manifest.entries) {
            if entry.kind == Kind::Directory {
                self.make_directory(index, entry);
            }
        }
    }

    fn make_directory(&mut self, index: u32, entry: &'a Entry) {
        let parent = metadata::split(&entry.path).0;
        let result = if self.shut.contains(parent) {
            Err(io::Error::other(SHUT))
        } else if self.late.directories.contains(parent) && !self.is_clearing {
            Ok(false)
        } else {
            self.try_directory(index, entry)
        };
        match result {
            Ok(true) => self.made.push(entry),
            Ok(false) => {
                self.late.entries.insert(index, None);
                self.late.directories.insert(&entry.path);
            }
            Err(error) => {
                self.shut.insert(&entry.path);
                self.fail(entry, explain(error));
            }
        }
    }

    /// Makes the directory of `entry`, or finds it. Says no when something else is there that is to give way,
    /// and it is too early for that.
    fn try_directory(&mut self, index: u32, entry: &'a Entry) -> io::Result<bool> {
        let (parent_path, name) = metadata::split(&entry.path);
        let parent = self.parents.directory(parent_path)?;
        if self.heirs.contains(parent_path) {
            self.heirs.insert(&entry.path);
        } else if self.move_nest(index, &parent, name) {
            self.moved.insert(&entry.path);
            return Ok(true);
        }
        match where_writable(&parent, || Ok(parent.create_directory(name, OWNER_MODE)?)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.heirs.insert(&entry.path);
            }
            result => return result.map(|()| true),
        }
        self.check_spelling(entry)?;
        if self.incoming.is_cleared() && parent.metadata(name)?.kind != Found::Directory {
            if !self.is_clearing {
                return Ok(false);
            }
            self.check_way(entry)?;
            parent.remove_file(name)?;
            self.placed.removed += 1;
            parent.create_directory(name, OWNER_MODE)?;
            return Ok(true);
        }
        // It may be anything; only a directory, and not a link to one, opens.
        let found = self.parents.directory(&entry.path)?;
        make_writable(&found)?;
        Ok(true)
    }

    /// Makes the nest of a new directory the directory. Says no where it cannot be: then the directory is made, and
    /// its files come one by one.
    fn move_nest(&self, index: u32, parent: &Directory, name: &[u8]) -> bool {
        let may_move = self.incoming.nests.may_move(index);
        let Some(wanted) = self.full.get(&index).filter(|_| may_move) else {
            return false;
        };
        let (staging, nest) = (self.incoming.staging.directory(), nests::name(index));
        let found = staging.open_beneath(&nest).and_then(|it| it.entries());
        let is_as_wanted = found.is_ok_and(|mut found| {
            found.sort_unstable();
            found.iter().eq(wanted)
        });
        is_as_wanted
            && renameat_with(staging, &nest[..], parent, name, RenameFlags::NOREPLACE).is_ok()
    }

    /// Fails unless the nest has a file that is spelt just so: any other name may be that of another file.
    fn check_listed(&mut self, nest: u32, name: &[u8]) -> io::Result<()> {
        let known = self.listed.iter().position(|(listed, _)| *listed == nest);
        let listed = match known {
            Some(position) => self.listed.remove(position),
            None => {
                let staging = self.incoming.staging.directory();
                let found = self.incoming.nests.open(staging, nest)?.entries()?;
                (nest, found.into_iter().collect())
            }
        };
        if self.listed.len() >= LISTED_MAX {
            self.listed.remove(0);
        }
        let is_listed = listed.1.contains(name);
        self.listed.push(listed);
        if is_listed {
            return Ok(());
        }
        Err(io::Error::other(
            "what was received of it is not in the staging folder any more",
        ))
    }

    fn place_entries(&mut self, states: &[FileState]) {
        let incoming = self.incoming;
        for (index, (entry, state)) in (0_u32..).zip(incoming.manifest.entries.iter().zip(states)) {
            let state = match &entry.kind {
                Kind::Directory => continue,
                Kind::HardLink { to } => states.get(*to as usize).copied(),
                Kind::File { .. } => Some(*state),
                _ => None,
            };
            if let Some(reason) = state.and_then(not_whole) {
                let skipped = self.skipped(entry, reason.to_owned());
                self.placed.not_whole.push(skipped);
                continue;
            }
            self.place_entry(index, entry);
        }
    }

    /// Places what is not a directory, or puts it off.
    fn place_entry(&mut self, index: u32, entry: &'a Entry) {
        let parent = metadata::split(&entry.path).0;
        let is_late = match &entry.kind {
            Kind::HardLink { to } => self.late.entries.contains_key(to),
            _ => false,
        };
        if !self.is_clearing && (is_late || self.late.directories.contains(parent)) {
            self.late.entries.insert(index, None);
            return;
        }
        let result = if self.shut.contains(parent) {
            Err(io::Error::other(SHUT))
        } else {
            match self.stage(index, entry) {
                Ok(Some(staged)) => self.settle(index, entry, staged),
                Ok(None) => Ok(()),
                Err(error) => Err(error),
            }
        };
        if let Err(error) = result {
            self.failed.insert(index);
            self.fail(entry, explain(error));
        }
    }

    /// Places what was put off, if all else is in place: whatever is in its way may be needed otherwise.
    fn place_late(&mut self) {
        let incoming = self.incoming;
        let mut late = std::mem::take(&mut self.late.entries);
        self.is_clearing = true;
        if incoming.is_cleared() && self.check_all_placed().is_ok() {
            self.survey_removals(&mut late);
        }
        for index in late.keys().copied() {
            let entry = incoming.entry(index);
            if entry.kind == Kind::Directory {
                self.make_directory(index, entry);
            }
        }
        for (index, staged) in late {
            let entry = incoming.entry(index);
            match (&entry.kind, staged) {
                (Kind::Directory, _) => {}
                (_, None) => self.place_entry(index, entry),
                (_, Some(staged)) => {
                    if let Err(error) = self.settle(index, entry, staged) {
                        self.failed.insert(index);
                        self.fail(entry, explain(error));
                    }
                }
            }
        }
    }

    /// Looks at all that is to go before any of it does: it may be long since the survey, and others may have
    /// worked here meanwhile. Fails the entries that are `late` and would not get their place, or all of the
    /// removal where it is more than may go; then nothing goes at all.
    fn survey_removals(&mut self, late: &mut BTreeMap<u32, Option<Staged>>) {
        let incoming = self.incoming;
        let (mut going, mut stays) = (0, 0);
        let mut found = |_: &[u8], goes: bool| {
            *(if goes { &mut going } else { &mut stays }) += 1;
        };
        late.retain(|index, _| {
            let entry = incoming.entry(*index);
            let Err(error) = self.survey_way(entry, &mut found) else {
                return true;
            };
            self.failed.insert(*index);
            if entry.kind == Kind::Directory {
                self.shut.insert(&entry.path);
            }
            self.fail(entry, explain(error));
            false
        });
        if self.check_all_placed().is_err() {
            // Then nothing goes, whatever its number.
            return;
        }
        let manifest = &incoming.manifest;
        let looked = remove::look(&incoming.directory, manifest, &self.filters, &mut found);
        let looked = looked.and_then(|()| {
            if may_remove(manifest, going, stays) {
                return Ok(());
            }
            let text = format!("{going} entries by now, more than may go without being asked");
            Err(io::Error::other(text))
        });
        if let Err(error) = looked {
            self.is_beyond = true;
            self.fail_removal(error);
        }
    }

    fn fail_removal(&mut self, error: io::Error) {
        let reason = explain(error);
        self.placed.failed.push(Skipped {
            path: self.incoming.path.clone(),
            reason: format!("what is not in the tree could not be removed: {reason}"),
        });
    }

    /// Tells `found` of all that is in the way of `entry`. Fails if some of that stays.
    fn survey_way(
        &mut self,
        entry: &'a Entry,
        found: &mut dyn FnMut(&[u8], bool),
    ) -> io::Result<()> {
        let (parent, name) = metadata::split(&entry.path);
        // What is in a directory that is not there yet has nothing in its way.
        if self.late.directories.contains(parent) {
            return Ok(());
        }
        let parent = self.parents.directory(parent)?;
        let is_directory = match parent.metadata(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            there => there?.kind == Found::Directory,
        };
        if is_directory == (entry.kind == Kind::Directory) {
            return Ok(());
        }
        if remove::is_spared(&parent, &entry.path, &self.filters) {
            return Err(io::Error::other(LEFT_OUT));
        }
        if remove::count(&parent, &entry.path, &self.filters, found)? {
            let text = "a directory is in its way, with something in it that was left out of the \
                        copy or is mounted there";
            return Err(io::Error::other(text));
        }
        self.ways.insert(&entry.path);
        Ok(())
    }

    /// Fails unless what is in the way of `entry` may go now.
    fn check_way(&self, entry: &Entry) -> io::Result<()> {
        self.check_all_placed()?;
        if self.ways.contains(&entry.path[..]) {
            return Ok(());
        }
        Err(io::Error::other(
            "something came in its way meanwhile, and stays",
        ))
    }

    /// Fails unless all is in place that was to be placed so far.
    fn check_all_placed(&self) -> io::Result<()> {
        if self.placed.failed.is_empty() && self.placed.not_whole.is_empty() {
            return Ok(());
        }
        let text = "something else is in its way, and stays as not all of the tree is here";
        Err(io::Error::other(text))
    }

    /// Makes `entry` ready in the staging folder, so that what it replaces is there until it is. Answers
    /// nothing where it stands in its place already.
    fn stage(&mut self, index: u32, entry: &'a Entry) -> io::Result<Option<Staged>> {
        let incoming = self.incoming;
        let (staging, name) = (incoming.staging.directory(), staged_name(index));
        let dress = &incoming.dress;
        match &entry.kind {
            Kind::Directory => return Ok(None),
            Kind::File { .. } => return self.stage_file(index, entry),
            Kind::HardLink { to } => return self.stage_hard_link(index, entry, *to),
            _ if self.keep_node(entry)? => return Ok(None),
            Kind::Symlink { target } => {
                staging.symlink(target, &name)?;
                dress.node(staging, &name, entry, true)?;
            }
            kind => {
                let node = node_of(kind).ok_or(io::ErrorKind::Unsupported)?;
                staging.create_node(&name, node, 0o600)?;
                dress.node(staging, &name, entry, false)?;
            }
        }
        Ok(Some(Staged::alone(name, None)))
    }

    fn stage_file(&mut self, index: u32, entry: &'a Entry) -> io::Result<Option<Staged>> {
        let incoming = self.incoming;
        if matches!(incoming.keep_of(index), Keep::ByTime | Keep::ByHash) {
            let (parent, name) = metadata::split(&entry.path);
            let parent = self.parents.directory(parent)?;
            self.check_spelling(entry)?;
            let held = match keep::file(incoming, &parent, name, index)? {
                Kept::Apart(held) => held,
                Kept::Whole => {
                    self.count(entry.size());
                    return Ok(None);
                }
            };
            let staging = incoming.staging.directory();
            let name = apart_name(index);
            let copy = staging.create_exclusive(&name, 0o600)?;
            keep::copy_apart(&held, &copy)?;
            incoming.dress.file(&copy, entry)?;
            file::close(copy)?;
            return Ok(Some(Staged::alone(name, Some(entry.size()))));
        }
        let (staging, name) = (incoming.staging.directory(), staged_name(index));
        let mut size = file_size(entry);
        let file = if incoming.manifest.terms.stream {
            let file = staging.open_file(&name, Access::ReadWrite)?;
            size = file.metadata()?.len();
            file
        } else if entry.data_bytes() == 0 {
            let file = staging.create_exclusive(&name, 0o600)?;
            file.set_len(size)?;
            file
        } else if size > u64::from(BLOCK_SIZE) {
            incoming.open_staged(index)?
        } else {
            // It has its metadata since it was written.
            let (parent, own_name) = metadata::split(&entry.path);
            if self.moved.contains(parent) {
                self.count(size);
                return Ok(None);
            }
            let nest = incoming.nests.number_for(entry);
            let name = match nest {
                Some(nest) => {
                    self.check_listed(nest, own_name)?;
                    own_name.to_vec()
                }
                None => name,
            };
            let bytes = Some(size);
            return Ok(Some(Staged { name, bytes, nest }));
        };
        incoming.dress.file(&file, entry)?;
        Ok(Some(Staged::alone(name, Some(size))))
    }

    /// Makes a further name of what was placed for entry `to`.
    fn stage_hard_link(
        &mut self,
        index: u32,
        entry: &'a Entry,
        to: u32,
    ) -> io::Result<Option<Staged>> {
        if self.failed.contains(&to) {
            return Err(io::Error::other("its first name could not be placed"));
        }
        let (first, first_name) = metadata::split(&self.incoming.entry(to).path);
        let first = self.parents.directory(first)?;
        let (parent, name) = metadata::split(&entry.path);
        let parent = self.parents.directory(parent)?;
        if let (Ok(one), Ok(other)) = (first.metadata(first_name), parent.metadata(name))
            && (one.device, one.inode) == (other.device, other.inode)
        {
            self.check_spelling(entry)?;
            return Ok(None);
        }
        let staging = self.incoming.staging.directory();
        let name = staged_name(index);
        first.link_into(first_name, staging, &name)?;
        Ok(Some(Staged::alone(name, None)))
    }

    /// Whether a link, device, pipe or socket is there as `entry` is, and stays: in a copy that keeps what is
    /// there.
    fn keep_node(&mut self, entry: &'a Entry) -> io::Result<bool> {
        if self.incoming.manifest.terms.sync == Sync::None {
            return Ok(false);
        }
        let (parent, name) = metadata::split(&entry.path);
        let parent = self.parents.directory(parent)?;
        // Its time is set in place: first of all it must be this one's.
        self.check_spelling(entry)?;
        Ok(keep::node(self.incoming, &parent, name, entry))
    }

    /// Gives what is ready its name, or puts that off.
    fn settle(&mut self, index: u32, entry: &'a Entry, staged: Staged) -> io::Result<()> {
        let parent = self.parents.directory(metadata::split(&entry.path).0)?;
        if !where_writable(&parent, || self.rename(&staged, entry))? {
            self.late.entries.insert(index, Some(staged));
            return Ok(());
        }
        if let Some(bytes) = staged.bytes {
            self.count(bytes);
        }
        if !matches!(entry.kind, Kind::HardLink { .. }) {
            return Ok(());
        }
        // A name that is a link to the very same file by now stays as it is, and so does the staged one
        // (rename(2)).
        let staging = self.incoming.staging.directory();
        match staging.remove_file(&staged.name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    fn count(&mut self, bytes: u64) {
        self.placed.files += 1;
        self.placed.bytes += bytes;
    }

    /// Renames what is `staged`. Says no when a directory is there that is to give way, and it is too early
    /// for that.
    fn rename(&mut self, staged: &Staged, entry: &'a Entry) -> io::Result<bool> {
        let (parent_path, name) = metadata::split(&entry.path);
        let parent = self.parents.directory(parent_path)?;
        let staging = self.incoming.staging.directory();
        let folder = match staged.nest {
            Some(nest) => Folder::Nest(self.incoming.nests.open(staging, nest)?),
            None => Folder::Staging(staging),
        };
        let staged_name = &staged.name[..];
        let inherits = matches!(entry.kind, Kind::File { .. })
            && self.incoming.dress.owner(entry).is_none()
            && self.heirs.contains(parent_path);
        if inherits {
            inherit_group(&folder, staged_name, &parent)?;
        }
        // Where nothing is replaced, nothing needs to be looked at first. Not every file system knows how.
        match renameat_with(
            &*folder,
            staged_name,
            &*parent,
            name,
            RenameFlags::NOREPLACE,
        ) {
            Err(Errno::EXIST | Errno::INVAL | Errno::NOSYS) => self.check_spelling(entry)?,
            result => return Ok(result.map(|()| true)?),
        }
        match folder.rename_into(staged_name, &parent, name) {
            Err(error)
                if error.kind() == io::ErrorKind::IsADirectory && self.incoming.is_cleared() =>
            {
                if !self.is_clearing {
                    return Ok(false);
                }
                self.check_way(entry)?;
                let placed = &mut self.placed;
                if remove::tree(&parent, &entry.path, &self.filters, placed)? {
                    let text = "something came into the directory in its way meanwhile, and stays";
                    return Err(io::Error::other(text));
                }
                folder.rename_into(staged_name, &parent, name)?;
                Ok(true)
            }
            result => Ok(result.map(|()| true)?),
        }
    }

    /// Fails if what has the name of `entry` here is there for another entry, which is spelt otherwise: on a
    /// file system that folds case one of two such names can be placed, and nothing is replaced by the other.
    fn check_spelling(&mut self, entry: &'a Entry) -> io::Result<()> {
        let parent = self.parents.directory(metadata::split(&entry.path).0)?;
        let Some(other) = self.names.taken(&self.incoming.manifest, &parent, entry)? else {
            return Ok(());
        };
        let other = metadata::display_path("".as_ref(), &other);
        let text = format!(
            "the file system takes its name for that of {}, which is in the tree as well; rename one",
            other.display()
        );
        Err(io::Error::other(text))
    }

    /// Removes what is not in the tree, now that all that is in it stands there. Nothing goes when anything
    /// of the tree could not be placed: what looks superfluous may be needed.
    fn remove_others(&mut self) {
        let manifest = &self.incoming.manifest;
        if self.check_all_placed().is_err() {
            self.placed.others_stay = !self.is_beyond;
            return;
        }
        let top = &self.incoming.directory;
        let result = remove::remove(top, manifest, &self.filters, &mut self.placed);
        if let Err(error) = result {
            self.fail_removal(error);
        }
    }

    /// Gives the directories their permissions and times, the deepest first: afterwards nothing below
    /// needs to be entered any more.
    fn finish_directories(&mut self) {
        for entry in std::mem::take(&mut self.made).into_iter().rev() {
            if let Err(error) = self.finish_directory(entry) {
                let error = kernel_answer(error);
                if metadata::is_not_permitted(&error) && self.is_of_others(entry) {
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

    /// Whether the directory of `entry` belongs to somebody else. Its owner may be refused as well, by a service's unit
    /// or a file's flags, and that is no reason to be content.
    fn is_of_others(&mut self, entry: &Entry) -> bool {
        let directory = self.parents.directory(&entry.path);
        let found = directory.and_then(|directory| Ok(directory.own_metadata()?));
        found.is_ok_and(|found| found.uid != rustix::process::geteuid().as_raw())
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

/// The nests of `incoming` in which every file is whole, going by `states`, and the names of the files, sorted.
fn full_nests<'a>(incoming: &'a Incoming, states: &[FileState]) -> HashMap<u32, Vec<&'a [u8]>> {
    let mut full: HashMap<u32, Vec<&[u8]>> = HashMap::new();
    let mut lacking = HashSet::new();
    for (entry, state) in incoming.manifest.entries.iter().zip(states) {
        if let Some(nest) = incoming.nests.number_for(entry) {
            let name = metadata::split(&entry.path).1;
            full.entry(nest).or_default().push(name);
            if not_whole(*state).is_some() {
                lacking.insert(nest);
            }
        }
    }
    full.retain(|nest, _| !lacking.contains(nest));
    full.values_mut().for_each(|names| names.sort_unstable());
    full
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
        Some(Errno::XDEV) => {
            "another file system, mount or quota begins there; copy into that directly"
        }
        _ => return error.to_string(),
    };
    reason.to_owned()
}

#[cfg(test)]
mod tests;
