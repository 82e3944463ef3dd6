//! The directories below the destination in which things are being placed, kept open while it lasts.
//!
//! Every way down goes through `Directory::open_beneath`, so that no link leads out of the destination.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use grappe_os::file::Directory;

/// Directories kept open: enough to come back up from a few levels of subdirectories.
const OPEN_DIRECTORIES_MAX: usize = 8;

/// Open directories by their path in the manifest, the most recently used last.
pub(super) struct Parents {
    top: Arc<Directory>,
    open: Vec<(Vec<u8>, Rc<Directory>)>,
}

impl Parents {
    /// Directories below `top`.
    pub(super) fn new(top: Arc<Directory>) -> Self {
        Self {
            top,
            open: Vec::new(),
        }
    }

    /// The directory `path` of the manifest; the empty path is the destination.
    pub(super) fn directory(&mut self, path: &[u8]) -> io::Result<Rc<Directory>> {
        let known = self
            .open
            .iter()
            .rposition(|(open_path, _)| open_path == path);
        let opened = match known {
            Some(position) => self.open.remove(position),
            None => (path.to_vec(), Rc::new(self.top.open_beneath(path)?)),
        };
        if self.open.len() >= OPEN_DIRECTORIES_MAX {
            self.open.remove(0);
        }
        let directory = Rc::clone(&opened.1);
        self.open.push(opened);
        Ok(directory)
    }
}
