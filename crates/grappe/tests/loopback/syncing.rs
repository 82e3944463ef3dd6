//! A second copy of a tree that is there already: what travels, what is kept, what is removed and what is
//! never lost; and the flags beside it: --dry-run, --exec, --events.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Running, node};
use crate::stage::Stage;
use crate::tree::{assert_same, noise};

const BLOCK: usize = 256 * 1024;

/// Packets that a block takes, and those of a session that sends next to nothing: beats above all.
const BLOCK_PACKETS: u64 = 183;
const IDLE_PACKETS: u64 = 1500;

fn write_tree(stage: &Stage) {
    for file in 0..60 {
        stage.file(format!("from/tree/many/{file}"), noise(file + 1, 3_000));
    }
    stage.file("from/tree/large", noise(7, 40 * BLOCK + 77));
    stage.file("from/tree/empty", "");
}

#[track_caller]
fn send(stage: &Stage, count: usize, flags: &[&str]) -> Value {
    let tree = stage.path("from/tree");
    let report = Running::start(stage.send_to(count, &[&tree]).args(flags))
        .end()
        .with_code(0)
        .report();
    for name in 0..count {
        assert_same(&tree, &stage.path(format!("n{name}/tree")));
    }
    report
}

fn packets(report: &Value) -> u64 {
    report["packets"].as_u64().expect("a number of packets")
}

#[test]
fn only_what_somebody_lacks_travels() {
    let stage = Stage::new();
    write_tree(&stage);
    let _receivers = [stage.receiver("n0"), stage.receiver("n1")];
    let all = packets(&send(&stage, 2, &["--sync"]));
    assert!(all > 40 * BLOCK_PACKETS);
    let kept = stage.path("n0/tree/many/3");
    let inode = fs::metadata(&kept).unwrap().ino();

    // Nothing differs.
    let report = send(&stage, 2, &["--sync"]);
    assert!(packets(&report) < IDLE_PACKETS, "{report}");
    assert_eq!(node(&report, "n0")["files"], Value::Null);
    assert_eq!(node(&report, "n0")["bytes"], report["bytes"]);
    assert_eq!(
        fs::metadata(&kept).unwrap().ino(),
        inode,
        "what is equal is not even replaced"
    );

    // Each lacks something else, and blocks in the middle of a large file have changed.
    fs::remove_file(stage.path("n0/tree/many/5")).unwrap();
    fs::remove_file(stage.path("n1/tree/many/9")).unwrap();
    fs::remove_file(stage.path("n1/tree/empty")).unwrap();
    let large = fs::OpenOptions::new()
        .write(true)
        .open(stage.path("from/tree/large"))
        .unwrap();
    large
        .write_all_at(&noise(99, 100), 20 * BLOCK as u64 + 5)
        .unwrap();
    let report = send(&stage, 2, &["--sync"]);
    assert!(
        packets(&report) < IDLE_PACKETS + 3 * BLOCK_PACKETS,
        "{report}"
    );

    // What one has by its time and another lacks as a whole: the first hashes none of it.
    fs::remove_file(stage.path("n0/tree/large")).unwrap();
    let report = send(&stage, 2, &["--sync"]);
    assert!(packets(&report) > 40 * BLOCK_PACKETS, "{report}");

    // Touched alone, the content stays.
    let inode = fs::metadata(stage.path("n1/tree/large")).unwrap().ino();
    large.set_modified(std::time::UNIX_EPOCH).unwrap();
    fs::set_permissions(
        stage.path("from/tree/many/1"),
        std::os::unix::fs::PermissionsExt::from_mode(0o640),
    )
    .unwrap();
    let report = send(&stage, 2, &["--sync"]);
    assert!(packets(&report) < IDLE_PACKETS, "{report}");
    assert_eq!(
        fs::metadata(stage.path("n1/tree/large")).unwrap().ino(),
        inode
    );
}

#[test]
fn a_change_that_size_and_time_hide_is_found_by_checksum_alone() {
    let stage = Stage::new();
    write_tree(&stage);
    let _receiver = stage.receiver("n0");
    send(&stage, 1, &["--checksum"]);
    let victim = stage.path("n0/tree/many/7");
    let time = fs::metadata(&victim).unwrap().modified().unwrap();
    let file = fs::OpenOptions::new().write(true).open(&victim).unwrap();
    file.write_all_at(b"XXXX", 100).unwrap();
    file.set_modified(time).unwrap();
    drop(file);
    let tree = stage.path("from/tree");
    Running::start(stage.send_to(1, &[&tree]).arg("--sync"))
        .end()
        .with_code(0);
    assert_ne!(
        fs::read(&victim).unwrap(),
        fs::read(tree.join("many/7")).unwrap()
    );
    let report = send(&stage, 1, &["--checksum"]);
    assert!(
        packets(&report) < IDLE_PACKETS + 2 * BLOCK_PACKETS,
        "{report}"
    );
}

#[test]
fn what_is_not_in_the_tree_goes_only_when_asked_for_and_within_bounds() {
    let stage = Stage::new();
    write_tree(&stage);
    let receiver = stage.receiver("n0");
    send(&stage, 1, &["--sync"]);
    for file in 0..70 {
        stage.file(format!("n0/tree/old/{file}"), "old");
    }
    stage.file("n0/tree/many/cache.tmp", "kept");
    stage.file("n0/beside", "kept");
    let tree = stage.path("from/tree");
    let send_with = |flags: &[&str]| Running::start(stage.send_to(1, &[&tree]).args(flags)).end();

    // 71 would go, 64 stay.
    let refused = send_with(&["--sync", "--delete", "--exclude", "*.tmp"]).with_code(1);
    let reason = node(&refused.report(), "n0")["reason"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        reason.contains("71 entries") && reason.contains("--delete-max 71"),
        "{reason}"
    );
    assert!(stage.path("n0/tree/old/69").exists());

    let flags = ["--sync", "--delete", "--exclude", "*.tmp", "--dry-run"];
    let plan: Value = serde_json::from_str(&send_with(&flags).with_code(0).output).unwrap();
    let told = node(&plan, "n0");
    assert_eq!(
        (&told["remove"], &told["create"], &told["update"]),
        (&71.into(), &0.into(), &0.into())
    );
    assert!(
        told["changes"].to_string().contains("tree/old/69"),
        "{told}"
    );
    receiver.wait_for("nothing was changed");
    assert!(stage.path("n0/tree/old/69").exists());

    send_with(&[
        "--sync",
        "--delete",
        "--delete-max",
        "71",
        "--exclude",
        "*.tmp",
    ])
    .with_code(0);
    assert!(!stage.path("n0/tree/old").exists());
    assert!(
        stage.path("n0/tree/many/cache.tmp").exists(),
        "what was left out is not removed"
    );
    assert!(
        stage.path("n0/beside").exists(),
        "what is not in the tree's directories stays"
    );

    // A directory where a file is now, and the other way round.
    fs::remove_file(tree.join("empty")).unwrap();
    stage.file("from/tree/empty/inside", "x");
    fs::remove_dir_all(tree.join("many")).unwrap();
    stage.file("from/tree/many", "now a file");
    fs::remove_file(stage.path("n0/tree/many/cache.tmp")).unwrap();
    let report = send_with(&["--sync", "--delete", "--delete-max", "100"]).with_code(0);
    assert_eq!(report.report()["skipped"], Value::Array(vec![]));
    assert_same(&tree, &stage.path("n0/tree"));
}

#[test]
fn a_receiver_may_decline_to_remove_and_the_sender_says_what_stays() {
    let stage = Stage::new();
    stage.file("from/tree/file", "x");
    stage.file("n0/tree/old", "stays");
    stage.file("n1/tree/old", "goes");
    let declining = Running::start(stage.receive("n0").arg("--no-delete"));
    declining.wait_for("receiving into");
    let _other = stage.receiver("n1");
    let tree = stage.path("from/tree");
    let flags = ["--sync", "--delete"];
    let plan = [&flags[..], &["--dry-run"]].concat();
    let planned = Running::start(stage.send_to(2, &[&tree]).args(plan)).end();
    planned.with_code(0).not_saying("nothing was removed");
    let sent = Running::start(stage.send_to(2, &[&tree]).args(flags)).end();
    let sent = sent.with_code(0).saying("n0: nothing was removed");
    let report = sent.report();
    assert_eq!(node(&report, "n0")["spared"], 1);
    assert_eq!(node(&report, "n1")["spared"], Value::Null);
    declining.wait_for("1 entry is not in the tree");
    assert!(stage.path("n0/tree/old").exists());
    assert!(!stage.path("n1/tree/old").exists());
}

#[test]
fn a_plan_says_what_a_node_would_decline() {
    let stage = Stage::new();
    stage.file("from/tree/data", "now a file");
    stage.file("n0/tree/data/inside", "in the way");
    stage.file("n1/tree/old", "x");
    let _receivers = [stage.receiver("n0"), stage.receiver("n1")];
    let tree = stage.path("from/tree");
    let flags = ["--sync", "--dry-run"];
    let sent = Running::start(stage.send_to(2, &[&tree]).args(flags)).end();
    let sent = sent.with_code(1).saying("n0").saying("is in the way");
    // What it would do otherwise is told nevertheless.
    let plan = sent.report();
    assert_eq!(node(&plan, "n0")["update"], 1);
    assert_eq!(node(&plan, "n1")["create"], 1);
    assert!(stage.path("n0/tree/data/inside").exists());
}

#[test]
fn what_was_to_be_removed_and_stays_is_said_on_both_sides() {
    let stage = Stage::new();
    stage.file("from/tree/file", "x");
    stage.file("from/tree/data", "now a file");
    // What is left out keeps the directory in the way of `data`.
    stage.file("n0/tree/data/secret.key", "x");
    stage.file("n0/tree/data/other", "stays");
    stage.file("n0/tree/old", "stays");
    let receiver = stage.receiver("n0");
    let tree = stage.path("from/tree");
    let flags = ["--sync", "--delete", "--exclude", "*.key"];
    let sent = Running::start(stage.send_to(1, &[&tree]).args(flags)).end();
    let report = sent.with_code(1).report();
    let reason = node(&report, "n0")["reason"].to_string();
    assert!(reason.contains("so nothing was removed"), "{reason}");
    receiver.wait_for("nothing that is not in the tree was removed");
    assert!(stage.path("n0/tree/old").exists());
    assert!(stage.path("n0/tree/data/other").exists());
}

#[test]
fn a_command_runs_after_each_copy_and_events_are_told() {
    let stage = Stage::new();
    write_tree(&stage);
    let out = stage.path("out");
    let line = format!(
        "echo \"$GRAPPE_NAME_1 $GRAPPE_FILES $GRAPPE_INTO\" >> {}; exit 3",
        out.display()
    );
    let receiver = Running::start(
        stage
            .receive("n0")
            .args(["--once", "--events", "--exec", &line]),
    );
    receiver.wait_for("receiving into");
    let tree = stage.path("from/tree");
    let sender = Running::start(stage.send_to(1, &[&tree]).arg("--events"))
        .end()
        .with_code(0);
    let events = |text: &str| -> Vec<Value> {
        let parsed = text.lines().map(serde_json::from_str);
        parsed
            .collect::<Result<_, _>>()
            .expect("a JSON object to a line")
    };
    let sent = events(&sender.output);
    let has = |events: &[Value], name: &str| events.iter().any(|event| event["event"] == name);
    assert!(
        ["announced", "joined", "started", "complete"]
            .iter()
            .all(|name| has(&sent, name)),
        "{sent:?}"
    );
    assert_eq!(
        sent.last().unwrap()["files"],
        62,
        "the report is the last line"
    );
    let received = receiver
        .end()
        .with_code(1)
        .saying("the command of --exec failed");
    let received = events(&received.output);
    assert!(
        ["listening", "joining", "placed", "complete", "exec"]
            .iter()
            .all(|name| has(&received, name))
    );
    let told = fs::read_to_string(out).unwrap();
    assert_eq!(told, format!("tree 62 {}\n", stage.path("n0").display()));
}

/// The next of a sequence of numbers without visible order (Marsaglia, Xorshift RNGs, 2003).
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// One file of the tree in one generation. Files 0 to 9 never change, 10 to 19 change each time; every fifth
/// is larger than a block, and of those the last changes in its middle block alone.
fn content(file: u64, generation: u64) -> Vec<u8> {
    let generation = if file < 10 { 0 } else { generation };
    if !file.is_multiple_of(5) {
        return noise(1 + file + 1000 * generation, 9_000 + file as usize);
    }
    let mut bytes = noise(1 + file, 3 * BLOCK + file as usize);
    if generation > 0 {
        let changed = if file == 15 {
            BLOCK..BLOCK + 99
        } else {
            0..2 * BLOCK + 7
        };
        let len = changed.len();
        bytes[changed].copy_from_slice(&noise(1 + file + 1000 * generation, len));
    }
    bytes
}

/// Whatever was there before, and is in the source, is there: as it was, or as it is.
#[track_caller]
fn assert_nothing_lost(top: &Path, generation: u64) {
    for file in 0..20 {
        let found = fs::read(top.join(format!("d{}/{file}", file % 3)))
            .unwrap_or_else(|error| panic!("file {file} of generation {generation}: {error}"));
        let is_whole = (0..2)
            .filter_map(|back| generation.checked_sub(back))
            .any(|generation| found == content(file, generation));
        assert!(is_whole, "file {file} is neither old nor new");
    }
}

#[test]
fn kill_9_while_files_are_kept_replaced_and_removed_loses_none() {
    let var = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let seed = var("GRAPPE_KILL_SEED").unwrap_or(u64::from(std::process::id()) + 1);
    println!("GRAPPE_KILL_SEED={seed}");
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let stage = Stage::new();
    let write = |generation: u64| {
        for file in 0..20 {
            let name = format!("from/tree/d{}/{file}", file % 3);
            if file >= 10 || generation == 0 {
                stage.file(name, content(file, generation));
            }
        }
        let others = stage.path("from/tree/others");
        let _none_yet = fs::remove_dir_all(&others);
        for other in 0..30 {
            stage.file(format!("from/tree/others/g{generation}-{other}"), "x");
        }
    };
    let flags = ["--sync", "--delete", "--delete-max", "1000"];
    write(0);
    let mut receiver = stage.receiver("n0");
    send(&stage, 1, &flags);
    let mut generation = 0;
    for _ in 0..var("GRAPPE_KILLS").unwrap_or(12) {
        generation += 1;
        write(generation);
        let sender = Running::start(stage.send_to(1, &[&stage.path("from/tree")]).args(flags));
        thread::sleep(Duration::from_millis(next(&mut state) % 500));
        if next(&mut state).is_multiple_of(3) {
            sender.signal(Signal::KILL);
        } else {
            receiver.signal(Signal::KILL);
            drop(receiver);
            assert_nothing_lost(&stage.path("n0/tree"), generation);
            receiver = stage.receiver("n0");
        }
        drop(sender.end());
        assert_nothing_lost(&stage.path("n0/tree"), generation);
        // The same command ends it.
        send(&stage, 1, &flags);
    }
}
