//! Who holds a device: the processes with a descriptor on it, from `/proc`.
//!
//! A lock file binds only those who look at it, and smsd looks at none. Without root only one's own
//! processes are seen.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A process that has a device open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its process id.
    pub process: u32,
    /// Its name, as the kernel has it.
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.process)
    }
}

/// The processes other than this one that have the character device `path` open.
#[must_use]
pub fn holders(path: &Path) -> Vec<Holder> {
    let Ok(wanted) = std::fs::metadata(path) else {
        return Vec::new();
    };
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for process in processes.flatten() {
        let name = process.file_name();
        let Some(number) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if number == std::process::id() {
            continue;
        }
        let Ok(descriptors) = std::fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let holds = descriptors.flatten().any(|descriptor| {
            std::fs::metadata(descriptor.path()).is_ok_and(|held| {
                held.rdev() == wanted.rdev() && held.rdev() != 0 && held.ino() == wanted.ino()
            })
        });
        if holds {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            found.push(Holder {
                process: number,
                name: name.trim().to_owned(),
            });
        }
    }
    found
}
