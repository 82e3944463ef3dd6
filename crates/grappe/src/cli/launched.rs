//! `grappe launched`: a receiver that another node has started over ssh or Slurm. Not for people.
//!
//! It speaks with its launcher over standard input and output, keeps its key in memory, takes part in one
//! session, and ends with it, or with the connection.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use grappe::files::Allowed;
use grappe::launch::{Call, Called, Hello, Up, answer};
use grappe::network::Network;
use grappe::receive::{Notice, ReceiveOptions, Target, receive};
use grappe_os::udp::Interface;
use tokio::sync::watch;

use super::error::{CommandError, INCOMPLETE, say, settle};
use super::key::host_name;
use super::processors::usable;
use super::receive::describe;
use super::signals;

/// The name that Slurm gives a node; the host's own may be another.
const SLURM_NAME: &str = "SLURMD_NODENAME";

/// What an orderly end may take when nobody is there to wait for it.
const ORPHAN_MAX: Duration = Duration::from_secs(10);

/// Runs `grappe launched`.
pub(crate) fn run() -> Result<ExitCode, CommandError> {
    let (stop, stopped) = watch::channel(None);
    let stopper = stop.clone();
    signals::watch(false, move |signal| {
        stopper.send_replace(Some(format!("the receiver was stopped by {signal}")));
    })?;
    // Without the library's buffer: what lies there cannot be waited for.
    let input = io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let input = input.map_err(CommandError::failed)?;
    let own_name = std::env::var(SLURM_NAME).ok();
    let hello = Hello::of_this_program(own_name.clone());
    let orphaned = move |reason: &str| {
        stop.send_replace(Some(format!("the receiver was stopped: {reason}")));
        // Whatever hangs, nothing stays behind.
        thread::sleep(ORPHAN_MAX);
        settle();
        std::process::exit(INCOMPLETE.into());
    };
    let Called { call, sessions } =
        answer(hello, input, &mut io::stdout(), orphaned).map_err(|error| {
            CommandError::usage(error)
                .with_hint("see `grappe send --help` and `grappe gather --help`")
        })?;
    let name = call.name.clone().or(own_name).unwrap_or_else(host_name);
    let result = options(&call, name).and_then(|options| {
        let options = ReceiveOptions {
            called: Some(sessions),
            ..options
        };
        Ok(receive(options, stopped, &mut |notice| show(notice))?)
    });
    let failure = match result {
        Ok(Some(Ok(_))) => None,
        Ok(Some(Err(failure))) => Some(describe(&failure)),
        Ok(None) => Some("no session came".into()),
        Err(error) => Some(error.in_one_line()),
    };
    let code = match failure {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::from(INCOMPLETE),
    };
    tell(&Up::Ended { failure });
    Ok(code)
}

fn options(call: &Call, name: String) -> Result<ReceiveOptions, CommandError> {
    let (identity, trust) = call.keys()?;
    let network = Network {
        interface: Interface::for_destination(call.origin).map_err(CommandError::failed)?,
        group: call.group,
        port: call.port,
        ttl: call.ttl,
    };
    let home = std::env::home_dir();
    let home = home.as_deref();
    let into = directory(&call.into, home);
    // As `rsync` does: the last part is made, a mistyped path is not.
    match fs::create_dir(&into) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            let into = into.display();
            return Err(CommandError::failed(format_args!(
                "cannot make {into}: {error}"
            )));
        }
        _ => {}
    }
    Ok(ReceiveOptions {
        into: Target::Directory(into),
        allowed: Allowed::default(),
        identity,
        trust,
        network,
        name,
        once: true,
        share: call.share.as_deref().map(|share| directory(share, home)),
        only: None,
        called: None,
        processors: usable(),
    })
}

/// The directory as it was written, with the home that a shell would put in place of `~`.
fn directory(written: &str, home: Option<&Path>) -> PathBuf {
    match (written.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_owned(),
        (Some(rest), Some(home)) if rest.starts_with('/') => {
            home.join(rest.trim_start_matches('/'))
        }
        _ => written.into(),
    }
}

fn show(notice: Notice) {
    match notice {
        Notice::Listening => tell(&Up::Listening),
        Notice::Joining(..) => tell(&Up::Joining),
        Notice::Ended(_, Err(failure)) | Notice::Gathered(_, Err(failure)) => {
            tell(&Up::Trouble {
                reason: describe(&failure),
            });
        }
        Notice::Note(text) => say(format_args!("note: {text}")),
        // Others' copies go to others' receivers.
        Notice::Untrusted(..)
        | Notice::OtherVersion(..)
        | Notice::Examined(..)
        | Notice::Placed(..)
        | Notice::Gathered(_, Ok(()))
        | Notice::Ended(_, Ok(_)) => {}
    }
}

fn tell(up: &Up) {
    let mut output = io::stdout().lock();
    // A launcher that is gone closes standard input as well, which is watched.
    let _gone = output.write_all(up.line().as_bytes());
    let _gone = output.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_home_there() {
        let home = Some(Path::new("/home/ann"));
        assert_eq!(directory("~", home), Path::new("/home/ann"));
        assert_eq!(directory("~/data", home), Path::new("/home/ann/data"));
        assert_eq!(directory("~bob/x", home), Path::new("~bob/x"));
        assert_eq!(directory("/data", home), Path::new("/data"));
        assert_eq!(directory("data", None), Path::new("data"));
    }
}
