//! The private key on disk: the OpenSSH format, its permissions, and a save that is all or nothing.
//!
//! Not here: what is done with the key (`identity`).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::public::Ed25519PublicKey;
use ssh_key::{LineEnding, PrivateKey};

use super::guarded_file::{self, Guarded};
use super::{Identity, TrustError};

/// An Ed25519 key file has about 400 bytes; the largest RSA key stays far below this.
const KEY_BYTES_MAX: u64 = 64 * 1024;
/// Any access by group or others: the rule of `ssh` for private keys.
const FORBIDDEN_MODE: u32 = 0o077;

/// See [`Identity::load`].
pub(super) fn load(path: &Path) -> Result<Identity, TrustError> {
    let pem = match guarded_file::read(path, FORBIDDEN_MODE, KEY_BYTES_MAX)? {
        Guarded::Bytes(bytes) => bytes,
        Guarded::Exposed { mode } => {
            return Err(TrustError::KeyExposed {
                path: path.to_owned(),
                mode,
            });
        }
    };
    read(&pem, path)
}

/// The key in the text of a key file; `path` only serves the messages.
pub(super) fn read(pem: &[u8], path: &Path) -> Result<Identity, TrustError> {
    let not_a_key = |cause: String| TrustError::NotAKey {
        path: path.to_owned(),
        cause,
    };
    let key = PrivateKey::from_openssh(pem).map_err(|cause| not_a_key(cause.to_string()))?;
    if key.is_encrypted() {
        return Err(TrustError::Encrypted {
            path: path.to_owned(),
        });
    }
    let Some(pair) = key.key_data().ed25519() else {
        let algorithm = key.algorithm().to_string();
        return Err(TrustError::WrongAlgorithm {
            path: path.to_owned(),
            algorithm,
        });
    };
    Identity::from_halves(pair.private.clone(), &pair.public.0, key.comment())
        .ok_or_else(|| not_a_key("its two halves do not belong together".to_owned()))
}

/// See [`Identity::save_new`].
pub(super) fn save_new(identity: &Identity, path: &Path) -> Result<(), TrustError> {
    let public_path = public_path(path);
    // Only for an early and clear answer; the links below decide.
    for taken in [path, &public_path] {
        if taken.symlink_metadata().is_ok() {
            return Err(TrustError::AlreadyExists {
                path: taken.to_owned(),
            });
        }
    }
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(TrustError::file("create directory", directory))?;

    let private_text = openssh_text(identity, path)?;
    let public_text = format!("{}\n", identity.public_line());
    let private_draft = Draft::write(path, 0o600, private_text.as_bytes())?;
    let public_draft = Draft::write(&public_path, 0o644, public_text.as_bytes())?;
    private_draft.publish(path)?;
    public_draft.publish(&public_path).inspect_err(|_| {
        // Ours, just linked: leave nothing behind that the next attempt would stumble over.
        let _ = fs::remove_file(path);
    })?;
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(TrustError::file("sync directory", directory))
}

fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// The text of a key file, which wipes itself when dropped.
pub(super) fn openssh_text(
    identity: &Identity,
    path: &Path,
) -> Result<impl std::ops::Deref<Target = String>, TrustError> {
    let pair = Ed25519Keypair {
        public: Ed25519PublicKey(*identity.public().as_bytes()),
        private: identity.private().clone(),
    };
    PrivateKey::new(KeypairData::Ed25519(pair), identity.comment())
        .and_then(|key| key.to_openssh(LineEnding::LF))
        .map_err(|cause| TrustError::NotAKey {
            path: path.to_owned(),
            cause: cause.to_string(),
        })
}

/// A file complete on disk under a passing name; removed when dropped.
struct Draft {
    path: PathBuf,
}

impl Draft {
    fn write(for_path: &Path, mode: u32, bytes: &[u8]) -> Result<Self, TrustError> {
        let mut name = for_path.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let path = PathBuf::from(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .map_err(TrustError::file("create", &path))?;
        let draft = Self { path };
        file.write_all(bytes)
            .and_then(|()| file.sync_all())
            .map_err(TrustError::file("write", &draft.path))?;
        Ok(draft)
    }

    /// Gives the file its final name. A hard link, because unlike a rename it never replaces a
    /// file, and unlike `RENAME_NOREPLACE` it works on NFS, where home directories live.
    fn publish(&self, path: &Path) -> Result<(), TrustError> {
        fs::hard_link(&self.path, path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => TrustError::AlreadyExists {
                path: path.to_owned(),
            },
            _ => TrustError::File {
                action: "create",
                path: path.to_owned(),
                source,
            },
        })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Nothing better to do than leave it: the error that matters is already on its way.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests;
