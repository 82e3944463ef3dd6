//! `check_sim_credit parse`: what an answer means, for people and, with `--json`, for programs.

use std::io::Read;

use check_sim_credit::answer::{Understanding, understand};
use check_sim_credit::plugin::quoted;
use check_sim_credit::ussd;
use clap::Args;

use super::{Operator, Said, UNKNOWN};

/// Flags of `parse`.
#[derive(Args)]
pub(super) struct Flags {
    /// One JSON object: "certain", "reason", and the figures that are certain.
    #[arg(long)]
    json: bool,
    /// The answer, or a whole +CUSD line; "-" or nothing reads standard input.
    #[arg(allow_hyphen_values = true)]
    text: Option<String>,
    #[command(flatten)]
    operator: Operator,
}

/// More than any answer; what is longer is cut.
const INPUT_BYTES_MAX: u64 = 1 << 20;

/// Reads one answer. Ends with 0 where it is certain, else with 3.
pub(super) fn run(flags: &Flags) -> Result<Said, String> {
    let options = flags.operator.options()?;
    let bytes = match flags.text.as_deref() {
        Some(text) if text != "-" => text.as_bytes().to_vec(),
        _ => {
            let mut bytes = Vec::new();
            let read = std::io::stdin()
                .take(INPUT_BYTES_MAX)
                .read_to_end(&mut bytes);
            read.map_err(|error| format!("standard input: {error}"))?;
            bytes
        }
    };
    let is_line = bytes.windows(6).any(|window| window == b"+CUSD:");
    let (text, meaning) = if is_line {
        match ussd::best_answer(&bytes) {
            Ok((_, decoded)) => {
                let meaning = understand(&decoded.text, decoded.terminated, &options);
                (decoded.text, meaning)
            }
            Err(error) => (
                String::from_utf8_lossy(&bytes).into_owned(),
                Understanding::Uncertain(error.to_string()),
            ),
        }
    } else {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let meaning = understand(&text, true, &options);
        (text, meaning)
    };
    let (certain, reason) = match &meaning {
        Understanding::Certain(_, how) => (true, how.clone()),
        Understanding::Uncertain(reason) => (false, reason.clone()),
    };
    let code = if certain { 0 } else { UNKNOWN };
    let text = if flags.json {
        json(&meaning, &reason)?
    } else {
        plain(&meaning, &reason, &text)
    };
    Ok(Said { text, code })
}

fn json(meaning: &Understanding, reason: &str) -> Result<String, String> {
    let mut object = serde_json::json!({
        "certain": matches!(meaning, Understanding::Certain(..)),
        "reason": reason,
    });
    if let Understanding::Certain(figures, _) = meaning {
        let figures = serde_json::to_value(figures).map_err(|error| error.to_string())?;
        if let (Some(object), serde_json::Value::Object(figures)) =
            (object.as_object_mut(), figures)
        {
            object.extend(figures);
        }
    }
    Ok(object.to_string())
}

fn plain(meaning: &Understanding, reason: &str, text: &str) -> String {
    let Understanding::Certain(figures, _) = meaning else {
        return format!("uncertain: {reason}: {}", quoted(text));
    };
    let mut lines = vec![format!("certain: {reason}")];
    if let Ok(serde_json::Value::Object(figures)) = serde_json::to_value(figures) {
        for (key, value) in figures {
            lines.push(format!(
                "{key}: {}",
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            ));
        }
    }
    lines.join("\n")
}
