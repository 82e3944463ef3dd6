//! What the threads and tasks of the daemon tell its user: lines on their way to the one who shows them.
//!
//! Nothing is decided here about what is worth telling.

use std::fmt::Display;

use grappe_proto::units::SessionId;
use tokio::sync::mpsc;

use super::Notice;
use crate::announce::Heard;

/// Lines that wait to be shown; a session tells some fifty at most, further ones are lost.
const WAITING_MAX: usize = 1024;

/// The way to the user for everybody in the daemon.
pub(super) fn channel() -> (Notes, mpsc::Receiver<Notice>) {
    let (out, told) = mpsc::channel(WAITING_MAX);
    (Notes { out }, told)
}

/// Where the daemon's own threads tell something.
#[derive(Clone, Debug)]
pub(super) struct Notes {
    out: mpsc::Sender<Notice>,
}

impl Notes {
    /// Tells `text`; never waits.
    pub(super) fn tell(&self, text: String) {
        self.pass_on(Notice::Note(text));
    }

    /// Tells what is more than a text; never waits.
    pub(super) fn pass_on(&self, notice: Notice) {
        let _full = self.out.try_send(notice);
    }

    /// The same for one session, which is named in each line.
    pub(super) fn of(&self, session: SessionId) -> SessionNotes {
        SessionNotes {
            notes: self.clone(),
            session,
        }
    }
}

/// Where one session tells something.
#[derive(Clone, Debug)]
pub(super) struct SessionNotes {
    notes: Notes,
    session: SessionId,
}

impl SessionNotes {
    /// Tells `text` of this session; never waits.
    pub(super) fn tell(&self, text: impl Display) {
        self.notes.tell(format!("session {}: {text}", self.session));
    }

    /// Tells what stands at the top of what was placed.
    pub(super) fn placed(&self, names: Vec<Vec<u8>>) {
        let _full = self.notes.out.try_send(Notice::Placed(self.session, names));
    }

    /// Tells that the sender proved its key and that the session begins.
    pub(super) fn joining(&self, heard: Heard) {
        let _full = self
            .notes
            .out
            .try_send(Notice::Joining(self.session, heard));
    }
}
