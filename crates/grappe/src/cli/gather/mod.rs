//! `grappe gather`: what each node has, to all of them.

mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use grappe::announce::Call;
use grappe::gather::{
    ConflictRule, Event, GatherOptions, GatherReport, MemberState, Notice, OwnNode, gather,
};
use grappe::launch::Target;
use grappe::nodeset::NodeSet;
use grappe_proto::limits::PEERS_MAX;
use grappe_proto::session::Expectation;
use grappe_proto::units::Rate;

use super::error::{CommandError, INCOMPLETE, NOBODY, say};
use super::key::host_name;
use super::launch::{LaunchArguments, Launched, Purpose};
use super::network::NodeArguments;
use super::processors::ProcessorArguments;
use super::size::{parse_duration, parse_rate, show_bytes};
use super::{output, receive, signals};

/// Conflicts that are named one by one; the rest is counted.
const CONFLICTS_SHOWN: usize = 20;

/// Without `--wait`, for nodes that listen already.
const WAIT_DEFAULT: Duration = Duration::from_secs(2);

/// Between two lines of progress.
const LINE_INTERVAL: Duration = Duration::from_secs(3);

/// What follows the flags in the help.
const AFTER_HELP: &str = "\
Nodes take part that run `grappe receive --into INTO --share PART`, or those of NODESET:INTO, where \
they are started for this gather alone. PART/x/y arrives as INTO/x/y everywhere, and stands in the node's \
own INTO as well, cloned, linked or copied.

  grappe gather 'node[01-16]:/scratch/all' --share /scratch/mine                 through ssh
  grappe gather :/scratch/all --share /scratch/mine --launch slurm               in an allocation
  grappe gather mine --into all 'node[02-16]:/scratch/all' --share /scratch/mine this node as well

Exit code: 0 every node has everything; 1 some lack something, or nodes had different things under one \
path, or it was broken off, or its result could not be written; 2 usage or configuration; 3 nobody joined.

The object of --json: gather, bytes, files, seconds, bound_bytes, link_rate, bound_seconds, percent, nodes \
(each with name, state, part_bytes, received_bytes, seconds, rate, repaired, limited_by, lacks, reason), \
conflicts (path, nodes, winner), skipped, missing, cancelled. It is printed with exit codes 0, 1 and 3.";

/// Bring what each node has to all of them
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// This node's part, which makes it one of the nodes; with --into
    #[arg(value_name = "DIR")]
    first: Option<PathBuf>,
    /// Starts nodes for this gather, as node[01-16]:/scratch/all does; everything arrives below INTO
    /// there. With --share; DIR may be left out
    #[arg(value_name = "NODESET:INTO")]
    second: Option<PathBuf>,
    /// Directory of this node that everything arrives in
    #[arg(long, value_name = "DIR2")]
    into: Option<PathBuf>,
    /// Directory of the nodes of NODESET:INTO whose content each of them shares, under one path on all;
    /// it must be there, and may be INTO itself
    #[arg(long, value_name = "PART")]
    share: Option<String>,
    #[command(flatten)]
    launch: LaunchArguments,
    /// This node's name in the table [default: the host's name]
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    node: NodeArguments,
    #[command(flatten)]
    processors: ProcessorArguments,
    /// Wait for this many other nodes
    #[arg(long, value_name = "N", conflicts_with = "nodes", value_parser = clap::value_parser!(u16).range(1..=PEERS_MAX as i64))]
    expect: Option<u16>,
    /// Gather from these nodes and wait for all of them: node[01-16,20]
    #[arg(long, value_name = "NODESET")]
    nodes: Option<String>,
    /// How long to wait for nodes; all being there, it starts at once [default: 2s; 20s for each that is
    /// started at NODESET:INTO]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    wait: Option<Duration>,
    /// Different things under one path: fail, before anything travels; newest, the last modified wins;
    /// by-node, that of the node whose name comes first
    #[arg(long, value_enum, value_name = "RULE", default_value = "fail")]
    conflict: Rule,
    /// Let at most this much reach a node: 900mbit, 80MB/s [default: as much as network and nodes take]
    #[arg(long, value_parser = parse_rate)]
    rate: Option<Rate>,
    /// TCP port of this node that the others connect to; to open in a firewall [default: any free one]
    #[arg(long, value_name = "PORT")]
    control_port: Option<u16>,
    /// Print one JSON object on standard output at the end
    #[arg(long)]
    json: bool,
}

/// The choices of `--conflict`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rule {
    Fail,
    Newest,
    ByNode,
}

impl From<Rule> for ConflictRule {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::Fail => Self::Fail,
            Rule::Newest => Self::Newest,
            Rule::ByNode => Self::ByNode,
        }
    }
}

/// Runs `grappe gather`.
pub(crate) fn run(mut arguments: Arguments) -> Result<ExitCode, CommandError> {
    let words = [arguments.first.take(), arguments.second.take()];
    let mut words = words.into_iter().flatten().collect();
    let target = arguments.launch.target(&mut words)?;
    let own = arguments.own_node(words)?;
    let wanted = expectation(&arguments)?;
    let purpose = arguments.purpose(target.as_ref(), own.as_ref())?;
    let own_keys = match purpose {
        Some(_) => None,
        None => Some(arguments.node.identity()?),
    };
    let network = arguments.node.network()?;
    let interface = format!("{} ({})", network.interface.name, network.interface.address);
    let (cancel, cancelled) = crossbeam_channel::bounded(1);
    signals::watch(arguments.node.until_eof, move |signal| {
        let _told_already = cancel.try_send(format!("stopped by {signal}"));
    })?;
    let start = |(target, purpose)| {
        let launch = &arguments.launch;
        launch.start(target, purpose, &network, arguments.wait)
    };
    let launched = target.zip(purpose).map(start).transpose()?;
    let (expectation, wait) = match &launched {
        Some(launched) => launched.expectation(),
        None => (wanted, arguments.wait.unwrap_or(WAIT_DEFAULT)),
    };
    let (identity, trust) = match (&launched, own_keys) {
        (Some(launched), _) => (launched.identity.clone(), launched.trust.clone()),
        (None, Some(own_keys)) => own_keys,
        (None, None) => arguments.node.identity()?,
    };
    let mut display = Display::new(&interface, wait, expectation.count());
    let options = GatherOptions {
        identity,
        trust,
        network,
        expectation,
        wait,
        rule: arguments.conflict.into(),
        rate: arguments.rate,
        control_port: arguments.control_port.unwrap_or(0),
        own,
        announce: launched.is_none(),
        absences: launched.as_ref().map(Launched::absences).transpose()?,
        processors: arguments.processors.count(),
    };
    let report = gather(options, &cancelled, &mut |notice| {
        if let (Some(launched), Notice::Announced { gather, control }) = (&launched, &notice) {
            launched.call_to(Call::Gather, *gather, *control);
        }
        display.show(&notice);
    })?;
    display.finish();
    let interface = launched.is_none().then_some(&*interface);
    if let Some(launched) = launched {
        launched.launcher.end();
    }
    let text = match arguments.json {
        true => table::json(&report) + "\n",
        false => table::text(&report),
    };
    // What else there is to say comes in any case.
    let printed = output::print(&text);
    let code = conclude(&report, interface);
    printed.map(|()| code)
}

impl Arguments {
    /// This node as one of those that take part, where it is one, from the words that are no target.
    fn own_node(&mut self, words: Vec<PathBuf>) -> Result<Option<OwnNode>, CommandError> {
        let mut words = words.into_iter();
        let (share, more) = (words.next(), words.next());
        match (share, more, self.into.take()) {
            (_, Some(more), _) => Err(CommandError::usage(format_args!(
                "{} is one word too many",
                more.display()
            ))
            .with_hint("this node shares one directory: grappe gather DIR --into DIR2")),
            (Some(share), None, Some(into)) => Ok(Some(OwnNode {
                share,
                into,
                name: self.name.take().unwrap_or_else(host_name),
            })),
            (None, None, None) if self.name.is_some() => Err(CommandError::usage(
                "--name is this node's in the table, and DIR, what it shares, is missing",
            )),
            (None, None, None) => Ok(None),
            (Some(share), None, None) => Err(CommandError::usage(format_args!(
                "--into is missing: where is everything to arrive on this node, which shares {}?",
                share.display()
            ))),
            (None, None, Some(_)) => Err(CommandError::usage(
                "--into says where everything arrives on this node, and DIR, what it shares, is missing",
            )),
        }
    }

    /// What nodes are started for, where any are.
    fn purpose(
        &self,
        target: Option<&Target>,
        own: Option<&OwnNode>,
    ) -> Result<Option<Purpose>, CommandError> {
        match (target, &self.share) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(CommandError::usage(
                "--share is for nodes that are started: NODESET:INTO is missing",
            )
            .with_hint("what this node shares is DIR: grappe gather DIR --into DIR2")),
            (Some(_), None) => Err(CommandError::usage(
                "--share is missing: which directory do the nodes of NODESET:INTO share?",
            )),
            (Some(_), Some(_)) if self.nodes.is_some() || self.expect.is_some() => {
                Err(CommandError::usage(
                    "NODESET:INTO says who is waited for: --nodes and --expect have no meaning with it",
                ))
            }
            (Some(_), Some(_)) if self.node.names_keys() => Err(CommandError::usage(
                "nodes of NODESET:INTO get keys of their own: --key and --trust have no meaning",
            )),
            (Some(_), Some(share)) => Ok(Some(Purpose::Gather {
                share: share.clone(),
                own: own.map(|node| node.name.clone()),
            })),
        }
    }
}

fn expectation(arguments: &Arguments) -> Result<Expectation, CommandError> {
    match (&arguments.nodes, arguments.expect) {
        (Some(nodes), _) => {
            let nodes = NodeSet::parse(nodes)
                .map_err(|error| CommandError::usage(format_args!("--nodes {nodes}: {error}")))?;
            match nodes.len() {
                0 => Err(CommandError::usage("--nodes names no node")),
                1..=PEERS_MAX => Ok(Expectation::Names(nodes.iter().map(String::from).collect())),
                more => Err(CommandError::usage(format_args!(
                    "--nodes names {more} nodes; {PEERS_MAX} at most take part in a gather"
                ))),
            }
        }
        (None, Some(count)) => Ok(Expectation::Count(count.into())),
        (None, None) => Ok(Expectation::Anybody),
    }
}

/// What is said while it happens.
struct Display {
    terms: String,
    /// When progress was told last.
    told: Option<Instant>,
    conflicts: usize,
}

impl Display {
    fn new(interface: &str, wait: Duration, others: Option<usize>) -> Self {
        let others =
            others.map_or_else(|| "nodes".into(), |count| format!("{count} other node(s)"));
        let wait = wait.as_secs_f64();
        Self {
            terms: format!("on {interface}; waiting up to {wait:.1} s for {others}"),
            told: None,
            conflicts: 0,
        }
    }

    fn show(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Announced { gather, .. } => say(format_args!("gather {gather} {}", self.terms)),
            Notice::Event(event) => self.event(event),
            Notice::Stranger(address, reason) => {
                say(format_args!("turned away: {}: {reason}", address.ip()));
            }
            Notice::Progress(left, total) => self.progress(*left, *total),
            Notice::Member(told) => receive::show(told, "this node"),
            Notice::Note(text) => say(format_args!("note: {text}")),
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Joined(name) => say(format_args!("joined: {name}")),
            Event::Refused(name, reason) => say(format_args!("refused: {name}: {reason}")),
            Event::Began(nodes) => say(format_args!("{nodes} node(s) take part")),
            Event::Comparing(files) => say(format_args!(
                "comparing the content of {files} file(s) that several nodes have"
            )),
            Event::Conflict(path, nodes, winner) => self.conflict(path, nodes, winner.as_deref()),
            Event::Planned {
                bytes,
                files,
                bound_bytes,
                senders,
            } => say(format_args!(
                "{} in {files} file(s) to every node, {senders} of them sending; the node with the \
                 smallest part lacks {}",
                show_bytes(*bytes),
                show_bytes(*bound_bytes)
            )),
            Event::Flowing(name) => say(format_args!("sending: {name}")),
            Event::Measured(rate) => say(format_args!(
                "the links carry {}/s",
                show_bytes(rate.bytes_per_second())
            )),
            Event::Sent(name) => say(format_args!("sent: {name}")),
            Event::Unsent(name, reason) => say(format_args!("not sent: {name}: {reason}")),
            Event::Gone(name, reason) => say(format_args!("gone: {name}: {reason}")),
        }
    }

    fn conflict(&mut self, path: &[u8], nodes: &[String], winner: Option<&str>) {
        self.conflicts += 1;
        if self.conflicts > CONFLICTS_SHOWN {
            return;
        }
        let path = String::from_utf8_lossy(path);
        let taken =
            winner.map_or_else(String::new, |winner| format!("; that of {winner} is taken"));
        say(format_args!(
            "conflict: {path} differs at {}{taken}",
            nodes.join(", ")
        ));
    }

    fn progress(&mut self, left: u64, total: u64) {
        let now = Instant::now();
        let is_due = self.told.is_none_or(|told| now - told >= LINE_INTERVAL);
        if total == 0 || left == 0 || !is_due {
            return;
        }
        if self.told.is_some() {
            let percent = (total - left.min(total)) as f64 * 100.0 / total as f64;
            say(format_args!("{percent:.0} %, {} to go", show_bytes(left)));
        }
        self.told = Some(now);
    }

    fn finish(&self) {
        let more = self.conflicts.saturating_sub(CONFLICTS_SHOWN);
        if more > 0 {
            say(format_args!("and {more} more conflict(s)"));
        }
    }
}

/// Says what came of it and chooses the exit code. `announced_on` is where anybody could have heard of it.
fn conclude(report: &GatherReport, announced_on: Option<&str>) -> ExitCode {
    let summary = &report.summary;
    if let Some(reason) = &summary.cancelled {
        say(format_args!("the gather was broken off: {reason}"));
        let undecided = summary
            .conflicts
            .iter()
            .any(|(.., winner)| winner.is_none());
        if undecided {
            say(format_args!(
                "hint: --conflict newest or by-node decides for files; a file and a directory under one \
                 path cannot both be had"
            ));
        }
        return ExitCode::from(INCOMPLETE);
    }
    let came = |state: MemberState| state != MemberState::Absent;
    if !summary.nodes.iter().any(|node| came(node.state)) {
        say(format_args!("error: nobody joined"));
        let Some(interface) = announced_on else {
            return ExitCode::from(NOBODY);
        };
        say(format_args!(
            "It was announced on {interface}. Nodes take part that run `grappe receive --into DIR --share \
             PART` and trust this node's key; `grappe send` says what else may be the cause"
        ));
        return ExitCode::from(NOBODY);
    }
    if summary.missing > 0 {
        say(format_args!(
            "{} expected node(s) did not join",
            summary.missing
        ));
    }
    if summary.skipped > 0 {
        say(format_args!(
            "{} file(s) could not be read or changed meanwhile; their nodes say which",
            summary.skipped
        ));
    }
    say(format_args!("{}", table::summary(report)));
    let mut nodes = summary.nodes.iter();
    let is_complete = nodes.all(|node| node.state == MemberState::Complete);
    if is_complete && summary.missing == 0 && summary.skipped == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INCOMPLETE)
    }
}
