//! The program `check_sim_credit`: reads the command line and hands it to the library.
//!
//! Usage errors and everything that keeps it from a statement end with 3, UNKNOWN, and one line, as
//! monitoring servers expect it.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
