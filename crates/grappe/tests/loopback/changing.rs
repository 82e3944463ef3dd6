//! Sources that change under the sender: reported file by file, never placed half, and the rest arrives.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::program::{Running, node};
use crate::stage::Stage;
use crate::tree::{assert_same, names, noise};

/// Twice what is read ahead, so that what comes after it is still unread when it begins to flow.
const LONG: usize = 8 << 20;

fn skipped<'a>(report: &'a Value, name: &str) -> &'a str {
    let skipped = report["skipped"]
        .as_array()
        .expect("a list of what was skipped");
    let found = skipped.iter().find(|item| {
        item["path"]
            .as_str()
            .is_some_and(|path| path.ends_with(name))
    });
    found
        .and_then(|item| item["reason"].as_str())
        .unwrap_or_else(|| panic!("{name} is not in {report}"))
}

#[test]
fn files_that_vanish_and_grow_are_reported_and_the_rest_arrives() {
    let stage = Stage::new();
    let long = stage.file("tree/1 long", noise(1, LONG));
    stage.file("tree/2 vanishing", b"soon gone");
    stage.file("tree/3 growing", noise(3, 400_000));
    stage.file("tree/4 staying", b"stays");
    stage.file("tree/5 replaced", b"by a folder");
    stage.file("tree/below/6 staying", noise(6, 70_000));
    let receiver = stage.receiver("node");
    let sender = Running::start(
        stage
            .send_to(1, &[&stage.path("tree")])
            .args(["--rate", "3MB/s"]),
    );
    sender.wait_for("sending to 1");
    fs::remove_file(stage.path("tree/2 vanishing")).unwrap();
    fs::remove_file(stage.path("tree/5 replaced")).unwrap();
    fs::create_dir(stage.path("tree/5 replaced")).unwrap();
    grow(&stage.path("tree/3 growing"));
    let ended = sender.end().with_code(1).saying("not sent whole");
    let report = ended.report();
    assert!(
        skipped(&report, "2 vanishing").contains("vanish"),
        "{report}"
    );
    assert!(
        skipped(&report, "3 growing").contains("changed"),
        "{report}"
    );
    assert!(
        skipped(&report, "5 replaced").contains("replaced"),
        "{report}"
    );
    assert_eq!(
        report["skipped"].as_array().map(Vec::len),
        Some(3),
        "{report}"
    );
    assert_eq!(node(&report, "node")["state"], "complete");
    receiver.wait_for("complete and verified");
    let copy = stage.path("node/tree");
    assert_eq!(names(&copy), ["1 long", "4 staying", "below"]);
    for name in ["4 staying", "below/6 staying"] {
        assert_same(&stage.path("tree").join(name), &copy.join(name));
    }
    assert_same(&long, &copy.join("1 long"));
}

#[test]
fn a_file_that_grows_while_it_flows_leaves_the_old_copy_in_place() {
    let stage = Stage::new();
    let file = stage.file("data", noise(1, LONG));
    stage.file("node/data", b"the copy of yesterday");
    let receiver = stage.receiver("node");
    let sender = Running::start(stage.send_to(1, &[&file]).args(["--rate", "4MB/s"]));
    sender.wait_for(" % at ");
    grow(&file);
    let report = sender.end().with_code(1).report();
    receiver.wait_for("node/data: not sent whole, an earlier one stays: it changed at the sender");
    assert!(skipped(&report, "data").contains("changed"), "{report}");
    assert_eq!(
        fs::read(stage.path("node/data")).unwrap(),
        b"the copy of yesterday"
    );
    assert_eq!(names(&stage.path("node")), ["data"]);
}

#[test]
fn a_file_that_vanished_does_not_hide_that_its_namesake_could_not_be_placed() {
    let stage = Stage::new();
    stage.file("tree/1 long", noise(1, LONG));
    stage.file("tree/name", b"content");
    let vanishing = stage.file("elsewhere/name", b"soon gone");
    stage.folder("node/tree");
    let receiver = stage.receiver("node");
    let paths = [stage.path("tree"), vanishing.clone()];
    let sender = Running::start(
        stage
            .send_to(1, &paths.each_ref().map(PathBuf::as_path))
            .args(["--rate", "4MB/s"]),
    );
    sender.wait_for(" % at ");
    fs::remove_file(&vanishing).unwrap();
    fs::create_dir(stage.path("node/tree/name")).unwrap();
    let report = sender.end().with_code(1).report();
    assert_eq!(node(&report, "node")["state"], "failed", "{report}");
    let reason = node(&report, "node")["reason"].to_string();
    assert!(
        reason.contains("1 entry not placed, such as")
            && reason.contains("tree/name: a directory is in the way"),
        "{reason}"
    );
    receiver.wait_for("node/name: not sent whole, an earlier one stays: it vanished at the sender");
    receiver.wait_for("node/tree/name: not placed: a directory is in the way");
}

#[test]
fn what_cannot_be_sent_is_reported_before_and_the_rest_arrives() {
    let stage = Stage::new();
    let file = stage.file("tree/file", b"content");
    let fifo = stage.path("tree/fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
    let secret = stage.file("tree/secret", b"secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o0)).unwrap();
    // Root reads everything.
    let unreadable = fs::read(&secret).is_err();
    let _receiver = stage.receiver("node");
    let report = Running::start(&mut stage.send_to(1, &[&stage.path("tree")]))
        .end()
        .with_code(1)
        .report();
    assert!(skipped(&report, "fifo").contains("fifo"), "{report}");
    assert_same(&file, &stage.path("node/tree/file"));
    if unreadable {
        assert!(skipped(&report, "secret").contains("denied"), "{report}");
        assert!(!stage.path("node/tree/secret").exists());
    }
}

fn grow(path: &Path) {
    let mut file = OpenOptions::new()
        .append(true)
        .open(path)
        .expect("the file is there");
    file.write_all(b"more").expect("it takes more");
}
