//! Nodes that die, stand still, are slow or lie: the others finish, and the table says whose fault it was.

mod common;

use std::time::Duration;

use common::sound;
use grappe_proto::receiver::Failure;
use grappe_proto::session::{LimitedBy, NodeState, Straggler};
use grappe_proto::units::Rate;
use grappe_sim::{End, Fault, Lie, Link, NodeResult, Outcome, Scenario};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn cluster(bytes: u64, faults: Vec<Fault>) -> Scenario {
    Scenario {
        receivers: 4,
        bytes,
        faults,
        ..Scenario::default()
    }
}

/// Who is said to have held all others back.
fn holders(outcome: &Outcome) -> Vec<usize> {
    let summary = outcome.summary.as_ref().expect("the sender ended");
    let nodes = summary.nodes.iter().enumerate();
    let holders = nodes.filter(|(_, node)| node.holds_all);
    holders.map(|(number, _)| number).collect()
}

fn complete(outcome: &Outcome) -> usize {
    outcome
        .nodes
        .iter()
        .filter(|node| node.end == End::Complete)
        .count()
}

#[test]
fn others_finish_when_a_receiver_crashes_and_no_second_later() {
    let alone = sound(&cluster(32 << 20, Vec::new()));
    let alone = alone.nodes[0].ended_at.expect("it ended");
    for at in [0, 5, 50, 200] {
        for silent in [false, true] {
            let crash = Fault::ReceiverCrash {
                node: 2,
                at: at * MILLI,
                silent,
            };
            let outcome = sound(&cluster(32 << 20, vec![crash]));
            assert_eq!(complete(&outcome), 3);
            assert_eq!(outcome.nodes[2].state, Some(NodeState::Lost));
            let ends = [0, 1, 3].map(|node: usize| outcome.nodes[node].ended_at);
            let last = ends.into_iter().max().flatten().expect("they ended");
            println!("{at} ms, silent {silent}: {last:.2?} instead of {alone:.2?}");
            // Who goes before all are there is waited for.
            let is_begun = at >= 50;
            assert!(
                !is_begun || last < alone + SECOND,
                "{last:?} instead of {alone:?}"
            );
        }
    }
}

#[test]
fn receivers_notice_that_the_sender_is_gone() {
    for silent in [false, true] {
        let crash = Fault::SenderCrash {
            at: 60 * MILLI,
            silent,
        };
        let outcome = sound(&cluster(64 << 20, vec![crash]));
        let gone = |end: &End| matches!(end, End::Failed(Failure::SenderGone(_)));
        assert!(outcome.nodes.iter().all(|node| gone(&node.end)));
    }
}

#[test]
fn a_receiver_that_stands_still_for_two_seconds_is_not_lost() {
    let pause = Fault::ReceiverPause {
        node: 1,
        at: 100 * MILLI,
        lasting: 2 * SECOND,
    };
    let outcome = sound(&Scenario {
        straggler: Straggler::Wait,
        ..cluster(64 << 20, vec![pause])
    });
    assert!(outcome.all_complete());
    assert!(
        outcome.overhead() <= 1.05,
        "credit kept its buffer from overrunning: {}",
        outcome.overhead()
    );
}

#[test]
fn a_stalled_disk_delays_and_costs_nothing_else() {
    let stall = Fault::DiskStall {
        node: 1,
        at: 100 * MILLI,
        lasting: 3 * SECOND,
    };
    let outcome = sound(&Scenario {
        straggler: Straggler::Wait,
        ..cluster(256 << 20, vec![stall])
    });
    assert!(outcome.all_complete());
    assert!(outcome.overhead() <= 1.02, "{}", outcome.overhead());
}

#[test]
fn the_slow_disk_is_named() {
    let rate = Rate::from_bytes_per_second(40_000_000);
    let outcome = sound(&cluster(512 << 20, vec![Fault::SlowDisk { node: 3, rate }]));
    assert!(outcome.all_complete());
    assert_eq!(outcome.nodes[3].limited_by, Some(LimitedBy::Disk));
    assert_ne!(outcome.nodes[0].limited_by, Some(LimitedBy::Disk));
    assert!(outcome.goodput >= 32e6, "{}", outcome.goodput);
}

#[test]
fn where_all_disks_are_slow_little_waits_for_them_and_none_of_them_rests() {
    let rate = 80_000_000;
    let scenario = Scenario {
        store_rate: Rate::from_bytes_per_second(rate),
        ..cluster(1 << 30, Vec::new())
    };
    let outcome = sound(&scenario);
    assert!(outcome.all_complete());
    for node in &outcome.nodes {
        // What came in the first second, and what is enough.
        assert!(node.backlog_max <= 200, "{} blocks", node.backlog_max);
    }
    let is_blamed = |node: &NodeResult| node.limited_by == Some(LimitedBy::Disk);
    assert!(outcome.nodes.iter().any(is_blamed));
    let share = outcome.goodput / rate as f64;
    assert!(share >= 0.95, "{share} of what a disk takes");
}

#[test]
fn disks_that_stand_still_together_for_a_moment_find_what_came_meanwhile() {
    for receivers in [1, 4] {
        let stalls = (0..receivers).flat_map(|node| {
            [500, 2500].map(|at| Fault::DiskStall {
                node,
                at: at * MILLI,
                lasting: 400 * MILLI,
            })
        });
        let fast = Scenario {
            receivers,
            store_rate: Rate::from_bytes_per_second(300_000_000),
            ..cluster(512 << 20, Vec::new())
        };
        let stalled = Scenario {
            faults: stalls.collect(),
            ..fast.clone()
        };
        let (fast, stalled) = (sound(&fast), sound(&stalled));
        assert!(stalled.all_complete());
        let share = stalled.goodput / fast.goodput;
        assert!(
            share >= 0.99,
            "{receivers}: {share} of what it is without stalls"
        );
    }
}

#[test]
fn one_slow_disk_of_several_may_fall_behind_by_the_window() {
    let rate = Rate::from_bytes_per_second(60_000_000);
    let outcome = sound(&Scenario {
        straggler: Straggler::Wait,
        ..cluster(256 << 20, vec![Fault::SlowDisk { node: 3, rate }])
    });
    assert!(outcome.all_complete());
    assert!(
        outcome.nodes[3].backlog_max > 400,
        "{} blocks",
        outcome.nodes[3].backlog_max
    );
    assert!(outcome.nodes[0].backlog_max < 32);
    assert_eq!(holders(&outcome), [3]);
}

#[test]
fn the_slow_reader_is_named() {
    let scenario = Scenario {
        read_rate: Rate::from_bytes_per_second(30_000_000),
        ..cluster(64 << 20, Vec::new())
    };
    let outcome = sound(&scenario);
    assert_eq!(outcome.nodes[0].limited_by, Some(LimitedBy::Sender));
}

#[test]
fn the_cap_is_named_and_kept() {
    let cap = Rate::from_bytes_per_second(20_000_000);
    let outcome = sound(&Scenario {
        rate_cap: Some(cap),
        ..cluster(64 << 20, Vec::new())
    });
    assert_eq!(outcome.nodes[0].limited_by, Some(LimitedBy::RateCap));
    assert!(
        (17e6..20e6).contains(&outcome.goodput),
        "{}",
        outcome.goodput
    );
}

#[test]
fn the_slow_link_is_named() {
    let mut scenario = cluster(64 << 20, Vec::new());
    let slow = Link {
        rate: Rate::from_bytes_per_second(25_000_000),
        ..Link::default()
    };
    scenario.downlinks.insert(2, slow);
    let outcome = sound(&scenario);
    assert!(outcome.all_complete());
    assert_eq!(outcome.nodes[2].limited_by, Some(LimitedBy::Network));
}

#[test]
fn a_liar_hurts_only_itself() {
    let lies = [
        Lie::LacksEverything,
        Lie::ReceivedNothing,
        Lie::StoredEverything,
        Lie::SawTheFuture,
        Lie::Nonsense,
    ];
    for lie in lies {
        let outcome = sound(&cluster(64 << 20, vec![Fault::Liar { node: 1, lie }]));
        assert!(complete(&outcome) >= 3, "{lie:?}");
    }
}
