//! What a manifest must be like before anything is done with it.
//!
//! The rules protect the receiver: whoever follows a valid manifest stays below one directory, makes
//! parents before children, and can number all the bytes. What the kernel makes of names and links on
//! the way is for the code that opens files.

use std::cmp::Ordering;

use super::{Entry, Extent, Kind, Manifest, ManifestError, Sync, Terms};
use crate::content::layout::{PIECES_MAX, data_pieces};
use crate::limits::{ENTRIES_MAX, NAME_BYTES_MAX, PATH_BYTES_MAX};

/// Set-user, set-group, sticky, and three times three bits of permission.
const MODE_MAX: u32 = 0o7777;

const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// Linux takes a link's text of `PATH_MAX` bytes with the NUL that ends it.
const TARGET_BYTES_MAX: usize = PATH_BYTES_MAX - 1;

/// Owners in one copy: more than a cluster has users, and a bound on what is looked up.
const OWNERS_MAX: usize = 65_536;

/// Linux's own bounds (`XATTR_NAME_MAX`, `XATTR_SIZE_MAX` of `limits.h`).
const ATTRIBUTE_NAME_BYTES_MAX: usize = 255;
const ATTRIBUTE_BYTES_MAX: usize = 65_536;

pub(super) fn validate(manifest: &Manifest) -> Result<(), ManifestError> {
    if manifest.entries.len() > ENTRIES_MAX {
        return Err(ManifestError::EntryCount);
    }
    check_terms(&manifest.terms)?;
    let is_name = |name: &[u8]| name.len() <= NAME_BYTES_MAX && !name.contains(&0);
    let are_names = |owner: &super::Owner| is_name(&owner.user) && is_name(&owner.group);
    if manifest.owners.len() > OWNERS_MAX || !manifest.owners.iter().all(are_names) {
        return Err(ManifestError::Owners);
    }
    for (number, entry) in manifest.entries.iter().enumerate() {
        check_entry(number as u32, entry)?;
        check_extra(number as u32, entry, manifest)?;
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

fn check_extra(number: u32, entry: &Entry, manifest: &Manifest) -> Result<(), ManifestError> {
    if let Kind::HardLink { to } = entry.kind {
        let linked = manifest.entries.get(to as usize).map(|linked| &linked.kind);
        let is_possible =
            !matches!(linked, None | Some(Kind::Directory | Kind::HardLink { .. })) && to < number;
        if !is_possible {
            return Err(ManifestError::HardLink { entry: number });
        }
    }
    let is_listed = |owner: u32| (owner as usize) < manifest.owners.len();
    if !entry.owner.is_none_or(is_listed) {
        return Err(ManifestError::Owner { entry: number });
    }
    if let Some(extents) = entry.extents() {
        let is_file = matches!(entry.kind, Kind::File { .. });
        if !is_file || !are_extents_possible(extents, entry.size()) {
            return Err(ManifestError::Extents { entry: number });
        }
    }
    let is_possible = |(name, value): &(Vec<u8>, Vec<u8>)| {
        is_attribute_allowed(name) && value.len() <= ATTRIBUTE_BYTES_MAX
    };
    let can_have = matches!(entry.kind, Kind::File { .. } | Kind::Directory);
    let attributes = entry.attributes();
    let are_possible = can_have && attributes.iter().all(is_possible);
    if !are_possible && !attributes.is_empty() {
        return Err(ManifestError::Attribute { entry: number });
    }
    Ok(())
}

/// Data within the file, in ascending order, with a hole before each run but perhaps the first.
fn are_extents_possible(extents: &[Extent], size: u64) -> bool {
    let mut end = None;
    extents.iter().all(|it| {
        let is_apart = end.is_none_or(|end| it.offset > end);
        let its_end = it.offset.checked_add(it.len);
        end = its_end;
        it.len > 0 && is_apart && its_end.is_some_and(|end| end <= size)
    })
}

/// Whether an extended attribute of this name can travel: a user's, an access list, what root keeps for
/// itself, or the capabilities of a program. Labels of security modules belong to one machine.
fn is_attribute_allowed(name: &[u8]) -> bool {
    let has_prefix = |prefix: &[u8]| name.len() > prefix.len() && name.starts_with(prefix);
    let is_whole = matches!(
        name,
        b"system.posix_acl_access" | b"system.posix_acl_default" | b"security.capability"
    );
    let is_allowed = is_whole || has_prefix(b"user.") || has_prefix(b"trusted.");
    is_allowed && name.len() <= ATTRIBUTE_NAME_BYTES_MAX && !name.contains(&0)
}

fn check_terms(terms: &Terms) -> Result<(), ManifestError> {
    let is_short = |filter: &super::Filter| filter.pattern.len() <= Terms::PATTERN_BYTES_MAX;
    // A stream is one file that ends nobody knows where: nothing there can be compared with it.
    let looks_first = terms.delete || terms.dry_run || terms.sync != Sync::None;
    let is_possible = terms.filters.len() <= Terms::FILTERS_MAX
        && terms.filters.iter().all(is_short)
        && !(terms.stream && looks_first);
    is_possible.then_some(()).ok_or(ManifestError::Terms)
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
    for entry in &manifest.entries {
        bytes = bytes
            .checked_add(entry.size())
            .ok_or(ManifestError::TotalSize)?;
        pieces = pieces.saturating_add(data_pieces(entry.size(), entry.extents()));
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
