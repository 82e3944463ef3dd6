//! `check-notice ledger`: what each complainant sent, and what became of it.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;

use super::{CommandError, Common, open_ledger, print};

/// Count complaints per complainant: sent, confirmed, consistent, contradicted, uncheckable.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    common: Common,
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let config = arguments.common.config()?;
    if config.ledger.is_none() {
        return Err(CommandError::usage(
            "no ledger is named",
            "set `ledger = \"FILE\"` in the configuration",
        ));
    }
    let accounts = open_ledger(&config)?.accounts()?;
    if arguments.json {
        print(&format!("{}\n", serde_json::json!(accounts)));
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = format!(
        "{:>6} {:>9} {:>10} {:>12} {:>11}  complainant\n",
        "sent", "confirmed", "consistent", "contradicted", "uncheckable"
    );
    for one in accounts {
        let _ = writeln!(
            out,
            "{:>6} {:>9} {:>10} {:>12} {:>11}  {}",
            one.sent,
            one.confirmed,
            one.consistent,
            one.contradicted,
            one.uncheckable,
            one.complainant
        );
    }
    print(&out);
    Ok(ExitCode::SUCCESS)
}
