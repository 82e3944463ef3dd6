//! Copies that were broken off and gone on with.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::Sync;
use grappe_proto::units::Digest;

use super::syncing::{options, select};
use super::{
    BLOCK, COPY, Stage, begin, carry, content, set_mode, set_mtime, staging_folders, things,
};
use crate::files::{Incoming, Sink, Source, WalkWatch};

/// Three blocks of one file, and two small files in a fourth.
fn stage() -> Stage {
    let stage = Stage::new();
    fs::write(stage.tree().join("large"), content(3 * BLOCK)).unwrap();
    fs::write(stage.tree().join("one"), content(100)).unwrap();
    fs::write(stage.tree().join("two"), content(200)).unwrap();
    stage
}

/// Carries only `blocks`, then gives up but keeps what is there.
fn carry_some(stage: &Stage, source: &Source, blocks: &[u32]) {
    let incoming = stage.begin(source).unwrap();
    let layout = Layout::new(source.manifest());
    let mut buffer = Vec::new();
    for block in blocks {
        source.read_block(&layout, *block, &mut buffer);
        incoming.hash_and_write(*block, &buffer).unwrap();
    }
    incoming.keep();
}

fn earlier(incoming: &Incoming) -> BTreeMap<u32, Vec<(u32, Digest)>> {
    let layout = incoming.layout();
    let mut hashes = incoming.hashes().reader();
    let blocks = incoming.earlier().runs();
    let blocks = blocks.flat_map(|run| run.start.0..run.end.0);
    let of_block = |block| {
        let numbers = layout.pieces(block).map(|piece| piece.number);
        let hashes = numbers.map(|number| (number, hashes.get(number)));
        (block, hashes.collect())
    };
    blocks.map(of_block).collect()
}

#[test]
fn the_same_copy_finds_what_is_there_and_ends_as_if_nothing_had_happened() {
    let stage = stage();
    let source = stage.source();
    let layout = Layout::new(source.manifest());
    carry_some(&stage, &source, &[0, 2, 3]);
    let incoming = stage.begin(&source).unwrap();
    let found = earlier(&incoming);
    assert!(found.keys().eq(&[0, 2, 3]));
    let mut buffer = Vec::new();
    for (block, digests) in &found {
        let read = source.read_block(&layout, *block, &mut buffer);
        assert_eq!(read.digests, *digests);
    }
    source.read_block(&layout, 1, &mut buffer);
    incoming.hash_and_write(1, &buffer).unwrap();
    incoming.finalize(&source.finish()).unwrap();
    assert_eq!(things(&stage.tree()), things(&stage.copied()));
    stage.assert_no_staging();
}

#[test]
fn what_is_not_there_any_more_counts_as_missing() {
    let stage = stage();
    let source = stage.source();
    carry_some(&stage, &source, &[0, 1, 3]);
    let folder = stage
        .into
        .path()
        .join(&staging_folders(stage.into.path())[0]);
    // Entry 0 is the folder `tree`, entry 1 the large file.
    fs::remove_file(folder.join("1")).unwrap();
    fs::write(folder.join("77"), "of nobody").unwrap();
    let incoming = stage.begin(&source).unwrap();
    assert!(earlier(&incoming).keys().eq(&[3]));
    assert!(!folder.join("77").exists());
    carry(&source, &incoming);
    incoming.finalize(&source.finish()).unwrap();
    assert_eq!(things(&stage.tree()), things(&stage.copied()));
}

#[test]
fn after_a_start_of_the_machine_only_what_hashes_right_is_believed() {
    let stage = stage();
    let source = stage.source();
    carry_some(&stage, &source, &[0, 1, 3]);
    let folder = stage
        .into
        .path()
        .join(&staging_folders(stage.into.path())[0]);
    let journal = folder.join("journal");
    let mut bytes = fs::read(&journal).unwrap();
    // In the identifier of the machine's start, behind 17 bytes of magic and 32 of hash.
    bytes[50] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let large = folder.join("1");
    let mut bytes = fs::read(&large).unwrap();
    bytes[BLOCK + 5] ^= 1;
    fs::write(&large, bytes).unwrap();
    let incoming = stage.begin(&source).unwrap();
    assert!(earlier(&incoming).keys().eq(&[0, 3]));
}

#[test]
fn another_copy_does_not_find_it() {
    let stage = stage();
    carry_some(&stage, &stage.source(), &[0]);
    fs::write(stage.tree().join("one"), content(101)).unwrap();
    // The same name of the folder, which only a malicious manifest could have.
    let source = stage.source();
    let folder = stage
        .into
        .path()
        .join(&staging_folders(stage.into.path())[0]);
    let mut bytes = fs::read(folder.join("journal")).unwrap();
    bytes[40] ^= 1;
    fs::write(folder.join("journal"), bytes).unwrap();
    let incoming = begin(stage.into.path(), source.manifest()).unwrap();
    assert!(earlier(&incoming).is_empty());
    assert!(!folder.join("1").exists(), "and it makes way");
}

#[test]
fn what_is_written_again_from_an_older_version_counts_as_missing_until_it_is_whole() {
    let stage = Stage::new();
    let (sent, there) = (stage.tree().join("holes"), stage.copied().join("holes"));
    fs::create_dir_all(stage.copied()).unwrap();
    let file = fs::File::create(&sent).unwrap();
    file.set_len(100_000).unwrap();
    file.write_all_at(&content(4096), 0).unwrap();
    // The same where there is data, and something else where there is a hole: it is written anew.
    let mut older = vec![9; 100_000];
    older[..4096].copy_from_slice(&content(4096));
    fs::write(&there, older).unwrap();
    set_mtime(&there, 1);
    let options = options(Sync::Times);
    let watch = WalkWatch::default();
    let source = Source::open_watched(&[stage.tree()], &options, &watch).unwrap();
    let sink = Sink::open(stage.into.path()).unwrap();
    let selection = select(&source, &sink.survey(source.manifest()).unwrap().survey);
    let layout = Arc::new(Layout::new(source.manifest()));
    let begin = || {
        let here = sink.survey(source.manifest()).unwrap();
        let manifest = Arc::clone(source.manifest());
        sink.begin_beside(COPY, manifest, Arc::clone(&layout), here)
            .unwrap()
    };
    let incoming = begin();
    carry(&source, &incoming);
    incoming.keep();
    drop(incoming);
    let mut incoming = begin();
    assert_eq!(earlier(&incoming).len(), 1);
    incoming.compare(&selection).unwrap();
    assert_eq!(earlier(&incoming).len(), 1, "it is there, by either way");
    // Killed here, it leaves a file of that length of which nobody knows how much was written.
    incoming.keep();
    drop(incoming);
    assert_eq!(earlier(&begin()).len(), 0);
}

/// A tree of two small files, which come in one block, and what is there of `kept` with another name.
fn beside_a_kept_file() -> (Stage, Source) {
    let stage = Stage::new();
    for name in ["kept", "lacking"] {
        fs::write(stage.tree().join(name), content(700)).unwrap();
    }
    fs::create_dir_all(stage.copied()).unwrap();
    fs::write(stage.copied().join("kept"), content(700)).unwrap();
    set_mtime(&stage.copied().join("kept"), 5);
    let own = stage.into.path().join("own");
    fs::hard_link(stage.copied().join("kept"), own).unwrap();
    let watch = WalkWatch::default();
    let options = options(Sync::Checksum);
    let source = Source::open_watched(&[stage.tree()], &options, &watch).unwrap();
    (stage, source)
}

/// Begins a copy that keeps what is there, and compares.
fn begin_comparing(stage: &Stage, source: &Source) -> Incoming {
    let sink = Sink::open(stage.into.path()).unwrap();
    let here = sink.survey(source.manifest()).unwrap();
    let selection = select(source, &here.survey);
    let layout = Arc::new(Layout::new(source.manifest()));
    let manifest = Arc::clone(source.manifest());
    let mut incoming = sink.begin_beside(COPY, manifest, layout, here).unwrap();
    incoming.compare(&selection).unwrap();
    incoming
}

#[test]
fn a_block_with_a_piece_that_was_not_written_is_not_believed_later() {
    let (stage, source) = beside_a_kept_file();
    let incoming = begin_comparing(&stage, &source);
    carry(&source, &incoming);
    let folder = stage
        .into
        .path()
        .join(&staging_folders(stage.into.path())[0]);
    // Entry 1 is the kept file: something of its length has the name that its content would have.
    fs::write(folder.join("1"), [0; 700]).unwrap();
    incoming.keep();
    drop(incoming);
    fs::write(stage.copied().join("kept"), "another now").unwrap();
    let incoming = begin_comparing(&stage, &source);
    assert_eq!(earlier(&incoming).len(), 0);
    carry(&source, &incoming);
    let placed = incoming.finalize(&source.finish()).unwrap();
    assert_eq!(placed.failed, []);
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
}

#[test]
fn what_an_earlier_attempt_wrote_is_not_in_the_way_of_a_copy_of_what_is_kept_by_now() {
    let (stage, source) = beside_a_kept_file();
    fs::write(stage.copied().join("kept"), "another").unwrap();
    let incoming = begin_comparing(&stage, &source);
    carry(&source, &incoming);
    incoming.keep();
    drop(incoming);
    fs::write(stage.copied().join("kept"), content(700)).unwrap();
    let incoming = begin_comparing(&stage, &source);
    assert_eq!(earlier(&incoming).len(), 1);
    let placed = incoming.finalize(&source.finish()).unwrap();
    assert_eq!(placed.failed, []);
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
    stage.assert_no_staging();
}

/// Runs `act` as a user who may not write to files that are read-only.
pub(super) fn as_nobody(stage: &Stage, act: impl FnOnce() + Send) {
    if !rustix::process::geteuid().is_root() {
        return act();
    }
    let nobody = rustix::fs::Uid::from_raw(65534);
    for top in [&stage.from, &stage.into] {
        for path in [top.path(), &top.path().join("tree")] {
            let _not_there = std::os::unix::fs::chown(path, Some(65534), None);
        }
    }
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Of this thread alone.
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            act();
        });
    });
}

#[test]
fn a_large_file_that_was_made_read_only_just_before_the_end_gets_its_name_later() {
    for comes_again in [true, false] {
        give_name_to_what_is_read_only(comes_again);
    }
}

fn give_name_to_what_is_read_only(comes_again: bool) {
    let stage = Stage::new();
    fs::write(stage.tree().join("large"), content(2 * BLOCK + 9)).unwrap();
    set_mode(&stage.tree().join("large"), 0o444);
    as_nobody(&stage, || {
        let source = stage.source();
        carry_some(&stage, &source, &[0, 1, 2]);
        let folder = &staging_folders(stage.into.path())[0];
        set_mode(&stage.into.path().join(folder).join("1"), 0o444);
        let incoming = stage.begin(&source).unwrap();
        assert_eq!(earlier(&incoming).len(), 3);
        if comes_again {
            // One block does, as where another node asks for it.
            let mut buffer = Vec::new();
            source.read_block(&Layout::new(source.manifest()), 0, &mut buffer);
            incoming.hash_and_write(0, &buffer).unwrap();
        }
        let placed = incoming.finalize(&source.finish()).unwrap();
        assert_eq!(placed.failed, []);
        let large = fs::metadata(stage.copied().join("large")).unwrap();
        assert_eq!(large.mode() & 0o777, 0o444);
    });
    assert_eq!(
        fs::read(stage.copied().join("large")).unwrap(),
        content(2 * BLOCK + 9)
    );
}
