//! Reading a file that others must not be able to tamper with or see, and only up to a bound.
//!
//! Not here: what the file means. Callers: `key_file`, `trust_file`.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
/// [`TrustError::File`] or [`TrustError::TooLarge`].
pub(super) fn read(
    path: &Path,
    forbidden_mode: u32,
    bytes_max: u64,
) -> Result<Guarded, TrustError> {
    let file = File::open(path).map_err(TrustError::file("open", path))?;
    let mode = file
        .metadata()
        .map_err(TrustError::file("examine", path))?
        .mode()
        & 0o7777;
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
