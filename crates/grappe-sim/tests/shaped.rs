//! Links that are shaped by tokens: a queue that comes and goes tells of the same link, and not of a receiver that
//! is slow now and then.
//!
//! Each test has seeds, which decide by how much packets are late: a millisecond at most, as threads are.

mod common;

use std::time::Duration;

use common::sound;
use grappe_proto::session::{LimitedBy, NodeState, Straggler};
use grappe_proto::units::Rate;
use grappe_sim::{Fault, Link, Outcome, Scenario};

const MILLI: Duration = Duration::from_millis(1);
const SEEDS: std::ops::Range<u64> = 0..12;

/// Which receiver is slow.
const NODE: usize = 2;

const fn mbit(megabits: u64) -> Rate {
    Rate::from_bytes_per_second(megabits * 125_000)
}

/// Four receivers and a sender at 200 Mbit/s.
fn cluster(seed: u64, bytes: u64) -> Scenario {
    Scenario {
        seed,
        receivers: 4,
        bytes,
        uplink: mbit(200),
        downlink: Link {
            rate: mbit(200),
            jitter: MILLI,
            ..Link::default()
        },
        ..Scenario::default()
    }
}

/// The same, but for a link with a tenth of the rate and a bucket.
fn with_shaped(cluster: Scenario) -> Scenario {
    let shaped = Link {
        rate: mbit(20),
        burst_bytes: 128 << 10,
        queue_bytes: 512 << 10,
        ..cluster.downlink.clone()
    };
    let mut cluster = cluster;
    cluster.downlinks.insert(NODE, shaped);
    cluster
}

/// When the last of the others was complete, in seconds.
fn others_end(outcome: &Outcome) -> f64 {
    let nodes = outcome.nodes.iter().enumerate();
    let others = nodes.filter(|(number, _)| *number != NODE);
    let ends = others.map(|(_, result)| result.ended_at.expect("it ended").as_secs_f64());
    ends.fold(0.0, f64::max)
}

fn parted(outcome: &Outcome) -> Vec<usize> {
    let summary = outcome.summary.as_ref().expect("the sender ended");
    let nodes = summary.nodes.iter().enumerate();
    nodes
        .filter(|(_, node)| node.apart)
        .map(|(number, _)| number)
        .collect()
}

#[test]
fn who_is_far_slower_behind_tokens_is_served_apart() {
    for seed in SEEDS {
        let cluster = cluster(seed, 96 << 20);
        let alone = others_end(&sound(&cluster));
        let outcome = sound(&with_shaped(cluster));
        let with = others_end(&outcome);
        println!(
            "{seed}: {with:.2} s instead of {alone:.2}, apart {:?}",
            parted(&outcome)
        );
        assert!(outcome.all_complete());
        assert_eq!(parted(&outcome), [NODE], "seed {seed}");
        assert_eq!(outcome.nodes[NODE].limited_by, Some(LimitedBy::Network));
        assert!(
            with <= 1.1 * alone + 1.2,
            "seed {seed}: {with} instead of {alone} s"
        );
    }
}

#[test]
fn who_asks_to_wait_has_all_go_at_the_rate_of_the_tokens() {
    for seed in SEEDS {
        let outcome = sound(&Scenario {
            straggler: Straggler::Wait,
            ..with_shaped(cluster(seed, 24 << 20))
        });
        let share = outcome.goodput / 2.5e6;
        println!(
            "{seed}: {share:.3} of the link, overhead {:.3}",
            outcome.overhead()
        );
        assert!(outcome.all_complete());
        assert_eq!(parted(&outcome), [0; 0], "seed {seed}");
        assert!(share >= 0.8, "seed {seed}: {share:.3} of the link");
        assert!(outcome.overhead() <= 1.2, "{}", outcome.overhead());
    }
}

/// Half is not far slower, whatever was sent while nobody had limited anything yet.
#[test]
fn who_has_half_the_rate_is_not_parted_with_after_a_long_preparation() {
    for seed in SEEDS {
        let slow = Fault::SlowPrepare {
            node: 0,
            lasting: 2_000 * MILLI,
        };
        let mut scenario = Scenario {
            faults: vec![slow],
            ..cluster(seed, 96 << 20)
        };
        for burst_bytes in [0, 128 << 10] {
            let half = Link {
                rate: mbit(100),
                burst_bytes,
                queue_bytes: 512 << 10,
                ..scenario.downlink.clone()
            };
            scenario.downlinks.insert(NODE, half);
            let outcome = sound(&scenario);
            assert!(outcome.all_complete());
            assert_eq!(parted(&outcome), [0; 0], "seed {seed}, {burst_bytes}");
        }
    }
}

/// What was sent until somebody limited it is forgotten by the time that the others are tried: they cannot take
/// far more than that.
#[test]
fn who_is_far_slower_is_found_by_the_first_probe() {
    for seed in SEEDS {
        let mut scenario = Scenario {
            straggler: Straggler::Drop,
            ..cluster(seed, 96 << 20)
        };
        scenario.downlink.jitter = MILLI / 2;
        let alone = others_end(&sound(&scenario));
        let shaped = Link {
            rate: mbit(5),
            burst_bytes: 64 << 10,
            queue_bytes: 1 << 20,
            ..scenario.downlink.clone()
        };
        scenario.downlinks.insert(NODE, shaped);
        let outcome = sound(&scenario);
        let with = others_end(&outcome);
        println!("{seed}: {with:.2} s instead of {alone:.2}");
        assert_eq!(outcome.nodes[NODE].state, Some(NodeState::Failed));
        assert!(with <= alone + 3.0, "seed {seed}: {with}, {alone} s");
    }
}

/// Each probe floods those that are left out of account for a moment.
#[test]
fn probes_in_vain_become_rare() {
    for seed in SEEDS {
        let mut scenario = cluster(seed, 192 << 20);
        scenario.downlink.jitter = Duration::from_micros(300);
        let half = Link {
            rate: mbit(100),
            queue_bytes: 512 << 10,
            ..scenario.downlink.clone()
        };
        scenario.downlinks.insert(NODE, half);
        let outcome = sound(&scenario);
        let overhead = outcome.overhead();
        println!("{seed}: overhead {overhead:.3}");
        assert_eq!(parted(&outcome), [0; 0], "seed {seed}");
        assert!(overhead <= 1.12, "seed {seed}: overhead {overhead}");
    }
}
