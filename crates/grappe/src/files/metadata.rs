//! Permissions, times and names of entries, as both ends of a copy understand them.
//!
//! Where entries stand and when they get their metadata is decided in `incoming` and `place`.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use grappe_os::file::set_file_mode;
use grappe_proto::content::manifest::Entry;
use rustix::fs::{Timespec, Timestamps, UTIME_OMIT};

/// Permission bits that travel. Setuid, setgid and sticky do not: at the receiver the file may belong
/// to somebody else, for whom nobody asked for such powers.
pub(super) const MODE_MASK: u32 = 0o777;

/// Gives `file` the permissions and the time of last modification of `entry`.
pub(super) fn set(file: &File, entry: &Entry) -> io::Result<()> {
    set_file_mode(file, entry.mode & MODE_MASK)?;
    let (seconds, nanos) = entry.mtime;
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: seconds,
            tv_nsec: nanos.into(),
        },
    };
    Ok(rustix::fs::futimens(file, &times)?)
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
