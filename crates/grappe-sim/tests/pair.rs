//! One sender and few receivers, with real bytes: whatever the network does, the bytes are equal.

mod common;

use std::time::Duration;

use common::sound;
use grappe_sim::{BurstLoss, Fault, Link, Scenario};

const MILLI: Duration = Duration::from_millis(1);

fn pair(receivers: usize, downlink: Link) -> Scenario {
    Scenario {
        receivers,
        bytes: 3 << 20,
        payload: true,
        downlink,
        ..Scenario::default()
    }
}

#[test]
fn bytes_are_equal_without_loss() {
    for receivers in [1, 3] {
        let outcome = sound(&pair(receivers, Link::default()));
        assert!(outcome.all_complete());
        assert_eq!(
            outcome.packets_sent, outcome.packets_useful,
            "nothing is sent twice"
        );
    }
}

#[test]
fn an_empty_copy_ends() {
    for bytes in [0, 1] {
        assert!(
            sound(&Scenario {
                bytes,
                ..pair(2, Link::default())
            })
            .all_complete()
        );
    }
}

#[test]
fn random_loss_is_repaired() {
    for (loss, overhead_max) in [(0.001, 1.01), (0.01, 1.05), (0.05, 1.16)] {
        for receivers in [1, 3] {
            let outcome = sound(&pair(
                receivers,
                Link {
                    loss,
                    ..Link::default()
                },
            ));
            assert!(outcome.all_complete());
            assert!(
                outcome.overhead() <= overhead_max,
                "{loss}, {receivers}: {}",
                outcome.overhead()
            );
        }
    }
}

#[test]
fn bursts_of_loss_are_repaired() {
    let bursts = BurstLoss {
        enter: 0.001,
        leave: 0.02,
        loss: 0.9,
    };
    assert!(
        sound(&pair(
            3,
            Link {
                burst_loss: Some(bursts),
                ..Link::default()
            }
        ))
        .all_complete()
    );
}

#[test]
fn overtaking_packets_cost_little() {
    let outcome = sound(&pair(
        3,
        Link {
            jitter: 3 * MILLI,
            ..Link::default()
        },
    ));
    assert!(outcome.all_complete());
    assert!(outcome.overhead() <= 1.10, "{}", outcome.overhead());
}

#[test]
fn packets_that_come_twice_count_once() {
    let outcome = sound(&pair(
        3,
        Link {
            duplication: 0.2,
            ..Link::default()
        },
    ));
    assert!(outcome.all_complete());
    assert_eq!(outcome.packets_repair, 0);
}

#[test]
fn broken_packets_are_as_lost_ones() {
    assert!(
        sound(&pair(
            3,
            Link {
                corruption: 0.02,
                ..Link::default()
            }
        ))
        .all_complete()
    );
}

#[test]
fn blocks_that_the_disk_spoilt_are_fetched_again() {
    let mismatch = Fault::Mismatch {
        node: 1,
        blocks: vec![0, 3, 11],
    };
    let outcome = sound(&Scenario {
        faults: vec![mismatch],
        ..pair(3, Link::default())
    });
    assert!(outcome.all_complete());
    assert!(
        outcome.packets_repair >= 2 * 183,
        "whole blocks travelled again: {}",
        outcome.packets_repair
    );
    assert!(
        outcome.packets_repair <= 4 * 183,
        "and only those: {}",
        outcome.packets_repair
    );
}
