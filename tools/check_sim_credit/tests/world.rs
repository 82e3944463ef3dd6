//! Answers in the manner of operators of many countries: none may yield a wrong figure.
//!
//! The answers are made up (see the files); what each may yield was set by hand. `samples.rs` holds
//! the answers that were really sent.

#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

use std::collections::BTreeMap;

use check_sim_credit::answer::{Options, Understanding, understand};

const KEYS: [&str; 7] = [
    "amount",
    "currency",
    "expiry",
    "sms",
    "sms_expiry",
    "data_kb",
    "minutes",
];

/// What was read, key by key; empty where nothing is certain.
fn read(text: &str) -> BTreeMap<String, String> {
    let Understanding::Certain(figures, _) = understand(text, true, &Options::default()) else {
        return BTreeMap::new();
    };
    let json = serde_json::to_value(figures).unwrap();
    let fields = json.as_object().unwrap().iter();
    fields
        .map(|(key, value)| (key.clone(), value.to_string().replace('"', "")))
        .collect()
}

fn values(table: &toml::Table) -> BTreeMap<String, String> {
    KEYS.into_iter()
        .filter_map(|key| {
            let value = table.get(key)?;
            let plain = value.as_str().map(str::to_owned);
            Some((key.to_owned(), plain.unwrap_or_else(|| value.to_string())))
        })
        .collect()
}

/// How the answers of a file came out.
#[derive(Default)]
struct Outcome {
    answers: usize,
    /// A figure that is not in the text, or not what it is said to be.
    wrong: Vec<String>,
    /// A figure that every reader sees, and the program did not tell.
    missed: Vec<String>,
}

fn outcome(file: &str) -> Outcome {
    let file: toml::Table = file.parse().unwrap();
    let mut outcome = Outcome::default();
    for answer in file["answer"].as_array().unwrap() {
        let answer = answer.as_table().unwrap();
        let kind = answer["kind"].as_str().unwrap();
        let text = answer["text"].as_str().unwrap();
        let expected = values(answer);
        let open = answer
            .get("open")
            .and_then(toml::Value::as_table)
            .map(values)
            .unwrap_or_default();
        let found = read(text);
        outcome.answers += 1;
        let line = format!("{}: {found:?} from {text:?}", answer["id"]);
        let unfounded = found
            .iter()
            .any(|(key, value)| expected.get(key).or_else(|| open.get(key)) != Some(value));
        if unfounded || (kind == "none" && !found.is_empty()) {
            outcome.wrong.push(line);
        } else if matches!(kind, "balance" | "bundle")
            && expected.keys().any(|key| !found.contains_key(key))
        {
            outcome
                .missed
                .push(format!("{line}, expected {expected:?}"));
        }
    }
    outcome
}

#[track_caller]
fn assert_right(file: &str, at_least: usize) {
    let outcome = outcome(file);
    assert!(outcome.answers >= at_least, "answers are missing");
    assert!(
        outcome.wrong.is_empty() && outcome.missed.is_empty(),
        "{} wrong:\n{}\n{} missed:\n{}",
        outcome.wrong.len(),
        outcome.wrong.join("\n"),
        outcome.missed.len(),
        outcome.missed.join("\n")
    );
}

#[test]
fn answers_of_many_countries_are_read_right_or_not_at_all() {
    assert_right(include_str!("data/world-answers.toml"), 100);
}

#[test]
fn no_trap_of_the_world_yields_a_wrong_figure() {
    assert_right(include_str!("data/world-traps.toml"), 80);
}

#[test]
fn answers_that_came_after_the_rules_are_read_right_or_not_at_all() {
    assert_right(include_str!("data/world-more.toml"), 50);
}
