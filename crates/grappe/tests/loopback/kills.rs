//! `kill -9` of the sender or of one of two receivers at random moments, again and again: no half file ever stands
//! under a final name, who was not killed gets everything, and the same command ends the copy.
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

const NODES: [&str; 2] = ["n0", "n1"];

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
    for node in NODES {
        assert_no_half_at(stage, node, generation);
    }
}

#[track_caller]
fn assert_no_half_at(stage: &Stage, node: &str, generation: u64) {
    let check = |name: &str, file: u64, bytes: usize| {
        let path = stage.path(format!("{node}/tree/{name}"));
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
    let mut receivers = Vec::from(NODES.map(|name| stage.receiver(name)));
    for _ in 0..number("GRAPPE_KILLS").unwrap_or(KILLS) {
        let mut send = stage.send_to(NODES.len(), &[&stage.path("from/tree")]);
        let sender = Running::start(send.args(RATE));
        thread::sleep(Duration::from_millis(next(&mut state) % KILL_WITHIN_MILLIS));
        let victim = (next(&mut state) % 4) as usize;
        if victim < NODES.len() {
            // To drop it is to kill it.
            drop(receivers.remove(victim));
            assert_no_half(&stage, generation);
            // Back at once: the running session takes it in again, or the next one does.
            receivers.insert(victim, stage.receiver(NODES[victim]));
        } else {
            sender.signal(Signal::KILL);
            assert_no_half(&stage, generation);
        }
        // Killed, complete, or over without the receiver that was killed.
        let ended = sender.end();
        assert_no_half(&stage, generation);
        let is_whole =
            NODES.map(|name| is_same(&stage.path("from/tree"), &stage.path(name).join("tree")));
        match ended.code() {
            Some(0) => assert_eq!(
                is_whole, [true; 2],
                "says it is complete:\n{}",
                ended.errors
            ),
            Some(1) => {
                let report = ended.report();
                for (number, name) in NODES.iter().enumerate() {
                    let node = node(&report, name);
                    if number == victim {
                        let is_lost = ["failed", "lost"]
                            .iter()
                            .any(|state| node["state"] == *state);
                        assert!(is_lost && node["reason"].is_string(), "not clear: {report}");
                    } else {
                        assert_eq!(node["state"], "complete", "{report}");
                        assert!(is_whole[number], "says it is complete: {report}");
                    }
                }
            }
            Some(other) => panic!("exit code {other}:\n{}", ended.errors),
            None => {}
        }
        if is_whole == [true; 2] {
            complete += 1;
            generation += 1;
            write_tree(&stage, generation);
        }
    }
    println!("{complete} copies became complete in spite of it");
    Running::start(&mut stage.send_to(NODES.len(), &[&stage.path("from/tree")]))
        .end()
        .with_code(0);
    for name in NODES {
        assert_same(&stage.path("from/tree"), &stage.path(name).join("tree"));
        let left = crate::tree::names(&stage.path(name));
        let kept = left.iter().filter(|name| name.starts_with(".grappe-"));
        assert!(
            kept.count() <= complete,
            "nothing is kept of a copy that is complete: {left:?}"
        );
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    other.exists() && crate::tree::items(one) == crate::tree::items(other)
}
