//! Links that change during a copy: they become faster or slower.
//!
//! Each test has seeds, which decide by how much packets are late: a millisecond at most, as threads are.

mod common;

use std::time::Duration;

use common::sound;
use grappe_proto::units::Rate;
use grappe_sim::{Fault, Link, Outcome, Scenario};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const SEEDS: std::ops::Range<u64> = 0..8;

/// Of what a link carries, the part that is content: of a packet 1,433 bytes of 1,535.
const CONTENT: f64 = 1_433.0 / 1_535.0;

const fn mbit(megabits: u64) -> Rate {
    Rate::from_bytes_per_second(megabits * 125_000)
}

/// Three receivers at 200 Mbit/s.
fn cluster(seed: u64, bytes: u64, faults: Vec<Fault>) -> Scenario {
    Scenario {
        seed,
        receivers: 3,
        bytes,
        faults,
        downlink: Link {
            rate: mbit(200),
            queue_bytes: 512 << 10,
            jitter: MILLI,
            ..Link::default()
        },
        ..Scenario::default()
    }
}

/// What the receiver that got least got of `rate` in the second that begins at `from`.
fn share(outcome: &Outcome, from: Duration, rate: Rate) -> f64 {
    let nodes = outcome.nodes.iter();
    let got = nodes.map(|node| node.got.per_second(from, from + SECOND));
    got.fold(f64::MAX, f64::min) / (rate.bytes_per_second() as f64 * CONTENT)
}

#[test]
fn links_that_halve_or_double_are_followed_within_a_second() {
    for seed in SEEDS {
        for (first, second) in [(100, 200), (400, 200)] {
            let change = |at, megabits| Fault::Rate {
                node: None,
                at,
                rate: mbit(megabits),
            };
            let faults = vec![change(2 * SECOND, first), change(4 * SECOND, second)];
            let outcome = sound(&cluster(seed, 200 << 20, faults));
            let shares = [
                share(&outcome, SECOND, mbit(200)),
                share(&outcome, 3 * SECOND, mbit(first)),
                share(&outcome, 5 * SECOND, mbit(second)),
            ];
            let overhead = outcome.overhead();
            println!("{seed} {first}: {shares:.3?}, overhead {overhead:.3}");
            assert!(outcome.all_complete());
            assert!(
                shares.iter().all(|share| *share >= 0.9),
                "{seed} {first}: {shares:?}"
            );
            assert!(overhead <= 1.05, "{seed} {first}: overhead {overhead}");
        }
    }
}
