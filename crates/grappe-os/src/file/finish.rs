//! The last word of the file system about a file that was written.

use std::fs::File;
use std::io;
use std::os::fd::IntoRawFd;

use rustix::io::Errno;

/// Closes `file`, and fails where the file system says only now that it has no room for what was written: one that is
/// elsewhere (NFS, SMB, FUSE) may take bytes first and learn that later (close(2)). To drop a file leaves that unheard.
///
/// # Errors
///
/// What the kernel says. The file is closed all the same.
#[expect(
    unsafe_code,
    reason = "the standard library closes files without a word"
)]
pub fn close(file: File) -> io::Result<()> {
    // SAFETY: the descriptor is owned, is given up here, and nobody uses it afterwards.
    match unsafe { rustix::io::try_close(file.into_raw_fd()) } {
        Ok(()) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
