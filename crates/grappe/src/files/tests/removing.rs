//! What gives way to a tree, and what goes since it is not in it: all that may, or nothing at all.
//!
//! Not here: what becomes of the files that are in the tree (`syncing`).

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use grappe_proto::content::manifest::{Filter, Sync, Terms};

use super::syncing::{Others, options, sync, sync_among, terms};
use super::{Stage, set_mode, things};
use crate::files::{Filters, SinkError, SourceOptions};

/// A copy that removes, with rules as typed behind `+` or `-`.
fn filtering(rules: &[&str]) -> SourceOptions {
    let filter = |typed: &&str| Filter {
        include: typed.starts_with('+'),
        pattern: typed.as_bytes()[1..].to_vec(),
    };
    SourceOptions {
        filters: Filters::new(rules.iter().map(filter).collect()).unwrap(),
        ..options(Sync::Times)
    }
}

fn bounded(delete_max: Option<u64>) -> SourceOptions {
    SourceOptions {
        terms: Terms {
            delete_max,
            ..terms(Sync::Times)
        },
        ..SourceOptions::default()
    }
}

/// What others do before everything gets its name.
fn before_placing<'a>(act: impl FnOnce() + 'a) -> Others<'a> {
    Others {
        before_placing: Box::new(act),
        ..Others::default()
    }
}

#[test]
fn nothing_gives_way_where_some_of_it_stays() {
    let stage = Stage::new();
    for name in ["all", "data", "more", "new"] {
        fs::write(stage.tree().join(name), "now a file").unwrap();
    }
    for name in ["all/a", "data/a", "data/secret.key", "data/sub/b", "more/c"] {
        let path = stage.copied().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "stays").unwrap();
    }
    fs::write(stage.copied().join("old"), "stays").unwrap();
    let before = things(&stage.copied());
    let (placed, _) = sync(&stage, &filtering(&["-*.key"])).unwrap();
    assert_eq!(
        (placed.removed, placed.others_stay),
        (0, true),
        "{placed:?}"
    );
    assert_eq!(placed.failed.len(), 3, "{placed:?}");
    let after = things(&stage.copied());
    for name in before.keys().filter(|name| !name.is_empty()) {
        assert_eq!(after[name], before[name]);
    }
    let mut reasons = placed.failed.iter().map(|it| (&it.path, &it.reason));
    let data = stage.copied().join("data");
    let (_, reason) = reasons.find(|(path, _)| **path == data).unwrap();
    assert!(reason.contains("left out"), "{reason}");
    assert!(stage.copied().join("new").is_file());
}

#[test]
fn what_was_left_out_does_not_give_way_to_what_has_its_name_in_the_tree() {
    let stage = Stage::new();
    let place = |is_there: bool| {
        if is_there {
            fs::create_dir_all(stage.copied().join("cache")).unwrap();
            fs::write(stage.copied().join("cache/file"), "stays").unwrap();
        }
    };
    symlink("/nowhere", stage.tree().join("cache")).unwrap();
    place(true);
    let options = filtering(&["-cache/"]);
    let refused = sync(&stage, &options).unwrap_err();
    assert!(matches!(refused, SinkError::Conflict { .. }), "{refused}");
    assert!(stage.copied().join("cache/file").exists());
    // Nor where it came since.
    fs::remove_dir_all(stage.copied()).unwrap();
    fs::create_dir(stage.copied()).unwrap();
    let (placed, _) = sync_among(&stage, &options, before_placing(|| place(true))).unwrap();
    assert_eq!((placed.removed, placed.failed.len()), (0, 1), "{placed:?}");
    assert!(stage.copied().join("cache/file").exists());
}

#[test]
fn a_file_that_was_left_out_does_not_give_way_to_a_directory() {
    let stage = Stage::new();
    fs::create_dir_all(stage.tree().join("data/sub")).unwrap();
    fs::create_dir_all(stage.copied()).unwrap();
    let options = filtering(&["+data/", "-data"]);
    let there = stage.copied().join("data");
    fs::write(&there, "stays").unwrap();
    let refused = sync(&stage, &options).unwrap_err();
    assert!(matches!(refused, SinkError::Conflict { .. }), "{refused}");
    fs::remove_file(&there).unwrap();
    let come = || fs::write(&there, "stays").unwrap();
    let (placed, _) = sync_among(&stage, &options, before_placing(come)).unwrap();
    // It, and what should be in it.
    assert_eq!((placed.removed, placed.failed.len()), (0, 2), "{placed:?}");
    assert_eq!(fs::read(&there).unwrap(), b"stays");
}

#[test]
fn what_came_to_be_in_the_way_since_the_survey_does_not_go_beyond_the_bound() {
    // The directory and what is in it, and what else is not in the tree.
    for (results, others, bound, may_go) in [
        (20, 0, None, false),
        (4, 3, Some(7), false),
        (4, 3, Some(8), true),
    ] {
        let stage = Stage::new();
        fs::write(stage.tree().join("out"), "a file").unwrap();
        fs::create_dir_all(stage.copied()).unwrap();
        for number in 0..others {
            fs::write(stage.copied().join(format!("old {number}")), "x").unwrap();
        }
        let out = stage.copied().join("out");
        let work = || {
            fs::create_dir(&out).unwrap();
            for number in 0..results {
                fs::write(out.join(format!("{number}")), "result").unwrap();
            }
        };
        let (placed, _) = sync_among(&stage, &bounded(bound), before_placing(work)).unwrap();
        if may_go {
            assert_eq!((placed.removed, placed.failed), (8, vec![]));
            assert_eq!(things(&stage.copied()), things(&stage.tree()));
            continue;
        }
        assert_eq!(placed.removed, 0, "{placed:?}");
        let reason = &placed.failed[0].reason;
        let by_now = format!("{} entries by now", results + 1 + others);
        assert!(reason.contains(&by_now), "{placed:?}");
        assert!(out.join("3").exists());
    }
}

#[test]
fn a_directory_that_stays_for_what_was_left_out_keeps_its_permissions() {
    let stage = Stage::new();
    fs::write(stage.tree().join("file"), "x").unwrap();
    let old = stage.copied().join("old");
    fs::create_dir_all(old.join("sub")).unwrap();
    for name in ["gone", "sub/gone", "sub/secret.key"] {
        fs::write(old.join(name), "x").unwrap();
    }
    for (name, mode) in [("sub", 0o500), ("", 0o550)] {
        set_mode(&old.join(name), mode);
    }
    let (placed, _) = sync(&stage, &filtering(&["-*.key"])).unwrap();
    assert_eq!((placed.removed, placed.failed), (2, vec![]));
    let mode = |name: &str| fs::metadata(old.join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode(""), mode("sub")), (0o550, 0o500));
}
