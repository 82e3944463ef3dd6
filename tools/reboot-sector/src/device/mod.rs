//! Disks and images as they are: opened, described, read, written in one sector, read back. The edge of the
//! program to the kernel; it decides nothing, plans do. The commands call it.

mod describe;
mod users;

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags, flock, ioctl_blksszget};
use rustix::io::Errno;

use crate::plan::{Facts, Plan};
use crate::table::filesystem::{HEAD_LEN, TAIL_LEN, tail_sign};
use crate::table::mbr::{RECORD_LEN, Record};

/// What O_DIRECT wants of memory, on every device.
const ALIGNMENT: usize = 4096;
/// How long another program may hold the lock.
const LOCK_LIMIT: Duration = Duration::from_secs(10);
/// The pause between two tries of the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// Something the kernel refused.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// One step failed.
    #[error("cannot {action} {path}: {error}")]
    Kernel {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        error: io::Error,
    },
    /// The sector was not as planned when it was to be written.
    #[error("the first sector of {0} changed while this program worked; nothing was written")]
    Changed(PathBuf),
    /// What came back is not what was written.
    #[error("{0} does not give back what was written to its first sector; the disk may be failing")]
    ReadBack(PathBuf),
    /// Bytes behind the first sector are others than before.
    #[error("bytes behind the first sector of {0} changed meanwhile; see who else writes there")]
    Neighbours(PathBuf),
}

/// An open disk or image.
#[derive(Debug)]
pub struct Disk {
    path: PathBuf,
    file: File,
    facts: Facts,
    head: Vec<u8>,
}

impl Disk {
    /// Opens what `path` leads to, links such as those of `/dev/disk/by-id` resolved, and reads its start.
    /// To write, it is locked against udev and other programs that follow its convention.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn open(path: &Path, to_write: bool) -> Result<Self, DeviceError> {
        let failed = |action| {
            move |error| DeviceError::Kernel {
                action,
                path: path.to_owned(),
                error,
            }
        };
        let real = path.canonicalize().map_err(failed("find"))?;
        let metadata = real.metadata().map_err(failed("look at"))?;
        if !metadata.is_file() && !metadata.file_type().is_block_device() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "neither a disk nor a file");
            return Err(failed("use")(error));
        }
        // Something read-only is described first, and refused with words then.
        let file = OpenOptions::new().read(true).write(to_write).open(&real);
        let mut file = match file {
            Err(error) if to_write && is_write_refusal(&error) => File::open(&real),
            other => other,
        }
        .map_err(failed("open"))?;
        let mut facts = describe::describe(&real, &metadata).map_err(failed("describe"))?;
        facts.size_bytes = file.seek(SeekFrom::End(0)).map_err(failed("measure"))?;
        if metadata.file_type().is_block_device() {
            facts.sector_bytes = ioctl_blksszget(&file)
                .map_err(|error| failed("measure sectors of")(error.into()))?;
            facts.busy = is_busy(&real);
        }
        if to_write {
            lock(&file).map_err(failed("lock"))?;
        }
        let head = read_head(&mut file).map_err(failed("read"))?;
        let tail = read_tail(&mut file, facts.size_bytes).map_err(failed("read"))?;
        facts.member_of = tail_sign(facts.size_bytes, &tail).map(|sign| sign.name);
        Ok(Self {
            path: real,
            file,
            facts,
            head,
        })
    }

    /// The path with all links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is known about it.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Its start as it was when it was opened: at most [`HEAD_LEN`] bytes.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// Writes the first sector and nothing else, in one write of one sector, past the kernel's cache where
    /// that is possible; then reads it back from the medium.
    ///
    /// # Errors
    /// When the sector is not as planned, when the kernel refuses, or when something else comes back.
    pub fn write(&mut self, plan: &Plan) -> Result<(), DeviceError> {
        let path = self.path.clone();
        let failed = |action| {
            let path = path.clone();
            move |error| DeviceError::Kernel {
                action,
                path,
                error,
            }
        };
        // The open file once more: its name may lead to another disk by now.
        let direct = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(OFlags::DIRECT.bits().cast_signed())
            .open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
            .ok();
        let mut now = [0; RECORD_LEN];
        self.file
            .read_exact_at(&mut now, 0)
            .map_err(failed("read"))?;
        if now != plan.old {
            return Err(DeviceError::Changed(path));
        }
        // Memory of one page, aligned: the start of a sector in it is found by address.
        let mut memory = vec![0; ALIGNMENT + RECORD_LEN];
        let start = memory.as_ptr().addr().wrapping_neg() % ALIGNMENT;
        memory[start..start + RECORD_LEN].copy_from_slice(&plan.new);
        let sector = &memory[start..start + RECORD_LEN];
        let written = direct.as_ref().map(|direct| direct.write_at(sector, 0));
        match written {
            Some(Ok(RECORD_LEN)) => {}
            // A medium that fails: through the cache its neighbours would be written as well.
            Some(Err(error)) if error.raw_os_error() != Some(Errno::INVAL.raw_os_error()) => {
                return Err(failed("write")(error));
            }
            // Some file systems know no O_DIRECT, or only for larger blocks.
            _ => match self.file.write_at(&plan.new, 0) {
                Ok(RECORD_LEN) => {}
                Ok(_) => return Err(failed("write all of the sector to")(Errno::IO.into())),
                Err(error) => return Err(failed("write")(error)),
            },
        }
        self.file.sync_all().map_err(failed("sync"))?;
        let _only_a_hint = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
        let back = &mut memory[start..start + RECORD_LEN];
        back.fill(0);
        match direct.map(|direct| direct.read_at(back, 0)) {
            Some(Ok(RECORD_LEN)) => {}
            _ => self
                .file
                .read_exact_at(back, 0)
                .map_err(failed("read back"))?,
        }
        if *back != plan.new {
            return Err(DeviceError::ReadBack(path));
        }
        let head = read_head(&mut self.file).map_err(failed("read back"))?;
        // The table's own sectors; what lies further on may be a partition at work.
        let neighbours = |head: &[u8]| head.get(RECORD_LEN..34 * RECORD_LEN).map(<[u8]>::to_vec);
        if neighbours(&head) != neighbours(&self.head) {
            return Err(DeviceError::Neighbours(path));
        }
        self.head = head;
        Ok(())
    }

    /// The first sector, when there is one.
    pub fn record(&self) -> Option<&Record> {
        self.head.first_chunk()
    }

    /// Reads bytes from elsewhere, such as the entries of a GPT.
    ///
    /// # Errors
    /// What the kernel answers, and when there are fewer bytes.
    pub fn read_at(&self, at: u64, len: usize) -> Result<Vec<u8>, DeviceError> {
        let mut bytes = vec![0; len];
        self.file
            .read_exact_at(&mut bytes, at)
            .map_err(|error| DeviceError::Kernel {
                action: "read",
                path: self.path.clone(),
                error,
            })?;
        Ok(bytes)
    }
}

/// Locks the file for one. udev holds its lock for a moment after each event, so it is asked again.
fn lock(file: &File) -> io::Result<()> {
    let end = Instant::now() + LOCK_LIMIT;
    loop {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < end => thread::sleep(LOCK_PAUSE),
            Err(Errno::WOULDBLOCK) => {
                let words = "another program holds its lock, see lslocks";
                return Err(io::Error::new(io::ErrorKind::WouldBlock, words));
            }
            other => return Ok(other?),
        }
    }
}

fn is_write_refusal(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::ROFS | Errno::ACCESS | Errno::PERM | Errno::TXTBSY)
    )
}

/// Whether the kernel would refuse it to one who wants it alone.
fn is_busy(path: &Path) -> bool {
    let alone = OFlags::EXCL.bits().cast_signed();
    let opened = OpenOptions::new().read(true).custom_flags(alone).open(path);
    opened.is_err_and(|error| error.raw_os_error() == Some(Errno::BUSY.raw_os_error()))
}

fn read_head(file: &mut File) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0))?;
    let mut head = Vec::with_capacity(HEAD_LEN);
    file.take(HEAD_LEN as u64).read_to_end(&mut head)?;
    Ok(head)
}

fn read_tail(file: &mut File, size_bytes: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(size_bytes.saturating_sub(TAIL_LEN)))?;
    let mut tail = Vec::new();
    file.take(TAIL_LEN).read_to_end(&mut tail)?;
    Ok(tail)
}
