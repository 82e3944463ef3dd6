//! The thread that hears announcements, and goes on trying when it cannot.
//!
//! Which of them are followed is decided in `daemon`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::memory::Strangers;
use super::notes::Notes;
use super::outage::Outage;
use super::{Notice, REJOIN};
use crate::announce::{Heard, Listener, OnOtherVersion};

/// How often an idle listener looks whether it is still wanted, and a deaf one tries again.
const LISTEN: Duration = Duration::from_millis(200);

/// Starts the thread; it ends when `wanted` is false or nobody takes what it hears.
///
/// # Errors
///
/// When the system has no thread left.
pub(super) fn start(
    listener: Listener,
    wanted: Arc<AtomicBool>,
    hearing: mpsc::Sender<Heard>,
    notes: Notes,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("announce".into())
        .spawn(move || listen(&listener, &wanted, &hearing, &notes))
}

fn listen(listener: &Listener, wanted: &AtomicBool, hearing: &mpsc::Sender<Heard>, notes: &Notes) {
    let mut outage = Outage::new("hear announcements");
    let mut strangers = Strangers::default();
    let other = &mut |address, version: u16| {
        let notice = Notice::OtherVersion(address, version);
        let told = strangers.tell(address, version.to_string(), notice, Instant::now());
        told.into_iter().for_each(|notice| notes.pass_on(notice));
    };
    let mut joined_at = Some(Instant::now());
    while wanted.load(Ordering::Relaxed) {
        match hear(listener, &mut joined_at, other) {
            Ok(heard) => {
                outage
                    .worked(Instant::now())
                    .into_iter()
                    .for_each(|text| notes.tell(text));
                // A full queue means that many announcements wait: each comes again.
                if let Some(heard) = heard
                    && let Err(mpsc::error::TrySendError::Closed(_)) = hearing.try_send(heard)
                {
                    return;
                }
            }
            Err(error) => {
                // Whatever happened, the membership may be lost.
                joined_at = None;
                if let Some(text) = outage.failed(&error, Instant::now()) {
                    notes.tell(text);
                }
                thread::sleep(LISTEN);
            }
        }
    }
}

/// Hears one announcement; renews the membership before, where that is due.
fn hear(
    listener: &Listener,
    joined_at: &mut Option<Instant>,
    other: OnOtherVersion<'_>,
) -> io::Result<Option<Heard>> {
    if joined_at.is_none_or(|joined| joined.elapsed() >= REJOIN) {
        listener.rejoin()?;
        *joined_at = Some(Instant::now());
    }
    listener.hear(LISTEN, other)
}
