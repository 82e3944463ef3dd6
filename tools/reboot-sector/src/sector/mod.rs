//! The boot sector itself: its bytes, what can be set in them, and how they are known again. Pure: it
//! sees code, never a disk. Plans, `inspect` and `verify` call it. Its source is `boot.S` beside this.

pub mod layout;
mod method;
#[cfg(all(test, target_arch = "x86_64"))]
#[expect(
    unsafe_code,
    reason = "assembles boot.S into the test program and looks at the bytes"
)]
mod oracle;
mod settings;
#[cfg(test)]
mod tests;

pub use method::{Chain, ChainError, DEFAULT_ORDER, Method, MethodName, ResetPort, UnknownMethod};
pub use settings::{Serial, Settings, SettingsError, Text, WAIT_SECONDS_MAX, Wait};

use crate::checksum::crc32;
use layout::{CHAIN, CHECKSUM, CODE_LEN, MAGIC, SETTINGS, TEXT, TEXT_LEN, VERSION};

/// What boot code with our magic in it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ours {
    /// Of this version, whole, and with settings that make sense.
    Current(Settings),
    /// Whole, but of another version, which is given.
    OtherVersion(u8),
    /// Its checksum or its code is not what was written: why.
    Damaged(String),
}

/// Reads boot code; `None` when our magic is not in it.
pub fn read(code: &[u8; CODE_LEN]) -> Option<Ours> {
    if code[SETTINGS..SETTINGS + MAGIC.len()] != MAGIC {
        return None;
    }
    let [.., a, b, c, d] = *code;
    if u32::from_le_bytes([a, b, c, d]) != crc32(&code[..CHECKSUM]) {
        return Some(Ours::Damaged("its checksum does not match".to_owned()));
    }
    let version = code[SETTINGS + MAGIC.len()];
    if version != VERSION {
        return Some(Ours::OtherVersion(version));
    }
    let fixed = |code: &[u8; CODE_LEN]| {
        let (before, after) = (
            code[..TEXT].to_vec(),
            code[TEXT + TEXT_LEN..SETTINGS].to_vec(),
        );
        (before, after)
    };
    if fixed(code) != fixed(settings::TEMPLATE) {
        return Some(Ours::Damaged(
            "its instructions are not those of its version".to_owned(),
        ));
    }
    Some(match Settings::read(code) {
        Ok(settings) => Ours::Current(settings),
        Err(error) => Ours::Damaged(error.to_string()),
    })
}

const _: () = assert!(SETTINGS + 14 == CHAIN);
