//! Nests: new directories of a copy that grow in its staging folder, with their small files under their own
//! names, and get their final name with all of them in one rename.
//!
//! Everything else is staged alone and renamed alone, as `place` says. A nest that cannot be placed is only a
//! folder to take files from.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use grappe_os::file::Directory;
use grappe_proto::content::manifest::{Entry, Kind, Manifest};
use grappe_proto::limits::BLOCK_SIZE;
use rustix::fs::{RenameFlags, renameat_with};

use super::incoming::staged_name;
use super::metadata::{self, Made};

/// Nests kept open: what the blocks under work need, and a few levels of subdirectories.
const OPEN_NESTS_MAX: usize = 16;

/// Nests at most: some file systems take no more than 32,000 directories in one.
const NESTS_MAX: usize = 20_000;

/// Small files from which on a nest costs less than to rename each.
const FILES_MIN: u32 = 4;

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
    /// Those of them whose directories are there, or in one that is: nests of an earlier attempt, to take files from.
    left: HashSet<u32>,
    /// The most recently used last.
    open: Mutex<Vec<(u32, Arc<Nest>)>>,
}

/// A nest that is open.
#[derive(Debug)]
pub(super) struct Nest {
    directory: Directory,
    /// The permissions that a file was last made with here, and what it had then: another one has the same.
    made: Mutex<Option<(u32, Made)>>,
}

/// The folder that a file is staged in.
pub(super) enum Folder<'a> {
    Staging(&'a Directory),
    Nest(Arc<Nest>),
}

impl Deref for Folder<'_> {
    type Target = Directory;

    fn deref(&self) -> &Directory {
        match self {
            Self::Staging(directory) => directory,
            Self::Nest(nest) => &nest.directory,
        }
    }
}

impl Folder<'_> {
    /// What `file`, which was made here with the permissions `mode`, has of that and of an owner.
    pub(super) fn made(&self, file: &File, mode: u32) -> io::Result<Made> {
        let Self::Nest(nest) = self else {
            return Made::of(file);
        };
        let mut made = nest.made.lock().unwrap_or_else(PoisonError::into_inner);
        match *made {
            Some((known, made)) if known == mode => Ok(made),
            _ => Ok(made.insert((mode, Made::of(file)?)).1),
        }
    }
}

impl Deref for Nest {
    type Target = Directory;

    fn deref(&self) -> &Directory {
        &self.directory
    }
}

impl Nests {
    /// Nests for the directories of `manifest` that are not in `destination` yet and have several small files. A
    /// directory in one that is there gets none: what it inherits there, a group or an access list, it would not
    /// inherit here. What an earlier attempt left in `staging` stays of use.
    pub(super) fn plan(
        manifest: &Manifest,
        destination: &Directory,
        staging: &Directory,
    ) -> io::Result<Self> {
        Self::plan_some(manifest, destination, staging, NESTS_MAX)
    }

    fn plan_some(
        manifest: &Manifest,
        destination: &Directory,
        staging: &Directory,
        nests_max: usize,
    ) -> io::Result<Self> {
        let mut nests = Self::default();
        let staged: HashSet<Vec<u8>> = staging.entries()?.into_iter().collect();
        let mut room = nests_max.saturating_sub(staged.iter().filter(|it| is_nest(it)).count());
        let mut small: HashMap<&[u8], u32> = HashMap::new();
        // Directories with files that an earlier attempt staged alone.
        let mut scattered: HashSet<&[u8]> = HashSet::new();
        for (number, entry) in (0_u32..).zip(&manifest.entries) {
            if is_small(entry) {
                let parent = metadata::split(&entry.path).0;
                *small.entry(parent).or_default() += 1;
                if !staged.is_empty() && staged.contains(&staged_name(number)) {
                    scattered.insert(parent);
                }
            }
        }
        let mut new: HashSet<&[u8]> = HashSet::new();
        let mut is_fit = false;
        for (number, entry) in (0_u32..).zip(&manifest.entries) {
            if entry.kind != Kind::Directory {
                continue;
            }
            let (parent, own_name) = metadata::split(&entry.path);
            let is_new = if parent.is_empty() {
                match destination.metadata(own_name) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => true,
                    found => found.map(|_| false)?,
                }
            } else {
                new.contains(parent)
            };
            if is_new {
                new.insert(&entry.path);
            }
            let is_left = staged.contains(&name(number));
            let has_several = small
                .get(&entry.path[..])
                .is_some_and(|files| *files >= FILES_MIN);
            let may_be = is_new && has_several && room > 0 && !scattered.contains(&entry.path[..]);
            if !may_be && !is_left {
                continue;
            }
            if !is_left {
                room -= 1;
            }
            if !is_fit && !is_fit_for_nests(staging) {
                return Ok(Self::default());
            }
            is_fit = true;
            nests.numbers.insert(entry.path.clone(), number);
            if !is_new {
                nests.left.insert(number);
            }
        }
        Ok(nests)
    }

    /// Whether the nest `number` may become its directory.
    pub(super) fn may_move(&self, number: u32) -> bool {
        !self.left.contains(&number)
    }

    /// The nest that `entry` is staged in, if it is a file that comes in one piece into a directory that has one.
    pub(super) fn number_for(&self, entry: &Entry) -> Option<u32> {
        if self.numbers.is_empty() || !is_small(entry) {
            return None;
        }
        self.numbers.get(metadata::split(&entry.path).0).copied()
    }

    /// The nest `number`, made if need be.
    pub(super) fn make(&self, staging: &Directory, number: u32) -> io::Result<Arc<Nest>> {
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
    pub(super) fn open(&self, staging: &Directory, number: u32) -> io::Result<Arc<Nest>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let known = open.iter().rposition(|(known, _)| *known == number);
        let nest = match known {
            Some(position) => open.remove(position).1,
            None => Arc::new(Nest {
                directory: staging.open_beneath(&name(number))?,
                made: Mutex::default(),
            }),
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
    let digits = name.strip_suffix(NAME_SUFFIX);
    digits.is_some_and(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

/// Whether `entry` is a file that comes in one piece.
fn is_small(entry: &Entry) -> bool {
    matches!(entry.kind, Kind::File { .. })
        && entry.size() <= BLOCK_SIZE.into()
        && entry.data_bytes() > 0
}

/// Removes the nest with that name and what is in it, but for files that are `wanted`; with one of those it stays.
pub(super) fn clear(
    staging: &Directory,
    name: &[u8],
    wanted: impl Fn(&[u8]) -> bool,
) -> io::Result<()> {
    let nest = match staging.open_beneath(name) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return Ok(staging.remove_file(name)?);
        }
        nest => nest?,
    };
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

/// Whether `staging` tells all names apart, as of two that are one there the second would take the place of the first
/// unnoticed, and can rename without replacement. Not, where nobody can tell.
fn is_fit_for_nests(staging: &Directory) -> bool {
    let [made, others @ ..] = PROBES;
    // Of an attempt that was killed just here.
    let _none = staging.remove_file(made);
    if staging.create_exclusive(made, 0o600).is_err() {
        return false;
    }
    let is_absent = |name: &[u8]| {
        let found = staging.metadata(name);
        found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    };
    let tells_apart = others.into_iter().all(is_absent);
    let moved = name(u32::MAX);
    let can_rename = tells_apart
        && renameat_with(staging, made, staging, &moved[..], RenameFlags::NOREPLACE).is_ok();
    let name = if can_rename { &moved[..] } else { made };
    staging.remove_file(name).is_ok() && can_rename
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// So many directories, each with so many small files.
    fn manifest(directories: u32, files: u32) -> Manifest {
        let entry = |path: String, kind| Entry {
            path: path.into_bytes(),
            kind,
            ..Entry::default()
        };
        let entries = (0..directories).flat_map(|number| {
            let file = move |file| entry(format!("{number:05}/{file}"), Kind::File { size: 1 });
            let directory = entry(format!("{number:05}"), Kind::Directory);
            std::iter::once(directory).chain((0..files).map(file))
        });
        Manifest {
            entries: entries.collect(),
            ..Manifest::default()
        }
    }

    fn planned(manifest: &Manifest, nests_max: usize) -> usize {
        let (destination, staging) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let open = |folder: &TempDir| Directory::open(folder.path()).unwrap();
        let (destination, staging) = (open(&destination), open(&staging));
        // Of an earlier attempt, and of another directory: it takes up room.
        staging.create_directory(&name(999_999), NEST_MODE).unwrap();
        let nests = Nests::plan_some(manifest, &destination, &staging, nests_max).unwrap();
        assert_eq!(staging.entries().unwrap().len(), 1, "no probe stays");
        nests.numbers.len()
    }

    #[test]
    fn a_directory_of_few_files_has_no_nest_and_their_number_is_bounded() {
        assert_eq!(planned(&manifest(10, FILES_MIN), 100), 10);
        assert_eq!(planned(&manifest(10, FILES_MIN - 1), 100), 0);
        assert_eq!(planned(&manifest(10, FILES_MIN), 7), 6);
        assert_eq!(planned(&Manifest::default(), 7), 0);
    }

    #[test]
    fn names_of_nests_are_told_from_others() {
        assert!(is_nest(&name(0)) && is_nest(&name(u32::MAX)));
        for other in ["-nest", "1", "1-apart", "x1-nest", "lock", "1-nest2"] {
            assert!(!is_nest(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn the_probe_of_an_attempt_that_was_killed_is_in_nobodys_way() {
        let staging = TempDir::new().unwrap();
        let directory = Directory::open(staging.path()).unwrap();
        let _left = directory.create_exclusive(PROBES[0], 0o600).unwrap();
        assert!(is_fit_for_nests(&directory));
        assert_eq!(directory.entries().unwrap().len(), 0);
    }
}
