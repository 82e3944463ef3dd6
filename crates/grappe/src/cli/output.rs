//! What is for programs, and for whoever reads the result: standard output, where a write can fail.
//!
//! What it says is made elsewhere. Standard error is in `error`.

use std::io::{ErrorKind, Write};

use super::error::{self, CommandError};

/// Writes the result of a command.
///
/// # Errors
///
/// When it cannot be written, as on a full disk: whoever asked for it must not take a part for the whole. A
/// reader that went away does not want it, and is no error.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    // On a terminal, what was said before stands above.
    error::finish();
    written(text)
        .map_err(|error| CommandError::failed(format_args!("cannot write the result: {error}")))
}

/// The same as the kernel's answer.
pub(super) fn written(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}
