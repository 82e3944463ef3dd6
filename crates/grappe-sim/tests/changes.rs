//! Links that change during a copy: they become faster or slower, or somebody else comes and leaves again.
//!
//! Each test has seeds, which decide by how much packets are late: a millisecond at most, as threads are.

mod common;

use std::time::Duration;

use common::sound;
use grappe_proto::session::Straggler;
use grappe_proto::units::Rate;
use grappe_sim::{Fault, Link, Outcome, Rival, Scenario};

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
            keeps_order: true,
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

/// Has the link to receiver 1 shared with somebody who comes and goes; nobody is parted with for it.
fn add_rival(
    scenario: &mut Scenario,
    (queue, delay): (Duration, Duration),
    (from, until): (Duration, Duration),
) {
    let shared = Link {
        queue_bytes: scenario.downlink.rate.bytes_in(queue),
        delay,
        rival: Some(Rival { from, until }),
        ..scenario.downlink.clone()
    };
    scenario.straggler = Straggler::Wait;
    scenario.downlinks.insert(1, shared);
}

/// The copy's part of what passed that link meanwhile, and how busy the link was.
fn beside_rival(outcome: &Outcome, from: Duration, until: Duration, rate: Rate) -> (f64, f64) {
    let node = &outcome.nodes[1];
    let ours = node.got.per_second(from, until) / CONTENT;
    let both = ours + node.rival.per_second(from, until);
    (ours / both, both / rate.bytes_per_second() as f64)
}

#[test]
fn a_link_is_shared_with_a_rival_and_taken_again_when_he_leaves() {
    for seed in SEEDS {
        for queue_ms in [30, 60] {
            let rate = mbit(200);
            let mut scenario = cluster(seed, 330 << 20, Vec::new());
            let his = (2 * SECOND, 20 * SECOND);
            add_rival(&mut scenario, (queue_ms * MILLI, 5 * MILLI), his);
            let outcome = sound(&scenario);
            assert!(outcome.all_complete());
            let (share_of_ours, busy) = beside_rival(&outcome, 8 * SECOND, 20 * SECOND, rate);
            let after = share(&outcome, 22 * SECOND, rate);
            let what = format!(
                "{seed} {queue_ms} ms: ours {share_of_ours:.3}, busy {busy:.3}, after {after:.3}"
            );
            println!("{what}");
            assert!((0.334..0.666).contains(&share_of_ours), "{what}");
            assert!(busy >= 0.95 && after >= 0.97, "{what}");
            assert!(outcome.overhead() <= 1.05, "{}", outcome.overhead());
        }
    }
}

/// What the link takes is not known then, as it was never seen without him. In a queue of 20 ms and more he shows.
#[test]
fn a_rival_who_was_first_leaves_a_share() {
    for seed in SEEDS {
        for (megabits, queue_ms, delay_ms) in
            [(100, 30, 5), (400, 20, 1), (1_000, 20, 1), (1_000, 30, 5)]
        {
            let rate = mbit(megabits);
            let mut scenario = cluster(seed, rate.bytes_per_second() * 14, Vec::new());
            scenario.downlink.rate = rate;
            let his = (Duration::ZERO, 18 * SECOND);
            add_rival(&mut scenario, (queue_ms * MILLI, delay_ms * MILLI), his);
            let outcome = sound(&scenario);
            assert!(outcome.all_complete());
            let until = 16 * SECOND;
            assert!(outcome.nodes[1].ended_at > Some(until), "seed {seed}");
            let (ours, busy) = beside_rival(&outcome, 3 * SECOND, until, rate);
            let what =
                format!("{seed}, {megabits} Mbit/s, {queue_ms} ms: ours {ours:.3}, busy {busy:.3}");
            println!("{what}");
            assert!((0.334..0.666).contains(&ours), "{what}");
            assert!(busy >= 0.95, "{what}");
        }
    }
}
