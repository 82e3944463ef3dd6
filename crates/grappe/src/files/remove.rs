//! What stands in the directories of a tree and is not in its manifest: looking for it, and removing it.
//!
//! Only below directories that the manifest names, never through a link, never on another file system, and
//! nothing that the sender left out on purpose. Whether that is wanted is decided in `survey` and `place`.

use std::io;
use std::sync::Arc;

use grappe_os::file::{self, Directory};
use grappe_proto::content::manifest::{Kind, Manifest};

use super::Skipped;
use super::filters::Filters;
use super::metadata;
use super::parents::Parents;
use super::staging;

/// What is done with an entry of a directory: its path, and whether it goes.
type Act<'a> = dyn FnMut(&Directory, &[u8], bool) -> io::Result<()> + 'a;

/// The paths of a manifest, to be asked for one by one; four bytes each.
struct Known<'a> {
    manifest: &'a Manifest,
    sorted: Vec<u32>,
}

impl<'a> Known<'a> {
    fn new(manifest: &'a Manifest) -> Self {
        let mut sorted: Vec<u32> = (0..manifest.entries.len() as u32).collect();
        sorted.sort_unstable_by_key(|entry| &manifest.entries[*entry as usize].path[..]);
        Self { manifest, sorted }
    }

    fn contains(&self, path: &[u8]) -> bool {
        let path_of = |entry: &u32| &self.manifest.entries[*entry as usize].path[..];
        self.sorted
            .binary_search_by(|entry| path_of(entry).cmp(path))
            .is_ok()
    }
}

/// Tells `found` of everything in the directories of the manifest that are there: its path, and whether it
/// goes.
pub(super) fn look(
    top: &Arc<Directory>,
    manifest: &Manifest,
    filters: &Filters,
    found: &mut dyn FnMut(&[u8], bool),
) -> io::Result<()> {
    each(top, manifest, filters, &mut |directory, path, goes| {
        if goes {
            count(directory, path, filters, found)?;
        } else {
            found(path, false);
        }
        Ok(())
    })
}

/// Tells `found` of everything that goes with `path`, which is in `directory` and goes but for what the sender
/// left out on purpose. Says whether anything of that kind, and so `path` itself, stays.
pub(super) fn count(
    directory: &Directory,
    path: &[u8],
    filters: &Filters,
    found: &mut dyn FnMut(&[u8], bool),
) -> io::Result<bool> {
    let (_, name) = metadata::split(path);
    let Some(there) = present(directory, name)? else {
        return Ok(false);
    };
    let mut stays = false;
    if there.kind == file::Kind::Directory && there.device == directory.device_id()? {
        let inner = directory.open_beneath(name)?;
        for name in inner.entries()? {
            let path = [path, b"/", &name].concat();
            stays |= is_spared(&inner, &path, filters) || count(&inner, &path, filters, found)?;
        }
    }
    found(path, !stays);
    Ok(stays)
}

/// Whether something that is not in the tree stays all the same: left out by the sender, or a copy on its way.
fn is_spared(directory: &Directory, path: &[u8], filters: &Filters) -> bool {
    let (_, name) = metadata::split(path);
    staging::is_staging_name(name) || {
        let found = directory.metadata(name);
        let is_directory = found.is_ok_and(|it| it.kind == file::Kind::Directory);
        !filters.allow(path, is_directory)
    }
}

/// What is under this name; nothing when it went meanwhile.
fn present(directory: &Directory, name: &[u8]) -> io::Result<Option<file::Metadata>> {
    match directory.metadata(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        found => Ok(Some(found?)),
    }
}

/// Removes what [`look`] said goes. Answers how many entries went, and what did not and why.
pub(super) fn remove(
    top: &Arc<Directory>,
    manifest: &Manifest,
    filters: &Filters,
) -> io::Result<(u64, Vec<Skipped>)> {
    let (mut removed, mut left) = (0, Vec::new());
    each(top, manifest, filters, &mut |directory, path, goes| {
        if goes && let Err(error) = tree(directory, path, filters, &mut removed) {
            left.push(Skipped {
                path: metadata::display_path("".as_ref(), path),
                reason: super::error::kernel_answer(error).to_string(),
            });
        }
        Ok(())
    })?;
    Ok((removed, left))
}

/// Removes `path`, which is in `directory`, and everything below it on this file system, but for what the
/// sender left out on purpose; counts what went. Says whether anything of that kind stays.
pub(super) fn tree(
    directory: &Directory,
    path: &[u8],
    filters: &Filters,
    removed: &mut u64,
) -> io::Result<bool> {
    let (_, name) = metadata::split(path);
    let Some(found) = present(directory, name)? else {
        return Ok(false);
    };
    if found.device != directory.device_id()? {
        let text = "another file system is mounted there";
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, text));
    }
    if found.kind != file::Kind::Directory {
        directory.remove_file(name)?;
        *removed += 1;
        return Ok(false);
    }
    let inner = directory.open_beneath(name)?;
    if found.mode & 0o700 != 0o700 {
        // Whoever may not do this may still be allowed to remove, as root.
        let _ = inner.set_mode(found.mode | 0o700);
    }
    let mut stays = false;
    for name in inner.entries()? {
        let path = [path, b"/", &name].concat();
        stays |= is_spared(&inner, &path, filters) || tree(&inner, &path, filters, removed)?;
    }
    if !stays {
        directory.remove_directory(name)?;
        *removed += 1;
    }
    Ok(stays)
}

/// Goes through what is in the directories of the manifest, as long as they are directories.
fn each(
    top: &Arc<Directory>,
    manifest: &Manifest,
    filters: &Filters,
    act: &mut Act<'_>,
) -> io::Result<()> {
    let known = Known::new(manifest);
    let mut parents = Parents::new(Arc::clone(top));
    let device = top.device_id()?;
    for entry in &manifest.entries {
        if entry.kind != Kind::Directory {
            continue;
        }
        // Not there, or something else: nothing of it is in the way of its removal.
        let Ok(directory) = parents.directory(&entry.path) else {
            continue;
        };
        if directory.device_id()? != device {
            continue;
        }
        for name in directory.entries()? {
            let path = [&entry.path[..], b"/", &name].concat();
            let is_kept = known.contains(&path) || is_spared(&directory, &path, filters);
            act(&directory, &path, !is_kept)?;
        }
    }
    Ok(())
}
