//! `check_sim_credit ask`: asks now, and prints the operator's text.

use std::path::PathBuf;

use check_sim_credit::ussd;
use clap::Args;

use super::Said;
use super::asking::{Asking, Way, answer};

/// Flags of `ask`.
#[derive(Args)]
pub(super) struct Flags {
    /// The modem's port. Nobody else may have it.
    #[arg(long, value_name = "DEV", required_unless_present = "mmcli")]
    device: Option<PathBuf>,
    /// Ask through ModemManager: its modem's number, or any.
    #[arg(long, value_name = "MODEM", num_args = 0..=1, default_missing_value = "any", conflicts_with = "device")]
    mmcli: Option<String>,
    /// Store the answer for the check as well.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// How the answer was decoded; repeat for the bytes.
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(flatten)]
    asking: Asking,
}

/// Asks once. Ends with 0 where a text came, else with 3.
pub(super) fn run(flags: &Flags) -> Result<Said, String> {
    let way = match (&flags.device, &flags.mmcli) {
        (Some(device), _) => Way::Device(device.clone()),
        (None, Some(modem)) => Way::Manager(modem.clone()),
        (None, None) => return Err("--device DEV or --mmcli is missing".into()),
    };
    let answer = match answer(&flags.asking, &way) {
        Ok(answer) => answer,
        Err(unasked) => {
            return Ok(Said {
                text: format!("SIM CREDIT UNKNOWN - {}", unasked.message),
                code: unasked.code,
            });
        }
    };
    if let Some(path) = &flags.state {
        answer.save(path).map_err(|error| error.to_string())?;
    }
    let raw = answer.raw();
    let (line, decoded) = ussd::best_answer(&raw).map_err(|error| error.to_string())?;
    let mut text = decoded.text.clone();
    if flags.verbose > 0 {
        text.push_str(&format!("\n{}, decoded as {}", line.mode, decoded.coding));
    }
    if flags.verbose > 1 {
        text.push_str(&format!("\nbytes: {}", raw.escape_ascii()));
    }
    Ok(Said { text, code: 0 })
}
