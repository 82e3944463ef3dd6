//! BitTorrent by libtorrent: pieces hashed beforehand, every peer known to every other.
//!
//! The node itself is `bittorrent.py`, because libtorrent's packaged door is its Python module.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Copied, Job, Peer, Task};
use crate::process::Process;

const NODE_PROGRAM: &str = include_str!("bittorrent.py");

/// Debian's own interpreter: the module is not in any other that may come first in `PATH`.
const PYTHON: &str = "/usr/bin/python3";

const POLL_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct BitTorrent;

impl Peer for BitTorrent {
    fn name(&self) -> &'static str {
        "bittorrent"
    }

    fn unavailable(&self) -> Option<String> {
        let check = Command::new(PYTHON)
            .args(["-c", "import libtorrent"])
            .output();
        let is_there = check.is_ok_and(|output| output.status.success());
        (!is_there)
            .then(|| "libtorrent is not installed (apt-get install python3-libtorrent)".into())
    }

    fn is_slow(&self, _task: &Task) -> bool {
        true
    }

    fn copy(&self, job: &Job) -> Result<Copied> {
        let program = job.folder.join("bittorrent.py");
        fs::write(&program, NODE_PROGRAM)?;
        let program = program.to_string_lossy();
        let torrent = job.folder.join("torrent").display().to_string();
        let mut create = Command::new(PYTHON);
        create.args([&*program, "create", &job.source.to_string_lossy(), &torrent]);
        Process::start(create, job.folder, "create")?.finish(job.time_max)?;

        let nodes = job.plan.nodes.to_string();
        let start = Instant::now();
        let mut processes = Vec::new();
        for number in 1..=job.plan.nodes {
            let (role, content) = match number {
                1 => (
                    "seed",
                    job.source.parent().unwrap_or(job.folder).to_path_buf(),
                ),
                _ => ("get", job.node_folder(number)?),
            };
            let me = number.to_string();
            let content = content.to_string_lossy();
            let arguments = [&program, role, &me, &nodes, &torrent, &*content];
            processes.push(job.start(number, PYTHON, &arguments, "node")?);
        }
        // A node says `done` when it has all pieces, then goes on serving the others.
        while !processes[1..]
            .iter()
            .all(|process| process.output().contains("done"))
        {
            if start.elapsed() > job.time_max {
                bail!(
                    "not done after {:?}: {}",
                    job.time_max,
                    processes[1].messages().trim()
                );
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(Copied {
            elapsed: start.elapsed(),
            others_elapsed: None,
            copies: job.copies_by_name(),
            lossy: false,
            note: None,
        })
    }
}
