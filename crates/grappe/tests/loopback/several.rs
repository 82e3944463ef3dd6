//! More than one of anything at once: senders, receivers in one directory, copies in a row.

use serde_json::Value;

use crate::program::{Running, node};
use crate::stage::{Stage, listening};
use crate::tree::{assert_same, names, noise};

#[test]
fn two_senders_at_once_reach_one_receiver() {
    let stage = Stage::new();
    let files = [
        stage.file("first", noise(1, 3_000_000)),
        stage.file("second", noise(2, 3_000_000)),
    ];
    let _receiver = stage.receiver("node");
    let senders = files
        .each_ref()
        .map(|file| Running::start(stage.send_to(1, &[file]).args(["--rate", "2MB/s"])));
    for sender in senders {
        sender.end().with_code(0);
    }
    for file in &files {
        assert_same(file, &stage.path("node").join(file.file_name().unwrap()));
    }
}

/// Copies to two receivers of one directory, where only the one file must be in the end; answers the report.
fn copy_to_two_in_one_directory(straggler: &str, code: i32) -> Value {
    let stage = Stage::new();
    let file = stage.file("data", noise(1, 600_000));
    let shared = stage.folder("shared");
    let start = |name: &str| listening(&mut stage.receive_into(&shared, name, &stage.path("key")));
    let _receivers = [start("node1"), start("node2")];
    let sending = &mut stage.send_to(2, &[&file]);
    let report = Running::start(sending.args(["--straggler", straggler]))
        .end()
        .with_code(code)
        .report();
    assert_same(&file, &shared.join("data"));
    assert_eq!(names(&shared), ["data"]);
    report
}

#[test]
fn of_two_receivers_in_one_directory_one_is_told_to_stop_when_both_are_waited_for() {
    let report = copy_to_two_in_one_directory("wait", 1);
    let mut states =
        ["node1", "node2"].map(|name| node(&report, name)["state"].as_str().unwrap_or_default());
    states.sort_unstable();
    assert_eq!(states, ["complete", "refused"], "{report}");
    let text = report.to_string();
    assert!(
        text.contains("another receiver is placing this copy"),
        "{text}"
    );
}

#[test]
fn of_two_receivers_in_one_directory_one_does_not_hold_the_other() {
    let report = copy_to_two_in_one_directory("demote", 0);
    let is_apart = ["node1", "node2"].map(|name| node(&report, name)["apart"] == true);
    assert_ne!(is_apart[0], is_apart[1], "{report}");
}

#[test]
fn a_receiver_stays_up_for_the_next_copy() {
    let stage = Stage::new();
    let receiver = stage.receiver("node");
    for number in 0_u64..3 {
        let file = stage.file("data", noise(number + 1, 300_000));
        let report = Running::start(&mut stage.send_to(1, &[&file]))
            .end()
            .with_code(0)
            .report();
        assert_same(&file, &stage.path("node/data"));
        let session = report["session"].as_str().expect("a session has a name");
        receiver.wait_for(&format!("session {session}: complete and verified"));
    }
}

#[test]
fn a_receiver_for_one_copy_ends_after_it() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let receiver = listening(stage.receive("node").arg("--once"));
    Running::start(&mut stage.send_to(1, &[&file]))
        .end()
        .with_code(0);
    receiver.end().with_code(0).saying("complete and verified");
    assert_same(&file, &stage.path("node/data"));
}

#[test]
fn a_receiver_for_one_copy_does_not_end_because_a_copy_is_not_for_it() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let mut receiver = listening(stage.receive("node").arg("--once"));
    let command = &mut stage.send(&[&file]);
    Running::start(command.args(["--to", "other", "--wait", "1s"]))
        .end()
        .with_code(3);
    receiver.wait_for("not for a node named `node`");
    assert!(receiver.is_running(), "it waits for a copy");
    Running::start(&mut stage.send_to(1, &[&file]))
        .end()
        .with_code(0);
    receiver.end().with_code(0);
}

#[test]
fn a_receiver_for_one_copy_fails_with_it() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    stage.folder("node/data");
    let receiver = listening(stage.receive("node").arg("--once"));
    Running::start(&mut stage.send_to(1, &[&file]))
        .end()
        .with_code(1);
    receiver.end().with_code(1).saying("not taken");
}
