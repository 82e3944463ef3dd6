//! `grappe key`: makes identities.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use grappe::trust::{Identity, key_candidates};

use super::error::{CommandError, say};

/// The subcommands of `key`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new private key at PATH and its public half at PATH.pub
    New {
        /// Where [default: $GRAPPE_KEY or ~/.config/grappe/key]
        path: Option<PathBuf>,
    },
}

/// Runs `grappe key`.
pub(crate) fn run(command: Command) -> Result<ExitCode, CommandError> {
    let Command::New { path } = command;
    let candidates = key_candidates(path, std::env::var_os("GRAPPE_KEY"), std::env::home_dir());
    let path = candidates
        .first()
        .ok_or_else(|| CommandError::usage("no path for the key; name one"))?;
    let identity = Identity::generate(&format!("grappe@{}", host_name()))?;
    identity.save_new(path)?;
    say(format_args!("key written to {}", path.display()));
    say(format_args!(
        "fingerprint {}",
        identity.public().fingerprint()
    ));
    say(format_args!(
        "copy this file to every node, or list each node's .pub line in a --trust file"
    ));
    Ok(ExitCode::SUCCESS)
}

/// This host's name.
pub(crate) fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    if name.is_empty() {
        "localhost".into()
    } else {
        name
    }
}
