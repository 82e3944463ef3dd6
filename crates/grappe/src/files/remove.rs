//! What stands in the directories of a tree and is not in its manifest: looking for it, and removing it.
//!
//! Only below directories that the manifest names, never through a link, never on another mount, nothing that
//! the manifest knows under another spelling, and nothing that the sender left out on purpose. Whether that is
//! wanted is decided in `survey` and `place`.

use std::io;
use std::sync::Arc;

use grappe_os::file::{self, Directory};
use grappe_proto::content::manifest::{Kind, Manifest};

use super::Skipped;
use super::descent::{Visitor, descend, is_same_mount};
use super::filters::Filters;
use super::metadata;
use super::parents::Parents;
use super::place::Placed;
use super::spelling::{Known, may_be_same, respelt};
use super::staging;

/// What is done with an entry of a directory: its path, and whether it goes.
type Act<'a> = dyn FnMut(&Directory, &[u8], bool) -> io::Result<()> + 'a;

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
/// left out on purpose, and what is mounted there. Says whether anything of that kind, and so `path` itself,
/// stays.
pub(super) fn count(
    directory: &Directory,
    path: &[u8],
    filters: &Filters,
    found: &mut dyn FnMut(&[u8], bool),
) -> io::Result<bool> {
    descend(directory, path, &mut Counter { filters, found })
}

struct Counter<'a> {
    filters: &'a Filters,
    found: &'a mut dyn FnMut(&[u8], bool),
}

impl Visitor for Counter<'_> {
    fn spares(&mut self, directory: &Directory, path: &[u8]) -> bool {
        is_spared(directory, path, self.filters)
    }

    fn mounted(&mut self, path: &[u8]) -> io::Result<()> {
        (self.found)(path, false);
        Ok(())
    }

    fn enter(&mut self, _: &Directory, _: &file::Metadata) {}

    fn stay(&mut self, _: &Directory, _: &file::Metadata) {}

    fn leave(
        &mut self,
        _: &Directory,
        path: &[u8],
        _: &file::Metadata,
        stays: bool,
    ) -> io::Result<()> {
        (self.found)(path, !stays);
        Ok(())
    }
}

/// Whether something that is not in the tree stays all the same: left out by the sender, or a copy on its way.
pub(super) fn is_spared(directory: &Directory, path: &[u8], filters: &Filters) -> bool {
    let (_, name) = metadata::split(path);
    staging::is_staging_name(name) || {
        let found = directory.metadata(name);
        let is_directory = found.is_ok_and(|it| it.kind == file::Kind::Directory);
        !filters.allow(path, is_directory)
    }
}

/// Removes what [`look`] said goes. Notes in `placed` how many entries went, what did not and why, and what is
/// mounted, also where it fails on the way.
pub(super) fn remove(
    top: &Arc<Directory>,
    manifest: &Manifest,
    filters: &Filters,
    placed: &mut Placed,
) -> io::Result<()> {
    each(top, manifest, filters, &mut |directory, path, goes| {
        if goes && let Err(error) = tree(directory, path, filters, placed) {
            placed.failed.push(Skipped {
                path: metadata::display_path("".as_ref(), path),
                reason: super::error::kernel_answer(error).to_string(),
            });
        }
        Ok(())
    })
}

/// Removes `path`, which is in `directory`, and everything below it on this mount, but for what the sender
/// left out on purpose; notes in `placed` how much went, and what is mounted. Says whether anything stays.
pub(super) fn tree(
    directory: &Directory,
    path: &[u8],
    filters: &Filters,
    placed: &mut Placed,
) -> io::Result<bool> {
    descend(directory, path, &mut Remover { filters, placed })
}

struct Remover<'a> {
    filters: &'a Filters,
    placed: &'a mut Placed,
}

impl Visitor for Remover<'_> {
    fn spares(&mut self, directory: &Directory, path: &[u8]) -> bool {
        is_spared(directory, path, self.filters)
    }

    fn mounted(&mut self, path: &[u8]) -> io::Result<()> {
        self.placed.mounted.push(Skipped {
            path: metadata::display_path("".as_ref(), path),
            reason: "something is mounted there".to_owned(),
        });
        Ok(())
    }

    fn enter(&mut self, inner: &Directory, found: &file::Metadata) {
        if found.mode & 0o700 != 0o700 {
            // Whoever may not do this may still be allowed to remove, as root.
            let _ = inner.set_mode(found.mode | 0o700);
        }
    }

    fn stay(&mut self, inner: &Directory, found: &file::Metadata) {
        if found.mode & 0o700 != 0o700 {
            let _ = inner.set_mode(found.mode);
        }
    }

    fn leave(
        &mut self,
        directory: &Directory,
        path: &[u8],
        found: &file::Metadata,
        stays: bool,
    ) -> io::Result<()> {
        let (_, name) = metadata::split(path);
        match found.kind {
            file::Kind::Directory if stays => return Ok(()),
            file::Kind::Directory => directory.remove_directory(name)?,
            _ => directory.remove_file(name)?,
        }
        self.placed.removed += 1;
        Ok(())
    }
}

/// Goes through what is in the directories of the manifest, as long as they are directories. What goes is
/// known under no name of the manifest, however it is spelt.
fn each(
    top: &Arc<Directory>,
    manifest: &Manifest,
    filters: &Filters,
    act: &mut Act<'_>,
) -> io::Result<()> {
    let known = Known::new(manifest);
    let mut parents = Parents::new(Arc::clone(top));
    for entry in &manifest.entries {
        if entry.kind != Kind::Directory {
            continue;
        }
        // Not there, or something else: nothing of it is in the way of its removal.
        let Ok(directory) = parents.directory(&entry.path) else {
            continue;
        };
        if !is_same_mount(top, &directory)? {
            continue;
        }
        let names = directory.entries()?;
        let mut known_otherwise = None;
        for name in &names {
            let path = [&entry.path[..], b"/", name].concat();
            if known.contains(&path) || is_spared(&directory, &path, filters) {
                act(&directory, &path, false)?;
                continue;
            }
            let others = match &mut known_otherwise {
                Some(others) => others,
                unknown => unknown.insert(respelt(&directory, &entry.path, &names, &known)?),
            };
            let is_kept = !others.is_empty()
                && directory
                    .metadata(name)
                    .is_ok_and(|found| others.iter().any(|other| may_be_same(&found, other)));
            act(&directory, &path, !is_kept)?;
        }
    }
    Ok(())
}
