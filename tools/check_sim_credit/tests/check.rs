//! The check on stored answers, as a monitoring server runs it: its state and what it prints.
//!
//! No modem and no server: those are in `modem.rs` and `monitoring`.

#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use check_sim_credit::store::Answer;

const PROGRAM: &str = env!("CARGO_BIN_EXE_check_sim_credit");
const DAY_SECONDS: i64 = 86_400;

fn now_unix() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// Stores an answer of this date, runs the check on it, and gives exit code and output.
fn checked(
    directory: &Path,
    text: &str,
    received_unix: i64,
    more: &[&str],
) -> (Option<i32>, String) {
    let state = directory.join("answer");
    let line = format!("+CUSD: 0,\"{text}\",15\r\n");
    let answer = Answer::new(line.as_bytes(), received_unix, None, None);
    answer.save(&state).unwrap();
    let output = Command::new(PROGRAM)
        .arg("--state")
        .arg(&state)
        .args(more)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

#[test]
fn an_answer_with_a_wrong_date_does_not_end_the_forecast() {
    let directory = tempfile::tempdir().unwrap();
    let history = directory.path().join("history");
    let now = now_unix();
    let days: String = (1..=5)
        .rev()
        .map(|day| format!("{} EUR {}.90\n", now - day * DAY_SECONDS, day + 1))
        .collect();
    // A year that an earlier version noted, too.
    fs::write(
        &history,
        format!("{days}{} EUR 2.90\n", now + 300 * DAY_SECONDS),
    )
    .unwrap();
    let flags = [
        "--history",
        history.to_str().unwrap(),
        "--warning-days",
        "14:",
        "--critical-days",
        "3:",
    ];
    let later = now + 359 * DAY_SECONDS;
    let (code, text) = checked(directory.path(), "Balance: 2.90 EUR", later, &flags);
    assert_eq!(code, Some(3), "{text}");

    let (code, text) = checked(directory.path(), "Balance: 1.90 EUR", now, &flags);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("days_left=1;14:;3:"), "{text}");
}

#[test]
fn no_message_about_a_flag_begins_performance_data() {
    let directory = tempfile::tempdir().unwrap();
    let profile = directory.path().join("broken.toml");
    fs::write(&profile, "name = 'a'\npattern = x credit=99\n").unwrap();
    let now = now_unix();
    for flags in [
        ["--profile", profile.to_str().unwrap()],
        ["--profile", "none|credit=99"],
        ["--warning", "none|credit=99"],
        ["--profile", "--state"],
    ] {
        let (code, text) = checked(directory.path(), "Balance: 5.00 EUR", now, &flags);
        assert_eq!(code, Some(3), "{text}");
        assert!(text.starts_with("SIM CREDIT UNKNOWN - "), "{text}");
        assert!(!text.contains('|'), "{text}");
    }
    // A profile's name goes into a reason, a path into a note; the figures behind the bar are our
    // own.
    let named = "name = 'a|credit=99'\npattern = 'Saldo (?<amount>\\d+)'\ncurrency = 'EUR'\n\
                 [[test]]\ntext = 'Saldo 5'\namount = '5'\n";
    fs::write(&profile, named).unwrap();
    let history = directory.path().join("none|credit=99").join("history");
    let flags = [
        "-v",
        "--profile",
        profile.to_str().unwrap(),
        "--history",
        history.to_str().unwrap(),
    ];
    for answer in ["Saldo 5", "Balance: 5.00 EUR"] {
        let (_, text) = checked(directory.path(), answer, now, &flags);
        assert!(!text.contains("|credit=99"), "{text}");
        assert!(text.contains("¦credit=99"), "{text}");
    }
}
