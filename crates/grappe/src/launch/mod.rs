//! Starting receivers on nodes where none runs: through the user's own `ssh`, or `srun` inside an
//! allocation of Slurm.
//!
//! [`Launcher`] is the starting side: it takes nodes, a way and a call, and gives back receivers that
//! run, or for each node the reason why none does. `called` is the started side. Both speak the lines
//! of `words` over the connection that started the receiver: the key of the one session goes down its
//! standard input, and its end is the receiver's end.
//!
//! Not here: what the receivers take part in. A launched receiver hears of a session by
//! [`Launcher::call_to`] and then behaves like any other.

mod called;
mod connection;
mod lines;
mod target;
mod verdict;
mod way;
mod words;

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

pub use self::called::{CallError, Called, ORPHANED_AFTER, answer};
use self::connection::Connection;
pub use self::target::{Target, TargetError};
pub use self::way::{LAUNCHED, Way};
pub use self::words::{Call, Down, Hello, LAUNCH_VERSION, Session, Up};

/// What is to be started, where and how.
#[derive(Clone, Debug)]
pub struct LaunchOptions {
    /// By which program.
    pub way: Way,
    /// The nodes, by the names that the program knows.
    pub nodes: Vec<String>,
    /// What each receiver is told; its name is that of the node where one process starts one node.
    pub call: Call,
    /// `grappe` there, as its shell finds it.
    pub remote: String,
    /// How many are started at one time; those that run do not count.
    pub fanout: usize,
    /// How long a node may take, from the start of the program to its receiver listening, and again
    /// from the session being known to its taking part.
    pub patience: Duration,
}

/// What the caller is told while it happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The receiver of this node listens.
    Listening(String),
    /// There is no receiver on this node, or it has ended in the wrong way; the second says why.
    Lost(String, String),
}

/// What connections are told: it only grows.
#[derive(Clone, Debug, Default)]
struct Orders {
    /// Lines to every receiver, also to those that start later.
    lines: Arc<Vec<String>>,
    /// Whether everything is over.
    is_over: bool,
}

/// The receivers that were started; dropped, it ends them.
#[derive(Debug)]
pub struct Launcher {
    orders: watch::Sender<Orders>,
    told: Receiver<Told>,
    thread: Option<JoinHandle<()>>,
}

impl Launcher {
    /// Starts receivers, and returns at once.
    ///
    /// # Errors
    ///
    /// When no thread or no runtime can be made. That a node cannot be reached is [`Told::Lost`].
    pub fn start(options: LaunchOptions) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (orders, ordered) = watch::channel(Orders::default());
        let (telling, told) = unbounded();
        let thread = thread::Builder::new()
            .name("launch".into())
            .spawn(move || {
                runtime.block_on(launch(options, &ordered, &telling));
                // A program that cannot be waited for must not hold the end.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            orders,
            told,
            thread: Some(thread),
        })
    }

    /// What happens to the nodes. The channel closes when all receivers have ended.
    pub fn told(&self) -> &Receiver<Told> {
        &self.told
    }

    /// Calls all receivers to a session: those that listen, and those that will.
    pub fn call_to(&self, session: Session) {
        self.orders.send_modify(|orders| {
            Arc::make_mut(&mut orders.lines).push(Down::Session(session).line());
        });
    }

    /// Ends receivers that have not ended by themselves, and returns when all processes are gone.
    pub fn end(mut self) {
        self.wind_up();
    }

    fn wind_up(&mut self) {
        self.orders.send_modify(|orders| orders.is_over = true);
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            debug_assert!(ended.is_ok(), "the launching thread panicked");
        }
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        self.wind_up();
    }
}

async fn launch(options: LaunchOptions, ordered: &watch::Receiver<Orders>, telling: &Sender<Told>) {
    let places = Arc::new(Semaphore::new(options.fanout.max(1)));
    let mut connections = JoinSet::new();
    for nodes in options.way.shares(&options.nodes) {
        let connection = Connection::new(&options, nodes, ordered.clone(), telling.clone());
        connections.spawn(connection.run(Arc::clone(&places)));
    }
    while connections.join_next().await.is_some() {}
}
