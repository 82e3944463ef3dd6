//! The result of a gather, as a table for people and as one JSON object for programs.

use grappe::gather::{GatherReport, MemberOutcome, MemberState, Summary};
use grappe_proto::limits::SYMBOL_SIZE;
use grappe_proto::session::LimitedBy;
use serde::Serialize;

use crate::cli::error::printable;
use crate::cli::size::show_bytes;
use crate::cli::table::{aligned, escape, rate, round};

/// The heads of the table's columns, and which of them are numbers.
const COLUMNS: [&str; 8] = [
    "node",
    "state",
    "part",
    "received",
    "seconds",
    "rate",
    "repaired",
    "limited by",
];
const NUMBERS: std::ops::Range<usize> = 2..7;

/// Bytes of a packet that the links carry, its IP header included, for each symbol.
const PACKET_BYTES: f64 = SYMBOL_SIZE as f64 + 64.0;

#[derive(Serialize)]
struct Report<'a> {
    gather: String,
    bytes: u64,
    files: u64,
    seconds: f64,
    /// What the node with the smallest part lacked.
    bound_bytes: u64,
    /// Bytes of content that the links were seen to carry each second; null when nothing flowed.
    link_rate: Option<f64>,
    /// The time that nothing can beat on such links.
    bound_seconds: Option<f64>,
    /// That time over the one that it took.
    percent: Option<f64>,
    nodes: Vec<Node<'a>>,
    conflicts: Vec<Conflict<'a>>,
    skipped: u64,
    missing: usize,
    cancelled: Option<&'a str>,
}

#[derive(Serialize)]
struct Node<'a> {
    name: &'a str,
    state: &'static str,
    part_bytes: u64,
    received_bytes: u64,
    seconds: f64,
    /// Bytes received per second.
    rate: f64,
    repaired: u64,
    limited_by: Option<&'static str>,
    /// The nodes from which it lacks something.
    lacks: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct Conflict<'a> {
    path: String,
    nodes: &'a [String],
    winner: Option<&'a str>,
}

/// What nothing can beat, as far as it is known.
struct Bound {
    link_rate: f64,
    seconds: f64,
    percent: f64,
}

impl Bound {
    fn of(summary: &Summary) -> Option<Self> {
        let packets = summary.capacity?.bytes_per_second() as f64;
        let link_rate = packets * f64::from(SYMBOL_SIZE) / PACKET_BYTES;
        let seconds = summary.bound_bytes as f64 / link_rate;
        let elapsed = summary.elapsed.as_secs_f64();
        (elapsed > 0.0 && seconds > 0.0).then_some(Self {
            link_rate,
            seconds,
            percent: seconds * 100.0 / elapsed,
        })
    }
}

/// The JSON object of `--json`.
pub(super) fn json(report: &GatherReport) -> String {
    let summary = &report.summary;
    let bound = Bound::of(summary);
    let conflicts = summary.conflicts.iter();
    let object = Report {
        gather: report.gather.to_string(),
        bytes: summary.bytes,
        files: summary.files,
        seconds: round(summary.elapsed.as_secs_f64(), 1e6),
        bound_bytes: summary.bound_bytes,
        link_rate: bound.as_ref().map(|bound| round(bound.link_rate, 1.0)),
        bound_seconds: bound.as_ref().map(|bound| round(bound.seconds, 1e6)),
        percent: bound.as_ref().map(|bound| round(bound.percent, 10.0)),
        nodes: summary.nodes.iter().map(node).collect(),
        conflicts: conflicts
            .map(|(path, nodes, winner)| Conflict {
                path: String::from_utf8_lossy(path).into_owned(),
                nodes,
                winner: winner.as_deref(),
            })
            .collect(),
        skipped: summary.skipped,
        missing: summary.missing,
        cancelled: summary.cancelled.as_deref(),
    };
    let object = serde_json::to_string(&object)
        .unwrap_or_else(|error| unreachable!("strings and numbers are JSON: {error}"));
    escape(&object)
}

fn node(node: &MemberOutcome) -> Node<'_> {
    Node {
        name: &node.name,
        state: node.state.as_str(),
        part_bytes: node.part_bytes,
        received_bytes: node.received_bytes,
        seconds: round(node.elapsed.as_secs_f64(), 1e6),
        rate: round(rate(node.received_bytes, node.elapsed), 1.0),
        repaired: repaired_bytes(node),
        limited_by: node.limited_by.map(limit),
        lacks: &node.lacks,
        reason: node.reason.as_deref(),
    }
}

/// The table, with what each node lacks; empty without nodes.
pub(super) fn text(report: &GatherReport) -> String {
    let nodes = &report.summary.nodes;
    if nodes.is_empty() {
        return String::new();
    }
    let mut rows = vec![COLUMNS.map(String::from).to_vec()];
    rows.extend(nodes.iter().map(row));
    let mut text = aligned(&rows, NUMBERS);
    for node in nodes {
        if let Some(reason) = &node.reason {
            text += &printable(&format!("{}: {reason}", node.name));
            text.push('\n');
        }
        if !node.lacks.is_empty() {
            let lacks = node.lacks.join(", ");
            text += &printable(&format!("{} lacks something of {lacks}", node.name));
            text.push('\n');
        }
    }
    text
}

fn row(node: &MemberOutcome) -> Vec<String> {
    let is_there = !matches!(node.state, MemberState::Absent);
    let has_received = node.received_bytes > 0;
    let if_known = |is_known: bool, text: String| if is_known { text } else { "-".into() };
    let rate = rate(node.received_bytes, node.elapsed) as u64;
    vec![
        printable(&node.name),
        node.state.as_str().into(),
        if_known(is_there, show_bytes(node.part_bytes)),
        if_known(is_there, show_bytes(node.received_bytes)),
        if_known(has_received, format!("{:.2}", node.elapsed.as_secs_f64())),
        if_known(has_received, format!("{}/s", show_bytes(rate))),
        if_known(has_received, show_bytes(repaired_bytes(node))),
        node.limited_by.map_or("-", limit).into(),
    ]
}

/// How much, to how many, how fast, and what would have been possible.
pub(super) fn summary(report: &GatherReport) -> String {
    let summary = &report.summary;
    let nodes = summary.nodes.iter();
    let complete = nodes
        .filter(|node| node.state == MemberState::Complete)
        .count();
    let of = summary.nodes.len() + summary.missing;
    let mut text = format!(
        "{} in {} file(s) at {complete} of {of} nodes in {:.2} s",
        show_bytes(summary.bytes),
        summary.files,
        summary.elapsed.as_secs_f64()
    );
    if let Some(bound) = Bound::of(summary)
        && complete == of
    {
        text += &format!(
            "; the bound is {} / {}/s = {:.2} s: {:.1} % reached",
            show_bytes(summary.bound_bytes),
            show_bytes(bound.link_rate as u64),
            bound.seconds,
            bound.percent
        );
    }
    text
}

fn repaired_bytes(node: &MemberOutcome) -> u64 {
    node.repaired.saturating_mul(u64::from(SYMBOL_SIZE))
}

fn limit(cause: u8) -> &'static str {
    let cause = match cause {
        0 => LimitedBy::Network,
        1 => LimitedBy::Host,
        2 => LimitedBy::Disk,
        3 => LimitedBy::Sender,
        _ => LimitedBy::RateCap,
    };
    cause.as_str()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use grappe_proto::units::{Rate, SessionId};

    fn report() -> GatherReport {
        let node = |name: &str, lacks: &[&str]| MemberOutcome {
            name: name.into(),
            state: if lacks.is_empty() {
                MemberState::Complete
            } else {
                MemberState::Incomplete
            },
            reason: None,
            part_bytes: 100_000_000,
            received_bytes: 300_000_000,
            elapsed: Duration::from_secs(3),
            repaired: 2,
            limited_by: Some(0),
            lacks: lacks.iter().map(|name| (*name).to_owned()).collect(),
        };
        GatherReport {
            gather: SessionId([1; 16]),
            summary: Summary {
                nodes: vec![node("n1", &[]), node("n2", &["n3\u{1b}"])],
                bytes: 400_000_000,
                files: 4,
                bound_bytes: 300_000_000,
                capacity: Some(Rate::from_bytes_per_second(149_700_000)),
                elapsed: Duration::from_millis(2_500),
                ..Summary::default()
            },
        }
    }

    #[test]
    fn the_bound_and_how_near_it_was() {
        let json: serde_json::Value = serde_json::from_str(&json(&report())).unwrap();
        assert_eq!(json["bound_bytes"], 300_000_000);
        assert_eq!(json["link_rate"], 143_300_000.0);
        assert_eq!(json["percent"], 83.7);
        assert_eq!(json["nodes"][1]["lacks"][0], "n3\u{1b}");
        assert!(
            !summary(&report()).contains("bound"),
            "not all are complete"
        );
    }

    #[test]
    fn the_table_names_who_lacks_what_and_steers_no_terminal() {
        let text = text(&report());
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.contains("n2 lacks something of n3"), "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}
