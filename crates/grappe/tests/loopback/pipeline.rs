//! Copies through the pipeline, asked for: on the loopback interface everybody hears multicast.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::program::{Running, node};
use crate::stage::Stage;
use crate::tree::{assert_same, names, noise, plant};

const NODES: [&str; 4] = ["node1", "node2", "node3", "node4"];

/// Two seconds of a copy at the rate below.
const LARGE: usize = 40_000_000;

fn send(stage: &Stage, count: usize, path: &std::path::Path) -> Running {
    let mut command = stage.send_to(count, &[path]);
    Running::start(command.args(["--transport", "pipeline", "--rate", "20MB/s"]))
}

#[test]
fn a_tree_goes_from_node_to_node() {
    let stage = Stage::new();
    let tree = stage.folder("tree");
    plant(&tree);
    stage.file("tree/large", noise(7, 3_000_001));
    let _receivers = NODES.map(|name| stage.receiver(name));
    let report = send(&stage, 4, &tree).end().with_code(0).report();
    for name in NODES {
        assert_same(&tree, &stage.path(name).join("tree"));
        assert_eq!(names(&stage.path(name)), ["tree"], "nothing else is left");
        assert_eq!(node(&report, name)["transport"], "pipeline");
        assert_eq!(node(&report, name)["transport_reason"], "asked for");
    }
}

#[test]
fn an_empty_file_and_nothing_else_arrives() {
    let stage = Stage::new();
    let file = stage.file("empty", []);
    let _receivers = [stage.receiver("node1"), stage.receiver("node2")];
    send(&stage, 2, &file).end().with_code(0);
    assert_same(&file, &stage.path("node2/empty"));
}

#[test]
fn who_is_killed_on_the_way_takes_nobody_along() {
    let stage = Stage::new();
    let file = stage.file("large", noise(5, LARGE));
    let receivers = NODES.map(|name| stage.receiver(name));
    let sender = send(&stage, 4, &file);
    sender.wait_for("sending to 4");
    thread::sleep(Duration::from_millis(500));
    receivers[1].signal(Signal::KILL);
    let report = sender.end().with_code(1).report();
    for name in ["node1", "node3", "node4"] {
        assert_eq!(node(&report, name)["state"], "complete", "{report}");
        assert_same(&file, &stage.path(name).join("large"));
    }
    assert_eq!(node(&report, "node2")["state"], "lost");
}

#[test]
fn who_comes_late_joins_the_pipeline() {
    let stage = Stage::new();
    let file = stage.file("large", noise(6, LARGE));
    let _first = stage.receiver("node1");
    let sender = send(&stage, 1, &file);
    sender.wait_for("sending to 1");
    let _late = stage.receiver("node2");
    let report = sender.end().with_code(0).report();
    for name in ["node1", "node2"] {
        assert_same(&file, &stage.path(name).join("large"));
        assert_eq!(node(&report, name)["transport"], "pipeline");
    }
}
