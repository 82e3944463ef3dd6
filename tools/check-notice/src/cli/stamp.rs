//! `check-notice stamp`: at delivery, keeps what makes a mail provable later.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{CommandError, Common, check, input, now, open_ledger, print};
use check_notice::ledger::content_hash;
use check_notice::sender::{believed, dkim};

/// Keep DKIM keys, the time and Authentication-Results of a mail that arrives now.
///
/// Asks DNS for the keys, as every mail server does at delivery. A key that cannot be had is named; that
/// there is none any more is kept too.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The mail, or - for standard input.
    #[arg(default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    common: Common,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let config = arguments.common.config()?;
    if config.ledger.is_none() {
        return Err(CommandError::usage(
            "stamps are kept in a ledger, and none is named",
            "set `ledger = \"FILE\"` in the configuration",
        ));
    }
    let mut ledger = open_ledger(&config)?;
    let trust = config.trust();
    input::each_mail(&arguments.file, &mut |item| {
        let mail = item.mail?;
        let results = believed(&mail, &trust);
        let names = dkim::key_names(&mail);
        let keys: Vec<_> = names
            .iter()
            .filter_map(|name| check::ask(&config, name))
            .collect();
        ledger.stamp(&content_hash(&mail), now(), &results, &keys)?;
        print(&format!(
            "{}: stamped, {} of {} key(s) and {} result(s) of the border kept\n",
            item.name,
            keys.iter().filter(|key| !key.is_none()).count(),
            names.len(),
            results.len()
        ));
        for name in &names {
            match keys.iter().find(|key| key.name == *name) {
                None => eprintln!("check-notice: {name}: no key could be had from DNS"),
                Some(key) if key.is_none() => {
                    eprintln!("check-notice: {name} has no key (any more), which is kept");
                }
                Some(_) => {}
            }
        }
        Ok(())
    })?;
    Ok(ExitCode::SUCCESS)
}
