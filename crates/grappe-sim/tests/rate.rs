//! The rate: the knee of the slowest link is found without a cap, and loss that is the link's own is
//! not mistaken for it.

mod common;

use std::time::Duration;

use common::sound;
use grappe_proto::units::Rate;
use grappe_sim::{BurstLoss, Link, Outcome, Scenario};

/// A copy over links of `megabits` that takes `seconds` at least.
fn copy(megabits: u64, seconds: u64, receivers: usize, loss: f64) -> Outcome {
    let bytes_per_second = megabits * 125_000;
    let rate = Rate::from_bytes_per_second(bytes_per_second);
    sound(&Scenario {
        receivers,
        bytes: bytes_per_second * seconds,
        uplink: Rate::from_bytes_per_second(1_250_000_000),
        downlink: Link {
            rate,
            queue_bytes: 128 << 10,
            loss,
            ..Link::default()
        },
        ..Scenario::default()
    })
}

/// Payload over bytes on the wire: 1,433 of 1,535.
fn share_of_link(outcome: &Outcome, megabits: u64) -> f64 {
    outcome.goodput / (megabits * 125_000) as f64
}

#[test]
fn the_knee_is_found_and_kept() {
    for megabits in [100, 1_000] {
        let outcome = copy(megabits, 6, 2, 0.0);
        let share = share_of_link(&outcome, megabits);
        println!(
            "{megabits} Mbit/s: {share:.3} of the link, overhead {:.3}",
            outcome.overhead()
        );
        assert!(share >= 0.80, "{megabits} Mbit/s: {share:.3} of the link");
        assert!(
            outcome.overhead() <= 1.05,
            "{megabits} Mbit/s: overshoot costs {:.3}",
            outcome.overhead()
        );
    }
}

/// What stands in the queue of a link costs everybody else on it that much time. At 10 Mbit/s four packets take 5 ms
/// by themselves.
#[test]
fn a_rate_that_is_found_leaves_no_queue_that_costs_others() {
    for (megabits, seconds, most_millis) in [(10, 12, 8), (100, 8, 4), (1_000, 6, 4)] {
        let outcome = copy(megabits, seconds, 4, 0.0);
        let until = Duration::from_secs(seconds);
        for (number, node) in outcome.nodes.iter().enumerate() {
            let second = |from: u64| {
                let from = Duration::from_secs(from);
                node.waits.mean(from, from + Duration::from_secs(1))
            };
            let mean = node.waits.mean(Duration::from_secs(2), until);
            let worst = (2..seconds).map(second).max().unwrap_or_default();
            println!("{megabits} Mbit/s, {number}: {mean:.2?}, at worst {worst:.2?} in a second");
            assert!(mean > Duration::ZERO, "nothing was measured");
            assert!(worst <= Duration::from_millis(most_millis), "{worst:?}");
        }
    }
}

#[test]
fn a_link_far_below_the_first_rate_costs_one_overshoot() {
    let outcome = copy(10, 30, 2, 0.0);
    let share = share_of_link(&outcome, 10);
    println!(
        "10 Mbit/s: {share:.3} of the link, overhead {:.3}",
        outcome.overhead()
    );
    assert!(share >= 0.80, "{share:.3} of the link");
    let wasted = outcome.packets_sent - outcome.packets_useful;
    assert!(
        wasted <= 7_000,
        "less than a second of the first rate: {wasted} packets"
    );
}

#[test]
fn random_loss_is_not_mistaken_for_congestion() {
    for loss in [0.01, 0.05] {
        for receivers in [1, 10] {
            let outcome = copy(100, 6, receivers, loss);
            let share = share_of_link(&outcome, 100);
            println!(
                "{loss} at {receivers}: {share:.3} of the link, overhead {:.3}",
                outcome.overhead()
            );
            assert!(
                share >= 0.70,
                "{loss} at {receivers}: {share:.3} of the link"
            );
            let bound = 1.05 + 2.0 * loss + 0.005 * receivers as f64;
            assert!(
                outcome.overhead() <= bound,
                "{loss} at {receivers}: {:.3}",
                outcome.overhead()
            );
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
    let outcome = sound(&Scenario {
        receivers: 20,
        bytes: 64 << 20,
        downlink,
        ..Scenario::default()
    });
    println!(
        "bursts: {:.1} MB/s, overhead {:.3}",
        outcome.goodput / 1e6,
        outcome.overhead()
    );
    assert!(outcome.goodput >= 20e6, "{:.1} MB/s", outcome.goodput / 1e6);
}
