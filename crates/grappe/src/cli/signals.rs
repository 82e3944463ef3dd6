//! SIGINT and SIGTERM as values: the first asks for an orderly end, the second ends at once. Where asked
//! for, the end of standard input asks for an orderly end as well.

use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::thread;

use super::error::{CommandError, INCOMPLETE};

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
    watch_signals(Arc::clone(&on_signal))?;
    if until_eof {
        let watching = move || {
            wait_for_eof(std::io::stdin().lock());
            on_signal("the end of standard input");
        };
        spawn("input", watching)?;
    }
    Ok(())
}

fn watch_signals(
    on_signal: Arc<impl Fn(&'static str) + Send + Sync + 'static>,
) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CommandError::failed(format_args!("cannot watch for signals: {error}")))?;
    // Registered before anything else happens, so that no signal finds the default action.
    let streams = {
        let _context = runtime.enter();
        use tokio::signal::unix::{SignalKind, signal};
        signal(SignalKind::interrupt())
            .and_then(|interrupt| Ok((interrupt, signal(SignalKind::terminate())?)))
    };
    let (mut interrupt, mut terminate) = streams
        .map_err(|error| CommandError::failed(format_args!("cannot watch for signals: {error}")))?;
    let watching = move || {
        runtime.block_on(async move {
            let mut asked = false;
            loop {
                let name = tokio::select! {
                    Some(()) = interrupt.recv() => "SIGINT",
                    Some(()) = terminate.recv() => "SIGTERM",
                    else => return,
                };
                if std::mem::replace(&mut asked, true) {
                    std::process::exit(INCOMPLETE.into());
                }
                on_signal(name);
            }
        });
    };
    spawn("signals", watching)
}

fn spawn(name: &str, watching: impl FnOnce() + Send + 'static) -> Result<(), CommandError> {
    thread::Builder::new()
        .name(name.into())
        .spawn(watching)
        .map(drop)
        .map_err(|error| CommandError::failed(format_args!("cannot watch for signals: {error}")))
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
