//! A node's own part: what of it is placed beside what others send, and what of it is sent.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use grappe_os::file::Directory;
use grappe_proto::content::manifest::{Kind, Sync};
use grappe_proto::gather::plan::EntrySet;
use grappe_proto::units::BlockIndex;

use super::resuming::as_nobody;
use super::space::SmallDisk;
use super::{COPY, Stage, begin, carry, set_mode};
use crate::files::place::parent::where_writable;
use crate::files::{OwnPart, Sink, Source, WalkWatch};

/// Places the tree as an own part below the directory copied into.
fn place(stage: &Stage) -> u64 {
    let source = Source::open_contents(&stage.tree(), &WalkWatch::default()).unwrap();
    let sink = Sink::open(stage.into.path()).unwrap();
    let mut part = OwnPart::begin(&sink, &source, COPY).unwrap();
    part.link(&EntrySet::new()).unwrap();
    let placed = part.copy(&WalkWatch::default()).unwrap();
    assert_eq!(placed.changed, Vec::<PathBuf>::new());
    placed.bytes
}

#[test]
fn on_another_file_system_holes_stay_holes_and_what_changes_is_left_out() {
    let stage = Stage::new();
    let Some(_disk) = SmallDisk::new(stage.into.path(), "size=8m") else {
        return;
    };
    let tree = stage.tree();
    let mut sparse = File::create(tree.join("sparse")).unwrap();
    sparse.set_len(1 << 30).unwrap();
    sparse.write_all(b"beginning").unwrap();
    fs::write(tree.join("grows"), "as listed").unwrap();

    let source = Source::open_contents(&stage.tree(), &WalkWatch::default()).unwrap();
    let sink = Sink::open(stage.into.path()).unwrap();
    let mut part = OwnPart::begin(&sink, &source, COPY).unwrap();
    part.link(&EntrySet::new()).unwrap();
    fs::write(tree.join("grows"), "more than was listed").unwrap();
    let placed = part.copy(&WalkWatch::default()).unwrap();
    assert_eq!(placed.bytes, 1 << 30);
    assert_eq!(placed.changed, [stage.into.path().join("grows")]);
    assert!(!stage.into.path().join("grows").exists());
    let copy = fs::metadata(stage.into.path().join("sparse")).unwrap();
    assert_eq!(copy.len(), 1 << 30);
    assert!(copy.blocks() < 100, "{} blocks", copy.blocks());
}

#[test]
fn a_part_with_several_names_of_one_file_is_placed_whole_again_and_again() {
    let stage = Stage::new();
    let tree = stage.tree();
    fs::write(tree.join("a"), "content").unwrap();
    fs::hard_link(tree.join("a"), tree.join("b")).unwrap();
    fs::create_dir(tree.join("d")).unwrap();
    fs::hard_link(tree.join("a"), tree.join("d/c")).unwrap();
    for _ in 0..2 {
        assert_eq!(place(&stage), 21, "each name counts");
        for name in ["a", "b", "d/c"] {
            let path = stage.into.path().join(name);
            assert_eq!(fs::read(path).unwrap(), b"content", "{name}");
        }
        stage.assert_no_staging();
    }
}

#[test]
fn what_is_sent_of_a_part_leads_each_further_name_to_its_file() {
    let stage = Stage::new();
    let tree = stage.tree();
    fs::write(tree.join("1"), "left out").unwrap();
    fs::hard_link(tree.join("1"), tree.join("2")).unwrap();
    fs::write(tree.join("3"), "sent").unwrap();
    fs::hard_link(tree.join("3"), tree.join("4")).unwrap();
    let whole = stage.source();
    let names = ["tree", "tree/2", "tree/3", "tree/4"];
    let mut entries = EntrySet::new();
    for (number, entry) in (0..).zip(&whole.manifest().entries) {
        if names.contains(&std::str::from_utf8(&entry.path).unwrap()) {
            entries.insert(BlockIndex(number));
        }
    }
    let part = whole.select(&entries, Sync::None);
    part.manifest().validate().unwrap();
    let links = part
        .manifest()
        .entries
        .iter()
        .filter_map(|it| match it.kind {
            Kind::HardLink { to } => Some((&*it.path, to as usize)),
            _ => None,
        });
    let first = |to: usize| &*part.manifest().entries[to].path;
    let links: Vec<_> = links.map(|(path, to)| (path, first(to))).collect();
    assert_eq!(links, [(&b"tree/4"[..], &b"tree/3"[..])]);

    let incoming = begin(stage.into.path(), part.manifest()).unwrap();
    carry(&part, &incoming);
    incoming.finalize(&part.finish()).unwrap();
    let found = |name: &str| fs::metadata(stage.copied().join(name));
    assert_eq!(found("3").unwrap().ino(), found("4").unwrap().ino());
    assert_eq!(fs::read(stage.copied().join("4")).unwrap(), b"sent");
    assert!(found("1").is_err() && found("2").is_err());
}

#[test]
fn a_part_comes_again_into_directories_that_are_read_only() {
    let stage = Stage::new();
    let (tree, into) = (stage.tree(), stage.into.path().to_path_buf());
    let directory = tree.join("d");
    as_nobody(&stage, || {
        fs::create_dir(&directory).unwrap();
        for name in ["a", "b"] {
            set_mode(&directory, 0o755);
            fs::write(directory.join(name), name).unwrap();
            set_mode(&directory, 0o555);
            place(&stage);
            assert_eq!(
                fs::read(into.join("d").join(name)).unwrap(),
                name.as_bytes()
            );
            let mode = fs::metadata(into.join("d")).unwrap().mode();
            assert_eq!(mode & 0o777, 0o555);
        }
        for directory in [&directory, &into.join("d")] {
            set_mode(directory, 0o755);
        }
    });
}

#[test]
fn a_directory_that_another_copy_makes_read_only_meanwhile_takes_what_comes() {
    let stage = Stage::new();
    let into = stage.into.path();
    as_nobody(&stage, || {
        let directory = Directory::open(into).unwrap();
        set_mode(into, 0o555);
        let refused = directory.create_directory(b"d", 0o700).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied);
        where_writable(&directory, || Ok(directory.create_directory(b"d", 0o700)?)).unwrap();
        assert!(into.join("d").is_dir());
    });
}

#[test]
fn nothing_of_a_part_is_read_or_copied_any_more_once_nobody_wants_it() {
    let stage = Stage::new();
    let Some(_disk) = SmallDisk::new(stage.into.path(), "size=8m") else {
        return;
    };
    fs::write(stage.tree().join("file"), "content").unwrap();
    let watch = WalkWatch::default();
    let source = Source::open_contents(&stage.tree(), &watch).unwrap();
    let mut entries = source.manifest().entries.iter();
    let file = entries.position(|entry| entry.path == b"file").unwrap() as u32;
    assert!(source.hash_file(file, &watch).is_some());
    let sink = Sink::open(stage.into.path()).unwrap();
    let mut part = OwnPart::begin(&sink, &source, COPY).unwrap();
    part.link(&EntrySet::new()).unwrap();

    watch.stop();
    assert_eq!(source.hash_file(file, &watch), None);
    assert!(part.copy(&watch).is_err());
    assert!(!stage.into.path().join("file").exists());
    stage.assert_no_staging();
}
