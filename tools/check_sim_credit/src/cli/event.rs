//! `check_sim_credit ussd-event`: smsd's `eventhandler_ussd`. Stores the answer, judges nothing.
//!
//! smsd calls it as `HANDLER USSD FILE MODEM CHARSET COMMAND`; FILE holds the modem's answer in one
//! line. Called through `eventhandler_ussd = /usr/bin/check_sim_credit ussd-event --state FILE`, or by
//! a script, where smsd's version does not split words.

use std::io::Read;
use std::path::PathBuf;

use check_sim_credit::store::Answer;
use clap::Args;

use super::{Said, now_unix};

/// Flags of `ussd-event`.
#[derive(Args)]
pub(super) struct Flags {
    /// Where the answer is kept for the check.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/var/lib/sim-credit/answer"
    )]
    state: PathBuf,
    /// What smsd says of the event: always USSD.
    event: String,
    /// The file with the answer.
    file: PathBuf,
    /// The modem's name in smsd.conf.
    modem: Option<String>,
    /// The modem's character set.
    charset: Option<String>,
    /// The question.
    command: Option<String>,
}

/// An answer takes some hundred bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Stores the answer of one event.
pub(super) fn run(flags: &Flags) -> Result<Said, String> {
    if flags.event != "USSD" {
        return Err(format!(
            "the event is '{}', not USSD; set eventhandler_ussd, not eventhandler",
            flags.event
        ));
    }
    let mut raw = Vec::new();
    std::fs::File::open(&flags.file)
        .and_then(|file| file.take(ANSWER_BYTES_MAX).read_to_end(&mut raw))
        .map_err(|error| format!("{}: {error}", flags.file.display()))?;
    let answer = Answer::new(&raw, now_unix(), flags.command.clone(), flags.modem.clone());
    answer
        .save(&flags.state)
        .map_err(|error| error.to_string())?;
    Ok(Said {
        text: format!("stored in {}", flags.state.display()),
        code: 0,
    })
}
