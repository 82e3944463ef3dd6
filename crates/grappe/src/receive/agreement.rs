//! How a receiver agrees with the sender on what is sent, in a copy that keeps what is there: it tells what
//! it found, and waits to hear what was selected.
//!
//! The worker that prepares the session waits here; the carrier hands in what comes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use grappe_proto::content::survey::{Parts, SELECTION_BYTES_MAX, Selection, Survey};
use grappe_proto::wire::control::ToSender;
use tokio::sync::mpsc;

/// Between two looks whether the session is over.
const LOOK: Duration = Duration::from_millis(100);

/// One session's agreement.
pub(super) struct Agreement {
    /// The way to the sender, until it was told.
    outbox: Mutex<Option<mpsc::UnboundedSender<ToSender>>>,
    coming: Mutex<Parts>,
    came: Sender<Vec<u8>>,
    selection: Receiver<Vec<u8>>,
}

impl Agreement {
    pub(super) fn new(outbox: mpsc::UnboundedSender<ToSender>) -> Self {
        let (came, selection) = bounded(1);
        Self {
            outbox: Mutex::new(Some(outbox)),
            coming: Mutex::default(),
            came,
            selection,
        }
    }

    /// Tells the sender what is here.
    pub(super) fn tell(&self, survey: &Survey) {
        let Some(outbox) = self.close() else { return };
        let bytes = minicbor::to_vec(survey).unwrap_or_default();
        for (bytes, is_last) in Parts::of(&bytes) {
            // A closed channel is reported by its reader.
            let _closed = outbox.send(ToSender::Part { bytes, is_last });
        }
    }

    /// Gives up the way to the sender: who holds it keeps the connection open.
    pub(super) fn close(&self) -> Option<mpsc::UnboundedSender<ToSender>> {
        let mut outbox = self.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        outbox.take()
    }

    /// Takes a part of the selection in.
    pub(super) fn part(&self, bytes: &[u8], is_last: bool) -> Result<(), String> {
        let mut coming = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = coming
            .take(bytes, is_last, SELECTION_BYTES_MAX)
            .map_err(|error| error.to_string())?;
        let Some(whole) = whole else { return Ok(()) };
        self.came
            .try_send(whole)
            .map_err(|_| "the sender selected twice".into())
    }

    /// Waits for the selection. Every other receiver may have to look at its files first, so this ends only
    /// with the session.
    pub(super) fn selection(&self, over: &AtomicBool) -> Result<Selection, String> {
        loop {
            match self.selection.recv_timeout(LOOK) {
                Ok(bytes) => {
                    return minicbor::decode(&bytes)
                        .map_err(|_| "the sender's selection cannot be read".into());
                }
                Err(RecvTimeoutError::Timeout) if !over.load(Ordering::Acquire) => {}
                Err(_) => return Err("the session ended".into()),
            }
        }
    }
}
