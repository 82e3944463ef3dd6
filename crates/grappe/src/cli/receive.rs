//! `grappe receive`: the daemon that takes copies in.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use grappe::receive::{Notice, ReceiveOptions, receive};
use grappe_proto::receiver::Failure;
use sd_notify::NotifyState;
use tokio::sync::watch;

use super::error::{CommandError, INCOMPLETE, say};
use super::key::host_name;
use super::network::NodeArguments;
use super::signals;
use super::size::show_bytes;

/// Receive what trusted nodes send, until told to stop
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Directory that copies go into
    #[arg(long, value_name = "DIR")]
    into: PathBuf,
    #[command(flatten)]
    node: NodeArguments,
    /// This node's name in the sender's table [default: the host's name]
    #[arg(long)]
    name: Option<String>,
    /// End after one copy
    #[arg(long)]
    once: bool,
}

/// Runs `grappe receive`.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, CommandError> {
    let (identity, trust) = arguments.node.identity()?;
    let network = arguments.node.network()?;
    let (stop, stopped) = watch::channel(None);
    signals::watch(arguments.node.until_eof, move |signal| {
        let _ended = sd_notify::notify(&[NotifyState::Stopping]);
        stop.send_replace(Some(format!("the receiver was stopped by {signal}")));
    })?;
    let place = format!(
        "{} on {} ({})",
        arguments.into.display(),
        network.interface.name,
        network.interface.address
    );
    let once = arguments.once;
    let options = ReceiveOptions {
        into: arguments.into,
        identity,
        trust,
        network,
        name: arguments.name.unwrap_or_else(host_name),
        once,
    };
    let last = receive(options, stopped, &mut |notice| show(&notice, &place))?;
    match last {
        Some(Ok(_)) => Ok(ExitCode::SUCCESS),
        // A daemon that was stopped did its work; a single copy that failed did not.
        Some(Err(_)) | None if once => Ok(ExitCode::from(INCOMPLETE)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn show(notice: &Notice, place: &str) {
    match notice {
        Notice::Listening => {
            say(format_args!("receiving into {place}"));
            let _no_systemd = sd_notify::notify(&[NotifyState::Ready]);
        }
        Notice::Joining(session, heard) => {
            say(format_args!(
                "session {session}: joining, sender {}",
                heard.control.ip()
            ));
        }
        Notice::Ended(session, Ok(done)) => say(format_args!(
            "session {session}: complete and verified, {} in {} file(s)",
            show_bytes(done.bytes),
            done.files
        )),
        Notice::Ended(session, Err(failure)) => {
            say(format_args!("session {session}: {}", describe(failure)));
        }
        Notice::Untrusted(key, address) => say(format_args!(
            "ignored: {address} announces a copy with the key {}, which is not trusted to send",
            key.fingerprint()
        )),
        Notice::Note(text) => say(format_args!("note: {text}")),
    }
}

fn describe(failure: &Failure) -> String {
    match failure {
        Failure::Refused(reason) => format!("not taken: {reason}"),
        Failure::Failed(reason) => format!("failed: {reason}"),
        Failure::SenderGone(reason) => format!("the copy ended at the sender: {reason}"),
    }
}
