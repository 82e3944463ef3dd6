//! What a user could pick: grappe, the bare limit of the machine, and the rivals, one file each.
//!
//! A peer only knows how to start its programs and when its copy is over. Whether the copies are right
//! and what they cost is found out here, for all alike.

mod bittorrent;
mod chain;
mod limit;
mod ours;
mod scp;
mod udpcast;
mod uftp;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::net::{Cluster, Plan};
use crate::process::{Process, children_cpu_seconds};
use crate::{content, shell};

/// Time that receivers get to open their sockets before the sender starts, unmeasured.
const RECEIVER_START: Duration = Duration::from_secs(1);

/// A way of copying one file from the first node of a cluster to all others.
pub trait Peer {
    /// As given to `lab bench --tools`.
    fn name(&self) -> &'static str;

    /// Why it cannot run here, with the package to install; `None` when it can.
    fn unavailable(&self) -> Option<String>;

    /// Whether a run takes so long that fewer of them must do.
    fn is_slow(&self) -> bool {
        false
    }

    /// Copies `job.file`, and says how long it took and where the copies are.
    ///
    /// # Errors
    ///
    /// When a program fails or takes longer than `job.time_max`.
    fn copy(&self, job: &Job) -> Result<Copied>;
}

/// Everything that a peer is told about one run.
#[derive(Debug)]
pub struct Job<'a> {
    /// Where to run; node 1 has the file.
    pub cluster: &'a Cluster,
    /// What the cluster was built from.
    pub plan: &'a Plan,
    /// What to copy.
    pub file: &'a Path,
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

    /// Where the copies are when each node keeps the file's name in its own folder.
    fn copies_by_name(&self) -> Vec<PathBuf> {
        let name = self.file.file_name().unwrap_or_default();
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
}

/// What a peer says about its copy.
#[derive(Debug)]
pub struct Copied {
    /// How long the user waited.
    pub elapsed: Duration,
    /// Where the copies should be, one for each receiver.
    pub copies: Vec<PathBuf>,
    /// Anything that a reader of the figures must know.
    pub note: Option<String>,
}

/// One run, checked.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Copies that are the same as the file, byte for byte.
    pub whole: usize,
    /// Copies there should be.
    pub of: usize,
    /// How long the user waited, in seconds; 0 when the copy failed.
    pub seconds: f64,
    /// MB/s (10^6 bytes) delivered to each receiver; 0 when the copy failed.
    pub megabytes_per_second: f64,
    /// User and system time of all the tool's processes together, in seconds.
    pub cpu_seconds: f64,
    /// Anything that a reader of the figures must know, among it why the copy failed.
    pub note: Option<String>,
}

/// All peers, in the order of the tables.
#[must_use]
pub fn all() -> Vec<Box<dyn Peer>> {
    vec![
        Box::new(ours::Ours),
        Box::new(limit::Limit::default()),
        Box::new(uftp::Uftp),
        Box::new(udpcast::Udpcast),
        Box::new(chain::Chain),
        Box::new(bittorrent::BitTorrent),
        Box::new(scp::Scp),
    ]
}

/// Runs one copy, checks every byte of it and leaves the nodes quiet.
///
/// # Errors
///
/// When the lab itself fails. A peer that fails is a `Run` with a note.
pub fn run(peer: &dyn Peer, job: &Job) -> Result<Run> {
    let file_bytes = fs::metadata(job.file)
        .context("the file to copy is gone")?
        .len();
    let cpu_before = children_cpu_seconds()?;
    let copied = peer.copy(job);
    job.cluster.stop_processes()?;
    let cpu_seconds = children_cpu_seconds()? - cpu_before;

    let of = job.receivers().count();
    Ok(match copied {
        Ok(copied) => {
            let seconds = copied.elapsed.as_secs_f64();
            Run {
                whole: copied
                    .copies
                    .iter()
                    .filter(|copy| content::identical(job.file, copy))
                    .count(),
                of,
                seconds,
                megabytes_per_second: file_bytes as f64 / 1e6 / seconds,
                cpu_seconds,
                note: copied.note,
            }
        }
        Err(error) => Run {
            whole: 0,
            of,
            seconds: 0.0,
            megabytes_per_second: 0.0,
            cpu_seconds,
            note: Some(format!("{error:#}")),
        },
    })
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
