//! Reading a file that others must not be able to tamper with or see, and only up to a bound.
//!
//! Not here: what the file means. Callers: `key_file`, `trust_file`.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::TrustError;

/// What [`read`] found.
pub(super) enum Guarded {
    /// The permissions are narrow enough; the bytes of the file.
    Bytes(Vec<u8>),
    /// The permission bits overlap the forbidden ones; nothing was read.
    Exposed {
        /// All permission bits, without the file type.
        mode: u32,
    },
}

/// Reads `path` unless its mode has one of the bits `forbidden_mode`; at most `bytes_max` bytes.
///
/// The mode is that of the opened file, not of the name: nobody can swap the file in between.
///
/// # Errors
/// [`TrustError::File`], [`TrustError::NoFile`] or [`TrustError::TooLarge`].
pub(super) fn read(
    path: &Path,
    forbidden_mode: u32,
    bytes_max: u64,
) -> Result<Guarded, TrustError> {
    // A pipe that nobody writes to would hold up whoever opens it; to a file it makes no difference.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)
        .map_err(TrustError::file("open", path))?;
    let metadata = file.metadata().map_err(TrustError::file("examine", path))?;
    if !metadata.is_file() {
        return Err(TrustError::NoFile {
            path: path.to_owned(),
        });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & forbidden_mode != 0 {
        return Ok(Guarded::Exposed { mode });
    }
    let mut bytes = Vec::new();
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(TrustError::file("read", path))?;
    if bytes.len() as u64 > bytes_max {
        return Err(TrustError::TooLarge {
            path: path.to_owned(),
            bytes_max,
        });
    }
    Ok(Guarded::Bytes(bytes))
}
