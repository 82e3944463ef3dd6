//! A chain of TCP connections: each node writes and forwards at once, with `socat` and `tee`.
//!
//! Optimal on paper; nothing is checked, and one dead node ends the copy for all behind it.

use std::thread;
use std::time::Instant;

use anyhow::Result;

use super::{Copied, Job, Peer, RECEIVER_START, missing};

const PORT: u16 = 9000;
const SOCAT: &str = "socat -b 262144 -u";

#[derive(Debug)]
pub(super) struct Chain;

impl Peer for Chain {
    fn name(&self) -> &'static str {
        "chain"
    }

    fn unavailable(&self) -> Option<String> {
        missing(&["socat"], "socat")
    }

    fn copy(&self, job: &Job) -> Result<Copied> {
        let (mut receivers, mut copies) = (Vec::new(), Vec::new());
        for number in job.receivers() {
            let copy = job.node_folder(number)?.join("copy");
            let listen = format!("{SOCAT} TCP-LISTEN:{PORT},reuseaddr STDOUT");
            let script = if number == job.plan.nodes {
                format!("{listen} > {}", copy.display())
            } else {
                let next = connect(job, number + 1);
                format!("{listen} | tee {} | {SOCAT} STDIN {next}", copy.display())
            };
            receivers.push(job.start(number, "sh", &["-c", &script], "receive")?);
            copies.push(copy);
        }
        thread::sleep(RECEIVER_START);

        let script = format!("{SOCAT} OPEN:{} {}", job.source.display(), connect(job, 2));
        let start = Instant::now();
        job.start(1, "sh", &["-c", &script], "send")?
            .finish(job.time_max)?;
        // The head leaves when its bytes are on their way; the copy is over when the tail has them.
        for receiver in &mut receivers {
            receiver.finish(job.time_max.saturating_sub(start.elapsed()))?;
        }
        Ok(Copied {
            elapsed: start.elapsed(),
            others_elapsed: None,
            copies,
            lossy: false,
            note: Some("nothing is checked".into()),
        })
    }
}

fn connect(job: &Job, number: u8) -> String {
    format!(
        "TCP:{}:{PORT},retry=50,interval=0.1",
        job.cluster.node(number).address()
    )
}
