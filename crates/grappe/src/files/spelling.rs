//! The names of a manifest, directory by directory, and names that lead to one file though they are
//! spelt differently, as on file systems that fold case.
//!
//! What follows from that is decided in `remove` and `place`.

use std::collections::{HashMap, HashSet};
use std::io;

use grappe_os::file::{Directory, Metadata};
use grappe_proto::content::manifest::{Entry, Manifest};

use super::metadata;

/// The paths of a manifest, to be asked for one by one or by their directory; four bytes each.
pub(super) struct Known<'a> {
    manifest: &'a Manifest,
    sorted: Vec<u32>,
}

impl<'a> Known<'a> {
    pub(super) fn new(manifest: &'a Manifest) -> Self {
        let mut sorted: Vec<u32> = (0..manifest.entries.len() as u32).collect();
        sorted.sort_unstable_by_key(|entry| place_of(manifest, *entry));
        Self { manifest, sorted }
    }

    pub(super) fn contains(&self, path: &[u8]) -> bool {
        let wanted = metadata::split(path);
        let place = |entry: &u32| place_of(self.manifest, *entry);
        self.sorted
            .binary_search_by(|entry| place(entry).cmp(&wanted))
            .is_ok()
    }

    /// The names in the directory at `path`.
    fn names_in(&self, path: &[u8]) -> impl Iterator<Item = &'a [u8]> {
        let manifest = self.manifest;
        let first = self
            .sorted
            .partition_point(|entry| place_of(manifest, *entry).0 < path);
        let rest = self.sorted[first..].iter();
        let places = rest.map(move |entry| place_of(manifest, *entry));
        let path = path.to_vec();
        places
            .take_while(move |(parent, _)| *parent == path)
            .map(|(_, name)| name)
    }
}

/// The directory of an entry, and its name there.
fn place_of(manifest: &Manifest, entry: u32) -> (&[u8], &[u8]) {
    metadata::split(&manifest.entries[entry as usize].path)
}

/// What in the directory at `path` has names of the manifest that are not among the `listed` ones: each is
/// listed under another spelling. None where names are what they are.
pub(super) fn respelt(
    directory: &Directory,
    path: &[u8],
    listed: &[Vec<u8>],
    known: &Known<'_>,
) -> io::Result<Vec<Metadata>> {
    let listed: HashSet<&[u8]> = listed.iter().map(|name| &name[..]).collect();
    let mut found = Vec::new();
    for name in known.names_in(path).filter(|name| !listed.contains(name)) {
        match directory.metadata(name) {
            Ok(there) => found.push(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(found)
}

/// Whether both may be one and the same. Some file systems that fold case number what is asked for under
/// each spelling anew; what is the same is alike in all else.
pub(super) fn may_be_same(one: &Metadata, other: &Metadata) -> bool {
    let other_numbered_as_one = Metadata {
        inode: one.inode,
        ..*other
    };
    *one == other_numbered_as_one || (one.device, one.inode) == (other.device, other.inode)
}

/// Finds the spelling among `names`, which are all in `directory`, of what is `found` there under `name`, which
/// is none of them.
fn listed_as<'a>(
    directory: &Directory,
    name: &[u8],
    found: &Metadata,
    names: &'a [Vec<u8>],
) -> Option<&'a [u8]> {
    let folded = |name: &[u8]| String::from_utf8_lossy(name).to_lowercase();
    let wanted = folded(name);
    let mut alike = None;
    for listed in names {
        let Ok(there) = directory.metadata(listed) else {
            continue;
        };
        if (there.device, there.inode) == (found.device, found.inode) {
            return Some(listed);
        }
        if may_be_same(&there, found) && folded(listed) == wanted {
            alike = Some(&listed[..]);
        }
    }
    alike
}

/// Which names are taken while entries are placed.
#[derive(Default)]
pub(super) struct Names<'a> {
    listings: Listings,
    /// Made when the first name is found to be listed otherwise.
    known: Option<Known<'a>>,
    /// Paths as they are listed that no entry has, and the entry that each was found for.
    given: HashMap<Vec<u8>, &'a [u8]>,
}

impl<'a> Names<'a> {
    /// The path of another entry of `manifest` for which the thing with the name of `entry`, in `directory`, is
    /// there or may come.
    pub(super) fn taken(
        &mut self,
        manifest: &'a Manifest,
        directory: &Directory,
        entry: &'a Entry,
    ) -> io::Result<Option<Vec<u8>>> {
        let (parent, name) = metadata::split(&entry.path);
        if self.listings.contains(directory, parent, name)? {
            return Ok(None);
        }
        let found = match directory.metadata(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            found => found?,
        };
        let names = directory.entries()?;
        if names.iter().any(|listed| listed == name) {
            // It came since.
            return Ok(None);
        }
        let Some(listed) = listed_as(directory, name, &found, &names) else {
            return Ok(None);
        };
        let path = if parent.is_empty() {
            listed.to_vec()
        } else {
            [parent, b"/", listed].concat()
        };
        let known = self.known.get_or_insert_with(|| Known::new(manifest));
        if known.contains(&path) {
            return Ok(Some(path));
        }
        let first = *self.given.entry(path).or_insert(&entry.path);
        Ok((first != &entry.path[..]).then(|| first.to_vec()))
    }
}

/// The names in directories, as they were when they were first asked for.
#[derive(Default)]
struct Listings {
    /// The most recently used last.
    known: Vec<(Vec<u8>, HashSet<Vec<u8>>)>,
}

/// Directories whose names are kept: enough to come back up from a few levels of subdirectories.
const LISTINGS_MAX: usize = 8;

impl Listings {
    /// Whether `name` was in `directory`, which is at `path`, in that very spelling.
    fn contains(&mut self, directory: &Directory, path: &[u8], name: &[u8]) -> io::Result<bool> {
        let known = self.known.iter().rposition(|(known, _)| known == path);
        let listing = match known {
            Some(position) => self.known.remove(position),
            None => (path.to_vec(), directory.entries()?.into_iter().collect()),
        };
        if self.known.len() >= LISTINGS_MAX {
            self.known.remove(0);
        }
        let is_in = listing.1.contains(name);
        self.known.push(listing);
        Ok(is_in)
    }
}
