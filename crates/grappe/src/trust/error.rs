//! Everything that can be wrong with a key file or a trust file, and the command that mends it.
//!
//! Not here: what a peer does wrong on the network (`control`).

use std::io;
use std::path::{Path, PathBuf};

/// Why an identity or a trust file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// None of the candidate paths holds a key.
    #[error("no identity key found; looked at {}", list(.looked_at))]
    NoKey {
        /// The paths tried, in the order they were tried.
        looked_at: Vec<PathBuf>,
    },
    /// The operating system refused an operation on a file.
    #[error("cannot {action} {}: {source}", .path.display())]
    File {
        /// What was being done: "open", "read", "create".
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// It is a directory, a pipe or a device.
    #[error("{} is no regular file", .path.display())]
    NoFile {
        /// What was named.
        path: PathBuf,
    },
    /// The private key can be read by more than its owner.
    #[error("private key {} is open to group or others (mode {mode:04o})", .path.display())]
    KeyExposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The trust file can be written by more than its owner.
    #[error("trust file {} is writable by group or others (mode {mode:04o})", .path.display())]
    TrustFileExposed {
        /// The trust file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The private key asks for a passphrase; an unattended node has nobody to type it.
    #[error("private key {} is encrypted with a passphrase", .path.display())]
    Encrypted {
        /// The key file.
        path: PathBuf,
    },
    /// The private key is sound but not Ed25519.
    #[error("private key {} is of type {algorithm}; only ssh-ed25519 is used", .path.display())]
    WrongAlgorithm {
        /// The key file.
        path: PathBuf,
        /// The algorithm as OpenSSH names it.
        algorithm: String,
    },
    /// The file is not an OpenSSH private key, or is damaged.
    #[error("{} is not an OpenSSH private key: {cause}", .path.display())]
    NotAKey {
        /// The key file.
        path: PathBuf,
        /// What the decoder or the key check found.
        cause: String,
    },
    /// Saving would overwrite an existing file.
    #[error("{} already exists; an identity is never overwritten", .path.display())]
    AlreadyExists {
        /// The file in the way.
        path: PathBuf,
    },
    /// The file is larger than any honest key or trust file.
    #[error("{} is larger than {bytes_max} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that is read, in bytes.
        bytes_max: u64,
    },
    /// A trust line asks for something that this version does not know. Ignoring it could grant
    /// more than the line means to (think of `from="..."`).
    #[error("{}:{line}: unknown option `{option}`", .path.display())]
    UnknownOption {
        /// The trust file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The option as written.
        option: String,
    },
    /// A trust line holds a key of another type.
    #[error("{}:{line}: key type {key_type} cannot be trusted; only ssh-ed25519 is used", .path.display())]
    UnsupportedKeyType {
        /// The trust file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// The type as written.
        key_type: String,
    },
    /// A trust line is not of the form `[options] ssh-ed25519 BASE64 [comment]`.
    #[error("{}:{line}: expected {expected}", .path.display())]
    MalformedLine {
        /// The trust file.
        path: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What should have stood there.
        expected: &'static str,
    },
    /// Two trust lines give the same key different roles.
    #[error("{}:{line}: same key as line {first_line}, with another role", .path.display())]
    RoleConflict {
        /// The trust file.
        path: PathBuf,
        /// The later line, from 1.
        line: usize,
        /// The earlier line, from 1.
        first_line: usize,
    },
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for a new key")]
    NoRandomness,
}

impl TrustError {
    /// What the user can do about it, as a sentence or a command to paste, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            // A single place was asked for; of several, the first is where a key is made anyway.
            Self::NoKey { looked_at } => Some(match &looked_at[..] {
                [only] => format!("make one with: grappe key new {}", shell_word(only)),
                _ => "make one with: grappe key new".to_owned(),
            }),
            Self::KeyExposed { path, .. } => Some(format!("chmod 600 {}", shell_word(path))),
            Self::TrustFileExposed { path, .. } => Some(format!("chmod go-w {}", shell_word(path))),
            Self::Encrypted { path } => Some(format!(
                "remove the passphrase with: ssh-keygen -p -N '' -f {}; or make another key with: \
                 grappe key new",
                shell_word(path)
            )),
            Self::WrongAlgorithm { .. } | Self::NotAKey { .. } => {
                Some("make an Ed25519 key with: grappe key new".to_owned())
            }
            Self::UnknownOption { .. } => {
                Some("the options are: send, receive; none of them means both".to_owned())
            }
            Self::RoleConflict { .. } => {
                Some("keep one line per key; `send,receive` or no option means both".to_owned())
            }
            Self::File { .. }
            | Self::NoFile { .. }
            | Self::AlreadyExists { .. }
            | Self::TooLarge { .. }
            | Self::UnsupportedKeyType { .. }
            | Self::MalformedLine { .. }
            | Self::NoRandomness => None,
        }
    }

    /// Shorthand for `map_err` on an operation of the operating system.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

fn list(paths: &[PathBuf]) -> String {
    let shown: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    shown.join(", ")
}

/// The path as one word of a POSIX shell, so that a pasted hint does what it says.
fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%:,".contains(c);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        text
    } else if text.starts_with('-') {
        format!("'./{}'", text.replace('\'', r"'\''"))
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_is_a_command_that_survives_a_shell() {
        let exposed = |path: &str| {
            TrustError::KeyExposed {
                path: path.into(),
                mode: 0o644,
            }
            .hint()
        };
        assert_eq!(
            exposed("/etc/grappe/key").unwrap(),
            "chmod 600 /etc/grappe/key"
        );
        assert_eq!(
            exposed("/home/o'neil a/k").unwrap(),
            r"chmod 600 '/home/o'\''neil a/k'"
        );
        assert_eq!(exposed("-R").unwrap(), "chmod 600 './-R'");
    }

    #[test]
    fn a_missing_key_names_every_place_and_the_way_out() {
        let error = TrustError::NoKey {
            looked_at: vec!["/a/key".into(), "/b/key".into()],
        };
        assert_eq!(
            error.to_string(),
            "no identity key found; looked at /a/key, /b/key"
        );
        assert_eq!(error.hint().unwrap(), "make one with: grappe key new");
    }

    #[test]
    fn a_missing_key_that_was_named_is_made_where_it_was_looked_for() {
        let hint = |path: &str| {
            TrustError::NoKey {
                looked_at: vec![path.into()],
            }
            .hint()
            .unwrap()
        };
        assert_eq!(hint("/a/key"), "make one with: grappe key new /a/key");
        assert_eq!(hint("my key"), "make one with: grappe key new 'my key'");
    }
}
