//! The program `reboot-sector`: flags, words and exit codes around the library.

use std::process::ExitCode;

use clap::Parser as _;

mod cli;

fn main() -> ExitCode {
    cli::run(&cli::Arguments::parse())
}
