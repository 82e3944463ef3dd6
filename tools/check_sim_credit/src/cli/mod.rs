//! The command line: what can be typed, and which command answers.
//!
//! Each command is a file of this folder. A command returns what it prints and its exit code.

mod ask;
mod asking;
mod check;
mod doctor;
mod event;
mod parse;
mod regular_run;
mod send;
mod simulate;

use std::io::Write;
use std::process::ExitCode;

use check_sim_credit::plugin;
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

/// Warns before a prepaid SIM runs dry: reads the operator's answer to a USSD question and judges it.
///
/// Ends with 0 (OK), 1 (WARNING), 2 (CRITICAL) or 3 (UNKNOWN: no reliable statement, also after a wrong
/// flag). Ranges are those of monitoring plugins: "-w 5:" warns below 5, "-w 5" outside 0 to 5.
#[derive(Parser)]
#[command(
    name = "check_sim_credit",
    version,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true
)]
struct Line {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    check: check::Flags,
}

#[derive(Subcommand)]
enum Command {
    /// What an answer (bare text or a whole +CUSD line) means, or why it cannot be told.
    Parse(parse::Flags),
    /// Stores an answer: smsd's eventhandler_ussd.
    UssdEvent(event::Flags),
    /// Asks now and prints the operator's answer.
    Ask(ask::Flags),
    /// Asks while smsd has the port closed: smsd's regular_run script.
    RegularRun(regular_run::Flags),
    /// Looks at port, locks, groups, spool, smsd.conf, network: each with its fix.
    Doctor(doctor::Flags),
    /// Puts a message into smsd's spool, whole or not at all.
    Send(send::Flags),
    /// Plays a modem on a pseudo-terminal, for tests.
    Simulate(simulate::Flags),
}

/// What is known of the operator.
#[derive(Args, Clone, Default)]
struct Operator {
    /// Name of a built-in profile, or a TOML file, to read the answer with.
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
    /// The currency of the SIM (ISO 4217): an amount in another one is not taken.
    #[arg(long, value_name = "CODE")]
    expect_currency: Option<String>,
    /// The order of dates where the answer leaves it open.
    #[arg(long, value_name = "ORDER", value_enum)]
    date_order: Option<Order>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Order {
    /// 31/12/2026
    Dmy,
    /// 12/31/2026
    Mdy,
    /// 2026/12/31
    Ymd,
}

impl Operator {
    fn options(&self) -> Result<check_sim_credit::answer::Options, String> {
        use check_sim_credit::answer::{DateOrder, Options};
        Ok(Options {
            date_order: self.date_order.map(|order| match order {
                Order::Dmy => DateOrder::DayFirst,
                Order::Mdy => DateOrder::MonthFirst,
                Order::Ymd => DateOrder::YearFirst,
            }),
            profile: self.profile.as_deref().map(profile).transpose()?,
            currency: self.expect_currency.clone(),
        })
    }
}

fn profile(name: &str) -> Result<check_sim_credit::answer::Profile, String> {
    use check_sim_credit::answer::Profile;
    if let Some(profile) = Profile::built_in()
        .iter()
        .find(|profile| profile.name() == name)
    {
        return Ok(profile.clone());
    }
    let text = std::fs::read_to_string(name).map_err(|error| {
        let names: Vec<&str> = Profile::built_in().iter().map(Profile::name).collect();
        format!(
            "--profile {name}: {error}; built in are {}",
            names.join(", ")
        )
    })?;
    Profile::parse(&text).map_err(|error| format!("--profile {name}: {error}"))
}

/// What a command prints on standard output, and its exit code.
struct Said {
    text: String,
    code: u8,
}

/// Exit code of what is no statement.
const UNKNOWN: u8 = 3;

/// Runs the command of this process's arguments.
pub(crate) fn run() -> ExitCode {
    let line = match Line::try_parse() {
        Ok(line) => line,
        Err(error) => return usage(&error),
    };
    let said = match &line.command {
        None => check::run(&line.check),
        Some(Command::Parse(flags)) => parse::run(flags),
        Some(Command::UssdEvent(flags)) => event::run(flags),
        Some(Command::Ask(flags)) => ask::run(flags),
        Some(Command::RegularRun(flags)) => regular_run::run(flags),
        Some(Command::Doctor(flags)) => doctor::run(flags),
        Some(Command::Send(flags)) => send::run(flags),
        Some(Command::Simulate(flags)) => simulate::run(flags),
    };
    let said = said.unwrap_or_else(|message| Said {
        text: format!("SIM CREDIT UNKNOWN - {}", plugin::lines(&message)),
        code: UNKNOWN,
    });
    // A closed pipe leaves nobody to tell.
    let _ = writeln!(std::io::stdout(), "{}", said.text);
    ExitCode::from(said.code)
}

/// Help and version as asked for; a wrong flag as UNKNOWN in the first line.
fn usage(error: &clap::Error) -> ExitCode {
    let mut out = std::io::stdout();
    if matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    ) {
        let _ = write!(out, "{}", error.render());
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let _ = writeln!(out, "SIM CREDIT UNKNOWN - {}", plugin::lines(text));
    ExitCode::from(UNKNOWN)
}

/// Seconds since 1970-01-01 UTC.
fn now_unix() -> i64 {
    jiff::Timestamp::now().as_second()
}
