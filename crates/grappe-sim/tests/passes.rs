//! Receivers that are slow for a while or for ever, that come late, come back, or come with part of the
//! copy: what it costs the others, and what is sent.

use std::time::Duration;

use grappe_proto::session::{LimitedBy, NodeState, Straggler};
use grappe_proto::units::Rate;
use grappe_sim::{Fault, Link, Outcome, Scenario, run};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Four receivers at 1 Gbit/s and `bytes` of content, which take a second for 125 MB.
fn cluster(bytes: u64, faults: Vec<Fault>) -> Scenario {
    Scenario {
        receivers: 4,
        bytes,
        faults,
        ..Scenario::default()
    }
}

fn sound(scenario: &Scenario) -> Outcome {
    let outcome = run(scenario);
    assert_eq!(outcome.violations, Vec::<String>::new());
    outcome
}

/// When the last of the receivers but `node` was complete, in seconds.
fn others_end(outcome: &Outcome, node: usize) -> f64 {
    let nodes = outcome.nodes.iter().enumerate();
    let others = nodes.filter(|(number, _)| *number != node);
    let ends = others.map(|(_, result)| result.ended_at.expect("it ended").as_secs_f64());
    ends.fold(0.0, f64::max)
}

fn is_apart(outcome: &Outcome, node: usize) -> bool {
    let summary = outcome.summary.as_ref().expect("the sender ended");
    summary.nodes[node].apart
}

#[test]
fn a_receiver_that_stands_still_costs_the_others_a_moment() {
    let alone = others_end(&sound(&cluster(256 << 20, Vec::new())), 1);
    for fault in [
        Fault::ReceiverPause {
            node: 1,
            at: 500 * MILLI,
            lasting: 2 * SECOND,
        },
        Fault::DiskStall {
            node: 1,
            at: 500 * MILLI,
            lasting: 3 * SECOND,
        },
    ] {
        let outcome = sound(&cluster(256 << 20, vec![fault.clone()]));
        assert!(outcome.all_complete());
        let with = others_end(&outcome, 1);
        assert!(
            with <= alone + 0.5,
            "{fault:?}: {with} instead of {alone} s"
        );
    }
}

#[test]
fn a_slow_disk_costs_the_others_a_tenth_and_gets_all_apart() {
    let alone = others_end(&sound(&cluster(512 << 20, Vec::new())), 3);
    let rate = Rate::from_bytes_per_second(12_000_000);
    let outcome = sound(&cluster(512 << 20, vec![Fault::SlowDisk { node: 3, rate }]));
    assert!(outcome.all_complete());
    assert!(is_apart(&outcome, 3));
    assert_eq!(outcome.nodes[3].limited_by, Some(LimitedBy::Disk));
    let with = others_end(&outcome, 3);
    assert!(with <= 1.1 * alone, "{with} instead of {alone} s");
    let slow = outcome.nodes[3].ended_at.expect("it ended").as_secs_f64();
    let bound = (512 << 20) as f64 / 12e6;
    assert!(
        slow <= 1.2 * bound,
        "{slow} s, its disk alone takes {bound}"
    );
}

#[test]
fn a_slow_link_costs_the_others_a_tenth_and_is_served_at_its_own_rate() {
    let alone = others_end(&sound(&cluster(256 << 20, Vec::new())), 3);
    let mut scenario = cluster(256 << 20, Vec::new());
    let rate = Rate::from_bytes_per_second(12_500_000);
    scenario.downlinks.insert(
        3,
        Link {
            rate,
            ..Link::default()
        },
    );
    let outcome = sound(&scenario);
    assert!(outcome.all_complete());
    assert!(is_apart(&outcome, 3));
    assert_eq!(outcome.nodes[3].limited_by, Some(LimitedBy::Network));
    let with = others_end(&outcome, 3);
    assert!(with <= 1.1 * alone + 0.5, "{with} instead of {alone} s");
    let slow = outcome.nodes[3].ended_at.expect("it ended").as_secs_f64();
    let bound = (256 << 20) as f64 / 12.5e6;
    assert!(
        slow <= 1.25 * bound + with,
        "{slow} s, its link alone takes {bound}"
    );
}

#[test]
fn who_asks_to_drop_the_slow_gets_a_table_that_says_so() {
    let rate = Rate::from_bytes_per_second(12_000_000);
    let outcome = sound(&Scenario {
        straggler: Straggler::Drop,
        ..cluster(512 << 20, vec![Fault::SlowDisk { node: 3, rate }])
    });
    assert_eq!(outcome.nodes[3].state, Some(NodeState::Failed));
    assert!(
        outcome.nodes[..3]
            .iter()
            .all(|node| node.state == Some(NodeState::Complete))
    );
}

#[test]
fn a_queue_that_takes_whatever_is_sent_for_a_moment_makes_nobody_far_slower() {
    // The sender's own queue holds a third of a second: for so long any rate leaves. One receiver takes a
    // little less than the sender's link gives.
    for seed in 1..=6 {
        let mut scenario = Scenario {
            seed,
            receivers: 7,
            uplink: Rate::from_bytes_per_second(25_000_000),
            uplink_queue_bytes: 8 << 20,
            downlink: Link {
                delay: 20 * MILLI,
                ..Link::default()
            },
            ..cluster(128 << 20, Vec::new())
        };
        let slower = Link {
            rate: Rate::from_bytes_per_second(23_000_000),
            ..scenario.downlink.clone()
        };
        scenario.downlinks.insert(2, slower);
        let outcome = sound(&scenario);
        assert!(outcome.all_complete());
        assert!(!is_apart(&outcome, 2), "seed {seed}");
    }
}

#[test]
fn receivers_that_are_all_alike_are_never_parted() {
    // What is on the way fills their buffers, so that each holds the others now and then.
    let outcome = sound(&Scenario {
        receivers: 5,
        downlink: Link {
            delay: 10 * MILLI,
            loss: 0.01,
            ..Link::default()
        },
        buffer_bytes: 256 << 10,
        ..cluster(64 << 20, Vec::new())
    });
    assert!(outcome.all_complete());
    assert!((0..5).all(|node| !is_apart(&outcome, node)));
}

#[test]
fn who_comes_late_gets_the_rest_with_the_others_and_the_beginning_afterwards() {
    let late = |node, at| Fault::LateJoin { node, at };
    let faults = vec![late(2, 500 * MILLI), late(3, 700 * MILLI)];
    let outcome = sound(&cluster(128 << 20, faults));
    assert!(outcome.all_complete());
    // The two missed half and more of the copy, which is sent to them together.
    let overhead = outcome.overhead();
    assert!((1.3..1.85).contains(&overhead), "{overhead}");
}

#[test]
fn a_receiver_that_is_started_again_finishes() {
    let fault = Fault::ReceiverRestart {
        node: 1,
        at: 400 * MILLI,
        after: 300 * MILLI,
    };
    let outcome = sound(&cluster(128 << 20, vec![fault]));
    assert!(outcome.all_complete());
    // It keeps what it had, and lacks what went by.
    assert!(outcome.overhead() <= 1.45, "{}", outcome.overhead());
}

#[test]
fn what_all_have_is_not_sent() {
    let all = |percent| (0..4).map(move |node| Fault::Resume { node, percent });
    let outcome = sound(&cluster(128 << 20, all(50).collect()));
    assert!(outcome.all_complete());
    let overhead = outcome.overhead();
    assert!((0.5..0.505).contains(&overhead), "{overhead}");
    let outcome = sound(&cluster(128 << 20, all(100).collect()));
    assert!(outcome.all_complete());
    assert!(outcome.overhead() <= 0.01, "{}", outcome.overhead());
}

#[test]
fn what_one_lacks_is_sent_once_for_all_who_lack_it() {
    let faults = [0, 30, 60, 90].into_iter().enumerate();
    let faults = faults.map(|(node, percent)| Fault::Resume { node, percent });
    let outcome = sound(&cluster(128 << 20, faults.collect()));
    assert!(outcome.all_complete());
    assert!(outcome.overhead() <= 1.02, "{}", outcome.overhead());
}
