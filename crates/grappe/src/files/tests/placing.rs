//! What lies in the destination after a copy, whatever lay there before.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::{Entry, Kind, Manifest, Sync};

use super::syncing::{options, sync};
use super::{
    BLOCK, Stage, all_whole, begin, carry, content, set_mode, set_mtime, skip, staging_folders,
    things,
};
use crate::files::SinkError;

/// A tree with one of everything.
fn build(tree: &Path) {
    for directory in ["empty", "full/deep/er", "locked"] {
        fs::create_dir_all(tree.join(directory)).unwrap();
    }
    let files = [
        ("none", 0),
        ("small", 100),
        ("block", BLOCK),
        ("full/large", 2 * BLOCK + 77),
    ];
    for (index, (name, len)) in files.into_iter().enumerate() {
        let path = tree.join(name);
        fs::write(&path, content(len)).unwrap();
        set_mtime(&path, 123_456_789 + index as u64);
        set_mode(&path, [0o600, 0o444, 0o404, 0o751][index]);
    }
    fs::write(tree.join("locked/file"), b"x").unwrap();
    symlink("nowhere", tree.join("dangling")).unwrap();
    symlink("/etc/hostname", tree.join("full/absolute")).unwrap();
    set_mode(&tree.join("empty"), 0o700);
    set_mode(&tree.join("locked"), 0o555);
    for (index, directory) in ["empty", "full/deep/er", "full/deep", "full", "locked", ""]
        .iter()
        .enumerate()
    {
        set_mtime(&tree.join(directory), 987_654_321 + index as u64);
    }
}

#[test]
fn a_tree_arrives_as_it_was() {
    let stage = Stage::new();
    build(&stage.tree());
    let expected = things(&stage.tree());
    let placed = stage.copy();
    assert_eq!(things(&stage.copied()), expected);
    assert_eq!(
        (placed.files, placed.bytes),
        (5, (100 + BLOCK + 2 * BLOCK + 77 + 1) as u64)
    );
    assert_eq!(placed.failed, []);
    stage.assert_no_staging();
}

#[test]
fn a_second_copy_over_the_first_changes_nothing() {
    let stage = Stage::new();
    build(&stage.tree());
    stage.copy();
    assert_eq!(stage.copy().failed, []);
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
}

#[test]
fn a_directory_that_is_there_is_merged_into() {
    let stage = Stage::new();
    fs::write(stage.tree().join("new"), b"new").unwrap();
    set_mode(&stage.tree(), 0o750);
    set_mtime(&stage.tree(), 5);
    fs::create_dir(stage.copied()).unwrap();
    fs::write(stage.copied().join("old"), b"old").unwrap();
    set_mode(&stage.copied(), 0o2700);
    stage.copy();
    assert_eq!(fs::read(stage.copied().join("old")).unwrap(), b"old");
    assert_eq!(fs::read(stage.copied().join("new")).unwrap(), b"new");
    let metadata = fs::metadata(stage.copied()).unwrap();
    assert_eq!(
        (metadata.mode() & 0o7777, metadata.mtime_nsec()),
        (0o2750, 5)
    );
}

#[test]
fn a_replaced_file_keeps_its_content_for_whoever_has_it_open_or_linked() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), b"new").unwrap();
    fs::create_dir(stage.copied()).unwrap();
    fs::write(stage.copied().join("file"), b"old").unwrap();
    fs::hard_link(
        stage.copied().join("file"),
        stage.into.path().join("reader"),
    )
    .unwrap();
    stage.copy();
    assert_eq!(fs::read(stage.into.path().join("reader")).unwrap(), b"old");
    assert_eq!(fs::read(stage.copied().join("file")).unwrap(), b"new");
}

#[test]
fn files_and_links_replace_one_another() {
    let stage = Stage::new();
    fs::write(stage.tree().join("was_link"), b"file").unwrap();
    symlink("target", stage.tree().join("was_file")).unwrap();
    fs::create_dir(stage.copied()).unwrap();
    let untouched = stage.into.path().join("untouched");
    fs::write(&untouched, b"untouched").unwrap();
    symlink(&untouched, stage.copied().join("was_link")).unwrap();
    fs::write(stage.copied().join("was_file"), b"old").unwrap();
    assert_eq!(stage.copy().failed, []);
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
    assert_eq!(fs::read(untouched).unwrap(), b"untouched");
}

#[test]
fn a_file_and_a_directory_never_replace_one_another() {
    for file_is_new in [true, false] {
        let stage = Stage::new();
        fs::create_dir(stage.copied()).unwrap();
        let (file, directory) = match file_is_new {
            true => (stage.tree(), stage.copied()),
            false => (stage.copied(), stage.tree()),
        };
        fs::write(file.join("thing"), b"x").unwrap();
        fs::create_dir(directory.join("thing")).unwrap();
        let Err(SinkError::Conflict { path, .. }) = stage.begin(&stage.source()) else {
            panic!("a conflict is seen before the copy begins");
        };
        assert_eq!(path, stage.copied().join("thing"));
        stage.assert_no_staging();
    }
}

#[test]
fn one_entry_that_fails_does_not_stop_the_rest() {
    let stage = Stage::new();
    for name in ["a", "b", "c"] {
        fs::write(stage.tree().join(name), name).unwrap();
    }
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    fs::create_dir_all(stage.copied().join("b")).unwrap();
    let placed = incoming.finalize(&source.finish()).unwrap();
    assert_eq!(placed.files, 2);
    assert_eq!(placed.failed[0].path, stage.copied().join("b"));
    assert_eq!(placed.failed[0].reason, "a directory is in the way");
    assert_eq!(fs::read(stage.copied().join("c")).unwrap(), b"c");
    stage.assert_no_staging();
}

#[test]
fn a_block_may_be_written_again() {
    let stage = Stage::new();
    fs::write(stage.tree().join("large"), content(BLOCK + 5)).unwrap();
    fs::write(stage.tree().join("small"), content(50)).unwrap();
    set_mode(&stage.tree().join("small"), 0o400);
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    let layout = Layout::new(source.manifest());
    for block in (0..layout.block_count()).rev() {
        incoming
            .hash_and_write(block, &vec![9; layout.block_len(block) as usize])
            .unwrap();
    }
    carry(&source, &incoming);
    incoming.finalize(&source.finish()).unwrap();
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
}

#[test]
fn directories_that_shut_their_owner_out_are_finished_from_the_deepest() {
    let stage = Stage::new();
    let directory = |path: &[u8]| Entry {
        path: path.to_vec(),
        kind: Kind::Directory,
        mode: 0,
        mtime: (1_000_000_000, 7),
        ..Entry::default()
    };
    let entries = vec![directory(b"a"), directory(b"a/b"), directory(b"a/b/c")];
    let manifest = Arc::new(Manifest {
        entries,
        ..Manifest::default()
    });
    let incoming = begin(stage.into.path(), &manifest).unwrap();
    assert_eq!(incoming.finalize(&all_whole(&manifest)).unwrap().failed, []);
    let mut path = stage.into.path().to_path_buf();
    for name in ["a", "b", "c"] {
        path.push(name);
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.mtime_nsec()), (0, 7));
        set_mode(&path, 0o700);
    }
}

#[test]
fn what_does_not_fit_the_manifest_is_refused() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), b"four").unwrap();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    for (block, bytes) in [(0, &b"three"[..]), (1, b"four")] {
        let error = incoming.hash_and_write(block, bytes).unwrap_err();
        assert!(matches!(error, SinkError::Mismatch { .. }), "{error}");
    }
    assert!(matches!(
        incoming.finalize(&[]).unwrap_err(),
        SinkError::Mismatch { .. }
    ));
}

#[test]
fn a_hard_link_whose_first_name_failed_is_no_link_to_what_stands_there() {
    let stage = Stage::new();
    fs::write(stage.tree().join("first"), b"new").unwrap();
    fs::hard_link(stage.tree().join("first"), stage.tree().join("second")).unwrap();
    fs::write(stage.tree().join("third"), b"third").unwrap();
    fs::create_dir(stage.copied()).unwrap();
    fs::write(stage.copied().join("second"), b"old").unwrap();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    fs::create_dir(stage.copied().join("first")).unwrap();
    let placed = incoming.finalize(&source.finish()).unwrap();
    let failed: Vec<_> = placed.failed.iter().map(|it| &it.path).collect();
    assert_eq!(
        failed,
        [
            &stage.copied().join("first"),
            &stage.copied().join("second")
        ]
    );
    assert!(placed.failed[1].reason.contains("first name"), "{placed:?}");
    assert_eq!(fs::read(stage.copied().join("second")).unwrap(), b"old");
    assert_eq!(fs::read(stage.copied().join("third")).unwrap(), b"third");
    stage.assert_no_staging();
}

/// Makes what is there unchangeable even for root, until it is dropped.
struct Immutable<'a>(&'a Path);

impl<'a> Immutable<'a> {
    fn new(path: &'a Path) -> Option<Self> {
        let set = Command::new("chattr").arg("+i").arg(path).output();
        if set.is_ok_and(|output| output.status.success()) {
            return Some(Self(path));
        }
        skip("cannot make a file immutable");
        None
    }
}

impl Drop for Immutable<'_> {
    fn drop(&mut self) {
        let _ = Command::new("chattr").arg("-i").arg(self.0).output();
    }
}

#[test]
fn what_cannot_be_changed_here_is_reported_and_the_rest_is_placed() {
    for is_kept in [false, true] {
        let stage = Stage::new();
        for name in ["fixed", "other"] {
            fs::write(stage.tree().join(name), name).unwrap();
        }
        fs::create_dir(stage.copied()).unwrap();
        fs::write(stage.copied().join("fixed"), "fixed").unwrap();
        fs::write(stage.copied().join("old"), "old").unwrap();
        set_mode(&stage.copied().join("fixed"), 0o600);
        for top in [stage.tree(), stage.copied()] {
            set_mtime(&top.join("fixed"), 7);
        }
        let fixed = stage.copied().join("fixed");
        let Some(_immutable) = Immutable::new(&fixed) else {
            return;
        };
        let placed = if is_kept {
            sync(&stage, &options(Sync::Times)).unwrap().0
        } else {
            stage.copy()
        };
        assert_eq!(placed.failed.len(), 1, "{placed:?}");
        assert_eq!(placed.failed[0].path, fixed);
        assert_eq!(placed.others_stay, is_kept, "removal was asked for once");
        assert_eq!(fs::metadata(&fixed).unwrap().mode() & 0o777, 0o600);
        assert!(stage.copied().join("old").exists());
        assert_eq!(fs::read(stage.copied().join("other")).unwrap(), b"other");
    }
}

#[test]
fn what_was_placed_is_told_though_the_staging_folder_stays() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), "text").unwrap();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    let folder = stage
        .into
        .path()
        .join(&staging_folders(stage.into.path())[0]);
    // Of somebody else: no file of a copy.
    fs::create_dir(folder.join("notes")).unwrap();
    let placed = incoming.finalize(&source.finish()).unwrap();
    assert_eq!((placed.files, placed.failed.len()), (1, 1), "{placed:?}");
    let reason = &placed.failed[0].reason;
    assert!(reason.contains("staging folder"), "{reason}");
    assert_eq!(fs::read(stage.copied().join("file")).unwrap(), b"text");
}
