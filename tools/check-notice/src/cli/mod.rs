//! The command line: one file per command, one for errors and exit codes, one for reading mails.
//!
//! Only here is anything printed, the clock or environment read, or the process ended.

mod check;
mod error;
mod input;
mod ledger;
mod reply;
mod report;
mod spool;
mod stamp;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::error::CommandError;
use check_notice::config::Config;
use check_notice::ledger::Ledger;

/// Is this complaint authentic, and do our own records agree?
///
/// Opens no attachment, follows no link, sends nothing, and names no person without --reveal.
#[derive(Debug, Parser)]
#[command(name = "check-notice", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(check::Arguments),
    Stamp(stamp::Arguments),
    Ledger(ledger::Arguments),
    Reply(reply::Arguments),
}

/// Flags that all commands share.
#[derive(Debug, Args)]
struct Common {
    /// Configuration, TOML; see docs/check-notice.toml for an example.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Common {
    fn config(&self) -> Result<Config, CommandError> {
        let Some(path) = &self.config else {
            return Ok(Config::default());
        };
        let text =
            std::fs::read_to_string(path).map_err(|error| CommandError::file(path, &error))?;
        Config::read(&text).map_err(|error| {
            CommandError::usage(
                format!("{}: {error}", path.display()),
                "docs/check-notice.toml shows all keys",
            )
        })
    }
}

fn open_ledger(config: &Config) -> Result<Ledger, CommandError> {
    let opened = match &config.ledger {
        Some(path) => Ledger::open(path),
        None => Ledger::in_memory(),
    };
    opened.map_err(|error| {
        CommandError::ledger(
            config.ledger.as_deref().unwrap_or(Path::new("memory")),
            &error,
        )
    })
}

/// Runs the program.
pub(crate) fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no errors to their reader: exit code 0.
            let _closed = error.print();
            return if error.use_stderr() {
                ExitCode::from(error::USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let result = match arguments.command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Stamp(arguments) => stamp::run(&arguments),
        Command::Ledger(arguments) => ledger::run(&arguments),
        Command::Reply(arguments) => reply::run(&arguments),
    };
    result.unwrap_or_else(|error| error.report())
}

/// Seconds since 1970, by this machine.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Prints to standard output; a reader that went away is no error of ours.
fn print(text: &str) {
    use std::io::Write;
    let _closed = std::io::stdout().write_all(text.as_bytes());
}
