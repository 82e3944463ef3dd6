//! Random clusters with random faults. `GRAPPE_SIM_SEED` replays one, `GRAPPE_SIM_RUNS` says how many.

use std::panic::catch_unwind;

use grappe_sim::{Scenario, run};

const RUNS: u64 = 40;

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
        let violations = match catch_unwind(|| run(&Scenario::random(seed))) {
            Ok(outcome) => outcome.violations,
            Err(_) => vec!["panicked".into()],
        };
        if !violations.is_empty() {
            println!(
                "GRAPPE_SIM_SEED={seed}: {violations:#?}\n{:#?}",
                Scenario::random(seed)
            );
            broken.push(seed);
        }
    }
    assert_eq!(broken, Vec::<u64>::new(), "these seeds are not sound");
}
