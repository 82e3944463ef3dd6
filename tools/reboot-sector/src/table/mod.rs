//! Partition tables: what a master boot record and a GPT say. Parsers of bytes, nothing else: they read
//! no disk and change nothing. Plans and `inspect` call them.

pub mod filesystem;
pub mod gpt;
pub mod mbr;

/// Little-endian `u32` at `at`; 0 beyond the end.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |four| u32::from_le_bytes(*four))
}

/// Little-endian `u64` at `at`; 0 beyond the end.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |eight| u64::from_le_bytes(*eight))
}
