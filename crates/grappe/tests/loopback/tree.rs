//! Directory trees: one with everything that a file system may hold, and what is compared of any.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

/// Everything that a copy must keep of a file, a folder or a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    mode: u32,
    mtime: (i64, i64),
    content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    Folder,
    /// Length and hash: enough to tell, and short enough to print.
    File(u64, String),
    Link(PathBuf),
}

/// All that is at and below `top`, by path from there.
pub(crate) fn items(top: &Path) -> BTreeMap<PathBuf, Item> {
    let mut items = BTreeMap::new();
    collect(top, Path::new(""), &mut items);
    items
}

fn collect(top: &Path, below: &Path, items: &mut BTreeMap<PathBuf, Item>) {
    let path = if below.as_os_str().is_empty() {
        top.to_path_buf()
    } else {
        top.join(below)
    };
    let metadata =
        fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let content = if metadata.is_symlink() {
        Content::Link(fs::read_link(&path).expect("a link can be read"))
    } else if metadata.is_dir() {
        for entry in fs::read_dir(&path).expect("a folder can be listed") {
            collect(
                top,
                &below.join(entry.expect("an entry can be read").file_name()),
                items,
            );
        }
        Content::Folder
    } else {
        let bytes = fs::read(&path).expect("a file can be read");
        Content::File(
            bytes.len() as u64,
            blake3::hash(&bytes).to_hex().to_string(),
        )
    };
    let mtime = (metadata.mtime(), metadata.mtime_nsec());
    items.insert(
        below.to_path_buf(),
        Item {
            mode: metadata.mode() & 0o7777,
            mtime,
            content,
        },
    );
}

/// Asserts that `copy` is `original` in all that a copy keeps.
#[track_caller]
pub(crate) fn assert_same(original: &Path, copy: &Path) {
    let (ours, theirs) = (items(original), items(copy));
    for (path, item) in &ours {
        assert_eq!(
            theirs.get(path),
            Some(item),
            "{path:?} in {}",
            copy.display()
        );
    }
    let more: Vec<&PathBuf> = theirs
        .keys()
        .filter(|path| !ours.contains_key(*path))
        .collect();
    assert!(more.is_empty(), "{} also holds {more:?}", copy.display());
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder can be listed");
    let name =
        |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry can be read").file_name();
    let mut names: Vec<String> = entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Bytes that do not compress (xorshift64*, Vigna 2014).
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Fills `top` with everything that a file system may hold.
pub(crate) fn plant(top: &Path) {
    let file = |name: &OsStr, content: &[u8], mode: u32| {
        let path = top.join(name);
        fs::write(&path, content).expect("a file can be written");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode can be set");
    };
    let folder = |name: &str| fs::create_dir_all(top.join(name)).expect("a folder can be made");
    for name in ["empty folder", "a/b/c/d", "read-only", "private"] {
        folder(name);
    }
    let block = 256 * 1024;
    for (number, len) in [0, 1, 1433, block - 1, block, block + 1, 5 * block + 7]
        .into_iter()
        .enumerate()
    {
        file(
            OsStr::new(&format!("{len} bytes")),
            &noise(number as u64 + 7, len),
            0o644,
        );
    }
    for number in 0_usize..100 {
        file(
            OsStr::new(&format!("a/b/small {number}")),
            &noise(number as u64 + 77, number * 41),
            0o644,
        );
    }
    file(OsStr::new("empty, unreadable to others"), b"", 0o640);
    file(OsStr::new("a/program"), b"#!/bin/sh\n", 0o755);
    file(OsStr::new("private/secret"), b"secret", 0o400);
    file(OsStr::new("read-only/kept"), b"kept", 0o444);
    file(OsStr::from_bytes(b"not UTF-8: \xff\xfe"), b"bytes", 0o600);
    file(OsStr::new("two\nlines"), b"lines", 0o644);
    file(OsStr::new("back\\slash"), b"slash", 0o644);
    let link =
        |target: &str, name: &str| symlink(target, top.join(name)).expect("a link can be made");
    link("nowhere at all", "dangling");
    link("/etc/hostname", "absolute");
    link("a/b", "to a folder");
    link("../../..", "a/up and out");
    age(top, &mut 0);
    for (name, mode) in [("read-only", 0o555), ("private", 0o700)] {
        fs::set_permissions(top.join(name), Permissions::from_mode(mode))
            .expect("a mode can be set");
    }
}

/// Gives everything at and below `path` a time of its own, down to the nanosecond.
fn age(path: &Path, count: &mut i64) {
    if fs::symlink_metadata(path).expect("it was planted").is_dir() {
        for entry in fs::read_dir(path).expect("a folder can be listed") {
            age(&entry.expect("an entry can be read").path(), count);
        }
    }
    *count += 1;
    let time = Timespec {
        tv_sec: 1_000_000_000 + *count * 86_399,
        tv_nsec: 123_456_789 + *count,
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).expect("a time can be set");
}
