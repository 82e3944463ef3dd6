//! SIGINT and SIGTERM as values: the first asks for an orderly end, the second ends at once.

use std::thread;

use super::error::{CommandError, INCOMPLETE};

/// Calls `on_signal` with the signal's name when one arrives.
pub(crate) fn watch(on_signal: impl Fn(&'static str) + Send + 'static) -> Result<(), CommandError> {
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
    thread::Builder::new()
        .name("signals".into())
        .spawn(watching)
        .map(drop)
        .map_err(|error| CommandError::failed(format_args!("cannot watch for signals: {error}")))
}
