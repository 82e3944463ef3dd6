//! Bytes to copy, and the proof that they arrived: files that no compression or hole can help with.
//!
//! Comparing reads both files in full; no tool's own word about its success is taken.

use std::ffi::OsString;
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

/// Makes a folder of `count` files of `bytes_each` bytes, all different, 100 to a folder of their own.
///
/// # Errors
///
/// When they cannot be written.
pub fn create_many(folder: &Path, count: u64, bytes_each: u64, seed: u64) -> Result<()> {
    const FILES_PER_FOLDER: u64 = 100;

    for number in 0..count {
        let below = folder.join(format!("{:04}", number / FILES_PER_FOLDER));
        fs::create_dir_all(&below)?;
        let path = below.join(format!("file-{number:06}"));
        create(&path, bytes_each, seed.wrapping_add(number))?;
    }
    Ok(())
}

/// A fingerprint of a file, or of a folder with the names in it, to see later that nobody changed it.
///
/// # Errors
///
/// When something in it cannot be read.
pub fn fingerprint(path: &Path) -> Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    if path.is_dir() {
        for name in names(path)? {
            hasher.update(blake3::hash(name.as_encoded_bytes()).as_bytes());
            hasher.update(fingerprint(&path.join(name))?.as_bytes());
        }
    } else {
        hasher.update_reader(File::open(path)?)?;
    }
    Ok(hasher.finalize())
}

/// Whether two files hold the same bytes, or two folders the same names with the same bytes. What cannot
/// be read is not the same as anything.
#[must_use]
pub fn identical(one: &Path, other: &Path) -> bool {
    compare(one, other).unwrap_or(false)
}

fn compare(one: &Path, other: &Path) -> Result<bool> {
    if !one.is_dir() {
        return compare_files(one, other);
    }
    let entries = names(one)?;
    Ok(entries == names(other)?
        && entries
            .iter()
            .all(|name| identical(&one.join(name), &other.join(name))))
}

/// The names in a folder, in order.
fn names(folder: &Path) -> Result<Vec<OsString>> {
    let mut names = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

fn compare_files(one: &Path, other: &Path) -> Result<bool> {
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

    #[test]
    fn a_folder_is_the_same_only_with_the_same_names_and_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        create_many(&one, 101, 10, 7).unwrap();
        create_many(&other, 101, 10, 7).unwrap();
        assert!(identical(&one, &other));
        assert_eq!(fingerprint(&one).unwrap(), fingerprint(&other).unwrap());

        let last = other.join("0001/file-000100");
        fs::write(&last, [0; 10]).unwrap();
        assert!(!identical(&one, &other), "other bytes");
        assert_ne!(fingerprint(&one).unwrap(), fingerprint(&other).unwrap());
        fs::rename(&last, other.join("0001/file-000101")).unwrap();
        assert!(!identical(&one, &other), "another name");
    }
}
