//! What was measured, as it goes into the JSON file, and the figures that tables and charts are made of.
//!
//! Figures are medians of all runs. A run that did not arrive whole is one of 0 MB/s (see `peers::Run`).

use serde::Serialize;

use super::goal::Verdict;
use crate::peers::Run;

/// What was measured on one cluster.
#[derive(Debug, Serialize)]
pub struct CaseResult {
    /// As given to `--case`.
    pub case: String,
    /// What was copied to each receiver, in bytes.
    pub bytes: u64,
    /// In how many files.
    pub files: u64,
    /// The case that this one is held against, if that was measured as well.
    pub beside: Option<String>,
    /// One entry for each tool, in the order of `peers::all`.
    pub tools: Vec<ToolResult>,
    /// One entry for each goal of the case.
    pub goals: Vec<Verdict>,
}

/// All runs of one tool on one cluster.
#[derive(Debug, Serialize)]
pub struct ToolResult {
    /// As given to `--tools`.
    pub tool: String,
    /// In the order they were made; empty for a tool that cannot run here.
    pub runs: Vec<Run>,
    /// Why it cannot run here, or not in this case.
    pub skipped: Option<String>,
}

impl CaseResult {
    /// The runs of the tool of this name.
    #[must_use]
    pub fn tool(&self, name: &str) -> Option<&ToolResult> {
        self.tools.iter().find(|tool| tool.tool == name)
    }

    /// The median rate of a tool in MB/s; `None` when it was not run.
    #[must_use]
    pub fn median_rate(&self, name: &str) -> Option<f64> {
        self.tool(name)?.rate()
    }
}

impl ToolResult {
    /// MB/s to each receiver.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        self.median_of(|run| Some(run.megabytes_per_second))
    }

    /// The slowest and the fastest run, in MB/s.
    #[must_use]
    pub fn range(&self) -> Option<(f64, f64)> {
        let rates = || self.runs.iter().map(|run| run.megabytes_per_second);
        Some((rates().reduce(f64::min)?, rates().reduce(f64::max)?))
    }

    /// How long the user waited, in seconds, of the runs that count.
    #[must_use]
    pub fn seconds(&self) -> Option<f64> {
        self.median_of(|run| (run.megabytes_per_second > 0.0).then_some(run.seconds))
    }

    /// How long all waited but the node that is killed or slow, in seconds, of the runs that count.
    #[must_use]
    pub fn others_seconds(&self) -> Option<f64> {
        self.median_of(|run| {
            run.others_seconds
                .filter(|_| run.megabytes_per_second > 0.0)
        })
    }

    /// MB/s to each receiver but the one that is killed or slow; `bytes` is what each receiver gets.
    #[must_use]
    pub fn others_rate(&self, bytes: u64) -> Option<f64> {
        Some(bytes as f64 / 1e6 / self.others_seconds()?)
    }

    /// Seconds of processor for each GB (10^9 bytes) delivered, all receivers counted, of the runs that
    /// count; `bytes` is what each receiver gets.
    #[must_use]
    pub fn cpu_seconds_per_gigabyte(&self, bytes: u64) -> Option<f64> {
        self.median_of(|run| {
            let delivered = bytes as f64 * run.of as f64 / 1e9;
            (run.megabytes_per_second > 0.0).then(|| run.cpu_seconds / delivered)
        })
    }

    /// The most memory that one receiver had in any run, in bytes.
    #[must_use]
    pub fn receiver_peak_bytes(&self) -> Option<u64> {
        self.runs
            .iter()
            .filter_map(|run| run.receiver_peak_bytes)
            .max()
    }

    /// What was noted in any run, each note once, with the rounds that had it where not all had.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let mut notes: Vec<(&str, Vec<String>)> = Vec::new();
        for (run, round) in self.runs.iter().zip(1..) {
            let Some(note) = run.note.as_deref() else {
                continue;
            };
            match notes.iter_mut().find(|(known, _)| *known == note) {
                Some((_, rounds)) => rounds.push(round.to_string()),
                None => notes.push((note, vec![round.to_string()])),
            }
        }
        let worded = notes.into_iter().map(|(note, rounds)| {
            if rounds.len() == self.runs.len() {
                note.into()
            } else {
                format!("round {}: {note}", rounds.join(", "))
            }
        });
        worded.collect()
    }

    fn median_of(&self, figure: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        median(self.runs.iter().filter_map(figure).collect())
    }
}

/// `numerator / denominator` where both are known and the second is not nothing.
pub(super) fn ratio(numerator: Option<f64>, denominator: Option<f64>) -> Option<f64> {
    let (numerator, denominator) = (numerator?, denominator?);
    (denominator > 0.0).then(|| numerator / denominator)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A tool with one whole run for each rate; a rate of 0 is a run that failed.
    pub(in crate::bench) fn tool(name: &str, rates: &[f64]) -> ToolResult {
        let runs = rates.iter().map(|&megabytes_per_second| Run {
            whole: if megabytes_per_second > 0.0 { 3 } else { 2 },
            of: 3,
            lossy: false,
            seconds: 1.0,
            others_seconds: None,
            megabytes_per_second,
            cpu_seconds: 6.0,
            receiver_peak_bytes: Some(20_000_000),
            note: None,
        });
        ToolResult {
            tool: name.into(),
            runs: runs.collect(),
            skipped: None,
        }
    }

    pub(in crate::bench) fn case(tools: Vec<ToolResult>) -> CaseResult {
        CaseResult {
            case: "3x1g".into(),
            bytes: 1_000_000_000,
            files: 1,
            beside: None,
            tools,
            goals: Vec::new(),
        }
    }

    #[test]
    fn failed_runs_pull_the_median_down_and_cost_nothing_per_gigabyte() {
        let tool = tool("ours", &[100.0, 0.0, 0.0]);
        assert_eq!(tool.rate(), Some(0.0));
        assert_eq!(tool.range(), Some((0.0, 100.0)));
        assert_eq!(tool.seconds(), Some(1.0));
        assert_eq!(tool.cpu_seconds_per_gigabyte(1_000_000_000), Some(2.0));
        assert_eq!(tool.receiver_peak_bytes(), Some(20_000_000));
    }

    #[test]
    fn notes_of_all_rounds_are_kept() {
        let mut tool = tool("ours", &[100.0, 90.0, 0.0]);
        tool.runs[0].note = Some("limited by network".into());
        tool.runs[1].note = Some("limited by network".into());
        tool.runs[2].note = Some("died".into());
        assert_eq!(
            tool.notes(),
            ["round 1, 2: limited by network", "round 3: died"]
        );
        tool.runs[2].note = Some("limited by network".into());
        assert_eq!(tool.notes(), ["limited by network"]);
    }
}
