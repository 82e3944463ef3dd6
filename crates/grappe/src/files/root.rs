//! The directory that a path to send stands in, and how anything below is opened for reading.
//!
//! No symbolic link is followed below it: a tree that changes while it is read, be it by malice, cannot
//! lead the sender to files outside. What to read and in which order is decided in `walk`.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use super::SourceError;

/// What everything is opened with to be read.
const READING: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOFOLLOW);

/// Directories kept open: one for each of the two that read. There may be many roots.
const PARENTS_MAX: usize = 2;

/// The directory in which one of the paths to send stands. Paths below it are those of the manifest.
#[derive(Debug)]
pub(super) struct Root {
    directory: OwnedFd,
    path: PathBuf,
    /// The directories below in which names were last asked for, the latest at the end.
    parents: Mutex<Vec<(Vec<u8>, Arc<OwnedFd>)>>,
}

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    pub(super) size: u64,
    pub(super) mtime: (i64, u32),
    ctime: (i64, u32),
}

impl Stamp {
    /// Whether it is the same file with the same content, as far as that can be told.
    pub(super) fn is_same_content(&self, other: &Self) -> bool {
        (self.device, self.inode, self.size, self.mtime)
            == (other.device, other.inode, other.size, other.mtime)
    }

    pub(super) fn new(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
            ctime: (stat.st_ctime, stat.st_ctime_nsec as u32),
        }
    }
}

impl Root {
    /// Splits a path as typed into the directory that it stands in and the name it arrives under.
    ///
    /// `a/b` arrives as `b`, and where `b` is a symbolic link the link itself is sent. `a/b/`, `.` and
    /// `a/..` mean the directory that they lead to, which arrives under its real name.
    pub(super) fn locate(typed: &Path) -> Result<(Self, Vec<u8>), SourceError> {
        let whole = if means_its_target(typed) {
            fs::canonicalize(typed).map_err(|error| source_error(typed, error))?
        } else {
            typed.to_path_buf()
        };
        let Some(name) = whole.file_name() else {
            return Err(SourceError::Nameless {
                path: typed.to_path_buf(),
            });
        };
        let parent = match whole.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, parent, flags, Mode::empty())
            .map_err(|error| source_error(typed, error.into()))?;
        let root = Self {
            directory,
            path: parent.to_path_buf(),
            parents: Mutex::default(),
        };
        match root.stat(name.as_bytes()) {
            Ok(_) => Ok((root, name.as_bytes().to_vec())),
            Err(error) => Err(source_error(typed, error)),
        }
    }

    /// The directory `typed` itself, whose content arrives without its name.
    pub(super) fn open_contents(typed: &Path) -> Result<Self, SourceError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, typed, flags, Mode::empty())
            .map_err(|error| source_error(typed, error.into()))?;
        Ok(Self {
            directory,
            path: typed.to_path_buf(),
            parents: Mutex::default(),
        })
    }

    /// Whether this is the directory with that number on that device.
    pub(super) fn is(&self, device: u64, inode: u64) -> bool {
        let stat = rustix::fs::fstat(&self.directory);
        stat.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (device, inode))
    }

    /// The names of what is in the directory.
    pub(super) fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(&self.directory, ".", flags, Mode::empty())?;
        let mut names = Vec::new();
        for item in rustix::fs::Dir::new(directory)? {
            let item = item?;
            let name = item.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// `path` as a user would name it.
    pub(super) fn display_path(&self, path: &[u8]) -> PathBuf {
        let below = OsStr::from_bytes(path);
        if self.path == Path::new(".") {
            PathBuf::from(below)
        } else {
            self.path.join(below)
        }
    }

    /// What `path` is; a symbolic link is not followed.
    pub(super) fn stat(&self, path: &[u8]) -> io::Result<Stat> {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        self.by_name(path, |directory, name| {
            rustix::fs::statat(directory, name, flags)
        })
    }

    /// The text of the symbolic link `path`.
    pub(super) fn link_target(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let target = self.by_name(path, |directory, name| {
            rustix::fs::readlinkat(directory, name, Vec::new())
        })?;
        Ok(OsString::from(OsStr::from_bytes(target.to_bytes())).into_vec())
    }

    /// Opens the file `path` for reading, and says what was opened.
    pub(super) fn open_file(&self, path: &[u8]) -> io::Result<(File, Stat)> {
        // A fifo that took the file's place must not make the sender wait for a writer.
        let flags = READING | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = self.by_name(path, |directory, name| {
            without_trace(flags, |flags| {
                rustix::fs::openat(directory, name, flags, Mode::empty())
            })
        })?;
        let stat = rustix::fs::fstat(&file)?;
        Ok((File::from(file), stat))
    }

    /// Opens the directory `path` for listing, and says what was opened.
    pub(super) fn open_directory(&self, path: &[u8]) -> io::Result<(OwnedFd, Stat)> {
        let flags = READING | OFlags::DIRECTORY;
        let directory = without_trace(flags, |flags| self.resolve(path, flags))?;
        let stat = rustix::fs::fstat(&directory)?;
        Ok((directory, stat))
    }

    /// Lets go of the directories that are open for the next names: what takes their place from now on counts.
    pub(super) fn forget(&self) {
        self.parents().clear();
    }

    /// Does something with the name at the end of `path`, in the directory that it stands in: by the whole path
    /// the kernel would follow a link that took the place of a directory on the way. The directory stays open
    /// for the next name, as most are asked for one after the other.
    fn by_name<T>(
        &self,
        path: &[u8],
        act: impl FnOnce(BorrowedFd<'_>, &[u8]) -> Result<T, Errno>,
    ) -> io::Result<T> {
        let (parent, name) = super::metadata::split(path);
        if matches!(name, b"" | b"." | b"..") {
            return Err(Errno::XDEV.into());
        }
        if parent.is_empty() {
            return Ok(act(self.directory.as_fd(), name)?);
        }
        Ok(act(self.parent(parent)?.as_fd(), name)?)
    }

    /// The directory `path`, which stays open for a while.
    fn parent(&self, path: &[u8]) -> Result<Arc<OwnedFd>, Errno> {
        let mut parents = self.parents();
        if let Some(position) = parents.iter().rposition(|(known, _)| known == path) {
            let found = parents.remove(position);
            let directory = Arc::clone(&found.1);
            parents.push(found);
            return Ok(directory);
        }
        drop(parents);
        // It may take long, and the others do not wait for it.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let directory = Arc::new(self.resolve(path, flags)?);
        let mut parents = self.parents();
        // Another thread may have been faster.
        parents.retain(|(known, _)| known != path);
        if parents.len() >= PARENTS_MAX {
            parents.remove(0);
        }
        parents.push((path.to_vec(), Arc::clone(&directory)));
        Ok(directory)
    }

    fn parents(&self) -> MutexGuard<'_, Vec<(Vec<u8>, Arc<OwnedFd>)>> {
        self.parents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens `path` without following a link anywhere in it.
    fn resolve(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        // A kernel before 5.6 does not know openat2(2), and some sandboxes hide it.
        match self.open_at_once(path, flags) {
            Err(Errno::NOSYS | Errno::PERM | Errno::NAMETOOLONG) => {
                self.open_step_by_step(path, flags)
            }
            result => result,
        }
    }

    fn open_at_once(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.directory, path, flags, Mode::empty(), resolve)
    }

    /// The same with a descriptor for every directory on the way, so that none can become a link.
    fn open_step_by_step(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd, Errno> {
        let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut components = path.split(|byte| *byte == b'/').peekable();
        let mut reached: Option<OwnedFd> = None;
        loop {
            let Some(name) = components.next().filter(|name| *name != b"..") else {
                return Err(Errno::XDEV);
            };
            let flags = if components.peek().is_some() {
                on_the_way
            } else {
                flags
            };
            let directory = reached.as_ref().unwrap_or(&self.directory);
            let opened = rustix::fs::openat(directory, name, flags, Mode::empty())?;
            if components.peek().is_none() {
                return Ok(opened);
            }
            reached = Some(opened);
        }
    }
}

/// Opens with `open`, so that reading leaves no trace where that may be asked: only the owner of a file may
/// (open(2), O_NOATIME).
fn without_trace<T>(flags: OFlags, open: impl Fn(OFlags) -> Result<T, Errno>) -> Result<T, Errno> {
    match open(flags | OFlags::NOATIME) {
        Err(Errno::PERM) => open(flags),
        result => result,
    }
}

/// Whether the path's spelling asks for what it leads to, not for the name at its end.
fn means_its_target(typed: &Path) -> bool {
    // `Path` hides a trailing `/` and `/.`, so the bytes are looked at.
    let last = typed
        .as_os_str()
        .as_bytes()
        .rsplit(|byte| *byte == b'/')
        .next();
    matches!(last, Some(b"" | b"." | b".."))
}

fn source_error(typed: &Path, error: io::Error) -> SourceError {
    let path = typed.to_path_buf();
    match error.kind() {
        io::ErrorKind::NotFound => SourceError::Missing { path },
        _ => SourceError::Io {
            path,
            source: error,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_on_the_way_is_not_followed_by_who_looks_at_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("real")).unwrap();
        fs::write(tree.join("real/file"), "text").unwrap();
        symlink("target", tree.join("real/link")).unwrap();
        symlink("real", tree.join("way")).unwrap();
        let (root, _) = Root::locate(&tree).unwrap();
        assert!(root.stat(b"tree/real/file").is_ok());
        assert_eq!(root.link_target(b"tree/real/link").unwrap(), b"target");
        assert!(root.stat(b"tree/way/file").is_err());
        assert!(root.link_target(b"tree/way/link").is_err());
        // The last name itself may be a link: it is looked at, not followed.
        assert_eq!(root.link_target(b"tree/way").unwrap(), b"real");
    }

    #[test]
    fn a_file_is_opened_where_it_stands_and_nothing_leads_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("real")).unwrap();
        fs::write(tree.join("real/file"), "text").unwrap();
        symlink("file", tree.join("real/link")).unwrap();
        symlink("real", tree.join("way")).unwrap();
        let fifo = tree.join("real/fifo");
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let (root, _) = Root::locate(&tree).unwrap();
        let size = |path: &[u8]| root.open_file(path).map(|(_, stat)| stat.st_size);
        assert_eq!(size(b"tree/real/file").unwrap(), 4);
        assert_eq!(
            size(b"tree/real/fifo").unwrap(),
            0,
            "nobody waits for a writer"
        );
        for path in [
            "tree/way/file",
            "tree/real/link",
            "tree/real/..",
            "tree/..",
            "..",
            "tree/",
        ] {
            assert!(size(path.as_bytes()).is_err(), "{path}");
        }
        // Another directory takes the place of one that is known: it counts once that is forgotten.
        fs::rename(tree.join("real"), tree.join("moved")).unwrap();
        symlink("moved", tree.join("real")).unwrap();
        assert_eq!(size(b"tree/real/file").unwrap(), 4);
        root.forget();
        assert!(size(b"tree/real/file").is_err());
        for number in 0..=PARENTS_MAX {
            fs::create_dir(tree.join(number.to_string())).unwrap();
            let path = format!("tree/{number}/none");
            assert!(size(path.as_bytes()).is_err());
        }
        assert_eq!(root.parents().len(), PARENTS_MAX);
    }

    #[test]
    fn both_ways_to_open_agree_and_follow_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(tree.join("a/b/file"), "text").unwrap();
        symlink("b", tree.join("a/link")).unwrap();
        symlink("b/file", tree.join("a/file-link")).unwrap();
        let (root, _) = Root::locate(&tree).unwrap();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let cases: [(&[u8], bool); 8] = [
            (b"tree", true),
            (b"tree/a/b/file", true),
            (b"tree/a/link/file", false),
            (b"tree/a/file-link", false),
            (b"tree/a/b/none", false),
            (b"tree/a/b/file/x", false),
            (b"../tree", false),
            (b"tree/../../x", false),
        ];
        for (path, opens) in cases {
            let name = String::from_utf8_lossy(path);
            let at_once = root.open_at_once(path, flags);
            let step_by_step = root.open_step_by_step(path, flags);
            if !matches!(at_once, Err(Errno::NOSYS | Errno::PERM)) {
                assert_eq!(at_once.is_ok(), opens, "{name} at once");
            }
            assert_eq!(step_by_step.is_ok(), opens, "{name} step by step");
        }
    }
}
