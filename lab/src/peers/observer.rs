//! Looks at the nodes while a peer copies: how much memory a receiver takes, and when to kill one.
//!
//! Reads `/proc` a few times a second and runs no program, so that it costs the peer nothing that shows.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{FIRST_RECEIVER, Job};
use crate::process::peak_bytes;

/// Peaks are kept by the kernel, so that only a program's last moments can be missed.
const MEMORY_INTERVAL: Duration = Duration::from_millis(200);

/// How finely the middle of a copy is met.
const VICTIM_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
pub(super) struct Observed {
    pub(super) receiver_peak_bytes: Option<u64>,
    pub(super) victim_was_killed: bool,
}

/// Watches until `is_over`; kills the victim of the job, if it has one, when half of the bytes are there.
pub(super) fn observe(job: &Job, is_over: &AtomicBool) -> Result<Observed> {
    let mut observed = Observed::default();
    let mut victim_had = None;
    let mut memory_due = Instant::now();
    while !is_over.load(Ordering::Relaxed) {
        if Instant::now() >= memory_due {
            let peak = resident_peak_bytes(&job.cluster.node(FIRST_RECEIVER).processes()?);
            observed.receiver_peak_bytes = observed.receiver_peak_bytes.max(peak);
            memory_due = Instant::now() + MEMORY_INTERVAL;
        }
        if let (Some(victim), false) = (job.victim, observed.victim_was_killed) {
            let node = job.cluster.node(victim);
            if let Some(has) = node.received_bytes_by_proc()? {
                let had = *victim_had.get_or_insert(has);
                if has - had >= job.bytes / 2 {
                    node.kill_processes()?;
                    observed.victim_was_killed = true;
                }
            }
        }
        thread::sleep(VICTIM_INTERVAL);
    }
    Ok(observed)
}

/// The sum of the peaks of these processes; `None` when all of them are gone.
fn resident_peak_bytes(processes: &[i32]) -> Option<u64> {
    let ids = processes.iter().filter_map(|id| u32::try_from(*id).ok());
    let peaks = ids.filter_map(peak_bytes);
    peaks.reduce(|sum, peak| sum + peak)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_added_up() {
        let this = std::process::id() as i32;
        let one = resident_peak_bytes(&[this]).unwrap();
        assert!(resident_peak_bytes(&[this, this]).unwrap() >= 2 * one);
        assert_eq!(resident_peak_bytes(&[]), None);
    }
}
