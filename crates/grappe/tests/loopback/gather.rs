//! What each node has comes to all of them: parts of every size, conflicts, deaths, and what is said.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::Signal;

use crate::program::{Running, node};
use crate::stage::{Stage, grappe, listening};
use crate::tree::{names, noise};

/// A node that shares the folder `part-NAME` and receives into the folder `NAME`.
fn member(stage: &Stage, name: &str) -> Running {
    let part = stage.folder(format!("part-{name}"));
    listening(stage.receive(name).arg("--share").arg(part))
}

/// `grappe gather` of so many nodes, with a report in JSON.
fn gather(stage: &Stage, count: usize) -> std::process::Command {
    let mut command = gather_in(stage, "30s");
    command.args(["--json", "--expect", &count.to_string()]);
    command
}

/// `grappe gather` of whoever comes within `wait`.
fn gather_in(stage: &Stage, wait: &str) -> std::process::Command {
    let mut command = grappe();
    command.arg("gather").args(stage.network());
    command.arg("--key").arg(stage.path("key"));
    command.args(["--wait", wait]);
    command
}

/// Asserts that `folder` holds these files and nothing else.
#[track_caller]
fn assert_holds(folder: &Path, files: &[(&str, &[u8])]) {
    let mut wanted: Vec<&str> = files
        .iter()
        .map(|(name, _)| name.split('/').next().expect("a name"))
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    assert_eq!(names(folder), wanted, "in {}", folder.display());
    for (name, content) in files {
        let found = fs::read(folder.join(name)).expect("a file can be read");
        assert!(found == *content, "{name} in {}", folder.display());
    }
}

#[test]
fn every_node_has_everything_afterwards_and_its_own_files_are_linked() {
    let stage = Stage::new();
    let (big, small) = (noise(1, 3_000_001), noise(2, 1_000));
    stage.file("part-n1/results/one", &big);
    stage.file("part-n2/results/two", &small);
    stage.file("part-n2/top", "top");
    let members = ["n1", "n2", "n3"].map(|name| member(&stage, name));
    let coordinator = Running::start(gather(&stage, 3).args(SLOW));
    let report = coordinator.end().with_code(0).report();
    let all: [(&str, &[u8]); 3] = [
        ("results/one", &big),
        ("results/two", &small),
        ("top", b"top"),
    ];
    for name in ["n1", "n2", "n3"] {
        assert_holds(&stage.path(name), &all);
        assert_eq!(node(&report, name)["state"], "complete", "{report}");
    }
    assert_eq!(report["bytes"], 3_001_004);
    assert_eq!(report["files"], 3);
    assert_eq!(report["bound_bytes"], 3_001_004, "n3 has nothing");
    assert_eq!(node(&report, "n2")["part_bytes"], 1_003);
    assert_eq!(node(&report, "n2")["received_bytes"], 3_000_001);
    assert!(
        report["percent"].as_f64().is_some_and(|it| it > 0.0),
        "{report}"
    );
    let same_file = |left: &str, right: &str| {
        let number = |path: &str| fs::metadata(stage.path(path)).expect("it is there").ino();
        number(left) == number(right)
    };
    // A file system that clones has no need to link.
    let is_clone = !same_file("part-n2/top", "n2/top");
    assert!(is_clone || same_file("part-n1/results/one", "n1/results/one"));
    assert!(!same_file("part-n1/results/one", "n2/results/one"));
    for member in &members {
        assert!(member.said().contains(": over"), "{}", member.said());
    }
}

#[test]
fn the_coordinator_takes_part_with_its_own_part() {
    let stage = Stage::new();
    stage.file("part-n1/a", "of n1");
    let own = stage.file("own/b", "of the coordinator");
    let into = stage.folder("all");
    let _member = member(&stage, "n1");
    let mut command = gather(&stage, 1);
    command
        .arg(own.parent().expect("a folder"))
        .arg("--into")
        .arg(&into);
    let report = Running::start(command.args(["--name", "n0"]))
        .end()
        .with_code(0)
        .report();
    let all: [(&str, &[u8]); 2] = [("a", b"of n1"), ("b", b"of the coordinator")];
    assert_holds(&into, &all);
    assert_holds(&stage.path("n1"), &all);
    assert_eq!(node(&report, "n0")["state"], "complete");
}

#[test]
fn empty_parts_a_node_with_nothing_to_share_and_one_node_alone() {
    let stage = Stage::new();
    let _empty = member(&stage, "empty");
    let report = Running::start(&mut gather(&stage, 1))
        .end()
        .with_code(0)
        .report();
    assert_eq!(node(&report, "empty")["state"], "complete");
    assert_eq!(report["bytes"], 0);
    stage.folder("part-dirs/a/b");
    let _dirs = member(&stage, "dirs");
    let _nothing = stage.receiver("nothing");
    Running::start(&mut gather(&stage, 3)).end().with_code(0);
    for name in ["empty", "dirs", "nothing"] {
        assert!(stage.path(name).join("a/b").is_dir(), "{name}");
    }
}

#[test]
fn nobody_is_there() {
    let stage = Stage::new();
    Running::start(&mut gather_in(&stage, "200ms"))
        .end()
        .with_code(3)
        .saying("nobody joined");
}

#[test]
fn a_conflict_is_named_before_anything_travels_and_decided_when_asked() {
    let stage = Stage::new();
    let (old, new) = (noise(3, 400_000), noise(4, 400_000));
    let first = stage.file("part-n1/x", &old);
    stage.file("part-n2/x", &new);
    stage.file("part-n2/y", "y");
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(1_000);
    let file = fs::File::options()
        .write(true)
        .open(&first)
        .expect("it opens");
    file.set_modified(past).expect("a time can be set");
    let _members = ["n1", "n2"].map(|name| member(&stage, name));
    let report = Running::start(&mut gather(&stage, 2))
        .end()
        .with_code(1)
        .saying("conflict: x differs at n1, n2")
        .report();
    assert_eq!(report["conflicts"][0]["path"], "x");
    assert!(report["conflicts"][0]["winner"].is_null());
    for name in ["n1", "n2"] {
        assert!(names(&stage.path(name)).is_empty(), "nothing travelled");
    }
    Running::start(gather(&stage, 2).args(["--conflict", "by-node"]))
        .end()
        .with_code(0)
        .saying("that of n1 is taken");
    for name in ["n1", "n2"] {
        assert_holds(&stage.path(name), &[("x", &old), ("y", b"y")]);
    }
    Running::start(gather(&stage, 2).args(["--conflict", "newest"]))
        .end()
        .with_code(0)
        .saying("that of n2 is taken");
    for name in ["n1", "n2"] {
        assert_holds(&stage.path(name), &[("x", &new), ("y", b"y")]);
    }
    assert_eq!(
        fs::read(&first).expect("it is there"),
        old,
        "parts stay as they are"
    );
}

#[test]
fn what_all_have_does_not_travel_and_what_some_have_travels_once() {
    let stage = Stage::new();
    let (all, some) = (noise(5, 700_000), noise(6, 900_000));
    for name in ["n1", "n2", "n3"] {
        stage.file(format!("part-{name}/all"), &all);
    }
    stage.file("part-n1/some", &some);
    stage.file("part-n2/some", &some);
    let _members = ["n1", "n2", "n3"].map(|name| member(&stage, name));
    let report = Running::start(&mut gather(&stage, 3))
        .end()
        .with_code(0)
        .report();
    for name in ["n1", "n2", "n3"] {
        assert_holds(&stage.path(name), &[("all", &all), ("some", &some)]);
    }
    assert_eq!(report["bytes"], 1_600_000);
    assert_eq!(report["bound_bytes"], 900_000);
    assert_eq!(node(&report, "n1")["received_bytes"], 0);
    assert_eq!(node(&report, "n3")["received_bytes"], 900_000);
}

/// Parts of three nodes that take some seconds at the rate of [`SLOW`].
const LONG: usize = 8_000_000;
const SLOW: [&str; 2] = ["--rate", "4MB/s"];

fn long_parts(stage: &Stage) -> [(&'static str, Vec<u8>); 3] {
    let parts = [("a", 11), ("b", 12), ("c", 13)].map(|(name, seed)| (name, noise(seed, LONG)));
    for ((name, content), node) in parts.iter().zip(["n1", "n2", "n3"]) {
        stage.file(format!("part-{node}/{name}"), content);
    }
    parts
}

#[test]
fn a_node_killed_in_the_middle_is_reported_and_a_rerun_completes() {
    let stage = Stage::new();
    let parts = long_parts(&stage);
    let [_n1, _n2, killed] = ["n1", "n2", "n3"].map(|name| member(&stage, name));
    let coordinator = Running::start(gather(&stage, 3).args(SLOW));
    coordinator.wait_for(" to go");
    killed.signal(Signal::KILL);
    let report = coordinator.end().with_code(1).report();
    assert_eq!(node(&report, "n3")["state"], "lost", "{report}");
    for (name, lacks) in [("n1", "n3"), ("n2", "n3")] {
        assert_eq!(node(&report, name)["state"], "incomplete", "{report}");
        assert_eq!(node(&report, name)["lacks"][0], lacks, "{report}");
    }
    for name in ["n1", "n2"] {
        for (file, content) in &parts[..2] {
            let found = fs::read(stage.path(name).join(file)).expect("what is left is there");
            assert!(found == *content, "{file} at {name}");
        }
        assert!(
            !stage.path(name).join("c").exists(),
            "a part under the final name"
        );
    }
    drop(killed);
    let restarted = member(&stage, "n3");
    Running::start(&mut gather(&stage, 3)).end().with_code(0);
    let all = parts
        .each_ref()
        .map(|(name, content)| (*name, &content[..]));
    for name in ["n1", "n2", "n3"] {
        assert_holds(&stage.path(name), &all);
    }
    restarted.wait_for("of what is sent to all");
}

#[test]
fn a_coordinator_that_dies_leaves_clear_words_and_a_rerun_goes_on() {
    let stage = Stage::new();
    let parts = long_parts(&stage);
    let members = ["n1", "n2", "n3"].map(|name| member(&stage, name));
    let coordinator = Running::start(gather(&stage, 3).args(SLOW));
    coordinator.wait_for(" to go");
    coordinator.signal(Signal::KILL);
    for member in &members {
        member.wait_for("the coordinator is gone");
    }
    Running::start(&mut gather(&stage, 3)).end().with_code(0);
    let all = parts
        .each_ref()
        .map(|(name, content)| (*name, &content[..]));
    for (name, member) in ["n1", "n2", "n3"].into_iter().zip(&members) {
        assert_holds(&stage.path(name), &all);
        member.wait_for("of what is sent to all");
    }
}

#[test]
fn what_is_there_already_is_kept_by_its_content_and_parts_stay_as_they_are() {
    let stage = Stage::new();
    let (old, new, some) = (noise(21, 500_000), noise(22, 500_000), noise(23, 900_000));
    let first = stage.file("part-n1/x", &old);
    let same = stage.file("part-n1/some", &some);
    let other = stage.file("part-n2/some", &some);
    stage.file("part-n2/y", "y");
    let past = std::time::SystemTime::now() - std::time::Duration::from_secs(1_000);
    let set_time = |path: &Path| {
        let file = fs::File::options().write(true).open(path).expect("opens");
        file.set_modified(past).expect("a time can be set");
    };
    set_time(&first);
    set_time(&same);
    let time_of = |path: &Path| {
        let found = fs::metadata(path).expect("it is there");
        found.modified().expect("it has a time")
    };
    let before = time_of(&other);
    let _members = ["n1", "n2", "n3"].map(|name| member(&stage, name));
    Running::start(&mut gather(&stage, 3)).end().with_code(0);
    let number = |path: &str| fs::metadata(stage.path(path)).expect("it is there").ino();
    let files = ["n3/x", "n3/some", "n3/y", "n1/y"];
    let placed = files.map(number);
    Running::start(&mut gather(&stage, 3)).end().with_code(0);
    assert_eq!(files.map(number), placed, "nothing is placed anew");
    assert_eq!(time_of(&other), before, "the part of n2 is not touched");

    // The same size and time, and other content: at one node, and in a part.
    let stale = stage.path("n3/x");
    fs::write(&stale, &new).expect("it can be written");
    set_time(&stale);
    Running::start(&mut gather(&stage, 3)).end().with_code(0);
    let all: [(&str, &[u8]); 3] = [("some", &some), ("x", &old), ("y", b"y")];
    for name in ["n1", "n2", "n3"] {
        assert_holds(&stage.path(name), &all);
    }
}

#[test]
fn parts_with_several_names_of_one_file_come_whole() {
    let stage = Stage::new();
    let content = noise(31, 400_000);
    let file = stage.file("part-n1/a", &content);
    for name in ["b", "c"] {
        fs::hard_link(&file, stage.path("part-n1").join(name)).expect("a link can be made");
    }
    let other = stage.file("part-n2/a", &content);
    fs::hard_link(&other, stage.path("part-n2/d")).expect("a link can be made");
    let _members = ["n1", "n2", "n3"].map(|name| member(&stage, name));
    let names = ["a", "b", "c", "d"];
    let all = names.map(|name| (name, &content[..]));
    for _ in 0..2 {
        let report = Running::start(&mut gather(&stage, 3))
            .end()
            .with_code(0)
            .report();
        assert_eq!(report["files"], 4, "{report}");
        for node in ["n1", "n2", "n3"] {
            assert_holds(&stage.path(node), &all);
        }
    }
}

#[test]
fn a_folder_to_share_must_be_one_and_must_not_hold_the_target() {
    let stage = Stage::new();
    let part = stage.folder("part");
    let inside = stage.folder("part/inside");
    let key = stage.path("key");
    let mut command = stage.receive_into(&inside, "n1", &key);
    Running::start(command.arg("--share").arg(&part))
        .end()
        .with_code(2)
        .saying("inside of it");
    let file = stage.file("file", "x");
    let mut command = stage.receive_into(&stage.folder("into"), "n1", &key);
    Running::start(command.arg("--share").arg(&file))
        .end()
        .with_code(2)
        .saying("not a directory");
}
