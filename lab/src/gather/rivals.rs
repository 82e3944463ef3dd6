//! How one gathers without grappe: uftp senders in turn, a ring of rsync, a swarm for each part.
//!
//! Each is given what helps it: nothing encrypted, everybody known, hashes made beforehand.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{DAEMON_START, Done, Job};
use crate::net::INTERFACE;
use crate::process::Process;

const RSYNC_PORT: &str = "8730";
const BITTORRENT: &str = include_str!("../peers/bittorrent.py");
/// Debian's own interpreter: the module is not in any other that may come first in `PATH`.
const PYTHON: &str = "/usr/bin/python3";
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The largest socket buffer that uftp accepts to ask for.
const UFTP_BUFFER_BYTES: &str = "4194304";

/// One uftp sender after the other, at nine tenths of the link.
pub(super) fn uftp(job: &Job<'_>) -> Result<Done> {
    let mut daemons = Vec::new();
    for node in job.nodes() {
        let into = job.into(node)?;
        let into = into.to_string_lossy();
        let buffer = UFTP_BUFFER_BYTES;
        let arguments = ["-d", "-D", &into, "-I", INTERFACE, "-B", buffer, "-x", "1"];
        daemons.push(job.start(node, "uftpd", &arguments, "receive")?);
    }
    thread::sleep(DAEMON_START);
    let rate = job.case.told_rate_kbit().to_string();
    let start = Instant::now();
    for node in job.nodes() {
        let name = format!("part{node}");
        let file = job.part(node).join(&name);
        let file = file.to_string_lossy();
        let buffer = UFTP_BUFFER_BYTES;
        let arguments = ["-R", &rate, "-I", INTERFACE, "-B", buffer, "-x", "2", &file];
        job.start(node, "uftp", &arguments, "send")?
            .finish(job.time_max)?;
    }
    Ok(Done {
        elapsed: start.elapsed(),
        note: "one sender after the other; nothing is encrypted".into(),
    })
}

/// Each node pushes to the next what it has last got, all at the same time, step by step.
pub(super) fn rsync(job: &Job<'_>) -> Result<Done> {
    let port = format!("--port={RSYNC_PORT}");
    let mut daemons = Vec::new();
    for node in job.nodes() {
        let into = job.into(node)?;
        let settings = job.folder.join(format!("rsyncd{node}.conf"));
        // The daemon would otherwise become `nobody`, who may not write here.
        let text = format!(
            "use chroot = no\nuid = 0\ngid = 0\n[copy]\npath = {}\nread only = no\n",
            into.display()
        );
        fs::write(&settings, text)?;
        let settings = format!("--config={}", settings.display());
        let arguments = ["--daemon", "--no-detach", &port, &settings];
        daemons.push(job.start(node, "rsync", &arguments, "daemon")?);
    }
    thread::sleep(DAEMON_START);
    let nodes = job.case.nodes();
    let start = Instant::now();
    for step in 0..nodes - 1 {
        let mut pushes = Vec::new();
        for node in job.nodes() {
            // The part that began `step` nodes before this one.
            let owner = (node - 1 + nodes - step) % nodes + 1;
            let name = format!("part{owner}");
            let folder = match step {
                0 => job.part(owner),
                _ => job.into(node)?,
            };
            let file = folder.join(name);
            let next = job.cluster.node(node % nodes + 1).address();
            let target = format!("rsync://{next}/copy/");
            let arguments = ["--whole-file", &port, &*file.to_string_lossy(), &target];
            let label = format!("push{step}-");
            pushes.push(job.start(node, "rsync", &arguments, &label)?);
        }
        for push in &mut pushes {
            push.finish(job.time_max)?;
        }
    }
    Ok(Done {
        elapsed: start.elapsed(),
        note: "a ring; nothing is encrypted".into(),
    })
}

/// A swarm for each part, of which its owner is the first seed; hashes are made beforehand, unmeasured.
pub(super) fn bittorrent(job: &Job<'_>) -> Result<Done> {
    let program = job.folder.join("bittorrent.py");
    fs::write(&program, BITTORRENT)?;
    let program = program.to_string_lossy();
    let mut torrents = Vec::new();
    for node in job.nodes() {
        let torrent = job.folder.join(format!("torrent{node}"));
        let torrent = torrent.to_string_lossy().into_owned();
        let part = job.part(node).join(format!("part{node}"));
        let mut create = Command::new(PYTHON);
        create.args([&*program, "create", &part.to_string_lossy(), &torrent]);
        Process::start(create, job.folder, &format!("create{node}"))?.finish(job.time_max)?;
        torrents.push(torrent);
    }
    let nodes = job.case.nodes().to_string();
    let start = Instant::now();
    let mut processes = Vec::new();
    for node in job.nodes() {
        let (me, own, into) = (node.to_string(), job.part(node), job.into(node)?);
        let (own, into) = (own.to_string_lossy(), into.to_string_lossy());
        let mut arguments = vec![&*program, "share", &me, &nodes, &*own, &*into];
        arguments.extend(torrents.iter().map(|torrent| &**torrent));
        processes.push(job.start(node, PYTHON, &arguments, "node")?);
    }
    while !processes.iter().all(|it| it.output().contains("done")) {
        if start.elapsed() > job.time_max {
            let words = processes[0].messages();
            bail!("not done after {:?}: {}", job.time_max, words.trim());
        }
        thread::sleep(POLL_INTERVAL);
    }
    Ok(Done {
        elapsed: start.elapsed(),
        note: "hashes made beforehand, unmeasured; nothing is encrypted".into(),
    })
}
