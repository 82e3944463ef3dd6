//! Who is who, and who may do what: identities (OpenSSH Ed25519 keys) and the trust file.
//!
//! This room reads and writes key files and answers questions about them. It does not read the
//! environment, print, or open connections: the command line hands it paths, `control` asks it for
//! signatures.

mod error;
mod guarded_file;
mod identity;
mod key_file;
mod key_path;
mod public_key;
mod trust_file;

pub use error::TrustError;
pub use identity::Identity;
pub use key_path::key_candidates;
pub use public_key::PublicKey;
pub use trust_file::{Role, TrustFile};
