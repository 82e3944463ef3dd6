//! What the kernel says of one file, in the types of this crate.
//!
//! Only what a copy needs. Access lists and extended attributes are in `attributes`.

use rustix::fs::{FileType, Stat};

/// What kind of thing a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, itself and not what it points to.
    Symlink,
    /// A block or character device.
    Device,
    /// A named pipe.
    Fifo,
    /// A socket's name.
    Socket,
    /// Something that Linux does not know today.
    Other,
}

/// What is known of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// What kind of thing it is.
    pub kind: Kind,
    /// Length in bytes; of a symbolic link, that of its target's text.
    pub size: u64,
    /// Permission bits with set-user, set-group and sticky: 0 to 0o7777.
    pub mode: u32,
    /// Last change of content: seconds since 1970, negative before.
    pub mtime_seconds: i64,
    /// Last change of content: nanoseconds within the second, below 1,000,000,000.
    pub mtime_nanos: u32,
    /// The file system that the file is on.
    pub device: u64,
    /// The file's number on its file system.
    pub inode: u64,
    /// Number of the user that it belongs to.
    pub uid: u32,
    /// Number of the group that it belongs to.
    pub gid: u32,
    /// Of a device: whether it is a block device, its major and minor number.
    pub node: (bool, u32, u32),
}

impl From<Stat> for Metadata {
    fn from(stat: Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::BlockDevice | FileType::CharacterDevice => Kind::Device,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::Unknown => Kind::Other,
        };
        Self {
            kind,
            size: stat.st_size.unsigned_abs(),
            mode: stat.st_mode & 0o7777,
            mtime_seconds: stat.st_mtime,
            mtime_nanos: stat.st_mtime_nsec as u32,
            device: stat.st_dev,
            inode: stat.st_ino,
            uid: stat.st_uid,
            gid: stat.st_gid,
            node: (
                FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice,
                rustix::fs::major(stat.st_rdev),
                rustix::fs::minor(stat.st_rdev),
            ),
        }
    }
}
