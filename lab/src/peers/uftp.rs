//! uftp: multicast at a fixed rate, with passes of repair; here without encryption, as it is fastest.

use std::thread;
use std::time::Instant;

use anyhow::Result;

use super::{Copied, Job, NEEDS_MULTICAST, Peer, RECEIVER_START, Task, missing};
use crate::net::INTERFACE;

/// The largest socket buffer that uftp accepts to ask for.
const BUFFER_BYTES: &str = "4194304";

#[derive(Debug)]
pub(super) struct Uftp;

impl Peer for Uftp {
    fn name(&self) -> &'static str {
        "uftp"
    }

    fn unavailable(&self) -> Option<String> {
        missing(&["uftp", "uftpd"], "uftp")
    }

    fn unfit(&self, task: &Task) -> Option<&'static str> {
        task.is_deaf.then_some(NEEDS_MULTICAST)
    }

    fn copy(&self, job: &Job) -> Result<Copied> {
        let mut receivers = Vec::new();
        for number in job.receivers() {
            let into = job.node_folder(number)?;
            let into = into.to_string_lossy();
            // -d stays in the foreground, so that its processor time can be counted.
            let arguments = [
                "-d",
                "-D",
                &into,
                "-I",
                INTERFACE,
                "-B",
                BUFFER_BYTES,
                "-x",
                "1",
            ];
            receivers.push(job.start(number, "uftpd", &arguments, "receive")?);
        }
        thread::sleep(RECEIVER_START);

        let rate = job.told_rate_kbit().to_string();
        let file = job.source.to_string_lossy();
        let arguments = [
            "-R",
            &rate,
            "-I",
            INTERFACE,
            "-B",
            BUFFER_BYTES,
            "-x",
            "2",
            &file,
        ];
        let start = Instant::now();
        job.finish_sender(&mut job.start(1, "uftp", &arguments, "send")?)?;
        Ok(Copied {
            elapsed: start.elapsed(),
            others_elapsed: None,
            copies: job.copies_by_name(),
            lossy: false,
            note: None,
        })
    }
}
