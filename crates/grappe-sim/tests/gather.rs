//! Random gathers with nodes dying at every phase. `GRAPPE_SIM_SEED` replays one, `GRAPPE_SIM_RUNS` says
//! how many.

use std::panic::catch_unwind;
use std::time::Duration;

use grappe_sim::{GatherOutcome, GatherScenario, run_gather};

const RUNS: u64 = 150;
const MIB: u64 = 1 << 20;

#[test]
fn any_seed_is_sound() {
    let number = |name| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds = match number("GRAPPE_SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("GRAPPE_SIM_RUNS").unwrap_or(RUNS),
    };
    let mut broken = Vec::new();
    for seed in seeds {
        let scenario = GatherScenario::random(seed);
        let violations = match catch_unwind(|| run_gather(&scenario)) {
            Ok(outcome) => outcome.violations,
            Err(_) => vec!["panicked".into()],
        };
        if !violations.is_empty() {
            println!("GRAPPE_SIM_SEED={seed}: {violations:#?}\n{scenario:#?}");
            broken.push(seed);
        }
    }
    assert_eq!(broken, Vec::<u64>::new(), "these seeds are not sound");
}

/// Nodes with one file each of so many MiB, nobody dies.
fn gather(sizes: &[u64]) -> GatherOutcome {
    let parts = sizes.iter().zip(0..);
    run_gather(&GatherScenario {
        seed: 1,
        parts: parts
            .map(|(size, number)| vec![(number, size * MIB)])
            .collect(),
        link: 117_000_000,
        deaths: Vec::new(),
    })
}

#[track_caller]
fn assert_reached(outcome: &GatherOutcome, share: f64) {
    assert_eq!(outcome.violations, Vec::<String>::new());
    let reached = outcome.reached.expect("something flowed");
    assert!(
        (share..1.01).contains(&reached),
        "{reached:.3} of the bound"
    );
}

#[test]
fn equal_parts_fill_all_links_and_that_of_the_sender_as_well() {
    // One after the other would be 75 % and 87.5 % at best.
    assert_reached(&gather(&[256; 4]), 0.9);
    assert_reached(&gather(&[512; 8]), 0.9);
    assert_reached(&gather(&[512; 2]), 0.85);
}

#[test]
fn unequal_parts_and_many_nodes() {
    assert_reached(&gather(&[1, 2, 4, 8, 16, 32, 64, 128]), 0.85);
    assert_reached(&gather(&[0, 0, 0, 512]), 0.9);
    assert_reached(&gather(&[64; 20]), 0.85);
}

#[test]
fn every_phase_can_lose_a_node_and_the_others_go_on() {
    for step in 0..60 {
        let at = Duration::from_millis(step * 150);
        for is_told in [true, false] {
            let outcome = run_gather(&GatherScenario {
                seed: step,
                parts: vec![
                    vec![(0, 200 * MIB), (9, 40 * MIB)],
                    vec![(1, 200 * MIB)],
                    vec![(2, 200 * MIB), (9, 40 * MIB)],
                    vec![],
                ],
                link: 117_000_000,
                deaths: vec![(0, at, is_told)],
            });
            let violations = outcome.violations;
            assert_eq!(violations, Vec::<String>::new(), "dead after {at:?}");
        }
    }
}
