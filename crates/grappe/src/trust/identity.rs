//! The private half of a node's name: making it and signing with it.
//!
//! Not here: its form on disk (`key_file`), the search for it (`key_path`).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use ssh_key::private::Ed25519PrivateKey;

use super::{PublicKey, TrustError, key_file};

/// An Ed25519 key pair (RFC 8032) with its comment. Never prints its private half.
#[derive(Clone)]
pub struct Identity {
    /// Kept for saving; it wipes itself when dropped.
    private: Ed25519PrivateKey,
    signer: Arc<Ed25519KeyPair>,
    public: PublicKey,
    comment: String,
}

impl Identity {
    /// A new key pair. `comment` is for people, usually `grappe@host`; control characters in it
    /// are dropped.
    ///
    /// # Errors
    /// [`TrustError::NoRandomness`].
    pub fn generate(comment: &str) -> Result<Self, TrustError> {
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed).map_err(|_| TrustError::NoRandomness)?;
        let signer =
            Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| TrustError::NoRandomness)?;
        let private = Ed25519PrivateKey::from_bytes(&seed);
        Self::assemble(private, signer, comment).ok_or(TrustError::NoRandomness)
    }

    /// Reads an unencrypted OpenSSH Ed25519 private key, at most 64 KiB.
    ///
    /// # Errors
    /// As `ssh`, refuses a file that group or others may read or write
    /// ([`TrustError::KeyExposed`]); also [`TrustError::Encrypted`],
    /// [`TrustError::WrongAlgorithm`], [`TrustError::NotAKey`], [`TrustError::TooLarge`] and
    /// [`TrustError::File`].
    pub fn load(path: &Path) -> Result<Self, TrustError> {
        key_file::load(path)
    }

    /// Reads the text of a key file that was handed over by other means than a file.
    ///
    /// # Errors
    /// Those of [`Identity::load`] that are about the text; the path in them is `-`.
    pub fn from_openssh(text: &str) -> Result<Self, TrustError> {
        key_file::read(text.as_bytes(), Path::new("-"))
    }

    /// The private key as the text of a key file, to be handed over on a channel that is safe.
    ///
    /// # Errors
    /// [`TrustError::NotAKey`], which a key that was generated or loaded never is.
    pub fn to_openssh(&self) -> Result<impl std::ops::Deref<Target = String>, TrustError> {
        key_file::openssh_text(self, Path::new("-"))
    }

    /// Loads the first of `candidates` that exists (see [`key_candidates`](super::key_candidates)).
    ///
    /// # Errors
    /// [`TrustError::NoKey`] if none exists; a candidate that exists but cannot be used is an
    /// error of [`Identity::load`], not a reason to take the next.
    pub fn find(candidates: &[PathBuf]) -> Result<Self, TrustError> {
        for path in candidates {
            match Self::load(path) {
                Err(TrustError::File { source, .. })
                    if source.kind() == io::ErrorKind::NotFound => {}
                found => return found,
            }
        }
        Err(TrustError::NoKey {
            looked_at: candidates.to_vec(),
        })
    }

    /// Writes the private key to `path` (mode 0600) and the public key to `path` + `.pub`.
    ///
    /// A missing parent directory is created with mode 0700. Both files appear whole under their
    /// final names or not at all, and never replace an existing file.
    ///
    /// # Errors
    /// [`TrustError::AlreadyExists`] and [`TrustError::File`].
    pub fn save_new(&self, path: &Path) -> Result<(), TrustError> {
        key_file::save_new(self, path)
    }

    /// The public half.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// The comment, without control characters; may be empty.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// The line to append to another node's trust file: key and comment, no newline.
    pub fn public_line(&self) -> String {
        format!("{} {}", self.public, self.comment)
            .trim_end()
            .to_owned()
    }

    /// Signs `message` (RFC 8032, section 5.1.6).
    ///
    /// The caller makes sure that messages of different purposes cannot be mistaken for each
    /// other, by a distinct prefix: TLS signs with the same key (RFC 8446, section 4.4.3).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.signer.sign(message).as_ref());
        signature
    }

    /// From the two halves in a key file; `None` if they do not belong together.
    pub(super) fn from_halves(
        private: Ed25519PrivateKey,
        public: &[u8; 32],
        comment: &str,
    ) -> Option<Self> {
        let signer = Ed25519KeyPair::from_seed_and_public_key(private.as_ref(), public).ok()?;
        Self::assemble(private, signer, comment)
    }

    /// The private half, for saving only.
    pub(super) const fn private(&self) -> &Ed25519PrivateKey {
        &self.private
    }

    fn assemble(private: Ed25519PrivateKey, signer: Ed25519KeyPair, comment: &str) -> Option<Self> {
        let public = PublicKey::from_bytes(signer.public_key().as_ref().try_into().ok()?);
        // A newline here would become a second line of somebody's trust file.
        let comment = comment.chars().filter(|c| !c.is_control()).collect();
        Some(Self {
            private,
            signer: Arc::new(signer),
            public,
            comment,
        })
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("public", &self.public)
            .field("comment", &self.comment)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_signs_its_public_half_verifies() {
        let identity = Identity::generate("grappe@n1").unwrap();
        let other = Identity::generate("grappe@n2").unwrap();
        let signature = identity.sign(b"announcement");
        assert!(identity.public().verify(b"announcement", &signature));
        assert!(!other.public().verify(b"announcement", &signature));
    }

    #[test]
    fn a_key_that_is_handed_over_stays_the_same() {
        let identity = Identity::generate("one session").unwrap();
        let text = identity.to_openssh().unwrap();
        let handed = Identity::from_openssh(&text).unwrap();
        assert_eq!(handed.public(), identity.public());
        assert!(Identity::from_openssh("no key").is_err());
    }

    #[test]
    fn a_comment_cannot_smuggle_in_a_second_line() {
        let identity = Identity::generate("a\nssh-ed25519 AAAA").unwrap();
        assert_eq!(identity.public_line().lines().count(), 1);
        let silent = Identity::generate("").unwrap();
        assert_eq!(silent.public_line(), silent.public().to_string());
    }

    #[test]
    fn debug_output_shows_the_fingerprint_only() {
        let identity = Identity::generate("n1").unwrap();
        let shown = format!("{identity:?}");
        assert!(shown.contains(&identity.public().fingerprint()));
        assert!(!shown.contains("private"));
    }
}
