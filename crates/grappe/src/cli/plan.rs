//! What `grappe send --dry-run` prints: what each node would do.

use std::fmt::Write;

use grappe::send::SendReport;
use grappe_proto::content::survey::{Action, Survey};
use serde::Serialize;

use super::size::show_bytes;

/// For a reader: a line for each node, then its changes, each with a sign before its path.
pub(crate) fn text(report: &SendReport) -> String {
    let mut text = String::new();
    for (name, survey) in &report.surveys {
        let [create, update, adjust, remove] = survey.counts;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}: {create} to create, {update} to update, {adjust} to adjust, {remove} to remove; lacks {}",
            name.escape_debug(),
            show_bytes(survey.bytes)
        );
        if let Some(spared) = survey.spared {
            let _ = writeln!(
                text,
                "  removes nothing, by its --no-delete: {spared} entries stay"
            );
        }
        for change in &survey.changes {
            let path = String::from_utf8_lossy(&change.path);
            let _ = writeln!(text, "  {} {}", sign(change.action), path.escape_debug());
        }
        let named = survey.changes.len() as u64;
        let more = survey.counts.iter().sum::<u64>().saturating_sub(named);
        if more > 0 {
            let _ = writeln!(text, "  and {more} more");
        }
    }
    text
}

/// The same for a program: one object in one line.
pub(crate) fn json(report: &SendReport) -> String {
    let nodes = report
        .surveys
        .iter()
        .map(|(name, survey)| node(name, survey));
    let plan = Plan {
        dry_run: true,
        nodes: nodes.collect(),
    };
    // Strings and numbers alone: nothing in it can fail.
    serde_json::to_string(&plan).unwrap_or_default()
}

#[derive(Serialize)]
struct Plan<'a> {
    dry_run: bool,
    nodes: Vec<Node<'a>>,
}

#[derive(Serialize)]
struct Node<'a> {
    name: &'a str,
    create: u64,
    update: u64,
    adjust: u64,
    remove: u64,
    /// Entries that stay as the receiver lets no copy remove anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    spared: Option<u64>,
    bytes: u64,
    changes: Vec<Change>,
}

#[derive(Serialize)]
struct Change {
    action: &'static str,
    path: String,
}

fn node<'a>(name: &'a str, survey: &Survey) -> Node<'a> {
    let [create, update, adjust, remove] = survey.counts;
    let changes = survey.changes.iter().map(|change| Change {
        action: match change.action {
            Action::Create => "create",
            Action::Update => "update",
            Action::Adjust => "adjust",
            Action::Remove => "remove",
        },
        path: String::from_utf8_lossy(&change.path).into_owned(),
    });
    Node {
        name,
        create,
        update,
        adjust,
        remove,
        spared: survey.spared,
        bytes: survey.bytes,
        changes: changes.collect(),
    }
}

const fn sign(action: Action) -> char {
    match action {
        Action::Create => '+',
        Action::Update => '~',
        Action::Adjust => '=',
        Action::Remove => '-',
    }
}
