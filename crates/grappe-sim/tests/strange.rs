//! Faults that tests of programs seldom make: disks that promised too much, clocks that leap, links that
//! carry one way, receivers that lie about their speed. Each may cost the node it strikes, not the others.

mod common;

use std::time::Duration;

use common::sound;
use grappe_sim::{End, Fault, Lie, Outcome, Scenario, Way, run};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const BYTES: u64 = 256 << 20;

/// Where the faults strike.
const NODE: usize = 1;

fn cluster(faults: Vec<Fault>) -> Scenario {
    Scenario {
        receivers: 4,
        bytes: BYTES,
        faults,
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

/// Plays the fault; the others may end `late` after they would have without it.
fn costs_others_at_most(late: Duration, fault: Fault) -> Outcome {
    let alone = others_end(&sound(&cluster(Vec::new())));
    let outcome = sound(&cluster(vec![fault.clone()]));
    let with = others_end(&outcome);
    println!("{fault:?}: {with:.2} s instead of {alone:.2}");
    assert!(
        with <= alone + late.as_secs_f64(),
        "{fault:?}: {with} instead of {alone} s"
    );
    outcome
}

#[test]
fn blocks_that_the_journal_promised_and_the_disk_lost_are_fetched_again() {
    for payload in [false, true] {
        let torn = Fault::TornDisk {
            node: NODE,
            at: if payload { 15 * MILLI } else { SECOND },
            after: if payload { 5 * MILLI } else { 300 * MILLI },
            blocks: 5,
        };
        let outcome = sound(&Scenario {
            payload,
            bytes: if payload { 8 << 20 } else { BYTES },
            ..cluster(vec![torn])
        });
        assert!(outcome.all_complete(), "{:?}", outcome.nodes);
    }
}

#[test]
fn a_disk_that_stands_still_for_two_seconds_costs_nobody_but_itself() {
    let stall = Fault::DiskStall {
        node: NODE,
        at: 700 * MILLI,
        lasting: 2 * SECOND,
    };
    let outcome = costs_others_at_most(300 * MILLI, stall);
    assert!(outcome.all_complete());
}

#[test]
fn a_leap_of_a_clock_is_no_silence() {
    let jump = |node, by| Fault::ClockJump {
        node,
        at: SECOND,
        by,
    };
    let outcome = costs_others_at_most(200 * MILLI, jump(None, 3600 * SECOND));
    assert!(outcome.all_complete(), "the sender's own");
    for by in [3 * SECOND, 3600 * SECOND] {
        let outcome = costs_others_at_most(200 * MILLI, jump(Some(NODE), by));
        assert!(outcome.all_complete(), "a receiver's, by {by:?}");
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
        let outcome = costs_others_at_most(700 * MILLI, partition);
        assert!(outcome.all_complete(), "{way:?}: {:?}", outcome.nodes);
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
        costs_others_at_most(SECOND, partition);
    }
}

#[test]
fn a_liar_slows_itself_down_and_nobody_else() {
    let lies = [
        Lie::LacksEverything,
        Lie::ReceivedNothing,
        Lie::LosesHalf,
        Lie::StoredEverything,
        Lie::SawTheFuture,
        Lie::Nonsense,
    ];
    let alone = others_end(&sound(&cluster(Vec::new())));
    let cost = |lie| {
        let liar = Fault::Liar { node: NODE, lie };
        let late = others_end(&sound(&cluster(vec![liar]))) - alone;
        println!("{lie:?}: {late:+.2} s after {alone:.2}");
        late
    };
    let costs: Vec<f64> = lies.into_iter().map(cost).collect();
    assert!(costs.iter().all(|cost| *cost <= 0.5), "{costs:?}");
}

#[test]
fn who_invents_a_queue_costs_what_a_shared_link_would_or_is_parted_with() {
    for receivers in [2, 4, 24] {
        let scenario = |faults| Scenario {
            receivers,
            ..cluster(faults)
        };
        let alone = others_end(&sound(&scenario(Vec::new())));
        let with = |lie| {
            let liar = Fault::Liar { node: NODE, lie };
            let with = others_end(&run(&scenario(vec![liar])));
            println!("{receivers} {lie:?}: {with:.2} s instead of {alone:.2}");
            with
        };
        // As a node whose link somebody else uses: it gets half.
        let half = with(Lie::WaitsInQueue);
        assert!(
            half <= 2.2 * alone,
            "{receivers}: {half} instead of {alone} s"
        );
        // Once, however long the copy.
        let parted = with(Lie::HalfArrives);
        assert!(parted <= alone + 5.0, "{receivers}: {parted} for {alone} s");
    }
}

#[test]
fn who_pretends_to_be_slow_is_waited_for_alone() {
    for receivers in [2, 3, 4] {
        let scenario = |faults| Scenario {
            receivers,
            ..cluster(faults)
        };
        let alone = others_end(&sound(&scenario(Vec::new())));
        let lie = Lie::IsSlow;
        // It never takes enough to be done, which its sender has to bear.
        let with = others_end(&run(&scenario(vec![Fault::Liar { node: NODE, lie }])));
        println!("{receivers} {lie:?}: {with:.2} s instead of {alone:.2}");
        assert!(
            with <= alone + 0.5,
            "{receivers}: {with} instead of {alone} s"
        );
    }
}
