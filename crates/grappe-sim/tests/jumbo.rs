//! Links that take jumbo frames: several symbols in a packet where every receiver hears it, one where one
//! does not.

mod common;

use std::time::Duration;

use common::sound;
use grappe_proto::session::{NodeState, Straggler};
use grappe_sim::{Fault, Lie, Link, NodeResult, Outcome, Scenario, Way};

fn jumbo(loss: f64) -> Link {
    Link {
        loss,
        mtu: 9000,
        ..Link::default()
    }
}

fn group(seed: u64, loss: f64) -> Scenario {
    Scenario {
        seed,
        receivers: 7,
        bytes: 48 << 20,
        downlink: jumbo(loss),
        ..Scenario::default()
    }
}

/// Packets with symbols that left, for each symbol that was needed.
fn packets_per_symbol(outcome: &Outcome) -> f64 {
    outcome.datagrams as f64 / outcome.packets_useful as f64
}

#[test]
fn six_symbols_share_a_packet() {
    let outcome = sound(&group(1, 0.0));
    assert!(outcome.all_complete());
    // Of 183 symbols in a block 180 go six by six, and the bursts of the beginning are small.
    let packets = packets_per_symbol(&outcome);
    assert!((0.16..0.2).contains(&packets), "{packets}");
}

#[test]
fn jumbo_frames_are_at_least_as_fast() {
    for seed in 0..4 {
        for loss in [0.0, 0.01] {
            let large = group(seed, loss);
            let small = Scenario {
                downlink: Link {
                    loss,
                    ..Link::default()
                },
                ..large.clone()
            };
            let (large, small) = (sound(&large).goodput, sound(&small).goodput);
            assert!(large > small * 0.99, "{seed} {loss}: {large} {small}");
        }
    }
}

#[test]
fn losses_of_packets_with_six_symbols_are_repaired() {
    for seed in 0..4 {
        for (loss, overhead) in [(0.001, 1.03), (0.01, 1.06), (0.05, 1.3)] {
            let outcome = sound(&group(seed, loss));
            assert!(outcome.all_complete(), "{seed} {loss}");
            let packets = packets_per_symbol(&outcome);
            assert!(packets < 0.45, "{seed} {loss}: {packets}");
            let sent = outcome.overhead();
            assert!(sent < overhead, "{seed} {loss}: {sent}");
        }
    }
}

#[test]
fn what_travels_is_what_arrives() {
    for seed in 0..8 {
        let scenario = Scenario {
            bytes: 3_000_001,
            payload: true,
            receivers: 3,
            ..group(seed, 0.02)
        };
        let outcome = sound(&scenario);
        assert!(outcome.all_complete(), "{seed}");
        assert!(packets_per_symbol(&outcome) < 0.5, "{seed}");
    }
}

#[test]
fn one_receiver_that_hears_small_packets_only_gets_small_packets() {
    let mut scenario = group(1, 0.0);
    scenario.downlinks.insert(3, Link::default());
    let outcome = sound(&scenario);
    assert!(outcome.all_complete());
    assert!(packets_per_symbol(&outcome) > 0.99);
}

#[test]
fn one_that_comes_late_and_hears_small_packets_only_gets_all() {
    for seed in 0..4 {
        let mut scenario = group(seed, 0.0);
        scenario.downlinks.insert(3, Link::default());
        scenario.faults.push(Fault::LateJoin {
            node: 3,
            at: Duration::from_millis(60),
        });
        let outcome = sound(&scenario);
        assert!(outcome.all_complete(), "{seed}");
        // Large ones at first, then small ones, of which the late one needs all.
        let packets = packets_per_symbol(&outcome);
        assert!((0.3..1.9).contains(&packets), "{seed}: {packets}");
    }
}

#[test]
fn lost_soundings_keep_nobody_from_jumbo_frames() {
    for seed in 0..4 {
        let scenario = Scenario {
            receivers: 60,
            ..group(seed, 0.01)
        };
        let outcome = sound(&scenario);
        let packets = packets_per_symbol(&outcome);
        assert!(packets < 0.5, "{seed}: {packets}");
    }
}

#[test]
fn where_large_packets_stop_arriving_small_ones_go_on() {
    let whole = sound(&group(0, 0.0)).elapsed;
    let stragglers = [Straggler::Wait, Straggler::Demote, Straggler::Drop];
    let cases = stragglers.map(|straggler| [(0..1, straggler), (0..7, straggler)]);
    let moments = [100, 150, 200, 250, 300].map(Duration::from_millis);
    let cases = cases.into_iter().flatten();
    for (at, (nodes, straggler)) in cases.flat_map(|case| moments.map(|at| (at, case.clone()))) {
        let mut scenario = group(0, 0.0);
        scenario.straggler = straggler;
        scenario
            .faults
            .extend(nodes.clone().map(|node| Fault::Narrow {
                node,
                at,
                mtu: 1500,
            }));
        let outcome = sound(&scenario);
        let late = outcome.elapsed.saturating_sub(whole);
        let what = format!("{nodes:?} {straggler:?} at {at:?}: {late:?}");
        assert!(outcome.all_complete(), "{what}");
        assert!(late < Duration::from_millis(1_200), "{what}");
    }
}

#[test]
fn who_claims_to_hear_large_packets_hurts_only_itself() {
    for mtu in [1500, 9000] {
        let mut scenario = group(0, 0.0);
        scenario.downlink.mtu = mtu;
        scenario.downlinks.insert(3, Link::default());
        let honest = sound(&scenario).elapsed;
        scenario.faults.push(Fault::Liar {
            node: 3,
            lie: Lie::HearsAnySize,
        });
        let outcome = sound(&scenario);
        let late = outcome.elapsed.saturating_sub(honest);
        assert!(late < Duration::from_secs(1), "{mtu}: {late:?}");
        let is_complete = |node: &&NodeResult| node.state == Some(NodeState::Complete);
        let complete = outcome.nodes.iter().filter(is_complete).count();
        assert!(complete >= 6, "{mtu}: {:?}", outcome.nodes);
    }
}

#[test]
fn outages_and_pauses_are_no_reason_for_small_packets() {
    let at = Duration::from_millis(200);
    let lasting = Duration::from_millis(300);
    let way = Way::ToReceiver;
    let all = 0..7;
    let faults: [Vec<Fault>; 4] = [
        vec![Fault::Partition {
            node: 2,
            way,
            at,
            lasting,
        }],
        all.map(|node| Fault::Partition {
            node,
            way,
            at,
            lasting,
        })
        .collect(),
        vec![Fault::ReceiverPause {
            node: 2,
            at,
            lasting,
        }],
        vec![Fault::DiskStall {
            node: 2,
            at,
            lasting,
        }],
    ];
    for faults in faults {
        for seed in 0..3 {
            let mut scenario = group(seed, 0.01);
            scenario.faults = faults.clone();
            let outcome = sound(&scenario);
            let packets = packets_per_symbol(&outcome);
            assert!(packets < 0.35, "{faults:?}: {packets}");
        }
    }
}
