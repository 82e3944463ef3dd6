//! Ends that nobody planned, and those that somebody asked for: every side says what became of the
//! copy, and nothing half stands under a final name.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::program::{Running, node};
use crate::stage::Stage;
use crate::tree::{assert_same, names, noise};

/// At this rate the copy of `LONG` bytes takes four seconds.
const SLOW: [&str; 2] = ["--rate", "2MB/s"];
const LONG: usize = 8_000_000;

/// An orderly end takes no longer, even on a busy machine.
const PROMPT: Duration = Duration::from_secs(8);

/// What a receiver says that goes on with an earlier attempt.
const RESUMED: &str = "goes on from an earlier attempt";

/// Nothing stands under a final name, and what is kept for another attempt is in one folder.
#[track_caller]
fn assert_only_kept(folder: &Path) {
    let left = names(folder);
    assert!(
        left.len() == 1 && left[0].starts_with(".grappe-"),
        "only a staging folder: {left:?}"
    );
}

#[test]
fn a_killed_receiver_is_lost_and_the_others_get_their_copy() {
    let stage = Stage::new();
    let file = stage.file("data", noise(1, LONG));
    let (killed, _other) = (stage.receiver("killed"), stage.receiver("other"));
    let sender = Running::start(stage.send_to(2, &[&file]).args(SLOW));
    sender.wait_for(" % at ");
    killed.signal(Signal::KILL);
    let report = sender.end().with_code(1).report();
    assert_eq!(node(&report, "killed")["state"], "lost");
    assert_eq!(node(&report, "other")["state"], "complete");
    assert_same(&file, &stage.path("other/data"));
    drop(killed);
    assert_only_kept(&stage.path("killed"));
    let restarted = stage.receiver("killed");
    assert_only_kept(&stage.path("killed"));
    Running::start(stage.send(&[&file]).args(["--to", "killed"]))
        .end()
        .with_code(0);
    restarted.wait_for(RESUMED);
    assert_same(&file, &stage.path("killed/data"));
    assert_eq!(names(&stage.path("killed")), ["data"]);
}

#[test]
fn a_receiver_that_is_started_again_in_the_middle_finishes_with_the_others() {
    let stage = Stage::new();
    let file = stage.file("data", noise(5, LONG));
    let (killed, _other) = (stage.receiver("killed"), stage.receiver("other"));
    let sender = Running::start(stage.send_to(2, &[&file]).args(SLOW));
    sender.wait_for(" % at ");
    killed.signal(Signal::KILL);
    sender.wait_for("gone: killed");
    drop(killed);
    let restarted = stage.receiver("killed");
    let report = sender
        .end()
        .with_code(0)
        .saying("joined late: killed")
        .report();
    restarted.wait_for(RESUMED);
    assert_eq!(node(&report, "killed")["state"], "complete");
    assert_same(&file, &stage.path("killed/data"));
    assert_eq!(names(&stage.path("killed")), ["data"]);
}

#[test]
fn the_same_copy_may_begin_before_the_end_of_its_silent_sender_is_noticed() {
    let stage = Stage::new();
    let file = stage.file("data", noise(7, LONG));
    let receiver = stage.receiver("node");
    let sender = Running::start(stage.send_to(1, &[&file]).args(SLOW));
    sender.wait_for(" % at ");
    // As a machine without power: its connection stays open.
    sender.signal(Signal::STOP);
    Running::start(&mut stage.send_to(1, &[&file]))
        .end()
        .with_code(0);
    receiver.wait_for(RESUMED);
    assert_same(&file, &stage.path("node/data"));
}

#[test]
fn a_receiver_that_comes_late_gets_everything() {
    let stage = Stage::new();
    let file = stage.file("data", noise(6, LONG));
    let _other = stage.receiver("other");
    let sender = Running::start(stage.send_to(1, &[&file]).args(SLOW));
    sender.wait_for(" % at ");
    let _late = stage.receiver("late");
    let report = sender
        .end()
        .with_code(0)
        .saying("joined late: late")
        .report();
    for name in ["other", "late"] {
        assert_eq!(node(&report, name)["state"], "complete");
        assert_same(&file, &stage.path(format!("{name}/data")));
    }
}

#[test]
fn a_killed_sender_is_noticed_and_the_next_copy_works() {
    let stage = Stage::new();
    let file = stage.file("data", noise(2, LONG));
    let receiver = stage.receiver("node");
    let sender = Running::start(stage.send_to(1, &[&file]).args(SLOW));
    sender.wait_for(" % at ");
    sender.signal(Signal::KILL);
    receiver.wait_for("the copy ended at the sender");
    assert_only_kept(&stage.path("node"));
    Running::start(&mut stage.send_to(1, &[&file]))
        .end()
        .with_code(0);
    receiver.wait_for(RESUMED);
    assert_same(&file, &stage.path("node/data"));
    assert_eq!(names(&stage.path("node")), ["data"]);
}

#[test]
fn a_stopped_sender_is_noticed_too() {
    let stage = Stage::new();
    let file = stage.file("data", noise(2, LONG));
    let receiver = stage.receiver("node");
    let sender = Running::start(stage.send_to(1, &[&file]).args(SLOW));
    sender.wait_for(" % at ");
    // Its connection stays open: only its silence tells.
    sender.signal(Signal::STOP);
    receiver.wait_for("nothing heard from the sender for 10 s");
    assert_only_kept(&stage.path("node"));
    sender.signal(Signal::CONT);
    let report = sender.end().with_code(1).report();
    assert_ne!(node(&report, "node")["state"], "complete");
}

#[test]
fn an_idle_receiver_ends_cleanly_on_sigterm() {
    let stage = Stage::new();
    let receiver = stage.receiver("node");
    receiver.signal(Signal::TERM);
    receiver.end_within(PROMPT).with_code(0);
}

#[test]
fn a_receiver_in_the_middle_of_a_copy_ends_cleanly_on_sigterm() {
    let stage = Stage::new();
    let file = stage.file("data", noise(3, LONG));
    let receiver = stage.receiver("node");
    let sender = Running::start(stage.send_to(1, &[&file]).args(SLOW));
    sender.wait_for(" % at ");
    receiver.signal(Signal::TERM);
    receiver
        .end_within(PROMPT)
        .with_code(0)
        .saying("the receiver was stopped by SIGTERM");
    let report = sender.end().with_code(1).report();
    assert_eq!(node(&report, "node")["state"], "failed");
    assert!(
        node(&report, "node")["reason"]
            .to_string()
            .contains("SIGTERM"),
        "{report}"
    );
    assert_only_kept(&stage.path("node"));
}

#[test]
fn an_interrupted_sender_tells_its_receivers() {
    let stage = Stage::new();
    let file = stage.file("data", noise(4, LONG));
    let receiver = stage.receiver("node");
    let sender = Running::start(stage.send_to(1, &[&file]).args(SLOW));
    sender.wait_for(" % at ");
    sender.signal(Signal::INT);
    let ended = sender
        .end_within(PROMPT)
        .with_code(1)
        .saying("broken off: stopped by SIGINT");
    assert_eq!(node(&ended.report(), "node")["state"], "failed");
    receiver.wait_for("the copy ended at the sender: stopped by SIGINT");
    assert_only_kept(&stage.path("node"));
}

#[test]
fn a_sender_that_waits_for_receivers_can_be_interrupted() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let sender = Running::start(&mut stage.send_to(1, &[&file]));
    sender.wait_for("waiting up to");
    sender.signal(Signal::TERM);
    sender
        .end_within(PROMPT)
        .with_code(1)
        .saying("stopped by SIGTERM");
}
