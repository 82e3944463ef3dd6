//! Keys and trust: what is refused, and that each side is told why.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::program::Running;
use crate::skip::skip;
use crate::stage::{Stage, grappe, listening};

#[test]
fn without_a_key_the_command_that_makes_one_is_named() {
    if Path::new("/etc/grappe/key").exists() {
        skip("this machine has a key for everybody, /etc/grappe/key");
        return;
    }
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    for arguments in [vec!["send"], vec!["receive", "--into"]] {
        let mut command = grappe();
        command
            .args(arguments)
            .arg(&file)
            .args(["--interface", "lo"])
            .env("HOME", stage.folder("home"));
        Running::start(&mut command)
            .end()
            .with_code(2)
            .saying("no identity key found")
            .saying("grappe key new");
    }
}

#[test]
fn the_key_is_found_where_it_was_made_without_a_flag() {
    let stage = Stage::new();
    let home = stage.folder("home");
    let file = stage.file("data", b"content");
    Running::start(grappe().args(["key", "new"]).env("HOME", &home))
        .end()
        .with_code(0);
    let mut command = grappe();
    command
        .arg("send")
        .arg(&file)
        .args(["--interface", "lo", "--ttl", "0", "--wait", "0s"]);
    command
        .args(["--port", &stage.port.to_string()])
        .env("HOME", &home);
    Running::start(&mut command).end().with_code(3);
}

#[test]
fn a_key_is_never_overwritten() {
    let stage = Stage::new();
    let before = std::fs::read(stage.path("key")).unwrap();
    let ended = Running::start(grappe().args(["key", "new"]).arg(stage.path("key")))
        .end()
        .with_code(2);
    ended.saying("already exists");
    assert_eq!(std::fs::read(stage.path("key")).unwrap(), before);
}

#[test]
fn a_private_key_that_others_can_read_is_refused_as_ssh_does() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    set_permissions(stage.path("key"), Permissions::from_mode(0o644)).unwrap();
    for mut command in [stage.send(&[&file]), stage.receive("node")] {
        Running::start(&mut command)
            .end()
            .with_code(2)
            .saying("open to group or others")
            .saying("chmod 600");
    }
}

#[test]
fn a_trust_file_that_others_can_write_is_refused() {
    let stage = Stage::new();
    let trust = stage.trust("trust", &[("", &stage.path("key"))]);
    set_permissions(&trust, Permissions::from_mode(0o666)).unwrap();
    let mut command = stage.receive("node");
    Running::start(command.arg("--trust").arg(&trust))
        .end()
        .with_code(2)
        .saying("writable by group or others");
}

#[test]
fn a_sender_that_a_receiver_does_not_trust_finds_nobody() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let other = stage.new_key("other");
    let receiver = listening(&mut stage.receive_into(&stage.folder("node"), "node", &other));
    Running::start(stage.send(&[&file]).args(["--wait", "1s"]))
        .end()
        .with_code(3)
        .saying("nobody joined");
    receiver.wait_for("which is not trusted to send");
    assert!(!stage.path("node/data").exists());
}

#[test]
fn a_receiver_that_the_sender_does_not_trust_is_turned_away_and_told() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let other = stage.new_key("other");
    let trust = stage.trust("trust", &[("", &stage.path("key"))]);
    let mut command = stage.receive_into(&stage.folder("node"), "node", &other);
    let receiver = listening(command.arg("--trust").arg(&trust));
    let ended = Running::start(stage.send(&[&file]).args(["--wait", "2s"]))
        .end()
        .with_code(3);
    ended
        .saying("turned away: 127.0.0.1")
        .saying("not trusted to receive");
    receiver.wait_for("is not trusted to receive; add it to the sender's trust file");
    assert!(!stage.path("node/data").exists());
}

#[test]
fn roles_in_the_trust_file_let_each_side_do_its_part_only() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let (sender, receiver) = (stage.path("key"), stage.new_key("other"));
    let start = |name: &str, role: &str| {
        let trust = stage.trust(&format!("{name}'s trust"), &[(role, &sender)]);
        let mut command = stage.receive_into(&stage.folder(name), name, &receiver);
        listening(command.arg("--trust").arg(trust))
    };
    let _takes = start("takes", "send");
    let ignores = start("ignores", "receive");
    let send = |role: &str| {
        let trust = stage.trust("sender's trust", &[(role, &receiver)]);
        let mut command = stage.send(&[&file]);
        Running::start(
            command
                .args(["--json", "--wait", "1s", "--trust"])
                .arg(trust),
        )
        .end()
    };
    let ended = send("receive").with_code(0);
    assert_eq!(ended.report()["nodes"].as_array().map(Vec::len), Some(1));
    assert!(stage.path("takes/data").exists());
    ignores.wait_for("not trusted to send");
    send("send").with_code(3).saying("not trusted to receive");
    assert!(!stage.path("ignores/data").exists());
}
