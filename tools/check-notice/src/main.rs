//! The program `check-notice`. It only starts the command line.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run()
}
