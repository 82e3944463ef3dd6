//! What the table and the object say of copies that did not go well, and of words from others.

use grappe_proto::session::{LimitedBy, Way};
use grappe_proto::units::SessionId;
use serde_json::{Value, json};

use super::*;

fn lost(name: &str, joined: bool, reason: &str) -> NodeOutcome {
    NodeOutcome {
        name: name.into(),
        state: NodeState::Lost,
        joined,
        reason: Some(reason.into()),
        bytes: 0,
        elapsed: Duration::ZERO,
        repaired: 0,
        limited_by: LimitedBy::Network,
        holds_all: false,
        apart: false,
        way: Way::default(),
    }
}

fn report(nodes: Vec<NodeOutcome>) -> SendReport {
    SendReport {
        surveys: Vec::new(),
        selected_bytes: 0,
        session: SessionId([7; 16]),
        bytes: 5,
        files: 1,
        elapsed: Duration::ZERO,
        hash: None,
        nodes,
        missing: 0,
        skipped: Vec::new(),
        cancelled: None,
        packets_refused: 0,
        packets: (0, 0),
        cipher: grappe_proto::seal::Suite::Aes128Gcm,
        symbol_size: 1433,
    }
}

fn parsed(report: &SendReport) -> Value {
    serde_json::from_str(&json(report)).unwrap()
}

#[test]
fn without_nodes_there_is_no_table_and_an_empty_list() {
    assert_eq!(text(&report(Vec::new())), "");
    assert_eq!(parsed(&report(Vec::new()))["nodes"], json!([]));
}

#[test]
fn who_never_joined_is_limited_by_the_network_in_both_forms() {
    let report = report(vec![lost("absent", false, "did not join")]);
    assert_eq!(parsed(&report)["nodes"][0]["limited_by"], "network");
    let table = text(&report);
    let line = table
        .lines()
        .find(|line| line.starts_with("absent "))
        .unwrap();
    assert!(line.ends_with("  network"), "{table}");
}

#[test]
fn the_object_always_says_whether_the_copy_was_broken_off() {
    let mut report = report(Vec::new());
    assert_eq!(parsed(&report)["cancelled"], Value::Null);
    assert!(
        parsed(&report)
            .as_object()
            .unwrap()
            .contains_key("cancelled")
    );
    report.cancelled = Some("stopped by SIGTERM".into());
    assert_eq!(parsed(&report)["cancelled"], "stopped by SIGTERM");
}

#[test]
fn words_of_others_stay_on_their_line_and_reach_programs_unchanged() {
    let forged = "x\nnode2  complete\u{1b}[2J\u{9b}A\u{2028}\u{7f}";
    let report = report(vec![lost(forged, true, forged)]);
    let table = text(&report);
    assert_eq!(table.lines().count(), 3, "{table}");
    let steering = |text: &str| text.chars().any(|c| c != '\n' && steers(c));
    assert!(!steering(&table), "{table:?}");
    let object = json(&report);
    assert!(!object.contains('\n') && !steering(&object), "{object:?}");
    assert_eq!(parsed(&report)["nodes"][0]["name"], forged);
    assert_eq!(parsed(&report)["nodes"][0]["reason"], forged);
}
