//! The benchmark: all tools on the same cluster, in turns, every copy compared with the original.
//!
//! Tools take turns within a round, so that a slow quarter of an hour of the machine hits all of them.
//! Gives the runs; `table` makes the page of them and `chart` the picture.

mod case;
mod catalog;
mod chart;
mod goal;
mod published;
mod result;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub use case::Case;
pub use catalog::{Content, default_names, names};
pub use chart::{Bar, Group, svg};
pub use goal::{Goal, OURS, Verdict};
pub use published::groups;
pub use result::{CaseResult, ToolResult};
pub use table::markdown;

use crate::content;
use crate::net::Cluster;
use crate::peers::{self, Job, Peer, Task};
use crate::store::Store;

/// A copy slower than this, in bytes per second and receiver, is given up. scp to seven nodes is near it.
const RATE_MIN: u64 = 1_500_000;

/// Beside the copies: keys, logs, and what the tools keep while they copy.
const STORE_SPARE_BYTES: u64 = 64 << 20;

/// What to measure.
#[derive(Debug)]
pub struct Settings {
    /// The clusters.
    pub cases: Vec<Case>,
    /// Size of the file, in bytes, in cases that do not say it themselves.
    pub size: u64,
    /// Rounds for every tool.
    pub runs: usize,
    /// Rounds for tools that are slow.
    pub runs_slow: usize,
    /// Names of tools; all when empty.
    pub tools: Vec<String>,
    /// The `lab` binary itself.
    pub lab: PathBuf,
}

/// Measures everything; `progress` hears of each run as one line.
///
/// A case that is to be held against another brings that with it, in front.
///
/// # Errors
///
/// When the lab cannot be built or a tool is unknown. A tool that fails is part of the result.
pub fn measure(settings: &Settings, mut progress: impl FnMut(&str)) -> Result<Vec<CaseResult>> {
    if let Some(reason) = Cluster::unavailable() {
        bail!("no cluster can be built here: {reason}");
    }
    check_tools(&settings.tools)?;
    let cases = with_those_beside(&settings.cases)?;
    for case in &cases {
        check_memory(case, settings.size)?;
    }
    let mut results: Vec<CaseResult> = Vec::new();
    for case in &cases {
        let mut result = measure_case(settings, case, &mut progress)?;
        let beside = results
            .iter()
            .find(|other| Some(&other.case) == result.beside.as_ref());
        let verdicts = case.goals().iter().map(|goal| goal.judge(&result, beside));
        result.goals = verdicts.collect();
        results.push(result);
    }
    Ok(results)
}

fn check_tools(wanted: &[String]) -> Result<()> {
    let known: Vec<_> = peers::all().iter().map(|peer| peer.name()).collect();
    match wanted.iter().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => bail!("no tool {unknown:?}; there are {}", known.join(", ")),
        None => Ok(()),
    }
}

fn with_those_beside(wanted: &[Case]) -> Result<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    for case in wanted {
        let beside = case.beside().map(str::parse).transpose()?;
        for case in beside.into_iter().chain([case.clone()]) {
            if !cases.contains(&case) {
                cases.push(case);
            }
        }
    }
    Ok(cases)
}

/// All copies are in memory at once, and the kernel would kill somebody to make room for them.
fn check_memory(case: &Case, size: u64) -> Result<()> {
    let needed = store_bytes(case, size);
    let available = available_bytes(&fs::read_to_string("/proc/meminfo")?)
        .context("/proc/meminfo does not say what is available")?;
    if needed > available {
        bail!(
            "{} needs {} MiB of memory for its copies, {} MiB are available: take a smaller --size",
            case.name(),
            needed >> 20,
            available >> 20
        );
    }
    Ok(())
}

fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = (meminfo.lines()).find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// What is held warm is taken from the room of a copy, and a tool may ask for all of its room beforehand.
fn store_bytes(case: &Case, size: u64) -> u64 {
    let one = case.content(size).bytes();
    let copies = one * u64::from(case.plan().nodes);
    copies + one.max(copies / 4) + STORE_SPARE_BYTES
}

fn measure_case(
    settings: &Settings,
    case: &Case,
    progress: &mut impl FnMut(&str),
) -> Result<CaseResult> {
    let plan = case.plan();
    let content = case.content(settings.size);
    let copies_bytes = content.bytes() * u64::from(plan.nodes);
    let store = mount_store(content, store_bytes(case, settings.size))?;
    let source = store.path().join("content");
    create(content, &source)?;
    let original = content::fingerprint(&source)?;
    let cluster = Cluster::build(&plan)?;

    let mut entries = entries(&settings.tools, &case.task());
    for round in 0..settings.runs.max(settings.runs_slow) {
        for (peer, result) in &mut entries {
            let rounds = if peer.is_slow(&case.task()) {
                settings.runs_slow
            } else {
                settings.runs
            };
            if result.skipped.is_some() || round >= rounds {
                continue;
            }
            let folder = store.fresh_folder("run")?;
            let warmth = store.warm(copies_bytes - content.bytes())?;
            if let Content::Files { count, .. } = content {
                store.warm_inodes(count * u64::from(plan.nodes - 1))?;
            }
            let job = Job {
                cluster: &cluster,
                plan: &plan,
                source: &source,
                bytes: content.bytes(),
                victim: case.victim(),
                odd: case.odd(),
                folder: &folder,
                lab: &settings.lab,
                time_max: Duration::from_secs(60 + copies_bytes / RATE_MIN),
            };
            let run = peers::run(peer.as_ref(), &job)
                .with_context(|| format!("{} on {}", peer.name(), case.name()))?;
            drop(warmth);
            progress(&table::run_line(case.name(), round, peer.name(), &run));
            result.runs.push(run);
        }
    }
    // Copies were compared with it: had a tool changed it, equal would mean nothing.
    if content::fingerprint(&source)? != original {
        bail!("{}: a tool changed the original", case.name());
    }
    Ok(CaseResult {
        case: case.name().into(),
        bytes: content.bytes(),
        files: match content {
            Content::File { .. } => 1,
            Content::Files { count, .. } => count,
        },
        beside: case.beside().map(String::from),
        tools: entries.into_iter().map(|(_, result)| result).collect(),
        goals: Vec::new(),
    })
}

fn mount_store(content: Content, bytes_max: u64) -> Result<Store> {
    match content {
        Content::File { .. } => Store::mount(bytes_max),
        Content::Files { .. } => Store::mount_for_small_files(bytes_max),
    }
}

fn create(content: Content, source: &Path) -> Result<()> {
    const SEED: u64 = 1;

    match content {
        Content::File { bytes } => content::create(source, bytes, SEED),
        Content::Files { count, bytes_each } => {
            content::create_many(source, count, bytes_each, SEED)
        }
    }
}

/// New peers for each case: what one remembers of a cluster does not hold for another.
fn entries(wanted: &[String], task: &Task) -> Vec<(Box<dyn Peer>, ToolResult)> {
    peers::all()
        .into_iter()
        .filter(|peer| wanted.is_empty() || wanted.iter().any(|name| name == peer.name()))
        .map(|peer| {
            let result = ToolResult {
                tool: peer.name().into(),
                runs: Vec::new(),
                skipped: peer
                    .unfit(task)
                    .map(String::from)
                    .or_else(|| peer.unavailable()),
            };
            (peer, result)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_case_is_held_against_is_measured_before_it_and_once() {
        let wanted: Vec<Case> = ["killed", "one-slow", "7x200m"]
            .map(|name| name.parse().unwrap())
            .into();
        let cases = with_those_beside(&wanted).unwrap();
        let names: Vec<_> = cases.iter().map(Case::name).collect();
        assert_eq!(names, ["7x200m", "killed", "one-slow"]);
    }

    #[test]
    fn more_than_the_memory_is_refused_beforehand() {
        assert_eq!(
            available_bytes("MemFree: 1 kB\nMemAvailable:   2048 kB\n"),
            Some(2 << 20)
        );
        let case: Case = "63x20m".parse().unwrap();
        let error = check_memory(&case, 1 << 50).unwrap_err().to_string();
        assert!(error.contains("--size"), "{error}");
        check_memory(&case, 1 << 10).unwrap();
    }
}
