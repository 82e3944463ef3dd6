//! Real answers of operators, with the figures that they mean: all right, none guessed.

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

/// Every difference between what was read and what is expected, over a file of samples.
fn differences(file: &str) -> Vec<String> {
    let file: toml::Table = file.parse().unwrap();
    let samples = file["sample"].as_array().unwrap();
    assert!(samples.len() >= 40, "samples are missing");
    let mut wrong = Vec::new();
    for sample in samples {
        let sample = sample.as_table().unwrap();
        let text = sample["text"].as_str().unwrap();
        let certain = matches!(
            sample["kind"].as_str().unwrap(),
            "balance" | "balance-in-menu" | "bundle"
        );
        let expected: BTreeMap<&str, String> = if certain {
            KEYS.into_iter()
                .filter_map(|key| sample.get(key).map(|value| (key, plain(value))))
                .collect()
        } else {
            BTreeMap::new()
        };
        let found = understand(text, true, &Options::default());
        let read: BTreeMap<String, String> = match &found {
            Understanding::Certain(figures, _) => {
                let json = serde_json::to_value(figures).unwrap();
                json.as_object()
                    .unwrap()
                    .iter()
                    .map(|(key, value)| (key.clone(), value.to_string().replace('"', "")))
                    .collect()
            }
            Understanding::Uncertain(_) => BTreeMap::new(),
        };
        let equal = read.len() == expected.len()
            && expected
                .iter()
                .all(|(key, value)| read.get(*key) == Some(value));
        if !equal {
            wrong.push(format!(
                "{}: expected {expected:?}, read {read:?} ({found:?}) from {text:?}",
                sample["id"]
            ));
        }
    }
    wrong
}

fn plain(value: &toml::Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn every_sample_is_read_right_or_not_at_all() {
    let wrong = differences(include_str!("data/ussd-samples.toml"));
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// What was read, in the notation of `traps.txt`.
fn notation(found: &Understanding) -> String {
    let Understanding::Certain(figures, _) = found else {
        return "?".into();
    };
    let mut parts = Vec::new();
    if let Some(amount) = figures.amount {
        parts.push(format!(
            "{amount} {}",
            figures.currency.as_deref().unwrap_or("-")
        ));
    }
    let json = serde_json::to_value(figures).unwrap();
    for key in ["expiry", "sms", "sms_expiry", "data_kb", "minutes"] {
        if let Some(value) = json.get(key) {
            parts.push(format!("{key}={}", value.to_string().replace('"', "")));
        }
    }
    parts.join(" ")
}

#[test]
fn no_trap_yields_a_wrong_figure() {
    let mut wrong = Vec::new();
    let lines = include_str!("data/traps.txt")
        .lines()
        .filter(|line| !line.starts_with('#'));
    for line in lines {
        let (text, expected) = line.split_once(" => ").unwrap();
        let read = notation(&understand(
            &text.replace("\\n", "\n"),
            true,
            &Options::default(),
        ));
        if read != expected {
            wrong.push(format!("{text:?}: expected {expected}, read {read}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_raw_line_decodes_to_its_text() {
    let file: toml::Table = include_str!("data/ussd-samples.toml").parse().unwrap();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for sample in file["sample"].as_array().unwrap() {
        let Some(raw) = sample.get("raw").and_then(toml::Value::as_str) else {
            continue;
        };
        seen += 1;
        let read =
            check_sim_credit::ussd::best_answer(raw.as_bytes()).map(|(_, decoded)| decoded.text);
        if read.as_deref() != Ok(sample["text"].as_str().unwrap()) {
            wrong.push(format!("{}: {read:?}", sample["id"]));
        }
    }
    assert!(seen >= 8, "only {seen} samples have a raw line");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
