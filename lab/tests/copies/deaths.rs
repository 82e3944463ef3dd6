//! Copies in which something dies or is full: the others go on, nothing half done looks done.

use lab::content;
use lab::net::Plan;
use lab::store::Store;

use crate::trial::{Trial, finish_with_losses};

const FILE_BYTES: u64 = 64 << 20;

/// Slow enough that there is a middle of the copy to kill something in.
fn plan() -> Plan {
    Plan {
        link_mbit: Some(200),
        ..Plan::of(4)
    }
}

#[test]
fn a_killed_receiver_is_reported_and_the_others_complete() {
    let Some(trial) = Trial::new(&plan()) else {
        return;
    };
    let mut receivers = trial.receivers(&[2, 3, 4]);
    let alone = trial.copy(1, &trial.file("alone", FILE_BYTES), &[2, 3, 4]);
    let file = trial.file("content", FILE_BYTES);
    let mut sender = trial.sender(1, &file, 3);
    trial.wait_for_bytes(4, FILE_BYTES / 2);
    receivers[2].kill();

    let report = finish_with_losses(&mut sender);
    let late = report.seconds - alone.seconds;
    println!("{late:+.2} s after {:.2}", alone.seconds);
    assert!(late < 1.0, "{late} s later than with all of them");
    trial.assert_whole(2, &file);
    trial.assert_whole(3, &file);
    assert_eq!(report.state_of("n4"), "lost");
    assert!(
        !trial.copy_of(4, &file).exists(),
        "a part under the final name"
    );
}

#[test]
fn receivers_survive_a_killed_sender() {
    let Some(trial) = Trial::new(&plan()) else {
        return;
    };
    let file = trial.file("content", FILE_BYTES);
    let mut receivers = trial.receivers(&[2, 3, 4]);
    let mut sender = trial.sender(1, &file, 3);
    trial.wait_for_bytes(2, FILE_BYTES / 3);
    sender.kill();

    for (receiver, node) in receivers.iter_mut().zip(2..) {
        assert!(receiver.is_running().unwrap(), "{}", receiver.messages());
        assert!(
            !trial.copy_of(node, &file).exists(),
            "a part under the final name"
        );
    }
    trial.copy(1, &file, &[2, 3, 4]);
}

#[test]
fn a_full_disk_fails_one_node_and_says_so() {
    let Some(trial) = Trial::new(&plan()) else {
        return;
    };
    let file = trial.file("content", FILE_BYTES);
    let small_disk = Store::mount(FILE_BYTES / 8).unwrap();
    let cramped = trial.receiver(4, small_disk.path());
    let _receivers = trial.receivers(&[2, 3]);
    let mut sender = trial.sender(1, &file, 3);

    let report = finish_with_losses(&mut sender);
    trial.assert_whole(2, &file);
    trial.assert_whole(3, &file);
    assert_ne!(report.state_of("n4"), report.state_of("n2"));
    assert!(!content::identical(
        &file,
        &small_disk.path().join("content")
    ));
    let said = [
        cramped.messages(),
        cramped.output(),
        sender.messages(),
        sender.output(),
    ]
    .concat();
    assert!(said.contains("space"), "nobody says what is wrong: {said}");
}
