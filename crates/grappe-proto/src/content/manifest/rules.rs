//! What a manifest must be like before anything is done with it.
//!
//! The rules protect the receiver: whoever follows a valid manifest stays below one directory, makes
//! parents before children, and can number all the bytes. What the kernel makes of names and links on
//! the way is for the code that opens files.

use std::cmp::Ordering;

use super::{Entry, Kind, Manifest, ManifestError};
use crate::content::layout::PIECES_MAX;
use crate::limits::{BLOCK_SIZE, ENTRIES_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX};

/// Set-user, set-group, sticky, and three times three bits of permission.
const MODE_MAX: u32 = 0o7777;

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// Linux takes a link's text of `PATH_MAX` bytes with the NUL that ends it.
const TARGET_BYTES_MAX: usize = PATH_BYTES_MAX - 1;

pub(super) fn validate(manifest: &Manifest) -> Result<(), ManifestError> {
    if manifest.entries.len() > ENTRIES_MAX {
        return Err(ManifestError::EntryCount);
    }
    for (number, entry) in manifest.entries.iter().enumerate() {
        check_entry(number as u32, entry)?;
    }
    check_sizes(manifest)?;
    check_tree(&manifest.entries)
}

fn check_entry(number: u32, entry: &Entry) -> Result<(), ManifestError> {
    if !is_path_allowed(&entry.path) {
        return Err(ManifestError::Path { entry: number });
    }
    if entry.mode > MODE_MAX {
        return Err(ManifestError::Mode { entry: number });
    }
    if entry.mtime.1 >= NANOS_PER_SECOND {
        return Err(ManifestError::Time { entry: number });
    }
    match &entry.kind {
        Kind::Symlink { target } if !is_target_possible(target) => {
            Err(ManifestError::Target { entry: number })
        }
        _ => Ok(()),
    }
}

fn is_path_allowed(path: &[u8]) -> bool {
    let is_name = |name: &[u8]| {
        !name.is_empty() && name.len() <= NAME_BYTES_MAX && name != b"." && name != b".."
    };
    path.len() <= PATH_BYTES_MAX
        && !path.contains(&0)
        && path.split(|byte| *byte == b'/').all(is_name)
}

fn is_target_possible(target: &[u8]) -> bool {
    !target.is_empty() && target.len() <= TARGET_BYTES_MAX && !target.contains(&0)
}

/// The bytes of all files must have a sum, and their pieces numbers.
fn check_sizes(manifest: &Manifest) -> Result<(), ManifestError> {
    let (mut bytes, mut pieces) = (0_u64, 0_u64);
    for (_, size) in manifest.files() {
        bytes = bytes.checked_add(size).ok_or(ManifestError::TotalSize)?;
        pieces += size.div_ceil(u64::from(BLOCK_SIZE));
    }
    match pieces <= u64::from(PIECES_MAX) {
        true => Ok(()),
        false => Err(ManifestError::TotalSize),
    }
}

/// Every path once, and the parent of each a directory that stands before it.
///
/// Sorted by components, a directory stands right before all that is in it, so that the directories
/// around the current path form a stack. Sorting what is sorted already takes linear time, and a walk
/// by name gives just this order.
fn check_tree(entries: &[Entry]) -> Result<(), ManifestError> {
    let mut sorted: Vec<u32> = (0..entries.len() as u32).collect();
    sorted.sort_by(|left, right| {
        by_components(
            &entries[*left as usize].path,
            &entries[*right as usize].path,
        )
    });
    let mut around: Vec<u32> = vec![];
    let mut before: Option<u32> = None;
    for number in sorted {
        let Entry { path, kind, .. } = &entries[number as usize];
        // The sort is stable: of two equal paths the later entry comes second.
        if before.is_some_and(|before| entries[before as usize].path == *path) {
            return Err(ManifestError::RepeatedPath { entry: number });
        }
        let is_around = |directory: &u32| is_inside(path, &entries[*directory as usize].path);
        while around.last().is_some_and(|directory| !is_around(directory)) {
            around.pop();
        }
        let parent_len = path.iter().rposition(|byte| *byte == b'/');
        let is_held = match (parent_len, around.last()) {
            (None, _) => true,
            (Some(len), Some(directory)) => {
                *directory < number && entries[*directory as usize].path.len() == len
            }
            (Some(_), None) => false,
        };
        if !is_held {
            return Err(ManifestError::Parent { entry: number });
        }
        if *kind == Kind::Directory {
            around.push(number);
        }
        before = Some(number);
    }
    Ok(())
}

/// Whether `path` names something below `directory`.
fn is_inside(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory)
        .is_some_and(|rest| rest.first() == Some(&b'/'))
}

/// The order of paths in which a separator comes before every other byte. Paths have no NUL.
fn by_components(left: &[u8], right: &[u8]) -> Ordering {
    let differs = left.iter().zip(right).find(|(left, right)| left != right);
    match differs {
        Some((b'/', _)) => Ordering::Less,
        Some((_, b'/')) => Ordering::Greater,
        Some((left, right)) => left.cmp(right),
        None => left.len().cmp(&right.len()),
    }
}
