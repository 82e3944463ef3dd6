//! New directories that are placed with all their small files at once, and what keeps them from it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use grappe_proto::content::digest::FileState;
use grappe_proto::content::layout::Layout;

use super::{
    BLOCK, Incoming, Source, Stage, all_whole, carry, content, set_mode, staging_folders, things,
};

/// The small files. Those that follow each other by name have the same permissions, or are made with the same ones,
/// as their owner may write to them then.
const SMALL: [(&str, u32); 11] = [
    ("one", 0o640),
    ("two", 0o666),
    ("three", 0o444),
    ("three-more", 0o444),
    ("three-others", 0o644),
    ("two-more", 0o666),
    ("four", 0o600),
    ("below/one", 0o777),
    ("below/two", 0o400),
    ("below/three", 0o644),
    ("below/four", 0o620),
];

/// Regular files with content or without.
const FILES: u64 = SMALL.len() as u64 + 2;

/// Small files in a directory and in one below it, and things that are none.
fn stage() -> Stage {
    let stage = Stage::new();
    let tree = stage.tree();
    fs::create_dir_all(tree.join("below")).unwrap();
    for (name, mode) in SMALL {
        fs::write(tree.join(name), small(name)).unwrap();
        set_mode(&tree.join(name), mode);
    }
    fs::write(tree.join("empty"), "").unwrap();
    fs::write(tree.join("large"), content(BLOCK + 1)).unwrap();
    fs::hard_link(tree.join("one"), tree.join("below/again")).unwrap();
    stage
}

fn small(name: &str) -> Vec<u8> {
    content(300 + name.len())
}

/// The copy of what is on `stage` with all blocks carried across, before anything has its name.
fn carried(stage: &Stage) -> (Source, Incoming) {
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    (source, incoming)
}

/// Places what was carried, of which nothing fails; answers how many bytes of files that is.
#[track_caller]
fn finalize_all(source: &Source, incoming: &Incoming) -> u64 {
    let placed = incoming.finalize(&source.finish()).unwrap();
    assert_eq!((placed.files, &placed.failed[..]), (FILES, &[][..]));
    placed.bytes
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
    let (source, incoming) = carried(&stage);
    let inode = |path: PathBuf| fs::metadata(path).unwrap().ino();
    let grown = ["tree", "tree/below"].map(|path| {
        let nest = nest(&stage, number(&stage, path)).expect("it has small files");
        inode(nest)
    });
    let bytes_placed = finalize_all(&source, &incoming);
    let bytes: usize = SMALL.iter().map(|(name, _)| small(name).len()).sum();
    assert_eq!(bytes_placed, (bytes + BLOCK + 1) as u64);
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
    let there = ["tree", "tree/below"].map(|path| inode(stage.into.path().join(path)));
    assert_eq!(there, grown);
    stage.assert_no_staging();
}

#[test]
fn a_directory_that_appears_during_the_copy_is_merged_into() {
    let stage = stage();
    let (source, incoming) = carried(&stage);
    fs::create_dir(stage.copied()).unwrap();
    for name in ["one", "other"] {
        fs::write(stage.copied().join(name), "was there").unwrap();
    }
    finalize_all(&source, &incoming);
    let other = stage.copied().join("other");
    assert_eq!(fs::read_to_string(&other).unwrap(), "was there");
    fs::remove_file(other).unwrap();
    let (copied, tree) = (things(&stage.copied()), things(&stage.tree()));
    assert_eq!(
        copied.keys().collect::<Vec<_>>(),
        tree.keys().collect::<Vec<_>>()
    );
    assert_eq!(fs::read(stage.copied().join("one")).unwrap(), small("one"));
    stage.assert_no_staging();
}

#[test]
fn a_file_that_is_not_whole_does_not_come_along_with_its_directory() {
    let stage = stage();
    let (source, incoming) = carried(&stage);
    let mut states = all_whole(source.manifest());
    states[number(&stage, "tree/two") as usize] = FileState::Changed;
    let placed = incoming.finalize(&states).unwrap();
    assert_eq!(placed.not_whole.len(), 1);
    assert_eq!((placed.files, placed.failed), (FILES - 1, vec![]));
    assert!(!stage.copied().join("two").exists());
    assert_eq!(fs::read(stage.copied().join("one")).unwrap(), small("one"));
    let below = stage.copied().join("below");
    assert_eq!(fs::read(below.join("three")).unwrap(), small("below/three"));
    stage.assert_no_staging();
}

#[test]
fn nothing_gets_a_name_that_is_not_of_the_copy() {
    let stage = stage();
    let (source, incoming) = carried(&stage);
    let nest = nest(&stage, number(&stage, "tree")).unwrap();
    fs::write(nest.join("of nobody"), "x").unwrap();
    finalize_all(&source, &incoming);
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
    stage.assert_no_staging();
}

#[test]
fn a_file_that_vanished_from_its_nest_is_told_of_and_nothing_stands_for_it() {
    for stranger in [None, Some("of nobody"), Some("Two")] {
        let stage = stage();
        let (source, incoming) = carried(&stage);
        let nest = nest(&stage, number(&stage, "tree")).unwrap();
        match stranger {
            None => fs::remove_file(nest.join("two")).unwrap(),
            Some(name) => fs::rename(nest.join("two"), nest.join(name)).unwrap(),
        }
        let placed = incoming.finalize(&source.finish()).unwrap();
        let [failed] = &placed.failed[..] else {
            panic!("one failed: {placed:?}");
        };
        assert_eq!(failed.path, stage.copied().join("two"));
        assert_eq!(placed.files, FILES - 1);
        for name in ["two", "of nobody", "Two"] {
            assert!(!stage.copied().join(name).exists(), "{name}");
        }
    }
}

#[test]
fn the_same_copy_goes_on_with_what_is_in_nests_and_clears_away_the_rest() {
    let stage = stage();
    let (source, incoming) = carried(&stage);
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
    let (_, incoming) = carried(&stage);
    assert!(nest(&stage, number(&stage, "tree")).is_some());
    drop(incoming);
    stage.assert_no_staging();
}

#[test]
fn a_new_directory_in_one_that_is_there_inherits_from_it() {
    let stage = stage();
    fs::create_dir(stage.copied()).unwrap();
    set_mode(&stage.copied(), 0o2775);
    let (source, incoming) = carried(&stage);
    assert!(nest(&stage, number(&stage, "tree/below")).is_none());
    incoming.finalize(&source.finish()).unwrap();
    let below = fs::metadata(stage.copied().join("below")).unwrap();
    assert_eq!(below.mode() & 0o2000, 0o2000, "as mkdir would have it");
}

#[test]
fn what_is_new_in_a_directory_that_appears_during_the_copy_inherits_from_it_too() {
    let stage = stage();
    let (source, incoming) = carried(&stage);
    assert!(nest(&stage, number(&stage, "tree/below")).is_some());
    fs::create_dir(stage.copied()).unwrap();
    set_mode(&stage.copied(), 0o2775);
    finalize_all(&source, &incoming);
    let below = fs::metadata(stage.copied().join("below")).unwrap();
    assert_eq!(below.mode() & 0o2000, 0o2000, "as mkdir would have it");
    stage.assert_no_staging();
}

#[test]
fn the_same_copy_goes_on_with_nests_whose_directory_is_there_by_then() {
    let stage = stage();
    let (source, incoming) = carried(&stage);
    incoming.keep();
    drop(incoming);
    fs::create_dir(stage.copied()).unwrap();
    set_mode(&stage.copied(), 0o2775);
    let incoming = stage.begin(&source).unwrap();
    let layout = Layout::new(source.manifest());
    assert_eq!(incoming.earlier().count(), u64::from(layout.block_count()));
    finalize_all(&source, &incoming);
    let below = fs::metadata(stage.copied().join("below")).unwrap();
    assert_eq!(below.mode() & 0o2000, 0o2000, "it was made, not moved");
    for (name, _) in SMALL {
        assert_eq!(fs::read(stage.copied().join(name)).unwrap(), small(name));
    }
    stage.assert_no_staging();
}

#[test]
fn more_nests_than_are_kept_open_grow_at_once() {
    let stage = Stage::new();
    for directory in 0..60 {
        let path = stage.tree().join(directory.to_string());
        fs::create_dir(&path).unwrap();
        for file in 0..5 {
            let len = 20_000 + 60 * file + directory;
            fs::write(path.join(file.to_string()), content(len)).unwrap();
        }
    }
    let source = stage.source();
    let incoming = stage.begin(&source).unwrap();
    let layout = Layout::new(source.manifest());
    let next = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut buffer = Vec::new();
                loop {
                    // Neighbours go to different threads, and far apart ones follow each other.
                    let block = next.fetch_add(1, Ordering::Relaxed);
                    if block >= layout.block_count() {
                        return;
                    }
                    let block = block * 7 % layout.block_count();
                    source.read_block(&layout, block, &mut buffer);
                    incoming.hash_and_write(block, &buffer).unwrap();
                }
            });
        }
    });
    assert_ne!(layout.block_count() % 7, 0, "each block came once");
    let placed = incoming.finalize(&source.finish()).unwrap();
    assert_eq!((placed.files, placed.failed), (300, vec![]));
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
    stage.assert_no_staging();
}

#[test]
fn the_same_copy_goes_on_with_files_that_were_staged_alone_though_their_directory_is_gone_by_then()
{
    let stage = stage();
    let source = stage.source();
    fs::create_dir(stage.copied()).unwrap();
    let incoming = stage.begin(&source).unwrap();
    carry(&source, &incoming);
    assert!(nest(&stage, number(&stage, "tree")).is_none());
    incoming.keep();
    drop(incoming);
    fs::remove_dir(stage.copied()).unwrap();
    let incoming = stage.begin(&source).unwrap();
    let layout = Layout::new(source.manifest());
    assert_eq!(incoming.earlier().count(), u64::from(layout.block_count()));
    finalize_all(&source, &incoming);
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
    stage.assert_no_staging();
}
