//! The last answer, on disk: written by whoever asked, read by the plugin.
//!
//! One small JSON file, replaced in one step, readable by all: the plugin runs as another user than
//! smsd. Keeps the bytes as they came, so that a better reader can read them again.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// An answer and when it came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Version of this form.
    version: u32,
    /// Seconds since 1970-01-01 UTC.
    pub received_unix: i64,
    /// The question, if it is known: `AT+CUSD=1,"*130#",15`.
    pub question: Option<String>,
    /// The modem's name in smsd.conf, or its device.
    pub modem: Option<String>,
    /// The bytes of the conversation, each as the character of the same number.
    raw: String,
}

/// Why an answer cannot be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Nothing was stored yet.
    #[error(
        "{0}: there is no answer yet; is the question asked regularly (smsd.conf: regular_run_cmd and eventhandler_ussd)?"
    )]
    Absent(PathBuf),
    /// The file cannot be read or written.
    #[error("{path}: {action}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// The file is not one of ours.
    #[error("{0}: is not a stored answer ({1}); remove it, the next answer makes a new one")]
    Form(PathBuf, String),
}

const VERSION: u32 = 1;
/// An answer file is a few hundred bytes; a larger one is something else.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// More of a conversation than this is not kept: the answer is within.
const RAW_BYTES_MAX: usize = 8 * 1024;

impl Answer {
    /// An answer that came at `received_unix`.
    #[must_use]
    pub fn new(
        raw: &[u8],
        received_unix: i64,
        question: Option<String>,
        modem: Option<String>,
    ) -> Self {
        let raw = raw
            .iter()
            .take(RAW_BYTES_MAX)
            .map(|&byte| char::from(byte))
            .collect();
        Self {
            version: VERSION,
            received_unix,
            question,
            modem,
            raw,
        }
    }

    /// The bytes of the conversation.
    #[must_use]
    pub fn raw(&self) -> Vec<u8> {
        self.raw
            .chars()
            .map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?'))
            .collect()
    }

    /// Reads the answer stored in `path`.
    ///
    /// # Errors
    /// No file, an unreadable one, or one of another form; each says what to do.
    pub fn load(path: &Path) -> Result<Self, StoreError> {
        let io = |action| {
            move |cause| StoreError::Io {
                path: path.to_owned(),
                action,
                cause,
            }
        };
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(StoreError::Absent(path.to_owned()));
            }
            opened => opened.map_err(io("cannot be read"))?,
        };
        let mut text = String::new();
        match file.take(FILE_BYTES_MAX).read_to_string(&mut text) {
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(StoreError::Form(path.to_owned(), "not UTF-8".into()));
            }
            read => read.map_err(io("cannot be read"))?,
        };
        let answer: Self = serde_json::from_str(&text)
            .map_err(|error| StoreError::Form(path.to_owned(), error.to_string()))?;
        if answer.version != VERSION {
            return Err(StoreError::Form(
                path.to_owned(),
                format!("version {}", answer.version),
            ));
        }
        Ok(answer)
    }

    /// Stores the answer under `path` in one step: readers see the old one or this one.
    ///
    /// # Errors
    /// What the kernel said, and about which file.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        let text = serde_json::to_string(self)
            .map_err(|error| StoreError::Form(path.to_owned(), error.to_string()))?;
        replace(path, text.as_bytes())
    }
}

/// Replaces the file `path` by `content`, readable by all, durable when this returns.
///
/// # Errors
/// What the kernel said, and about which file.
pub fn replace(path: &Path, content: &[u8]) -> Result<(), StoreError> {
    let io = |path: &Path, action| {
        let path = path.to_owned();
        move |cause| StoreError::Io {
            path,
            action,
            cause,
        }
    };
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let unfinished = directory.join(format!(".{name}.{}", std::process::id()));
    // Left by an earlier process with this number that was killed.
    let _ = std::fs::remove_file(&unfinished);
    let written = (|| {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&unfinished)
            .map_err(io(&unfinished, "cannot be made"))?;
        file.write_all(content)
            .map_err(io(&unfinished, "cannot be written"))?;
        // Whatever the umask: the plugin runs as another user.
        file.set_permissions(std::fs::Permissions::from_mode(0o644))
            .map_err(io(&unfinished, "cannot be made readable"))?;
        file.sync_all()
            .map_err(io(&unfinished, "cannot be synced"))?;
        std::fs::rename(&unfinished, path).map_err(io(path, "cannot be replaced"))?;
        let opened = File::open(directory).and_then(|directory| directory.sync_all());
        opened.map_err(io(directory, "cannot be synced"))
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::{Answer, StoreError};

    #[test]
    fn an_answer_comes_back_byte_by_byte() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("answer");
        let raw: Vec<u8> = (0..=255).collect();
        let answer = Answer::new(
            &raw,
            1_254_355_200,
            Some("AT+CUSD=1,\"*130#\",15".into()),
            None,
        );
        answer.save(&path).unwrap();
        let loaded = Answer::load(&path).unwrap();
        assert_eq!(loaded, answer);
        assert_eq!(loaded.raw(), raw);
        assert_eq!(
            std::fs::read_dir(directory.path()).unwrap().count(),
            1,
            "nothing half done stays"
        );
    }

    #[test]
    fn a_missing_or_foreign_file_is_named_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("answer");
        assert!(matches!(Answer::load(&path), Err(StoreError::Absent(_))));
        std::fs::write(&path, "{}").unwrap();
        assert!(matches!(Answer::load(&path), Err(StoreError::Form(..))));
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(Answer::load(&path), Err(StoreError::Form(..))));
    }
}
