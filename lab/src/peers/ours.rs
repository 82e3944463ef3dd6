//! grappe, called as a user would call it: one key on all nodes, nothing tuned.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Copied, Job, Peer, RECEIVER_START, Task};
use crate::grappe::{Grappe, Report};
use crate::process::Process;

#[derive(Debug)]
pub(super) struct Ours;

impl Peer for Ours {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn unavailable(&self) -> Option<String> {
        Grappe::locate().err().map(|error| error.to_string())
    }

    fn unfit(&self, _task: &Task) -> Option<&'static str> {
        None
    }

    fn copy(&self, job: &Job) -> Result<Copied> {
        let grappe = Grappe::with_new_key(job.folder)?;
        let mut receivers = Vec::new();
        for number in job.receivers() {
            let (node, folder) = (job.cluster.node(number), job.node_folder(number)?);
            let command = if job.plan.deaf > 0 {
                grappe.receive_as_address(node, &folder)
            } else {
                grappe.receive(node, &folder)
            };
            receivers.push(Process::start(
                command,
                job.folder,
                &format!("receive{number}"),
            )?);
        }
        thread::sleep(RECEIVER_START);

        let (node, expect) = (job.cluster.node(1), job.plan.nodes - 1);
        let command = if job.plan.deaf > 0 {
            // Who does not hear the group must be told by name.
            let address = |number| job.cluster.node(number).address();
            let nodes: Vec<String> = job.receivers().map(address).collect();
            grappe.send_to(node, job.source, &nodes)
        } else {
            grappe.send(node, job.source, expect)
        };
        let start = Instant::now();
        let mut sender = Process::start(command, job.folder, "send")?;
        finish(job, &mut sender)?;
        let elapsed = start.elapsed();

        for (receiver, number) in receivers.iter_mut().zip(job.receivers()) {
            if Some(number) != job.victim && !receiver.is_running()? {
                bail!(
                    "the receiver on n{number} ended by itself: {}",
                    receiver.messages().trim()
                );
            }
        }
        let report = Report::parse(&sender.output())?;
        let notes: Vec<_> = [limits(&report), halves(&report)]
            .into_iter()
            .flatten()
            .collect();
        Ok(Copied {
            elapsed,
            others_elapsed: others_elapsed(job, &report, elapsed),
            copies: job.copies_by_name(),
            lossy: false,
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        })
    }
}

/// Wants success; where a receiver is killed, the exit code that says that not all have the copy.
fn finish(job: &Job, sender: &mut Process) -> Result<()> {
    const INCOMPLETE: i32 = 1;

    if job.victim.is_none() {
        return sender.finish(job.time_max);
    }
    match sender.wait(job.time_max)? {
        Some(status) if status.code() == Some(INCOMPLETE) => Ok(()),
        other => bail!("with a receiver killed, the sender ends with {other:?}"),
    }
}

/// What grappe itself says kept it from being faster.
fn limits(report: &Report) -> Option<String> {
    let mut limits: Vec<_> = report
        .nodes
        .iter()
        .filter_map(|node| node.limited_by.as_deref())
        .collect();
    limits.sort_unstable();
    limits.dedup();
    (!limits.is_empty()).then(|| format!("limited by {}", limits.join(", ")))
}

/// When the last of all but the odd one had completed: its report counts from the first data packet.
fn others_elapsed(job: &Job, report: &Report, elapsed: Duration) -> Option<Duration> {
    let odd = job.cluster.node(job.odd?).name();
    let others = report.nodes.iter().filter(|node| node.name != odd);
    let last = others.map(|node| node.seconds).reduce(f64::max)?;
    let before = (elapsed.as_secs_f64() - report.seconds).max(0.0);
    Some(Duration::from_secs_f64(before + last))
}

/// How fast those were that multicast reached, and those that it did not, where there are both.
fn halves(report: &Report) -> Option<String> {
    let slowest = |way: &str| {
        let came = report.nodes.iter().filter(|node| node.transport == way);
        let seconds = came.map(|node| node.seconds).reduce(f64::max)?;
        Some(report.bytes as f64 / seconds / 1e6)
    };
    let (multicast, pipeline) = (slowest("multicast")?, slowest("pipeline")?);
    Some(format!(
        "multicast {multicast:.1} MB/s, pipeline {pipeline:.1} MB/s"
    ))
}
