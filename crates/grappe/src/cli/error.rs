//! Errors as a user meets them: what went wrong, what to do, and the exit code.

use std::fmt::Display;
use std::process::ExitCode;

use grappe::control::ControlError;
use grappe::receive::ReceiveError;
use grappe::send::SendError;
use grappe::trust::TrustError;
use grappe_os::udp::InterfaceError;

/// Some expected receiver is not complete, or not everything could be sent.
pub(crate) const INCOMPLETE: u8 = 1;

/// The command line or the configuration is wrong.
pub(crate) const USAGE: u8 = 2;

/// Nobody joined.
pub(crate) const NOBODY: u8 = 3;

/// An error that ends the command.
#[derive(Debug)]
pub(crate) struct CommandError {
    code: u8,
    message: String,
    hint: Option<String>,
}

impl CommandError {
    /// The user asked for something that cannot be, or the configuration does not allow it.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self {
            code: USAGE,
            message: message.to_string(),
            hint: None,
        }
    }

    /// The copy did not come about.
    pub(crate) fn failed(message: impl Display) -> Self {
        Self {
            code: INCOMPLETE,
            message: message.to_string(),
            hint: None,
        }
    }

    pub(crate) fn with_hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Says it on standard error and answers the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        say(format_args!("error: {}", self.message));
        if let Some(hint) = &self.hint {
            say(format_args!("hint: {hint}"));
        }
        ExitCode::from(self.code)
    }
}

/// Writes a line to standard error; a closed one is no reason to panic.
pub(crate) fn say(line: std::fmt::Arguments<'_>) {
    use std::io::Write;
    let _closed = writeln!(std::io::stderr().lock(), "{}", printable(&line.to_string()));
}

/// `text` without what would steer a terminal: file names and peers' reasons come from others.
pub(crate) fn printable(text: &str) -> String {
    let replace = |character: char| match character {
        '\n' => '\n',
        control if control.is_control() => char::REPLACEMENT_CHARACTER,
        other => other,
    };
    text.chars().map(replace).collect()
}

impl From<TrustError> for CommandError {
    fn from(error: TrustError) -> Self {
        let command = Self::usage(&error);
        match error.hint() {
            Some(hint) => command.with_hint(hint),
            None => command,
        }
    }
}

impl From<InterfaceError> for CommandError {
    fn from(error: InterfaceError) -> Self {
        Self::usage(error).with_hint("choose one with --interface")
    }
}

impl From<ControlError> for CommandError {
    fn from(error: ControlError) -> Self {
        Self::failed(error)
    }
}

impl From<SendError> for CommandError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Cancelled(_) | SendError::Defect(_) => Self::failed(error),
            _ => Self::usage(error),
        }
    }
}

impl From<ReceiveError> for CommandError {
    fn from(error: ReceiveError) -> Self {
        Self::usage(error)
    }
}
