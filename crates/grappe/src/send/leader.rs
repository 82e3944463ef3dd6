//! Who leads a copy while it runs, as the coordinator of a gather does: his words become happenings of the
//! carrier. What they do to the copy is decided there.

use std::net::IpAddr;
use std::thread;

use flume::Sender;

use super::{Happening, SendError, Steer};

/// Who leads the copy while it runs.
pub(super) struct Leader {
    pub(super) call: Vec<IpAddr>,
    pub(super) steer: crossbeam_channel::Receiver<Steer>,
}

impl Leader {
    /// Passes on what the leader says, until one of the two is gone. Answers where to announce.
    pub(super) fn follow(self, happened: &Sender<Happening>) -> Result<Vec<String>, SendError> {
        let (steer, happened) = (self.steer, happened.clone());
        // It is not waited for: the leader, who may live on, ends it.
        let passing = move || {
            while let Ok(word) = steer.recv() {
                if happened.send(Happening::Steer(word)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("steer".into())
            .spawn(passing)
            .map_err(SendError::system("start a thread"))?;
        Ok(self.call.iter().map(IpAddr::to_string).collect())
    }
}
