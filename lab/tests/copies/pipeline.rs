//! Copies to nodes that multicast does not reach: they get it from one another, whatever dies on the way.

#![expect(
    clippy::unwrap_used,
    reason = "steps of tests: to panic is to fail the test"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use lab::grappe::Report;
use lab::net::Plan;
use lab::process::Process;

use crate::trial::{COPY_MAX, Trial, finish_with_losses};

const FILE_BYTES: u64 = 64 << 20;

/// All nodes but the first, which sends.
const RECEIVERS: [u8; 4] = [2, 3, 4, 5];

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

/// A copy that has begun. Fields are dropped in order: processes first.
struct Running {
    sender: Process,
    receivers: Vec<Process>,
    file: PathBuf,
    /// What had left the sender before.
    sent_before: u64,
    trial: Trial,
}

/// Starts a copy to four receivers, the last `deaf` of which hear no multicast.
fn begin(deaf: u8, flags: &[&str]) -> Option<Running> {
    let trial = Trial::new(&plan(deaf))?;
    let file = trial.file("content", FILE_BYTES);
    let receivers = trial.receivers_by_address(&RECEIVERS);
    let sent_before = trial.cluster.node(1).sent_bytes().unwrap();
    let sender = trial.sender_to(1, &file, &RECEIVERS, flags);
    Some(Running {
        sender,
        receivers,
        file,
        sent_before,
        trial,
    })
}

impl Running {
    /// Waits until the copy is well under way everywhere: the last gets it last.
    fn wait_for_the_middle(&self) {
        self.trial.wait_for_bytes(5, FILE_BYTES / 3);
    }

    /// Wants the copy to succeed, and the file whole on all nodes.
    fn finish(&mut self) -> Report {
        self.sender.finish(COPY_MAX).unwrap();
        for node in RECEIVERS {
            self.trial.assert_whole(node, &self.file);
        }
        Report::parse(&self.sender.output()).unwrap()
    }

    /// Wants that the content left the sender once.
    fn assert_sent_once(&self) {
        let sent = self.trial.cluster.node(1).sent_bytes().unwrap() - self.sent_before;
        assert!(sent < FILE_BYTES * 3 / 2, "{sent} bytes left the sender");
    }
}

/// The nodes of a report that the content reached this way.
fn came_by<'a>(report: &'a Report, way: &str) -> BTreeSet<&'a str> {
    let came = report.nodes.iter().filter(|node| node.transport == way);
    came.map(|node| &*node.name).collect()
}

#[test]
fn without_multicast_the_content_goes_from_node_to_node() {
    let Some(mut copy) = begin(4, &[]) else {
        return;
    };
    let report = copy.finish();
    assert_eq!(came_by(&report, "pipeline").len(), 4, "{report:?}");
    for node in &report.nodes {
        let why = node.transport_reason.as_deref().unwrap_or_default();
        assert!(why.contains("hears no multicast"), "{why}");
    }
    copy.assert_sent_once();
}

#[test]
fn who_hears_multicast_gets_it_that_way_and_the_others_from_them() {
    let Some(mut copy) = begin(2, &[]) else {
        return;
    };
    let report = copy.finish();
    let cluster = &copy.trial.cluster;
    let addresses = |numbers: [u8; 2]| numbers.map(|number| cluster.node(number).address());
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
    copy.assert_sent_once();
}

#[test]
fn a_node_killed_in_the_pipeline_is_passed_by() {
    let Some(mut copy) = begin(4, &[]) else {
        return;
    };
    copy.wait_for_the_middle();
    // The second of four: those behind it lose their source.
    copy.receivers[1].kill();
    let report = finish_with_losses(&mut copy.sender);
    let trial = &copy.trial;
    for node in [2, 4, 5] {
        trial.assert_whole(node, &copy.file);
    }
    assert_eq!(report.state_of(&trial.cluster.node(3).address()), "lost");
    assert!(
        !trial.copy_of(3, &copy.file).exists(),
        "a part under the final name"
    );
}

#[test]
fn a_node_that_stands_still_is_passed_by_and_goes_on_later() {
    let Some(mut copy) = begin(4, &[]) else {
        return;
    };
    copy.wait_for_the_middle();
    copy.receivers[1].pause().unwrap();
    thread::sleep(Duration::from_secs(3));
    copy.receivers[1].resume().unwrap();
    copy.finish();
    let said = copy.sender.messages();
    assert!(said.contains("at the pipeline's end"), "{said}");
}

#[test]
fn the_pipeline_can_be_asked_for_and_goes_on_with_a_broken_off_copy() {
    let flags = ["--transport", "pipeline"];
    let Some(mut copy) = begin(0, &flags) else {
        return;
    };
    copy.wait_for_the_middle();
    copy.sender.kill();
    let before = copy.trial.received(5);
    copy.sender = copy.trial.sender_to(1, &copy.file, &RECEIVERS, &flags);
    let report = copy.finish();
    assert_eq!(came_by(&report, "pipeline").len(), 4);
    let received = copy.trial.received(5) - before;
    assert!(
        received < FILE_BYTES * 9 / 10,
        "{received} bytes came again"
    );
}
