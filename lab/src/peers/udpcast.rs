//! udpcast: multicast in slices that every receiver acknowledges, made for disk images.
//!
//! With loss it gets its forward error correction: without it, it does not come to an end.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Copied, Job, NEEDS_MULTICAST, Peer, RECEIVER_START, Task, missing};
use crate::net::INTERFACE;

/// Receivers write the last bytes after the sender has left; not counted against it.
const LAST_WRITES: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Udpcast;

impl Peer for Udpcast {
    fn name(&self) -> &'static str {
        "udpcast"
    }

    fn unavailable(&self) -> Option<String> {
        missing(&["udp-sender", "udp-receiver"], "udpcast")
    }

    fn unfit(&self, task: &Task) -> Option<&'static str> {
        let folder = task.is_folder.then_some("copies no folders");
        folder.or(task.is_deaf.then_some(NEEDS_MULTICAST))
    }

    fn copy(&self, job: &Job) -> Result<Copied> {
        let (mut receivers, mut copies) = (Vec::new(), Vec::<PathBuf>::new());
        for number in job.receivers() {
            let copy = job.node_folder(number)?.join("copy");
            let file = copy.to_string_lossy();
            let arguments = ["--interface", INTERFACE, "--nokbd", "--file", &file];
            receivers.push(job.start(number, "udp-receiver", &arguments, "receive")?);
            copies.push(copy);
        }
        thread::sleep(RECEIVER_START);

        let count = receivers.len().to_string();
        let rate = format!("{}k", job.told_rate_kbit());
        let file = job.source.to_string_lossy();
        let mut arguments = vec!["--interface", INTERFACE, "--nokbd", "--full-duplex"];
        arguments.extend([
            "--min-receivers",
            &count,
            "--max-bitrate",
            &rate,
            "--file",
            &file,
        ]);
        let is_lossy = job.plan.loss_percent > 0.0;
        if is_lossy {
            arguments.extend(["--fec", "8x8/128"]);
        }
        let start = Instant::now();
        job.finish_sender(&mut job.start(1, "udp-sender", &arguments, "send")?)?;
        let elapsed = start.elapsed();

        for receiver in &mut receivers {
            receiver.wait(LAST_WRITES)?;
        }
        Ok(Copied {
            elapsed,
            others_elapsed: None,
            copies,
            lossy: false,
            note: is_lossy.then(|| "with --fec 8x8/128".into()),
        })
    }
}
