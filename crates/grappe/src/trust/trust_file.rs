//! Who may send and who may receive: a file in the form of `authorized_keys` (sshd(8)).
//!
//! ```text
//! # the node that publishes data sets
//! send ssh-ed25519 AAAAC3Nz... root@storage
//! ssh-ed25519 AAAAC3Nz... may send and receive
//! ```
//!
//! Not here: proving that a peer holds a key (`control` does).

use std::collections::BTreeMap;
use std::path::Path;

use super::guarded_file::{self, Guarded};
use super::{PublicKey, TrustError};

/// Some hundred thousand keys: more than any cluster has nodes.
const TRUST_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Who can write this file can become anybody.
const FORBIDDEN_MODE: u32 = 0o022;

/// What a trusted key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Option `send`: may offer data to others, gets none.
    Sender,
    /// Option `receive`: may be given data, is not believed when it offers some.
    Receiver,
    /// No option, or both.
    Both,
}

impl Role {
    /// Whether data from this key is accepted.
    pub const fn may_send(self) -> bool {
        matches!(self, Self::Sender | Self::Both)
    }

    /// Whether data is given to this key.
    pub const fn may_receive(self) -> bool {
        matches!(self, Self::Receiver | Self::Both)
    }
}

/// The trusted keys and their roles.
#[derive(Clone, Debug, Default)]
pub struct TrustFile {
    /// The role of each key and the line, from 1, that says so.
    keys: BTreeMap<PublicKey, (Role, usize)>,
}

impl TrustFile {
    /// Reads a trust file of at most 16 MiB.
    ///
    /// # Errors
    /// [`TrustError::TrustFileExposed`] if group or others may write it, [`TrustError::File`],
    /// [`TrustError::TooLarge`], and the errors of [`TrustFile::parse`].
    pub fn load(path: &Path) -> Result<Self, TrustError> {
        match guarded_file::read(path, FORBIDDEN_MODE, TRUST_BYTES_MAX)? {
            // Comments may be in any encoding; everything that counts is ASCII.
            Guarded::Bytes(bytes) => Self::parse(&String::from_utf8_lossy(&bytes), path),
            Guarded::Exposed { mode } => Err(TrustError::TrustFileExposed {
                path: path.to_owned(),
                mode,
            }),
        }
    }

    /// Reads the text of a trust file; `path` only serves the messages.
    ///
    /// Strict: a line that is not understood fails the whole file. A key of another type would
    /// never be let in, and an option skipped over could let in more than its line means to; both
    /// are better noticed now than during a copy.
    ///
    /// # Errors
    /// [`TrustError::UnknownOption`], [`TrustError::UnsupportedKeyType`],
    /// [`TrustError::MalformedLine`], and [`TrustError::RoleConflict`] for a key listed twice with
    /// different roles; an equal repetition is harmless.
    pub fn parse(text: &str, path: &Path) -> Result<Self, TrustError> {
        let mut trust = Self::default();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.trim();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let (key, role) = parse_line(content, Place { path, line })?;
            match trust.keys.get(&key) {
                Some(&(first_role, first_line)) if first_role != role => {
                    return Err(TrustError::RoleConflict {
                        path: path.into(),
                        line,
                        first_line,
                    });
                }
                Some(_) => {}
                None => {
                    trust.keys.insert(key, (role, line));
                }
            }
        }
        Ok(trust)
    }

    /// Trusts one key for everything: the set-up where all nodes share one key file.
    pub fn only(key: PublicKey) -> Self {
        Self {
            keys: [(key, (Role::Both, 1))].into(),
        }
    }

    /// What this key may do; `None` if it is not trusted.
    pub fn role_of(&self, key: &PublicKey) -> Option<Role> {
        self.keys.get(key).map(|&(role, _)| role)
    }

    /// How many keys are trusted.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nobody is trusted.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// Where a line stands, for messages.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a Path,
    line: usize,
}

impl Place<'_> {
    fn expected(self, expected: &'static str) -> TrustError {
        TrustError::MalformedLine {
            path: self.path.to_owned(),
            line: self.line,
            expected,
        }
    }
}

/// One line that is neither blank nor a comment: `[options] ssh-ed25519 BASE64 [comment]`.
fn parse_line(content: &str, place: Place<'_>) -> Result<(PublicKey, Role), TrustError> {
    let (first, after_first) = split_field(content);
    let (role, key_type, rest) = if is_key_type(first) {
        (Role::Both, first, after_first)
    } else {
        let role = parse_options(first, place)?;
        let (key_type, rest) = split_field(after_first);
        (role, key_type, rest)
    };
    if key_type.is_empty() {
        return Err(place.expected("a key after the options"));
    }
    if !is_key_type(key_type) {
        return Err(place.expected("a key type such as ssh-ed25519"));
    }
    if key_type != "ssh-ed25519" {
        let (path, line) = (place.path.to_owned(), place.line);
        return Err(TrustError::UnsupportedKeyType {
            path,
            line,
            key_type: key_type.to_owned(),
        });
    }
    let (encoded, _comment) = split_field(rest);
    let key = PublicKey::from_openssh(&format!("{key_type} {encoded}"))
        .ok_or_else(|| place.expected("the base64 of an Ed25519 key"))?;
    Ok((key, role))
}

fn parse_options(options: &str, place: Place<'_>) -> Result<Role, TrustError> {
    let (mut send, mut receive) = (false, false);
    for option in split_outside_quotes(options, |c| c == ',') {
        match option {
            "send" => send = true,
            "receive" => receive = true,
            unknown => {
                return Err(TrustError::UnknownOption {
                    path: place.path.to_owned(),
                    line: place.line,
                    option: unknown.to_owned(),
                });
            }
        }
    }
    Ok(match (send, receive) {
        (true, false) => Role::Sender,
        (false, true) => Role::Receiver,
        _ => Role::Both,
    })
}

/// The prefixes of all key types that OpenSSH writes into `authorized_keys`.
fn is_key_type(field: &str) -> bool {
    ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"]
        .iter()
        .any(|prefix| field.starts_with(prefix))
}

/// The text up to the first blank outside quotes, and what follows without leading blanks.
fn split_field(text: &str) -> (&str, &str) {
    let field = split_outside_quotes(text, char::is_whitespace)
        .next()
        .unwrap_or_default();
    (field, text[field.len()..].trim_start())
}

/// Splits where `separator` holds, but not inside "..." (where \" is a quote, not an end).
fn split_outside_quotes(
    text: &str,
    separator: impl Fn(char) -> bool,
) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let is_escape = c == '\\' && quoted && !escaped;
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = is_escape;
        !quoted && separator(c)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::trust::Identity;

    fn key() -> PublicKey {
        Identity::generate("").unwrap().public()
    }

    fn parse(text: &str) -> Result<TrustFile, TrustError> {
        TrustFile::parse(text, Path::new("trust"))
    }

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn roles_follow_the_options() {
        let [sender, receiver, both, plain, unknown] = [key(), key(), key(), key(), key()];
        let trust = parse(&format!(
            "# who\n\nsend {sender} root@storage\n  receive\t{receiver}\n\
             send,receive {both} a comment, with \"odd things\r\n{plain}"
        ))
        .unwrap();
        assert_eq!(trust.len(), 4);
        assert_eq!(trust.role_of(&sender), Some(Role::Sender));
        assert_eq!(trust.role_of(&receiver), Some(Role::Receiver));
        assert_eq!(trust.role_of(&both), Some(Role::Both));
        assert_eq!(trust.role_of(&plain), Some(Role::Both));
        assert_eq!(trust.role_of(&unknown), None);
        assert!(Role::Sender.may_send() && !Role::Sender.may_receive());
        assert!(Role::Receiver.may_receive() && !Role::Receiver.may_send());
        assert!(Role::Both.may_send() && Role::Both.may_receive());
    }

    #[test]
    fn an_unknown_option_names_file_line_and_option() {
        let key = key();
        assert_eq!(
            refusal(&format!("\nadmin {key}")),
            "trust:2: unknown option `admin`"
        );
        assert_eq!(
            refusal(&format!("send,from=\"10.0.0.1, 10.0.0.2\" {key}")),
            "trust:1: unknown option `from=\"10.0.0.1, 10.0.0.2\"`"
        );
        assert_eq!(
            refusal(&format!("send,,receive {key}")),
            "trust:1: unknown option ``"
        );
    }

    #[test]
    fn lines_that_are_not_understood_are_errors() {
        assert!(refusal("ssh-rsa AAAA me").contains("trust:1: key type ssh-rsa"));
        assert!(refusal("send").contains("a key after the options"));
        assert!(refusal("send nonsense").contains("a key type"));
        assert!(refusal("ssh-ed25519").contains("base64"));
        assert!(refusal("ssh-ed25519 AAAA").contains("base64"));
        let text = key().to_string();
        assert!(refusal(&text[..text.len() - 1]).contains("base64"));
    }

    #[test]
    fn a_repeated_key_is_fine_until_the_lines_disagree() {
        let key = key();
        assert_eq!(parse(&format!("send {key}\nsend {key}")).unwrap().len(), 1);
        assert_eq!(
            refusal(&format!("send {key}\n\n{key}")),
            "trust:3: same key as line 1, with another role"
        );
    }

    #[test]
    fn only_trusts_only() {
        let (ours, other) = (key(), key());
        let trust = TrustFile::only(ours);
        assert_eq!(trust.role_of(&ours), Some(Role::Both));
        assert_eq!(trust.role_of(&other), None);
        assert!(parse("# nobody").unwrap().is_empty());
    }

    #[test]
    fn a_file_that_others_can_write_is_refused_with_the_command_that_mends_it() {
        let directory = tempfile::TempDir::new().unwrap();
        let path = directory.path().join("trust");
        fs::write(&path, key().to_string().as_bytes()).unwrap();
        let chmod = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        for mode in [0o664, 0o646] {
            chmod(mode);
            let error = TrustFile::load(&path).unwrap_err();
            assert!(matches!(error, TrustError::TrustFileExposed { .. }));
            assert_eq!(
                error.hint().unwrap(),
                format!("chmod go-w {}", path.display())
            );
        }
        chmod(0o644);
        assert_eq!(TrustFile::load(&path).unwrap().len(), 1);
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(send|receive|ssh-ed25519|[ ,\"\\\\=#a-zA\n])*") {
            let _ = parse(&text);
        }
    }
}
