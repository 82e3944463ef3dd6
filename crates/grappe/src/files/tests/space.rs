//! File systems that are full, read-only, or not what their numbers say. Needs root to mount them; skipped with a message otherwise.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::Sync;

use super::syncing::{options, sync};
use super::{BLOCK, Stage, begin, carry, content, set_mtime, skip, staging_folders};
use crate::files::{Sink, SinkError};

/// A mounted tmpfs, unmounted at the end.
pub(super) struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    pub(super) fn new(path: &Path, options: &str) -> Option<Self> {
        let command = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "none"])
            .arg(path)
            .output();
        if command.is_ok_and(|output| output.status.success()) {
            return Some(Self {
                path: path.to_path_buf(),
            });
        }
        skip("cannot mount a tmpfs");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

#[test]
fn a_copy_that_does_not_fit_is_refused_at_the_beginning() {
    let stage = Stage::new();
    let Some(disk) = SmallDisk::new(stage.into.path(), "size=1m") else {
        return;
    };
    fs::write(stage.tree().join("large"), content(8 * BLOCK)).unwrap();
    let error = stage.begin(&stage.source()).unwrap_err();
    let SinkError::NoSpace {
        needed, available, ..
    } = error
    else {
        panic!("{error}")
    };
    let hashes = 3 * 32 * 8;
    assert!(available < needed && needed == 8 * BLOCK as u64 + hashes);
    assert_eq!(fs::read_dir(&disk.path).unwrap().count(), 0);
}

#[test]
fn a_disk_that_becomes_full_ends_the_copy_and_leaves_nothing() {
    let stage = Stage::new();
    let Some(disk) = SmallDisk::new(stage.into.path(), "size=1m") else {
        return;
    };
    fs::write(stage.tree().join("large"), content(2 * BLOCK)).unwrap();
    let source = stage.source();
    let incoming = begin(&disk.path, source.manifest()).unwrap();
    // Somebody else fills the disk, as far as it goes.
    let _ = fs::write(disk.path.join("hog"), content(4 * BLOCK));
    let error = incoming.hash_and_write(0, &content(BLOCK)).unwrap_err();
    assert!(matches!(error, SinkError::NoSpace { .. }), "{error}");
    drop(incoming);
    assert_eq!(staging_folders(&disk.path), Vec::<String>::new());
}

#[test]
fn a_disk_that_is_full_when_a_copy_goes_on_takes_nothing_of_what_is_there() {
    let stage = Stage::new();
    let Some(disk) = SmallDisk::new(stage.into.path(), "size=2m") else {
        return;
    };
    fs::write(stage.tree().join("large"), content(6 * BLOCK)).unwrap();
    let source = stage.source();
    let incoming = begin(&disk.path, source.manifest()).unwrap();
    let layout = Layout::new(source.manifest());
    let mut buffer = Vec::new();
    for block in 0..5 {
        source.read_block(&layout, block, &mut buffer);
        incoming.hash_and_write(block, &buffer).unwrap();
    }
    incoming.keep();
    drop(incoming);
    let _ = fs::write(disk.path.join("hog"), content(8 * BLOCK));
    let error = begin(&disk.path, source.manifest()).unwrap_err();
    assert!(matches!(error, SinkError::NoSpace { .. }), "{error}");
    fs::remove_file(disk.path.join("hog")).unwrap();
    let incoming = begin(&disk.path, source.manifest()).unwrap();
    assert_eq!(incoming.earlier().count(), 5);
}

#[test]
fn a_read_only_file_system_is_refused() {
    let stage = Stage::new();
    let Some(disk) = SmallDisk::new(stage.into.path(), "ro") else {
        return;
    };
    let error = Sink::open(&disk.path).unwrap_err();
    assert!(matches!(error, SinkError::NotWritable { .. }), "{error}");
}

#[test]
fn a_mount_that_appears_during_the_copy_is_reported_for_what_lies_there() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), b"x").unwrap();
    fs::create_dir(stage.copied()).unwrap();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    let Some(_disk) = SmallDisk::new(&stage.copied(), "size=1m") else {
        return;
    };
    carry(&source, &incoming);
    let placed = incoming.finalize(&source.finish()).unwrap();
    assert!(
        placed.failed[0].reason.contains("another file system"),
        "{:?}",
        placed.failed
    );
    stage.assert_no_staging();
}

#[test]
fn a_mount_below_the_target_is_in_the_way_at_the_beginning() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), "text").unwrap();
    let copied = stage.copied();
    fs::create_dir(&copied).unwrap();
    let Some(disk) = SmallDisk::new(&copied, "size=1m") else {
        return;
    };
    let error = stage.begin(&stage.source()).unwrap_err();
    let SinkError::Conflict { path, reason } = error else {
        panic!("{error}")
    };
    assert_eq!(path, disk.path);
    assert!(reason.contains("another file system"), "{reason}");
    stage.assert_no_staging();
}

#[test]
fn what_is_compared_and_stays_needs_no_space() {
    let stage = Stage::new();
    let Some(_disk) = SmallDisk::new(stage.into.path(), "size=2m") else {
        return;
    };
    fs::create_dir(stage.copied()).unwrap();
    for top in [stage.tree(), stage.copied()] {
        fs::write(top.join("large"), content(6 * BLOCK)).unwrap();
        set_mtime(&top.join("large"), 7);
    }
    let (placed, travelled) = sync(&stage, &options(Sync::Checksum)).unwrap();
    assert_eq!((placed.failed, placed.files, travelled), (vec![], 1, 0));
    // As long, but another one: that is found while it is written.
    fs::write(stage.tree().join("large"), vec![7; 6 * BLOCK]).unwrap();
    let error = sync(&stage, &options(Sync::Checksum)).unwrap_err();
    let whole = (6 * BLOCK + 3 * 32 * 6) as u64;
    assert!(
        matches!(error, SinkError::NoSpace { needed, .. } if needed == whole),
        "{error}"
    );
    assert_eq!(
        fs::read(stage.copied().join("large")).unwrap(),
        content(6 * BLOCK)
    );
    stage.assert_no_staging();
}

/// Mounts what `arguments` say; says so and answers false where that may not be.
fn mount(arguments: &[&str]) -> bool {
    let output = Command::new("mount").args(arguments).output();
    let is_mounted = output.is_ok_and(|output| output.status.success());
    if !is_mounted {
        skip("cannot mount an overlay or a directory a second time");
    }
    is_mounted
}

#[test]
fn a_directory_mounted_a_second_time_is_in_the_way_as_any_mount() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), "text").unwrap();
    let copied = stage.copied();
    fs::create_dir(&copied).unwrap();
    let other = stage.from.path().join("other");
    fs::create_dir(&other).unwrap();
    let names = [&other, &copied].map(|path| path.to_str().unwrap());
    if !mount(&["--bind", names[0], names[1]]) {
        return;
    }
    let _unmounted = SmallDisk {
        path: copied.clone(),
    };
    let error = stage.begin(&stage.source()).unwrap_err();
    assert!(matches!(error, SinkError::Conflict { path, .. } if path == copied));
}

/// As on a system that runs from an image, whose files have another device number than its directories.
#[test]
fn files_of_the_lower_layer_of_an_overlay_are_replaced() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), "new").unwrap();
    let layers = tempfile::TempDir::new().unwrap();
    let layer = |name: &str| layers.path().join(name);
    for name in ["lower", "disk"] {
        fs::create_dir(layer(name)).unwrap();
    }
    let disks = ["lower", "disk"].map(|name| SmallDisk::new(&layer(name), "size=1m"));
    let [Some(_lower), Some(_disk)] = disks else {
        return;
    };
    for name in ["lower/tree", "disk/upper", "disk/work"] {
        fs::create_dir(layer(name)).unwrap();
    }
    fs::write(layer("lower/tree/file"), "old").unwrap();
    let options = format!(
        "lowerdir={},upperdir={},workdir={},xino=off",
        layer("lower").display(),
        layer("disk/upper").display(),
        layer("disk/work").display()
    );
    let into = stage.into.path().to_str().unwrap();
    if !mount(&["-t", "overlay", "-o", &options, "none", into]) {
        return;
    }
    let _unmounted = SmallDisk {
        path: stage.into.path().to_path_buf(),
    };
    let copied = stage.copied();
    let (directory, file) = (fs::metadata(&copied), fs::metadata(copied.join("file")));
    assert_ne!(
        directory.unwrap().dev(),
        file.unwrap().dev(),
        "as said above"
    );
    let placed = stage.copy();
    assert_eq!(placed.failed, []);
    assert_eq!(fs::read(copied.join("file")).unwrap(), b"new");
}
