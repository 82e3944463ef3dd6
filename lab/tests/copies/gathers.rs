//! Gathers on a network with shaped links: everything everywhere, and nothing travels twice.

use std::fs;
use std::thread;
use std::time::Duration;

use lab::content;
use lab::net::Plan;

use crate::trial::{COPY_MAX, Trial};

/// The bytes of each node's part; the first node has none.
const PARTS: [(u8, u64); 3] = [(2, 6 << 20), (3, 2 << 20), (4, 4 << 20)];

/// What may reach a node beside the content that it lacks: headers, beats, repairs.
const MORE_MAX: f64 = 1.25;

/// Time that receivers get to come up.
const RECEIVER_START: Duration = Duration::from_millis(1500);

#[test]
fn every_node_gets_what_it_lacks_once() {
    let Some(trial) = Trial::new(&Plan {
        link_mbit: Some(200),
        snooping: true,
        ..Plan::of(4)
    }) else {
        return;
    };
    for (node, bytes) in PARTS {
        let part = trial.part(node);
        fs::create_dir_all(part.join("results")).unwrap();
        let file = part.join(format!("results/of-{node}"));
        content::create(&file, bytes, u64::from(node)).unwrap();
    }
    let _members: Vec<_> = (1..=4).map(|node| trial.member(node)).collect();
    thread::sleep(RECEIVER_START);
    let received = || {
        let nodes = trial.cluster.nodes().iter();
        nodes
            .map(|node| node.received_bytes().unwrap())
            .collect::<Vec<u64>>()
    };
    let before = received();
    let mut gather = trial.gather(1, 4);
    gather.finish(COPY_MAX).unwrap();
    let after = received();
    let all: u64 = PARTS.iter().map(|(_, bytes)| bytes).sum();
    for node in 1..=4 {
        for (owner, _) in PARTS {
            let name = format!("results/of-{owner}");
            let copy = trial.arrived(node, &name);
            let original = trial.part(owner).join(&name);
            assert!(content::identical(&original, &copy), "{name} at n{node}");
        }
        let own = PARTS.iter().find(|(owner, _)| *owner == node);
        let lacked = all - own.map_or(0, |(_, bytes)| *bytes);
        let index = usize::from(node) - 1;
        let came = (after[index] - before[index]) as f64;
        assert!(
            came >= lacked as f64,
            "n{node} lacked {lacked}, {came} came"
        );
        assert!(
            came <= lacked as f64 * MORE_MAX,
            "n{node} lacked {lacked}, {came} came"
        );
    }
}

/// What has arrived of a gather that was broken off counts as there, whoever has it by now.
#[test]
fn a_rerun_sends_what_some_node_still_lacks_and_nothing_of_finished_turns() {
    let Some(trial) = Trial::new(&Plan {
        link_mbit: Some(100),
        snooping: true,
        ..Plan::of(4)
    }) else {
        return;
    };
    // A node that only listens lets turns run one after the other, the longest first.
    let parts = [(2, 16_u64 << 20), (3, 24 << 20), (4, 16 << 20)];
    for (node, bytes) in parts {
        let file = trial.part(node).join(format!("of-{node}"));
        content::create(&file, bytes, u64::from(node)).unwrap();
    }
    let _members: Vec<_> = (1..=4).map(|node| trial.member(node)).collect();
    thread::sleep(RECEIVER_START);
    let mut broken_off = trial.gather(1, 4);
    trial.wait_for_words(&broken_off, "sent: n3");
    broken_off.kill();
    let is_there = |owner: u8| trial.arrived(1, &format!("of-{owner}")).exists();
    assert!(
        !(is_there(2) && is_there(4)),
        "nothing was broken off: the test came too late"
    );
    for (node, copy) in [1, 2, 4].map(|node| (node, trial.arrived(node, "of-3"))) {
        let original = trial.part(3).join("of-3");
        assert!(content::identical(&original, &copy), "of-3 at n{node}");
    }
    let before = [1, 2, 3, 4].map(|node| trial.received(node));
    let mut rerun = trial.gather(1, 4);
    rerun.finish(COPY_MAX).unwrap();
    for (node, before) in (1..=4).zip(before) {
        let came = (trial.received(node) - before) as f64;
        let unfinished = parts.iter().filter(|(owner, _)| ![3, node].contains(owner));
        let lacked: u64 = unfinished.map(|(_, bytes)| bytes).sum();
        // Packets have headers, and what had come of a turn is not sent again. The finished turn, sent anew,
        // would be more than all of that.
        assert!(
            came < lacked as f64 * 1.1,
            "{came} bytes came to n{node}, which lacked at most {lacked}"
        );
        for (owner, _) in parts {
            let name = format!("of-{owner}");
            let (original, copy) = (trial.part(owner).join(&name), trial.arrived(node, &name));
            assert!(content::identical(&original, &copy), "{name} at n{node}");
        }
    }
}
