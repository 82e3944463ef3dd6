//! Something that is there already, held by its descriptor while it is examined and given other metadata, so
//! that nobody can exchange it in between.
//!
//! What it is to be like is in `metadata`; whether it is kept is decided in `keep`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use grappe_os::file::changed_at;
use grappe_os::file::{Access, Directory, Metadata};
use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

use super::root::Stamp;

/// What a name stood for when it was opened.
#[derive(Debug)]
pub(super) struct Held {
    /// Open for reading, or for nothing but its metadata (`O_PATH` of open(2)).
    file: File,
    is_readable: bool,
    stat: Stat,
}

impl Held {
    /// Holds the regular file `name`, for reading where that is allowed.
    pub(super) fn file(directory: &Directory, name: &[u8]) -> io::Result<Self> {
        match directory.open_file(name, Access::Read) {
            Ok(file) => Self::new(file, true),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Self::anything(directory, name)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Holds whatever `name` is, links not followed. Opening a device may act on it, so nothing is opened for
    /// reading.
    pub(super) fn anything(directory: &Directory, name: &[u8]) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(directory, name, flags, Mode::empty())?;
        Self::new(File::from(opened), false)
    }

    fn new(file: File, is_readable: bool) -> io::Result<Self> {
        let stat = rustix::fs::fstat(&file)?;
        Ok(Self {
            file,
            is_readable,
            stat,
        })
    }

    /// The file, where it is open for reading.
    pub(super) fn readable(&self) -> Option<&File> {
        self.is_readable.then_some(&self.file)
    }

    /// What it was when it was opened.
    pub(super) fn metadata(&self) -> Metadata {
        Metadata::from(self.stat)
    }

    /// Whether it has further names, here or elsewhere.
    pub(super) fn has_other_names(&self) -> bool {
        self.stat.st_nlink > 1
    }

    /// What tells this state of it from another.
    pub(super) fn stamp(&self) -> Stamp {
        Stamp::new(&self.stat)
    }

    /// The text of a symbolic link.
    pub(super) fn target(&self) -> io::Result<Vec<u8>> {
        let target = rustix::fs::readlinkat(&self.file, "", Vec::new())?;
        Ok(target.into_bytes())
    }

    /// Gives it to a user and a group, neither of which is the number that means "leave it".
    pub(super) fn set_owner(&self, uid: u32, gid: u32) -> io::Result<()> {
        if uid == u32::MAX || gid == u32::MAX {
            return Err(Errno::INVAL.into());
        }
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        let flags = AtFlags::EMPTY_PATH;
        Ok(rustix::fs::chownat(
            &self.file,
            "",
            Some(uid),
            Some(gid),
            flags,
        )?)
    }

    /// Sets the permissions of what is no link: 0 to 0o7777.
    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::chmod(self.own(), Mode::from_raw_mode(mode))?)
    }

    /// Its permissions as they are by now: 0 to 0o7777.
    pub(super) fn mode_now(&self) -> io::Result<u32> {
        Ok(Metadata::from(rustix::fs::fstat(&self.file)?).mode)
    }

    /// Sets when its content last changed; the last access stays.
    pub(super) fn set_mtime(&self, (seconds, nanos): (i64, u32)) -> io::Result<()> {
        let times = changed_at(seconds, nanos)?;
        let is_link = self.metadata().kind == grappe_os::file::Kind::Symlink;
        let set = if is_link {
            // A kernel before 5.8 refuses this. There is no other way for a link without its name.
            rustix::fs::utimensat(&self.file, "", &times, AtFlags::EMPTY_PATH)
        } else {
            rustix::fs::utimensat(CWD, self.own(), &times, AtFlags::empty())
        };
        Ok(set?)
    }

    /// A path that leads to it whatever its name leads to, for calls that take no descriptor of this kind.
    fn own(&self) -> String {
        format!("/proc/self/fd/{}", self.file.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_is_set_goes_to_what_was_opened_though_its_name_leads_elsewhere_by_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["file", "outside"] {
            fs::write(path(name), "text").unwrap();
            fs::set_permissions(path(name), fs::Permissions::from_mode(0o644)).unwrap();
        }
        symlink("outside", path("link")).unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        let open = [
            Held::file(&directory, b"file").unwrap(),
            Held::anything(&directory, b"file").unwrap(),
        ];
        let link = Held::anything(&directory, b"link").unwrap();
        let untouched = fs::metadata(path("outside")).unwrap();
        // Somebody exchanges the names.
        fs::rename(path("file"), path("moved")).unwrap();
        fs::rename(path("link"), path("file")).unwrap();
        for (seconds, held) in (7..).zip(&open) {
            held.set_mode(0o600 + u32::from(held.readable().is_none()))
                .unwrap();
            held.set_mtime((seconds, 5)).unwrap();
            held.set_owner(held.metadata().uid, held.metadata().gid)
                .unwrap();
            let moved = fs::metadata(path("moved")).unwrap();
            assert_eq!((moved.mtime(), moved.mtime_nsec()), (seconds, 5));
        }
        assert_eq!(fs::metadata(path("moved")).unwrap().mode() & 0o777, 0o601);
        assert_eq!(link.target().unwrap(), b"outside");
        link.set_mtime((3, 4)).unwrap();
        let moved_link = fs::symlink_metadata(path("file")).unwrap();
        assert_eq!((moved_link.mtime(), moved_link.mtime_nsec()), (3, 4));
        let outside = fs::metadata(path("outside")).unwrap();
        assert_eq!(outside.mode(), untouched.mode());
        assert_eq!(outside.ctime_nsec(), untouched.ctime_nsec());
    }
}
