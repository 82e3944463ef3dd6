//! What must hold at the end of every simulated copy, whatever the seed.
//!
//! What must hold at every moment is checked where it happens, in `sender_node` and `receiver_node`.

use std::collections::BTreeSet;
use std::time::Duration;

use grappe_proto::limits::{PEER_SILENCE_MAX, SENDER_SILENCE_MAX};
use grappe_proto::receiver::Failure;
use grappe_proto::session::{NodeState, Straggler};

use crate::outcome::{End, NodeResult, Outcome};
use crate::scenario::{Fault, Scenario};

/// A receiver notices the sender's end so much after the silence that proves it.
const SILENCE_MARGIN: Duration = Duration::from_secs(3);

/// Even a liar may not make the sender send this many times the content.
const SENT_FACTOR_MAX: f64 = 6.0;

/// Packets that any copy may cost beyond that: a small one repeats much of itself.
const SENT_EXTRA_MAX: f64 = 5_000.0;

/// Of a thousand receivers that all failed, a few tell the story.
const FOUND_MAX: usize = 5;

/// Adds to `outcome.violations` what the end of the copy proves wrong.
pub(crate) fn judge(scenario: &Scenario, outcome: &mut Outcome) {
    let mut found = Vec::new();
    let suspects = suspects(scenario);
    match sender_crash(scenario, outcome) {
        Some(crashed_at) => receivers_notice(outcome, crashed_at, &suspects, &mut found),
        None => receivers_complete(outcome, &suspects, &mut found),
    }
    let bound = outcome.packets_useful as f64 * SENT_FACTOR_MAX + SENT_EXTRA_MAX;
    if outcome.packets_sent as f64 > bound {
        found.push(format!(
            "{} packets sent where {} are needed",
            outcome.packets_sent, outcome.packets_useful
        ));
    }
    found.truncate(FOUND_MAX);
    outcome.violations.extend(found);
}

/// Receivers whose own end is left open because a fault hits themselves.
fn suspects(scenario: &Scenario) -> BTreeSet<usize> {
    let suspect = |fault: &Fault| match fault {
        // One that comes late, or back, may find that all is over.
        Fault::ReceiverCrash { node, .. }
        | Fault::Liar { node, .. }
        | Fault::LateJoin { node, .. }
        | Fault::ReceiverRestart { node, .. }
        | Fault::TornDisk { node, .. } => Some(*node),
        // Who is cut off, or sleeps through the sender's words, for longer than either side waits.
        Fault::Partition { node, lasting, .. } => {
            (*lasting >= PEER_SILENCE_MAX - SILENCE_MARGIN).then_some(*node)
        }
        Fault::ClockJump {
            node: Some(node),
            by,
            ..
        } => (*by >= SENDER_SILENCE_MAX - SILENCE_MARGIN).then_some(*node),
        _ => None,
    };
    // Who is far slower, or stands still, is given up where that was asked for.
    let faults = scenario.faults.iter();
    let mut suspects: BTreeSet<usize> = faults.filter_map(suspect).collect();
    if scenario.straggler == Straggler::Drop {
        suspects.extend(scenario.faults.iter().filter_map(Fault::node));
        suspects.extend(scenario.downlinks.keys());
    }
    suspects
}

/// When the sender crashed, if it did before it was done.
fn sender_crash(scenario: &Scenario, outcome: &Outcome) -> Option<Duration> {
    let crash = |fault: &Fault| match fault {
        Fault::SenderCrash { at, .. } => Some(*at),
        _ => None,
    };
    scenario
        .faults
        .iter()
        .find_map(crash)
        .filter(|_| outcome.summary.is_none())
}

fn receivers_complete(outcome: &Outcome, suspects: &BTreeSet<usize>, found: &mut Vec<String>) {
    let honest = |(node, _): &(usize, &NodeResult)| !suspects.contains(node);
    for (node, result) in outcome.nodes.iter().enumerate().filter(honest) {
        if result.end != End::Complete || result.state != Some(NodeState::Complete) {
            found.push(format!(
                "receiver {node} ended {:?}, in the table {:?}",
                result.end, result.state
            ));
        }
    }
    for (node, result) in outcome.nodes.iter().enumerate() {
        if result.state == Some(NodeState::Complete)
            && result.end != End::Complete
            && result.end != End::Crashed
        {
            found.push(format!(
                "receiver {node} is complete in the table only: {:?}",
                result.end
            ));
        }
    }
}

fn receivers_notice(
    outcome: &Outcome,
    crashed_at: Duration,
    suspects: &BTreeSet<usize>,
    found: &mut Vec<String>,
) {
    for (node, result) in outcome.nodes.iter().enumerate() {
        let late = result
            .ended_at
            .is_none_or(|at| at > crashed_at + SENDER_SILENCE_MAX + SILENCE_MARGIN);
        let noticed = matches!(
            result.end,
            End::Complete | End::Failed(Failure::SenderGone(_))
        );
        if !suspects.contains(&node) && (late || !noticed) {
            let when = result.ended_at;
            found.push(format!(
                "receiver {node} ended {:?} at {when:?}, the sender at {crashed_at:?}",
                result.end
            ));
        }
    }
}
