//! SIGINT, SIGTERM and SIGHUP as values: the first asks for an orderly end, another one ends at once. Where
//! asked for, the end of standard input asks for an orderly end as well.

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::thread;

use grappe_os::signal::hangup_is_ignored;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::{CommandError, INCOMPLETE, settle};

const HANGUP: &str = "SIGHUP";

/// Calls `on_signal` with the signal's name when one arrives, and when standard input ends if
/// `until_eof`.
///
/// The kernel closes the pipes of a process however it ends. So a child that holds on to its standard
/// input does not outlive its parent, even one that was killed.
pub(crate) fn watch(
    until_eof: bool,
    on_signal: impl Fn(&'static str) + Send + Sync + 'static,
) -> Result<(), CommandError> {
    let on_signal = Arc::new(on_signal);
    let at_once = || {
        settle();
        std::process::exit(INCOMPLETE.into())
    };
    watch_signals(Arc::clone(&on_signal), at_once)?;
    if until_eof {
        let watching = move || {
            wait_for_eof(std::io::stdin().lock());
            on_signal("the end of standard input");
        };
        spawn("input", watching)?;
    }
    Ok(())
}

/// The same for whoever must clean up even in haste: `on_haste` is called for each signal after the first
/// in place of an end at once.
pub(crate) fn watch_in_order(
    on_signal: impl Fn(&'static str) + Send + Sync + 'static,
    on_haste: impl Fn() + Send + 'static,
) -> Result<(), CommandError> {
    watch_signals(Arc::new(on_signal), on_haste)
}

fn watch_signals(
    on_signal: Arc<impl Fn(&'static str) + Send + Sync + 'static>,
    on_haste: impl Fn() + Send + 'static,
) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(cannot_watch)?;
    // Registered before anything else happens, so that no signal finds the default action.
    let streams = {
        let _context = runtime.enter();
        streams()
    };
    let (mut interrupt, mut terminate, mut hangup) = streams.map_err(cannot_watch)?;
    let watching = move || {
        runtime.block_on(async move {
            let mut asked = false;
            loop {
                let name = tokio::select! {
                    Some(()) = interrupt.recv() => "SIGINT",
                    Some(()) = terminate.recv() => "SIGTERM",
                    Some(()) = next(&mut hangup) => HANGUP,
                    else => return,
                };
                match std::mem::replace(&mut asked, true) {
                    false => on_signal(name),
                    // A terminal that goes away is told of by the shell and by the kernel.
                    true if name == HANGUP => {}
                    true => on_haste(),
                }
            }
        });
    };
    spawn("signals", watching)
}

/// What is heard: SIGHUP only where it is not ignored, since a process below `nohup` is to go on.
fn streams() -> std::io::Result<(Signal, Signal, Option<Signal>)> {
    let hangup = match hangup_is_ignored() {
        true => None,
        false => Some(signal(SignalKind::hangup())?),
    };
    let interrupt = signal(SignalKind::interrupt())?;
    Ok((interrupt, signal(SignalKind::terminate())?, hangup))
}

async fn next(stream: &mut Option<Signal>) -> Option<()> {
    stream.as_mut()?.recv().await
}

fn cannot_watch(error: std::io::Error) -> CommandError {
    CommandError::failed(format_args!("cannot watch for signals: {error}"))
}

fn spawn(name: &str, watching: impl FnOnce() + Send + 'static) -> Result<(), CommandError> {
    thread::Builder::new()
        .name(name.into())
        .spawn(watching)
        .map(drop)
        .map_err(cannot_watch)
}

/// Returns when `input` ends or cannot be read; what comes before is of no interest.
fn wait_for_eof(mut input: impl Read) {
    let mut ignored = [0; 512];
    loop {
        match input.read(&mut ignored) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
