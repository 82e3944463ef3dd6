//! The command line: one file per command, one for errors, one for the flags that commands share.
//!
//! Only here is anything printed, the environment read, or the process ended.

mod demo;
mod display;
mod doctor;
mod error;
mod events;
mod gather;
mod hook;
mod key;
mod launch;
mod launched;
mod lines;
mod network;
mod output;
mod plan;
mod processors;
mod receive;
mod send;
mod signals;
mod size;
mod table;
mod timeline;
mod tree;
mod turned_away;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::error::CommandError;

/// Copies files from one node of a cluster to all others at once.
///
/// Set-up: run `grappe key new` once and copy the key file to every node; run `grappe receive --into
/// DIR` on each node; run `grappe send PATH` on one.
#[derive(Debug, Parser)]
#[command(name = "grappe", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Send(send::Arguments),
    Receive(receive::Arguments),
    Gather(gather::Arguments),
    /// Be a receiver that another node has launched.
    #[command(hide = true)]
    Launched,
    Doctor(doctor::Arguments),
    Demo(demo::Arguments),
    /// Make the keys by which nodes know each other.
    #[command(subcommand)]
    Key(key::Command),
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
    raise_descriptor_limit();
    let result = match arguments.command {
        Command::Send(arguments) => send::run(arguments),
        Command::Receive(arguments) => receive::run(arguments),
        Command::Gather(arguments) => gather::run(arguments),
        Command::Launched => launched::run(),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Key(command) => key::run(command),
    };
    let code = result.unwrap_or_else(|error: CommandError| error.report());
    error::finish();
    code
}

/// Uses as many descriptors as this process is allowed: a thousand receivers are a thousand connections,
/// and the usual soft limit is 1,024.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Refused, the copy still works, with fewer receivers.
    let _as_before = setrlimit(Resource::Nofile, raised);
}
