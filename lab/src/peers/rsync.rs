//! rsync to a daemon on each node, one after another: plain TCP, whole files, nothing compared beforehand.

use std::fs;
use std::thread;
use std::time::Instant;

use anyhow::Result;

use super::{Copied, Job, Peer, RECEIVER_START, Task, missing};

const PORT: &str = "8730";

#[derive(Debug)]
pub(super) struct Rsync;

impl Peer for Rsync {
    fn name(&self) -> &'static str {
        "rsync"
    }

    fn unavailable(&self) -> Option<String> {
        missing(&["rsync"], "rsync")
    }

    fn unfit(&self, task: &Task) -> Option<&'static str> {
        task.kills_one.then_some("copies to one node after another")
    }

    fn is_slow(&self, task: &Task) -> bool {
        task.receivers > 1
    }

    fn copy(&self, job: &Job) -> Result<Copied> {
        let port = format!("--port={PORT}");
        let mut daemons = Vec::new();
        for number in job.receivers() {
            let into = job.node_folder(number)?;
            let settings = job.folder.join(format!("rsyncd{number}.conf"));
            // The daemon would otherwise become `nobody`, who may not write here.
            let text = format!(
                "use chroot = no\nuid = 0\ngid = 0\n[copy]\npath = {}\nread only = no\n",
                into.display()
            );
            fs::write(&settings, text)?;
            let settings = format!("--config={}", settings.display());
            let arguments = ["--daemon", "--no-detach", &port, &settings];
            daemons.push(job.start(number, "rsync", &arguments, "daemon")?);
        }
        thread::sleep(RECEIVER_START);

        let source = job.source.to_string_lossy();
        let start = Instant::now();
        for number in job.receivers() {
            let target = format!("rsync://{}/copy/", job.cluster.node(number).address());
            let arguments = ["--recursive", "--whole-file", &port, &*source, &target];
            job.start(1, "rsync", &arguments, "send")?
                .finish(job.time_max)?;
        }
        Ok(Copied {
            elapsed: start.elapsed(),
            others_elapsed: None,
            copies: job.copies_by_name(),
            lossy: false,
            note: Some("nothing is encrypted".into()),
        })
    }
}
