//! `grappe demo` as a newcomer meets it: it shows a copy, cleans up, and leaves no process behind,
//! however it ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::program::{PATIENCE, Running, signal_to};
use crate::stage::grappe;

/// Large enough that a signal comes before the end of the copy.
const LONG: [&str; 5] = ["demo", "--nodes", "2", "--size", "192MiB"];

/// The folders of the demo with this number that are there now.
fn folders(number: u32) -> Vec<PathBuf> {
    let bases = ["/dev/shm".into(), std::env::temp_dir()];
    let all = bases.map(|base| base.join(format!("grappe-demo-{number}")));
    all.into_iter().filter(|folder| folder.exists()).collect()
}

/// The processes whose command line has `text` in it, but for the test itself.
fn processes(text: &str) -> Vec<u32> {
    let numbers = fs::read_dir("/proc")
        .expect("processes can be listed")
        .flatten();
    let numbers = numbers.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has_text = |number: &u32| {
        let line = fs::read(format!("/proc/{number}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    };
    numbers.filter(has_text).collect()
}

fn children(number: u32) -> Vec<u32> {
    processes(&format!("grappe-demo-{number}/"))
}

#[track_caller]
fn assert_gone(folder: &Path) {
    assert!(!folder.exists(), "{} is left over", folder.display());
}

#[test]
fn it_shows_a_copy_and_leaves_nothing() {
    let demo = Running::start(grappe().args(["demo", "--nodes", "3", "--size", "2MiB"]));
    let number = demo.number();
    let ended = demo.end().with_code(0);
    assert!(
        ended.output.contains("node03  complete"),
        "{}",
        ended.output
    );
    ended.saying("compared: 3 copies are identical to the dataset");
    assert_eq!(folders(number).len(), 0);
    assert_eq!(children(number), [0; 0]);
}

#[test]
fn a_demo_that_is_stopped_ends_its_processes_and_removes_its_folder() {
    let signals = [
        (Signal::INT, "SIGINT"),
        (Signal::TERM, "SIGTERM"),
        (Signal::HUP, "SIGHUP"),
    ];
    for (signal, name) in signals {
        let demo = Running::start(grappe().args(LONG));
        let number = demo.number();
        demo.wait_for("session ");
        let folders = folders(number);
        assert_eq!(folders.len(), 1, "{folders:?}");
        assert_eq!(children(number).len(), 3, "two receivers and a sender");
        demo.signal(signal);
        demo.end()
            .with_code(1)
            .saying(&format!("the demo was stopped by {name}"));
        assert_gone(&folders[0]);
        assert_eq!(children(number), [0; 0]);
    }
}

#[test]
fn a_demo_that_is_stopped_in_haste_removes_its_folder_as_well() {
    let demo = Running::start(grappe().args(LONG));
    let number = demo.number();
    demo.wait_for("session ");
    let folders = folders(number);
    assert_eq!(folders.len(), 1, "{folders:?}");
    demo.signal(Signal::INT);
    thread::sleep(Duration::from_millis(10));
    demo.signal(Signal::INT);
    demo.end().with_code(1);
    assert_gone(&folders[0]);
    assert_eq!(children(number), [0; 0]);
}

#[test]
fn a_demo_that_is_killed_takes_its_processes_with_it() {
    let demo = Running::start(grappe().args(LONG));
    let number = demo.number();
    demo.wait_for("session ");
    let folders = folders(number);
    assert_eq!(children(number).len(), 3, "two receivers and a sender");
    demo.signal(Signal::KILL);
    let deadline = Instant::now() + PATIENCE;
    while !children(number).is_empty() {
        assert!(Instant::now() < deadline, "they outlive it");
        thread::sleep(Duration::from_millis(20));
    }
    let copied = folders
        .iter()
        .any(|folder| folder.join("node01/dataset").exists());
    for folder in folders {
        fs::remove_dir_all(folder).unwrap();
    }
    assert!(!copied, "they ended with it, not when they were done");
}

#[test]
fn when_the_copy_fails_it_shows_what_the_receivers_said_last() {
    let demo = Running::start(grappe().args(LONG));
    let number = demo.number();
    demo.wait_for("sending to 2");
    let receivers = processes(&format!("grappe-demo-{number}/node01"));
    assert_eq!(receivers.len(), 1);
    signal_to(receivers[0], Signal::TERM);
    demo.end()
        .with_code(1)
        .saying("the copy did not succeed")
        .saying("node01: session ")
        .saying("the receiver was stopped by SIGTERM")
        .saying("node02: session ");
    assert_eq!(folders(number).len(), 0);
}

#[test]
fn a_demo_without_room_says_how_much_it_takes_and_how_to_ask_for_less() {
    Running::start(grappe().args(["demo", "--size", "9000TiB"]))
        .end()
        .with_code(1)
        .saying("the demo needs")
        .saying("--size");
}
