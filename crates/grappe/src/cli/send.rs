//! `grappe send`: one node's files to every receiver.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use grappe::announce::Call;
use grappe::launch::Target;
use grappe::network::Network;
use grappe::nodeset::NodeSet;
use grappe::send::{self, Notice, SendOptions, SendReport, send};
use grappe_proto::limits::PEERS_MAX;
use grappe_proto::seal::Suite;
use grappe_proto::session::{Expectation, NodeState};
use grappe_proto::units::Rate;

use super::display::Display;
use super::error::{CommandError, INCOMPLETE, NOBODY, say};
use super::events::Events;
use super::launch::{LaunchArguments, Launched, Purpose};
use super::network::NodeArguments;
use super::processors::ProcessorArguments;
use super::size::{parse_duration, parse_rate};
use super::timeline::{Picture, Timeline};
use super::tree::TreeArguments;
use super::turned_away::TurnedAway;
use super::{events, output, plan, signals, table};

/// Without `--wait`, for receivers that run already.
const WAIT_DEFAULT: Duration = Duration::from_secs(2);

/// Without `--stream-name`.
const STREAM_NAME: &str = "stdin";

/// Reasons that are repeated when nobody joined; each was told when it came up.
const REASONS_SHOWN: usize = 10;

/// What follows the flags in the help.
const AFTER_HELP: &str = "\
Exit code: 0 every expected receiver is complete and verified; 1 some are not, or a file could not be \
sent whole, or the copy was broken off, or its result could not be written; 2 usage or configuration; 3 nobody joined.

The object of --json: session, bytes, files, seconds, blake3, nodes (each with name, state, bytes, \
seconds, rate, repaired, limited_by, transport, and where it is so transport_reason, mtu, holds_all, apart, \
spared (entries that stay by its --no-delete) and reason), skipped, missing, cancelled (null, \
or why the copy was broken off), packets (how many were sent), cipher. It is printed with exit codes 0, 1 and 3; with 2, nothing is.";

/// Send files and directories to every node that listens
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    /// Files and directories; `a/b` arrives as `DIR/b`. `-` alone is standard input. A last word
    /// NODESET:DIR, as in node[01-16]:/data, starts receivers there for this copy; without it, those that
    /// listen get it
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    launch: LaunchArguments,
    #[command(flatten)]
    node: NodeArguments,
    #[command(flatten)]
    processors: ProcessorArguments,
    #[command(flatten)]
    tree: TreeArguments,
    /// Name under which standard input arrives in a directory [default: stdin]
    #[arg(long, value_name = "NAME")]
    stream_name: Option<OsString>,
    /// Wait for this many receivers
    #[arg(long, value_name = "N", conflicts_with = "to", value_parser = clap::value_parser!(u16).range(1..=PEERS_MAX as i64))]
    expect: Option<u16>,
    /// Send to these nodes and wait for all of them: node[01-16,20]
    #[arg(long, value_name = "NODESET")]
    to: Option<String>,
    /// How long to wait for receivers; all being there, it starts at once [default: 2s; 20s for each
    /// that is started at NODESET:DIR]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    wait: Option<Duration>,
    /// Send at most this much: 900mbit, 80MB/s [default: as much as network and nodes take]
    #[arg(long, value_parser = parse_rate)]
    rate: Option<Rate>,
    /// A node far slower than the others: wait, all go at its pace; demote, they go on and it is sent
    /// apart; drop, it is given up
    #[arg(long, value_enum, value_name = "WHAT", default_value = "demote")]
    straggler: Straggler,
    /// How content travels: auto, by multicast to the nodes that hear it and through the pipeline to the
    /// others; multicast; pipeline, from node to node over TCP
    #[arg(long, value_enum, value_name = "WAY", default_value = "auto")]
    transport: Transport,
    /// What packets are sealed with: auto, the faster suite on this machine; aes-128-gcm; aegis-128l
    #[arg(long, value_enum, value_name = "SUITE", default_value = "auto")]
    cipher: Cipher,
    /// Port of this node, TCP and UDP, that receivers connect and report to; to open in a firewall
    /// [default: any free one]
    #[arg(long, value_name = "PORT")]
    control_port: Option<u16>,
    /// Draw the rate at every node over the copy into FILE, an SVG image
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,
    /// Print one JSON object on standard output at the end
    #[arg(long)]
    json: bool,
    /// Print a JSON object for each event, one to a line, on standard output; the last is that of --json
    #[arg(long)]
    events: bool,
}

/// The choices of `--straggler`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Straggler {
    Wait,
    Demote,
    Drop,
}

impl From<Straggler> for send::Straggler {
    fn from(straggler: Straggler) -> Self {
        match straggler {
            Straggler::Wait => Self::Wait,
            Straggler::Demote => Self::Demote,
            Straggler::Drop => Self::Drop,
        }
    }
}

/// The choices of `--transport`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Transport {
    Auto,
    Multicast,
    Pipeline,
}

impl From<Transport> for send::Transport {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Auto => Self::Auto,
            Transport::Multicast => Self::Multicast,
            Transport::Pipeline => Self::Pipeline,
        }
    }
}

/// The choices of `--cipher`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Cipher {
    Auto,
    #[value(name = "aes-128-gcm")]
    Aes128Gcm,
    #[value(name = "aegis-128l")]
    Aegis128L,
}

impl From<Cipher> for Option<Suite> {
    fn from(cipher: Cipher) -> Self {
        match cipher {
            Cipher::Auto => None,
            Cipher::Aes128Gcm => Some(Suite::Aes128Gcm),
            Cipher::Aegis128L => Some(Suite::Aegis128L),
        }
    }
}

/// Runs `grappe send`.
pub(crate) fn run(mut arguments: Arguments) -> Result<ExitCode, CommandError> {
    let target = arguments.launch.target(&mut arguments.paths)?;
    if arguments.paths.is_empty() {
        return Err(CommandError::usage(
            "nothing to send: only a target was given",
        ));
    }
    let source = arguments.tree.options()?;
    // What is wrong with the command comes before what is missing on the machine.
    let wanted = expectation(&arguments)?;
    let stream = arguments.stream()?;
    let (shown, is_dry_run) = (arguments.shown(), arguments.tree.is_dry_run());
    let own = match target {
        Some(_) => None,
        None => Some(arguments.node.identity()?),
    };
    let network = arguments.node.network()?;
    let picture = arguments.timeline.take().map(picture).transpose()?;
    let interface = format!("{} ({})", network.interface.name, network.interface.address);
    let (cancel, cancelled) = crossbeam_channel::bounded(1);
    signals::watch(arguments.node.until_eof, move |signal| {
        let _told_already = cancel.try_send(format!("stopped by {signal}"));
    })?;
    let events = arguments.events.then(Events::start).transpose()?;
    let start = |target| arguments.start(target, &network);
    let launched = target.map(start).transpose()?;
    let (expectation, wait) = match &launched {
        Some(launched) => launched.expectation(),
        None => (wanted, arguments.wait.unwrap_or(WAIT_DEFAULT)),
    };
    let (identity, trust) = match (&launched, own) {
        (None, Some(own)) => own,
        (Some(launched), _) => (launched.identity.clone(), launched.trust.clone()),
        (None, None) => arguments.node.identity()?,
    };
    let options = SendOptions {
        stream,
        paths: arguments.paths,
        source,
        identity,
        trust,
        network,
        expectation: expectation.clone(),
        wait,
        straggler: arguments.straggler.into(),
        transport: arguments.transport.into(),
        cipher: arguments.cipher.into(),
        rate: arguments.rate,
        control_port: arguments.control_port.unwrap_or(0),
        announce: launched.is_none(),
        absences: launched.as_ref().map(Launched::absences).transpose()?,
        processors: arguments.processors.count(),
    };
    let mut progress = events::Seconds::default();
    let mut display = Display::new(&interface, &expectation, wait, arguments.rate);
    let mut timeline = Timeline::new();
    let report = send(options, &cancelled, &mut |notice| {
        if let (
            Some(launched),
            Notice::Announced {
                session, control, ..
            },
        ) = (&launched, &notice)
        {
            launched.call_to(Call::Copy, *session, *control);
        }
        if picture.is_some() {
            timeline.note(&notice);
        }
        display.show(&notice);
        let is_told = !matches!(notice, Notice::Progress(_)) || progress.is_due();
        if let Some(events) = &events
            && is_told
            && let Some(event) = events::of_sender(&notice)
        {
            events.print(event);
        }
    });
    let are_whole = events.is_none_or(|events| events.finish());
    let report = report?;
    let turned_away = display.finish();
    if let Some(picture) = picture {
        draw(&picture, &timeline);
    }
    let was_announced = launched.is_none();
    if let Some(launched) = launched {
        launched.launcher.end();
    }
    let interface = was_announced.then_some(&*interface);
    // What else there is to say comes in any case.
    let printed = match (shown(&report).trim_end(), are_whole) {
        ("", _) => Ok(()),
        (text, true) => output::print(&format!("{text}\n")),
        // It is the last of the events.
        (_, false) => Err(CommandError::failed("the result was not written either")),
    };
    let code = conclude(&report, &turned_away, interface, is_dry_run);
    printed.map(|()| code)
}

impl Arguments {
    /// How the result is shown.
    fn shown(&self) -> fn(&SendReport) -> String {
        match (self.tree.is_dry_run(), self.json || self.events) {
            (false, false) => table::text,
            (false, true) => table::json,
            (true, false) => plan::text,
            (true, true) => plan::json,
        }
    }

    /// The name of what comes from standard input, when that is what is sent.
    fn stream(&self) -> Result<Option<OsString>, CommandError> {
        let is_input = |path: &PathBuf| path.as_os_str() == "-";
        match &*self.paths {
            [only] if is_input(only) => match self.tree.given() {
                None => {
                    let name = self.stream_name.clone();
                    Ok(Some(name.unwrap_or_else(|| STREAM_NAME.into())))
                }
                Some(flag @ ("--sync" | "--checksum")) => Err(CommandError::usage(format_args!(
                    "standard input cannot be compared with what is there; leave {flag} out"
                ))),
                Some(flag) => Err(CommandError::usage(format_args!(
                    "{flag} is about files, and standard input is none; leave it out"
                ))),
            },
            paths if paths.iter().any(is_input) => Err(CommandError::usage(
                "`-`, standard input, is sent alone; for a file of that name say ./-",
            )),
            _ if self.stream_name.is_some() => Err(CommandError::usage(
                "--stream-name is for standard input: `-` in place of PATH",
            )),
            _ => Ok(None),
        }
    }

    fn start(&self, target: Target, network: &Network) -> Result<Launched, CommandError> {
        if self.to.is_some() || self.expect.is_some() {
            return Err(CommandError::usage(
                "NODESET:DIR says who is waited for: --to and --expect have no meaning with it",
            ));
        }
        if self.node.names_keys() {
            return Err(CommandError::usage(
                "receivers at NODESET:DIR get keys of their own: --key and --trust have no meaning",
            ));
        }
        self.launch.start(target, Purpose::Copy, network, self.wait)
    }
}

fn picture(path: PathBuf) -> Result<Picture, CommandError> {
    let cannot = format!("--timeline {}: ", path.display());
    Picture::at(path).map_err(|error| {
        CommandError::usage(format_args!("{cannot}{error}"))
            .with_hint("name a file in a folder that is there and can be written")
    })
}

/// A picture that fails does not fail the copy.
fn draw(picture: &Picture, timeline: &Timeline) {
    if let Err(error) = picture.write(&timeline.svg()) {
        say(format_args!(
            "no timeline in {}: {error}",
            picture.path().display()
        ));
    }
}

fn expectation(arguments: &Arguments) -> Result<Expectation, CommandError> {
    match (&arguments.to, arguments.expect) {
        (Some(nodes), _) => {
            let nodes = NodeSet::parse(nodes)
                .map_err(|error| CommandError::usage(format_args!("--to {nodes}: {error}")))?;
            if nodes.len() > PEERS_MAX {
                return Err(CommandError::usage(format_args!(
                    "--to names {} nodes; a copy goes to {PEERS_MAX} at most",
                    nodes.len()
                )));
            }
            if nodes.is_empty() {
                return Err(CommandError::usage("--to names no node"));
            }
            Ok(Expectation::Names(nodes.iter().map(String::from).collect()))
        }
        (None, Some(count)) => Ok(Expectation::Count(count.into())),
        (None, None) => Ok(Expectation::Anybody),
    }
}

/// Says what came of it and chooses the exit code. `announced_on` is where anybody could have heard of it.
fn conclude(
    report: &SendReport,
    turned_away: &TurnedAway,
    announced_on: Option<&str>,
    is_dry_run: bool,
) -> ExitCode {
    for skipped in &report.skipped {
        say(format_args!(
            "not sent whole: {}: {}",
            skipped.path.display(),
            skipped.reason
        ));
    }
    // A plan has it among its lines.
    for (node, stay) in report.spared().filter(|_| !is_dry_run) {
        say(format_args!(
            "{}: nothing was removed, by its --no-delete; entries that are not in the tree: {stay}",
            node
        ));
    }
    if let Some(reason) = &report.cancelled {
        say(format_args!("the copy was broken off: {reason}"));
        return ExitCode::from(INCOMPLETE);
    }
    if report.nodes.iter().all(|node| !node.joined) {
        say_nobody_joined(announced_on, turned_away);
        return ExitCode::from(NOBODY);
    }
    if report.missing > 0 {
        say(format_args!(
            "{} of {} expected receivers did not join",
            report.missing,
            report.missing + report.nodes.len()
        ));
    }
    if !is_dry_run {
        say(format_args!("{}", table::summary(report)));
    }
    if let Some(hash) = report.hash {
        say(format_args!("blake3 {hash}"));
    }
    let all_complete = report
        .nodes
        .iter()
        .all(|node| node.state == NodeState::Complete);
    if all_complete && report.missing == 0 && report.skipped.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(INCOMPLETE)
    }
}

fn say_nobody_joined(announced_on: Option<&str>, turned_away: &TurnedAway) {
    say(format_args!("error: nobody joined"));
    let came = turned_away.told();
    if came.len() > 0 {
        say(format_args!("These came and did not join:"));
        for (who, reason) in came.take(REASONS_SHOWN) {
            say(format_args!("  {who}: {reason}"));
        }
    }
    let Some(interface) = announced_on else {
        return;
    };
    say(format_args!(
        "It was announced on {interface}. If receivers run, one of these is the cause:"
    ));
    for cause in [
        "interface: another one leads to the nodes: --interface, here and there",
        "firewall:  UDP port and group, IGMP, or TCP to this node is blocked",
        "key:       the receivers do not trust this node's key; `grappe receive` says so",
        "version:   another release of grappe is there; newer ones say so, `grappe --version` compares",
        "switch:    it drops multicast: no querier, storm control; name the nodes with --to",
    ] {
        say(format_args!("  {cause}"));
    }
}
