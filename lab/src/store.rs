//! Memory to copy from and to: a tmpfs in huge pages, warmed, private to one lab.
//!
//! On a plain tmpfs, or on memory that the kernel has not handed out before, a benchmark measures the
//! clearing of pages. Also serves as a disk of any small size, for tests of a full one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{leftovers, shell, watchdog::Watchdog};

const REMOVAL: &str = r#"umount -l "$1"; rmdir "$1""#;

/// A mounted tmpfs; unmounted, with all that is in it, when this value goes.
#[derive(Debug)]
pub struct Store {
    folder: PathBuf,
    _watchdog: Watchdog,
}

impl Store {
    /// Mounts a store that holds `bytes_max`.
    ///
    /// # Errors
    ///
    /// When the folder or the mount cannot be made (it needs root).
    pub fn mount(bytes_max: u64) -> Result<Self> {
        Self::mount_in_pages(bytes_max, "always")
    }

    /// The same in small pages, for many small files: each would take a huge page otherwise.
    ///
    /// # Errors
    ///
    /// As for `mount`.
    pub fn mount_for_small_files(bytes_max: u64) -> Result<Self> {
        Self::mount_in_pages(bytes_max, "never")
    }

    fn mount_in_pages(bytes_max: u64, huge: &str) -> Result<Self> {
        let folder = leftovers::store_folder();
        let watchdog = Watchdog::new(REMOVAL, &[&folder.to_string_lossy()])?;
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let options = format!("size={bytes_max},mode=755,huge={huge}");
        shell::run(&format!(
            "mount -t tmpfs -o {options} grappe-store {}",
            folder.display()
        ))?;
        Ok(Self {
            folder,
            _watchdog: watchdog,
        })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Makes an empty folder in it, in place of whatever had that name.
    ///
    /// # Errors
    ///
    /// When the file system refuses.
    pub fn fresh_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join(name);
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Writes and deletes `bytes`, so that the pages are at hand when they are written for good.
    ///
    /// # Errors
    ///
    /// When they do not fit.
    pub fn warm(&self, bytes: u64) -> Result<()> {
        const CHUNK_BYTES: usize = 1 << 20;
        let path = self.folder.join("warming");
        let chunk = vec![0x5a; CHUNK_BYTES];
        let mut file = File::create(&path)?;
        for _ in 0..bytes.div_ceil(CHUNK_BYTES as u64) {
            file.write_all(&chunk)
                .context("the store is too small to be warmed")?;
        }
        drop(file);
        fs::remove_file(&path)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_bounded_and_leaves_no_trace() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: mounting needs root");
            return;
        }
        let store = Store::mount(4 << 20).unwrap();
        store.warm(1 << 20).unwrap();
        assert_eq!(
            fs::read_dir(store.fresh_folder("empty").unwrap())
                .unwrap()
                .count(),
            0
        );
        assert!(store.warm(64 << 20).is_err(), "a full disk says so");
        let folder = store.path().to_owned();
        drop(store);
        assert!(!folder.exists());
    }
}
