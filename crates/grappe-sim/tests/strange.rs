//! Faults that tests of programs seldom make: disks that promised too much, clocks that leap, links that
//! carry one way, receivers that lie about their speed. Each may cost the node it strikes, not the others.
//!
//! Each test has seeds, which decide by how much packets are late: a millisecond at most, as threads are.

mod common;

use std::time::Duration;

use common::sound;
use grappe_proto::session::NodeState;
use grappe_sim::{End, Fault, Lie, Link, Outcome, Scenario, Way, run};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const BYTES: u64 = 256 << 20;
const SEEDS: std::ops::Range<u64> = 0..6;

/// Where the faults strike.
const NODE: usize = 1;

fn cluster(seed: u64, faults: Vec<Fault>) -> Scenario {
    Scenario {
        seed,
        receivers: 4,
        bytes: BYTES,
        faults,
        downlink: Link {
            jitter: MILLI,
            keeps_order: true,
            ..Link::default()
        },
        ..Scenario::default()
    }
}

/// When the last of the others was complete, in seconds.
fn others_end(outcome: &Outcome) -> f64 {
    let nodes = outcome.nodes.iter().enumerate();
    let others = nodes.filter(|(number, _)| *number != NODE);
    let ends = others.map(|(number, result)| {
        assert_eq!(result.end, End::Complete, "receiver {number}");
        result.ended_at.expect("it ended").as_secs_f64()
    });
    ends.fold(0.0, f64::max)
}

/// Plays the fault with every seed; the others may end `late` after they would have without it.
fn costs_others_at_most(late: Duration, fault: &Fault) -> Vec<Outcome> {
    let cost = |seed| {
        let alone = others_end(&sound(&cluster(seed, Vec::new())));
        let outcome = sound(&cluster(seed, vec![fault.clone()]));
        let with = others_end(&outcome);
        println!("{seed} {fault:?}: {with:.2} s instead of {alone:.2}");
        assert!(
            with <= alone + late.as_secs_f64(),
            "seed {seed}, {fault:?}: {with} instead of {alone} s"
        );
        outcome
    };
    SEEDS.map(cost).collect()
}

#[test]
fn blocks_that_the_journal_promised_and_the_disk_lost_are_fetched_again() {
    for (seed, payload) in SEEDS.flat_map(|seed| [(seed, false), (seed, true)]) {
        let torn = Fault::TornDisk {
            node: NODE,
            at: if payload { 15 * MILLI } else { SECOND },
            after: if payload { 5 * MILLI } else { 300 * MILLI },
            blocks: 5,
        };
        let outcome = sound(&Scenario {
            payload,
            bytes: if payload { 8 << 20 } else { BYTES },
            ..cluster(seed, vec![torn])
        });
        assert!(outcome.all_complete(), "seed {seed}: {:?}", outcome.nodes);
    }
}

#[test]
fn a_disk_that_stands_still_for_two_seconds_costs_nobody_but_itself() {
    let stall = Fault::DiskStall {
        node: NODE,
        at: 700 * MILLI,
        lasting: 2 * SECOND,
    };
    let outcomes = costs_others_at_most(300 * MILLI, &stall);
    assert!(outcomes.iter().all(Outcome::all_complete));
}

#[test]
fn who_does_not_get_ready_is_waited_for_three_seconds_only() {
    let slow = Fault::SlowPrepare {
        node: NODE,
        lasting: 20 * SECOND,
    };
    let outcomes = costs_others_at_most(3_300 * MILLI, &slow);
    assert!(outcomes.iter().all(Outcome::all_complete));
}

#[test]
fn who_stood_still_for_a_moment_goes_on_with_the_others() {
    let pause = Fault::ReceiverPause {
        node: NODE,
        at: SECOND,
        lasting: SECOND,
    };
    for seed in SEEDS {
        let outcome = sound(&Scenario {
            bytes: 4 * BYTES,
            ..cluster(seed, vec![pause.clone()])
        });
        assert!(outcome.all_complete(), "seed {seed}");
        let own = outcome.nodes[NODE]
            .ended_at
            .expect("it ended")
            .as_secs_f64();
        let others = others_end(&outcome);
        println!("{seed}: {own:.2} s, the others {others:.2}");
        // What it missed, and not all that was sent since.
        assert!(
            own <= others + 3.0,
            "seed {seed}: {own}, the others {others} s"
        );
    }
}

#[test]
fn a_leap_of_a_clock_is_no_silence() {
    let jump = |node, by| Fault::ClockJump {
        node,
        at: SECOND,
        by,
    };
    let outcomes = costs_others_at_most(200 * MILLI, &jump(None, 3600 * SECOND));
    assert!(
        outcomes.iter().all(Outcome::all_complete),
        "the sender's own"
    );
    for by in [3 * SECOND, 3600 * SECOND] {
        let outcomes = costs_others_at_most(200 * MILLI, &jump(Some(NODE), by));
        let complete = outcomes.iter().all(Outcome::all_complete);
        assert!(complete, "a receiver's, by {by:?}");
    }
}

#[test]
fn a_link_that_carries_one_way_only_is_borne_and_costs_the_others_a_moment() {
    for way in [Way::ToReceiver, Way::ToSender] {
        let partition = Fault::Partition {
            node: NODE,
            way,
            at: SECOND,
            lasting: 2 * SECOND,
        };
        let outcomes = costs_others_at_most(700 * MILLI, &partition);
        assert!(outcomes.iter().all(Outcome::all_complete), "{way:?}");
    }
}

#[test]
fn who_is_cut_off_for_good_is_given_up_and_the_others_complete() {
    for way in [Way::ToReceiver, Way::ToSender] {
        let partition = Fault::Partition {
            node: NODE,
            way,
            at: SECOND,
            lasting: 60 * SECOND,
        };
        costs_others_at_most(SECOND, &partition);
    }
}

#[test]
fn a_liar_slows_itself_down_and_nobody_else() {
    for lie in [
        Lie::LacksEverything,
        Lie::LacksWhatItStored,
        Lie::ReceivedNothing,
        Lie::StoredEverything,
        Lie::SawTheFuture,
        Lie::Nonsense,
    ] {
        // Where no packet is late half a second, a moment of less rate.
        costs_others_at_most(700 * MILLI, &Fault::Liar { node: NODE, lie });
    }
    // Until repairs have been in vain for long enough that its link, and not chance, must be the cause.
    let lie = Lie::LosesHalf;
    costs_others_at_most(1_100 * MILLI, &Fault::Liar { node: NODE, lie });
}

#[test]
fn who_contradicts_itself_is_ended() {
    let lie = Lie::HeardBeforeItReceived;
    for outcome in costs_others_at_most(200 * MILLI, &Fault::Liar { node: NODE, lie }) {
        assert_eq!(outcome.nodes[NODE].state, Some(NodeState::Failed));
    }
}

/// When the others end with a liar among `receivers`, and without. Of the liar itself nothing is asked: it may keep
/// its sender waiting until the deadline.
fn with_and_without(seed: u64, (receivers, bytes): (usize, u64), lie: Lie) -> (f64, f64) {
    let scenario = |faults| Scenario {
        receivers,
        bytes,
        ..cluster(seed, faults)
    };
    let alone = others_end(&sound(&scenario(Vec::new())));
    let outcome = run(&scenario(vec![Fault::Liar { node: NODE, lie }]));
    // At the deadline there is no table yet.
    let waits_for_liar =
        |it: &String| it.contains("not over in time") || it.contains("Complete, in the table None");
    let wrong = outcome.violations.iter().find(|it| !waits_for_liar(it));
    assert_eq!(wrong, None, "seed {seed}, {lie:?} of {receivers}");
    let with = others_end(&outcome);
    println!("{seed}, {lie:?} of {receivers}: {with:.2} s instead of {alone:.2}");
    (with, alone)
}

#[test]
fn who_invents_a_queue_costs_what_a_shared_link_would_or_is_parted_with() {
    let few = SEEDS.flat_map(|seed| [(seed, 2), (seed, 4)]);
    for (seed, receivers) in few.chain([(0, 24)]) {
        let size = (receivers, 4 * BYTES);
        // As a node whose link somebody else uses: it gets half, after a while of less.
        let (half, alone) = with_and_without(seed, size, Lie::WaitsInQueue);
        assert!(
            half <= 2.6 * alone,
            "{seed}, {receivers}: {half} instead of {alone} s"
        );
        // Once, however long the copy.
        let (parted, alone) = with_and_without(seed, size, Lie::HalfArrives);
        assert!(
            parted <= alone + 5.0,
            "{seed}, {receivers}: {parted} instead of {alone} s"
        );
    }
}

#[test]
fn who_claims_that_more_arrives_than_left_costs_the_others_little() {
    for (seed, receivers) in SEEDS.flat_map(|seed| [2, 4].map(|count| (seed, count))) {
        let size = (receivers, 4 * BYTES);
        let (with, alone) = with_and_without(seed, size, Lie::ArrivesFast);
        assert!(
            with <= 1.5 * alone,
            "{seed}, {receivers}: {with} instead of {alone} s"
        );
    }
}

/// It never takes enough to be done, which its sender has to bear.
#[test]
fn who_pretends_to_be_slow_is_waited_for_alone() {
    for (seed, receivers) in SEEDS.flat_map(|seed| [2, 3, 4].map(|count| (seed, count))) {
        let (with, alone) = with_and_without(seed, (receivers, BYTES), Lie::IsSlow);
        assert!(
            with <= alone + 1.4,
            "{seed}, {receivers}: {with} instead of {alone} s"
        );
    }
}

#[test]
fn a_clock_that_is_put_right_slowly_slows_nobody_down() {
    // By as much as adjtimex(2) allows, as after a boot.
    let step = Duration::from_millis(10);
    let slewed = |node| {
        let jumps = (0..5_000).map(move |tick| Fault::ClockJump {
            node: Some(node),
            at: step * tick,
            by: step / 2_000,
        });
        jumps.collect::<Vec<_>>()
    };
    for (receivers, node) in [(1, 0), (3, 0)] {
        let scenario = |faults| Scenario {
            receivers,
            bytes: 16 * BYTES,
            ..cluster(1, faults)
        };
        let alone = others_end(&sound(&scenario(Vec::new())));
        let with = others_end(&sound(&scenario(slewed(node))));
        println!("of {receivers}: {with:.2} s instead of {alone:.2}");
        assert!(
            with <= 1.03 * alone,
            "of {receivers}: {with} instead of {alone} s"
        );
    }
}
