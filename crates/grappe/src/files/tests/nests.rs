//! New directories that are placed with all their small files at once, and what keeps them from it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use grappe_proto::content::digest::FileState;

use super::{BLOCK, Stage, all_whole, carry, content, set_mode, staging_folders, things};

/// Small files in a directory and in one below it, and things that are none.
fn stage() -> Stage {
    let stage = Stage::new();
    let tree = stage.tree();
    fs::create_dir_all(tree.join("below")).unwrap();
    for name in ["one", "two", "below/three"] {
        fs::write(tree.join(name), content(300 + name.len())).unwrap();
        set_mode(&tree.join(name), 0o640);
    }
    fs::write(tree.join("empty"), "").unwrap();
    fs::write(tree.join("large"), content(BLOCK + 1)).unwrap();
    fs::hard_link(tree.join("one"), tree.join("below/again")).unwrap();
    stage
}

/// The nest of the entry with that number, if there is one.
fn nest(stage: &Stage, number: u32) -> Option<PathBuf> {
    let folders = staging_folders(stage.into.path());
    let folder = stage.into.path().join(folders.first()?);
    Some(folder.join(format!("{number}-nest"))).filter(|nest| nest.exists())
}

/// The number of the entry `path` in the tree.
fn number(stage: &Stage, path: &str) -> u32 {
    let source = stage.source();
    let mut entries = source.manifest().entries.iter();
    let is_it = |entry: &grappe_proto::content::manifest::Entry| entry.path == path.as_bytes();
    entries.position(is_it).unwrap() as u32
}

#[test]
fn a_new_directory_is_placed_as_it_grew() {
    let stage = stage();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
    let grown = ["tree", "tree/below"].map(|path| {
        let nest = nest(&stage, number(&stage, path)).expect("it has small files");
        inode(nest)
    });
    let placed = incoming.finalize(&source.finish()).unwrap();
    assert_eq!((placed.files, placed.failed), (5, vec![]));
    assert_eq!(placed.bytes, (303 + 303 + 311 + BLOCK + 1) as u64);
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
    let there = ["tree", "tree/below"].map(|path| inode(stage.into.path().join(path)));
    assert_eq!(there, grown);
    stage.assert_no_staging();
}

#[test]
fn a_directory_that_appears_during_the_copy_is_merged_into() {
    let stage = stage();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    fs::create_dir(stage.copied()).unwrap();
    for name in ["one", "other"] {
        fs::write(stage.copied().join(name), "was there").unwrap();
    }
    let placed = incoming.finalize(&source.finish()).unwrap();
    assert_eq!((placed.files, placed.failed), (5, vec![]));
    let other = stage.copied().join("other");
    assert_eq!(fs::read_to_string(&other).unwrap(), "was there");
    fs::remove_file(other).unwrap();
    let (copied, tree) = (things(&stage.copied()), things(&stage.tree()));
    assert_eq!(
        copied.keys().collect::<Vec<_>>(),
        tree.keys().collect::<Vec<_>>()
    );
    assert_eq!(fs::read(stage.copied().join("one")).unwrap(), content(303));
    stage.assert_no_staging();
}

#[test]
fn a_file_that_is_not_whole_does_not_come_along_with_its_directory() {
    let stage = stage();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    let mut states = all_whole(source.manifest());
    states[number(&stage, "tree/two") as usize] = FileState::Changed;
    let placed = incoming.finalize(&states).unwrap();
    assert_eq!(placed.not_whole.len(), 1);
    assert_eq!((placed.files, placed.failed), (4, vec![]));
    assert!(!stage.copied().join("two").exists());
    assert_eq!(fs::read(stage.copied().join("one")).unwrap(), content(303));
    let below = stage.copied().join("below");
    assert_eq!(fs::read(below.join("three")).unwrap(), content(311));
    stage.assert_no_staging();
}

#[test]
fn nothing_gets_a_name_that_is_not_of_the_copy() {
    let stage = stage();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    let nest = nest(&stage, number(&stage, "tree")).unwrap();
    fs::write(nest.join("of nobody"), "x").unwrap();
    let placed = incoming.finalize(&source.finish()).unwrap();
    assert_eq!((placed.files, placed.failed), (5, vec![]));
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
    stage.assert_no_staging();
}

#[test]
fn a_file_that_vanished_from_its_nest_is_told_of_and_the_others_are_placed() {
    let stage = stage();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    let nest = nest(&stage, number(&stage, "tree")).unwrap();
    fs::remove_file(nest.join("two")).unwrap();
    let placed = incoming.finalize(&source.finish()).unwrap();
    let [failed] = &placed.failed[..] else {
        panic!("one failed: {placed:?}");
    };
    assert_eq!(failed.path, stage.copied().join("two"));
    assert_eq!(placed.files, 4);
}

#[test]
fn the_same_copy_goes_on_with_what_is_in_nests_and_clears_away_the_rest() {
    let stage = stage();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    incoming.keep();
    drop(incoming);
    let (top, below) = (number(&stage, "tree"), number(&stage, "tree/below"));
    let all = stage.begin(&source).unwrap();
    let all_there = all.earlier().count();
    all.keep();
    drop(all);
    let nest_of = |number| nest(&stage, number).unwrap();
    fs::write(nest_of(top).join("of nobody"), "x").unwrap();
    fs::write(nest_of(top).join("two"), "too short").unwrap();
    let incoming = stage.begin(&source).unwrap();
    assert_eq!(
        incoming.earlier().count(),
        all_there - 1,
        "that of the small files"
    );
    assert!(nest(&stage, top).is_none() && nest(&stage, below).is_none());
    carry(&source, &incoming);
    incoming.finalize(&source.finish()).unwrap();
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
    stage.assert_no_staging();
}

#[test]
fn a_broken_off_copy_leaves_nothing_in_nests() {
    let stage = stage();
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    assert!(nest(&stage, number(&stage, "tree")).is_some());
    drop(incoming);
    stage.assert_no_staging();
}

#[test]
fn a_new_directory_in_one_that_is_there_inherits_from_it() {
    let stage = stage();
    fs::create_dir(stage.copied()).unwrap();
    set_mode(&stage.copied(), 0o2775);
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    assert!(nest(&stage, number(&stage, "tree/below")).is_none());
    incoming.finalize(&source.finish()).unwrap();
    let below = fs::metadata(stage.copied().join("below")).unwrap();
    assert_eq!(below.mode() & 0o2000, 0o2000, "as mkdir would have it");
}
