//! The few large files that are being read or written just now, kept open between blocks.
//!
//! Small files never come here: each lies in one block and is opened and closed there.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

/// Files kept open. Blocks go by in order, so more than one is in use only around a file's end, or
/// where repairs come late.
const OPEN_FILES_MAX: usize = 8;

/// Open files by their entry in the manifest, the most recently used last.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    files: Mutex<VecDeque<(u32, Arc<File>)>>,
}

impl OpenFiles {
    /// The file of `entry`, opened by `open` where it is not open yet.
    ///
    /// Two threads never open the same file at once: `open` runs under the lock.
    pub(super) fn file<E>(
        &self,
        entry: u32,
        open: impl FnOnce() -> Result<File, E>,
    ) -> Result<Arc<File>, E> {
        // The queue is whole between any two of its operations, so a panic elsewhere has not hurt it.
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let known = files
            .iter()
            .position(|(open_entry, _)| *open_entry == entry);
        let file = match known.and_then(|position| files.remove(position)) {
            Some((_, file)) => file,
            None => Arc::new(open()?),
        };
        if files.len() >= OPEN_FILES_MAX {
            files.pop_front();
        }
        files.push_back((entry, Arc::clone(&file)));
        Ok(file)
    }

    /// Closes all files that nobody uses any more.
    pub(super) fn close_all(&self) {
        self.files
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
