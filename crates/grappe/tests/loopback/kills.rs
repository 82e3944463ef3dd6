//! `kill -9` of either side at random moments, again and again: no half file ever stands under a final
//! name, and the same command ends the copy.
//!
//! `GRAPPE_KILLS` says how often, `GRAPPE_KILL_SEED` replays one run.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::program::{Running, node};
use crate::stage::Stage;
use crate::tree::{assert_same, noise};

const KILLS: u64 = 50;

/// At this rate the copy takes half a second, so that a kill within it meets any of its phases.
const RATE: [&str; 2] = ["--rate", "12MB/s"];
const LARGE: usize = 4_000_000;
const KILL_WITHIN_MILLIS: u64 = 700;

/// The next of a sequence of numbers without visible order (Marsaglia, Xorshift RNGs, 2003).
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The bytes of a file; no two generations are alike.
fn content(generation: u64, file: u64, bytes: usize) -> Vec<u8> {
    noise(2 * (1_000 * generation + file), bytes)
}

/// A tree with large and small files, other in each `generation`. Files of earlier ones are replaced.
fn write_tree(stage: &Stage, generation: u64) {
    for (name, bytes) in [("large", LARGE), ("other", LARGE / 4), ("small", 1_000)] {
        stage.file(format!("from/tree/{name}"), content(generation, 0, bytes));
    }
    for file in 0..20 {
        stage.file(
            format!("from/tree/many/{file}"),
            content(generation, file, 3_000),
        );
    }
}

/// Every file under a final name is whole: it is that of this generation, or of the one before.
#[track_caller]
fn assert_no_half(stage: &Stage, generation: u64) {
    let check = |name: &str, file: u64, bytes: usize| {
        let path = stage.path(format!("node/tree/{name}"));
        let Ok(found) = fs::read(&path) else { return };
        let is_whole = |generation: u64| found == content(generation, file, bytes);
        assert!(
            is_whole(generation) || generation > 0 && is_whole(generation - 1),
            "half a file at {}",
            path.display()
        );
    };
    for (name, bytes) in [("large", LARGE), ("other", LARGE / 4), ("small", 1_000)] {
        check(name, 0, bytes);
    }
    for file in 0..20 {
        check(&format!("many/{file}"), file, 3_000);
    }
}

#[test]
fn whatever_is_killed_when_the_same_command_ends_the_copy() {
    let seed = number("GRAPPE_KILL_SEED").unwrap_or(u64::from(std::process::id()) + 1);
    println!("GRAPPE_KILL_SEED={seed}");
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let stage = Stage::new();
    let mut generation = 0;
    write_tree(&stage, generation);
    let mut complete = 0;
    let mut receiver = stage.receiver("node");
    for _ in 0..number("GRAPPE_KILLS").unwrap_or(KILLS) {
        let sender = Running::start(stage.send_to(1, &[&stage.path("from/tree")]).args(RATE));
        thread::sleep(Duration::from_millis(next(&mut state) % KILL_WITHIN_MILLIS));
        if next(&mut state).is_multiple_of(2) {
            receiver.signal(Signal::KILL);
            drop(receiver);
            assert_no_half(&stage, generation);
            // Back at once: the running session takes it in again, or the next one does.
            receiver = stage.receiver("node");
        } else {
            sender.signal(Signal::KILL);
            assert_no_half(&stage, generation);
        }
        // Killed, complete, or over because it lost its only receiver.
        let ended = sender.end();
        assert_no_half(&stage, generation);
        let is_whole = is_same(&stage.path("from/tree"), &stage.path("node/tree"));
        match ended.code() {
            Some(0) => assert!(is_whole, "says it is complete:\n{}", ended.errors),
            Some(1) => {
                let report = ended.report();
                let node = node(&report, "node");
                let is_lost = ["failed", "lost"]
                    .iter()
                    .any(|state| node["state"] == *state);
                assert!(is_lost && node["reason"].is_string(), "not clear: {report}");
            }
            Some(3) => assert!(ended.errors.contains("nobody joined"), "{}", ended.errors),
            Some(other) => panic!("exit code {other}:\n{}", ended.errors),
            None => {}
        }
        if is_whole {
            complete += 1;
            generation += 1;
            write_tree(&stage, generation);
        }
    }
    println!("{complete} copies became complete in spite of it");
    Running::start(&mut stage.send_to(1, &[&stage.path("from/tree")]))
        .end()
        .with_code(0);
    assert_same(&stage.path("from/tree"), &stage.path("node/tree"));
    let left = crate::tree::names(&stage.path("node"));
    let kept = left.iter().filter(|name| name.starts_with(".grappe-"));
    assert!(
        kept.count() <= complete,
        "nothing is kept of a copy that is complete: {left:?}"
    );
}

fn is_same(one: &Path, other: &Path) -> bool {
    other.exists() && crate::tree::items(one) == crate::tree::items(other)
}
