//! The directory into which copies are placed, and what must hold before one may begin.
//!
//! What can never work is said here, before a byte travels. Writing is in `incoming`.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use grappe_os::file::{self, Directory, FileError};
use grappe_proto::content::block_set::BlockSet;
use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::{Entry, Kind, Manifest, Sync};
use grappe_proto::units::Digest;

use super::error::is_full;
use super::filters::Filters;
use super::incoming::{Begun, Incoming};
use super::journal::{self, Journal};
use super::metadata::{CAPABILITY, Dress, MODE_POWERS};
use super::nests::Nests;
use super::parents::Parents;
use super::place::LEFT_OUT;
use super::spill::{self, PieceHashes};
use super::staging::{self, Staging};
use super::survey::{Here, Keep};
use super::{SinkError, descent, metadata, resume};

/// What a file takes on most file systems is a multiple of this.
const FILE_BYTES_STEP: u64 = 4096;

/// A directory into which copies are placed. Several receivers may use one at the same time.
#[derive(Debug)]
pub struct Sink {
    directory: Arc<Directory>,
    path: PathBuf,
    allowed: Allowed,
}

/// What copies may do beside bringing files, directories and links along.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowed {
    /// Bring devices, pipes and sockets.
    pub specials: bool,
    /// Bring setuid, setgid and sticky bits, and capabilities.
    pub powers: bool,
    /// Remove nothing, whatever they ask for.
    pub keeps_others: bool,
}

impl Sink {
    /// Opens the directory `into`, and removes from it what receivers that were killed left behind.
    ///
    /// # Errors
    ///
    /// When `into` is not there, is not a directory or cannot be written to.
    pub fn open(into: &Path) -> Result<Self, SinkError> {
        let path = into.to_path_buf();
        let directory = Directory::open(into).map_err(|error| open_error(into, error))?;
        match directory.is_writable_probe() {
            Ok(true) => {}
            Ok(false) => return Err(SinkError::NotWritable { path }),
            // Full now; what a killed receiver left may be what fills it, and goes below.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            Err(error) => return Err(SinkError::io("write to", into, error.into())),
        }
        staging::remove_stale(&directory).map_err(|error| SinkError::io("list", into, error))?;
        Ok(Self {
            directory: Arc::new(directory),
            path,
            allowed: Allowed::default(),
        })
    }

    /// The same directory, for copies that may do what is `allowed`.
    #[must_use]
    pub fn allowing(self, allowed: Allowed) -> Self {
        Self { allowed, ..self }
    }

    pub(super) const fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// What copies may do beside bringing files, directories and links along.
    pub const fn allowed(&self) -> Allowed {
        self.allowed
    }

    /// Whether a copy of `manifest` removes what is not in it.
    pub(super) const fn is_cleared_by(&self, manifest: &Manifest) -> bool {
        manifest.terms.delete && !self.allowed.keeps_others
    }

    /// Whether its name still leads to it. A directory that was removed, or over which another was mounted since, takes
    /// files all the same, where nobody finds them.
    pub fn is_where_named(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let named = std::fs::metadata(&self.path);
        let own = self.directory.own_metadata();
        matches!((named, own), (Ok(named), Ok(own)) if (named.dev(), named.ino()) == (own.device, own.inode))
    }

    /// The directory as its user named it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Prepares for the copy of `manifest`, which has that hash: checks that it fits and that nothing is
    /// in its way, and makes its staging folder or takes over the one of an earlier attempt.
    ///
    /// # Errors
    ///
    /// When the manifest is not valid, when there is too little space, when something in the directory
    /// can never be replaced by what is to come, or when another receiver places the same session in
    /// the same directory.
    pub fn begin(
        &self,
        manifest_hash: Digest,
        manifest: Arc<Manifest>,
        layout: Arc<Layout>,
    ) -> Result<Incoming, SinkError> {
        self.begin_beside(manifest_hash, manifest, layout, Here::default())
    }

    /// The same for a copy that keeps what is `here`; `layout` is of the files that are sent.
    ///
    /// # Errors
    ///
    /// As there, and when `layout` lacks a file that is not here.
    pub fn begin_beside(
        &self,
        manifest_hash: Digest,
        manifest: Arc<Manifest>,
        layout: Arc<Layout>,
        here: Here,
    ) -> Result<Incoming, SinkError> {
        let is_sent = |entry: u32| !layout.piece_numbers_of(entry).is_empty();
        if !here.survey.lacking.iter().all(is_sent) {
            let reason = "the sender leaves out what this node lacks".to_owned();
            return Err(SinkError::Mismatch { reason });
        }
        // Whoever decoded it has checked it as well. But a receiver may be root, and everything below
        // relies on paths that stay in the tree.
        manifest.validate()?;
        self.check(&manifest)?;
        let path = self.path.clone();
        let folder = metadata::display_path(&path, &staging::name(manifest_hash));
        let staging = match Staging::create(&self.directory, manifest_hash) {
            Ok(Some(staging)) => staging,
            Ok(None) => return Err(SinkError::InUse { path: folder }),
            Err(error) => return Err(SinkError::io("create", &folder, error)),
        };
        let failed = |error| SinkError::io("prepare", &folder, error);
        let is_cleared = self.is_cleared_by(&manifest);
        // What is there already may stay or give way: that is settled name by name.
        let is_plain = here.keeps.is_empty() && manifest.terms.sync == Sync::None && !is_cleared;
        let nests = match is_plain {
            true => Nests::plan(&manifest, &self.directory, staging.directory())
                .map_err(failed)
                .inspect_err(|_| staging.keep())?,
            false => Nests::default(),
        };
        let recorded = journal::blocks(staging.directory(), manifest_hash, &layout);
        let recorded = recorded.map_err(failed).inspect_err(|_| staging.keep())?;
        // Whatever goes wrong from here on, what is there stays for another attempt.
        let kept = |error: SinkError| {
            if !recorded.is_empty() {
                staging.keep();
            }
            error
        };
        let needed = space_needed(&manifest, &here).saturating_add(spill::room(&layout));
        let refused = |error: io::Error| {
            kept(if is_full(&error) {
                let path = path.clone();
                let available = self.directory.available_bytes().unwrap_or(0);
                SinkError::NoSpace {
                    path,
                    needed,
                    available,
                }
            } else {
                failed(error)
            })
        };
        let check = |there: &BlockSet| {
            self.check_rest(there, &layout, needed, here.may_stay)
                .map_err(kept)
        };
        // Before anything is made that is as large as the copy is said to be.
        check(&recorded)?;
        let hashes =
            PieceHashes::new(staging.directory(), layout.piece_count()).map_err(refused)?;
        let earlier = resume::find(&staging, &nests, manifest_hash, &manifest, &layout, &hashes)
            .map_err(refused)?;
        check(&earlier.blocks)?;
        let (folder, blocks) = (staging.directory(), earlier.blocks.clone());
        let journal = Journal::begin(folder, manifest_hash, &layout, blocks, &hashes);
        let journal = journal.map_err(refused)?;
        let into = (Arc::clone(&self.directory), path);
        let begun = Begun {
            needed,
            dress: Dress::new(&manifest, self.allowed.powers),
            journal,
            earlier,
            hashes,
            keeps: here.keeps,
            is_cleared,
            nests,
        };
        Ok(Incoming::new(into, manifest, layout, staging, begun))
    }

    /// Checks that nothing is in the way of a copy of `manifest`, and that it brings nothing that is not
    /// allowed. [`Sink::begin`] does that too; a copy that is only rehearsed does not come that far.
    ///
    /// # Errors
    ///
    /// The first thing that is in the way, or not allowed.
    pub fn check(&self, manifest: &Manifest) -> Result<(), SinkError> {
        self.check_allowed(manifest)?;
        self.check_conflicts(manifest)
    }

    /// Looks for what this receiver's user has not allowed copies to bring.
    fn check_allowed(&self, manifest: &Manifest) -> Result<(), SinkError> {
        let refused = |entry: &Entry| {
            let has_powers = entry.mode & MODE_POWERS != 0
                || entry
                    .attributes()
                    .iter()
                    .any(|(name, _)| name == CAPABILITY);
            match entry.kind {
                Kind::Device { .. } | Kind::Fifo | Kind::Socket if !self.allowed.specials => {
                    Some(("a device, pipe or socket", "--allow-specials"))
                }
                Kind::File { .. } | Kind::Directory if has_powers && !self.allowed.powers => {
                    Some(("setuid, setgid or capabilities", "--allow-setuid"))
                }
                _ => None,
            }
        };
        let first = manifest
            .entries
            .iter()
            .find_map(|entry| Some((entry, refused(entry)?)));
        first.map_or(Ok(()), |(entry, (what, flag))| {
            Err(SinkError::NotAllowed {
                path: metadata::display_path(&self.path, &entry.path),
                what,
                flag,
            })
        })
    }

    /// Checks that there is room for what is needed but for the blocks that are `there`, and what `may_stay` of what is
    /// here: what is compared may turn out to need no space.
    fn check_rest(
        &self,
        there: &BlockSet,
        layout: &Layout,
        needed: u64,
        may_stay: u64,
    ) -> Result<(), SinkError> {
        let blocks = there.runs().flat_map(|run| run.start.0..run.end.0);
        let there: u64 = blocks.map(|block| u64::from(layout.block_len(block))).sum();
        let missing = needed.saturating_sub(there);
        match self.check_space(missing, needed) {
            // Earlier copies have made way by now.
            Err(SinkError::NoSpace { available, .. })
                if available >= missing.saturating_sub(may_stay) =>
            {
                Ok(())
            }
            checked => checked,
        }
    }

    /// Checks that there is room for `missing` bytes more, of `needed` in all; broken-off copies make way.
    fn check_space(&self, missing: u64, needed: u64) -> Result<(), SinkError> {
        let path = self.path.clone();
        let available = || {
            let available = self.directory.available_bytes();
            available.map_err(|error| SinkError::io("ask for the space in", &path, error.into()))
        };
        if available()? >= missing {
            return Ok(());
        }
        // The folder of this copy is locked, and stays.
        staging::remove_kept(&self.directory)
            .map_err(|error| SinkError::io("list", &path, error))?;
        match available()? {
            available if available < missing => Err(SinkError::NoSpace {
                path: path.clone(),
                needed,
                available,
            }),
            _ => Ok(()),
        }
    }

    /// Looks for what stands in the way of any entry. What is not there at all has nothing in it, so
    /// that a copy of a new tree costs one look for each of its tops.
    fn check_conflicts(&self, manifest: &Manifest) -> Result<(), SinkError> {
        let mut parents = Parents::new(Arc::clone(&self.directory));
        // The directories that are there, and whether they are mounted from this very file system.
        let mut present: HashMap<&[u8], bool> = HashMap::from([(&b""[..], false)]);
        let filters = if self.is_cleared_by(manifest) {
            Some(filters_of(manifest)?)
        } else {
            None
        };
        for entry in &manifest.entries {
            let (parent, name) = metadata::split(&entry.path);
            let Some(is_bound) = present.get(parent) else {
                continue;
            };
            if *is_bound {
                let path = metadata::display_path(&self.path, parent);
                let reason = MOUNTED.to_owned();
                return Err(SinkError::Conflict { path, reason });
            }
            let path = metadata::display_path(&self.path, &entry.path);
            if parent.is_empty() && staging::is_staging_name(name) {
                let reason = "names of that kind are those of copies on their way".to_owned();
                return Err(SinkError::Conflict { path, reason });
            }
            let directory = parents.directory(parent);
            let found = directory.and_then(|directory| {
                let found = directory.metadata(name)?;
                let is_mounted = descent::is_mounted(&directory, name, &found)?;
                let is_bound = is_mounted && found.device == directory.device_id()?;
                Ok((found, is_mounted && !is_bound, is_bound))
            });
            let (found, is_mounted, is_bound) = match found {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(SinkError::io("look at", &path, error)),
            };
            let is_replaced = entry.kind != Kind::Directory && found.kind == file::Kind::Directory;
            if is_replaced && staging::is_staging_name(name) {
                let reason = "that is another copy on its way".to_owned();
                return Err(SinkError::Conflict { path, reason });
            }
            if let Some(reason) = conflict(entry, &found, is_mounted, filters.as_ref()) {
                return Err(SinkError::Conflict {
                    path,
                    reason: reason.to_owned(),
                });
            }
            if entry.kind == Kind::Directory && found.kind == file::Kind::Directory {
                // Unless something is to go into it, it can stay.
                present.insert(&entry.path, is_bound);
            }
        }
        Ok(())
    }
}

/// The rules of what was left out of the tree.
pub(super) fn filters_of(manifest: &Manifest) -> Result<Filters, SinkError> {
    Filters::new(manifest.terms.filters.clone()).map_err(|error| SinkError::Mismatch {
        reason: error.to_string(),
    })
}

/// What is said of a mount that is in the way.
const MOUNTED: &str = "another file system is mounted there: receive into it by itself";

/// Why `entry` can never replace what is there, if so. Files and links replace one another.
/// With `filters`, whatever is in the way and was not left out is removed when the copy is complete.
fn conflict(
    entry: &Entry,
    found: &file::Metadata,
    is_mounted: bool,
    filters: Option<&Filters>,
) -> Option<&'static str> {
    let found_directory = found.kind == file::Kind::Directory;
    match (&entry.kind, found_directory) {
        // What arrives is staged beside DIR's own files, and renames work within one file system.
        _ if is_mounted => Some(MOUNTED),
        (Kind::Directory, true) => None,
        (kind, _) if (*kind == Kind::Directory) != found_directory && filters.is_some() => {
            let goes = filters.is_some_and(|filters| filters.allow(&entry.path, found_directory));
            (!goes).then_some(LEFT_OUT)
        }
        (Kind::Directory, false) => Some("a directory should be there, and it is none"),
        (Kind::File { .. }, true) => Some("a file should be there, and it is a directory"),
        (Kind::Symlink { .. }, true) => {
            Some("a symbolic link should be there, and it is a directory")
        }
        (_, true) => Some("something else should be there, and it is a directory"),
        _ => None,
    }
}

/// Bytes that the file system must have: the whole copy, since what it replaces stays until the end.
/// What is kept takes none.
fn space_needed(manifest: &Manifest, here: &Here) -> u64 {
    let is_placed = |entry: &u32| here.keep(*entry) != Keep::ByTime;
    let entries = (0_u32..).zip(&manifest.entries);
    let sizes = entries
        .filter(|(number, _)| is_placed(number))
        .map(|(_, entry)| entry.data_bytes());
    sizes.map(space_of).fold(0, u64::saturating_add)
}

/// Bytes that a file with so many of data takes.
pub(super) fn space_of(bytes: u64) -> u64 {
    bytes
        .div_ceil(FILE_BYTES_STEP)
        .saturating_mul(FILE_BYTES_STEP)
}

fn open_error(into: &Path, error: FileError) -> SinkError {
    let path = into.to_path_buf();
    match error.kind() {
        io::ErrorKind::NotFound => SinkError::Missing { path },
        io::ErrorKind::NotADirectory => SinkError::NotDirectory { path },
        _ => SinkError::io("open", into, error.into()),
    }
}
