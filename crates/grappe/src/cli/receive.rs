//! `grappe receive`: the daemon that takes copies in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use grappe::announce::Call;
use grappe::receive::{Notice, ReceiveOptions, Target, receive};
use grappe_proto::limits::PROTOCOL_VERSION;
use grappe_proto::receiver::Failure;
use sd_notify::NotifyState;
use tokio::sync::watch;

use super::error::{CommandError, INCOMPLETE, say};
use super::events::Events;
use super::hook::{self, Hooks};
use super::key::host_name;
use super::network::NodeArguments;
use super::processors::ProcessorArguments;
use super::size::show_bytes;
use super::tree::AllowedArguments;
use super::{events, signals};

/// Receive what trusted nodes send, until told to stop
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Directory that copies go into
    #[arg(long, value_name = "DIR", required_unless_present_any = ["to_stdout", "to_device"])]
    into: Option<PathBuf>,
    /// Write one stream, of `grappe send -`, to standard output, and end; it is verified only at its end
    #[arg(long, conflicts_with_all = ["into", "to_device", "events"])]
    to_stdout: bool,
    /// Write one stream, of `grappe send -`, to this block device or file, and end
    #[arg(long, value_name = "PATH", conflicts_with = "into")]
    to_device: Option<PathBuf>,
    /// Directory whose content this node shares in a gather; PART/x arrives as DIR/x everywhere
    #[arg(long, value_name = "PART", requires = "into")]
    share: Option<PathBuf>,
    #[command(flatten)]
    node: NodeArguments,
    #[command(flatten)]
    processors: ProcessorArguments,
    #[command(flatten)]
    tree: AllowedArguments,
    /// This node's name in the sender's table [default: the host's name]
    #[arg(long)]
    name: Option<String>,
    /// End after one copy, or one gather
    #[arg(long)]
    once: bool,
    /// Run this line in /bin/sh after each verified copy; its environment tells of it: GRAPPE_SESSION,
    /// GRAPPE_INTO, GRAPPE_SENDER, GRAPPE_SENDER_KEY, GRAPPE_BYTES, GRAPPE_FILES, and GRAPPE_NAMES,
    /// the number of GRAPPE_NAME_1 and so on, the names at the top of the copy
    #[arg(long, value_name = "CMD")]
    exec: Option<OsString>,
    /// Print a JSON object for each event, one to a line, on standard output
    #[arg(long)]
    events: bool,
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
    let into = match (arguments.into, arguments.to_device) {
        (Some(path), _) => Target::Directory(path),
        (None, Some(path)) => Target::Device(path),
        (None, None) => Target::StandardOutput,
    };
    let place = format!(
        "{} on {} ({})",
        into.path().display(),
        network.interface.name,
        network.interface.address
    );
    let once = arguments.once || !matches!(into, Target::Directory(_));
    let events = arguments.events.then(Events::start).transpose()?;
    let mut hooks = match arguments.exec {
        Some(line) => Some(hooks(line, events.clone())?),
        None => None,
    };
    let mut sessions = Sessions::new(into.path());
    let options = ReceiveOptions {
        into,
        allowed: arguments.tree.allowed(),
        identity,
        trust,
        network,
        name: arguments.name.unwrap_or_else(host_name),
        once,
        share: arguments.share,
        only: None,
        called: None,
        processors: arguments.processors.count(),
    };
    let result = receive(options, stopped, &mut |notice| {
        show(&notice, &place);
        if let Some(events) = &events {
            events.print(events::of_receiver(&notice));
        }
        if let (Some(facts), Some(hooks)) = (sessions.note(&notice), &hooks) {
            hooks.add(facts.0, facts.1);
        }
    });
    let is_well = result.is_err() || hooks.take().is_none_or(Hooks::finish);
    // Those of the last commands come before the end.
    let are_whole = events.is_none_or(|events| events.finish());
    let last = result?;
    if !are_whole {
        return Ok(ExitCode::from(INCOMPLETE));
    }
    match last {
        Some(Ok(_)) if once && !is_well => Ok(ExitCode::from(INCOMPLETE)),
        Some(Ok(_)) => Ok(ExitCode::SUCCESS),
        // A daemon that was stopped did its work; a single copy that failed did not.
        Some(Err(_)) | None if once => Ok(ExitCode::from(INCOMPLETE)),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn hooks(line: OsString, events: Option<Events>) -> Result<Hooks, CommandError> {
    let tell = move |session: &str, result: Result<(), String>| {
        if let Err(reason) = &result {
            say(format_args!(
                "session {session}: the command of --exec failed: {reason}"
            ));
        }
        if let Some(events) = &events {
            events.print(events::of_command(session, result));
        }
    };
    Hooks::new(line, Box::new(tell)).map_err(|error| {
        CommandError::usage(format_args!("--exec: cannot start a thread: {error}"))
    })
}

/// What is known of the sessions that run, until each is complete.
struct Sessions {
    into: PathBuf,
    running: BTreeMap<String, hook::Facts>,
}

impl Sessions {
    fn new(into: &Path) -> Self {
        Self {
            into: into.to_path_buf(),
            running: BTreeMap::new(),
        }
    }

    /// Takes note of what happened; gives a session and its facts when it is complete and verified.
    fn note(&mut self, notice: &Notice) -> Option<(String, hook::Facts)> {
        let fact = |name: &str, value: String| (name.to_owned(), OsString::from(value));
        match notice {
            Notice::Joining(session, heard) if heard.call == Call::Copy => {
                let session = session.to_string();
                let into = ("GRAPPE_INTO".to_owned(), self.into.clone().into_os_string());
                let facts = vec![
                    fact("GRAPPE_SESSION", session.clone()),
                    fact("GRAPPE_SENDER", heard.control.ip().to_string()),
                    fact("GRAPPE_SENDER_KEY", heard.sender.fingerprint()),
                    into,
                ];
                self.running.insert(session, facts);
                None
            }
            Notice::Placed(session, names) => {
                let facts = self.running.get_mut(&session.to_string())?;
                facts.extend(hook::names(names));
                None
            }
            Notice::Ended(session, result) => {
                let session = session.to_string();
                let mut facts = self.running.remove(&session)?;
                let done = result.as_ref().ok().filter(|done| done.digest != [0; 32])?;
                facts.push(fact("GRAPPE_BYTES", done.bytes.to_string()));
                facts.push(fact("GRAPPE_FILES", done.files.to_string()));
                Some((session, facts))
            }
            _ => None,
        }
    }
}

pub(super) fn show(notice: &Notice, place: &str) {
    match notice {
        Notice::Listening => {
            say(format_args!("receiving into {place}"));
            let _no_systemd = sd_notify::notify(&[NotifyState::Ready]);
        }
        Notice::Joining(gather, heard) if heard.call == Call::Gather => say(format_args!(
            "gather {gather}: taking part, coordinator {}",
            heard.control.ip()
        )),
        Notice::Joining(session, heard) => {
            say(format_args!(
                "session {session}: joining, sender {}",
                heard.control.ip()
            ));
        }
        Notice::Ended(session, Ok(done)) if done.digest == [0; 32] => say(format_args!(
            "session {session}: told what would be done; nothing was changed"
        )),
        Notice::Ended(session, Ok(done)) => say(format_args!(
            "session {session}: complete and verified, {} in {} file(s)",
            show_bytes(done.bytes),
            done.files
        )),
        Notice::Ended(session, Err(failure)) => {
            say(format_args!("session {session}: {}", describe(failure)));
        }
        Notice::Gathered(gather, Ok(())) => say(format_args!(
            "gather {gather}: over; the coordinator says what came of it"
        )),
        Notice::Gathered(gather, Err(failure)) => {
            say(format_args!("gather {gather}: {}", describe(failure)));
        }
        Notice::Examined(heard, None) => {
            say(format_args!(
                "the way here was examined by {}",
                heard.control.ip()
            ));
        }
        Notice::Examined(heard, Some(reason)) => say(format_args!(
            "an examination by {} came to nothing: {reason}",
            heard.control.ip()
        )),
        Notice::Untrusted(key, address) => say(format_args!(
            "ignored: {address} announces a copy with the key {}, which is not trusted to send",
            key.fingerprint()
        )),
        Notice::OtherVersion(address, version) => say(format_args!(
            "ignored: {address} announces with version {version} of the protocol, and this grappe speaks \
             {PROTOCOL_VERSION}; have one release on all nodes"
        )),
        Notice::Placed(..) => {}
        Notice::Note(text) => say(format_args!("note: {text}")),
    }
}

pub(crate) fn describe(failure: &Failure) -> String {
    match failure {
        Failure::Refused(reason) => format!("not taken: {reason}"),
        Failure::Failed(reason) => format!("failed: {reason}"),
        Failure::SenderGone(reason) => format!("the copy ended at the sender: {reason}"),
    }
}
