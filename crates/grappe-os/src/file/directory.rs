//! A directory held by its descriptor, and what can be done to the names in it.
//!
//! Every method takes one name, or a path that is checked whole, and acts in this very directory
//! even when somebody renames it meanwhile. Reading and writing content is `std`'s business.

use std::{
    fs::File,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{
        AtFlags, Dir, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, accessat,
        chownat, fchmod, fchown, fstat, fstatvfs, fsync, linkat, makedev, mkdirat, mknodat, open,
        openat, readlinkat, renameat, statat, symlinkat, unlinkat, utimensat,
    },
    io::Errno,
};

use super::{
    FileError, Kind, Metadata,
    beneath::{self, DIRECTORY_FLAGS},
    name::check_name,
};

/// A directory that stays the same one wherever its name goes.
#[derive(Debug)]
pub struct Directory {
    descriptor: OwnedFd,
}

/// What an existing file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading.
    Read,
    /// Reading and writing, without cutting it.
    ReadWrite,
}

/// What is neither file, directory nor link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// A device.
    Device {
        /// Whether it is a block device.
        is_block: bool,
        /// The driver's number.
        major: u32,
        /// The device's number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
}

impl Directory {
    /// Opens the directory that all else happens beneath.
    ///
    /// The one place where a path is believed, links included: it must come from the person who runs
    /// the program, and never from a peer.
    ///
    /// # Errors
    ///
    /// [`FileError::NotDirectory`], or what the kernel says.
    pub fn open(trusted: &Path) -> Result<Self, FileError> {
        let descriptor =
            open(trusted, DIRECTORY_FLAGS, Mode::empty()).map_err(|errno| match errno {
                Errno::NOTDIR => FileError::NotDirectory,
                errno => FileError::kernel("open a directory")(errno),
            })?;
        Ok(Self { descriptor })
    }

    /// Opens a directory below this one. The path is relative, without `.`, `..` or doubled slashes;
    /// an empty one opens this directory anew.
    ///
    /// Crosses mount points: compare [`Self::device_id`] where that matters.
    ///
    /// # Errors
    ///
    /// [`FileError::Symlink`] when any component is a link, [`FileError::NotDirectory`] when one is
    /// something else, [`FileError::Name`], or what the kernel says.
    pub fn open_beneath(&self, relative: &[u8]) -> Result<Self, FileError> {
        Ok(Self {
            descriptor: beneath::open(self.descriptor.as_fd(), relative)?,
        })
    }

    /// Makes a directory. `mode` is 0 to 0o7777, less the process's `umask`.
    ///
    /// # Errors
    ///
    /// [`FileError::Name`], or what the kernel says: `AlreadyExists` also for a dangling link.
    pub fn create_directory(&self, name: &[u8], mode: u32) -> Result<(), FileError> {
        self.on(name, "create a directory", |here| {
            mkdirat(here, name, Mode::from_raw_mode(mode))
        })
    }

    /// Makes a file that was not there, open for reading and writing. `mode` is 0 to 0o7777, less the
    /// process's `umask`.
    ///
    /// # Errors
    ///
    /// [`FileError::Name`], or what the kernel says: `AlreadyExists` for whatever has the name, even a
    /// link.
    pub fn create_exclusive(&self, name: &[u8], mode: u32) -> Result<File, FileError> {
        let flags = OFlags::RDWR
            | OFlags::CREATE
            | OFlags::EXCL
            | OFlags::NOFOLLOW
            | OFlags::CLOEXEC
            | OFlags::NOCTTY;
        self.on(name, "create a file", |here| {
            openat(here, name, flags, Mode::from_raw_mode(mode)).map(File::from)
        })
    }

    /// Gives the open `file` the name `name` here, beside those that it has; nothing may have it.
    ///
    /// # Errors
    ///
    /// [`FileError::Name`], or what the kernel says: `CrossesDevices` between file systems,
    /// `AlreadyExists`, `PermissionDenied` for files of others (`fs.protected_hardlinks`).
    pub fn link_file(&self, file: &File, name: &[u8]) -> Result<(), FileError> {
        use std::os::fd::AsRawFd;
        // The descriptor, not a path, says what is linked: nobody can exchange it.
        let open = format!("/proc/self/fd/{}", file.as_raw_fd());
        self.on(name, "link a file", |here| {
            let follow = AtFlags::SYMLINK_FOLLOW;
            rustix::fs::linkat(rustix::fs::CWD, &open, here, name, follow)
        })
    }

    /// Opens a regular file that is there. Never waits, not even for the other end of a pipe.
    ///
    /// # Errors
    ///
    /// [`FileError::Symlink`], [`FileError::NotRegular`], [`FileError::Name`], or what the kernel says.
    pub fn open_file(&self, name: &[u8], access: Access) -> Result<File, FileError> {
        check_name(name)?;
        let wanted = match access {
            Access::Read => OFlags::RDONLY,
            Access::ReadWrite => OFlags::RDWR,
        };
        let flags = wanted | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let file = openat(&self.descriptor, name, flags, Mode::empty()).map_err(|errno| {
            match errno {
                Errno::LOOP => FileError::Symlink,
                // A directory opened for writing, and a socket or a pipe without its other end.
                Errno::ISDIR | Errno::NXIO => FileError::NotRegular,
                errno => FileError::kernel("open a file")(errno),
            }
        })?;
        let stat = fstat(&file).map_err(FileError::kernel("examine a file"))?;
        if Metadata::from(stat).kind == Kind::File {
            Ok(file.into())
        } else {
            Err(FileError::NotRegular)
        }
    }

    /// Moves `from` into `directory` as `to`, in one step that replaces a file or a link there.
    ///
    /// # Errors
    ///
    /// [`FileError::Name`], or what the kernel says: `CrossesDevices` between file systems,
    /// `IsADirectory` when a file would replace a directory.
    pub fn rename_into(&self, from: &[u8], directory: &Self, to: &[u8]) -> Result<(), FileError> {
        check_name(to)?;
        self.on(from, "rename a file", |here| {
            renameat(here, from, &directory.descriptor, to)
        })
    }

    /// Makes a symbolic link that says `target`, which is not looked at and may lead anywhere.
    ///
    /// # Errors
    ///
    /// [`FileError::Name`] for the name, or what the kernel says to either.
    pub fn symlink(&self, target: &[u8], name: &[u8]) -> Result<(), FileError> {
        self.on(name, "create a link", |here| symlinkat(target, here, name))
    }

    /// Makes a device, pipe or socket. `mode` is 0 to 0o7777, less the process's `umask`.
    ///
    /// # Errors
    ///
    /// [`FileError::Name`], or what the kernel says: `PermissionDenied` for devices without
    /// `CAP_MKNOD`.
    pub fn create_node(&self, name: &[u8], node: Node, mode: u32) -> Result<(), FileError> {
        let (kind, device) = match node {
            Node::Device {
                is_block: true,
                major,
                minor,
            } => (FileType::BlockDevice, makedev(major, minor)),
            Node::Device { major, minor, .. } => (FileType::CharacterDevice, makedev(major, minor)),
            Node::Fifo => (FileType::Fifo, 0),
            Node::Socket => (FileType::Socket, 0),
        };
        self.on(name, "create a node", |here| {
            mknodat(here, name, kind, Mode::from_raw_mode(mode), device)
        })
    }

    /// Gives what is called `from` here the further name `to` in `directory`. A symbolic link is not
    /// followed, but gets another name itself.
    ///
    /// # Errors
    ///
    /// [`FileError::Name`], or what the kernel says: `AlreadyExists` for whatever has the name,
    /// `CrossesDevices` between file systems.
    pub fn link_into(&self, from: &[u8], directory: &Self, to: &[u8]) -> Result<(), FileError> {
        check_name(to)?;
        self.on(from, "make a hard link", |here| {
            linkat(here, from, &directory.descriptor, to, AtFlags::empty())
        })
    }

    /// Gives `name` itself, links not followed, to a user and a group.
    ///
    /// # Errors
    ///
    /// [`FileError::Name`], or what the kernel says: `PermissionDenied` without `CAP_CHOWN`.
    pub fn set_owner(&self, name: &[u8], uid: u32, gid: u32) -> Result<(), FileError> {
        let (user, group) = owner(uid, gid)?;
        self.on(name, "set the owner of a file", |here| {
            chownat(here, name, user, group, AtFlags::SYMLINK_NOFOLLOW)
        })
    }

    /// Gives this directory to a user and a group.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_own_owner(&self, uid: u32, gid: u32) -> Result<(), FileError> {
        let (user, group) = owner(uid, gid)?;
        fchown(&self.descriptor, user, group)
            .map_err(FileError::kernel("set the owner of a directory"))
    }

    /// Sets the permissions of `name`, which was made here and is no link: 0 to 0o7777.
    ///
    /// # Errors
    ///
    /// [`FileError::Name`], or what the kernel says; `Unsupported` for links.
    pub fn set_mode_of(&self, name: &[u8], mode: u32) -> Result<(), FileError> {
        self.on(name, "set the mode of a file", |here| {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let node = openat(here, name, flags, Mode::empty())?;
            if Metadata::from(fstat(&node)?).kind == Kind::Symlink {
                return Err(Errno::OPNOTSUPP);
            }
            // `fchmodat2(2)` would do it by name since Linux 6.6; this does on all.
            let own = format!("/proc/self/fd/{}", node.as_raw_fd());
            rustix::fs::chmod(own, Mode::from_raw_mode(mode))
        })
    }

    /// What a symbolic link says, without following it.
    ///
    /// # Errors
    ///
    /// [`FileError::Name`], or what the kernel says: `InvalidInput` when it is no link.
    pub fn read_link(&self, name: &[u8]) -> Result<Vec<u8>, FileError> {
        self.on(name, "read a link", |here| {
            readlinkat(here, name, Vec::new()).map(std::ffi::CString::into_bytes)
        })
    }

    /// Removes anything but a directory; of a link, the link itself.
    ///
    /// # Errors
    ///
    /// [`FileError::Name`], or what the kernel says.
    pub fn remove_file(&self, name: &[u8]) -> Result<(), FileError> {
        self.on(name, "remove a file", |here| {
            unlinkat(here, name, AtFlags::empty())
        })
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    ///
    /// [`FileError::Name`], or what the kernel says.
    pub fn remove_directory(&self, name: &[u8]) -> Result<(), FileError> {
        self.on(name, "remove a directory", |here| {
            unlinkat(here, name, AtFlags::REMOVEDIR)
        })
    }

    /// What is known of `name` itself, links not followed.
    ///
    /// # Errors
    ///
    /// [`FileError::Name`], or what the kernel says.
    pub fn metadata(&self, name: &[u8]) -> Result<Metadata, FileError> {
        self.on(name, "examine a file", |here| {
            statat(here, name, AtFlags::SYMLINK_NOFOLLOW).map(Metadata::from)
        })
    }

    /// What is known of this directory itself.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn own_metadata(&self) -> Result<Metadata, FileError> {
        fstat(&self.descriptor)
            .map(Metadata::from)
            .map_err(FileError::kernel("examine a directory"))
    }

    /// Sets when the content of `name` last changed, links not followed; the last access stays.
    ///
    /// `seconds` since 1970, negative before; `nanos` below 1,000,000,000. File systems round.
    ///
    /// # Errors
    ///
    /// [`FileError::Name`], or what the kernel says: `InvalidInput` for too many nanoseconds.
    pub fn set_mtime(&self, name: &[u8], seconds: i64, nanos: u32) -> Result<(), FileError> {
        self.on(name, "set the time of a file", |here| {
            let times = changed_at(seconds, nanos)?;
            utimensat(here, name, &times, AtFlags::SYMLINK_NOFOLLOW)
        })
    }

    /// Sets the permissions of this directory: 0 to 0o7777, `umask` not applied.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_mode(&self, mode: u32) -> Result<(), FileError> {
        fchmod(&self.descriptor, Mode::from_raw_mode(mode))
            .map_err(FileError::kernel("set the mode of a directory"))
    }

    /// The names in this directory, without `.` and `..`, in no order.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn entries(&self) -> Result<Vec<Vec<u8>>, FileError> {
        const OPERATION: &str = "list a directory";

        let mut names = Vec::new();
        // Opens the directory anew, so two threads that list at once do not share a position.
        for entry in Dir::read_from(&self.descriptor).map_err(FileError::kernel(OPERATION))? {
            let entry = entry.map_err(FileError::kernel(OPERATION))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        Ok(names)
    }

    /// Bytes that this process may still write to the file system, without what is kept for root.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn available_bytes(&self) -> Result<u64, FileError> {
        let system =
            fstatvfs(&self.descriptor).map_err(FileError::kernel("examine the file system"))?;
        Ok(system.f_bavail.saturating_mul(system.f_frsize))
    }

    /// The file system that this directory is on; renames work within one.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn device_id(&self) -> Result<u64, FileError> {
        Ok(self.own_metadata()?.device)
    }

    /// Makes a file here that has no name and goes with its last descriptor, open for reading and writing; none where
    /// the file system has no such files (`O_TMPFILE` of `open(2)`).
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn nameless_file(&self) -> Result<Option<File>, FileError> {
        self.open_nameless()
            .map_err(FileError::kernel("create a file without a name"))
    }

    fn open_nameless(&self) -> Result<Option<File>, Errno> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match openat(&self.descriptor, ".", flags, Mode::RUSR | Mode::WUSR) {
            Ok(descriptor) => Ok(Some(File::from(descriptor))),
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// Whether a file could be made here now, found by making one that never has a name.
    ///
    /// Where the file system has no nameless files (`O_TMPFILE` of `open(2)`), by asking for the
    /// permissions instead.
    ///
    /// # Errors
    ///
    /// What the kernel says, other than that writing is not allowed: `StorageFull`, for one.
    pub fn is_writable_probe(&self) -> Result<bool, FileError> {
        let asked = match self.open_nameless() {
            Ok(None) => {
                let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
                accessat(&self.descriptor, ".", access, AtFlags::EACCESS)
            }
            made => made.map(drop),
        };
        match asked {
            Ok(()) => Ok(true),
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Ok(false),
            Err(errno) => Err(FileError::kernel("try to write to a directory")(errno)),
        }
    }

    /// Waits until the names in this directory would survive a loss of power.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn sync(&self) -> Result<(), FileError> {
        fsync(&self.descriptor).map_err(FileError::kernel("sync a directory"))
    }

    /// Acts in this directory on a name, which is checked first; `operation` reads after "cannot".
    fn on<T>(
        &self,
        name: &[u8],
        operation: &'static str,
        act: impl FnOnce(&OwnedFd) -> Result<T, Errno>,
    ) -> Result<T, FileError> {
        check_name(name)?;
        act(&self.descriptor).map_err(FileError::kernel(operation))
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Gives an open file to a user and a group.
///
/// # Errors
///
/// What the kernel says: `PermissionDenied` without `CAP_CHOWN`.
pub fn set_file_owner(file: &File, uid: u32, gid: u32) -> Result<(), FileError> {
    let (user, group) = owner(uid, gid)?;
    fchown(file, user, group).map_err(FileError::kernel("set the owner of a file"))
}

/// The kernel's words for a user and a group; all ones would mean "leave it", which nobody means here.
fn owner(uid: u32, gid: u32) -> Result<(Option<Uid>, Option<Gid>), FileError> {
    if uid == u32::MAX || gid == u32::MAX {
        return Err(FileError::kernel("set an owner")(Errno::INVAL));
    }
    Ok((Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))))
}

/// The time at which content was last changed, for `utimensat`; the last access stays.
///
/// `seconds` since 1970, negative before; `nanos` below 1,000,000,000.
///
/// # Errors
///
/// `INVAL` for more nanoseconds: above a second are the kernel's words for "now" and "leave it", which nobody
/// means here.
pub fn changed_at(seconds: i64, nanos: u32) -> Result<Timestamps, Errno> {
    const NANOS_MAX: u32 = 999_999_999;

    if nanos > NANOS_MAX {
        return Err(Errno::INVAL);
    }
    Ok(Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: nanos.into(),
        },
    })
}

/// Sets the permissions of an open file: 0 to 0o7777, `umask` not applied.
///
/// # Errors
///
/// What the kernel says.
pub fn set_file_mode(file: &File, mode: u32) -> Result<(), FileError> {
    fchmod(file, Mode::from_raw_mode(mode)).map_err(FileError::kernel("set the mode of a file"))
}
