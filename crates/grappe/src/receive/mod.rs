//! Receiving copies: the daemon behind the program's `receive`.
//!
//! It listens for announcements, takes part in each session of a trusted sender, several at a time,
//! and stays up whatever becomes of one of them.

mod carrier;
mod ring;
mod session;
mod store;
mod workers;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use grappe_proto::receiver::Failure;
use grappe_proto::units::SessionId;
use grappe_proto::wire::control::Done;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use self::session::{Ended, Node, take_part};
use crate::announce::{Heard, Listener};
use crate::control::{ControlError, Endpoint};
use crate::files::{Sink, SinkError};
use crate::network::Network;
use crate::trust::{Identity, PublicKey, TrustFile};

/// Sessions at one time; more are heard again when one has ended.
const SESSIONS_MAX: usize = 16;

/// Sessions remembered, so that a repeated announcement is not a new session.
const REMEMBERED: usize = 1024;

/// How often memberships are renewed: switches forget after 260 s without a querier (RFC 3376).
const REJOIN: Duration = Duration::from_secs(60);

/// Attempts to follow the announcements of one session.
const CONNECTIONS_MAX: usize = 5;

/// How often an idle listener looks whether it is still wanted.
const LISTEN: Duration = Duration::from_millis(200);

/// How to receive.
#[derive(Debug)]
pub struct ReceiveOptions {
    /// The directory that copies go into.
    pub into: PathBuf,
    /// This node's key.
    pub identity: Identity,
    /// Whose copies are taken.
    pub trust: TrustFile,
    /// Where announcements are heard.
    pub network: Network,
    /// The node's name for the sender's table.
    pub name: String,
    /// End after one session.
    pub once: bool,
}

/// What the user is told while it happens.
#[derive(Debug)]
pub enum Notice {
    /// Announcements are heard from now on.
    Listening,
    /// A session of a trusted sender begins.
    Joining(SessionId, Heard),
    /// A session ended.
    Ended(SessionId, Result<Done, Failure>),
    /// A sender that is not trusted announces.
    Untrusted(PublicKey, std::net::Ipv4Addr),
    /// Something that does not stop the daemon.
    Note(String),
}

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The directory cannot be used.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// TLS cannot be set up with this key.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A socket or a thread was refused by the kernel.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

/// Receives until `stop` holds a reason, or one session has ended if only one is wanted. Answers the
/// result of the last session.
///
/// # Errors
///
/// When it cannot start; a failed session is a [`Notice`].
pub fn receive(
    options: ReceiveOptions,
    stop: watch::Receiver<Option<String>>,
    notice: &mut dyn FnMut(Notice),
) -> Result<Option<Result<Done, Failure>>, ReceiveError> {
    let ReceiveOptions {
        into,
        identity,
        trust,
        network,
        name,
        once,
    } = options;
    let system = |action| move |source| ReceiveError::System { action, source };
    let sink = Arc::new(Sink::open(&into)?);
    let endpoint = Endpoint::new(&identity)?;
    warm_up()?;
    let listener = Listener::join(&network).map_err(system("listen for announcements"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start the control plane"))?;
    let wanted = Arc::new(AtomicBool::new(true));
    let (hearing, heard) = mpsc::channel(64);
    let thread = {
        let wanted = Arc::clone(&wanted);
        thread::Builder::new()
            .name("announce".into())
            .spawn(move || hear(&listener, &wanted, &hearing))
    };
    let thread = thread.map_err(system("start a thread"))?;
    notice(Notice::Listening);
    let node = Arc::new(Node {
        name,
        network,
        endpoint,
        sink,
    });
    let daemon = Daemon {
        node,
        trust,
        once,
        known: VecDeque::new(),
        failed: VecDeque::new(),
        untrusted: VecDeque::new(),
    };
    let last = runtime.block_on(daemon.run(heard, stop, notice));
    wanted.store(false, Ordering::Relaxed);
    let ended = thread.join();
    debug_assert!(ended.is_ok(), "the listening thread panicked");
    Ok(last)
}

/// Seeds the random generator, which takes the library a good part of a second on a busy machine:
/// better now than when a sender waits for this node.
fn warm_up() -> Result<(), ReceiveError> {
    let source = || io::Error::other("the system gives no random numbers");
    aws_lc_rs::rand::fill(&mut [0]).map_err(|_| ReceiveError::System {
        action: "seed keys",
        source: source(),
    })
}

struct Daemon {
    node: Arc<Node>,
    trust: TrustFile,
    once: bool,
    /// Sessions taken part in, oldest first.
    known: VecDeque<SessionId>,
    /// Sessions whose sender could not be reached, once for each failure.
    failed: VecDeque<SessionId>,
    /// Keys of which the user was told that they are not trusted.
    untrusted: VecDeque<PublicKey>,
}

impl Daemon {
    async fn run(
        mut self,
        mut heard: mpsc::Receiver<Result<Heard, String>>,
        mut stop: watch::Receiver<Option<String>>,
        notice: &mut dyn FnMut(Notice),
    ) -> Option<Result<Done, Failure>> {
        let session_limit = if self.once { 1 } else { SESSIONS_MAX };
        let mut sessions = JoinSet::new();
        let mut last = None;
        loop {
            tokio::select! {
                changed = stop.changed() => {
                    if changed.is_err() || stop.borrow_and_update().is_some() {
                        break;
                    }
                }
                Some(ended) = sessions.join_next() => {
                    let Ok((session, Ended { result, was_welcome })) = ended else { continue };
                    if !was_welcome && matches!(result, Err(Failure::SenderGone(_))) {
                        self.may_try_again(session);
                    }
                    let result = self.ended(session, result, notice);
                    // A copy for others, or one that is no more, is not the one that is waited for.
                    if self.once && !was_welcome {
                        continue;
                    }
                    last = Some(result);
                    if self.once && sessions.is_empty() {
                        return last;
                    }
                }
                Some(heard) = heard.recv(), if sessions.len() < session_limit => {
                    match heard {
                        Ok(heard) if self.is_wanted(&heard, notice) => {
                            notice(Notice::Joining(heard.session, heard));
                            let (node, stop) = (Arc::clone(&self.node), stop.clone());
                            sessions.spawn(async move { (heard.session, take_part(node, heard, stop).await) });
                        }
                        Ok(_) => {}
                        Err(text) => notice(Notice::Note(text)),
                    }
                }
            }
        }
        while let Some(ended) = sessions.join_next().await {
            let Ok((session, Ended { result, .. })) = ended else {
                continue;
            };
            last = Some(self.ended(session, result, notice));
        }
        last
    }

    fn ended(
        &mut self,
        session: SessionId,
        result: Result<Done, Failure>,
        notice: &mut dyn FnMut(Notice),
    ) -> Result<Done, Failure> {
        notice(Notice::Ended(session, result.clone()));
        result
    }

    fn is_wanted(&mut self, heard: &Heard, notice: &mut dyn FnMut(Notice)) -> bool {
        if !self
            .trust
            .role_of(&heard.sender)
            .is_some_and(|role| role.may_send())
        {
            if !self.untrusted.contains(&heard.sender) {
                remember(&mut self.untrusted, heard.sender);
                notice(Notice::Untrusted(heard.sender, *heard.control.ip()));
            }
            return false;
        }
        if self.known.contains(&heard.session) {
            return false;
        }
        remember(&mut self.known, heard.session);
        true
    }

    /// A connection that failed says little, least of all when somebody else repeats a true announcement
    /// from a wrong place: the next announcement is followed again, a few times.
    fn may_try_again(&mut self, session: SessionId) {
        let failures = self
            .failed
            .iter()
            .filter(|failed| **failed == session)
            .count();
        if failures < CONNECTIONS_MAX {
            remember(&mut self.failed, session);
            self.known.retain(|known| *known != session);
        }
    }
}

fn remember<T>(memory: &mut VecDeque<T>, item: T) {
    if memory.len() >= REMEMBERED {
        memory.pop_front();
    }
    memory.push_back(item);
}

fn hear(listener: &Listener, wanted: &AtomicBool, hearing: &mpsc::Sender<Result<Heard, String>>) {
    let mut since_rejoin = Duration::ZERO;
    while wanted.load(Ordering::Relaxed) {
        let heard = match listener.hear(LISTEN) {
            Ok(Some(heard)) => Ok(heard),
            Ok(None) => {
                since_rejoin += LISTEN;
                if since_rejoin < REJOIN {
                    continue;
                }
                since_rejoin = Duration::ZERO;
                match listener.rejoin() {
                    Ok(()) => continue,
                    Err(error) => Err(format!("cannot renew the membership of the group: {error}")),
                }
            }
            Err(error) => {
                thread::sleep(LISTEN);
                Err(format!("cannot hear announcements: {error}"))
            }
        };
        // A full queue means that many announcements wait: each comes again.
        if let Err(mpsc::error::TrySendError::Closed(_)) = hearing.try_send(heard) {
            return;
        }
    }
}
