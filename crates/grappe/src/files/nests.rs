//! Nests: new directories of a copy that grow in its staging folder, with their small files under their own
//! names, and get their final name with all of them in one rename.
//!
//! Everything else is staged alone and renamed alone, as `place` says. A nest that cannot be placed is only a
//! folder to take files from.

use std::collections::HashMap;
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use grappe_os::file::Directory;
use grappe_proto::content::manifest::{Entry, Kind, Manifest};
use grappe_proto::limits::BLOCK_SIZE;

use super::metadata;
use super::staging::Staging;

/// Nests kept open: what the blocks under work need, and a few levels of subdirectories.
const OPEN_NESTS_MAX: usize = 16;

/// What only its owner may enter until it has its own permissions.
const NEST_MODE: u32 = 0o700;

const NAME_SUFFIX: &[u8] = b"-nest";

/// Names that are one on file systems that do not tell upper from lower case, or composed from decomposed
/// letters; the first is made, the others looked for.
const PROBES: [&[u8]; 3] = [
    "Probe-\u{e9}".as_bytes(),
    "pROBE-\u{e9}".as_bytes(),
    "Probe-e\u{301}".as_bytes(),
];

/// The nests of one copy, by the directories that they are to be.
#[derive(Debug, Default)]
pub(super) struct Nests {
    /// Entry numbers of the directories, by their paths.
    numbers: HashMap<Vec<u8>, u32>,
    /// The most recently used last.
    open: Mutex<Vec<(u32, Arc<Directory>)>>,
}

/// The folder that a file is staged in.
pub(super) enum Folder<'a> {
    Staging(&'a Directory),
    Nest(Arc<Directory>),
}

impl Deref for Folder<'_> {
    type Target = Directory;

    fn deref(&self) -> &Directory {
        match self {
            Self::Staging(directory) => directory,
            Self::Nest(directory) => directory,
        }
    }
}

impl Nests {
    /// Nests for the directories of `manifest` that are not in `destination` yet. A directory in one that is there
    /// gets none: what it inherits there, a group or an access list, it would not inherit here.
    pub(super) fn plan(
        manifest: &Manifest,
        destination: &Directory,
        staging: &Staging,
    ) -> io::Result<Self> {
        let mut nests = Self::default();
        for (number, entry) in (0_u32..).zip(&manifest.entries) {
            if entry.kind != Kind::Directory {
                continue;
            }
            let (parent, name) = metadata::split(&entry.path);
            let is_new = if parent.is_empty() {
                match destination.metadata(name) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => true,
                    found => found.map(|_| false)?,
                }
            } else {
                nests.numbers.contains_key(parent)
            };
            if is_new {
                nests.numbers.insert(entry.path.clone(), number);
            }
        }
        if !nests.numbers.is_empty() && folds_names(staging.directory()) {
            // Of two names that are one there, the second would take the place of the first unnoticed.
            return Ok(Self::default());
        }
        Ok(nests)
    }

    /// The nest of the directory with that path.
    pub(super) fn number(&self, path: &[u8]) -> Option<u32> {
        self.numbers.get(path).copied()
    }

    /// The nest that `entry` is staged in, if it is a file that comes in one piece into a new directory.
    pub(super) fn number_for(&self, entry: &Entry) -> Option<u32> {
        let is_file = matches!(entry.kind, Kind::File { .. });
        let is_small = entry.size() <= BLOCK_SIZE.into() && entry.data_bytes() > 0;
        if !is_file || !is_small || self.numbers.is_empty() {
            return None;
        }
        self.number(metadata::split(&entry.path).0)
    }

    /// The nest `number`, made if need be.
    pub(super) fn make(&self, staging: &Directory, number: u32) -> io::Result<Arc<Directory>> {
        match self.open(staging, number) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match staging.create_directory(&name(number), NEST_MODE) {
                    // Another thread was faster.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    made => made?,
                }
                self.open(staging, number)
            }
            opened => opened,
        }
    }

    /// Closes those that are open: some were removed meanwhile.
    pub(super) fn close_all(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clear();
    }

    /// The nest `number`, which was made.
    pub(super) fn open(&self, staging: &Directory, number: u32) -> io::Result<Arc<Directory>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let known = open.iter().rposition(|(known, _)| *known == number);
        let nest = match known {
            Some(position) => open.remove(position).1,
            None => Arc::new(staging.open_beneath(&name(number))?),
        };
        if open.len() >= OPEN_NESTS_MAX {
            open.remove(0);
        }
        open.push((number, Arc::clone(&nest)));
        Ok(nest)
    }
}

/// The name of a nest in the staging folder.
pub(super) fn name(number: u32) -> Vec<u8> {
    [number.to_string().as_bytes(), NAME_SUFFIX].concat()
}

/// Whether a name in a staging folder is that of a nest.
pub(super) fn is_nest(name: &[u8]) -> bool {
    name.ends_with(NAME_SUFFIX)
}

/// Removes the nest with that name and what is in it, but for files that are `wanted`; with one of those it stays.
pub(super) fn clear(
    staging: &Directory,
    name: &[u8],
    wanted: impl Fn(&[u8]) -> bool,
) -> io::Result<()> {
    let nest = staging.open_beneath(name)?;
    let mut is_empty = true;
    for file in nest.entries()? {
        if wanted(&file) {
            is_empty = false;
        } else {
            nest.remove_file(&file)?;
        }
    }
    if is_empty {
        staging.remove_directory(name)?;
    }
    Ok(())
}

/// Whether names that differ may be one in `directory`, or nobody can tell.
fn folds_names(directory: &Directory) -> bool {
    let [made, others @ ..] = PROBES;
    if directory.create_exclusive(made, 0o600).is_err() {
        return true;
    }
    let is_other = |name: &[u8]| {
        let found = directory.metadata(name);
        found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let tells_apart = others.into_iter().all(is_other);
    directory.remove_file(made).is_err() || !tells_apart
}
