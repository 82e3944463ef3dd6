//! What gives way to a tree, and what goes since it is not in it: all that may, or nothing at all.
//!
//! Not here: what becomes of the files that are in the tree (`syncing`).

use std::fs;

use grappe_proto::content::manifest::{Filter, Sync};

use super::syncing::{options, sync};
use super::{Stage, things};
use crate::files::{Filters, SourceOptions};

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
