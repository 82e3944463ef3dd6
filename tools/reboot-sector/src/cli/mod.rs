//! The commands, one file each, and what they share. The only place that prints and ends the process; it
//! decides nothing about disks.

mod choices;
mod doctor;
mod failure;
mod image;
mod inspect;
mod install;
mod restore;
mod show;
mod simulate;
mod uefi;
mod units;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use failure::Failure;

/// A boot sector that resets the machine, so that a node which failed to boot from the network tries again.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 refused; verify has its own."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put the boot code on a disk or image; a backup is written first
    Install(install::Install),
    /// Say what is there, and whether this disk would boot it
    Inspect(inspect::Inspect),
    /// For fleets: 0 ours, 10 ours of another version, 11 other, 12 none, 13 ours but damaged, 14 not started last
    Verify(inspect::Verify),
    /// Put the code from a backup back; a backup of the sector as it is is written first
    Restore(restore::Restore),
    /// Make a bootable disk image
    Image(image::Image),
    /// Boot an image in QEMU and say how it resets
    Simulate(simulate::Simulate),
    /// Print which firmware settings help or harm, and the other half of the problem
    Doctor,
}

/// Runs a command and gives its exit code.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let result = match &arguments.command {
        Command::Install(command) => command.run(),
        Command::Inspect(command) => command.run(),
        Command::Verify(command) => command.run(),
        Command::Restore(command) => command.run(),
        Command::Image(command) => command.run(),
        Command::Simulate(command) => command.run(),
        Command::Doctor => {
            show::out(doctor::TEXT);
            Ok(ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|failure| {
        eprintln!("reboot-sector: {failure}");
        failure.code()
    })
}
