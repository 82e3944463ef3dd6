//! The few large files that are being read or written just now, kept open between blocks. What the file system says
//! when one is closed is kept as well.
//!
//! Small files never come here: each lies in one block and is opened and closed there.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use grappe_os::file;

/// Files kept open. Blocks go by in order, so more than one is in use only around a file's end, or
/// where repairs come late.
const OPEN_FILES_MAX: usize = 8;

/// Open files by their entry in the manifest, the most recently used last.
#[derive(Debug, Default)]
pub(super) struct OpenFiles {
    files: Mutex<VecDeque<(u32, Arc<File>)>>,
    /// The first write that was refused when its file was closed.
    refused: Mutex<Option<io::Error>>,
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
            // Not one that another thread uses: it would be closed there, and nobody would hear what of.
            let unused = files.iter().position(|(_, it)| Arc::strong_count(it) == 1);
            let oldest = unused.and_then(|position| files.remove(position));
            oldest.into_iter().for_each(|(_, it)| self.close(it));
        }
        files.push_back((entry, Arc::clone(&file)));
        Ok(file)
    }

    /// Closes all files, which nobody uses any more.
    ///
    /// # Errors
    ///
    /// When the file system refused a write, of these or of one that was closed before.
    pub(super) fn close_all(&self) -> io::Result<()> {
        let files = {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *files)
        };
        files.into_iter().for_each(|(_, file)| self.close(file));
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.take().map_or(Ok(()), Err)
    }

    fn close(&self, file: Arc<File>) {
        if let Some(error) = Arc::into_inner(file).and_then(|file| file::close(file).err()) {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            refused.get_or_insert(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_in_use_is_not_the_one_that_is_closed_and_a_refusal_is_told_at_the_end() {
        let open = || File::open("/dev/null");
        let files = OpenFiles::default();
        let first = files.file(0, open).unwrap();
        for entry in 1..=OPEN_FILES_MAX as u32 {
            files.file(entry, open).unwrap();
        }
        let again = files
            .file(0, || Err(io::Error::other("it is open")))
            .unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let reopened = files.file(1, || Err(io::Error::other("it was closed")));
        assert_eq!(reopened.unwrap_err().to_string(), "it was closed");
        drop((first, again));
        // Stands for what a file system in a network says; none is at hand here.
        *files.refused.lock().unwrap() = Some(io::ErrorKind::QuotaExceeded.into());
        assert_eq!(
            files.close_all().unwrap_err().kind(),
            io::ErrorKind::QuotaExceeded
        );
        assert!(files.close_all().is_ok(), "told once");
    }
}
