//! Where things are in the boot code, in bytes from its start; `boot.S` has the same numbers, and the
//! tests compare. No code and no decisions. Everything in `sector/` uses it.

/// Bytes of boot code that a legacy master boot record may hold: UEFI specification 2.10, table 5.1.
/// The disk signature begins at 440 and stays as it is.
pub const CODE_LEN: usize = 424;
/// Where the text begins, behind all fields of a BIOS parameter block that tools look at.
pub const TEXT: usize = 0x2a;
/// Bytes for the text, its final carriage return among them.
pub const TEXT_LEN: usize = 48;
/// Where the instructions begin, behind the longest BIOS parameter block (FAT32).
pub const INSTRUCTIONS: usize = 0x5a;
/// Where the settings begin.
pub const SETTINGS: usize = 0x16a;
/// Where the chain of reset methods begins.
pub const CHAIN: usize = 0x178;
/// Records in the chain.
pub const CHAIN_RECORDS: usize = 11;
/// Bytes of one record.
pub const RECORD_LEN: usize = 4;
/// Where the CRC-32 of everything before it is.
pub const CHECKSUM: usize = 0x1a4;

/// Where the BIOS puts the sector in memory.
pub const BASE: u16 = 0x7c00;
/// The start of the chain's interpreter, relative to the sector: a record that says "again".
pub const LABEL_CHAIN: u16 = 0xf2;
/// The triple fault.
pub const LABEL_TRIPLE: u16 = 0x10e;
/// The jump to the BIOS's entry after power-on.
pub const LABEL_JUMP: u16 = 0x123;

/// What marks the settings as ours.
pub const MAGIC: [u8; 4] = *b"RbSe";
/// The version of code and settings that this program writes.
pub const VERSION: u8 = 1;

const _: () = assert!(TEXT + TEXT_LEN == INSTRUCTIONS);
const _: () = assert!(CHAIN + CHAIN_RECORDS * RECORD_LEN == CHECKSUM);
const _: () = assert!(CHECKSUM + 4 == CODE_LEN);
