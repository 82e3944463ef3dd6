//! Gathers of few nodes in which one or more die, at every phase of it, and those in which there is hardly
//! anything to do.

use std::time::Duration;

use grappe_proto::gather::coordinator::MemberState;
use grappe_sim::{GatherOutcome, GatherScenario, run_gather};

const MIB: u64 = 1 << 20;

/// Deaths are tried at such steps, from before the listings to after the last turn.
const STEP_MS: u64 = 100;
const STEPS: u64 = 70;

fn play(parts: &[&[(u8, u64)]], deaths: &[(usize, Duration, bool)]) -> GatherOutcome {
    run_gather(&GatherScenario {
        seed: 1,
        parts: parts.iter().map(|part| part.to_vec()).collect(),
        link: 117_000_000,
        deaths: deaths.to_vec(),
    })
}

/// Wants the outcome sound, and answers how each node ended, in the order of names.
#[track_caller]
fn states(outcome: &GatherOutcome, case: impl std::fmt::Debug) -> Vec<MemberState> {
    assert_eq!(outcome.violations, Vec::<String>::new(), "{case:?}");
    let summary = outcome.summary.as_ref().expect("it ends");
    summary.nodes.iter().map(|node| node.state).collect()
}

#[test]
fn one_node_alone_is_complete_whatever_it_has() {
    for part in [&[][..], &[(0, 0)], &[(0, 50 * MIB), (1, 0)]] {
        let outcome = play(&[part], &[]);
        assert_eq!(states(&outcome, part), [MemberState::Complete]);
        let summary = outcome.summary.expect("it ends");
        assert_eq!(summary.bound_bytes, 0, "nothing travels");
    }
}

#[test]
fn empty_parts_and_empty_files_are_gathered() {
    let outcome = play(&[&[], &[], &[]], &[]);
    assert_eq!(states(&outcome, "all empty"), [MemberState::Complete; 3]);
    let outcome = play(&[&[(0, 0)], &[(1, 0)], &[]], &[]);
    assert_eq!(states(&outcome, "no bytes"), [MemberState::Complete; 3]);
    assert_eq!(outcome.summary.expect("it ends").files, 2);
}

#[test]
fn nodes_with_nothing_get_everything_while_another_with_nothing_dies() {
    for step in 0..STEPS {
        for is_told in [true, false] {
            let death = (2, Duration::from_millis(step * STEP_MS), is_told);
            let outcome = play(&[&[(0, 150 * MIB)], &[], &[], &[(1, 0)]], &[death]);
            let states = states(&outcome, death);
            for node in [0, 1, 3] {
                assert_eq!(states[node], MemberState::Complete, "n{node}, {death:?}");
            }
        }
    }
}

#[test]
fn the_only_node_that_has_anything_can_die_at_any_time() {
    for step in 0..STEPS {
        for is_told in [true, false] {
            let death = (0, Duration::from_millis(step * STEP_MS), is_told);
            let outcome = play(&[&[(0, 300 * MIB)], &[], &[]], &[death]);
            states(&outcome, death);
        }
    }
}

#[test]
fn the_only_node_can_die_at_any_time() {
    for step in 0..STEPS {
        let death = (0, Duration::from_millis(step * STEP_MS), step % 2 == 0);
        states(&play(&[&[(0, 100 * MIB)]], &[death]), death);
    }
}

#[test]
fn two_nodes_can_die_at_any_two_times() {
    let parts: [&[(u8, u64)]; 4] = [
        &[(0, 100 * MIB), (9, 40 * MIB)],
        &[(1, 100 * MIB), (9, 40 * MIB)],
        &[(2, 100 * MIB)],
        &[],
    ];
    // Coarser, as there are as many cases as pairs of steps.
    for first in 0..14_u64 {
        for second in 0..14_u64 {
            let at = |step| Duration::from_millis(step * 5 * STEP_MS);
            let is_told = (first + second) % 2 == 0;
            // The two that have the same file, then one of them and one that has nothing.
            for other in [1, 3] {
                let deaths = [(0, at(first), is_told), (other, at(second), !is_told)];
                states(&play(&parts, &deaths), deaths);
            }
        }
    }
}

#[test]
fn all_nodes_can_die_at_any_time() {
    for step in 0..STEPS {
        let at = |node: u64| Duration::from_millis(step * STEP_MS + node * 30);
        let deaths = [(0, at(0), true), (1, at(1), false), (2, at(2), true)];
        let parts: [&[(u8, u64)]; 3] = [&[(0, 90 * MIB)], &[(1, 90 * MIB)], &[]];
        states(&play(&parts, &deaths), deaths);
    }
}
