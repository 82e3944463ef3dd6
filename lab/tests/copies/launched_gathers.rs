//! Gathers whose nodes are started for them, through a real sshd in every namespace: the union everywhere,
//! each node that cannot take part named, and nothing left behind.

#![expect(
    clippy::unwrap_used,
    reason = "steps of tests: to panic is to fail the test"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use lab::content;
use lab::grappe::Report;
use lab::net::{INTERFACE, Plan};
use lab::process::Process;

use crate::launching::Site;
use crate::trial::{COPY_MAX, finish_with_losses};

/// Bytes of the part of a node; none is as large as another.
fn part_bytes(node: u8) -> u64 {
    u64::from(node) << 20
}

/// Slow enough that there is a middle of the gather to end something in.
fn slow(nodes: u8) -> Plan {
    Plan {
        link_mbit: Some(20),
        ..Plan::of(nodes)
    }
}

impl Site {
    /// Gives a node a part on its own disk, with a file of its own.
    fn make_part(&self, node: u8) {
        let folder = self.trial.disk_of(node).join("mine/results");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join(format!("of-{node}"));
        content::create(&file, part_bytes(node), u64::from(node)).unwrap();
    }

    /// `grappe gather` on node 1 of nodes that it starts; `own` are the words by which it takes part itself.
    fn gather(&self, own: &[&str], nodes: &str, remote: &Path) -> Command {
        let node = self.trial.cluster.node(1);
        let disk = self.disk.display();
        let mut command = node.command(&self.trial.grappe.binary().display().to_string());
        command.arg("gather").args(own);
        command.args([&format!("{nodes}:{disk}/all"), "--json"]);
        command.args(["--share", &format!("{disk}/mine")]);
        command.args(["--interface", INTERFACE, "--ssh", &self.servers.program()]);
        command.arg("--remote-path").arg(remote);
        // No key of this user's is needed, nor may one be used.
        command.env("HOME", self.trial.store.path().join("nobody"));
        command
    }

    /// Wants what `owners` shared, and nothing else, in `folder`.
    fn assert_union(&self, folder: &Path, owners: &[u8]) {
        for owner in owners {
            let name = format!("results/of-{owner}");
            let original = self.trial.disk_of(*owner).join("mine").join(&name);
            let copy = folder.join(&name);
            assert!(
                content::identical(&original, &copy),
                "{} is not the same",
                copy.display()
            );
        }
        let count = |folder: &Path| fs::read_dir(folder).unwrap().count();
        assert_eq!(count(folder), 1, "in {}", folder.display());
        assert_eq!(count(&folder.join("results")), owners.len());
    }
}

fn start(site: &Site, command: Command) -> Process {
    Process::start(command, site.trial.store.path(), "gather").unwrap()
}

#[test]
fn nodes_are_started_have_the_union_and_are_gone() {
    let Some(site) = Site::new(&Plan::of(4), &[2, 3, 4]) else {
        return;
    };
    let nodes = [2, 3, 4];
    nodes.iter().for_each(|node| site.make_part(*node));
    let mut gather = start(
        &site,
        site.gather(&[], "n[2-4]", site.trial.grappe.binary()),
    );
    gather.finish(COPY_MAX).unwrap();
    let report = Report::parse(&gather.output()).unwrap();
    assert_eq!(report.nodes.len(), 3, "{report:?}");
    for node in nodes {
        assert_eq!(report.state_of(&format!("n{node}")), "complete");
        site.assert_union(&site.trial.disk_of(node).join("all"), &nodes);
    }
    site.assert_nothing_left(&nodes, &["all", "mine"]);
}

#[test]
fn each_node_that_cannot_take_part_says_why_and_the_rest_has_the_union() {
    let Some(site) = Site::new(&Plan::of(6), &[2, 3, 4, 6]) else {
        return;
    };
    // n4 has no grappe, n5 no sshd, n6 nothing to share; the node of the command takes part itself.
    for node in [2, 3, 6] {
        let link = site.trial.disk_of(node).join("grappe");
        symlink(site.trial.grappe.binary(), link).unwrap();
    }
    for node in [1, 2, 3, 4] {
        site.make_part(node);
    }
    let all = site.trial.disk_of(1).join("all");
    fs::create_dir(&all).unwrap();
    let remote = site.disk.join("grappe");
    let (own, into) = (
        site.trial.disk_of(1).join("mine"),
        all.display().to_string(),
    );
    let own = [&own.display().to_string(), "--into", &into, "--name", "n1"];
    let mut command = site.gather(&own, "n[2-6],n99", &remote);
    command.args(["--wait", "8s"]);
    let mut gather = start(&site, command);
    let report = finish_with_losses(&mut gather);
    for node in [1, 2, 3] {
        let name = format!("n{node}");
        assert_eq!(report.state_of(&name), "complete", "{report:?}");
        site.assert_union(&site.trial.disk_of(node).join("all"), &[1, 2, 3]);
    }
    for (node, reason) in [
        ("n4", "--remote-path"),
        ("n5", "refused"),
        ("n6", "cannot share"),
        ("n99", "resolve"),
    ] {
        assert_eq!(report.state_of(node), "absent", "{report:?}");
        let told = report.reason_of(node);
        assert!(told.contains(reason), "{node}: {told}");
    }
    assert!(!gather.messages().contains("It was announced"));
}

#[test]
fn nobody_that_may_log_in_is_nobody_that_joins() {
    let Some(site) = Site::new(&Plan::of(2), &[2]) else {
        return;
    };
    let keys = site.trial.store.path().join("ssh/authorized_keys");
    fs::write(keys, "# nobody\n").unwrap();
    let mut gather = start(&site, site.gather(&[], "n2", site.trial.grappe.binary()));
    let status = gather.wait(COPY_MAX).unwrap().expect("it ends");
    assert_eq!(status.code(), Some(3), "{}", gather.messages());
    let said = gather.messages();
    assert!(said.contains("may not log in"), "{said}");
    assert!(!said.contains("It was announced"), "{said}");
}

#[test]
fn a_node_whose_login_is_killed_is_told_of_and_the_others_have_the_rest() {
    let Some(site) = Site::new(&slow(4), &[2, 3, 4]) else {
        return;
    };
    let nodes = [2, 3, 4];
    nodes.iter().for_each(|node| site.make_part(*node));
    let mut gather = start(
        &site,
        site.gather(&[], "n[2-4]", site.trial.grappe.binary()),
    );
    site.trial.wait_for_bytes(2, 1 << 20);
    site.kill_login("n4");
    let report = finish_with_losses(&mut gather);
    assert_ne!(report.state_of("n4"), "complete", "{report:?}");
    for node in [2, 3] {
        let name = format!("n{node}");
        assert_eq!(report.state_of(&name), "incomplete", "{report:?}");
        let told = report.reason_of(&name);
        assert!(told.contains("n4"), "{told}");
        site.assert_nothing_left(&[node], &["all", "mine"]);
        for owner in [2, 3] {
            let name = format!("results/of-{owner}");
            let original = site.trial.disk_of(owner).join("mine").join(&name);
            let copy = site.trial.disk_of(node).join("all").join(&name);
            assert!(content::identical(&original, &copy), "{name} at n{node}");
        }
    }
}

#[test]
fn a_killed_coordinator_leaves_no_process_and_the_same_command_completes() {
    let Some(site) = Site::new(&slow(4), &[2, 3, 4]) else {
        return;
    };
    let nodes = [2, 3, 4];
    nodes.iter().for_each(|node| site.make_part(*node));
    let binary = site.trial.grappe.binary();
    let mut gather = start(&site, site.gather(&[], "n[2-4]", binary));
    site.trial.wait_for_bytes(2, 2 << 20);
    gather.kill();
    site.assert_nothing_left(&nodes, &["all", "mine"]);
    let mut gather = start(&site, site.gather(&[], "n[2-4]", binary));
    gather.finish(COPY_MAX).unwrap();
    for node in nodes {
        site.assert_union(&site.trial.disk_of(node).join("all"), &nodes);
    }
}
