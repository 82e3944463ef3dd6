//! Directories that cannot take a copy: named before anything flows, or as soon as it is known.

use std::fs;

use crate::mounts::Mount;
use crate::program::{Running, node};
use crate::stage::{Stage, listening};
use crate::tree::{assert_same, names, noise};

#[test]
fn a_directory_that_is_missing_is_named_with_what_to_do() {
    let stage = Stage::new();
    let mut command = stage.receive_into(&stage.path("missing"), "node", &stage.path("key"));
    Running::start(&mut command)
        .end()
        .with_code(2)
        .saying("missing does not exist; create it first");
}

#[test]
fn a_file_is_no_directory_to_receive_into() {
    let stage = Stage::new();
    let file = stage.file("file", b"content");
    let mut command = stage.receive_into(&file, "node", &stage.path("key"));
    Running::start(&mut command)
        .end()
        .with_code(2)
        .saying("is not a directory; name the directory");
}

#[test]
fn a_read_only_directory_is_refused() {
    let stage = Stage::new();
    let Some(_mount) = Mount::new(&stage.folder("node"), "ro") else {
        return;
    };
    Running::start(&mut stage.receive("node"))
        .end()
        .with_code(2)
        .saying("read-only");
}

#[test]
fn a_directory_without_room_is_refused_before_content_flows() {
    let stage = Stage::new();
    let Some(_mount) = Mount::new(&stage.folder("small"), "size=1m") else {
        return;
    };
    let file = stage.file("data", noise(5, 3_000_000));
    let (small, _large) = (stage.receiver("small"), stage.receiver("large"));
    let report = Running::start(&mut stage.send_to(2, &[&file]))
        .end()
        .with_code(1)
        .report();
    assert_eq!(node(&report, "large")["state"], "complete");
    assert_eq!(node(&report, "small")["state"], "refused");
    assert!(
        node(&report, "small")["reason"]
            .to_string()
            .contains("not enough space"),
        "{report}"
    );
    small.wait_for("not taken: not enough space");
    assert_same(&file, &stage.path("large/data"));
    assert!(
        names(&stage.path("small")).is_empty(),
        "nothing is left there"
    );
}

#[test]
fn a_disk_that_fills_up_in_the_middle_fails_that_node_alone() {
    let stage = Stage::new();
    let Some(_mount) = Mount::new(&stage.folder("small"), "size=6m") else {
        return;
    };
    let file = stage.file("data", noise(6, 4_000_000));
    let (small, _large) = (stage.receiver("small"), stage.receiver("large"));
    let sender = Running::start(stage.send_to(2, &[&file]).args(["--rate", "1MB/s"]));
    sender.wait_for(" % at ");
    let _full = fs::write(stage.path("small/other"), vec![1; 6 << 20]);
    let report = sender.end().with_code(1).report();
    assert_eq!(node(&report, "large")["state"], "complete");
    assert_eq!(node(&report, "small")["state"], "failed");
    assert!(
        node(&report, "small")["reason"]
            .to_string()
            .contains("not enough space"),
        "{report}"
    );
    small.wait_for("failed: not enough space");
    assert_eq!(
        names(&stage.path("small")),
        ["other"],
        "no half file and no staging folder"
    );
    assert_same(&file, &stage.path("large/data"));
}

#[test]
fn a_directory_that_was_full_takes_the_next_copy_that_fits() {
    let stage = Stage::new();
    let Some(_mount) = Mount::new(&stage.folder("small"), "size=1m") else {
        return;
    };
    let _receiver = listening(&mut stage.receive("small"));
    let (large, fitting) = (
        stage.file("large", vec![1; 2_000_000]),
        stage.file("fitting", vec![1; 500_000]),
    );
    Running::start(&mut stage.send_to(1, &[&large]))
        .end()
        .with_code(1);
    Running::start(&mut stage.send_to(1, &[&fitting]))
        .end()
        .with_code(0);
    assert_same(&fitting, &stage.path("small/fitting"));
}

#[test]
fn a_directory_that_was_made_anew_or_mounted_over_is_found_by_its_name() {
    let stage = Stage::new();
    let file = stage.file("data", noise(6, 300_000));
    let receiver = stage.receiver("node");
    let folder = stage.path("node");
    let copy = || {
        // Who fails before it has joined is waited for.
        let mut sending = stage.send(&[&file]);
        sending.args(["--json", "--expect", "1", "--wait", "3s"]);
        let report = Running::start(&mut sending).end().report();
        let state = node(&report, "node").clone();
        (state["state"].clone(), state["reason"].to_string())
    };
    assert_eq!(copy().0, "complete");
    fs::remove_dir_all(&folder).unwrap();
    let (state, reason) = copy();
    assert_eq!(state, "failed");
    assert!(reason.contains("node does not exist"), "{reason}");
    fs::create_dir(&folder).unwrap();
    assert_eq!(copy().0, "complete");
    assert_same(&file, &folder.join("data"));
    if let Some(_mount) = Mount::new(&folder, "size=10m") {
        assert_eq!(copy().0, "complete");
        assert_same(&file, &folder.join("data"));
    }
    drop(receiver);
}
