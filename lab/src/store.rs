//! Memory to copy from and to: a tmpfs in huge pages, warmed, private to one lab.
//!
//! On a plain tmpfs, or on memory that the kernel has not handed out before, a benchmark measures the
//! clearing of pages. Also serves as a disk of any small size, for tests of a full one.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::{content, leftovers, shell, watchdog::Watchdog};

const REMOVAL: &str = r#"umount -l "$1"; rmdir "$1""#;

const HUGE_PAGE_BYTES: usize = 2 << 20;
/// One file of the reserve; what is handed out at once.
const RESERVE_FILE_BYTES: u64 = 16 << 20;
/// How much warm memory lies free: the fastest copy here fills 30 MB in an interval.
const AHEAD_BYTES: u64 = 128 << 20;
const HAND_OUT_INTERVAL: Duration = Duration::from_millis(5);

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

    /// Takes `bytes` of memory now and hands them out as the store fills, until the value returned goes.
    ///
    /// Memory that is only written and freed does not stay warm: a virtual machine gives free pages back
    /// to its host within a second or two, and a copy takes longer. Held in files of the store they stay,
    /// and each file is deleted just before its pages are needed.
    ///
    /// In a store of small pages the reserve has small pages too. Huge ones are cheaper to delete, but the host takes
    /// them back at once, and a copy of 100,000 files takes a quarter longer.
    ///
    /// # Errors
    ///
    /// When they do not fit.
    pub fn warm(&self, bytes: u64) -> Result<Warmth> {
        let folder = self.fresh_folder("warmth")?;
        let mut reserve = Reserve {
            files: Vec::new(),
            folder,
        };
        let chunk = vec![0x5a; HUGE_PAGE_BYTES];
        for number in 0..bytes.div_ceil(RESERVE_FILE_BYTES) {
            let path = reserve.folder.join(number.to_string());
            let mut file = File::create(&path)?;
            reserve.files.push(path);
            let bytes_here = RESERVE_FILE_BYTES.min(bytes - number * RESERVE_FILE_BYTES);
            for _ in 0..bytes_here.div_ceil(HUGE_PAGE_BYTES as u64) {
                file.write_all(&chunk)
                    .context("the store is too small to be warmed")?;
            }
        }
        let full = used_bytes(&reserve.folder)?;
        let (stop, stopped) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("warmth".into())
            .spawn(move || reserve.hand_out(full, &stopped))?;
        Ok(Warmth {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Makes `count` empty files and removes them, so that the kernel's memory for as many is warm. It can be held
    /// by nothing but files: call it last.
    ///
    /// # Errors
    ///
    /// When they cannot be made.
    pub fn warm_inodes(&self, count: u64) -> Result<()> {
        let folder = self.fresh_folder("inodes")?;
        content::create_many(&folder, count, 0, 0)?;
        Ok(fs::remove_dir_all(&folder)?)
    }
}

/// Memory of a store that waits to be written; see [`Store::warm`].
#[derive(Debug)]
pub struct Warmth {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Warmth {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The files that hold the memory.
#[derive(Debug)]
struct Reserve {
    folder: PathBuf,
    files: Vec<PathBuf>,
}

impl Reserve {
    /// Deletes files so that what is written, what is held and `AHEAD_BYTES` make `full` together.
    fn hand_out(mut self, full: u64, stopped: &mpsc::Receiver<()>) {
        loop {
            while used_bytes(&self.folder).is_ok_and(|used| used + AHEAD_BYTES > full) {
                let Some(file) = self.files.pop() else { return };
                let _ = fs::remove_file(file);
            }
            if stopped.recv_timeout(HAND_OUT_INTERVAL) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn used_bytes(folder: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(folder)?;
    Ok((stat.f_blocks - stat.f_bfree) * stat.f_frsize)
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
        drop(store.warm(1 << 20).unwrap());
        assert_eq!(
            fs::read_dir(store.fresh_folder("empty").unwrap())
                .unwrap()
                .count(),
            0
        );
        assert!(store.warm(64 << 20).is_err(), "a full disk says so");
        let folder = store.path().to_owned();
        assert_eq!(
            fs::read_dir(&folder).unwrap().count(),
            1,
            "no reserve is left"
        );
        drop(store);
        assert!(!folder.exists());
    }

    #[test]
    fn hands_out_warm_memory_as_it_fills() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: mounting needs root");
            return;
        }
        let store = Store::mount(448 << 20).unwrap();
        let warmth = store.warm(384 << 20).unwrap();
        let chunk = vec![1; HUGE_PAGE_BYTES];
        let mut file = File::create(store.path().join("copy")).unwrap();
        // More than was free beside the reserve, and faster than any copy.
        for _ in 0..64 {
            file.write_all(&chunk).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
        let held = fs::read_dir(store.path().join("warmth")).unwrap().count() as u64;
        assert!(held > 0, "what is not needed yet is kept");
        assert!(held * RESERVE_FILE_BYTES <= 128 << 20, "{held} files");
        drop(warmth);
        assert!(!store.path().join("warmth").exists());
    }
}
