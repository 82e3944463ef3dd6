//! Names what boot code is: ours, a loader that is well known, the historic reboot sectors, or something
//! else. Pure and never sure beyond its table; `inspect`, `verify` and the messages of plans call it.

use crate::sector::layout::CODE_LEN;
use crate::sector::{self, Ours};

/// What boot code is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loader {
    /// Ours.
    Ours(Ours),
    /// Only zeros.
    None,
    /// A reboot sector that does not work: `lidt [0]` loads a table that is not empty, so that the
    /// interrupt after it runs whatever memory holds.
    HistoricBroken,
    /// A reboot sector of 16 bytes that jumps to the BIOS's entry, at once and without a second way.
    HistoricJump,
    /// Another loader.
    Known(&'static str),
    /// Code that is not in the table.
    Unknown,
}

/// `lidt [0]; int 3`, with the interrupt in both of its forms.
const BROKEN: [&[u8]; 2] = [
    &[0x0f, 0x01, 0x1e, 0, 0, 0xcd, 0x03],
    &[0x0f, 0x01, 0x1e, 0, 0, 0xcc],
];
/// `mov ax, 40h; mov ds, ax; mov word [72h], 0; jmp ffff:0`.
const JUMP: [u8; 16] = [
    0xb8, 0x40, 0, 0x8e, 0xd8, 0xc7, 0x06, 0x72, 0, 0, 0, 0xea, 0, 0, 0xff, 0xff,
];

/// Where, what, and whose. First match wins. Bytes as the loaders' sources and images have them.
const KNOWN: [(usize, &[u8], &str); 11] = [
    (
        0,
        &[0xfa, 0xb8, 0x00, 0x10],
        "parted's dummy code, which boots nothing",
    ),
    (
        0,
        &[0xfc, 0x31, 0xc0, 0x8e, 0xd0, 0x31, 0xe4, 0x8e],
        "install-mbr",
    ),
    (0, &[0xeb, 0x63, 0x90], "GRUB 2"),
    (0, &[0xeb, 0x48, 0x90], "GRUB Legacy"),
    (6, b"LILO", "LILO"),
    (2, b"LILO", "LILO"),
    (0, &[0x33, 0xc0, 0xfa, 0x8e], "SYSLINUX"),
    (0, &[0x33, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c], "Windows"),
    (3, b"SYSLINUX", "SYSLINUX in a file system's boot sector"),
    (3, b"MSDOS5.0", "a DOS file system's boot sector"),
    (
        3,
        b"mkfs.fat",
        "a boot sector of mkfs.fat, which boots nothing",
    ),
];

/// Names `code`.
pub fn identify(code: &[u8; CODE_LEN]) -> Loader {
    if let Some(ours) = sector::read(code) {
        return Loader::Ours(ours);
    }
    if code.iter().all(|byte| *byte == 0) {
        return Loader::None;
    }
    // A prefix of `cli` was common.
    let naked = code.strip_prefix(&[0xfa]).unwrap_or(code);
    if BROKEN.iter().any(|broken| naked.starts_with(broken)) {
        return Loader::HistoricBroken;
    }
    if naked.starts_with(&JUMP) {
        return Loader::HistoricJump;
    }
    let known = KNOWN
        .iter()
        .find(|(at, bytes, _)| code[*at..].starts_with(bytes));
    known.map_or(Loader::Unknown, |(_, _, name)| Loader::Known(name))
}

impl Loader {
    /// One word for machines: `ours`, `ours-old`, `ours-damaged`, `none`, `historic-broken`,
    /// `historic-jump`, `known` or `unknown`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Ours(Ours::Current(_)) => "ours",
            Self::Ours(Ours::OtherVersion(_)) => "ours-old",
            Self::Ours(Ours::Damaged(_)) => "ours-damaged",
            Self::None => "none",
            Self::HistoricBroken => "historic-broken",
            Self::HistoricJump => "historic-jump",
            Self::Known(_) => "known",
            Self::Unknown => "unknown",
        }
    }

    /// A sentence part for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Ours(Ours::Current(_)) => "reboot-sector".to_owned(),
            Self::Ours(Ours::OtherVersion(version)) => {
                format!("reboot-sector of version {version}; install again to renew it")
            }
            Self::Ours(Ours::Damaged(why)) => {
                format!("reboot-sector, damaged: {why}; install again")
            }
            Self::None => "none".to_owned(),
            Self::HistoricBroken => {
                "the historic reboot sector (lidt [0]; int 3), which hangs instead of resetting"
                    .to_owned()
            }
            Self::HistoricJump => {
                "a reboot sector that jumps to ffff:0, which not every BIOS takes for a reset"
                    .to_owned()
            }
            Self::Known(name) => (*name).to_owned(),
            Self::Unknown => "unknown".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(start: &[u8]) -> [u8; CODE_LEN] {
        let mut code = [0; CODE_LEN];
        code[..start.len()].copy_from_slice(start);
        code
    }

    #[test]
    fn historic_sectors_are_known() {
        for broken in BROKEN {
            assert_eq!(identify(&code(broken)), Loader::HistoricBroken);
            assert_eq!(
                identify(&code(&[&[0xfa], broken].concat())),
                Loader::HistoricBroken
            );
        }
        assert_eq!(identify(&code(&JUMP)), Loader::HistoricJump);
    }

    #[test]
    fn others_are_named_and_nothing_is_none() {
        assert_eq!(identify(&code(&[])), Loader::None);
        assert_eq!(identify(&code(&[0x90])), Loader::Unknown);
        for (at, bytes, name) in KNOWN {
            let found = identify(&code(&[&vec![0; at], bytes].concat()));
            assert_eq!(found, Loader::Known(name));
        }
    }
}
