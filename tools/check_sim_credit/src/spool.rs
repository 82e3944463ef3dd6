//! Messages into smsd's spool: smsd sees a whole message or none.
//!
//! A message is written under a name that smsd skips, synced, and renamed without replacing. smsd skips
//! names that begin with a dot since 3.1.17, and takes a file only if it may read it, so the file is
//! readable by all, as smsd's own `sendsms` leaves it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    number: String,
    text: String,
    /// Before all others in the spool.
    pub urgent: bool,
    /// How long the network may try, as smsd writes it: `1 hour`.
    pub validity: Option<String>,
}

/// Why a message cannot be put into the spool.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The number holds something that no number does.
    #[error(
        "'{0}' is not a telephone number: digits in international form (41791234567), or s and a short number (s333)"
    )]
    Number(String),
    /// There is nothing to send.
    #[error("the message is empty")]
    Empty,
    /// A header's value holds a line end or another control character.
    #[error("the validity {0:?} holds a control character")]
    Header(String),
    /// The kernel refused.
    #[error("{path}: {action}: {cause}{hint}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        cause: std::io::Error,
        /// What to do, with a blank and brackets, or nothing.
        hint: &'static str,
    },
}

/// Where a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// smsd has not taken it yet.
    Waiting,
    /// smsd has it in hand.
    Taken,
    /// The network has it.
    Sent,
    /// smsd gave up.
    Failed,
}

/// The longest number: 15 digits (ITU-T E.164) with room for a prefix.
const NUMBER_DIGITS_MAX: usize = 20;

impl Message {
    /// A message to `number`. Blanks, dashes and a leading `+` or `00` are taken off the number.
    ///
    /// # Errors
    /// A number that is none, or an empty text.
    pub fn new(number: &str, text: &str) -> Result<Self, SpoolError> {
        let plain: String = number
            .trim()
            .chars()
            .filter(|character| !matches!(character, ' ' | '-' | '/' | '(' | ')'))
            .collect();
        let short = plain.strip_prefix('s');
        let digits = short.unwrap_or_else(|| {
            plain
                .strip_prefix('+')
                .or_else(|| plain.strip_prefix("00"))
                .unwrap_or(&plain)
        });
        let sound = (2..=NUMBER_DIGITS_MAX).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !sound || number.contains(['\n', '\r']) {
            return Err(SpoolError::Number(number.to_owned()));
        }
        // smsd ends the text at nothing but the file's end; a NUL would end it for the modem.
        let text = text.replace('\0', "").replace("\r\n", "\n");
        if text.trim().is_empty() {
            return Err(SpoolError::Empty);
        }
        let number = if short.is_some() {
            format!("s{digits}")
        } else {
            digits.to_owned()
        };
        Ok(Self {
            number,
            text,
            urgent: false,
            validity: None,
        })
    }

    /// The file as smsd reads it: headers, an empty line, the text.
    ///
    /// # Errors
    /// A header's value that would begin another header.
    pub fn file(&self) -> Result<String, SpoolError> {
        let mut file = format!("To: {}\nAlphabet: UTF-8\n", self.number);
        if self.urgent {
            file.push_str("Priority: HIGH\n");
        }
        if let Some(validity) = &self.validity {
            if validity.chars().any(char::is_control) {
                return Err(SpoolError::Header(validity.clone()));
            }
            file.push_str(&format!("Validity: {validity}\n"));
        }
        file.push('\n');
        file.push_str(&self.text);
        Ok(file)
    }
}

/// Puts a message into `outgoing` and returns its name there. It is durable when this returns.
///
/// # Errors
/// What the kernel refused; nothing is left behind.
pub fn put(message: &Message, outgoing: &Path) -> Result<PathBuf, SpoolError> {
    let content = message.file()?;
    let io = |path: &Path, action: &'static str| {
        let path = path.to_owned();
        move |cause: std::io::Error| {
            let hint = match cause.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    " (is this user in the group smsd? adduser USER smsd)"
                }
                std::io::ErrorKind::NotFound => {
                    " (is smstools installed, and is this its 'outgoing' of smsd.conf?)"
                }
                _ => "",
            };
            SpoolError::Io {
                path,
                action,
                cause,
                hint,
            }
        }
    };
    // A name of this process and moment; should it be there, the next one is tried.
    let mut number = jiff::Timestamp::now().as_nanosecond();
    loop {
        let name = format!("sim-credit.{}.{number}", std::process::id());
        let unfinished = outgoing.join(format!(".{name}"));
        let finished = outgoing.join(name);
        number += 1;
        let mut file = match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&unfinished)
        {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
            opened => opened.map_err(io(&unfinished, "cannot be made"))?,
        };
        let placed = (|| {
            file.write_all(content.as_bytes())
                .map_err(io(&unfinished, "cannot be written"))?;
            // Whatever the umask: a file that smsd may not read stays for ever.
            file.set_permissions(std::fs::Permissions::from_mode(0o644))
                .map_err(io(&unfinished, "cannot be made readable"))?;
            file.sync_all()
                .map_err(io(&unfinished, "cannot be synced"))?;
            renameat_with(CWD, &unfinished, CWD, &finished, RenameFlags::NOREPLACE)
                .map_err(|error| io(&finished, "cannot be named")(error.into()))
        })();
        if let Err(error) = placed {
            let _ = std::fs::remove_file(&unfinished);
            let taken = matches!(&error, SpoolError::Io { cause, .. } if cause.kind() == std::io::ErrorKind::AlreadyExists);
            if taken {
                continue;
            }
            return Err(error);
        }
        File::open(outgoing)
            .and_then(|directory| directory.sync_all())
            .map_err(io(outgoing, "cannot be synced"))?;
        return Ok(finished);
    }
}

/// Where the message that was put at `path` is now, by smsd's usual directories beside `outgoing`.
#[must_use]
pub fn fate(path: &Path) -> Fate {
    let spool = path
        .parent()
        .and_then(Path::parent)
        .unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default();
    if path.exists() {
        Fate::Waiting
    } else if spool.join("sent").join(name).exists() {
        Fate::Sent
    } else if spool.join("failed").join(name).exists() {
        Fate::Failed
    } else {
        Fate::Taken
    }
}

#[cfg(test)]
mod tests {
    use super::{Fate, Message, SpoolError, fate, put};

    #[test]
    fn a_message_is_whole_readable_and_alone() {
        use std::os::unix::fs::PermissionsExt;
        let spool = tempfile::tempdir().unwrap();
        let outgoing = spool.path().join("outgoing");
        std::fs::create_dir(&outgoing).unwrap();
        let message = Message::new("+41 79 123-45 67", "db1 is DOWN: ü").unwrap();
        let path = put(&message, &outgoing).unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "To: 41791234567\nAlphabet: UTF-8\n\ndb1 is DOWN: ü"
        );
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(std::fs::read_dir(&outgoing).unwrap().count(), 1);
        assert_eq!(fate(&path), Fate::Waiting);
        std::fs::create_dir(spool.path().join("sent")).unwrap();
        std::fs::rename(
            &path,
            spool.path().join("sent").join(path.file_name().unwrap()),
        )
        .unwrap();
        assert_eq!(fate(&path), Fate::Sent);
    }

    #[test]
    fn no_text_of_a_monitoring_server_becomes_a_header() {
        assert!(matches!(
            Message::new("41791234567\nFlash: yes", "x"),
            Err(SpoolError::Number(_))
        ));
        assert!(matches!(
            Message::new("root", "x"),
            Err(SpoolError::Number(_))
        ));
        assert!(matches!(
            Message::new("41791234567", " \n"),
            Err(SpoolError::Empty)
        ));
        let message = Message::new("s333", "\nTo: 5555\n\nx").unwrap();
        assert!(
            message
                .file()
                .unwrap()
                .starts_with("To: s333\nAlphabet: UTF-8\n\n")
        );
        let injected = Message {
            validity: Some("1 hour\nTo: 5".into()),
            ..message
        };
        assert!(matches!(injected.file(), Err(SpoolError::Header(_))));
    }

    #[test]
    fn a_missing_spool_says_what_to_do() {
        let message = Message::new("41791234567", "x").unwrap();
        let error = put(&message, std::path::Path::new("/nonexistent/outgoing")).unwrap_err();
        assert!(error.to_string().contains("smstools"), "{error}");
    }
}
