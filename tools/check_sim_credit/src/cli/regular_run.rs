//! `check_sim_credit regular-run`: smsd's `regular_run` script. Asks while smsd has the port closed.
//!
//! smsd calls it with `PRE_RUN` after it has closed the port, and with `POST_RUN` later: the first asks.
//! No message goes out meanwhile, so the time is short. An answer that does not come leaves the last
//! one in its place; its age tells.

use std::path::PathBuf;

use clap::Args;

use super::Said;
use super::asking::{Asking, Way, answer};

/// Flags of `regular-run`.
#[derive(Args)]
pub(super) struct Flags {
    /// The modem's port, as in smsd.conf.
    #[arg(long, value_name = "DEV")]
    device: PathBuf,
    /// Where the answer is kept for the check.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/var/lib/sim-credit/answer"
    )]
    state: PathBuf,
    #[command(flatten)]
    asking: Asking,
    /// What smsd says of the moment.
    #[arg(value_name = "PRE_RUN|POST_RUN", default_value = "PRE_RUN")]
    event: String,
    /// What else smsd says.
    #[arg(hide = true)]
    rest: Vec<String>,
}

/// Asks and stores. Ends with 0, or with 1 and the reason in smsd's log.
pub(super) fn run(flags: &Flags) -> Result<Said, String> {
    if flags.event != "PRE_RUN" {
        return Ok(Said {
            text: format!("nothing to do at {}", flags.event),
            code: 0,
        });
    }
    let way = Way::Device(flags.device.clone());
    match answer(&flags.asking, &way) {
        Ok(answer) => {
            answer
                .save(&flags.state)
                .map_err(|error| error.to_string())?;
            Ok(Said {
                text: format!("stored in {}", flags.state.display()),
                code: 0,
            })
        }
        Err(unasked) => Ok(Said {
            text: format!("sim credit: no answer: {}", unasked.message),
            code: 1,
        }),
    }
}
