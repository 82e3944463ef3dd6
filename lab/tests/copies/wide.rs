//! Many real receivers: 64 processes in as many namespaces, on whatever processors there are.

use lab::net::Plan;

use crate::trial::Trial;

const RECEIVERS: u8 = 64;
const FILE_BYTES: u64 = 4 << 20;

/// A report of a receiver that lacks nothing is a frame of about 140 bytes, and all together send 10,000 of
/// them a second at most; lacks make some longer.
const REPORT_BYTES_MAX: f64 = 10_000.0 * 300.0;

#[test]
fn sixty_four_receivers_get_their_copy_and_report_no_more_than_the_sender_can_hear() {
    let plan = Plan {
        link_mbit: Some(50),
        ..Plan::of(RECEIVERS + 1)
    };
    let Some(trial) = Trial::new(&plan) else {
        return;
    };
    let file = trial.file("content", FILE_BYTES);
    let nodes: Vec<u8> = (2..=RECEIVERS + 1).collect();
    let receivers = trial.receivers(&nodes);
    receivers.iter().for_each(|receiver| {
        trial.wait_for_words(receiver, "receiving into");
    });
    let before = trial.received(1);
    let report = trial.copy(1, &file, &nodes);
    assert_eq!(report.nodes.len(), usize::from(RECEIVERS));
    let heard = (trial.received(1) - before) as f64;
    // Control connections, each with a handshake, are not reports.
    let handshakes = f64::from(RECEIVERS) * 16_384.0;
    let per_second = (heard - handshakes) / report.seconds.max(0.5);
    assert!(
        per_second <= REPORT_BYTES_MAX,
        "{per_second} bytes a second came to the sender of {RECEIVERS}"
    );
}
