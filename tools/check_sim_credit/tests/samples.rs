//! Real answers of operators, with the figures that they mean: all right, none guessed.

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
