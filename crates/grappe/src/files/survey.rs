//! What a directory holds already of the tree that is to come: which files stay, which are compared by
//! hash, which are lacking, and what would be removed.
//!
//! Nothing is changed here, and no content read; `incoming` compares, `place` keeps and changes.

use std::collections::HashSet;
use std::io;

use grappe_os::file::{self, Directory};
use grappe_proto::content::layout::data_pieces;
use grappe_proto::content::manifest::{Entry, Kind, Manifest, Sync};
use grappe_proto::content::survey::{Action, CHANGES_MAX, COMPARED_PIECES_MAX, Change, Survey};

use super::metadata::{self, Dress};
use super::parents::Parents;
use super::sink::{Sink, filters_of, space_of};
use super::{SinkError, remove};

/// A receiver that is not told how many removes that many without a question, and beyond them at most half
/// of what is there.
const REMOVED_UNASKED: u64 = 10;

/// What becomes of the file of an entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Keep {
    /// It is replaced, or is no file.
    #[default]
    No,
    /// It is there with the same size and time.
    ByTime,
    /// It is there with the same content.
    ByHash,
    /// Another version of it is there, or one whose content is not sure.
    Compare,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Here {
    /// What the sender is told.
    pub survey: Survey,
    /// For each entry what becomes of it; empty in a copy that keeps nothing.
    pub(super) keeps: Vec<Keep>,
    /// Bytes of space that the files to be compared may turn out not to need, as they are as long as they are
    /// to be. Where one differs and there is no room, that is found when it is written.
    pub(super) may_stay: u64,
}

impl Here {
    pub(super) fn keep(&self, entry: u32) -> Keep {
        self.keeps.get(entry as usize).copied().unwrap_or_default()
    }
}

impl Sink {
    /// Looks at what is there of `manifest`, whose terms say how.
    ///
    /// # Errors
    ///
    /// When a directory cannot be read, or more would be removed than is allowed.
    pub fn survey(&self, manifest: &Manifest) -> Result<Here, SinkError> {
        manifest.validate()?;
        let mut surveyor = Surveyor {
            manifest,
            dress: Dress::new(manifest, self.allowed().powers),
            parents: Parents::new(self.directory().clone()),
            here: Here::default(),
            compared: 0,
            present: HashSet::from([&b""[..]]),
            replaced: Vec::new(),
            is_told: manifest.terms.dry_run,
        };
        for (number, entry) in (0_u32..).zip(&manifest.entries) {
            let keep = surveyor.entry(number, entry).map_err(|error| {
                let path = metadata::display_path(self.path(), &entry.path);
                SinkError::io("look at", &path, error)
            })?;
            surveyor.here.keeps.push(keep);
        }
        let (mut here, replaced) = (surveyor.here, surveyor.replaced);
        if manifest.terms.delete {
            self.survey_removals(manifest, &replaced, &mut here)?;
        }
        Ok(here)
    }

    /// Counts what is not in the tree, and what is in the directories at `replaced`, which give way.
    fn survey_removals(
        &self,
        manifest: &Manifest,
        replaced: &[&[u8]],
        here: &mut Here,
    ) -> Result<(), SinkError> {
        let filters = filters_of(manifest)?;
        let (mut removed, mut stays) = (0_u64, 0_u64);
        let survey = &mut here.survey;
        let is_cleared = self.is_cleared_by(manifest);
        let is_told = manifest.terms.dry_run && is_cleared;
        let mut found = |path: &[u8], goes: bool| {
            if !goes {
                stays += 1;
                return;
            }
            removed += 1;
            note(survey, is_told, Action::Remove, path);
        };
        let mut looked = remove::look(self.directory(), manifest, &filters, &mut found);
        let mut parents = Parents::new(self.directory().clone());
        // Where nothing is removed, nothing gives way either.
        for path in replaced.iter().filter(|_| is_cleared) {
            looked = looked.and_then(|()| {
                let (parent, name) = metadata::split(path);
                let parent = parents.directory(parent)?;
                let there = parent.metadata(name);
                let is_directory = there.is_ok_and(|it| it.kind == file::Kind::Directory);
                if !filters.allow(path, is_directory) {
                    return Ok(());
                }
                remove::count(&parent, path, &filters, &mut found).map(drop)
            });
        }
        looked.map_err(|error| SinkError::io("list what is in", self.path(), error))?;
        if !is_cleared {
            survey.spared = (removed > 0).then_some(removed);
            return Ok(());
        }
        survey.counts[Action::Remove as usize] = removed;
        if may_remove(manifest, removed, stays) || manifest.terms.dry_run {
            return Ok(());
        }
        Err(SinkError::TooManyRemovals {
            path: self.path().to_path_buf(),
            removed,
            stays,
        })
    }
}

/// Whether so many entries may be removed where so many stay.
pub(super) fn may_remove(manifest: &Manifest, removed: u64, stays: u64) -> bool {
    match manifest.terms.delete_max {
        Some(max) => removed <= max,
        None => removed <= REMOVED_UNASKED.max(stays),
    }
}

struct Surveyor<'a> {
    manifest: &'a Manifest,
    dress: Dress,
    parents: Parents,
    here: Here,
    /// Pieces of the files that are to be compared.
    compared: u64,
    /// The directories that are there.
    present: HashSet<&'a [u8]>,
    /// What is a directory here and something else in the tree, or the other way round.
    replaced: Vec<&'a [u8]>,
    /// Whether somebody reads what would be done.
    is_told: bool,
}

impl<'a> Surveyor<'a> {
    fn entry(&mut self, number: u32, entry: &'a Entry) -> io::Result<Keep> {
        let (parent, name) = metadata::split(&entry.path);
        let directory = if self.present.contains(parent) {
            Some(self.parents.directory(parent)?)
        } else {
            None
        };
        let found = match directory.as_ref().map(|directory| directory.metadata(name)) {
            Some(Err(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            Some(Ok(found)) => Some(found),
            _ => None,
        };
        let was_directory = found.map(|it| it.kind == file::Kind::Directory);
        match (entry.kind == Kind::Directory, was_directory) {
            (true, Some(true)) => {
                self.present.insert(&entry.path);
            }
            (true, Some(false)) | (false, Some(true)) => self.replaced.push(&entry.path),
            _ => {}
        }
        let keep = match (&entry.kind, &found) {
            (Kind::File { .. }, Some(found)) if found.kind == file::Kind::File => {
                let suits = |it: &Directory| self.dress.suits(it, name, found, entry);
                if self.dress.gives_powers(entry) && !directory.as_deref().is_some_and(suits) {
                    Keep::No
                } else {
                    self.file(entry, found)
                }
            }
            _ => Keep::No,
        };
        if matches!(keep, Keep::No | Keep::Compare) && entry.data_bytes() > 0 {
            self.here.survey.lacking.insert(number);
            self.here.survey.bytes += entry.data_bytes();
        }
        if keep == Keep::Compare {
            self.here.survey.compare.insert(number);
        }
        if self.is_told {
            self.tell(entry, directory.as_deref(), found, keep)?;
        }
        Ok(keep)
    }

    fn file(&mut self, entry: &Entry, found: &file::Metadata) -> Keep {
        let is_as_long = found.size == entry.size();
        let is_as_old = Dress::is_as_old(found, entry);
        let is_checked = self.manifest.terms.sync == Sync::Checksum;
        if is_as_long && is_as_old && (!is_checked || entry.size() == 0) {
            return Keep::ByTime;
        }
        let pieces = data_pieces(entry.size(), entry.extents());
        if pieces == 0
            || found.size == 0
            || self.compared.saturating_add(pieces) > COMPARED_PIECES_MAX
        {
            return Keep::No;
        }
        self.compared += pieces;
        if is_as_long {
            let space = space_of(entry.data_bytes());
            self.here.may_stay = self.here.may_stay.saturating_add(space);
        }
        Keep::Compare
    }

    /// Notes what would become of `entry`.
    fn tell(
        &mut self,
        entry: &Entry,
        directory: Option<&Directory>,
        found: Option<file::Metadata>,
        keep: Keep,
    ) -> io::Result<()> {
        let (_, name) = metadata::split(&entry.path);
        let (Some(directory), Some(found)) = (directory, found) else {
            return self.note(entry, Action::Create);
        };
        let is_same = match &entry.kind {
            Kind::Directory => found.kind == file::Kind::Directory,
            Kind::File { .. } => keep == Keep::ByTime,
            Kind::Symlink { target } => {
                found.kind == file::Kind::Symlink && directory.read_link(name)? == *target
            }
            Kind::HardLink { to } => {
                let (parent, first) = metadata::split(&self.manifest.entries[*to as usize].path);
                let first = self.present.contains(parent).then(|| {
                    let parent = self.parents.directory(parent)?;
                    Ok::<_, io::Error>(parent.metadata(first)?)
                });
                first.is_some_and(|first| first.is_ok_and(|first| first.inode == found.inode))
            }
            Kind::Device {
                is_block,
                major,
                minor,
            } => found.kind == file::Kind::Device && found.node == (*is_block, *major, *minor),
            Kind::Fifo => found.kind == file::Kind::Fifo,
            Kind::Socket => found.kind == file::Kind::Socket,
        };
        if !is_same {
            return self.note(entry, Action::Update);
        }
        // A further name has the metadata of the first.
        let is_name = matches!(entry.kind, Kind::HardLink { .. });
        let suits =
            || Dress::is_as_old(&found, entry) && self.dress.suits(directory, name, &found, entry);
        if is_name || suits() {
            Ok(())
        } else {
            self.note(entry, Action::Adjust)
        }
    }

    fn note(&mut self, entry: &Entry, action: Action) -> io::Result<()> {
        self.here.survey.counts[action as usize] += 1;
        note(&mut self.here.survey, true, action, &entry.path);
        Ok(())
    }
}

fn note(survey: &mut Survey, is_told: bool, action: Action, path: &[u8]) {
    if is_told && survey.changes.len() < CHANGES_MAX {
        survey.changes.push(Change {
            action,
            path: path.to_vec(),
        });
    }
}
