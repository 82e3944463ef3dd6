//! Receivers that are slow for a while or for ever, that come late, come back, or come with part of the
//! copy: what it costs the others, and what is sent.
//!
//! Tests with seeds have packets late by a millisecond at most, as threads are.

mod common;

use std::time::Duration;

use common::sound;

use grappe_proto::session::{LimitedBy, NodeState, Straggler};
use grappe_proto::units::{BlockIndex, Rate};
use grappe_sim::{Fault, Link, Outcome, Scenario};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const SEEDS: std::ops::Range<u64> = 0..6;

/// Takes four seconds, so that a tenth is longer than finding out whose disk is slow.
const BIG: u64 = 512 << 20;

/// For whose link is, which takes half a second to a whole one.
const BIGGER: u64 = 1 << 30;

/// Four receivers at 1 Gbit/s and `bytes` of content, which take a second for 125 MB.
fn cluster(bytes: u64, faults: Vec<Fault>) -> Scenario {
    Scenario {
        receivers: 4,
        bytes,
        faults,
        ..Scenario::default()
    }
}

/// The same, with a chance of its own.
fn seeded(seed: u64, bytes: u64, faults: Vec<Fault>) -> Scenario {
    Scenario {
        seed,
        downlink: Link {
            jitter: MILLI,
            keeps_order: true,
            ..Link::default()
        },
        ..cluster(bytes, faults)
    }
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
    let faults = [
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
    ];
    for seed in SEEDS {
        let alone = others_end(&sound(&seeded(seed, 256 << 20, Vec::new())), 1);
        for fault in &faults {
            let outcome = sound(&seeded(seed, 256 << 20, vec![fault.clone()]));
            assert!(outcome.all_complete());
            let with = others_end(&outcome, 1);
            println!("{seed} {fault:?}: {with:.2} s instead of {alone:.2}");
            assert!(
                with <= alone + 0.5,
                "{seed} {fault:?}: {with} instead of {alone} s"
            );
        }
    }
}

#[test]
fn a_slow_disk_costs_the_others_a_tenth_and_gets_all_apart() {
    let rate = Rate::from_bytes_per_second(12_000_000);
    for seed in SEEDS {
        let alone = others_end(&sound(&seeded(seed, BIG, Vec::new())), 3);
        let outcome = sound(&seeded(seed, BIG, vec![Fault::SlowDisk { node: 3, rate }]));
        assert!(outcome.all_complete());
        assert!(is_apart(&outcome, 3), "seed {seed}");
        assert_eq!(outcome.nodes[3].limited_by, Some(LimitedBy::Disk));
        let with = others_end(&outcome, 3);
        let slow = outcome.nodes[3].ended_at.expect("it ended").as_secs_f64();
        let bound = BIG as f64 / 12e6;
        println!(
            "{seed}: {with:.2} s instead of {alone:.2}, {slow:.1} s where its disk takes {bound:.1}"
        );
        assert!(
            with <= 1.1 * alone,
            "seed {seed}: {with} instead of {alone} s"
        );
        assert!(
            slow <= 1.2 * bound,
            "seed {seed}: {slow} s, its disk alone takes {bound}"
        );
    }
}

#[test]
fn a_slow_link_costs_the_others_a_tenth_and_is_served_at_its_own_rate() {
    let rate = Rate::from_bytes_per_second(12_500_000);
    for seed in SEEDS {
        let mut scenario = seeded(seed, BIGGER, Vec::new());
        let alone = others_end(&sound(&scenario), 3);
        let slower = Link {
            rate,
            ..scenario.downlink.clone()
        };
        scenario.downlinks.insert(3, slower);
        let outcome = sound(&scenario);
        assert!(outcome.all_complete());
        assert!(is_apart(&outcome, 3), "seed {seed}");
        assert_eq!(outcome.nodes[3].limited_by, Some(LimitedBy::Network));
        let with = others_end(&outcome, 3);
        let slow = outcome.nodes[3].ended_at.expect("it ended").as_secs_f64();
        let bound = BIGGER as f64 / 12.5e6;
        println!(
            "{seed}: {with:.2} s instead of {alone:.2}, {slow:.1} s where its link takes {bound:.1}"
        );
        assert!(
            with <= 1.1 * alone,
            "seed {seed}: {with} instead of {alone} s"
        );
        assert!(
            slow <= 1.1 * bound + with,
            "seed {seed}: {slow} s, its link alone takes {bound}"
        );
    }
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

/// What a receiver has of a copy that was broken off under loss is full of gaps, and each has others.
#[test]
fn of_stored_blocks_with_gaps_only_the_gaps_are_sent() {
    for seed in SEEDS {
        // Of each ten blocks, receiver `node` lacks one that the others have, and all lack another one.
        let content = sound(&seeded(seed, 128 << 20, Vec::new()));
        let whole = &content.nodes[0].stored;
        let stored = |node: usize| {
            let mut stored = whole.clone();
            for block in (0..whole.count() as u32).skip(10) {
                if [node as u32, 7].contains(&(block % 10)) {
                    stored.remove(BlockIndex(block));
                }
            }
            Fault::ResumeWith { node, stored }
        };
        let outcome = sound(&seeded(seed, 128 << 20, (0..4).map(stored).collect()));
        println!("{seed}: {:.4} sent", outcome.overhead());
        assert!(outcome.all_complete());
        // Five of ten are lacked by somebody.
        assert!(
            (0.48..0.51).contains(&outcome.overhead()),
            "seed {seed}: {}",
            outcome.overhead()
        );
    }
}

/// The sender dies at half; the same command is given again.
#[test]
fn a_sender_that_comes_back_sends_what_was_not_stored() {
    for seed in SEEDS {
        let bytes = 128 << 20;
        let crash = Fault::SenderCrash {
            at: 600 * MILLI,
            silent: seed % 2 == 1,
        };
        let broken_off = sound(&seeded(seed, bytes, vec![crash]));
        let nodes = broken_off.nodes.iter().enumerate();
        let resumes = nodes.map(|(node, result)| Fault::ResumeWith {
            node,
            stored: result.stored.clone(),
        });
        let outcome = sound(&seeded(seed, bytes, resumes.collect()));
        assert!(outcome.all_complete());
        // What all have need not come again; the last window may be stored at some only.
        let blocks = outcome.nodes[0].stored.count() as u32;
        let all_have = |block: &u32| {
            let mut nodes = broken_off.nodes.iter();
            nodes.all(|node| node.stored.contains(BlockIndex(*block)))
        };
        let there = (0..blocks).filter(all_have).count() as f64 / f64::from(blocks);
        let sent = outcome.overhead();
        println!("{seed}: {there:.3} was there, {sent:.3} sent");
        assert!(there > 0.3, "seed {seed}: the crash came after {there}");
        // A hundredth of that, and the manifest or a block that is shorter than others.
        let again = sent - (1.0 - there);
        let most = 0.01 * there + 1.0 / f64::from(blocks);
        assert!(
            again.abs() <= most,
            "seed {seed}: {again:.4} was there and came again"
        );
    }
}

#[test]
fn what_one_lacks_is_sent_once_for_all_who_lack_it() {
    let faults = [0, 30, 60, 90].into_iter().enumerate();
    let faults = faults.map(|(node, percent)| Fault::Resume { node, percent });
    let outcome = sound(&cluster(128 << 20, faults.collect()));
    assert!(outcome.all_complete());
    assert!(outcome.overhead() <= 1.02, "{}", outcome.overhead());
}
