//! grappe, called as a user would call it: one key on all nodes, nothing tuned.

use std::thread;
use std::time::Instant;

use anyhow::Result;

use super::{Copied, Job, Peer, RECEIVER_START};
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

    fn copy(&self, job: &Job) -> Result<Copied> {
        let grappe = Grappe::with_new_key(job.folder)?;
        let mut receivers = Vec::new();
        for number in job.receivers() {
            let command = grappe.receive(job.cluster.node(number), &job.node_folder(number)?);
            receivers.push(Process::start(
                command,
                job.folder,
                &format!("receive{number}"),
            )?);
        }
        thread::sleep(RECEIVER_START);

        let expect = job.plan.nodes - 1;
        let command = grappe.send(job.cluster.node(1), job.file, expect);
        let start = Instant::now();
        let mut sender = Process::start(command, job.folder, "send")?;
        sender.finish(job.time_max)?;
        let elapsed = start.elapsed();

        let note = limits(&Report::parse(&sender.output())?);
        Ok(Copied {
            elapsed,
            copies: job.copies_by_name(),
            note,
        })
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
