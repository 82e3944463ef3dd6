//! How long it takes from the command to the first data at a receiver, when the receivers are started
//! over ssh: a real sshd on every node, and all of it on one machine.
//!
//! A measurement for people, not a test.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::content;
use crate::grappe::{Grappe, Report};
use crate::net::{Cluster, Plan};
use crate::process::Process;
use crate::ssh::SshServers;
use crate::store::Store;

/// What is copied: enough to be seen arriving, little enough for as many stores as there are nodes.
const FILE_BYTES: u64 = 4 << 20;

/// Bytes at a receiver's interface that are no login any more, but content.
const ARRIVED_BYTES: u64 = 512 << 10;

/// The goal, in seconds.
const GOAL: f64 = 2.0;

/// The longest that one round may take.
const ROUND_MAX: Duration = Duration::from_secs(120);

/// Starts `receivers` again and again, and answers with a line of Markdown.
///
/// # Errors
///
/// When the cluster cannot be built, or a copy does not arrive whole everywhere.
pub fn measure(receivers: u8, runs: usize) -> Result<String> {
    if let Some(reason) = Cluster::unavailable().or_else(SshServers::unavailable) {
        bail!("{reason}");
    }
    let store = Store::mount(1 << 30)?;
    let grappe = Grappe::with_new_key(store.path())?;
    let cluster = Cluster::build(&Plan {
        link_mbit: Some(1000),
        ..Plan::of(receivers + 1)
    })?;
    let nodes: Vec<u8> = (2..=receivers + 1).collect();
    let disk = store.path().join("disk");
    let own = |node: u8| store.path().join(format!("n{node}"));
    let servers = SshServers::start(&cluster, &nodes, store.path(), &disk, own)?;
    let file = store.path().join("content");
    content::create(&file, FILE_BYTES, 1)?;
    let mut starts = Vec::new();
    for _ in 0..runs {
        let target = format!("n[2-{}]:{}", receivers + 1, disk.display());
        let mut command = grappe.send_launching(cluster.node(1), &file, &target);
        command.args(["--ssh", &servers.program(), "--remote-path"]);
        command.arg(grappe.binary());
        starts.push(round(&cluster, command, &store, receivers)?);
        for &node in &nodes {
            let copy = own(node).join("content");
            if !content::identical(&file, &copy) {
                bail!("n{node} has no whole copy");
            }
            fs::remove_file(copy)?;
        }
    }
    starts.sort_by(f64::total_cmp);
    let median = starts.get(starts.len() / 2).copied().unwrap_or_default();
    let verdict = if median < GOAL { "met" } else { "MISSED" };
    Ok(format!(
        "{receivers} receivers over ssh, command to data at a receiver: {median:.2} s ({:.2}-{:.2}), \
         {runs} runs\n\ngoal: < {GOAL} s: {verdict}",
        starts.first().copied().unwrap_or_default(),
        starts.last().copied().unwrap_or_default(),
    ))
}

/// One copy. Answers the seconds until data has arrived at the last node.
fn round(
    cluster: &Cluster,
    command: std::process::Command,
    store: &Store,
    receivers: u8,
) -> Result<f64> {
    let last = cluster.node(receivers + 1);
    let arrived = || -> Result<u64> { Ok(last.received_bytes_by_proc()?.unwrap_or_default()) };
    let before = arrived()?;
    let start = Instant::now();
    let mut sender = Process::start(command, store.path(), "send")?;
    let seconds = loop {
        if arrived()? >= before + ARRIVED_BYTES {
            break start.elapsed().as_secs_f64();
        }
        if start.elapsed() > ROUND_MAX || !sender.is_running()? {
            bail!("nothing arrived: {}", sender.messages());
        }
        thread::sleep(Duration::from_millis(5));
    };
    sender.finish(ROUND_MAX)?;
    let report = Report::parse(&sender.output())?;
    if report.nodes.len() != usize::from(receivers) {
        bail!("{} nodes of {receivers} took part", report.nodes.len());
    }
    Ok(seconds)
}
