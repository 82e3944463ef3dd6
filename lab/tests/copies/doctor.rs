//! `grappe doctor` in networks that are as they should be, and in some that are not: each fault is made,
//! found by its name, and comes with the command that mends it.

#![expect(
    clippy::unwrap_used,
    reason = "steps of tests: to panic is to fail the test"
)]

use std::fs;
use std::process::Command;

use lab::net::{INTERFACE, Plan};
use lab::process::Process;
use serde::Deserialize;

use crate::trial::{COPY_MAX, Trial};

#[derive(Debug, Deserialize)]
struct Report {
    bad: usize,
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    check: String,
    node: Option<String>,
    level: String,
    text: String,
    advice: Option<String>,
}

impl Report {
    /// The finding of this check, about this node or the one where the doctor runs.
    #[track_caller]
    fn of(&self, check: &str, node: Option<&str>) -> &Finding {
        let mut found = self.findings.iter();
        let is_meant =
            |finding: &&Finding| finding.check == check && finding.node.as_deref() == node;
        found
            .find(is_meant)
            .unwrap_or_else(|| panic!("nothing about {check} of {node:?}: {self:#?}"))
    }

    /// Wants this finding to be bad, with these words in its advice.
    #[track_caller]
    fn assert_bad(&self, check: &str, node: Option<&str>, advice: &str) {
        let finding = self.of(check, node);
        assert_eq!(finding.level, "bad", "{self:#?}");
        assert!(
            finding
                .advice
                .as_deref()
                .is_some_and(|text| text.contains(advice)),
            "{finding:?}"
        );
    }
}

/// What the doctor on node 1 finds, and its exit code.
#[track_caller]
fn examine(trial: &Trial, arguments: &[&str]) -> Report {
    let mut command = trial.grappe.doctor(trial.cluster.node(1));
    command.args(arguments);
    let mut doctor = Process::start(command, trial.store.path(), "doctor").unwrap();
    let status = doctor.wait(COPY_MAX).unwrap().expect("it ends");
    let report: Report = serde_json::from_str(&doctor.output())
        .unwrap_or_else(|error| panic!("{error}: {} {}", doctor.output(), doctor.messages()));
    assert_eq!(status.code(), Some(i32::from(report.bad > 0)), "{report:?}");
    report
}

/// What the doctor on node 1 finds of a node whose address it knows, so that it need not hear the group.
#[track_caller]
fn examine_by_address(trial: &Trial, number: u8) -> Report {
    let node = trial.cluster.node(number);
    let hosts = trial.store.path().join("hosts");
    fs::write(&hosts, format!("{} {}\n", node.address(), node.name())).unwrap();
    let mut command = trial.cluster.node(1).command("sh");
    // `ip netns exec` gives it mounts of its own.
    let script = format!(
        "mount --bind {} /etc/hosts && exec \"$0\" \"$@\"",
        hosts.display()
    );
    command.args(["-c", &script]);
    command.args(trial.grappe.doctor_words());
    command.args(["--nodes", &node.name()]);
    let mut doctor = Process::start(command, trial.store.path(), "doctor").unwrap();
    doctor.wait(COPY_MAX).unwrap().expect("it ends");
    serde_json::from_str(&doctor.output()).unwrap()
}

/// Runs a command on a node, as its administrator would.
fn on(trial: &Trial, node: u8, line: &str) {
    let mut words = line.split_whitespace();
    let program = words.next().unwrap();
    let mut command: Command = trial.cluster.node(node).command(program);
    assert!(command.args(words).status().unwrap().success(), "{line}");
}

#[test]
fn a_network_that_is_as_it_should_be_has_nothing_bad() {
    let plan = Plan {
        link_mbit: Some(200),
        snooping: true,
        ..Plan::of(3)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let _receivers = trial.receivers(&[2, 3]);
    let report = examine(&trial, &["--nodes", "n[2-3]"]);
    assert_eq!(report.bad, 0, "{report:#?}");
    for check in [
        "key",
        "interface",
        "route",
        "mtu",
        "firewall",
        "querier",
        "flooding",
    ] {
        assert_eq!(report.of(check, None).level, "good", "{report:#?}");
    }
    // The lab shapes its links, and the doctor sees that and how fast they are.
    assert!(report.of("qdisc", None).text.contains("tbf"), "{report:#?}");
    for node in ["n2", "n3"] {
        let way = &report.of("way", Some(node)).text;
        let mbit: f64 = way.split(' ').next().unwrap().parse().unwrap();
        assert!((100.0..260.0).contains(&mbit), "{way}");
    }
}

#[test]
fn a_receiver_on_the_doctors_own_node_hears_it_as_it_would_a_copy() {
    let plan = Plan {
        link_mbit: Some(200),
        ..Plan::of(2)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let _receivers = trial.receivers(&[1, 2]);
    let report = examine(&trial, &["--nodes", "n[1-2]"]);
    assert_eq!(report.bad, 0, "{report:#?}");
    // What this host hears of itself passes no link, and is no measure for those behind one.
    for node in ["n1", "n2"] {
        assert_eq!(report.of("way", Some(node)).level, "good", "{report:#?}");
    }
}

#[test]
fn faults_of_nodes_are_told_apart() {
    let Some(trial) = Trial::new(&Plan::of(6)) else {
        return;
    };
    let receivers = trial.receivers(&[2, 3, 4]);
    // n2 drops what the group brings; n3 takes no full packets; n4 loses a part of everything.
    // Announcements pass.
    on(
        &trial,
        2,
        "iptables -A INPUT -i e0 -d 239.255.71.1 -p udp -j ACCEPT",
    );
    on(
        &trial,
        2,
        "iptables -A INPUT -i e0 -d 239.255.0.0/17 -p udp -j DROP",
    );
    on(&trial, 3, &format!("ip link set dev {INTERFACE} mtu 1400"));
    on(
        &trial,
        4,
        "iptables -A INPUT -i e0 -d 239.255.0.0/17 -m statistic --mode random --probability 0.05 -j DROP",
    );
    // n5 has another key.
    let stranger = lab::grappe::Grappe::with_new_key(&trial.store.fresh_folder("other").unwrap());
    let command = stranger.unwrap().receive(
        trial.cluster.node(5),
        &trial.store.fresh_folder("n5").unwrap(),
    );
    let _stranger = Process::start(command, trial.store.path(), "stranger").unwrap();

    let report = examine(&trial, &["--nodes", "n[2-4],n9"]);
    report.assert_bad("firewall", Some("n2"), "iptables -I INPUT");
    report.assert_bad("mtu", Some("n3"), "mtu 1500");
    assert!(
        report.of("mtu", Some("n3")).text.contains("1400"),
        "{report:#?}"
    );
    report.assert_bad("way", Some("n4"), "ethtool -S");
    report.assert_bad("nodes", Some("n9"), "/etc/hosts");
    // Without a snooping switch everything floods, and no querier is needed.
    assert_eq!(report.of("flooding", None).level, "note", "{report:#?}");
    assert_eq!(report.of("querier", None).level, "note", "{report:#?}");
    drop(receivers);

    // A name with an address where nothing listens.
    let report = examine_by_address(&trial, 6);
    report.assert_bad("nodes", Some("n6"), "grappe receive --into");
}

#[test]
fn a_network_that_drops_multicast_is_not_taken_for_a_firewall() {
    let Some(trial) = Trial::new(&Plan::of(3)) else {
        return;
    };
    let _receivers = trial.receivers(&[2]);
    trial
        .cluster
        .on_switch("ip link set dev port2 type bridge_slave mcast_flood off")
        .unwrap();
    let report = examine_by_address(&trial, 2);
    report.assert_bad("multicast", Some("n2"), "IGMP snooping");
}

#[test]
fn faults_of_this_node_are_found_without_any_other() {
    let Some(trial) = Trial::new(&Plan::of(1)) else {
        return;
    };
    on(
        &trial,
        1,
        "iptables -A INPUT -i e0 -d 239.255.0.0/16 -p udp -j DROP",
    );
    on(&trial, 1, "ip route del 224.0.0.0/4");
    on(&trial, 1, "ip link set dev e0 mtu 1300 multicast off");
    let report = examine(&trial, &[]);
    report.assert_bad("firewall", None, "iptables -I INPUT");
    report.assert_bad("mtu", None, "ip link set dev e0 mtu 1500");
    report.assert_bad("interface", None, "multicast on");
    assert!(report.of("nodes", None).advice.is_some(), "{report:#?}");

    // Without a key, and as a user who may not listen for IGMP nor have large buffers.
    let mut command = trial.cluster.node(1).command("setpriv");
    command.args([
        "--reuid=65534",
        "--clear-groups",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ]);
    command
        .arg(trial.grappe.binary())
        .args(["doctor", "--json", "--interface", INTERFACE]);
    command.args(["--key", "/nowhere/key"]);
    let mut doctor = Process::start(command, trial.store.path(), "doctor").unwrap();
    doctor.wait(COPY_MAX).unwrap().expect("it ends");
    let report: Report = serde_json::from_str(&doctor.output()).unwrap();
    report.assert_bad("key", None, "grappe key new");
    assert!(
        report.of("querier", None).text.contains("root"),
        "{report:#?}"
    );
    let rmem_max = fs::read_to_string("/proc/sys/net/core/rmem_max").unwrap();
    let mib = rmem_max.trim().parse::<f64>().unwrap() / f64::from(1 << 20);
    let granted = format!("{:.1} MiB", mib.min(32.0));
    assert!(
        report.of("buffers", None).text.contains(&granted),
        "{report:#?}"
    );
}
