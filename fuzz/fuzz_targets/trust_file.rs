//! Trust files: any text is read or refused, and nobody is trusted who is not in it.
#![no_main]

use std::path::Path;

use grappe::trust::{PublicKey, TrustFile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(trust) = TrustFile::parse(text, Path::new("trust")) {
        assert!(trust.role_of(&PublicKey::from_bytes([0x5a; 32])).is_none());
    }
});
