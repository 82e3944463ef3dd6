//! File systems of a test's own, where it may mount any.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::skip::skip;

/// A mounted file system in memory. It disappears with this value.
pub(crate) struct Mount {
    path: PathBuf,
}

impl Mount {
    /// Mounts one at `path` with these options of tmpfs; says so and gives nothing where that may not be.
    pub(crate) fn new(path: &Path, options: &str) -> Option<Self> {
        let mut command = Command::new("mount");
        command
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(path)
            .stderr(Stdio::null());
        if !command.status().is_ok_and(|status| status.success()) {
            skip("no file system can be mounted here; run as root for this test");
            return None;
        }
        Some(Self {
            path: path.to_path_buf(),
        })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a receiver that is about to end may still be in it.
        let _unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}
