//! Receiving copies: the daemon behind the program's `receive`.
//!
//! It listens for announcements, takes part in each session of a trusted sender, several at a time,
//! and stays up whatever becomes of one of them.

mod agreement;
mod ahead;
mod carrier;
mod daemon;
mod destination;
mod examined;
mod listen;
mod member;
mod memory;
mod notes;
mod outage;
mod piping;
mod ring;
mod session;
mod store;
mod stream;
mod threads;
mod workers;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grappe_proto::receiver::Failure;
use grappe_proto::units::SessionId;
use grappe_proto::wire::control::Done;
use tokio::sync::{mpsc, watch};

use self::ahead::Ahead;
use self::daemon::Daemon;
use self::destination::Destination;
pub use self::destination::Target;
use self::session::Node;
use crate::announce::{Heard, Listener};
use crate::control::{ControlError, Endpoint};
use crate::files::{Allowed, SinkError};
use crate::network::Network;
use crate::trust::{Identity, PublicKey, TrustFile};

/// How often memberships are renewed: switches forget after 260 s without a querier (RFC 3376).
const REJOIN: Duration = Duration::from_secs(60);

/// Asked of the kernel for the data socket: a quarter of a second at 1 Gbit/s.
pub(crate) const RECEIVE_BUFFER: usize = 32 << 20;

/// Announcements that wait to be looked at; each comes again.
const HEARD_MAX: usize = 64;

/// What is still going on at the daemon's end has so long: it may hang on a disk.
const SHUTDOWN_MAX: Duration = Duration::from_secs(2);

/// How to receive.
#[derive(Debug)]
pub struct ReceiveOptions {
    /// Where copies go.
    pub into: Target,
    /// What copies may bring along.
    pub allowed: Allowed,
    /// This node's key.
    pub identity: Identity,
    /// Whose copies are taken.
    pub trust: TrustFile,
    /// Where announcements are heard.
    pub network: Network,
    /// The node's name for the sender's table.
    pub name: String,
    /// End after one session, or one gather.
    pub once: bool,
    /// The directory whose content this node shares in a gather; without one it shares nothing.
    pub share: Option<PathBuf>,
    /// Take part in this gather alone, and end with it.
    pub only: Option<SessionId>,
    /// Sessions that this node is called to by other means than announcements.
    pub called: Option<mpsc::Receiver<Heard>>,
    /// How many processors to make use of.
    pub processors: usize,
}

/// What the user is told while it happens.
#[derive(Debug)]
pub enum Notice {
    /// Announcements are heard from now on.
    Listening,
    /// A session or a gather begins, and its sender or coordinator proved the key that is trusted.
    Joining(SessionId, Heard),
    /// Everything of a session stands under its final names; these are at the top, the first of them.
    Placed(SessionId, Vec<Vec<u8>>),
    /// A session ended.
    Ended(SessionId, Result<Done, Failure>),
    /// A gather ended for this node.
    Gathered(SessionId, Result<(), Failure>),
    /// A trusted node has looked at the way to this one; what went wrong, if anything did.
    Examined(Heard, Option<String>),
    /// A sender that is not trusted announces.
    Untrusted(PublicKey, std::net::IpAddr),
    /// Somebody announces with this version of the protocol, which is not that of this program. Nothing of
    /// it is verified.
    OtherVersion(std::net::IpAddr, u16),
    /// Something that does not stop the daemon.
    Note(String),
}

/// Why the daemon could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ReceiveError {
    /// The directory cannot be used.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The device cannot be written to.
    #[error("cannot write to {}: {source}; is it there, and not mounted?", .path.display())]
    Device {
        /// The device as named by the user.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The directory to share cannot be shared.
    #[error("cannot share {}: {reason}", .path.display())]
    Share {
        /// As the user named it.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
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
        allowed,
        identity,
        trust,
        network,
        name,
        once,
        share,
        only,
        called,
        processors,
    } = options;
    let system = |action| move |source| ReceiveError::System { action, source };
    let destination = Arc::new(Destination::open(&into, allowed)?);
    if let Some(share) = &share {
        check_share(into.path(), share)?;
    }
    let endpoint = Endpoint::new(&identity)?;
    warm_up()?;
    let listener = Listener::join(&network).map_err(system("listen for announcements"))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start the control plane"))?;
    let wanted = Arc::new(AtomicBool::new(true));
    let (hearing, heard) = mpsc::channel(HEARD_MAX);
    if let Some(called) = called {
        runtime.spawn(follow(called, hearing.clone()));
    }
    let (notes, told) = notes::channel();
    let thread = listen::start(listener, Arc::clone(&wanted), hearing, notes.clone())
        .map_err(system("start a thread"))?;
    notice(Notice::Listening);
    let node = Node {
        name,
        network,
        endpoint,
        identity,
        trust: trust.clone(),
        share,
        own_copies: Mutex::default(),
        destination,
        notes,
        left_behind: Arc::default(),
        processors,
        ahead: Ahead::start(processors).map_err(system("start a thread"))?,
    };
    let daemon = Daemon::new(node, trust, once || only.is_some(), only, told, notice);
    let last = runtime.block_on(daemon.run(heard, stop));
    runtime.shutdown_timeout(SHUTDOWN_MAX);
    wanted.store(false, Ordering::Relaxed);
    thread
        .join()
        .map_err(|_| io::Error::other("internal error: the listening thread panicked"))
        .map_err(system("hear announcements"))?;
    Ok(last)
}

/// What keeps `share` from being shared by a node that receives into `into`, if anything.
fn check_share(into: &Path, share: &Path) -> Result<(), ReceiveError> {
    let refused = |reason: String| ReceiveError::Share {
        path: share.to_path_buf(),
        reason,
    };
    match member::is_inside(into, share) {
        Ok(false) if share.is_dir() => Ok(()),
        Ok(false) => Err(refused("it is not a directory".into())),
        Ok(true) => Err(refused(format!(
            "{} is inside of it, and would be shared as well; receive elsewhere",
            into.display()
        ))),
        Err(error) => Err(refused(error.to_string())),
    }
}

/// Takes a call for an announcement.
async fn follow(mut called: mpsc::Receiver<Heard>, hearing: mpsc::Sender<Heard>) {
    while let Some(heard) = called.recv().await {
        if hearing.send(heard).await.is_err() {
            return;
        }
    }
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
