//! Copies to nodes that multicast does not reach: they get it from one another, whatever dies on the way.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use lab::grappe::Report;
use lab::net::Plan;

use crate::trial::{COPY_MAX, Trial, finish_with_losses};

const FILE_BYTES: u64 = 64 << 20;

/// Slow enough that there is a middle of the copy to kill something in.
const LINK_MBIT: u32 = 200;

/// One sender and four receivers, the last `deaf` of which hear no multicast.
fn plan(deaf: u8) -> Plan {
    Plan {
        link_mbit: Some(LINK_MBIT),
        deaf,
        // A flood would fill the links of those who do not take it.
        snooping: true,
        ..Plan::of(5)
    }
}

/// The nodes of a report that the content reached this way.
fn came_by<'a>(report: &'a Report, way: &str) -> BTreeSet<&'a str> {
    let came = report.nodes.iter().filter(|node| node.transport == way);
    came.map(|node| &*node.name).collect()
}

#[test]
fn without_multicast_the_content_goes_from_node_to_node() {
    let Some(trial) = Trial::new(&plan(4)) else {
        return;
    };
    let file = trial.file("content", FILE_BYTES);
    let _receivers = trial.receivers_by_address(&[2, 3, 4, 5]);
    let before = trial.cluster.node(1).sent_bytes().unwrap();
    let mut sender = trial.sender_to(1, &file, &[2, 3, 4, 5], &[]);
    sender.finish(COPY_MAX).unwrap();
    for node in 2..=5 {
        trial.assert_whole(node, &file);
    }
    let report = Report::parse(&sender.output()).unwrap();
    assert_eq!(came_by(&report, "pipeline").len(), 4, "{report:?}");
    for node in &report.nodes {
        let why = node.transport_reason.as_deref().unwrap_or_default();
        assert!(why.contains("hears no multicast"), "{why}");
    }
    let sent = trial.cluster.node(1).sent_bytes().unwrap() - before;
    assert!(sent < FILE_BYTES * 3 / 2, "{sent} bytes left the sender");
}

#[test]
fn who_hears_multicast_gets_it_that_way_and_the_others_from_them() {
    let Some(trial) = Trial::new(&plan(2)) else {
        return;
    };
    let file = trial.file("content", FILE_BYTES);
    let _receivers = trial.receivers_by_address(&[2, 3, 4, 5]);
    let before = trial.cluster.node(1).sent_bytes().unwrap();
    let mut sender = trial.sender_to(1, &file, &[2, 3, 4, 5], &[]);
    sender.finish(COPY_MAX).unwrap();
    for node in 2..=5 {
        trial.assert_whole(node, &file);
    }
    let report = Report::parse(&sender.output()).unwrap();
    let addresses = |numbers: [u8; 2]| numbers.map(|number| trial.cluster.node(number).address());
    let (hear, deaf) = (addresses([2, 3]), addresses([4, 5]));
    let set = |names: &[String; 2]| names.iter().cloned().collect::<BTreeSet<String>>();
    let owned = |way| -> BTreeSet<String> {
        came_by(&report, way)
            .into_iter()
            .map(String::from)
            .collect()
    };
    assert_eq!(owned("multicast"), set(&hear));
    assert_eq!(owned("pipeline"), set(&deaf));
    let sent = trial.cluster.node(1).sent_bytes().unwrap() - before;
    assert!(
        sent < FILE_BYTES * 3 / 2,
        "the content left the sender twice: {sent} bytes"
    );
}

#[test]
fn a_node_killed_in_the_pipeline_is_passed_by() {
    let Some(trial) = Trial::new(&plan(4)) else {
        return;
    };
    let file = trial.file("content", FILE_BYTES);
    let mut receivers = trial.receivers_by_address(&[2, 3, 4, 5]);
    let mut sender = trial.sender_to(1, &file, &[2, 3, 4, 5], &[]);
    trial.wait_for_bytes(5, FILE_BYTES / 3);
    // The second of four: those behind it lose their source.
    receivers[1].kill();
    let report = finish_with_losses(&mut sender);
    for node in [2, 4, 5] {
        trial.assert_whole(node, &file);
    }
    assert_eq!(report.state_of(&trial.cluster.node(3).address()), "lost");
    assert!(
        !trial.copy_of(3, &file).exists(),
        "a part under the final name"
    );
}

#[test]
fn a_node_that_stands_still_is_passed_by_and_goes_on_later() {
    let Some(trial) = Trial::new(&plan(4)) else {
        return;
    };
    let file = trial.file("content", FILE_BYTES);
    let receivers = trial.receivers_by_address(&[2, 3, 4, 5]);
    let mut sender = trial.sender_to(1, &file, &[2, 3, 4, 5], &[]);
    trial.wait_for_bytes(5, FILE_BYTES / 3);
    receivers[1].pause().unwrap();
    thread::sleep(Duration::from_secs(3));
    receivers[1].resume().unwrap();
    sender.finish(COPY_MAX).unwrap();
    for node in 2..=5 {
        trial.assert_whole(node, &file);
    }
    let said = sender.messages();
    assert!(said.contains("at the pipeline's end"), "{said}");
}

#[test]
fn the_pipeline_can_be_asked_for_and_goes_on_with_a_broken_off_copy() {
    let Some(trial) = Trial::new(&plan(0)) else {
        return;
    };
    let file = trial.file("content", FILE_BYTES);
    let _receivers = trial.receivers_by_address(&[2, 3, 4, 5]);
    let flags = ["--transport", "pipeline"];
    let mut first = trial.sender_to(1, &file, &[2, 3, 4, 5], &flags);
    trial.wait_for_bytes(5, FILE_BYTES / 3);
    first.kill();
    let before = trial.cluster.node(5).received_bytes().unwrap();
    let mut second = trial.sender_to(1, &file, &[2, 3, 4, 5], &flags);
    second.finish(COPY_MAX).unwrap();
    for node in 2..=5 {
        trial.assert_whole(node, &file);
    }
    let report = Report::parse(&second.output()).unwrap();
    assert_eq!(came_by(&report, "pipeline").len(), 4);
    let received = trial.cluster.node(5).received_bytes().unwrap() - before;
    assert!(
        received < FILE_BYTES * 9 / 10,
        "{received} bytes came again"
    );
}
