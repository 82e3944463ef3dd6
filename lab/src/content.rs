//! Bytes to copy, and the proof that they arrived: files that no compression or hole can help with.
//!
//! Comparing reads both files in full; no tool's own word about its success is taken.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::Path;

use anyhow::{Context, Result};

const CHUNK_BYTES: usize = 1 << 20;

/// Writes a file of `bytes` bytes that look random and are the same for the same seed.
///
/// # Errors
///
/// When the file cannot be written.
pub fn create(path: &Path, bytes: u64, seed: u64) -> Result<()> {
    let mut source = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    let mut file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut left = bytes;
    while left > 0 {
        let length = left.min(CHUNK_BYTES as u64) as usize;
        source.fill(&mut chunk[..length]);
        file.write_all(&chunk[..length])?;
        left -= length as u64;
    }
    Ok(())
}

/// Whether two files hold the same bytes. A file that cannot be read is not the same as any.
#[must_use]
pub fn identical(one: &Path, other: &Path) -> bool {
    compare(one, other).unwrap_or(false)
}

fn compare(one: &Path, other: &Path) -> Result<bool> {
    if fs::metadata(one)?.len() != fs::metadata(other)?.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (BufReader::new(File::open(one)?), File::open(other)?);
    let (mut left, mut right) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    loop {
        let length = one.read(&mut left)?;
        if length == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..length])?;
        if left[..length] != right[..length] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_make_the_content_and_one_bit_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let [one, same, other] = ["one", "same", "other"].map(|name| folder.path().join(name));
        create(&one, 3_000_001, 7).unwrap();
        create(&same, 3_000_001, 7).unwrap();
        create(&other, 3_000_001, 8).unwrap();
        assert!(identical(&one, &same));
        assert!(!identical(&one, &other));

        let mut bytes = fs::read(&same).unwrap();
        bytes[2_999_999] ^= 1;
        fs::write(&same, bytes).unwrap();
        assert!(!identical(&one, &same));
        assert!(!identical(&one, &folder.path().join("absent")));
    }
}
