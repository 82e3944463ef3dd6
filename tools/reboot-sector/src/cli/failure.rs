//! What ends a command early, and with which exit code. Codes never change.

use std::path::Path;
use std::process::ExitCode;

use reboot_sector::backup::BackupError;
use reboot_sector::device::DeviceError;
use reboot_sector::emulator::EmulatorError;
use reboot_sector::plan::Refusal;
use reboot_sector::sector::{ChainError, SettingsError};

/// A failure in words for the user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Code 3: the disk is not to be written.
    #[error("refused: {0}")]
    Refused(String),
    /// Code 2: flags that cannot be.
    #[error("{0}")]
    Usage(String),
    /// Code 1: something did not work.
    #[error("{0}")]
    Failed(String),
}

impl Failure {
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Refused(_) => 3,
        })
    }

    pub(crate) fn refused(path: &Path, refusal: &Refusal) -> Self {
        Self::Refused(format!("{}: {refusal}", path.display()))
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Changed(_) => Self::Refused(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<EmulatorError> for Failure {
    fn from(error: EmulatorError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        Self::Usage(error.to_string())
    }
}
