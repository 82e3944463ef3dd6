//! The benchmark of gathers: every node has a part, every node needs all parts. Tools take turns on the
//! same cluster, and every file at every node is compared.
//!
//! Copies from one to many are measured in `bench`.

mod case;
mod rivals;
mod table;

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

pub use case::{Case, Goals, names};
pub use table::markdown;

use crate::content;
use crate::grappe::Grappe;
use crate::net::Cluster;
use crate::process::{Process, children_cpu_seconds};
use crate::store::Store;

/// Time that daemons get to open their sockets before the measured command starts.
const DAEMON_START: Duration = Duration::from_secs(1);

/// Slower than this, in bytes per second and node, is given up.
const RATE_MIN: u64 = 1_500_000;

/// Beside the parts and their copies: keys, logs, and what tools keep while they copy.
const SPARE_BYTES: u64 = 256 << 20;

/// The tools, in the order of the tables.
pub const TOOLS: [&str; 4] = ["ours", "uftp", "rsync", "bittorrent"];

/// What to measure.
#[derive(Debug)]
pub struct Settings {
    /// The gathers.
    pub cases: Vec<Case>,
    /// Rounds for grappe.
    pub runs: usize,
    /// Rounds for the others.
    pub peer_runs: usize,
    /// Names of tools; all when empty.
    pub tools: Vec<String>,
}

/// One run, checked.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// The tool.
    pub tool: &'static str,
    /// How long the user waited, from the start of the first command to the end of the last; nothing
    /// when not every node had everything.
    pub seconds: Option<f64>,
    /// User and system time of all processes.
    pub cpu_seconds: f64,
    /// What the tool says itself, or why it failed.
    pub note: String,
}

/// What was measured of one case.
#[derive(Debug, Serialize)]
pub struct CaseResult {
    /// Its name.
    pub case: String,
    /// Bytes that every node has in the end.
    pub bytes: u64,
    /// The time that nothing can beat, in seconds.
    pub bound_seconds: f64,
    /// All runs.
    pub runs: Vec<Run>,
    /// What is wanted of it.
    pub goals: Option<Goals>,
}

/// What a tool works with in one run.
struct Job<'a> {
    cluster: &'a Cluster,
    case: &'a Case,
    /// The parts: a folder `nK` for each node.
    parts: &'a Path,
    /// An empty folder for copies, keys and logs.
    folder: &'a Path,
    time_max: Duration,
}

impl Job<'_> {
    fn part(&self, node: u8) -> PathBuf {
        self.parts.join(format!("n{node}"))
    }

    /// The folder that everything arrives in at a node.
    fn into(&self, node: u8) -> Result<PathBuf> {
        let folder = self.folder.join(format!("n{node}"));
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    fn nodes(&self) -> impl DoubleEndedIterator<Item = u8> + use<> {
        1..=self.case.nodes()
    }

    fn start(&self, node: u8, program: &str, arguments: &[&str], label: &str) -> Result<Process> {
        let mut command = self.cluster.node(node).command(program);
        command.args(arguments);
        Process::start(command, self.folder, &format!("{label}{node}"))
    }
}

/// What a tool did.
struct Done {
    elapsed: Duration,
    note: String,
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
    if let Some(unknown) = settings.tools.iter().find(|it| !TOOLS.contains(&&***it)) {
        bail!("no tool {unknown:?}; there are {}", TOOLS.join(", "));
    }
    let cases = settings.cases.iter();
    cases
        .map(|case| measure_case(settings, case, &mut progress))
        .collect()
}

fn measure_case(
    settings: &Settings,
    case: &Case,
    progress: &mut impl FnMut(&str),
) -> Result<CaseResult> {
    let copies = case.bytes() * u64::from(case.nodes());
    let parts_bytes: u64 = case.nodes_files().map(|(_, _, bytes)| bytes).sum();
    let store = Store::mount(parts_bytes + copies + copies / 4 + SPARE_BYTES)?;
    let parts = store.path().join("parts");
    case.create(&parts)?;
    let cluster = Cluster::build(&case.plan())?;
    let mut result = CaseResult {
        case: case.name().into(),
        bytes: case.bytes(),
        bound_seconds: case.bound_seconds(),
        runs: Vec::new(),
        goals: case.goals(),
    };
    for round in 0..settings.runs.max(settings.peer_runs) {
        for tool in TOOLS {
            let rounds = if tool == "ours" {
                settings.runs
            } else {
                settings.peer_runs
            };
            let is_wanted = settings.tools.is_empty() || settings.tools.iter().any(|it| it == tool);
            if !is_wanted || round >= rounds {
                continue;
            }
            let folder = store.fresh_folder("run")?;
            let warmth = store.warm(copies)?;
            let job = Job {
                cluster: &cluster,
                case,
                parts: &parts,
                folder: &folder,
                time_max: Duration::from_secs(60 + copies / RATE_MIN),
            };
            let run = run(tool, &job)?;
            drop(warmth);
            progress(&table::run_line(case.name(), round, &run));
            result.runs.push(run);
        }
    }
    Ok(result)
}

fn run(tool: &'static str, job: &Job<'_>) -> Result<Run> {
    let cpu_before = children_cpu_seconds()?;
    let done = match tool {
        "ours" => ours(job),
        "uftp" => rivals::uftp(job),
        "rsync" => rivals::rsync(job),
        _ => rivals::bittorrent(job),
    };
    job.cluster.stop_processes()?;
    let cpu_seconds = children_cpu_seconds()? - cpu_before;
    let (seconds, note) = match done {
        Err(error) => (None, format!("{error:#}")),
        Ok(done) => match lacking(job, tool == "ours") {
            None => (Some(done.elapsed.as_secs_f64()), done.note),
            Some(lack) => (None, format!("not whole: {lack}; {}", done.note)),
        },
    };
    Ok(Run {
        tool,
        seconds,
        cpu_seconds,
        note,
    })
}

/// A file that is not at a node as it should be. Only grappe brings a node's own files to the others.
fn lacking(job: &Job<'_>, with_own: bool) -> Option<String> {
    let files: Vec<_> = job.case.nodes_files().collect();
    job.nodes().find_map(|node| {
        let mut wanted = files.iter().filter(|(owner, name, _)| {
            let has = files.iter().any(|(it, own, _)| *it == node && own == name);
            with_own || (*owner != node && !has)
        });
        let is_wrong = |(owner, name, _): &&(u8, String, u64)| {
            let copy = job.folder.join(format!("n{node}")).join(name);
            !content::identical(&job.part(*owner).join(name), &copy)
        };
        let (owner, name, _) = wanted.find(is_wrong)?;
        Some(format!("{name} of n{owner} at n{node}"))
    })
}

/// grappe, called as a user would: a receiver on every node, the command on the first.
fn ours(job: &Job<'_>) -> Result<Done> {
    let grappe = Grappe::with_new_key(job.folder)?;
    let mut receivers = Vec::new();
    for number in job.nodes() {
        let mut command = grappe.receive(job.cluster.node(number), &job.into(number)?);
        command.arg("--share").arg(job.part(number));
        let label = format!("receive{number}");
        receivers.push(Process::start(command, job.folder, &label)?);
    }
    thread::sleep(DAEMON_START);
    let command = grappe.gather(job.cluster.node(1), job.case.nodes());
    let start = Instant::now();
    let mut gather = Process::start(command, job.folder, "gather")?;
    gather.finish(job.time_max)?;
    let elapsed = start.elapsed();
    let report: serde_json::Value =
        serde_json::from_str(&gather.output()).context("no report of grappe")?;
    let number = |name: &str| report[name].as_f64().unwrap_or(0.0);
    let note = format!(
        "it says: {:.1} % of the bound in {:.2} s, links of {:.1} MB/s",
        number("percent"),
        number("seconds"),
        number("link_rate") / 1e6
    );
    Ok(Done { elapsed, note })
}
