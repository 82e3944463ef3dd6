//! Many receivers: one packet mends different losses at different receivers.

mod common;

use std::time::Duration;

use common::sound;
use grappe_sim::{Link, Scenario};

fn group(receivers: usize, bytes: u64, loss: f64) -> Scenario {
    Scenario {
        receivers,
        bytes,
        downlink: Link {
            loss,
            ..Link::default()
        },
        ..Scenario::default()
    }
}

#[test]
fn a_hundred_receivers_with_a_loss_in_a_thousand_cost_three_percent_at_most() {
    let outcome = sound(&group(100, 64 << 20, 0.001));
    assert!(outcome.all_complete());
    assert!(outcome.overhead() <= 1.03, "{}", outcome.overhead());
}

#[test]
fn a_hundred_receivers_with_much_loss_finish() {
    let outcome = sound(&group(100, 32 << 20, 0.05));
    assert!(outcome.overhead() <= 1.25, "{}", outcome.overhead());
    assert!(
        outcome.elapsed <= Duration::from_secs(2),
        "{:?}",
        outcome.elapsed
    );
}

#[test]
fn one_bad_link_among_many_costs_no_more_than_it_must() {
    let mut scenario = group(50, 32 << 20, 0.0);
    scenario.downlinks.insert(
        7,
        Link {
            loss: 0.05,
            ..Link::default()
        },
    );
    let outcome = sound(&scenario);
    assert!(outcome.overhead() <= 1.08, "{}", outcome.overhead());
}
