//! The rate: the knee of the slowest link is found without a cap, and loss that is the link's own is
//! not mistaken for it.
//!
//! Each test has seeds, which decide by how much packets are late: a millisecond at most, as threads are.

mod common;

use std::time::Duration;

use common::sound;
use grappe_proto::units::Rate;
use grappe_sim::{BurstLoss, Link, Outcome, Scenario};

const SECOND: Duration = Duration::from_secs(1);
const SEEDS: std::ops::Range<u64> = 0..6;

/// Of what a link carries, the part that is content: of a packet 1,433 bytes of 1,535.
const CONTENT: f64 = 1_433.0 / 1_535.0;

/// Faster than any link here.
const FAST: Rate = Rate::from_bytes_per_second(2_500_000_000);

/// A copy over links of `megabits` that takes `seconds` at least.
fn copy(seed: u64, megabits: u64, seconds: u64, receivers: usize, loss: f64) -> Outcome {
    let bytes_per_second = megabits * 125_000;
    let rate = Rate::from_bytes_per_second(bytes_per_second);
    sound(&Scenario {
        seed,
        receivers,
        bytes: bytes_per_second * seconds,
        uplink: FAST,
        read_rate: FAST,
        store_rate: FAST,
        buffer_bytes: 64 << 20,
        downlink: Link {
            rate,
            queue_bytes: 128 << 10,
            jitter: Duration::from_millis(1),
            keeps_order: true,
            loss,
            ..Link::default()
        },
        ..Scenario::default()
    })
}

/// Content to each receiver, over what the link carries.
fn share_of_link(outcome: &Outcome, megabits: u64) -> f64 {
    outcome.goodput / (megabits * 125_000) as f64
}

/// What the receiver that got least got in the second that begins at `from`, of what content its link can carry.
fn share_of_second(outcome: &Outcome, from: Duration, megabits: u64) -> f64 {
    let nodes = outcome.nodes.iter();
    let got = nodes.map(|node| node.got.per_second(from, from + SECOND));
    got.fold(f64::MAX, f64::min) / ((megabits * 125_000) as f64 * CONTENT)
}

#[test]
fn the_knee_is_found_within_a_second_and_kept() {
    for megabits in [10, 30, 100, 1_000, 10_000] {
        for seed in SEEDS {
            let seconds = if megabits < 10_000 { 6 } else { 3 };
            let outcome = copy(seed, megabits, seconds, 2, 0.0);
            let second = |at| share_of_second(&outcome, at * SECOND, megabits);
            let shares: Vec<f64> = (1..seconds as u32 - 1).map(second).collect();
            let overhead = outcome.overhead();
            println!("{megabits} Mbit/s, {seed}: {shares:.3?} of the link, overhead {overhead:.3}");
            assert!(
                shares.iter().all(|share| *share >= 0.9),
                "{megabits} Mbit/s, seed {seed}: {shares:.3?} of the link in each second after the first"
            );
            assert!(
                megabits < 100 || overhead <= 1.05,
                "{megabits} Mbit/s, seed {seed}: overshoot costs {overhead:.3}"
            );
        }
    }
}

/// What stands in the queue of a link costs everybody else on it that much time. At 10 Mbit/s four packets take 5 ms
/// by themselves.
#[test]
fn a_rate_that_is_found_leaves_no_queue_that_costs_others() {
    let cases = [(10, 12, 8), (100, 8, 4), (1_000, 6, 4)];
    for (seed, (megabits, seconds, most_millis)) in
        SEEDS.flat_map(|seed| cases.map(|it| (seed, it)))
    {
        let outcome = copy(seed, megabits, seconds, 4, 0.0);
        let until = Duration::from_secs(seconds);
        for (number, node) in outcome.nodes.iter().enumerate() {
            let second = |from: u64| {
                let from = Duration::from_secs(from);
                node.waits.mean(from, from + Duration::from_secs(1))
            };
            let mean = node.waits.mean(Duration::from_secs(2), until);
            let worst = (2..seconds).map(second).max().unwrap_or_default();
            println!(
                "{megabits} Mbit/s, {seed}, {number}: {mean:.2?}, at worst {worst:.2?} in a second"
            );
            assert!(mean > Duration::ZERO, "nothing was measured");
            assert!(worst <= Duration::from_millis(most_millis), "{worst:?}");
        }
    }
}

#[test]
fn a_link_far_below_the_first_rate_costs_one_overshoot() {
    for seed in SEEDS {
        let outcome = copy(seed, 10, 30, 2, 0.0);
        let share = share_of_link(&outcome, 10);
        let wasted = outcome.packets_sent - outcome.packets_useful;
        println!("10 Mbit/s, {seed}: {share:.3} of the link, {wasted} packets sent in vain");
        assert!(share >= 0.80, "seed {seed}: {share:.3} of the link");
        assert!(
            wasted <= 7_000,
            "seed {seed}: less than a second of the first rate: {wasted} packets"
        );
    }
}

#[test]
fn random_loss_is_not_mistaken_for_congestion() {
    for loss in [0.01, 0.05] {
        for receivers in [1, 10] {
            for seed in SEEDS {
                let outcome = copy(seed, 100, 6, receivers, loss);
                let share = share_of_link(&outcome, 100);
                let overhead = outcome.overhead();
                let what = format!(
                    "{loss} at {receivers}, {seed}: {share:.3} of the link, overhead {overhead:.3}"
                );
                println!("{what}");
                assert!(share >= 0.70, "{what}");
                assert!(
                    overhead <= 1.05 + 2.0 * loss + 0.005 * receivers as f64,
                    "{what}"
                );
            }
        }
    }
}

/// Each burst looks like a full queue in one sample; with twenty receivers one comes every hundred packets.
#[test]
fn short_disturbances_do_not_cost_the_rate() {
    let bursts = BurstLoss {
        enter: 0.000_5,
        leave: 0.05,
        loss: 0.7,
    };
    let downlink = Link {
        burst_loss: Some(bursts),
        ..Link::default()
    };
    for seed in SEEDS {
        let outcome = sound(&Scenario {
            seed,
            receivers: 20,
            bytes: 64 << 20,
            downlink: downlink.clone(),
            ..Scenario::default()
        });
        let (rate, overhead) = (outcome.goodput / 1e6, outcome.overhead());
        println!("bursts, {seed}: {rate:.1} MB/s, overhead {overhead:.3}");
        assert!(rate >= 20.0, "seed {seed}: {rate:.1} MB/s");
    }
}
