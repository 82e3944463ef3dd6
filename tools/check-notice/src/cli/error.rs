//! Errors for the user: what happened, to what, what to do; and the exit codes, which do not change.

use std::path::Path;
use std::process::ExitCode;

use check_notice::ledger::LedgerError;
use check_notice::mail::Refusal;
use check_notice::records::RecordError;

/// Wrong flags or configuration.
pub(super) const USAGE: u8 = 2;
/// Sender or evidence is contradicted.
pub(super) const CONTRADICTED: u8 = 10;
/// The sender is unproven, or the evidence uncheckable.
pub(super) const UNCHECKABLE: u8 = 11;
/// An unproven mail holds private facts that are true.
pub(super) const INCIDENT: u8 = 12;
/// No complaint was found in the mail.
pub(super) const NO_COMPLAINT: u8 = 13;
/// The mail exceeds a limit, or is none.
pub(super) const REFUSED: u8 = 65;
/// A file cannot be read.
pub(super) const NO_INPUT: u8 = 66;
/// The ledger cannot be used: try again later.
pub(super) const LEDGER: u8 = 75;

/// An error that ends a command.
#[derive(Debug)]
pub(super) struct CommandError {
    message: String,
    hint: Option<String>,
    code: u8,
}

impl CommandError {
    pub(super) fn usage(message: impl Into<String>, hint: &str) -> Self {
        Self {
            message: message.into(),
            hint: Some(hint.to_owned()),
            code: USAGE,
        }
    }

    pub(super) fn file(path: &Path, error: &std::io::Error) -> Self {
        Self {
            message: format!("{}: {error}", path.display()),
            hint: None,
            code: NO_INPUT,
        }
    }

    pub(super) fn ledger(path: &Path, error: &LedgerError) -> Self {
        Self {
            message: format!("{}: {error}", path.display()),
            hint: Some("is the folder writable, and is the file a ledger?".to_owned()),
            code: LEDGER,
        }
    }

    pub(super) fn report(self) -> ExitCode {
        eprintln!("check-notice: {}", self.message);
        if let Some(hint) = self.hint {
            eprintln!("hint: {hint}");
        }
        ExitCode::from(self.code)
    }
}

impl From<LedgerError> for CommandError {
    fn from(error: LedgerError) -> Self {
        Self {
            message: error.to_string(),
            hint: None,
            code: LEDGER,
        }
    }
}

impl From<RecordError> for CommandError {
    fn from(error: RecordError) -> Self {
        Self {
            message: format!("records: {error}"),
            hint: None,
            code: NO_INPUT,
        }
    }
}

impl From<Refusal> for CommandError {
    fn from(error: Refusal) -> Self {
        Self {
            message: error.to_string(),
            hint: None,
            code: REFUSED,
        }
    }
}
