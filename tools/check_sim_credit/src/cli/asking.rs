//! Flags and steps of asking that several commands share: which way to the modem, and what to ask.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use check_sim_credit::mmcli;
use check_sim_credit::modem::{Port, Question, ask};
use check_sim_credit::store::Answer;
use clap::Args;

use super::now_unix;

/// What to ask, and how long to wait.
#[derive(Args, Clone)]
pub(super) struct Asking {
    /// The operator's code for the credit.
    #[arg(long, value_name = "CODE", default_value = "*130#", value_parser = code)]
    pub(super) ussd: String,
    /// What to reply to the menus that come, one after the other: 3,1
    #[arg(long, value_name = "REPLIES", value_delimiter = ',', value_parser = code)]
    pub(super) reply: Vec<String>,
    /// Everything is over after this, with UNKNOWN; a colon and u, w or c after it make it that state.
    #[arg(short, long, value_name = "TIME[:STATE]", default_value = "45", value_parser = limit)]
    pub(super) timeout: Limit,
    /// The speed of a serial port.
    #[arg(long, value_name = "BAUD", default_value = "115200")]
    pub(super) baud: u32,
    /// Where lock files of serial ports are.
    #[arg(long, value_name = "DIR", default_value = "/var/lock")]
    pub(super) lock_dir: PathBuf,
}

/// A time limit, and the exit code that its end means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) span: Duration,
    pub(super) code: u8,
}

fn limit(written: &str) -> Result<Limit, String> {
    let (time, code) = match written.split_once(':') {
        None => (written, 3),
        Some((time, "u" | "unknown")) => (time, 3),
        Some((time, "w" | "warning")) => (time, 1),
        Some((time, "c" | "critical")) => (time, 2),
        Some((_, state)) => return Err(format!("'{state}' is no state: u, w or c")),
    };
    let seconds = super::check::seconds(time)?;
    let span = u64::try_from(seconds)
        .ok()
        .filter(|seconds| (2..=3600).contains(seconds))
        .ok_or("the time must be between 2 s and an hour")?;
    Ok(Limit {
        span: Duration::from_secs(span),
        code,
    })
}

/// What goes between the quotes of a command: a code or a reply.
fn code(written: &str) -> Result<String, String> {
    let sound = !written.is_empty()
        && written.len() <= 100
        && written
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "*#+ .".contains(character));
    if sound {
        Ok(written.to_owned())
    } else {
        Err(format!("'{written}' is no code: digits, letters, * and #"))
    }
}

/// The way to the modem.
pub(super) enum Way {
    /// A port of our own.
    Device(PathBuf),
    /// `ModemManager`, which owns the modem: its number or path, or `any`.
    Manager(String),
}

/// Why nothing was asked, and with which exit code that ends.
pub(super) struct Unasked {
    pub(super) message: String,
    pub(super) code: u8,
}

/// Asks, and gives the answer as it came.
pub(super) fn answer(asking: &Asking, way: &Way) -> Result<Answer, Unasked> {
    let begun = Instant::now();
    let deadline = begun + asking.timeout.span;
    let unasked = |message: String| Unasked {
        message,
        // What fails at once did not time out.
        code: if begun.elapsed() + Duration::from_secs(2) > asking.timeout.span {
            asking.timeout.code
        } else {
            super::UNKNOWN
        },
    };
    match way {
        Way::Device(path) => {
            let port = Port::open(path, asking.baud, &asking.lock_dir)
                .map_err(|error| unasked(error.to_string()))?;
            let question = Question {
                code: asking.ussd.clone(),
                replies: asking.reply.clone(),
            };
            let conversation =
                ask(&port, &question, deadline).map_err(|error| unasked(error.to_string()))?;
            drop(port);
            Ok(Answer::new(
                &conversation.bytes,
                now_unix(),
                Some(conversation.command),
                Some(path.display().to_string()),
            ))
        }
        Way::Manager(modem) => {
            let text = mmcli::ask(modem, &asking.ussd, &asking.reply, deadline)
                .map_err(|error| unasked(error.to_string()))?;
            // As a modem would say it, so that one form is stored.
            let line = format!("+CUSD: 0,\"{text}\",15\r\n");
            Ok(Answer::new(
                line.as_bytes(),
                now_unix(),
                Some(asking.ussd.clone()),
                Some(format!("ModemManager {modem}")),
            ))
        }
    }
}
