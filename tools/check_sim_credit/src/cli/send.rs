//! `check_sim_credit send`: an alarm into smsd's spool, followed to its end if wished.

use std::io::Read;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use check_sim_credit::spool::{Fate, Message, fate, put};
use clap::Args;

use super::{Said, UNKNOWN};

/// Flags of `send`.
#[derive(Args)]
pub(super) struct Flags {
    /// The directory that smsd reads.
    #[arg(long, value_name = "DIR", default_value = "/var/spool/sms/outgoing")]
    outgoing: PathBuf,
    /// Before all other messages.
    #[arg(long)]
    urgent: bool,
    /// How long the network may try: "1 hour". An old alarm is worth nothing.
    #[arg(long, value_name = "TIME")]
    validity: Option<String>,
    /// Wait until the message is sent or has failed, at most so long.
    #[arg(long, value_name = "TIME", value_parser = super::check::seconds)]
    follow: Option<i64>,
    /// The number in international form, or s and a short number.
    number: String,
    /// The text; "-" reads standard input.
    #[arg(allow_hyphen_values = true)]
    text: String,
}

/// More than any message; smsd splits what is longer than one.
const TEXT_BYTES_MAX: u64 = 16 * 1024;
/// How often a followed message is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Sends one message. Ends with 0 when it is in the spool, or sent; 2 when it failed; 3 when that is
/// not known in time.
pub(super) fn run(flags: &Flags) -> Result<Said, String> {
    let mut text = flags.text.clone();
    if text == "-" {
        let mut bytes = Vec::new();
        let read = std::io::stdin()
            .take(TEXT_BYTES_MAX)
            .read_to_end(&mut bytes);
        read.map_err(|error| format!("standard input: {error}"))?;
        text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
    }
    let mut message = Message::new(&flags.number, &text).map_err(|error| error.to_string())?;
    message.urgent = flags.urgent;
    message.validity.clone_from(&flags.validity);
    let path = put(&message, &flags.outgoing).map_err(|error| error.to_string())?;
    let name = path.display();
    let Some(seconds) = flags.follow else {
        return Ok(Said {
            text: format!("in the spool: {name}"),
            code: 0,
        });
    };
    let end = Instant::now() + Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    loop {
        let now = fate(&path);
        let (text, code) = match now {
            Fate::Sent => (format!("sent: {name}"), 0),
            Fate::Failed => (format!("smsd could not send it: {name}; see its log"), 2),
            _ if Instant::now() < end => {
                std::thread::sleep(LOOK_EVERY);
                continue;
            }
            Fate::Waiting => (
                format!(
                    "smsd has not picked it up in {seconds} s: {name}; is smsd running, and may it read the file?"
                ),
                UNKNOWN,
            ),
            Fate::Taken => (
                format!(
                    "smsd took it, but has neither sent nor given it up in {seconds} s: {name}"
                ),
                UNKNOWN,
            ),
        };
        return Ok(Said { text, code });
    }
}
