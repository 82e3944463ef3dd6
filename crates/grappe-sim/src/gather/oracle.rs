//! What must never be in a gather, whatever dies when.

use std::collections::BTreeSet;
use std::time::Duration;

use grappe_proto::gather::coordinator::{MemberState, Summary};
use grappe_proto::units::Time;

use super::member::Member;
use super::{Play, TIME_MAX, is_complete, size_of};

/// Links may be asked for too much so long: while shares change hands.
const OVERFULL_MAX: Duration = Duration::from_millis(600);

/// Judges what was played; answers the share of the bound that was reached.
pub(super) fn judge(play: &mut Play<'_>, summary: Option<&Summary>) -> Option<f64> {
    let summary = summary?;
    let mut wrong = Vec::new();
    if let Some(reason) = &summary.cancelled {
        wrong.push(format!("broken off: {reason}"));
    }
    for member in &play.members {
        judge_member(play, summary, member, &mut wrong);
    }
    let nobody_dies = play.scenario.deaths.is_empty();
    if nobody_dies && play.overfull > OVERFULL_MAX {
        wrong.push(format!(
            "links were asked for too much for {:?}",
            play.overfull
        ));
    }
    play.violations.extend(wrong);
    let has_flowed = summary.elapsed > Duration::ZERO && nobody_dies;
    has_flowed.then(|| bound_seconds(play) / summary.elapsed.as_secs_f64())
}

fn judge_member(play: &Play<'_>, summary: &Summary, member: &Member, wrong: &mut Vec<String>) {
    let end = Time::ZERO + TIME_MAX;
    let says_complete = is_complete(summary, &member.name);
    let everything = play.members.iter().flat_map(|other| &other.entries);
    let lacks: BTreeSet<&Vec<u8>> = everything
        .map(|entry| &entry.path)
        .filter(|path| !member.has.contains(*path))
        .collect();
    let outcome = summary.nodes.iter().find(|node| node.name == member.name);
    let Some(outcome) = outcome else {
        return wrong.push(format!("{} has no line", member.name));
    };
    if play.scenario.deaths.is_empty() && (!says_complete || !lacks.is_empty()) {
        wrong.push(format!("{} lacks {lacks:?}, nobody died", member.name));
    }
    if member.is_dead(end) || outcome.state == MemberState::Lost {
        return;
    }
    // What any node that lives has must be everywhere.
    let living = play.members.iter().filter(|other| !other.is_dead(end));
    for entry in living.flat_map(|other| &other.entries) {
        if lacks.contains(&entry.path) {
            let path = &entry.path;
            wrong.push(format!("{} lacks {path:?} of a living node", member.name));
        }
    }
    // What it lacks must be told, unless nobody ever heard of it.
    if outcome.lacks.is_empty() && !says_complete {
        let state = outcome.state;
        wrong.push(format!("{}: {state:?} without a reason", member.name));
    }
    let was_listed = |other: &&Member| {
        let mut lines = summary.nodes.iter();
        lines.any(|line| line.name == other.name && line.part_bytes > 0)
    };
    let listed = play.members.iter().filter(was_listed);
    let mut known = listed.flat_map(|other| &other.entries);
    if says_complete && known.any(|entry| lacks.contains(&entry.path)) {
        wrong.push(format!("{} is complete without {lacks:?}", member.name));
    }
}

/// What the node with the smallest part lacks, over the links' rate.
fn bound_seconds(play: &Play<'_>) -> f64 {
    let mut seen = BTreeSet::new();
    let entries = play.members.iter().flat_map(|member| &member.entries);
    let bytes: u64 = entries
        .filter(|entry| seen.insert(&entry.path))
        .map(size_of)
        .sum();
    let held = |member: &Member| member.entries.iter().map(size_of).sum::<u64>();
    let least = play.members.iter().map(held).min().unwrap_or(0);
    (bytes - least) as f64 / play.scenario.link as f64
}
