//! Mails that are looked at again when records were read: they wait in a file, not in memory.
//!
//! Also the folder for it and for signed texts, ours alone, gone with its value.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use super::CommandError;

/// A folder that is gone with its value.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Self, CommandError> {
        let unique = format!(
            "check-notice-{}-{}",
            std::process::id(),
            jiff::Timestamp::now().as_nanosecond()
        );
        let path = std::env::temp_dir().join(unique);
        // Made, not opened: a folder that is there already is somebody else's.
        let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
        made.map_err(|error| CommandError::file(&path, &error))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _left = std::fs::remove_dir_all(&self.0);
    }
}

/// Bytes that wait.
pub(super) struct Spool {
    file: File,
    path: PathBuf,
}

/// Where bytes wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    from: u64,
    length: usize,
}

impl Spool {
    pub(super) fn new(folder: &Folder) -> Result<Self, CommandError> {
        let path = folder.path().join("spool");
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|error| CommandError::file(&path, &error))?;
        Ok(Self { file, path })
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<Waiting, CommandError> {
        let from = self.file.seek(SeekFrom::End(0));
        let from = from.and_then(|from| self.file.write_all(bytes).map(|()| from));
        Ok(Waiting {
            from: from.map_err(|error| CommandError::file(&self.path, &error))?,
            length: bytes.len(),
        })
    }

    pub(super) fn get(&self, waiting: Waiting) -> Result<Vec<u8>, CommandError> {
        let mut bytes = vec![0; waiting.length];
        let read = self.file.read_exact_at(&mut bytes, waiting.from);
        read.map_err(|error| CommandError::file(&self.path, &error))?;
        Ok(bytes)
    }
}
