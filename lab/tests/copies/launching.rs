//! Receivers started by the sender itself, through a real sshd in every namespace: what is reported,
//! and that nothing stays behind.

#![expect(
    clippy::unwrap_used,
    reason = "steps of tests: to panic is to fail the test"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use lab::content;
use lab::grappe::Report;
use lab::net::Plan;
use lab::process::Process;
use lab::ssh::SshServers;

use crate::trial::{COPY_MAX, Trial, finish_with_losses, skip};

/// What a receiver whose launcher is gone may take to end, on a busy machine.
const END_MAX: Duration = Duration::from_secs(20);

/// A cluster whose nodes can be logged in to.
pub(crate) struct Site {
    pub(crate) servers: SshServers,
    pub(crate) trial: Trial,
    /// Every node's own disk, at one path.
    pub(crate) disk: PathBuf,
}

impl Site {
    pub(crate) fn new(plan: &Plan, nodes: &[u8]) -> Option<Self> {
        let trial = Trial::new(plan)?;
        if let Some(reason) = SshServers::unavailable() {
            skip(&reason);
            return None;
        }
        let disk = trial.store.path().join("disk");
        let own = |node| trial.disk_of(node);
        let folder = trial.store.path();
        let servers = SshServers::start(&trial.cluster, nodes, folder, &disk, own).unwrap();
        Some(Self {
            servers,
            trial,
            disk,
        })
    }

    fn target(&self, nodes: &str) -> String {
        format!("{nodes}:{}", self.disk.display())
    }

    /// `grappe send` on node 1 to receivers that it starts.
    fn command(&self, file: &Path, nodes: &str, remote: &Path) -> Command {
        let node = self.trial.cluster.node(1);
        let mut command = self
            .trial
            .grappe
            .send_launching(node, file, &self.target(nodes));
        command.args(["--ssh", &self.servers.program()]);
        command.arg("--remote-path").arg(remote);
        // No key of this user's is needed, nor may one be used.
        command.env("HOME", self.trial.store.path().join("nobody"));
        command
    }

    fn send(&self, file: &Path, nodes: &str) -> Process {
        let command = self.command(file, nodes, self.trial.grappe.binary());
        self.start(command)
    }

    fn start(&self, command: Command) -> Process {
        Process::start(command, self.trial.store.path(), "send").unwrap()
    }

    /// Kills the `ssh` on node 1 that is logged in to a node.
    pub(crate) fn kill_login(&self, node: &str) {
        let processes = self.trial.cluster.node(1).processes().unwrap();
        let is_meant = |process: &i32| {
            let line = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
            line.starts_with("ssh\0") && line.split('\0').any(|word| word == node)
        };
        let process = processes.into_iter().find(is_meant).expect("it runs");
        let killed = Command::new("kill")
            .args(["-9", &process.to_string()])
            .status();
        assert!(killed.unwrap().success());
    }

    /// Wants no `grappe` and no login left on these nodes, and nothing but `files` on their disks.
    pub(crate) fn assert_nothing_left(&self, nodes: &[u8], files: &[&str]) {
        for &number in nodes {
            let node = self.trial.cluster.node(number);
            let deadline = Instant::now() + END_MAX;
            // sshd itself stays.
            while node.processes().unwrap().len() > 1 {
                assert!(Instant::now() < deadline, "{} is not quiet", node.name());
                thread::sleep(Duration::from_millis(50));
            }
            let mut left: Vec<String> = fs::read_dir(self.trial.disk_of(number))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect();
            left.sort();
            assert_eq!(left, files, "on {}", node.name());
        }
    }
}

#[test]
fn receivers_are_started_get_everything_and_are_gone() {
    let plan = Plan {
        link_mbit: Some(1000),
        ..Plan::of(4)
    };
    let Some(site) = Site::new(&plan, &[2, 3, 4]) else {
        return;
    };
    let file = site.trial.file("content", 16 << 20);
    let mut sender = site.send(&file, "n[2-4]");
    sender.finish(COPY_MAX).unwrap();
    let report = Report::parse(&sender.output()).unwrap();
    assert_eq!(report.nodes.len(), 3);
    for node in [2, 3, 4] {
        assert_eq!(report.state_of(&format!("n{node}")), "complete");
        site.trial.assert_whole(node, &file);
    }
    site.assert_nothing_left(&[2, 3, 4], &["content"]);
}

#[test]
fn each_node_that_cannot_be_started_says_why_and_the_others_complete() {
    let plan = Plan::of(6);
    let Some(mut site) = Site::new(&plan, &[2, 3, 4]) else {
        return;
    };
    // On n3 there is no grappe, on n4 one that speaks another protocol; on n5 there is no sshd, and n6
    // drops what comes. What stands in for them is a shell script: a fake, of a grappe.
    let remote = site.trial.store.path().join("disk").join("grappe");
    std::os::unix::fs::symlink(
        site.trial.grappe.binary(),
        site.trial.disk_of(2).join("grappe"),
    )
    .unwrap();
    let hello =
        r#"grappe-launched {"hello":{"launch":1,"protocol":999,"program":"9.9.9","name":null}}"#;
    script(
        &site.trial.disk_of(4).join("grappe"),
        &format!("echo '{hello}'; exec cat >/dev/null"),
    );
    let deaf = site.trial.cluster.node(6);
    let dropped = deaf
        .command("iptables")
        .args(["-A", "INPUT", "-p", "tcp", "-j", "DROP"])
        .status();
    assert!(dropped.unwrap().success());

    let file = site.trial.file("content", 1 << 20);
    let mut command = site.command(&file, "n[2-6],n99", &remote);
    command.args(["--wait", "5s"]);
    let mut sender = site.start(command);
    let report = finish_with_losses(&mut sender);
    assert_eq!(report.state_of("n2"), "complete", "{report:?}");
    site.trial.assert_whole(2, &file);
    for (node, reason) in [
        ("n3", "--remote-path"),
        ("n4", "9.9.9"),
        ("n5", "refused"),
        ("n6", "no answer"),
        ("n99", "resolve"),
    ] {
        assert_eq!(report.state_of(node), "lost", "{report:?}");
        let told = report.reason_of(node);
        assert!(told.contains(reason), "{node}: {told}");
    }
    site.servers.kill(0);
}

#[test]
fn a_login_that_is_refused_is_told_with_the_command_that_shows_it() {
    let Some(site) = Site::new(&Plan::of(2), &[2]) else {
        return;
    };
    fs::write(
        site.trial.store.path().join("ssh/authorized_keys"),
        "# nobody\n",
    )
    .unwrap();
    let file = site.trial.file("content", 1 << 20);
    let mut sender = site.send(&file, "n2");
    let status = sender.wait(COPY_MAX).unwrap().expect("it ends");
    assert_eq!(status.code(), Some(3), "nobody joined");
    let said = sender.messages();
    assert!(
        said.contains("may not log in") && said.contains("Permission denied"),
        "{said}"
    );
    assert!(!said.contains("It was announced"), "{said}");
}

#[test]
fn a_killed_ssh_ends_its_receiver_and_the_others_complete() {
    let plan = Plan {
        link_mbit: Some(100),
        ..Plan::of(4)
    };
    let Some(site) = Site::new(&plan, &[2, 3, 4]) else {
        return;
    };
    let file = site.trial.file("content", 32 << 20);
    let mut sender = site.send(&file, "n[2-4]");
    site.trial.wait_for_bytes(4, 8 << 20);
    site.kill_login("n4");
    let report = finish_with_losses(&mut sender);
    assert_eq!(report.state_of("n2"), "complete", "{report:?}");
    assert_eq!(report.state_of("n3"), "complete", "{report:?}");
    assert_ne!(report.state_of("n4"), "complete", "{report:?}");
    site.trial.assert_whole(2, &file);
    site.assert_nothing_left(&[2, 3], &["content"]);
    // What has arrived waits for another attempt, under no final name.
    assert!(!site.trial.copy_of(4, &file).exists());
}

#[test]
fn a_killed_sender_leaves_no_process_on_any_node() {
    let plan = Plan {
        link_mbit: Some(100),
        ..Plan::of(3)
    };
    let Some(site) = Site::new(&plan, &[2, 3]) else {
        return;
    };
    let file = site.trial.file("content", 32 << 20);
    let mut sender = site.send(&file, "n[2-3]");
    site.trial.wait_for_bytes(2, 8 << 20);
    sender.kill();
    for node in [2, 3] {
        let node = site.trial.cluster.node(node);
        let deadline = Instant::now() + END_MAX;
        while node.processes().unwrap().len() > 1 {
            assert!(Instant::now() < deadline, "{} is not quiet", node.name());
            thread::sleep(Duration::from_millis(50));
        }
    }
    // The same command again goes on and completes.
    let mut sender = site.send(&file, "n[2-3]");
    sender.finish(COPY_MAX).unwrap();
    site.trial.assert_whole(2, &file);
    assert!(content::identical(&file, &site.trial.copy_of(3, &file)));
    site.assert_nothing_left(&[2, 3], &["content"]);
}

fn script(path: &Path, body: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
