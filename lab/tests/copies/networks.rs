//! Copies across the networks that clusters have: snooping switches, lossy links, two senders at once.

use lab::net::{INTERFACE, Plan};
use lab::process::Process;

use crate::trial::{COPY_MAX, Trial};

#[test]
fn a_snooping_switch_delivers_to_members_only() {
    let plan = Plan {
        link_mbit: Some(1000),
        snooping: true,
        ..Plan::of(5)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let bystander = trial.cluster.node(5);
    let file = trial.file("content", 64 << 20);
    let _receivers = trial.receivers(&[2, 3, 4]);
    let report = trial.copy(1, &file, &[2, 3, 4]);
    assert!(
        bystander.received_bytes().unwrap() < 4 << 20,
        "the switch does not snoop, so nothing was tried"
    );
    assert_eq!(report.nodes.len(), 3);
    assert_eq!(report.bytes, 64 << 20);
}

#[test]
fn nodes_without_ipv4_copy_over_ipv6() {
    let plan = Plan {
        link_mbit: Some(200),
        loss_percent: 0.5,
        split: true,
        ipv6: true,
        ..Plan::of(4)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let file = trial.file("content", 16 << 20);
    let receivers = trial.receivers(&[2, 3, 4]);
    let report = trial.copy(1, &file, &[2, 3, 4]);
    assert_eq!(report.nodes.len(), 3);

    // Without an address of their own, nodes have that of the link left, which means nothing without it.
    drop(receivers);
    for node in trial.cluster.nodes() {
        let address = format!("{}/64", node.address_v6());
        let mut command = node.command("ip");
        command.args(["addr", "del", &address, "dev", INTERFACE]);
        assert!(command.status().unwrap().success());
    }
    let file = trial.file("again", 16 << 20);
    let receivers = trial.receivers(&[2, 3, 4]);
    trial.copy(1, &file, &[2, 3, 4]);
    assert!(
        receivers[0].messages().contains("fe80::"),
        "by the address of the link: {}",
        receivers[0].messages()
    );
}

#[test]
fn trains_stay_whole_over_ipv6() {
    let plan = Plan {
        ipv6: true,
        snooping: true,
        ..Plan::of(4)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let bystander = trial.cluster.node(4);
    let file = trial.file("content", 64 << 20);
    let _receivers = trial.receivers(&[2, 3]);
    let frames = trial.cluster.node(1).sent_packets().unwrap();
    trial.copy(1, &file, &[2, 3]);
    let frames = trial.cluster.node(1).sent_packets().unwrap() - frames;
    assert!(
        frames < (64 << 20) / 1413 / 2,
        "packets left one by one: {frames}"
    );
    assert!(
        bystander.received_bytes().unwrap() < 8 << 20,
        "who joined no group hears no copy"
    );
}

/// A small copy to three nodes, which arrives whatever is lost.
fn arrives(plan: &Plan) {
    let Some(trial) = Trial::new(plan) else {
        return;
    };
    let file = trial.file("content", 16 << 20);
    let _receivers = trial.receivers(&[2, 3, 4]);
    trial.copy(1, &file, &[2, 3, 4]);
}

/// From now on, the interface of node `number` takes no jumbo frames.
fn narrow(trial: &Trial, number: u8) {
    let mut command = trial.cluster.node(number).command("ip");
    command.args(["link", "set", "dev", INTERFACE, "mtu", "1500"]);
    assert!(command.status().expect("ip runs").success());
}

#[test]
fn two_percent_of_loss_are_repaired() {
    arrives(&Plan {
        link_mbit: Some(50),
        loss_percent: 2.0,
        split: true,
        ..Plan::of(4)
    });
}

#[test]
fn two_senders_at_once_both_arrive() {
    let plan = Plan {
        link_mbit: Some(200),
        ..Plan::of(4)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let files = [
        trial.file("first", 24 << 20),
        trial.file("another", 24 << 20),
    ];
    let _receivers = trial.receivers(&[3, 4]);
    let mut senders: Vec<Process> = files
        .iter()
        .zip(1..)
        .map(|(file, node)| trial.sender(node, file, 2))
        .collect();
    for sender in &mut senders {
        sender.finish(COPY_MAX).unwrap();
    }
    for file in &files {
        trial.assert_whole(3, file);
        trial.assert_whole(4, file);
    }
}

#[test]
fn jumbo_frames_carry_several_symbols_where_every_node_hears_them() {
    let plan = Plan {
        link_mbit: Some(200),
        split: true, // packets of a train would be counted as one
        mtu: 9000,
        ..Plan::of(4)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let sender = trial.cluster.node(1);
    let copied = |name: &str| {
        let file = trial.file(name, 32 << 20);
        let _receivers = trial.receivers(&[2, 3, 4]);
        let before = (sender.sent_packets().unwrap(), sender.sent_bytes().unwrap());
        trial.copy(1, &file, &[2, 3, 4]);
        let packets = sender.sent_packets().unwrap() - before.0;
        (sender.sent_bytes().unwrap() - before.1) / packets
    };
    let mean = copied("content");
    assert!(mean > 5_000, "packets of {mean} bytes");

    // One node that drops them, and all get smaller ones.
    narrow(&trial, 4);
    let mean = copied("again");
    assert!(mean < 1_600, "packets of {mean} bytes");
}

#[test]
fn jumbo_frames_that_get_lost_are_repaired_over_ipv6_as_well() {
    for ipv6 in [false, true] {
        arrives(&Plan {
            link_mbit: Some(200),
            loss_percent: 2.0,
            split: true,
            mtu: 9000,
            ipv6,
            ..Plan::of(4)
        });
    }
}

#[test]
fn jumbo_frames_that_cease_to_pass_give_way_to_small_ones() {
    // At one receiver, and at the sender itself.
    for node in [4, 1] {
        let plan = Plan {
            link_mbit: Some(200),
            split: true,
            mtu: 9000,
            ..Plan::of(4)
        };
        let Some(trial) = Trial::new(&plan) else {
            return;
        };
        let file = trial.file("content", 64 << 20);
        let _receivers = trial.receivers(&[2, 3, 4]);
        let mut sender = trial.sender(1, &file, 3);
        trial.wait_for_bytes(2, 24 << 20);
        narrow(&trial, node);
        assert!(sender.is_running().unwrap(), "the copy ended too early");
        sender.finish(COPY_MAX).unwrap();
        for node in [2, 3, 4] {
            trial.assert_whole(node, &file);
        }
    }
}
