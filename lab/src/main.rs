//! Command line of the lab: `bench`, `chart`, `cases`, `ready` and `clean` for people, the rest for its nodes.
//!
//! Only parses and prints; the work is in the library.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand};
use lab::bench::{self, Case, Group, Settings};
use lab::net::Cluster;
use lab::{gather, inject, leftovers, limit, start, tree};

/// A cluster of network namespaces on this machine, to test and measure copying on. Needs root.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure grappe and its rivals on the same cluster and print tables in Markdown.
    Bench(BenchArguments),
    /// Measure what copies of trees cost that are mostly there, sparse, or very many files.
    Tree(TreeArguments),
    /// Measure gathers, in which every node has a part and needs all, in the same way.
    Gather(GatherArguments),
    /// Measure how long `grappe send NODESET:DIR` takes over ssh until data arrives.
    Start {
        /// Receivers to be started.
        #[arg(long, default_value_t = 31)]
        receivers: u8,
        /// Rounds; the line has their median.
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// Draw the tables of a page, such as docs/performance.md, as bars into an SVG image.
    Chart {
        /// The page.
        page: PathBuf,
        /// Where to.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// List the cases of the catalog; `*` marks those measured when none is given.
    Cases,
    /// Say whether a cluster can be built here, and if not, why (exit code 1).
    Ready,
    /// Remove namespaces and mounts of labs that were killed together with their watchdogs.
    Clean,
    /// On a node: send FILE as bare multicast.
    #[command(hide = true)]
    LimitSend {
        #[arg(long)]
        interface: String,
        /// In MB/s; without it, as fast as the local queue takes it.
        #[arg(long)]
        rate: Option<f64>,
        /// Seal and hash it as well.
        #[arg(long)]
        sealed: bool,
        file: PathBuf,
    },
    /// On a node: receive into FILE and say as JSON what is missing.
    #[command(hide = true)]
    LimitReceive {
        #[arg(long)]
        interface: String,
        /// Open and hash it as well.
        #[arg(long)]
        sealed: bool,
        file: PathBuf,
    },
    /// On a node: attack every multicast group, then say as JSON with how many packets.
    #[command(hide = true)]
    Inject {
        #[arg(long)]
        seconds: u64,
    },
}

#[derive(Debug, Args)]
struct TreeArguments {
    /// Cases, separated by commas [default: all].
    #[arg(long = "case", value_name = "NAME", value_delimiter = ',')]
    cases: Vec<String>,
    /// A folder on a disk with some ten gigabytes of room.
    #[arg(long, default_value = "/var/tmp")]
    folder: PathBuf,
    /// Files of the unchanged tree; the tree of a million has ten times as many.
    #[arg(long, default_value_t = 100_000)]
    files: u64,
    /// Size of the large file.
    #[arg(long, default_value = "1GiB", value_parser = parse_size)]
    large: u64,
}

#[derive(Debug, Args)]
struct BenchArguments {
    /// A cluster, as RECEIVERSxRATE[-LOSS%][-jumbo], or a case of the catalog, see `lab cases`; may be given
    /// several times [default: the published ones].
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<Case>,
    /// Size of the file to copy, in cases that do not say it themselves.
    #[arg(long, default_value = "512MiB", value_parser = parse_size)]
    size: u64,
    /// Rounds; the table has their medians.
    #[arg(long, visible_alias = "rounds", default_value_t = 5)]
    runs: usize,
    /// Rounds for slow tools (bittorrent; rsync and scp to several receivers), --runs at most.
    #[arg(long, default_value_t = 1)]
    peer_runs: usize,
    /// Tools, separated by commas [default: all].
    #[arg(long, value_delimiter = ',')]
    tools: Vec<String>,
    /// Write every single run as JSON to FILE, beside the tables.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the medians as bars into FILE, an SVG image.
    #[arg(long, value_name = "FILE")]
    chart: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct GatherArguments {
    /// 4x256m, 8x128m, unequal, common, 4x256m-jumbo, 4x1g-10g or smoke; may be given several times [default: the first four]
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<gather::Case>,
    /// Rounds for grappe; the table has their median.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Rounds for the other tools.
    #[arg(long, default_value_t = 1)]
    peer_runs: usize,
    /// ours, uftp, rsync, bittorrent, separated by commas [default: all].
    #[arg(long, value_delimiter = ',')]
    tools: Vec<String>,
    /// Write every single run as JSON to FILE, beside the tables.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::Bench(arguments) => bench(arguments)?,
        Command::Tree(arguments) => tree(arguments)?,
        Command::Gather(arguments) => gathers(arguments)?,
        Command::Start { receivers, runs } => println!("{}", start::measure(receivers, runs)?),
        Command::Chart { page, out } => chart(&page, &out)?,
        Command::Cases => list_cases(),
        Command::Ready => return Ok(ready()),
        Command::Clean => {
            for name in leftovers::clean()? {
                println!("removed {name}");
            }
        }
        Command::LimitSend {
            interface,
            rate,
            sealed,
            file,
        } => limit::send(&interface, &file, rate, sealed)?,
        Command::LimitReceive {
            interface,
            sealed,
            file,
        } => {
            print_json(&limit::receive(&interface, &file, sealed)?)?;
        }
        Command::Inject { seconds } => print_json(&inject::run(Duration::from_secs(seconds))?)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn tree(arguments: TreeArguments) -> Result<()> {
    let mut cases = arguments.cases;
    if cases.is_empty() {
        cases = tree::CASES.map(String::from).to_vec();
    }
    let settings = tree::Settings {
        cases,
        folder: arguments.folder,
        files: arguments.files,
        large: arguments.large,
    };
    tree::measure(&settings, &mut tree::print)
}

fn ready() -> ExitCode {
    match Cluster::unavailable() {
        None => {
            println!("clusters can be built here");
            ExitCode::SUCCESS
        }
        Some(reason) => {
            println!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn list_cases() {
    for name in bench::names() {
        let is_default = bench::default_names().contains(&name);
        println!("{} {name}", if is_default { '*' } else { ' ' });
    }
}

fn bench(arguments: BenchArguments) -> Result<()> {
    let mut cases = arguments.cases;
    if cases.is_empty() {
        cases = bench::default_names()
            .into_iter()
            .map(str::parse)
            .collect::<Result<_>>()?;
    }
    let settings = Settings {
        cases,
        size: arguments.size,
        runs: arguments.runs,
        runs_slow: arguments.peer_runs.min(arguments.runs),
        tools: arguments.tools,
        lab: env::current_exe()?,
    };
    let results = bench::measure(&settings, |line| eprintln!("{line}"))?;
    // The page first: files that cannot be written must not cost the figures.
    let command: Vec<_> = env::args().skip(1).collect();
    println!(
        "`lab {}`\n\n{}",
        command.join(" "),
        bench::markdown(&results)
    );
    if let Some(path) = &arguments.json {
        write(path, &serde_json::to_string_pretty(&results)?)?;
    }
    if let Some(path) = &arguments.chart {
        let groups: Vec<_> = results.iter().map(Group::from).collect();
        write(path, &bench::svg(&groups))?;
    }
    Ok(())
}

fn gathers(arguments: GatherArguments) -> Result<()> {
    let mut cases = arguments.cases;
    if cases.is_empty() {
        let published = gather::names().iter().take(4);
        cases = published.map(|name| name.parse()).collect::<Result<_>>()?;
    }
    let settings = gather::Settings {
        cases,
        runs: arguments.runs,
        peer_runs: arguments.peer_runs.min(arguments.runs),
        tools: arguments.tools,
    };
    let results = gather::measure(&settings, |line| eprintln!("{line}"))?;
    let command: Vec<_> = env::args().skip(1).collect();
    let page = gather::markdown(&results);
    println!("`lab {}`\n\n{page}", command.join(" "));
    if let Some(path) = &arguments.json {
        write(path, &serde_json::to_string_pretty(&results)?)?;
    }
    Ok(())
}

fn chart(page: &Path, out: &Path) -> Result<()> {
    let text =
        fs::read_to_string(page).with_context(|| format!("cannot read {}", page.display()))?;
    let groups = bench::groups(&text);
    if groups.is_empty() {
        bail!("{} has no table of `lab bench`", page.display());
    }
    write(out, &bench::svg(&groups))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn print_json(value: &impl serde::Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(value)?);
    Ok(())
}

/// Reads a size such as `512MiB`; a bare number is bytes.
fn parse_size(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        other => bail!("{other:?} is no unit: it takes KiB, MiB or GiB"),
    };
    match digits.parse::<u64>()?.checked_mul(unit) {
        Some(size) if size > 0 => Ok(size),
        _ => bail!("{text:?} is no size"),
    }
}
