//! Who takes part: nobody, too few, the wrong ones, or two of one name.

use std::time::{Duration, Instant};

use crate::program::{Running, node};
use crate::stage::{Stage, listening};

#[test]
fn nobody_there_is_said_with_its_causes_within_the_wait() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let start = Instant::now();
    let ended = Running::start(stage.send(&[&file]).args(["--json", "--wait", "1s"]))
        .end()
        .with_code(3);
    assert!(start.elapsed() > Duration::from_secs(1), "it waited");
    assert!(
        start.elapsed() < Duration::from_secs(10),
        "it did not wait longer"
    );
    assert_eq!(ended.report()["nodes"], serde_json::json!([]));
    ended
        .saying("waiting up to 1.0 s for receivers")
        .saying("interface:")
        .saying("firewall:")
        .saying("key:");
}

#[test]
fn too_few_receivers_get_the_copy_and_the_command_fails() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let _receiver = stage.receiver("node");
    let command = &mut stage.send(&[&file]);
    let ended = Running::start(command.args(["--json", "--expect", "2", "--wait", "1s"]))
        .end()
        .with_code(1);
    assert_eq!(node(&ended.report(), "node")["state"], "complete");
    ended.saying("1 of 2 expected receivers did not join");
    assert!(stage.path("node/data").exists());
}

#[test]
fn a_node_that_was_named_and_never_came_is_lost() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let _receiver = stage.receiver("node1");
    let command = &mut stage.send(&[&file]);
    let ended = Running::start(command.args(["--json", "--to", "node[1-2]", "--wait", "1s"]))
        .end()
        .with_code(1);
    let report = ended.report();
    assert_eq!(node(&report, "node1")["state"], "complete");
    assert_eq!(node(&report, "node2")["state"], "lost");
    assert_eq!(node(&report, "node2")["reason"], "did not join");
}

#[test]
fn nobody_of_those_named_is_nobody() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let command = &mut stage.send(&[&file]);
    let ended = Running::start(command.args(["--json", "--to", "node[1-2]", "--wait", "500ms"]))
        .end()
        .with_code(3);
    assert_eq!(node(&ended.report(), "node1")["state"], "lost");
}

#[test]
fn who_was_not_named_is_turned_away_and_told() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let _wanted = stage.receiver("wanted");
    let unwanted = stage.receiver("unwanted");
    let command = &mut stage.send(&[&file]);
    // A named one that never comes makes the sender wait, so that both are heard.
    command.args(["--json", "--to", "wanted,absent", "--wait", "2s"]);
    let report = Running::start(command)
        .end()
        .with_code(1)
        .saying("refused: unwanted")
        .report();
    assert_eq!(node(&report, "wanted")["state"], "complete");
    assert_eq!(
        report["nodes"].as_array().map(Vec::len),
        Some(2),
        "{report}"
    );
    unwanted.wait_for("this copy is not for a node named `unwanted`");
    assert!(!stage.path("unwanted/data").exists());
}

#[test]
fn whoever_can_be_named_can_take_part() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let name = format!("node.{}cluster", "subdomain.".repeat(20));
    let into = stage.folder("into");
    let _receiver = listening(&mut stage.receive_into(&into, &name, &stage.path("key")));
    let command = &mut stage.send(&[&file]);
    let ended = Running::start(command.args(["--json", "--to", &name, "--wait", "10s"]))
        .end()
        .with_code(0);
    assert_eq!(node(&ended.report(), &name)["state"], "complete");
}

#[test]
fn it_starts_at_once_when_all_are_there() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let _receivers = [stage.receiver("node1"), stage.receiver("node2")];
    let start = Instant::now();
    let command = &mut stage.send(&[&file]);
    Running::start(command.args(["--to", "node[1-2]", "--wait", "60s"]))
        .end()
        .with_code(0);
    assert!(
        start.elapsed() < Duration::from_secs(20),
        "it did not wait for nobody"
    );
}

#[test]
fn namesakes_are_told_apart_by_a_number() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let _first = stage.receiver("twin");
    let mut second = stage.receive_into(&stage.folder("elsewhere"), "twin", &stage.path("key"));
    let _second = listening(&mut second);
    let report = Running::start(&mut stage.send_to(2, &[&file]))
        .end()
        .with_code(0)
        .report();
    assert_eq!(node(&report, "twin")["state"], "complete");
    assert_eq!(node(&report, "twin#2")["state"], "complete");
}

#[test]
fn a_name_that_was_asked_for_once_is_given_once() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let first = stage.receiver("twin");
    let mut second = stage.receive_into(&stage.folder("elsewhere"), "twin", &stage.path("key"));
    let second = listening(&mut second);
    let command = &mut stage.send(&[&file]);
    let ended = Running::start(command.args(["--json", "--to", "twin,absent", "--wait", "2s"]))
        .end()
        .with_code(1);
    assert_eq!(node(&ended.report(), "twin")["state"], "complete");
    let said = format!("{}{}", first.said(), second.said());
    assert!(
        said.contains("another receiver named `twin` has joined"),
        "{said}"
    );
    let copies = ["twin/data", "elsewhere/data"].map(|name| stage.path(name).exists());
    assert_eq!(copies.iter().filter(|copy| **copy).count(), 1);
}
