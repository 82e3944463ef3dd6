//! What all tests of the simulator share: a run that must be sound, with the scenario in the message
//! when it is not.

use grappe_sim::{Outcome, Scenario, run};

/// Plays `scenario` and insists that nothing was violated.
pub(crate) fn sound(scenario: &Scenario) -> Outcome {
    let outcome = run(scenario);
    assert_eq!(outcome.violations, Vec::<String>::new(), "{scenario:#?}");
    outcome
}
