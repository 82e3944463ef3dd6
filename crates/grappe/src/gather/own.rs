//! This node as a member of the gather that it leads: a receiver that takes part in this gather alone.
//!
//! It is reached like any other, by the network; where nobody is called by announcements, it is told.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use grappe_proto::receiver::Failure;
use grappe_proto::units::SessionId;
use tokio::sync::{mpsc, watch};

use super::{GatherError, GatherOptions, Happening, OwnNode};
use crate::announce::{Call, Heard};
use crate::files::Allowed;
use crate::receive::{Notice, ReceiveError, ReceiveOptions, Target, receive};

/// It has so long to end once the gather is over.
pub(super) const END_MAX: Duration = Duration::from_secs(10);

/// It must listen within this time.
const START_MAX: Duration = Duration::from_secs(10);

/// Why a member ended, without the word for whose fault it was.
fn reason(failure: Failure) -> String {
    match failure {
        Failure::Refused(reason) | Failure::Failed(reason) | Failure::SenderGone(reason) => reason,
    }
}

/// The running member.
pub(super) struct OwnMember {
    stop: watch::Sender<Option<String>>,
    thread: JoinHandle<()>,
}

impl OwnMember {
    /// Starts it, and returns once it listens. `called` brings its call where none is announced.
    pub(super) fn start(
        own: &OwnNode,
        options: &GatherOptions,
        gather: SessionId,
        called: Option<mpsc::Receiver<Heard>>,
        happened: Sender<Happening>,
    ) -> Result<Self, GatherError> {
        let (stop, stopped) = watch::channel(None);
        let (ready, is_ready) = bounded::<Result<(), ReceiveError>>(1);
        let options = ReceiveOptions {
            into: Target::Directory(own.into.clone()),
            allowed: Allowed::default(),
            identity: options.identity.clone(),
            trust: options.trust.clone(),
            network: options.network.clone(),
            name: own.name.clone(),
            once: false,
            share: Some(own.share.clone()),
            only: Some(gather),
            called,
            processors: options.processors,
        };
        let running = move || {
            let mut failure = None;
            let mut notice = |told| match told {
                Notice::Listening => {
                    let _early = ready.try_send(Ok(()));
                }
                Notice::Gathered(_, Err(error)) => failure = Some(reason(error)),
                // Of itself the coordinator knows.
                Notice::Joining(_, heard) if heard.call == Call::Gather => {}
                told => {
                    let _over = happened.send(Happening::Member(told));
                }
            };
            if let Err(error) = receive(options, stopped, &mut notice) {
                failure = Some(error.to_string());
                let _late = ready.try_send(Err(error));
            }
            let _over = happened.send(Happening::MemberEnded(failure));
        };
        let thread = thread::Builder::new()
            .name("member".into())
            .spawn(running)
            .map_err(|source| GatherError::System {
                action: "start a thread",
                source,
            })?;
        match is_ready.recv_timeout(START_MAX) {
            Ok(result) => result?,
            Err(_) => {
                return Err(GatherError::System {
                    action: "listen as a member",
                    source: std::io::ErrorKind::TimedOut.into(),
                });
            }
        }
        Ok(Self { stop, thread })
    }

    /// Ends it, and waits where that is no wait.
    pub(super) fn stop(self) {
        self.stop
            .send_replace(Some("the gather is over".to_owned()));
        if self.thread.is_finished() {
            let _ended = self.thread.join();
        }
    }
}
