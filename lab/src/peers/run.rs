//! One run of one peer: started, observed, checked byte for byte, and counted as nothing unless whole.
//!
//! No tool's own word about its success is taken here, and no medians are formed: that is `bench`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use super::{Job, Peer, observer};
use crate::content;
use crate::process::children_cpu_seconds;

/// What a peer says about its copy.
#[derive(Debug)]
pub struct Copied {
    /// How long the user waited.
    pub elapsed: Duration,
    /// The same until all had it but the node that is killed or slow, where the tool tells.
    pub others_elapsed: Option<Duration>,
    /// Where the copies should be, one for each receiver, in the order of `Job::receivers`.
    pub copies: Vec<PathBuf>,
    /// Losses are not repaired, by design: the copies need not be whole.
    pub lossy: bool,
    /// Anything that a reader of the figures must know.
    pub note: Option<String>,
}

/// One run, checked.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Copies that are the same as the original, byte for byte.
    pub whole: usize,
    /// Copies there should be; a receiver that was killed on purpose owes none.
    pub of: usize,
    /// The tool repairs no losses, by design, and its rate counts all the same.
    pub lossy: bool,
    /// How long the user waited, in seconds; 0 when the copy failed.
    pub seconds: f64,
    /// The same for all but the node that is killed or slow, where there is one; the whole time where the
    /// tool does not tell.
    pub others_seconds: Option<f64>,
    /// MB/s (10^6 bytes) delivered to each receiver; 0 unless every copy is whole or `lossy`.
    pub megabytes_per_second: f64,
    /// User and system time of all the tool's processes together, in seconds.
    pub cpu_seconds: f64,
    /// The most memory that the processes of the first receiver had resident, in bytes; `None` when
    /// they were gone before anybody looked.
    pub receiver_peak_bytes: Option<u64>,
    /// Anything that a reader of the figures must know, among it why the copy failed.
    pub note: Option<String>,
}

impl Run {
    /// Whether its rate is that of complete copies.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.whole == self.of
    }

    fn failed(of: usize, reason: String) -> Self {
        Self {
            whole: 0,
            of,
            lossy: false,
            seconds: 0.0,
            others_seconds: None,
            megabytes_per_second: 0.0,
            cpu_seconds: 0.0,
            receiver_peak_bytes: None,
            note: Some(reason),
        }
    }

    /// What a copy is worth of which so many are whole.
    fn of_copy(copied: &Copied, whole: usize, of: usize, bytes: u64) -> Self {
        let seconds = copied.elapsed.as_secs_f64();
        let counts = copied.lossy || whole == of;
        let mut notes: Vec<String> = copied.note.iter().cloned().collect();
        if !counts {
            notes.push(format!(
                "only {whole} of {of} copies whole after {seconds:.2} s"
            ));
        }
        Self {
            whole,
            of,
            lossy: copied.lossy,
            seconds,
            others_seconds: None,
            megabytes_per_second: if counts {
                bytes as f64 / 1e6 / seconds
            } else {
                0.0
            },
            cpu_seconds: 0.0,
            receiver_peak_bytes: None,
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        }
    }
}

/// Runs one copy, checks every byte of it and leaves the nodes quiet.
///
/// # Errors
///
/// When the lab itself fails. A peer that fails is a `Run` with a note.
pub fn run(peer: &dyn Peer, job: &Job) -> Result<Run> {
    let cpu_before = children_cpu_seconds()?;
    let is_over = AtomicBool::new(false);
    let (copied, observed) = thread::scope(|scope| {
        let observer = scope.spawn(|| observer::observe(job, &is_over));
        let copied = peer.copy(job);
        is_over.store(true, Ordering::Relaxed);
        (copied, observer.join())
    });
    // Before anything else is started: all that the tool had running was waited for by now.
    let cpu_seconds = children_cpu_seconds()? - cpu_before;
    job.cluster.stop_processes()?;
    let observed =
        observed.map_err(|_| anyhow::anyhow!("the observer of the nodes panicked"))??;

    let owed: Vec<_> = job
        .receivers()
        .map(|node| Some(node) != job.victim)
        .collect();
    let of = owed.iter().filter(|&&is_owed| is_owed).count();
    let mut run = match copied {
        Ok(copied) => {
            let whole = (copied.copies.iter().zip(&owed))
                .filter(|(copy, is_owed)| **is_owed && content::identical(job.source, copy))
                .count();
            let mut run = Run::of_copy(&copied, whole, of, job.bytes);
            let others = copied.others_elapsed.unwrap_or(copied.elapsed);
            run.others_seconds = job.odd.map(|_| others.as_secs_f64());
            run
        }
        Err(error) => Run::failed(of, format!("{error:#}")),
    };
    if job.victim.is_some() && !observed.victim_was_killed {
        run = Run::failed(of, "over before a receiver could be killed".into());
    }
    run.cpu_seconds = cpu_seconds;
    run.receiver_peak_bytes = observed.receiver_peak_bytes;
    Ok(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(lossy: bool) -> Copied {
        Copied {
            elapsed: Duration::from_secs(2),
            others_elapsed: None,
            copies: Vec::new(),
            lossy,
            note: Some("a note".into()),
        }
    }

    #[test]
    fn a_copy_that_did_not_arrive_whole_is_worth_nothing_and_says_so() {
        let run = Run::of_copy(&copied(false), 6, 7, 10_000_000);
        assert_eq!(run.megabytes_per_second, 0.0);
        assert!(!run.is_whole());
        let note = run.note.unwrap();
        assert!(note.contains("a note") && note.contains("6 of 7"), "{note}");
    }

    #[test]
    fn a_whole_copy_counts_and_so_does_a_bound_without_repair() {
        let run = Run::of_copy(&copied(false), 7, 7, 10_000_000);
        assert_eq!(run.megabytes_per_second, 5.0);
        assert_eq!(run.note.as_deref(), Some("a note"));
        let bound = Run::of_copy(&copied(true), 0, 7, 10_000_000);
        assert_eq!(bound.megabytes_per_second, 5.0);
        assert!(bound.lossy && !bound.is_whole());
    }
}
