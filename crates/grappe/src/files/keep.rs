//! What is there and stays, once everything else is about to be placed: whether it is still what it was, and
//! its metadata.
//!
//! Not here: which files may stay (`survey`), and whether their content is the same (`incoming`).

use std::collections::HashSet;
use std::io;

use grappe_os::file::{Directory, Kind as Found, Metadata, Node};
use grappe_proto::content::manifest::{Entry, Kind};

use super::held::Held;
use super::incoming::Incoming;
use super::metadata::Dress;
use super::root::Stamp;
use super::survey::Keep;

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

/// Keeps what is there in one copy.
#[derive(Debug, Default)]
pub(super) struct Keeper {
    /// Files with other names, by device and number, that got another time here under one of them.
    adjusted: HashSet<(u64, u64)>,
}

impl Keeper {
    /// Leaves the file `name` in `directory` where it is, and gives it the metadata of entry `index`.
    pub(super) fn file(
        &mut self,
        incoming: &Incoming,
        directory: &Directory,
        name: &[u8],
        index: u32,
    ) -> io::Result<()> {
        let (entry, dress) = (incoming.entry(index), &incoming.dress);
        let keep = incoming.keep_of(index);
        if keep == Keep::ByTime {
            let found = directory.metadata(name)?;
            let fits = is_as_told(&found, entry) && dress.suits(directory, name, &found, entry);
            // Nothing is to be changed: it need not even be opened.
            if fits && Dress::is_as_old(&found, entry) {
                return Ok(());
            }
        }
        let held = Held::file(directory, name)?;
        let (found, stamp) = (held.metadata(), held.stamp());
        let is_adjusted = self.adjusted.contains(&(found.device, found.inode));
        let is_same = match (keep, incoming.compared(index)) {
            (Keep::ByHash, Some(then)) => is_adjusted || then.is_still(&stamp),
            (Keep::ByHash, None) => false,
            _ => is_adjusted || Dress::is_as_old(&found, entry),
        };
        let suits = dress.suits_held(&held, entry);
        if !is_same || !is_as_told(&found, entry) || !suits && dress.gives_powers(entry) {
            return Err(io::Error::other("it changed here during the copy"));
        }
        if !suits || !Dress::is_as_old(&found, entry) {
            dress.adjust(&held, entry)?;
            if held.has_other_names() {
                self.adjusted.insert((found.device, found.inode));
            }
        }
        Ok(())
    }

    /// Whether `name` in `directory` is a link, device, pipe or socket as `entry` is; then it gets the same
    /// time.
    pub(super) fn node(
        incoming: &Incoming,
        directory: &Directory,
        name: &[u8],
        entry: &Entry,
    ) -> bool {
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
        let may_stay = is_alike
            && incoming.dress.belongs(&found, entry)
            && !incoming.dress.gives_powers(entry);
        may_stay && (Dress::is_as_old(&found, entry) || held.set_mtime(entry.mtime).is_ok())
    }
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
