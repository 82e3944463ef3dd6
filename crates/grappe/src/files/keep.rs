//! What is there and stays, once everything else is about to be placed: whether it is still what it was, and
//! its metadata.
//!
//! Not here: which files may stay (`survey`), and whether their content is the same (`incoming`).

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use grappe_os::file::{Directory, Kind as Found, Metadata, Node};
use grappe_proto::content::manifest::{Entry, Extent, Kind};

use super::held::Held;
use super::holes;
use super::incoming::Incoming;
use super::metadata::Dress;
use super::root::Stamp;
use super::survey::Keep;
use super::walk::WalkWatch;

/// A file as it was while its content was compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    stamp: Stamp,
    has_other_names: bool,
}

impl Compared {
    pub(super) fn new(stat: &rustix::fs::Stat) -> Self {
        Self {
            stamp: Stamp::new(stat),
            has_other_names: stat.st_nlink > 1,
        }
    }

    /// Whether nobody wrote to it since. What becomes of its other names changes the time of its own last
    /// change, which then says nothing.
    fn is_still(&self, now: &Stamp) -> bool {
        *now == self.stamp || self.has_other_names && now.is_same_content(&self.stamp)
    }
}

/// A file that stays.
#[derive(Debug)]
pub(super) enum Kept {
    /// It has the metadata that it is to have.
    Whole,
    /// Its content stays, in a file of its own: it is to have other metadata, and has other names that are to
    /// keep theirs, or another owner, who may have it open for writing.
    Apart(Held),
}

/// Leaves the file `name` in `directory` where it is, and gives it the metadata of entry `index`, unless it
/// has other names or another owner.
pub(super) fn file(
    incoming: &Incoming,
    directory: &Directory,
    name: &[u8],
    index: u32,
) -> io::Result<Kept> {
    let (entry, dress) = (incoming.entry(index), &incoming.dress);
    let keep = incoming.keep_of(index);
    if keep == Keep::ByTime {
        let found = directory.metadata(name)?;
        let fits = is_as_told(&found, entry) && dress.suits(directory, name, &found, entry);
        // Nothing is to be changed: it need not even be opened.
        if fits && Dress::is_as_old(&found, entry) {
            return Ok(Kept::Whole);
        }
    }
    let held = Held::file(directory, name)?;
    let (found, stamp) = (held.metadata(), held.stamp());
    let is_same = match (keep, incoming.compared(index)) {
        (Keep::ByHash, Some(then)) => then.is_still(&stamp),
        (Keep::ByHash, None) => false,
        _ => Dress::is_as_old(&found, entry),
    };
    let suits = dress.suits_held(&held, entry);
    if !is_same || !is_as_told(&found, entry) || !suits && dress.gives_powers(entry) {
        return Err(changed());
    }
    if suits && Dress::is_as_old(&found, entry) {
        return Ok(Kept::Whole);
    }
    let owner = dress.owner(entry);
    let changes_owner = owner.is_some_and(|owner| owner != (found.uid, found.gid));
    if changes_owner || held.has_other_names() {
        return Ok(Kept::Apart(held));
    }
    dress.adjust(&held, entry)?;
    Ok(Kept::Whole)
}

/// Copies the content of a file that is kept to `to`, which is empty.
pub(super) fn copy_apart(held: &Held, to: &File) -> io::Result<()> {
    let Some(from) = held.readable() else {
        return Err(io::ErrorKind::PermissionDenied.into());
    };
    if copy_content(from, to, &held.stamp(), &WalkWatch::default())? {
        Ok(())
    } else {
        Err(changed())
    }
}

/// Bytes that are copied before it is looked whether anybody still wants them.
const COPIED_AT_ONCE: u64 = 64 << 20;

/// Copies the content of `from` to `to`, which is empty, holes as holes; says whether nobody wrote to it since it was
/// as in `then`. Fails soon once `watch` is stopped.
pub(super) fn copy_content(
    mut from: &File,
    to: &File,
    then: &Stamp,
    watch: &WalkWatch,
) -> io::Result<bool> {
    let stat = rustix::fs::fstat(from)?;
    to.set_len(stat.st_size.unsigned_abs())?;
    let whole = || {
        vec![Extent {
            offset: 0,
            len: stat.st_size.unsigned_abs(),
        }]
    };
    let mut to = to;
    for extent in holes::find(from, &stat)?.unwrap_or_else(whole) {
        from.seek(SeekFrom::Start(extent.offset))?;
        to.seek(SeekFrom::Start(extent.offset))?;
        let mut left = extent.len;
        while left > 0 {
            if watch.is_stopped() {
                return Err(io::Error::other("nobody wants it any more"));
            }
            let copied = io::copy(&mut from.take(left.min(COPIED_AT_ONCE)), &mut to)?;
            // Where it ends early, somebody cut it.
            left = if copied == 0 { 0 } else { left - copied };
        }
    }
    let now = Stamp::new(&rustix::fs::fstat(from)?);
    // What becomes of its other names is no change of this one.
    Ok(now.is_same_content(then))
}

fn changed() -> io::Error {
    io::Error::other("it changed here during the copy")
}

/// Whether `name` in `directory` is a link, device, pipe or socket as `entry` is; then it gets the same
/// time.
pub(super) fn node(incoming: &Incoming, directory: &Directory, name: &[u8], entry: &Entry) -> bool {
    let Ok(held) = Held::anything(directory, name) else {
        return false;
    };
    let found = held.metadata();
    let is_alike = match (&entry.kind, found.kind) {
        (Kind::Symlink { target }, Found::Symlink) => {
            held.target().is_ok_and(|found| found == *target)
        }
        (kind, _) => node_of(kind).is_some() && node_of(kind) == node_found(&found),
    };
    let may_stay =
        is_alike && incoming.dress.belongs(&found, entry) && !incoming.dress.gives_powers(entry);
    may_stay && (Dress::is_as_old(&found, entry) || held.set_mtime(entry.mtime).is_ok())
}

/// Whether what is `found` is a file as long as that of `entry`.
fn is_as_told(found: &Metadata, entry: &Entry) -> bool {
    found.kind == Found::File && found.size == entry.size()
}

/// The device, pipe or socket that an entry is, if it is one.
pub(super) const fn node_of(kind: &Kind) -> Option<Node> {
    match *kind {
        Kind::Device {
            is_block,
            major,
            minor,
        } => Some(Node::Device {
            is_block,
            major,
            minor,
        }),
        Kind::Fifo => Some(Node::Fifo),
        Kind::Socket => Some(Node::Socket),
        _ => None,
    }
}

const fn node_found(found: &Metadata) -> Option<Node> {
    match found.kind {
        Found::Device => {
            let (is_block, major, minor) = found.node;
            Some(Node::Device {
                is_block,
                major,
                minor,
            })
        }
        Found::Fifo => Some(Node::Fifo),
        Found::Socket => Some(Node::Socket),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_copy_of_what_somebody_writes_to_meanwhile_is_known_for_one() {
        let folder = tempfile::TempDir::new().unwrap();
        let open = |name: &str| {
            let mut options = File::options();
            let options = options.read(true).write(true).create(true);
            options.open(folder.path().join(name)).unwrap()
        };
        let (mut from, to) = (open("from"), open("to"));
        from.write_all(b"content").unwrap();
        let then = Stamp::new(&rustix::fs::fstat(&from).unwrap());
        let watch = WalkWatch::default();
        assert!(copy_content(&from, &to, &then, &watch).unwrap());
        assert_eq!(std::fs::read(folder.path().join("to")).unwrap(), b"content");
        from.write_all(b" and more").unwrap();
        assert!(!copy_content(&from, &to, &then, &watch).unwrap());
        watch.stop();
        assert!(copy_content(&from, &to, &then, &watch).is_err());
    }
}
