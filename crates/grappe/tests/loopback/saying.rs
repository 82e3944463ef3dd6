//! What `grappe send` prints and where: one object on standard output or nothing, and lines on standard
//! error that others cannot forge or flood.

use std::io::Write;
use std::net::{Ipv4Addr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use grappe_proto::wire::announce::Announcement;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Signal;
use serde_json::Value;

use crate::program::{Ended, PATIENCE, Running, node};
use crate::stage::{Stage, by_shell, listening};

/// The names that the object promises, in alphabetical order.
const FIELDS: [&str; 11] = [
    "blake3",
    "bytes",
    "cancelled",
    "cipher",
    "files",
    "missing",
    "nodes",
    "packets",
    "seconds",
    "session",
    "skipped",
];

fn keys(object: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = object
        .as_object()
        .expect("an object")
        .keys()
        .map(|key| &**key)
        .collect();
    keys.sort_unstable();
    keys
}

#[test]
fn a_result_that_could_not_be_written_is_no_success() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let _receiver = stage.receiver("node");
    let full = r#"exec "$0" "$@" > /dev/full"#;
    for flag in ["--json", "--events"] {
        let mut command = stage.send(&[&file]);
        command.args([flag, "--wait", "30s", "--expect", "1"]);
        Running::start(&mut by_shell(full, &command))
            .end()
            .with_code(1)
            .saying("cannot write the ")
            .saying("1 file to 1 of 1 in");
    }
    let mut receive = stage.receive("other");
    let mut events = by_shell(full, receive.args(["--events"]));
    let receiver = listening(&mut events);
    receiver.signal(Signal::TERM);
    let ended = receiver
        .end()
        .with_code(1)
        .saying("cannot write the events");
    assert_eq!(ended.errors.matches("cannot write").count(), 1);
    // A reader that went away is another matter.
    let mut command = stage.send(&[&file]);
    command.args(["--json", "--wait", "30s", "--expect", "1"]);
    let gone = r#"{ "$0" "$@"; echo "code $?" >&2; } | true"#;
    Running::start(&mut by_shell(gone, &command))
        .end()
        .saying("code 0");
}

#[test]
fn one_who_reads_nothing_of_it_holds_up_no_copy() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let full = || {
        let (reader, writer) = std::io::pipe().unwrap();
        let flags = fcntl_getfl(&writer).unwrap();
        fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
        while (&writer).write(&[b'.'; 4096]).is_ok() {}
        while (&writer).write(b".").is_ok() {}
        fcntl_setfl(&writer, flags).unwrap();
        (reader, writer)
    };
    let (errors, receiver_says) = full();
    let mut receiver = stage
        .receive("node")
        .args(["--once"])
        .stderr(receiver_says)
        .spawn()
        .unwrap();
    let (output, sender_prints) = full();
    let (more_errors, sender_says) = full();
    let mut sender = stage
        .send(&[&file])
        .args(["--events", "--wait", "30s", "--expect", "1"])
        .stdout(sender_prints)
        .stderr(sender_says)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while sender.try_wait().unwrap().is_none() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(20));
    }
    let is_there = stage.path("node/data").exists();
    let _ended = (sender.kill(), receiver.kill());
    // Its events are lost.
    assert_eq!(sender.wait().unwrap().code(), Some(1));
    assert_eq!(receiver.wait().unwrap().code(), Some(0));
    assert!(is_there);
    drop((errors, output, more_errors));
}

#[test]
fn the_object_has_the_promised_fields_whatever_came_of_the_copy() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let nobody = Running::start(stage.send(&[&file]).args(["--json", "--wait", "100ms"]))
        .end()
        .with_code(3)
        .report();
    assert_eq!(keys(&nobody), FIELDS);
    assert_eq!(nobody["nodes"], serde_json::json!([]));
    assert_eq!(nobody["cancelled"], Value::Null);
    let _receiver = stage.receiver("node");
    let one = Running::start(&mut stage.send_to(1, &[&file]))
        .end()
        .with_code(0)
        .report();
    assert_eq!(keys(&one), FIELDS);
    let promised = [
        "bytes",
        "limited_by",
        "mtu",
        "name",
        "rate",
        "repaired",
        "seconds",
        "state",
        "transport",
    ];
    assert_eq!(keys(node(&one, "node")), promised);
}

#[test]
fn a_copy_that_was_broken_off_says_so_in_the_object() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let sender = Running::start(stage.send(&[&file]).args(["--json", "--wait", "60s"]));
    sender.wait_for("session ");
    sender.signal(Signal::TERM);
    let report = sender.end().with_code(1).report();
    assert_eq!(report["cancelled"], "stopped by SIGTERM");
}

#[test]
fn wrong_usage_leaves_standard_output_empty() {
    let stage = Stage::new();
    let silent = |arguments: &[&str]| {
        let mut command = stage.send(&[&stage.path("absent")]);
        let ended = Running::start(command.arg("--json").args(arguments)).end();
        assert_eq!(ended.with_code(2).output, "");
    };
    silent(&[]);
    silent(&["--to", "node["]);
    silent(&["--rate", "80mbps"]);
    silent(&["--group", "224.0.0.1"]);
}

#[test]
fn without_anybody_no_empty_table_is_printed() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let ended = Running::start(stage.send(&[&file]).args(["--wait", "100ms"])).end();
    assert_eq!(ended.with_code(3).output, "");
}

#[test]
fn who_was_named_and_never_came_is_limited_by_the_network() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let _receiver = stage.receiver("node1");
    let send = |arguments: &[&str]| -> Ended {
        let mut command = stage.send(&[&file]);
        command.args(["--to", "node[1-2]", "--wait", "1s"]);
        Running::start(command.args(arguments)).end().with_code(1)
    };
    let report = send(&["--json"]).report();
    assert_eq!(node(&report, "node2")["limited_by"], "network");
    let table = send(&[]).output;
    let line = table
        .lines()
        .find(|line| line.starts_with("node2 "))
        .unwrap();
    assert!(line.ends_with("network"), "{table}");
}

#[test]
fn when_those_who_came_were_all_turned_away_nobody_joined_and_the_reasons_are_said() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let other = stage.new_key("other");
    let trust = stage.trust("trust", &[("", &stage.path("key"))]);
    let mut command = stage.receive_into(&stage.folder("stranger"), "stranger", &other);
    let _stranger = listening(command.arg("--trust").arg(&trust));
    let _unwanted = stage.receiver("unwanted");
    let mut command = stage.send(&[&file]);
    let ended = Running::start(command.args(["--json", "--to", "wanted", "--wait", "2s"]))
        .end()
        .with_code(3)
        .saying("  unwanted: this copy is not for a node named `unwanted`")
        .saying("is not trusted to receive")
        .saying("firewall:");
    let (_, reasons) = ended
        .errors
        .split_once("These came and did not join:")
        .unwrap();
    assert!(reasons.contains("not trusted to receive"), "{reasons}");
}

#[test]
fn connections_that_come_to_nothing_are_told_once_and_counted() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, stage.port)).unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    let sender = Running::start(
        stage
            .send(&[&file])
            .args(["--to", "localhost", "--wait", "3s"]),
    );
    let mut packet = [0; 256];
    let (len, address) = stranger.recv_from(&mut packet).unwrap();
    let (heard, _, _) = Announcement::read(&packet[..len]).unwrap();
    for _ in 0..30 {
        // Closed at once: no greeting ever comes.
        drop(TcpStream::connect((address.ip(), heard.control_port)).unwrap());
        std::thread::sleep(Duration::from_millis(5));
    }
    let ended = sender.end().with_code(3);
    let told = ended.errors.matches("turned away: 127.0.0.1").count();
    // A connection may end as closed or as reset.
    assert!((1..=3).contains(&told), "{}", ended.errors);
    let more = format!("{} more connections refused", 30 - told);
    ended.saying(&more);
}

#[test]
fn the_rate_that_was_understood_is_said() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let mut command = stage.send(&[&file]);
    Running::start(command.args(["--wait", "100ms", "--rate", "80mbit"]))
        .end()
        .with_code(3)
        .saying(", at most 10.0 MB/s; waiting up to 0.1 s");
}
