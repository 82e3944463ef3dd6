//! Permissions, owners, attributes, times and names of entries, as both ends of a copy understand them.
//!
//! Where entries stand and when they get their metadata is decided in `incoming` and `place`.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use grappe_os::file::{
    self, Access, Directory, FileError, changed_at, set_attributes, set_file_mode, set_file_owner,
};
use grappe_proto::content::manifest::{Entry, Manifest, Owner};
use rustix::io::Errno;

use super::error::kernel_answer;
use super::held::Held;

/// Permission bits that travel by themselves. Setuid, setgid and sticky travel only where both sides
/// want them: at the receiver the file may belong to somebody else, for whom nobody asked for such powers.
pub(super) const MODE_MASK: u32 = 0o777;

/// All twelve bits.
pub(super) const MODE_MASK_ALL: u32 = 0o7777;

/// The bits beyond [`MODE_MASK`] that give powers: setuid and setgid.
pub(super) const MODE_POWERS: u32 = 0o6000;

/// The bit that the kernel leaves out, without an error, where the caller is not of the file's group and lacks
/// `CAP_FSETID` (chmod(2)).
const SETGID: u32 = 0o2000;

/// Lets a file's owner write to it.
const OWNER_WRITE: u32 = 0o200;

/// An attribute that gives powers as setuid does (capabilities(7)).
pub(super) const CAPABILITY: &[u8] = b"security.capability";

/// Whether an attribute of this name travels where attributes do; `is_root` sees those that only root can
/// set, `has_powers` those that make a program more powerful than who runs it.
pub(super) fn travels(name: &[u8], is_root: bool, has_powers: bool) -> bool {
    match name {
        b"system.posix_acl_access" | b"system.posix_acl_default" => true,
        CAPABILITY => has_powers,
        _ => name.starts_with(b"user.") || is_root && name.starts_with(b"trusted."),
    }
}

/// Whether this process may give files to others.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// How entries of one copy get their metadata at a receiver.
#[derive(Debug, Default)]
pub(super) struct Dress {
    /// For each owner of the manifest its numbers here; none where this process gives nothing to others.
    owners: Option<Vec<(u32, u32)>>,
    /// Attributes are those of the copy, no others.
    attributes: bool,
    is_root: bool,
    has_powers: bool,
}

impl Dress {
    pub(super) fn new(manifest: &Manifest, has_powers: bool) -> Self {
        let is_root = is_root();
        Self {
            owners: is_root.then(|| manifest.owners.iter().map(numbers_here).collect()),
            attributes: manifest.terms.attributes,
            is_root,
            has_powers,
        }
    }

    /// The permission bits that `entry` gets.
    pub(super) fn mode(&self, entry: &Entry) -> u32 {
        entry.mode & self.mode_mask()
    }

    /// The permission bits that the copy decides about.
    pub(super) const fn mode_mask(&self) -> u32 {
        if self.has_powers {
            MODE_MASK_ALL
        } else {
            MODE_MASK
        }
    }

    /// Whose `entry` becomes, when that is for the copy to say.
    pub(super) fn owner(&self, entry: &Entry) -> Option<(u32, u32)> {
        self.owners.as_ref()?.get(entry.owner? as usize).copied()
    }

    /// Gives `file` all metadata of `entry`.
    pub(super) fn file(&self, file: &File, entry: &Entry) -> io::Result<()> {
        // In this order: a new owner costs setuid bits and capabilities, an access list changes the mode.
        if let Some((uid, gid)) = self.owner(entry) {
            given_away(set_file_owner(file, uid, gid), (uid, gid))?;
        }
        if self.attributes {
            set_attributes(file, entry.attributes(), |name| self.is_ours(name))?;
        }
        let mode = self.mode(entry);
        set_file_mode(file, mode)?;
        has_setgid(mode, || Ok(rustix::fs::fstat(file)?.st_mode))?;
        set_time(file, entry)
    }

    /// The same for a file that was just made, which has nothing that must go: what it has already, `made`, is not set.
    pub(super) fn new_file(&self, file: &File, entry: &Entry, made: Made) -> io::Result<()> {
        let is_owned = self.owner(entry).is_none_or(|owner| owner == made.owner);
        let is_dressed = made.mode == self.mode(entry);
        if self.attributes || !is_owned || !is_dressed {
            return self.file(file, entry);
        }
        set_time(file, entry)
    }

    /// Gives the new link, device, pipe or socket `name` in `directory` the metadata of `entry`.
    pub(super) fn node(
        &self,
        directory: &Directory,
        name: &[u8],
        entry: &Entry,
        is_link: bool,
    ) -> io::Result<()> {
        if let Some((uid, gid)) = self.owner(entry) {
            given_away(directory.set_owner(name, uid, gid), (uid, gid))?;
        }
        if !is_link {
            directory.set_mode_of(name, self.mode(entry))?;
        }
        Ok(directory.set_mtime(name, entry.mtime.0, entry.mtime.1)?)
    }

    /// Gives `directory` the owner, attributes and permissions of `entry`, as far as they differ: it may
    /// have been there and belong to somebody else. Setuid, setgid and sticky bits that do not travel stay, but for a
    /// setgid bit that the kernel takes away with every change (see [`SETGID`]).
    pub(super) fn directory(&self, directory: &Directory, entry: &Entry) -> io::Result<()> {
        let found = directory.own_metadata()?;
        if let Some((uid, gid)) = self.owner(entry)
            && (uid, gid) != (found.uid, found.gid)
        {
            given_away(directory.set_own_owner(uid, gid), (uid, gid))?;
        }
        if self.attributes && !self.has_attributes(directory, entry)? {
            set_attributes(directory, entry.attributes(), |name| self.is_ours(name))?;
        }
        let found = directory.own_metadata()?;
        let mode = (found.mode & !self.mode_mask()) | self.mode(entry);
        if mode == found.mode {
            return Ok(());
        }
        directory.set_mode(mode)?;
        has_setgid(self.mode(entry), || Ok(directory.own_metadata()?.mode))
    }

    /// Whether `name` in `directory`, of which `found` is known, has the owner, permissions and attributes of
    /// `entry`; its content is not looked at.
    pub(super) fn suits(
        &self,
        directory: &Directory,
        name: &[u8],
        found: &file::Metadata,
        entry: &Entry,
    ) -> bool {
        let has_attributes = || {
            let opened: Result<bool, FileError> = match found.kind {
                file::Kind::File => directory
                    .open_file(name, Access::Read)
                    .and_then(|file| self.has_attributes(file, entry)),
                file::Kind::Directory => directory
                    .open_beneath(name)
                    .and_then(|inner| self.has_attributes(inner, entry)),
                _ => Ok(true),
            };
            opened.unwrap_or(false)
        };
        self.belongs(found, entry) && (!self.attributes || has_attributes())
    }

    /// Whether what is `found` was last changed when `entry` was.
    pub(super) fn is_as_old(found: &file::Metadata, entry: &Entry) -> bool {
        entry.mtime == (found.mtime_seconds, found.mtime_nanos)
    }

    /// Whether what is `found` has the owner and the permissions of `entry`.
    pub(super) fn belongs(&self, found: &file::Metadata, entry: &Entry) -> bool {
        let is_link = found.kind == file::Kind::Symlink;
        let is_owned = self
            .owner(entry)
            .is_none_or(|owner| owner == (found.uid, found.gid));
        is_owned && (is_link || found.mode & self.mode_mask() == self.mode(entry))
    }

    /// As [`Dress::suits`], for the file that is `held`.
    pub(super) fn suits_held(&self, held: &Held, entry: &Entry) -> bool {
        let has_attributes = || {
            let file = held.readable();
            file.is_some_and(|file| self.has_attributes(file, entry).unwrap_or(false))
        };
        self.belongs(&held.metadata(), entry) && (!self.attributes || has_attributes())
    }

    /// Gives the file that is `held`, whose content stays, the metadata of `entry`.
    pub(super) fn adjust(&self, held: &Held, entry: &Entry) -> io::Result<()> {
        match held.readable() {
            Some(file) if self.attributes => {
                // Attributes of a user can be set only where its owner may write (xattr(7)).
                let mode = held.mode_now()?;
                let opens = mode & OWNER_WRITE == 0 && held.set_mode(mode | OWNER_WRITE).is_ok();
                let adjusted = self.file(file, entry);
                if adjusted.is_err() && opens {
                    held.set_mode(mode)?;
                }
                adjusted
            }
            Some(file) => self.file(file, entry),
            None if self.attributes => Err(Errno::ACCESS.into()),
            None => {
                if let Some((uid, gid)) = self.owner(entry) {
                    given_away(held.set_owner(uid, gid), (uid, gid))?;
                }
                let mode = self.mode(entry);
                held.set_mode(mode)?;
                has_setgid(mode, || held.mode_now())?;
                held.set_mtime(entry.mtime)
            }
        }
    }

    /// Whether `entry` gets powers here beyond those of whoever runs it: setuid, setgid or capabilities. What
    /// does not have them yet may be open for writing to whoever it belongs to, and is never given them.
    pub(super) fn gives_powers(&self, entry: &Entry) -> bool {
        let has_capabilities = || {
            let mut attributes = entry.attributes().iter();
            attributes.any(|(name, _)| name == CAPABILITY)
        };
        self.has_powers && (entry.mode & MODE_POWERS != 0 || self.attributes && has_capabilities())
    }

    fn has_attributes(
        &self,
        file: impl std::os::fd::AsFd,
        entry: &Entry,
    ) -> Result<bool, FileError> {
        let found = file::attributes(file, |name| self.is_ours(name))?;
        // Those that this node may not set are not missed.
        let wanted = entry.attributes().iter();
        let mut wanted: Vec<_> = wanted.filter(|(name, _)| self.is_ours(name)).collect();
        wanted.sort_unstable();
        Ok(found.iter().eq(wanted))
    }

    fn is_ours(&self, name: &[u8]) -> bool {
        travels(name, self.is_root, self.has_powers)
    }
}

/// The owner and the permissions of a file that was just made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) owner: (u32, u32),
    pub(super) mode: u32,
}

impl Made {
    /// Those of `file`.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let found = rustix::fs::fstat(file)?;
        Ok(Self {
            owner: (found.st_uid, found.st_gid),
            mode: found.st_mode & MODE_MASK_ALL,
        })
    }
}

/// What came of giving something to an owner. Where root may not do so, as in a service whose unit takes that from it, it
/// says what that takes.
fn given_away<E: Into<io::Error>>(result: Result<(), E>, (uid, gid): (u32, u32)) -> io::Result<()> {
    let error = match result {
        Ok(()) => return Ok(()),
        Err(error) => kernel_answer(error.into()),
    };
    if !is_not_permitted(&error) {
        return Err(error);
    }
    let reason = format!(
        "it cannot be given to user {uid} and group {gid}, which takes CAP_CHOWN (in a unit: CapabilityBoundingSet=); \
         or receive as another user than root"
    );
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

/// That what is to have `mode` has its setgid bit by now, if that is in it; else what the bit takes.
fn has_setgid(mode: u32, now: impl FnOnce() -> io::Result<u32>) -> io::Result<()> {
    if mode & SETGID == 0 || now()? & SETGID != 0 {
        return Ok(());
    }
    let reason = "its setgid bit cannot be set, which takes CAP_FSETID (in a unit: CapabilityBoundingSet=), or to be of \
                  the group that it belongs to";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, reason))
}

/// Sets when `file` was last changed to what `entry` says.
fn set_time(file: &File, entry: &Entry) -> io::Result<()> {
    let (seconds, nanos) = entry.mtime;
    let times = changed_at(seconds, nanos)?;
    Ok(rustix::fs::futimens(file, &times)?)
}

/// The numbers of an owner on this machine: those of its names where it knows them.
fn numbers_here(owner: &Owner) -> (u32, u32) {
    let name = |bytes: &[u8]| {
        let is_name = !bytes.is_empty() && !bytes.contains(&0);
        is_name.then(|| OsStr::from_bytes(bytes).to_owned())
    };
    let user = name(&owner.user).and_then(|name| uzers::get_user_by_name(&name));
    let group = name(&owner.group).and_then(|name| uzers::get_group_by_name(&name));
    (
        user.map_or(owner.uid, |user| user.uid()),
        group.map_or(owner.gid, |group| group.gid()),
    )
}

/// An owner of this machine, by name as well unless only numbers are wanted.
pub(super) fn owner_here(uid: u32, gid: u32, by_name: bool) -> Owner {
    let user = by_name.then(|| uzers::get_user_by_uid(uid)).flatten();
    let group = by_name.then(|| uzers::get_group_by_gid(gid)).flatten();
    let bytes = |name: &OsStr| name.as_bytes().to_vec();
    Owner {
        uid,
        gid,
        user: user.map_or_else(Vec::new, |user| bytes(user.name())),
        group: group.map_or_else(Vec::new, |group| bytes(group.name())),
    }
}

/// Whether an error says that this process may not change what belongs to somebody else.
pub(super) fn is_not_permitted(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::PERM)
}

/// The path of an entry below `directory`, for messages.
pub(super) fn display_path(directory: &Path, path: &[u8]) -> PathBuf {
    directory.join(OsStr::from_bytes(path))
}

/// The directory part of a path in the manifest, empty at its top, and the name.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}
