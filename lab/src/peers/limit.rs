//! The limit: bare multicast in offloaded trains, payload straight to a file, nothing checked or repaired.
//!
//! Not a tool for anyone: it says what this machine could do at all. Where the local queue gives no
//! back-pressure, the rate is lowered until every copy comes whole, and that is the limit. `limit-sealed` is the same
//! with every packet sealed and all bytes hashed, as a plain program does it: about what is left for a copy that is
//! encrypted and verified.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::{Copied, Job, NEEDS_MULTICAST, Peer, Task};
use crate::limit::Missing;
use crate::net::INTERFACE;

/// Receivers only open a socket.
const RECEIVER_START: Duration = Duration::from_millis(300);

/// How much slower the next attempt is.
const STEP: f64 = 0.85;

/// Below this share of the link, and at most this many MB/s, losses are not for want of speed.
const SHARE_MIN: f64 = 0.25;
const RATE_MIN: f64 = 10.0;

/// What headers leave of a link, roughly; the first attempt where one link is slower than the sender's.
const PAYLOAD_SHARE: f64 = 0.95;

/// Where the search starts on unshaped links, in MB/s; above what two cores can carry to one receiver.
const RATE_UNSHAPED: f64 = 2000.0;

#[derive(Debug, Default)]
pub(super) struct Limit {
    is_sealed: bool,
    /// The rate in MB/s that the last run ended with, so that the next need not search again.
    found: Mutex<Option<f64>>,
}

impl Peer for Limit {
    fn name(&self) -> &'static str {
        if self.is_sealed {
            "limit-sealed"
        } else {
            "limit"
        }
    }

    fn unavailable(&self) -> Option<String> {
        None
    }

    fn unfit(&self, task: &Task) -> Option<&'static str> {
        let folder = task.is_folder.then_some("copies no folders");
        let killed = (task.kills_one).then_some("one dead receiver ends it for others");
        let deaf = task.is_deaf.then_some(NEEDS_MULTICAST);
        let lossy = (task.is_lossy && self.is_sealed).then_some("knows only whole blocks");
        folder.or(killed).or(deaf).or(lossy)
    }

    fn copy(&self, job: &Job) -> Result<Copied> {
        if job.plan.loss_percent > 0.0 {
            let attempt = self.attempt(job, None)?;
            let share = attempt.missing_share_max * 100.0;
            let note = format!("bare: losses are not repaired, up to {share:.2} % are missing");
            return Ok(Copied {
                lossy: true,
                ..attempt.copied(job, Some(note))
            });
        }
        let slowest = job.plan.slow_mbit.or(job.plan.link_mbit);
        let link_rate = slowest.map_or(RATE_UNSHAPED, |mbit| f64::from(mbit) / 8.0);
        let rate_min = RATE_MIN.min(link_rate * SHARE_MIN);
        let first = match job.plan.slow_mbit {
            Some(_) => Some(link_rate * PAYLOAD_SHARE),
            // A shaped link holds the sender back by itself.
            None => job.plan.link_mbit.is_none().then_some(link_rate),
        };
        let mut rate = self.remembered().or(first);
        loop {
            let attempt = self.attempt(job, rate)?;
            if attempt.missing_share_max == 0.0 {
                self.remember(rate);
                let note = rate.map(|rate| format!("no loss when paced at {rate:.0} MB/s"));
                return Ok(attempt.copied(job, note));
            }
            let next = rate.unwrap_or(link_rate) * STEP;
            if next < rate_min {
                bail!(
                    "loses {:.2} % at any rate",
                    attempt.missing_share_max * 100.0
                );
            }
            rate = Some(next);
        }
    }
}

impl Limit {
    pub(super) fn sealed() -> Self {
        Self {
            is_sealed: true,
            ..Self::default()
        }
    }

    /// One step above what worked before: the machine may be quieter now.
    fn remembered(&self) -> Option<f64> {
        let found = self.found.lock().ok().and_then(|found| *found);
        found.map(|rate| (rate / STEP).min(RATE_UNSHAPED))
    }

    fn remember(&self, rate: Option<f64>) {
        if let Ok(mut found) = self.found.lock() {
            *found = rate;
        }
    }

    fn attempt(&self, job: &Job, rate: Option<f64>) -> Result<Attempt> {
        let lab = job.lab.to_string_lossy();
        let seal = self.is_sealed.then_some("--sealed");
        let mut receivers = Vec::new();
        for number in job.receivers() {
            let copy = job.node_folder(number)?.join("copy");
            let copy = copy.to_string_lossy();
            let mut arguments = vec!["limit-receive", "--interface", INTERFACE, &*copy];
            arguments.extend(seal);
            receivers.push(job.start(number, &lab, &arguments, "receive")?);
        }
        thread::sleep(RECEIVER_START);

        let file = job.source.to_string_lossy();
        let rate = rate.map(|rate| rate.to_string());
        let mut arguments = vec!["limit-send", "--interface", INTERFACE];
        if let Some(rate) = &rate {
            arguments.extend(["--rate", rate]);
        }
        arguments.extend(seal);
        arguments.push(&file);
        let start = Instant::now();
        let mut sender = job.start(1, &lab, &arguments, "send")?;
        for receiver in &mut receivers {
            receiver.finish(job.time_max)?;
        }
        // The sender goes on marking the end, for receivers that lost the first marks.
        let elapsed = start.elapsed();
        sender.finish(job.time_max)?;

        let mut missing_share_max = 0.0_f64;
        for receiver in &receivers {
            let missing: Missing = serde_json::from_str(&receiver.output())?;
            missing_share_max = missing_share_max.max(missing.share());
        }
        Ok(Attempt {
            elapsed,
            missing_share_max,
        })
    }
}

struct Attempt {
    elapsed: Duration,
    missing_share_max: f64,
}

impl Attempt {
    fn copied(self, job: &Job, note: Option<String>) -> Copied {
        let copies = job
            .receivers()
            .map(|number| job.folder.join(format!("n{number}/copy")))
            .collect();
        Copied {
            elapsed: self.elapsed,
            others_elapsed: None,
            copies,
            lossy: false,
            note,
        }
    }
}
