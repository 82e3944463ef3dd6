//! The public half of an identity: its bytes, its fingerprint and its written forms.
//!
//! Not here: whether the key is trusted (`trust_file`), the private half (`identity`).

use std::fmt;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use ssh_key::HashAlg;
use ssh_key::public::{Ed25519PublicKey, KeyData};

/// An Ed25519 public key (RFC 8032): the name under which a node is known.
///
/// The bytes are not checked to be a point of the curve; a key that is not one verifies nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

/// What stands before the 32 key bytes in a SubjectPublicKeyInfo (RFC 8410, section 4): two
/// sequences, the object identifier 1.3.101.112, and a bit string of 32 bytes.
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

impl PublicKey {
    /// The key with these bytes (RFC 8032, section 5.1.2).
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the key (RFC 8032, section 5.1.2).
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key in a DER SubjectPublicKeyInfo; `None` if it is anything but Ed25519 in the one
    /// encoding of RFC 8410, section 4.
    pub fn from_spki_der(der: &[u8]) -> Option<Self> {
        let bytes = der.strip_prefix(&SPKI_PREFIX)?;
        Some(Self(bytes.try_into().ok()?))
    }

    /// The DER SubjectPublicKeyInfo (RFC 8410, section 4), the raw public key of TLS (RFC 7250).
    pub fn to_spki_der(&self) -> [u8; 44] {
        let mut der = [0; 44];
        der[..12].copy_from_slice(&SPKI_PREFIX);
        der[12..].copy_from_slice(&self.0);
        der
    }

    /// `SHA256:` and 43 characters of base64, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        self.to_ssh().fingerprint(HashAlg::Sha256).to_string()
    }

    /// Whether `signature` over `message` was made by the private half (RFC 8032, section 5.1.7).
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0)
            .verify(message, signature)
            .is_ok()
    }

    /// The key written as `ssh-ed25519 BASE64` without a comment; `None` if it is anything else.
    pub(super) fn from_openssh(text: &str) -> Option<Self> {
        let key = ssh_key::PublicKey::from_openssh(text).ok()?;
        Some(Self(key.key_data().ed25519()?.0))
    }

    fn to_ssh(self) -> ssh_key::PublicKey {
        KeyData::Ed25519(Ed25519PublicKey(self.0)).into()
    }
}

/// A line for an `authorized_keys` or trust file, without comment: `ssh-ed25519 AAAA...`.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_ssh().to_openssh().map_err(|_| fmt::Error)?)
    }
}

/// The fingerprint: short, and what a person compares.
impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example public key of RFC 8410, section 10.1.
    const RFC_8410_KEY: [u8; 32] = [
        0x19, 0xbf, 0x44, 0x09, 0x69, 0x84, 0xcd, 0xfe, 0x85, 0x41, 0xba, 0xc1, 0x67, 0xdc, 0x3b,
        0x96, 0xc8, 0x50, 0x86, 0xaa, 0x30, 0xb6, 0xb6, 0xcb, 0x0c, 0x5c, 0x38, 0xad, 0x70, 0x31,
        0x66, 0xe1,
    ];

    #[test]
    fn the_der_form_round_trips_and_admits_nothing_else() {
        let key = PublicKey::from_bytes(RFC_8410_KEY);
        let der = key.to_spki_der();
        assert_eq!(der[..12], SPKI_PREFIX);
        assert_eq!(PublicKey::from_spki_der(&der), Some(key));
        assert_eq!(PublicKey::from_spki_der(&der[..43]), None);
        assert_eq!(PublicKey::from_spki_der(&[&der[..], &[0]].concat()), None);
        let mut x25519 = der;
        x25519[8] = 0x6e;
        assert_eq!(PublicKey::from_spki_der(&x25519), None);
    }

    #[test]
    fn the_written_form_round_trips() {
        let key = PublicKey::from_bytes(RFC_8410_KEY);
        assert!(
            key.to_string()
                .starts_with("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI")
        );
        assert_eq!(PublicKey::from_openssh(&key.to_string()), Some(key));
        assert_eq!(PublicKey::from_openssh("ssh-ed25519 AAAA"), None);
    }

    #[test]
    fn a_signature_of_rfc_8032_verifies_and_a_changed_one_does_not() {
        // RFC 8032, section 7.1, test 1: the empty message.
        let key = PublicKey::from_bytes(hex(
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        ));
        let mut signature: [u8; 64] = hex(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39\
             701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        );
        assert!(key.verify(b"", &signature));
        assert!(!key.verify(b"x", &signature));
        assert!(!key.verify(b"", &signature[..63]));
        signature[0] ^= 1;
        assert!(!key.verify(b"", &signature));
    }

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        let byte = |at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
        assert_eq!(text.len(), 2 * N);
        std::array::from_fn(byte)
    }
}
