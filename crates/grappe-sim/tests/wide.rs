//! Groups far larger than any lab: what their losses and reports cost the sender, and that nobody in them is taken
//! for slow because reports are rare.

mod common;

use common::sound;
use grappe_sim::{Link, Scenario};

/// Reports that the sender asks for in a second, of any number of receivers.
const REPORTS_PER_SECOND: u64 = 10_000;

/// Copies to `receivers`, of which each loses one packet of a thousand; what is sent must not be more than
/// `overhead` times the content, and each gets at least `goodput` bytes per second over links of 125 MB/s.
fn copy(receivers: usize, bytes: u64, overhead: f64, goodput: f64) {
    let outcome = sound(&Scenario {
        receivers,
        bytes,
        downlink: Link {
            loss: 0.001,
            ..Link::default()
        },
        ..Scenario::default()
    });
    assert!(outcome.all_complete());
    println!(
        "{receivers} receivers: {:.1} MB/s, overhead {:.4}, at most {} reports in a second",
        outcome.goodput / 1e6,
        outcome.overhead(),
        outcome.reports_by_time.most_in_a_second()
    );
    assert!(outcome.overhead() <= overhead, "{}", outcome.overhead());
    assert!(outcome.goodput >= goodput, "{}", outcome.goodput);
    let summary = outcome.summary.as_ref().expect("the sender ended");
    let apart = summary.nodes.iter().filter(|node| node.apart).count();
    assert_eq!(apart, 0, "parted though all are alike");
    // Who joins reports at once; and of reports that come all together, one more falls into some seconds.
    let (joining, together) = (receivers as u64, receivers as u64);
    let bound = (REPORTS_PER_SECOND + joining + together) * 105 / 100;
    let reports = outcome.reports_by_time.most_in_a_second();
    assert!(reports <= bound, "{reports} reports in a second");
    let bound = REPORTS_PER_SECOND as f64 * 1.05 * outcome.ended_at.as_secs_f64();
    let reports = outcome.reports - 2 * joining;
    assert!(
        reports as f64 <= bound,
        "{reports} reports, {bound} at most"
    );
}

#[test]
fn a_thousand_receivers_cost_two_hundredths() {
    copy(1_000, 64 << 20, 1.02, 60e6);
}

#[test]
fn three_thousand_receivers_cost_two_hundredths() {
    copy(3_000, 32 << 20, 1.02, 15e6);
}

/// Half the copy is a second pass where rare reports pass for slowness.
#[test]
fn ten_thousand_receivers_cost_three_hundredths() {
    copy(10_000, 12 << 20, 1.03, 3e6);
}
