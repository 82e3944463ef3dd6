//! A backup of what an installation is about to change, as a small JSON file: written whole or not at all,
//! and synced, before anything else is. `install` writes one always; `restore` reads it, and writes another.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checksum::crc32;
use crate::plan::Facts;
use crate::table::mbr::{RECORD_LEN, Record};

/// What the file says it is.
const FORMAT: &str = "reboot-sector backup 1";
/// A backup is far shorter.
const BYTES_MAX: u64 = 64 << 10;

/// The contents of a backup file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    format: String,
    /// The program's version.
    pub program: String,
    /// The kernel's name of the disk, for people.
    pub name: String,
    /// As in [`Facts`].
    pub model: Option<String>,
    /// As in [`Facts`].
    pub serial: Option<String>,
    /// As in [`Facts`].
    pub size_bytes: u64,
    /// The first sector in hexadecimal digits.
    sector: String,
    /// CRC-32 of the sector.
    crc32: u32,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// It cannot be read or written.
    #[error("cannot {action} the backup {path}: {error}; nothing was written to the disk")]
    File {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// The kernel's answer.
        error: io::Error,
    },
    /// It is there already, with something else in it.
    #[error(
        "{0} exists and holds another backup; move it away, or name another file with --backup"
    )]
    Exists(PathBuf),
    /// It is none, or damaged.
    #[error("{path} is no backup that can be used: {why}")]
    Unusable {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Backup {
    /// A backup of this sector of this disk.
    pub fn new(facts: &Facts, sector: &Record) -> Self {
        Self {
            format: FORMAT.to_owned(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            name: facts.name.clone(),
            model: facts.model.clone(),
            serial: facts.serial.clone(),
            size_bytes: facts.size_bytes,
            sector: sector.iter().map(|byte| format!("{byte:02x}")).collect(),
            crc32: crc32(sector),
        }
    }

    /// The sector, when the backup is whole.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn sector(&self) -> Result<Record, String> {
        if self.format != FORMAT {
            return Err(format!("it is in the format '{}'", self.format));
        }
        let digits: Option<Vec<u8>> = self
            .sector
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let bytes = digits.ok_or("its sector is not hexadecimal")?;
        let sector = Record::try_from(bytes)
            .map_err(|_| format!("its sector has not {RECORD_LEN} bytes"))?;
        if crc32(&sector) != self.crc32 {
            return Err("its checksum does not match".to_owned());
        }
        Ok(sector)
    }

    /// The file's text.
    pub fn text(&self) -> String {
        // A struct of strings and numbers always has a text.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Reads a text.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read_text(text: &str) -> Result<Self, String> {
        let backup: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        backup.sector()?;
        Ok(backup)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is no backup, or is damaged.
    pub fn read(path: &Path) -> Result<Self, BackupError> {
        let failed = |error| BackupError::File {
            action: "read",
            path: path.to_owned(),
            error,
        };
        let mut text = String::new();
        let file = File::open(path).map_err(failed)?;
        file.take(BYTES_MAX)
            .read_to_string(&mut text)
            .map_err(failed)?;
        Self::read_text(&text).map_err(|why| BackupError::Unusable {
            path: path.to_owned(),
            why,
        })
    }

    /// Writes the file: under another name, synced, then linked to its own, and the directory synced. A file
    /// that is there is never replaced; one with the same sector is enough.
    ///
    /// # Errors
    /// When it cannot be written, or another backup is there.
    pub fn write(&self, path: &Path) -> Result<(), BackupError> {
        let failed = |action| {
            move |error| BackupError::File {
                action,
                path: path.to_owned(),
                error,
            }
        };
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let part = directory.join(name);
        let _left_behind_by_a_killed_one = fs::remove_file(&part);
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&part);
        let mut file = created.map_err(failed("create"))?;
        let written = file
            .write_all(self.text().as_bytes())
            .and_then(|()| file.sync_all());
        let linked = written.and_then(|()| fs::hard_link(&part, path));
        let linked = match linked {
            // Some file systems have no links; an exclusive rename is not in the standard library.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !path.exists() => {
                fs::rename(&part, path)
            }
            other => other,
        };
        let _gone_after_a_rename = fs::remove_file(&part);
        match linked {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let same = Self::read(path)
                    .is_ok_and(|there| there.sector == self.sector && there.serial == self.serial);
                if !same {
                    return Err(BackupError::Exists(path.to_owned()));
                }
            }
            other => other.map_err(failed("write"))?,
        }
        let synced = File::open(directory).and_then(|directory| directory.sync_all());
        synced.map_err(failed("sync"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::Kind;

    fn facts() -> Facts {
        Facts {
            name: "sda".into(),
            kind: Kind::Disk,
            model: None,
            serial: Some("S1".into()),
            size_bytes: 9,
            sector_bytes: 512,
            read_only: false,
            busy: false,
            uses: Vec::new(),
            member_of: None,
        }
    }

    #[test]
    fn an_older_backup_is_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup");
        let first = Backup::new(&facts(), &[1; RECORD_LEN]);
        first.write(&path).unwrap();
        first.write(&path).unwrap();
        let other = Backup::new(&facts(), &[2; RECORD_LEN]);
        assert!(matches!(other.write(&path), Err(BackupError::Exists(_))));
        assert_eq!(Backup::read(&path).unwrap(), first);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    proptest! {
        #[test]
        fn a_sector_comes_back_and_damage_is_seen(noise in prop::collection::vec(any::<u8>(), 512), at in 0_usize..1024) {
            let sector: Record = noise.try_into().unwrap();
            let backup = Backup::new(&facts(), &sector);
            prop_assert_eq!(Backup::read_text(&backup.text()).unwrap().sector(), Ok(sector));
            let mut damaged = backup;
            let digit = damaged.sector.remove(at);
            damaged.sector.insert(at, if digit == '0' { '1' } else { '0' });
            prop_assert!(damaged.sector().is_err());
            prop_assert!(Backup::read_text(&damaged.text()).is_err());
        }

        #[test]
        fn any_text_is_borne(text in ".{0,300}") {
            prop_assert!(Backup::read_text(&text).is_err());
        }
    }
}
