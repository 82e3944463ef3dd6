//! Going through whatever is below a name, the deepest first: at any depth with a bounded number of
//! descriptors, and without recursion.
//!
//! Never through a link, and never into what is mounted there. What is done with what is found, `remove`
//! decides.

use std::io;
use std::os::fd::AsRawFd;

use grappe_os::file::{Directory, Kind, Metadata};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};

use super::metadata;

/// Directories of the way down that stay open. Those above them are opened again on the way back, so that
/// no depth that others make can use up the descriptors of this process.
const OPEN_MAX: usize = 32;

/// What is done on the way.
pub(super) trait Visitor {
    /// Whether `path`, which is in `directory`, is left alone, and with it every directory that it is in.
    fn spares(&mut self, directory: &Directory, path: &[u8]) -> bool;

    /// Something is mounted at `path`, and left alone unless this fails.
    fn mounted(&mut self, path: &[u8]) -> io::Result<()>;

    /// The directory `inner` is about to be listed.
    fn enter(&mut self, inner: &Directory, found: &Metadata);

    /// The directory `inner` stays as it was `found` before it was entered, but for what is below it.
    fn stay(&mut self, inner: &Directory, found: &Metadata);

    /// All below `path`, which is in `directory`, was visited; `stays` says whether any of it stays.
    fn leave(
        &mut self,
        directory: &Directory,
        path: &[u8],
        found: &Metadata,
        stays: bool,
    ) -> io::Result<()>;
}

/// A directory on the way down.
struct Level {
    /// None while it is closed.
    directory: Option<Directory>,
    found: Metadata,
    /// Of its path in the manifest.
    path_bytes: usize,
    /// The names in it that are still to be visited.
    pending: Vec<Vec<u8>>,
    stays: bool,
}

/// Visits `path`, which is in `directory`, after everything below it. Says whether it stays, as something in
/// it does; what went meanwhile is no error.
pub(super) fn descend(
    directory: &Directory,
    path: &[u8],
    visitor: &mut dyn Visitor,
) -> io::Result<bool> {
    let mut way = Way {
        top: directory,
        path: path.to_vec(),
        levels: Vec::new(),
    };
    let result = walk(&mut way, visitor);
    if result.is_err() {
        // Whatever was entered stays then.
        for level in way.levels.iter().rev() {
            if let Some(inner) = &level.directory {
                visitor.stay(inner, &level.found);
            }
        }
    }
    result
}

fn walk(way: &mut Way<'_>, visitor: &mut dyn Visitor) -> io::Result<bool> {
    let mut stays = way.visit(visitor)?;
    while let Some(level) = way.levels.last_mut() {
        way.path.truncate(level.path_bytes);
        if let Some(name) = level.pending.pop() {
            way.path.push(b'/');
            way.path.extend_from_slice(&name);
            let inner = way.levels.last().and_then(|it| it.directory.as_ref());
            let is_spared = inner.is_some_and(|inner| visitor.spares(inner, &way.path));
            if is_spared || way.visit(visitor)? {
                // Neither is a new level: the last one is still that which it is in.
                if let Some(level) = way.levels.last_mut() {
                    level.stays = true;
                }
            }
            continue;
        }
        stays = way.leave(visitor)?;
    }
    Ok(stays)
}

struct Way<'a> {
    top: &'a Directory,
    path: Vec<u8>,
    levels: Vec<Level>,
}

impl Way<'_> {
    /// Visits what is at the path. A directory becomes the last level; anything else is done with. Says
    /// whether it stays.
    fn visit(&mut self, visitor: &mut dyn Visitor) -> io::Result<bool> {
        let parent = match self.levels.last() {
            Some(level) => level.directory.as_ref().unwrap_or(self.top),
            None => self.top,
        };
        let (_, name) = metadata::split(&self.path);
        let Some(found) = present(parent, name)? else {
            return Ok(false);
        };
        let is_directory = found.kind == Kind::Directory;
        if is_mounted(parent, name, &found)? {
            visitor.mounted(&self.path)?;
            return Ok(true);
        }
        if !is_directory {
            visitor.leave(parent, &self.path, &found, false)?;
            return Ok(false);
        }
        let inner = parent.open_beneath(name)?;
        if !is_same_mount(parent, &inner)? {
            visitor.mounted(&self.path)?;
            return Ok(true);
        }
        let found = inner.own_metadata()?;
        visitor.enter(&inner, &found);
        let level = Level {
            pending: inner.entries()?,
            found,
            directory: Some(inner),
            path_bytes: self.path.len(),
            stays: false,
        };
        if let Some(far) = self.levels.len().checked_sub(OPEN_MAX) {
            self.levels[far].directory = None;
        }
        self.levels.push(level);
        Ok(false)
    }

    /// Is done with the last level. Says whether it stays.
    fn leave(&mut self, visitor: &mut dyn Visitor) -> io::Result<bool> {
        let Some(level) = self.levels.pop() else {
            return Ok(false);
        };
        if let (Some(parent), Some(inner)) = (self.levels.last_mut(), &level.directory)
            && parent.directory.is_none()
        {
            parent.directory = Some(open_parent(inner, &parent.found)?);
        }
        if let Some(inner) = level.directory.filter(|_| level.stays) {
            visitor.stay(&inner, &level.found);
        }
        let parent = self.levels.last().and_then(|it| it.directory.as_ref());
        visitor.leave(
            parent.unwrap_or(self.top),
            &self.path,
            &level.found,
            level.stays,
        )?;
        if let Some(parent) = self.levels.last_mut() {
            parent.stays |= level.stays;
        }
        Ok(level.stays)
    }
}

/// Opens again the directory that `inner` is in: only the one that was listed will do, not one that `inner`
/// was moved to meanwhile.
fn open_parent(inner: &Directory, listed: &Metadata) -> io::Result<Directory> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let above = rustix::fs::openat(inner, "..", flags, Mode::empty())?;
    // By its descriptor: the way to it may be longer than any path.
    let parent = Directory::open(format!("/proc/self/fd/{}", above.as_raw_fd()).as_ref())?;
    let found = parent.own_metadata()?;
    if (found.device, found.inode) != (listed.device, listed.inode) {
        return Err(io::Error::other("a directory was moved meanwhile"));
    }
    Ok(parent)
}

/// What is under this name; nothing when it went meanwhile.
fn present(directory: &Directory, name: &[u8]) -> io::Result<Option<Metadata>> {
    match directory.metadata(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => Ok(Some(found?)),
    }
}

/// Whether both are on one mount, which a bind mount of the same file system is not. Asked of the open
/// directories, so that no mount can come between question and use. A kernel before 5.8 does not number
/// mounts: there the file system alone counts.
pub(super) fn is_same_mount(one: &Directory, other: &Directory) -> io::Result<bool> {
    if one.device_id()? != other.device_id()? {
        return Ok(false);
    }
    let numbers = mount_of(one, b"").zip(mount_of(other, b""));
    Ok(numbers.is_none_or(|(one, other)| one == other))
}

/// Whether what was `found` as `name` in `parent` is on another file system or mount, so that nothing can be moved
/// there. The number of the file system does not tell by itself: in an overlay, files may have another one than
/// directories (`Documentation/filesystems/overlayfs.rst`), and a bind mount has the same. Of files from this very file
/// system it is not asked, which would cost each of them two calls: such a one is met when it is to be replaced.
pub(super) fn is_mounted(parent: &Directory, name: &[u8], found: &Metadata) -> io::Result<bool> {
    let is_other = found.device != parent.device_id()?;
    if is_other == (found.kind == Kind::Directory) {
        return Ok(is_other);
    }
    let mounts = mount_of(parent, b"").zip(mount_of(parent, name));
    Ok(mounts.map_or(is_other, |(own, there)| own != there))
}

/// The number of the mount that `name` in `directory`, or without a name the directory itself, is on.
fn mount_of(directory: &Directory, name: &[u8]) -> Option<u64> {
    let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    if name.is_empty() {
        flags |= AtFlags::EMPTY_PATH;
    }
    let found = rustix::fs::statx(directory, name, flags, StatxFlags::MNT_ID).ok()?;
    let has_it = found.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    has_it.then_some(found.stx_mnt_id)
}
