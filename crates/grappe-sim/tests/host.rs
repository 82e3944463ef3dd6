//! Receivers whose processor is slower than what comes: it is said so, and they are no slow link and no slow disk.
//!
//! Each test has seeds, which decide by how much packets are late: a millisecond at most, as threads are.

mod common;

use std::time::Duration;

use common::sound;
use grappe_proto::session::{LimitedBy, Straggler};
use grappe_proto::units::Rate;
use grappe_sim::{Fault, Link, Outcome, Scenario};

const SEEDS: std::ops::Range<u64> = 0..8;

/// Which receiver is slow, and the rate at which it processes packets.
const NODE: usize = 1;
const RATE: u64 = 12_500_000;

/// Four receivers at 1 Gbit/s, of which one processes a tenth of that, and really holds so much.
fn cluster(seed: u64, straggler: Straggler, holds_bytes: u64) -> Scenario {
    Scenario {
        seed,
        receivers: 4,
        bytes: 64 << 20,
        downlink: Link {
            jitter: Duration::from_millis(1),
            ..Link::default()
        },
        straggler,
        faults: vec![Fault::SlowHost {
            node: NODE,
            rate: Rate::from_bytes_per_second(RATE),
            holds_bytes,
        }],
        ..Scenario::default()
    }
}

fn is_apart(outcome: &Outcome, node: usize) -> bool {
    let summary = outcome.summary.as_ref().expect("the sender ended");
    summary.nodes[node].apart
}

/// Of what its processor takes: 1,433 bytes of 1,535 are content.
fn share(outcome: &Outcome) -> f64 {
    let ended_at = outcome.nodes[NODE].ended_at.expect("it ended");
    (64 << 20) as f64 / ended_at.as_secs_f64() / RATE as f64
}

#[test]
fn a_processor_that_is_waited_for_is_named_whatever_its_socket_holds() {
    for seed in SEEDS {
        for holds_bytes in [8 << 20, 256 << 10] {
            let outcome = sound(&cluster(seed, Straggler::Wait, holds_bytes));
            let named = outcome.nodes[NODE].limited_by;
            let (share, overhead) = (share(&outcome), outcome.overhead());
            println!("{seed} {holds_bytes}: {named:?}, {share:.3}, overhead {overhead:.3}");
            assert!(outcome.all_complete());
            assert_eq!(named, Some(LimitedBy::Host), "{seed} {holds_bytes}");
            assert_ne!(outcome.nodes[0].limited_by, Some(LimitedBy::Host));
            assert!(share >= 0.8, "{seed} {holds_bytes}: {share}");
            // What its socket drops is sent again.
            let most = if holds_bytes < 8 << 20 { 1.9 } else { 1.1 };
            assert!(
                overhead <= most,
                "{seed} {holds_bytes}: overhead {overhead}"
            );
        }
    }
}

#[test]
fn a_processor_that_is_far_slower_is_named_and_served_apart() {
    for seed in SEEDS {
        for holds_bytes in [8 << 20, 256 << 10] {
            let outcome = sound(&Scenario {
                bytes: 128 << 20,
                ..cluster(seed, Straggler::Demote, holds_bytes)
            });
            let named = outcome.nodes[NODE].limited_by;
            let ends: Vec<f64> = outcome
                .nodes
                .iter()
                .map(|node| node.ended_at.expect("it ended").as_secs_f64())
                .collect();
            println!(
                "{seed} {holds_bytes}: {named:?}, {ends:.2?}, overhead {:.3}",
                outcome.overhead()
            );
            assert!(outcome.all_complete());
            assert!(is_apart(&outcome, NODE), "{seed} {holds_bytes}");
            assert_eq!(named, Some(LimitedBy::Host), "{seed} {holds_bytes}");
        }
    }
}

/// Of two or three receivers one can hold all others as well.
#[test]
fn of_few_as_of_many_who_is_far_slower_is_served_apart() {
    for seed in SEEDS {
        for receivers in [2, 3] {
            for holds_bytes in [8 << 20, 256 << 10] {
                let scenario = Scenario {
                    receivers,
                    bytes: 256 << 20,
                    ..cluster(seed, Straggler::Demote, holds_bytes)
                };
                let alone = sound(&Scenario {
                    faults: Vec::new(),
                    ..scenario.clone()
                });
                let alone = alone.elapsed.as_secs_f64();
                let outcome = sound(&scenario);
                let ends = outcome.nodes.iter().map(|node| node.ended_at);
                let ends: Vec<f64> = ends.map(|at| at.expect("it ended").as_secs_f64()).collect();
                let named = outcome.nodes[NODE].limited_by;
                println!(
                    "{seed}, {receivers} {holds_bytes}: {ends:.2?}, alone {alone:.2}, {named:?}"
                );
                assert!(outcome.all_complete());
                // What a small socket drops may as well be lost on the way, until it is tried whether it is.
                let holds_much = holds_bytes >= 8 << 20;
                let is_named = named == Some(LimitedBy::Host);
                assert!(is_named || !holds_much, "seed {seed}: {named:?}");
                let most = if holds_much {
                    1.1 * alone + 0.5
                } else {
                    3.0 * alone
                };
                for (node, end) in ends.iter().enumerate() {
                    assert_eq!(is_apart(&outcome, node), node == NODE, "seed {seed}");
                    assert!(node == NODE || *end <= most, "seed {seed}: {end} s, {most}");
                }
            }
        }
    }
}

/// Now one, now another holds those that are alike.
#[test]
fn few_that_are_alike_stay_together() {
    for seed in SEEDS {
        for receivers in [2, 3, 4] {
            for store in [1_000_000_000, 90_000_000] {
                let outcome = sound(&Scenario {
                    receivers,
                    bytes: 256 << 20,
                    store_rate: Rate::from_bytes_per_second(store),
                    faults: Vec::new(),
                    ..cluster(seed, Straggler::Demote, 8 << 20)
                });
                assert!(outcome.all_complete());
                let apart: Vec<usize> = (0..receivers)
                    .filter(|node| is_apart(&outcome, *node))
                    .collect();
                assert_eq!(apart, [0; 0], "seed {seed}, {receivers} that store {store}");
            }
        }
    }
}
