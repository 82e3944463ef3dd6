//! The `grappe` program: flags in, words and exit codes out. All work is in the library.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run()
}
