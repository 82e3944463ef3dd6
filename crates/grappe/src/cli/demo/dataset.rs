//! What the demo copies, and whether a copy is equal to it.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::Path;

use super::super::error::CommandError;
use super::Stop;

/// Small files in the dataset.
pub(super) const SMALL_FILES: usize = 200;

/// Bytes written or compared between two looks whether to stop.
const CHUNK: usize = 1 << 20;

/// Makes a big file, many small ones and a tree, with `size` bytes in all but for the tree's.
pub(super) fn make(folder: &Path, size: u64, stop: &Stop) -> Result<(), CommandError> {
    let failed = |error: io::Error| {
        CommandError::failed(format_args!("cannot make the dataset: {error}"))
            .with_hint("ask for less with --size")
    };
    fs::create_dir_all(folder.join("small")).map_err(failed)?;
    fs::create_dir_all(folder.join("tree/of/folders/empty")).map_err(failed)?;
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let small = (size / 10 / SMALL_FILES as u64).min(64 * 1024);
    let mut files = Vec::with_capacity(SMALL_FILES + 2);
    let mut left = size;
    for number in 0..SMALL_FILES {
        let len = small * (number as u64 % 20) / 10;
        left -= len;
        files.push((format!("small/{number:03}"), len));
    }
    files.push(("big".into(), left.saturating_sub(1)));
    files.push(("tree/of/folders/leaf".into(), 1));
    for (name, len) in files {
        let mut file = File::create_new(folder.join(name)).map_err(failed)?;
        let mut left = len;
        while left > 0 {
            stop.check()?;
            let part = left.min(CHUNK as u64);
            noise.write(&mut file, part as usize).map_err(failed)?;
            left -= part;
        }
    }
    std::os::unix::fs::symlink("of/folders/leaf", folder.join("tree/link")).map_err(failed)
}

/// Bytes that do not compress, the same in every demo (xorshift64*, Vigna 2014).
struct Noise(u64);

impl Noise {
    fn write(&mut self, file: &mut File, len: usize) -> io::Result<()> {
        let mut chunk = vec![0; len.next_multiple_of(8)];
        for word in chunk.chunks_exact_mut(8) {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            word.copy_from_slice(&self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
        }
        file.write_all(&chunk[..len])
    }
}

/// Says how `copy` differs from `original`, if it does.
pub(super) fn compare(original: &Path, copy: &Path, stop: &Stop) -> Result<(), CommandError> {
    stop.check()?;
    let look = |path: &Path| -> Result<Metadata, CommandError> {
        fs::symlink_metadata(path).map_err(at(path))
    };
    let (left, right) = (look(original)?, look(copy)?);
    let is_equal = if left.file_type() != right.file_type() {
        false
    } else if left.is_symlink() {
        let target = |path: &Path| fs::read_link(path).map_err(at(path));
        target(original)? == target(copy)?
    } else if left.is_dir() {
        let names = names(original)?;
        if names != self::names(copy)? {
            return Err(differs(original, copy));
        }
        return names
            .iter()
            .try_for_each(|name| compare(&original.join(name), &copy.join(name), stop));
    } else {
        left.len() == right.len() && has_same_bytes(original, copy, stop)?
    };
    if is_equal {
        Ok(())
    } else {
        Err(differs(original, copy))
    }
}

fn names(folder: &Path) -> Result<Vec<std::ffi::OsString>, CommandError> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let mut names: Vec<_> = names
        .collect::<Result<_, io::Error>>()
        .map_err(at(folder))?;
    names.sort();
    Ok(names)
}

fn has_same_bytes(original: &Path, copy: &Path, stop: &Stop) -> Result<bool, CommandError> {
    let mut ours = File::open(original).map_err(at(original))?;
    let mut theirs = File::open(copy).map_err(at(copy))?;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        stop.check()?;
        for (file, bytes, path) in [
            (&mut ours, &mut left, original),
            (&mut theirs, &mut right, copy),
        ] {
            bytes.clear();
            let part = file.take(CHUNK as u64).read_to_end(bytes);
            part.map_err(at(path))?;
        }
        if left != right || left.is_empty() {
            return Ok(left == right);
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> CommandError {
    let path = path.display().to_string();
    move |error| CommandError::failed(format_args!("{path}: {error}"))
}

fn differs(original: &Path, copy: &Path) -> CommandError {
    CommandError::failed(format_args!(
        "{} differs from {}",
        copy.display(),
        original.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_with_one_other_byte_one_file_more_or_one_less_differs() {
        let folder = tempfile::tempdir().unwrap();
        let stop = Stop::default();
        let [original, copy] = ["original", "copy"].map(|name| folder.path().join(name));
        for path in [&original, &copy] {
            make(path, 3_000_000, &stop).unwrap();
        }
        assert!(compare(&original, &copy, &stop).is_ok());
        let big = copy.join("big");
        let mut bytes = fs::read(&big).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&big, &bytes).unwrap();
        assert!(compare(&original, &copy, &stop).is_err());
        bytes[last] ^= 1;
        fs::write(&big, &bytes).unwrap();
        assert!(compare(&original, &copy, &stop).is_ok());
        fs::write(copy.join("more"), "").unwrap();
        assert!(compare(&original, &copy, &stop).is_err());
        fs::remove_file(copy.join("more")).unwrap();
        fs::remove_file(copy.join("small/007")).unwrap();
        assert!(compare(&original, &copy, &stop).is_err());
    }

    #[test]
    fn the_dataset_has_the_size_that_was_asked_for() {
        for size in [0, 1, 4096, 5_000_000] {
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path().join("data");
            make(&data, size, &Stop::default()).unwrap();
            let len = |path: &str| fs::metadata(data.join(path)).unwrap().len();
            let small: u64 = (0..SMALL_FILES)
                .map(|number| len(&format!("small/{number:03}")))
                .sum();
            assert_eq!(small + len("big") + 1, size.max(1));
        }
    }

    #[test]
    fn told_to_stop_it_makes_and_compares_nothing_more() {
        let folder = tempfile::tempdir().unwrap();
        let stop = Stop::default();
        stop.signal.set("SIGTERM").unwrap();
        let data = folder.path().join("data");
        assert!(make(&data, 1 << 20, &stop).is_err());
        assert!(compare(&data, &data, &stop).is_err());
    }
}
