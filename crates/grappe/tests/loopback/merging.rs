//! Copies that meet what is there already: merged into, replaced, or refused before anything flows.

use std::fs;

use crate::program::{Running, node};
use crate::stage::Stage;
use crate::tree::{assert_same, names};

#[test]
fn a_directory_that_is_there_is_merged_into() {
    let stage = Stage::new();
    stage.file("tree/replaced", b"new");
    stage.file("tree/below/added", b"added");
    stage.file("node/tree/replaced", b"old and longer");
    stage.file("node/tree/kept", b"kept");
    stage.file("node/tree/below/kept too", b"kept");
    let _receiver = stage.receiver("node");
    Running::start(&mut stage.send_to(1, &[&stage.path("tree")]))
        .end()
        .with_code(0);
    let content = |name: &str| fs::read_to_string(stage.path("node/tree").join(name)).unwrap();
    assert_eq!(content("replaced"), "new");
    assert_eq!(content("below/added"), "added");
    assert_eq!(content("kept"), "kept");
    assert_eq!(content("below/kept too"), "kept");
}

#[test]
fn a_path_arrives_under_its_last_name() {
    let stage = Stage::new();
    let file = stage.file("a/b/c", b"content");
    let other = stage.folder("d/e");
    let _receiver = stage.receiver("node");
    Running::start(&mut stage.send_to(1, &[&file, &other]))
        .end()
        .with_code(0);
    assert_eq!(names(&stage.path("node")), ["c", "e"]);
    assert_same(&file, &stage.path("node/c"));
}

#[test]
fn two_sources_with_one_name_are_a_usage_error() {
    let stage = Stage::new();
    let (first, second) = (stage.file("a/data", b"1"), stage.file("b/data", b"2"));
    let ended = Running::start(&mut stage.send(&[&first, &second]))
        .end()
        .with_code(2);
    assert!(
        ended
            .saying("would both arrive as \"data\"")
            .output
            .is_empty()
    );
}

#[test]
fn a_source_that_is_not_there_is_a_usage_error() {
    let stage = Stage::new();
    Running::start(&mut stage.send(&[&stage.path("nothing")]))
        .end()
        .with_code(2)
        .saying("nothing does not exist");
}

#[test]
fn what_is_in_the_way_is_refused_and_the_others_get_their_copy() {
    let stage = Stage::new();
    let file = stage.file("data", vec![7; 300_000]);
    stage.file("blocked/data/in the way", b"kept");
    let blocked = stage.receiver("blocked");
    let _free = stage.receiver("free");
    let ended = Running::start(&mut stage.send_to(2, &[&file]))
        .end()
        .with_code(1);
    let report = ended.report();
    assert_eq!(node(&report, "free")["state"], "complete");
    assert_eq!(node(&report, "blocked")["state"], "refused");
    let reason = node(&report, "blocked")["reason"].to_string();
    assert!(
        reason.contains("data is in the way: a file should be there, and it is a directory"),
        "{reason}"
    );
    blocked.wait_for("not taken");
    assert_same(&file, &stage.path("free/data"));
    assert_eq!(names(&stage.path("blocked/data")), ["in the way"]);
    assert_eq!(
        names(&stage.path("blocked")),
        ["data"],
        "no staging folder is left"
    );
}

#[test]
fn a_link_at_the_receiver_is_replaced_and_never_followed() {
    let stage = Stage::new();
    let file = stage.file("data", b"new");
    let outside = stage.file("outside/file", b"untouched");
    stage.folder("node");
    std::os::unix::fs::symlink(&outside, stage.path("node/data")).unwrap();
    let _receiver = stage.receiver("node");
    Running::start(&mut stage.send_to(1, &[&file]))
        .end()
        .with_code(0);
    assert_eq!(fs::read(&outside).unwrap(), b"untouched");
    assert_same(&file, &stage.path("node/data"));
}
