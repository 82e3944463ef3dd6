//! The result of a copy, as a table for people and as one JSON object for programs.

use std::time::Duration;

use grappe::send::SendReport;
use grappe_proto::limits::SYMBOL_SIZE;
use grappe_proto::session::{NodeOutcome, NodeState};
use serde::Serialize;

use super::error::printable;
use super::size::show_bytes;

#[derive(Serialize)]
struct Report<'a> {
    session: String,
    bytes: u64,
    files: u64,
    seconds: f64,
    blake3: Option<String>,
    nodes: Vec<Node<'a>>,
    skipped: Vec<Skipped>,
    /// Receivers expected by number that never came.
    missing: usize,
}

#[derive(Serialize)]
struct Node<'a> {
    name: &'a str,
    state: &'static str,
    bytes: u64,
    seconds: f64,
    /// Bytes per second.
    rate: f64,
    /// Bytes that came by repair.
    repaired: u64,
    limited_by: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct Skipped {
    path: String,
    reason: String,
}

/// The JSON object of `--json`.
pub(crate) fn json(report: &SendReport) -> String {
    let nodes = report.nodes.iter().map(|node| Node {
        name: &node.name,
        state: node.state.as_str(),
        bytes: node.bytes,
        seconds: round(node.elapsed.as_secs_f64(), 1e6),
        rate: round(rate(node.bytes, node.elapsed), 1.0),
        repaired: repaired_bytes(node),
        limited_by: node.limited_by.as_str(),
        reason: node.reason.as_deref(),
    });
    let skipped = report.skipped.iter().map(|skipped| Skipped {
        path: skipped.path.to_string_lossy().into_owned(),
        reason: skipped.reason.clone(),
    });
    let object = Report {
        session: report.session.to_string(),
        bytes: report.bytes,
        files: report.files,
        seconds: round(report.elapsed.as_secs_f64(), 1e6),
        blake3: report.hash.map(|hash| hash.to_string()),
        nodes: nodes.collect(),
        skipped: skipped.collect(),
        missing: report.missing,
    };
    serde_json::to_string(&object)
        .unwrap_or_else(|error| unreachable!("strings and numbers are JSON: {error}"))
}

/// The table of a finished copy.
pub(crate) fn text(report: &SendReport) -> String {
    let mut rows = vec![
        [
            "node",
            "state",
            "bytes",
            "seconds",
            "rate",
            "repaired",
            "limited by",
        ]
        .map(String::from),
    ];
    for node in &report.nodes {
        let is_complete = node.state == NodeState::Complete;
        let unless_failed = |text: String| if is_complete { text } else { "-".into() };
        rows.push([
            node.name.clone(),
            node.state.as_str().into(),
            unless_failed(show_bytes(node.bytes)),
            unless_failed(format!("{:.2}", node.elapsed.as_secs_f64())),
            unless_failed(format!(
                "{}/s",
                show_bytes(rate(node.bytes, node.elapsed) as u64)
            )),
            unless_failed(show_bytes(repaired_bytes(node))),
            unless_failed(node.limited_by.as_str().into()),
        ]);
    }
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in &rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            // Numbers to the right, words to the left.
            let padding = " ".repeat(width - cell.chars().count());
            let is_number = (2..6).contains(&column);
            text += if is_number { &padding } else { "" };
            text += cell;
            text += if is_number { "" } else { &padding };
            text += "  ";
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    for node in &report.nodes {
        if let Some(reason) = &node.reason {
            text += &printable(&format!("{}: {reason}\n", node.name));
        }
    }
    text
}

/// The last line: how much, how fast, and the hash to compare.
pub(crate) fn summary(report: &SendReport) -> String {
    let complete = report
        .nodes
        .iter()
        .filter(|node| node.state == NodeState::Complete)
        .count();
    let of = report.nodes.len() + report.missing;
    let (sent, repairs) = report.packets;
    let share = if sent == 0 {
        0.0
    } else {
        100.0 * repairs as f64 / sent as f64
    };
    let mut line = format!(
        "{} in {} to {complete} of {of} in {:.2} s, {share:.2} % of packets for repair",
        show_bytes(report.bytes),
        if report.files == 1 {
            "1 file".into()
        } else {
            format!("{} files", report.files)
        },
        report.elapsed.as_secs_f64(),
    );
    if let Some(hash) = report.hash {
        line += &format!("\nblake3 {hash}");
    }
    line
}

fn repaired_bytes(node: &NodeOutcome) -> u64 {
    // Counted by the receiver: any number may come.
    node.repaired.saturating_mul(u64::from(SYMBOL_SIZE))
}

fn rate(bytes: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() {
        0.0
    } else {
        bytes as f64 / elapsed.as_secs_f64()
    }
}

fn round(value: f64, per: f64) -> f64 {
    (value * per).round() / per
}
