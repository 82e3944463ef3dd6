//! Copies that keep what is there, in one process: any tree becomes any other, and whoever swaps
//! directories for links meanwhile leads nothing outside.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::{Filter, Sync, Terms};
use grappe_proto::content::survey::{EntrySet, Selection, Survey};
use proptest::collection::btree_map;
use proptest::prelude::*;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::round_trip::{Node, build, name, node};
use super::{BLOCK, COPY, Stage, content, set_mtime, things};
use crate::files::{Filters, Placed, Sink, SinkError, Source, SourceOptions, WalkWatch};

fn terms(sync: Sync) -> Terms {
    Terms {
        sync,
        delete: true,
        delete_max: Some(1000),
        ..Terms::default()
    }
}

/// What is sent to a receiver that told `survey`, as a sender would work it out.
fn select(source: &Source, survey: &Survey) -> Selection {
    let among = |set: &EntrySet| Layout::of(source.manifest(), |entry| set.contains(entry));
    let layout = among(&survey.compare);
    let mut digests = vec![0; 32 * layout.piece_count() as usize];
    let mut buffer = Vec::new();
    for block in 0..layout.block_count() {
        for (number, digest) in source.read_block(&layout, block, &mut buffer).digests {
            digests[32 * number as usize..][..32].copy_from_slice(&digest.0);
        }
    }
    Selection {
        entries: survey.lacking.clone(),
        hashed: survey.compare.clone(),
        digests,
    }
}

/// Makes what is there into the tree. Answers how many blocks travelled as well.
fn sync(stage: &Stage, options: &SourceOptions) -> Result<(Placed, u32), SinkError> {
    sync_while(stage, options, || ())
}

/// The same while others do something, after what is there was looked at.
fn sync_while(
    stage: &Stage,
    options: &SourceOptions,
    others: impl FnOnce(),
) -> Result<(Placed, u32), SinkError> {
    let watch = WalkWatch::default();
    let source = Source::open_watched(&[stage.tree()], options, &watch).unwrap();
    let sink = Sink::open(stage.into.path())?;
    let here = sink.survey(source.manifest())?;
    others();
    let selection = select(&source, &here.survey);
    let layout = Layout::of(source.manifest(), |entry| selection.entries.contains(entry));
    let layout = Arc::new(layout);
    let manifest = Arc::clone(source.manifest());
    let mut incoming = sink.begin_beside(COPY, manifest, Arc::clone(&layout), here)?;
    incoming.compare(&selection)?;
    let there: Vec<u32> = incoming.earlier().map(|(block, _)| block).collect();
    let (mut buffer, mut travelled) = (Vec::new(), 0);
    for block in (0..layout.block_count()).filter(|block| !there.contains(block)) {
        let read = source.read_block(&layout, block, &mut buffer);
        assert_eq!(incoming.hash_and_write(block, &buffer)?, read.digests);
        travelled += 1;
    }
    Ok((incoming.finalize(&source.finish())?, travelled))
}

fn options(sync: Sync) -> SourceOptions {
    SourceOptions {
        terms: terms(sync),
        ..SourceOptions::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_tree_becomes_any_other(
        old in btree_map(name(), node(), 0..8),
        new in btree_map(name(), node(), 0..8),
        shared in btree_map(name(), node(), 0..4),
        checksum: bool,
    ) {
        let stage = Stage::new();
        let with = |mut nodes: BTreeMap<Vec<u8>, Node>| {
            nodes.extend(shared.clone());
            Node::Directory { nodes }
        };
        build(&stage.copied(), &with(old));
        build(&stage.tree(), &with(new));
        let how = if checksum { Sync::Checksum } else { Sync::Times };
        let (placed, _) = sync(&stage, &options(how)).unwrap();
        prop_assert_eq!(placed.failed, []);
        // Random files of one length and time have one content here, so that both ways find all.
        prop_assert_eq!(things(&stage.copied()), things(&stage.tree()));
        stage.assert_no_staging();
        let (placed, travelled) = sync(&stage, &options(how)).unwrap();
        prop_assert_eq!((placed.failed, placed.removed, travelled), (vec![], 0, 0));
        prop_assert_eq!(things(&stage.copied()), things(&stage.tree()));
    }
}

#[test]
fn only_blocks_that_differ_are_asked_for() {
    let stage = Stage::new();
    let mut bytes = content(20 * BLOCK + 99);
    fs::write(stage.tree().join("large"), &bytes).unwrap();
    sync(&stage, &options(Sync::Times)).unwrap();
    bytes[7 * BLOCK + 5] ^= 1;
    bytes[13 * BLOCK..13 * BLOCK + 9].fill(3);
    bytes.truncate(18 * BLOCK + 50);
    fs::write(stage.tree().join("large"), &bytes).unwrap();
    set_mtime(&stage.tree().join("large"), 77);
    let (_, travelled) = sync(&stage, &options(Sync::Times)).unwrap();
    // The two changed blocks; the rest is the beginning of a block that is there.
    assert_eq!(travelled, 2);
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
}

#[test]
fn names_that_differ_in_case_alone_are_two_files() {
    let stage = Stage::new();
    for name in ["readme", "README", "ReadMe"] {
        fs::write(stage.tree().join(name), name).unwrap();
    }
    sync(&stage, &options(Sync::Times)).unwrap();
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
    assert_eq!(things(&stage.copied()).len(), 4);
}

#[test]
fn what_was_left_out_on_purpose_is_not_removed() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), "x").unwrap();
    fs::create_dir_all(stage.copied().join("cache/deep")).unwrap();
    fs::write(stage.copied().join("cache/deep/kept"), "x").unwrap();
    fs::write(stage.copied().join("gone"), "x").unwrap();
    let rule = Filter {
        include: false,
        pattern: b"cache/".to_vec(),
    };
    let options = SourceOptions {
        filters: Filters::new(vec![rule]).unwrap(),
        ..options(Sync::Times)
    };
    assert_eq!(sync(&stage, &options).unwrap().0.removed, 1);
    assert!(stage.copied().join("cache/deep/kept").exists());
    assert!(!stage.copied().join("gone").exists());
}

#[test]
fn a_directory_that_holds_what_was_left_out_stays_with_that_alone() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), "x").unwrap();
    let staging = format!("old/{}", ".grappe-".to_owned() + &"0".repeat(32));
    for gone in ["old/sub/gone", "old/other/gone"] {
        let gone = stage.copied().join(gone);
        fs::create_dir_all(gone.parent().unwrap()).unwrap();
        fs::write(gone, "x").unwrap();
    }
    fs::write(stage.copied().join("old/sub/secret.key"), "x").unwrap();
    fs::create_dir(stage.copied().join(&staging)).unwrap();
    let rule = Filter {
        include: false,
        pattern: b"*.key".to_vec(),
    };
    let options = SourceOptions {
        filters: Filters::new(vec![rule]).unwrap(),
        terms: Terms {
            // Two files and the directory of one of them: neither more is removed nor more is counted.
            delete_max: Some(3),
            ..terms(Sync::Times)
        },
        ..SourceOptions::default()
    };
    let (placed, _) = sync(&stage, &options).unwrap();
    assert_eq!((placed.removed, placed.failed), (3, vec![]));
    assert!(stage.copied().join("old/sub/secret.key").exists());
    assert!(stage.copied().join(&staging).exists());
    assert!(!stage.copied().join("old/sub/gone").exists());
    assert!(!stage.copied().join("old/other").exists());
}

#[test]
fn what_is_in_a_directory_that_gives_way_to_a_file_counts_as_removed() {
    let stage = Stage::new();
    fs::write(stage.tree().join("data"), "a file now").unwrap();
    fs::create_dir_all(stage.copied().join("data")).unwrap();
    for number in 0..5 {
        fs::write(stage.copied().join(format!("data/{number}")), "x").unwrap();
    }
    let with = |delete_max| SourceOptions {
        terms: Terms {
            delete_max: Some(delete_max),
            ..terms(Sync::Times)
        },
        ..SourceOptions::default()
    };
    let refused = sync(&stage, &with(5)).unwrap_err();
    assert!(
        matches!(refused, SinkError::TooManyRemovals { removed: 6, .. }),
        "{refused}"
    );
    assert!(stage.copied().join("data/4").exists());
    let (placed, _) = sync(&stage, &with(6)).unwrap();
    assert_eq!((placed.removed, placed.failed), (6, vec![]));
    assert_eq!(things(&stage.copied()), things(&stage.tree()));
}

#[test]
fn what_came_since_the_survey_is_not_removed_beyond_the_bound() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), "x").unwrap();
    fs::create_dir_all(stage.copied()).unwrap();
    let results = || {
        for number in 0..20 {
            fs::write(stage.copied().join(format!("{number}")), "result").unwrap();
        }
    };
    let options = SourceOptions {
        terms: Terms {
            delete_max: None,
            ..terms(Sync::Times)
        },
        ..SourceOptions::default()
    };
    let (placed, _) = sync_while(&stage, &options, results).unwrap();
    assert_eq!((placed.removed, placed.failed.len()), (0, 1));
    assert!(
        placed.failed[0].reason.contains("20 entries by now"),
        "{placed:?}"
    );
    assert!(stage.copied().join("19").exists());
}

#[test]
fn a_checksum_is_asked_of_a_file_that_is_all_hole() {
    let stage = Stage::new();
    let (sent, there) = (stage.tree().join("hole"), stage.copied().join("hole"));
    fs::create_dir_all(stage.copied()).unwrap();
    fs::File::create(&sent).unwrap().set_len(9000).unwrap();
    fs::write(&there, vec![1; 9000]).unwrap();
    for path in [&sent, &there] {
        set_mtime(path, 77);
    }
    sync(&stage, &options(Sync::Checksum)).unwrap();
    assert_eq!(fs::read(there).unwrap(), vec![0; 9000]);
}

/// Sets its flag when dropped, so that a failed assertion stops the other thread too.
struct Finally<'a>(&'a AtomicBool);

impl Drop for Finally<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_directory_swapped_for_a_link_while_files_arrive_leads_nothing_outside() {
    let stage = Stage::new();
    let outside = tempfile::tempdir().unwrap();
    let fill = |top: &Path, text: &str| {
        fs::create_dir_all(top.join("inner")).unwrap();
        for file in 0..20 {
            fs::write(top.join(format!("{file}")), text).unwrap();
            fs::write(top.join(format!("inner/{file}")), text).unwrap();
        }
    };
    fill(outside.path(), "outside");
    fs::write(outside.path().join("only here"), "outside").unwrap();
    let untouched = things(outside.path());
    fill(&stage.copied().join("slot"), "old");
    let (slot, link) = (stage.copied().join("slot"), stage.into.path().join("link"));
    symlink(outside.path(), &link).unwrap();
    let done = AtomicBool::new(false);
    let (mut whole, mut disturbed) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // What stands there is replaced now and then: then there is nothing to exchange.
                let _gone = renameat_with(CWD, &slot, CWD, &link, RenameFlags::EXCHANGE);
                if !link.is_symlink() && !slot.is_symlink() {
                    let _there = symlink(outside.path(), &link);
                }
                std::thread::yield_now();
            }
        });
        let _finally = Finally(&done);
        for round in 0..60 {
            fill(&stage.tree().join("slot"), &format!("round {round}"));
            let plain = SourceOptions::default();
            let how = if round % 2 == 0 {
                &plain
            } else {
                &options(Sync::Times)
            };
            match sync(&stage, how) {
                Ok((placed, _)) if placed.failed.is_empty() => whole += 1,
                _ => disturbed += 1,
            }
            assert_eq!(things(outside.path()), untouched, "round {round}");
        }
    });
    println!("{whole} copies were whole, {disturbed} disturbed");
}
