//! The `grappe` program: flags in, words and exit codes out. All work is in the library.

mod cli;

use std::process::ExitCode;

use grappe_os::memory::LargePages;

#[global_allocator]
static MEMORY: LargePages = LargePages::new();

fn main() -> ExitCode {
    cli::run()
}
