//! The benchmark: all tools on the same cluster, in turns, every copy compared with the original.
//!
//! Tools take turns within a round, so that a slow quarter of an hour of the machine hits all of them.
//! Gives the runs; `table` makes the page of them.

mod case;
mod table;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Serialize;

pub use case::Case;
pub use table::markdown;

use crate::content;
use crate::net::Cluster;
use crate::peers::{self, Job, Peer, Run};
use crate::store::Store;

/// A copy slower than this, in bytes per second, is given up. scp to seven nodes is near it.
const RATE_MIN: u64 = 1_500_000;

/// What to measure.
#[derive(Debug)]
pub struct Settings {
    /// The clusters.
    pub cases: Vec<Case>,
    /// Size of the file, in bytes.
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

/// What was measured on one cluster.
#[derive(Debug, Serialize)]
pub struct CaseResult {
    /// As given to `--case`.
    pub case: String,
    /// Size of the file, in bytes.
    pub size: u64,
    /// One entry for each tool, in the order of `peers::all`.
    pub tools: Vec<ToolResult>,
}

/// All runs of one tool on one cluster.
#[derive(Debug, Serialize)]
pub struct ToolResult {
    /// As given to `--tools`.
    pub tool: String,
    /// In the order they were made; empty for a tool that cannot run here.
    pub runs: Vec<Run>,
    /// Why it cannot run here.
    pub skipped: Option<String>,
}

/// Measures everything; `progress` hears of each run as one line.
///
/// # Errors
///
/// When the lab cannot be built or a tool is unknown. A tool that fails is part of the result.
pub fn measure(settings: &Settings, mut progress: impl FnMut(&str)) -> Result<Vec<CaseResult>> {
    if let Some(reason) = Cluster::unavailable() {
        bail!("no cluster can be built here: {reason}");
    }
    check_tools(&settings.tools)?;
    settings
        .cases
        .iter()
        .map(|case| measure_case(settings, case, &mut progress))
        .collect()
}

fn check_tools(wanted: &[String]) -> Result<()> {
    let known: Vec<_> = peers::all().iter().map(|peer| peer.name()).collect();
    match wanted.iter().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => bail!("no tool {unknown:?}; there are {}", known.join(", ")),
        None => Ok(()),
    }
}

fn measure_case(
    settings: &Settings,
    case: &Case,
    progress: &mut impl FnMut(&str),
) -> Result<CaseResult> {
    let plan = case.plan();
    let copies_bytes = settings.size * u64::from(plan.nodes);
    let store = Store::mount(copies_bytes + copies_bytes / 4 + (64 << 20))?;
    let file = store.path().join("content");
    content::create(&file, settings.size, 1)?;
    let cluster = Cluster::build(&plan)?;

    let mut entries = entries(&settings.tools);
    for round in 0..settings.runs.max(settings.runs_slow) {
        for (peer, result) in &mut entries {
            let rounds = if peer.is_slow() {
                settings.runs_slow
            } else {
                settings.runs
            };
            if result.skipped.is_some() || round >= rounds {
                continue;
            }
            let folder = store.fresh_folder("run")?;
            // Just before each run: a virtual machine gives free pages back to its host within seconds.
            store.warm(copies_bytes - settings.size)?;
            let job = Job {
                cluster: &cluster,
                plan: &plan,
                file: &file,
                folder: &folder,
                lab: &settings.lab,
                time_max: Duration::from_secs(60 + copies_bytes / RATE_MIN),
            };
            let run = peers::run(peer.as_ref(), &job)
                .with_context(|| format!("{} on {}", peer.name(), case.name()))?;
            progress(&table::run_line(case.name(), round, peer.name(), &run));
            result.runs.push(run);
        }
    }
    let tools = entries.into_iter().map(|(_, result)| result).collect();
    Ok(CaseResult {
        case: case.name().into(),
        size: settings.size,
        tools,
    })
}

/// New peers for each case: what one remembers of a cluster does not hold for another.
fn entries(wanted: &[String]) -> Vec<(Box<dyn Peer>, ToolResult)> {
    peers::all()
        .into_iter()
        .filter(|peer| wanted.is_empty() || wanted.iter().any(|name| name == peer.name()))
        .map(|peer| {
            let skipped = peer.unavailable();
            let result = ToolResult {
                tool: peer.name().into(),
                runs: Vec::new(),
                skipped,
            };
            (peer, result)
        })
        .collect()
}
