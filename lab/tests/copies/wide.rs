//! Many real receivers: a process in a namespace of its own for each, on whatever processors there are.

#![expect(
    clippy::unwrap_used,
    reason = "steps of tests: to panic is to fail the test"
)]

use std::time::Instant;

use lab::grappe::Report;
use lab::net::Plan;

use crate::trial::{COPY_MAX, Trial};

/// A report of a receiver that lacks nothing is a frame of about 140 bytes, one of 190 where they are rare, and all together send 10,000 of
/// them a second at most; lacks make some longer.
const REPORT_BYTES_MAX: f64 = 10_000.0 * 300.0;

/// On slow links fewer: an eighth of what the links take. But until that is known, they come as for links of 50 Mbit/s, and
/// what is lost makes the first of them long: up to a third of the link over a copy of six seconds.
const PART_OF_LINK: f64 = 0.5;

/// What one receiver says over its control connection while a copy goes on and ends, acknowledgements included.
const ENDING_BYTES: f64 = 2_000.0;

#[test]
fn sixty_four_receivers_get_their_copy_and_report_no_more_than_the_sender_can_hear() {
    copy_to(64, 50, 4 << 20);
}

/// Of 10,000 reports a second a link of 10 Mbit/s would be full.
#[test]
fn reports_of_many_receivers_leave_slow_links_to_the_copy() {
    copy_to(120, 10, 6 << 20);
}

/// A copy of `bytes` to `receivers`, all on links of `megabits`.
fn copy_to(receivers: u8, megabits: u32, bytes: u64) {
    let plan = Plan {
        link_mbit: Some(megabits),
        ..Plan::of(receivers + 1)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let file = trial.file("content", bytes);
    let nodes: Vec<u8> = (2..=receivers + 1).collect();
    let running = trial.receivers(&nodes);
    running.iter().for_each(|receiver| {
        trial.wait_for_words(receiver, "receiving into");
    });
    let mut sender = trial.sender(1, &file, receivers);
    trial.wait_for_words(&sender, "sending to");
    let before = trial.received(1);
    let began = Instant::now();
    sender.finish(COPY_MAX).unwrap();
    let seconds = began.elapsed().as_secs_f64();
    let heard = (trial.received(1) - before) as f64;
    for &node in &nodes {
        trial.assert_whole(node, &file);
    }
    let report = Report::parse(&sender.output()).unwrap();
    assert_eq!(report.nodes.len(), usize::from(receivers));
    // What each says by the control connection at the end is no report.
    let per_second = (heard - f64::from(receivers) * ENDING_BYTES) / seconds.max(0.5);
    let link = f64::from(megabits) * 125_000.0;
    println!(
        "{per_second:.0} bytes a second of {link:.0}, in {:.1} s",
        report.seconds
    );
    assert!(per_second > 0.0, "no reports were counted");
    let most = REPORT_BYTES_MAX.min(link * PART_OF_LINK);
    assert!(
        per_second <= most,
        "{per_second} bytes a second came to the sender of {receivers}, {most} at most"
    );
}
