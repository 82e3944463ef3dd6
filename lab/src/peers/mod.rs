//! What a user could pick: grappe, the bare limit of the machine, and the rivals, one file each.
//!
//! A peer only knows how to start its programs and when its copy is over. Whether the copies are right
//! and what they cost is found out by `run`, for all alike.

mod bittorrent;
mod chain;
mod limit;
mod observer;
mod ours;
mod rsync;
mod run;
mod scp;
mod socat;
mod udpcast;
mod uftp;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};

pub use run::{Copied, Run, run};

use crate::net::{Cluster, Plan};
use crate::process::Process;
use crate::shell;

/// Time that receivers get to open their sockets before the sender starts, unmeasured.
const RECEIVER_START: Duration = Duration::from_secs(1);

/// Why tools that know only multicast cannot take part.
const NEEDS_MULTICAST: &str = "needs multicast";

/// The node whose memory is watched, as one of many that are alike.
const FIRST_RECEIVER: u8 = 2;

/// What is asked of a peer, as far as not every peer can do it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// How many nodes receive.
    pub receivers: u8,
    /// A folder is copied, not one file.
    pub is_folder: bool,
    /// A receiver is killed in the middle, and the others are to complete.
    pub kills_one: bool,
    /// Multicast does not reach all of them.
    pub is_deaf: bool,
    /// Packets are lost.
    pub is_lossy: bool,
}

/// A way of copying one file from the first node of a cluster to all others.
pub trait Peer {
    /// As given to `lab bench --tools`.
    fn name(&self) -> &'static str;

    /// Why it cannot run here, with the package to install; `None` when it can.
    fn unavailable(&self) -> Option<String>;

    /// Why it cannot take part in such a copy; `None` when it can. Most copy one file, to nodes that live.
    fn unfit(&self, task: &Task) -> Option<&'static str> {
        match task {
            Task {
                is_folder: true, ..
            } => Some("copies no folders"),
            Task {
                kills_one: true, ..
            } => Some("one dead receiver ends it for others"),
            _ => None,
        }
    }

    /// Whether a run takes so long that fewer of them must do.
    fn is_slow(&self, _task: &Task) -> bool {
        false
    }

    /// Copies `job.source`, and says how long it took and where the copies are.
    ///
    /// # Errors
    ///
    /// When a program fails or takes longer than `job.time_max`.
    fn copy(&self, job: &Job) -> Result<Copied>;
}

/// Everything that a peer is told about one run.
#[derive(Debug)]
pub struct Job<'a> {
    /// Where to run; node 1 has the source.
    pub cluster: &'a Cluster,
    /// What the cluster was built from.
    pub plan: &'a Plan,
    /// What to copy: a file or a folder.
    pub source: &'a Path,
    /// Its content, in bytes.
    pub bytes: u64,
    /// The node to kill when half of the bytes have come to it.
    pub victim: Option<u8>,
    /// The node that is killed or slow.
    pub odd: Option<u8>,
    /// An empty folder for copies, keys and logs.
    pub folder: &'a Path,
    /// The `lab` binary, for what it runs on the nodes itself.
    pub lab: &'a Path,
    /// When to give up.
    pub time_max: Duration,
}

impl Job<'_> {
    /// The numbers of the nodes that receive.
    fn receivers(&self) -> impl DoubleEndedIterator<Item = u8> + use<> {
        2..=self.plan.nodes
    }

    /// A new folder for the copy of one node.
    fn node_folder(&self, number: u8) -> Result<PathBuf> {
        let folder = self.folder.join(format!("n{number}"));
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Where the copies are when each node keeps the source's name in its own folder.
    fn copies_by_name(&self) -> Vec<PathBuf> {
        let name = self.source.file_name().unwrap_or_default();
        self.receivers()
            .map(|number| self.folder.join(format!("n{number}")).join(name))
            .collect()
    }

    /// The rate for tools that must be told one: a tenth below the link, so that control traffic fits.
    /// Unshaped links get the rate for 1 Gbit/s, which is beyond what these tools reach.
    fn told_rate_kbit(&self) -> u32 {
        self.plan.link_mbit.unwrap_or(1000) * 900
    }

    /// Starts a program on a node, with its output in the job's folder.
    fn start(&self, number: u8, program: &str, arguments: &[&str], label: &str) -> Result<Process> {
        let mut command = self.cluster.node(number).command(program);
        command.args(arguments);
        Process::start(command, self.folder, &format!("{label}{number}"))
    }

    /// Waits for the sender and wants success, unless a receiver is killed: then any end will do, as
    /// the copies of the others tell more.
    fn finish_sender(&self, sender: &mut Process) -> Result<()> {
        if self.victim.is_none() {
            return sender.finish(self.time_max);
        }
        match sender.wait(self.time_max)? {
            Some(_) => Ok(()),
            None => bail!("the sender does not end within {:?}", self.time_max),
        }
    }
}

/// All peers, in the order of the tables.
#[must_use]
pub fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(ours::Ours),
        Box::new(limit::Limit::default()),
        Box::new(limit::Limit::sealed()),
        Box::new(uftp::Uftp),
        Box::new(udpcast::Udpcast),
        Box::new(chain::Chain),
        Box::new(bittorrent::BitTorrent),
        Box::new(socat::Socat),
        Box::new(rsync::Rsync),
        Box::new(scp::Scp),
    ]
}

/// The usual answer to `Peer::unavailable`: the first missing program and the Debian package it is in.
fn missing(programs: &[&str], package: &str) -> Option<String> {
    let program = programs
        .iter()
        .find(|program| shell::find(program).is_none())?;
    Some(format!(
        "{program} is not installed (apt-get install {package})"
    ))
}
