//! Opens a directory below another without ever leaving it, in one call or step by step.
//!
//! The kernel does it since Linux 5.6 (`openat2(2)`). Where it is older, or a sandbox hides the call,
//! the same refusals come from walking one component at a time. Only `directory` calls this.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, ResolveFlags, openat, openat2, statat},
    io::Errno,
};

use super::{FileError, Kind, Metadata, name};

/// For reading its entries and naming files in it; not kept by programs that are started.
pub(super) const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

const OPERATION: &str = "open a directory";

/// Opens `relative`, whose components are checked first; an empty path opens `start` anew.
pub(super) fn open(start: BorrowedFd<'_>, relative: &[u8]) -> Result<OwnedFd, FileError> {
    /// Whether the kernel has refused the call itself, which it will do again.
    static OPENAT2_MISSING: AtomicBool = AtomicBool::new(false);

    let fits_one_call = relative.len() < name::PATH_BYTES_MAX;
    if fits_one_call && !OPENAT2_MISSING.load(Ordering::Relaxed) {
        match open_at_once(start, relative) {
            // `EPERM` is what seccomp filters answer; no directory below is opened with it.
            Err(FileError::Kernel {
                errno: Errno::NOSYS | Errno::PERM,
                ..
            }) => {
                OPENAT2_MISSING.store(true, Ordering::Relaxed);
            }
            result => return result,
        }
    }
    open_step_by_step(start, relative)
}

/// Lets the kernel resolve the whole path, without links and without leaving `start`.
pub(super) fn open_at_once(start: BorrowedFd<'_>, relative: &[u8]) -> Result<OwnedFd, FileError> {
    let _checked = name::components(relative)?;
    let path = if relative.is_empty() { b"." } else { relative };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(start, path, DIRECTORY_FLAGS, Mode::empty(), resolve).map_err(|errno| match errno {
        Errno::LOOP => FileError::Symlink,
        Errno::NOTDIR => FileError::NotDirectory,
        errno => FileError::Kernel {
            operation: OPERATION,
            errno,
        },
    })
}

/// Opens one component after the other, each in the descriptor of the one before.
///
/// Safe against whoever renames things meanwhile: a component is one name in a directory that is
/// already held, so it can only be swapped for another directory of the same place.
pub(super) fn open_step_by_step(
    start: BorrowedFd<'_>,
    relative: &[u8],
) -> Result<OwnedFd, FileError> {
    let components = name::components(relative)?;
    let open = |parent: BorrowedFd<'_>, component: &[u8]| {
        openat(
            parent,
            component,
            DIRECTORY_FLAGS | OFlags::NOFOLLOW,
            Mode::empty(),
        )
        .map_err(|errno| refusal(parent, component, errno))
    };

    let mut reached = open(start, b".")?;
    for component in components {
        reached = open(reached.as_fd(), component)?;
    }
    Ok(reached)
}

/// Tells a link from a file, as `O_DIRECTORY` with `O_NOFOLLOW` answers `ENOTDIR` to both.
///
/// Asks after the fact, so a race can give the wrong reason, but never turns a refusal around.
fn refusal(parent: BorrowedFd<'_>, component: &[u8], errno: Errno) -> FileError {
    match errno {
        Errno::LOOP => FileError::Symlink,
        Errno::NOTDIR => match statat(parent, component, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if Metadata::from(stat).kind == Kind::Symlink => FileError::Symlink,
            _ => FileError::NotDirectory,
        },
        errno => FileError::Kernel {
            operation: OPERATION,
            errno,
        },
    }
}
