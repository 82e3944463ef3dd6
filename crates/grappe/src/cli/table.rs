//! The result of a copy, as a table for people and as one JSON object for programs.

use std::ops::Range;
use std::time::Duration;

use grappe::send::SendReport;
use grappe_proto::session::{NodeOutcome, NodeState};
use serde::Serialize;

use super::error::{printable, steers};
use super::size::show_bytes;

#[cfg(test)]
mod tests;

/// The heads of the table's columns, and which of them are numbers.
const COLUMNS: [&str; 8] = [
    "node",
    "state",
    "by",
    "bytes",
    "seconds",
    "rate",
    "repaired",
    "limited by",
];
const NUMBERS: Range<usize> = 3..7;

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
    /// Why the copy was broken off; null when it was not.
    cancelled: Option<&'a str>,
    /// Packets that left, of content, repairs and the copy's own business.
    packets: u64,
    /// What they were sealed with.
    cipher: &'static str,
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
    /// Whether it held all others back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    holds_all: bool,
    transport: &'static str,
    /// Why the pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    transport_reason: Option<&'a str>,
    /// Bytes of the largest multicast packet that was tried and arrived.
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u16>,
    /// Whether some of it was sent apart from the others.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    apart: bool,
    /// Entries that were to be removed and stay, as the receiver lets no copy remove anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    spared: Option<u64>,
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
    let spared = |name: &str| {
        let mut known = report.spared();
        known.find_map(|(node, stay)| (node == name).then_some(stay))
    };
    let nodes = report.nodes.iter().map(|node| Node {
        name: &node.name,
        state: node.state.as_str(),
        bytes: node.bytes,
        seconds: round(node.elapsed.as_secs_f64(), 1e6),
        rate: round(rate(node.bytes, node.elapsed), 1.0),
        repaired: repaired_bytes(report, node),
        limited_by: node.limited_by.as_str(),
        holds_all: node.holds_all,
        transport: node.way.as_str(),
        transport_reason: node.way.why.as_deref(),
        mtu: node.way.heard_bytes,
        apart: node.apart,
        spared: spared(&node.name),
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
        cancelled: report.cancelled.as_deref(),
        packets: report.packets.0,
        cipher: report.cipher.name(),
    };
    let object = serde_json::to_string(&object)
        .unwrap_or_else(|error| unreachable!("strings and numbers are JSON: {error}"));
    escape(&object)
}

/// The same JSON with everything escaped that would steer a terminal: JSON asks that of the first 32
/// characters only (RFC 8259, section 7).
pub(super) fn escape(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if steers(character) {
            escaped += &format!("\\u{:04x}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// The table of a finished copy, with the reasons of those that did not get it; empty without nodes.
pub(crate) fn text(report: &SendReport) -> String {
    if report.nodes.is_empty() {
        return String::new();
    }
    let mut rows = vec![COLUMNS.map(String::from).to_vec()];
    rows.extend(report.nodes.iter().map(|node| row(report, node)));
    let mut text = aligned(&rows, NUMBERS);
    for node in &report.nodes {
        if let Some(why) = &node.way.why {
            text += &printable(&format!("{}: pipeline: {why}", node.name));
            text.push('\n');
        }
        if let Some(reason) = &node.reason {
            text += &printable(&format!("{}: {reason}", node.name));
            text.push('\n');
        }
    }
    text
}

fn row(report: &SendReport, node: &NodeOutcome) -> Vec<String> {
    let is_complete = node.state == NodeState::Complete;
    let if_known = |is_known: bool, text: String| if is_known { text } else { "-".into() };
    let seconds = format!("{:.2}", node.elapsed.as_secs_f64());
    let rate = format!("{}/s", show_bytes(rate(node.bytes, node.elapsed) as u64));
    vec![
        printable(&node.name),
        node.state.as_str().into(),
        if_known(node.joined, node.way.as_str().into()),
        if_known(is_complete, show_bytes(node.bytes)),
        if_known(is_complete, seconds),
        if_known(is_complete, rate),
        if_known(is_complete, show_bytes(repaired_bytes(report, node))),
        // That a node never joined is the network's doing as far as anybody here can know.
        if_known(is_complete || !node.joined, limited_by(node)),
    ]
}

fn limited_by(node: &NodeOutcome) -> String {
    let holds_all = if node.holds_all { ", holds all" } else { "" };
    let apart = if node.apart { ", apart" } else { "" };
    format!("{}{holds_all}{apart}", node.limited_by.as_str())
}

/// Rows in columns; those in `numbers` stand to the right, others to the left.
pub(super) fn aligned(rows: &[Vec<String>], numbers: Range<usize>) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let mut widths = vec![0; columns];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let padding = " ".repeat(width - cell.chars().count());
            let is_number = numbers.contains(&column);
            text += if is_number { &padding } else { "" };
            text += cell;
            text += if is_number { "" } else { &padding };
            text += "  ";
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// How much, to how many, and how fast.
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
    format!(
        "{} in {} to {complete} of {of} in {:.2} s, {share:.2} % of packets for repair",
        show_bytes(report.bytes),
        if report.files == 1 {
            "1 file".into()
        } else {
            format!("{} files", report.files)
        },
        report.elapsed.as_secs_f64(),
    )
}

fn repaired_bytes(report: &SendReport, node: &NodeOutcome) -> u64 {
    // Counted by the receiver: any number may come.
    node.repaired.saturating_mul(u64::from(report.symbol_size))
}

pub(super) fn rate(bytes: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() {
        0.0
    } else {
        bytes as f64 / elapsed.as_secs_f64()
    }
}

pub(super) fn round(value: f64, per: f64) -> f64 {
    (value * per).round() / per
}
