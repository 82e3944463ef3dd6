//! Groups far larger than any lab: what their losses cost the sender.

mod common;

use common::sound;
use grappe_sim::{Link, Scenario};

/// A copy to `receivers`, of which each loses one packet of a thousand.
fn wide(receivers: usize, bytes: u64) -> Scenario {
    Scenario {
        receivers,
        bytes,
        downlink: Link {
            loss: 0.001,
            ..Link::default()
        },
        ..Scenario::default()
    }
}

#[test]
fn a_thousand_receivers_cost_less_than_two_hundredths() {
    let outcome = sound(&wide(1_000, 16 << 20));
    assert!(outcome.all_complete());
    println!(
        "1,000 receivers: {:.1} MB/s, overhead {:.4}",
        outcome.goodput / 1e6,
        outcome.overhead()
    );
    assert!(outcome.overhead() <= 1.02, "{}", outcome.overhead());
}
