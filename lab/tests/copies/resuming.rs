//! Copies that go on after something died: what is there already does not travel again, counted on the
//! wire.

use std::thread;
use std::time::Duration;

use lab::grappe::Report;
use lab::net::Plan;
use lab::process::Process;

use crate::trial::{COPY_MAX, Trial, finish_with_losses};

const FILE_BYTES: u64 = 96 << 20;

/// Slow enough that there is a middle of the copy to kill something in.
fn plan() -> Plan {
    Plan {
        link_mbit: Some(200),
        ..Plan::of(4)
    }
}

/// Bytes on the wire for so many of content: a frame of 1,511 for each symbol of 1,433, and half a
/// hundredth for beats, control messages and digests.
fn on_the_wire(content: u64) -> u64 {
    content * 1511 / 1433 * 1005 / 1000
}

/// Blocks that a killed receiver had on the way to its disk, of which no journal knows.
const UNDER_WAY: u64 = 8;

/// The block that was being sent when a sender stood still.
const BEGUN: u64 = 1;

/// What both parts of a copy may bring to a node: the content once, a hundredth of what was there after
/// the first, and so many blocks again.
fn allowed(first: u64, blocks: u64) -> u64 {
    on_the_wire(FILE_BYTES + blocks * (256 << 10)) + first / 100
}

#[test]
fn the_same_command_after_a_killed_sender_sends_what_is_missing() {
    let Some(trial) = Trial::new(&plan()) else {
        return;
    };
    let file = trial.file("content", FILE_BYTES);
    let receivers = trial.receivers(&[2, 3, 4]);
    let before = trial.received(2);
    let mut sender = trial.sender(1, &file, 3);
    trial.wait_for_bytes(2, FILE_BYTES / 2);
    // It stands still first, so that what has left it is counted as what is there.
    sender.pause().unwrap();
    thread::sleep(Duration::from_millis(300));
    sender.kill();
    receivers.iter().for_each(|receiver| {
        trial.wait_for_words(receiver, "the copy ended at the sender");
    });
    let first = trial.received(2) - before;
    assert!(first < on_the_wire(FILE_BYTES) * 9 / 10, "killed too late");

    let before = trial.received(2);
    trial.copy(1, &file, &[2, 3, 4]);
    let both = first + trial.received(2) - before;
    assert!(
        both <= allowed(first, BEGUN),
        "{both} bytes came to n2 for {FILE_BYTES}, {first} of them before the end of the sender"
    );
}

#[test]
fn a_complete_node_is_the_sender_for_the_rest() {
    let Some(trial) = Trial::new(&plan()) else {
        return;
    };
    let file = trial.file("content", FILE_BYTES);
    let mut receivers = trial.receivers(&[2, 3]);
    let before = trial.received(3);
    let mut sender = trial.sender(1, &file, 2);
    trial.wait_for_bytes(3, FILE_BYTES / 2);
    receivers[1].kill();
    let report = finish_with_losses(&mut sender);
    assert_eq!(report.state_of("n2"), "complete");
    let first = trial.received(3) - before;

    // Now node 2 has the file to give. Its own receiver would take part as well, and lack everything.
    receivers[0].kill();
    let _restarted: Vec<Process> = trial.receivers(&[3]);
    let before = trial.received(3);
    trial.copy(2, &trial.copy_of(2, &file), &[3]);
    let second = trial.received(3) - before;
    assert!(
        second <= allowed(first, UNDER_WAY).saturating_sub(on_the_wire(FILE_BYTES / 2)),
        "{second} bytes came to n3, which had half of {FILE_BYTES}"
    );
}

#[test]
fn what_late_receivers_missed_is_sent_to_all_of_them_at_once() {
    let Some(trial) = Trial::new(&plan()) else {
        return;
    };
    let file = trial.file("content", FILE_BYTES);
    let _first = trial.receivers(&[2]);
    // Nothing snoops here: what is sent to anybody reaches node 2.
    let before = trial.received(2);
    let mut sender = trial.sender(1, &file, 1);
    trial.wait_for_bytes(2, FILE_BYTES / 4);
    let late = [3, 4].map(|node| trial.receiver(node, &trial.disk_of(node)));
    for receiver in &late {
        trial.wait_for_words(receiver, "joining");
    }
    let missed = trial.received(2) - before;
    assert!(
        missed < on_the_wire(FILE_BYTES) * 3 / 4,
        "they came too late"
    );
    sender.finish(COPY_MAX).unwrap();
    let report = Report::parse(&sender.output()).unwrap();
    for node in [2, 3, 4] {
        assert_eq!(report.state_of(&format!("n{node}")), "complete");
        trial.assert_whole(node, &file);
    }
    let sent = trial.received(2) - before;
    // Until they take part some more goes by.
    let most = on_the_wire(FILE_BYTES) + missed * 3 / 2;
    assert!(
        sent <= most,
        "{sent} bytes were sent of {FILE_BYTES}, of which two receivers missed {missed}"
    );
}
