//! One plain TCP connection, `socat` to `socat`: what a single receiver could have without any protocol.

use std::thread;
use std::time::Instant;

use anyhow::Result;

use super::{Copied, FIRST_RECEIVER, Job, Peer, RECEIVER_START, Task, missing};

const PORT: u16 = 9000;
const SOCAT: [&str; 3] = ["-b", "262144", "-u"];

#[derive(Debug)]
pub(super) struct Socat;

impl Peer for Socat {
    fn name(&self) -> &'static str {
        "socat"
    }

    fn unavailable(&self) -> Option<String> {
        missing(&["socat"], "socat")
    }

    fn unfit(&self, task: &Task) -> Option<&'static str> {
        match task {
            Task { receivers: 2.., .. } => Some("for one receiver; to several it is the chain"),
            Task {
                is_folder: true, ..
            } => Some("copies no folders"),
            Task {
                kills_one: true, ..
            } => Some("the only receiver is killed"),
            _ => None,
        }
    }

    fn copy(&self, job: &Job) -> Result<Copied> {
        let copy = job.node_folder(FIRST_RECEIVER)?.join("copy");
        let [listen, create] = [
            format!("TCP-LISTEN:{PORT},reuseaddr"),
            format!("CREATE:{}", copy.display()),
        ];
        let arguments = [SOCAT.as_slice(), &[&listen, &create]].concat();
        let mut receiver = job.start(FIRST_RECEIVER, "socat", &arguments, "receive")?;
        thread::sleep(RECEIVER_START);

        let address = job.cluster.node(FIRST_RECEIVER).address();
        let [open, connect] = [
            format!("OPEN:{}", job.source.display()),
            format!("TCP:{address}:{PORT}"),
        ];
        let arguments = [SOCAT.as_slice(), &[&open, &connect]].concat();
        let start = Instant::now();
        job.start(1, "socat", &arguments, "send")?
            .finish(job.time_max)?;
        receiver.finish(job.time_max.saturating_sub(start.elapsed()))?;
        Ok(Copied {
            elapsed: start.elapsed(),
            others_elapsed: None,
            copies: vec![copy],
            lossy: false,
            note: Some("nothing is checked".into()),
        })
    }
}
