//! `grappe send`: one node's files to every receiver.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use grappe::nodeset::NodeSet;
use grappe::send::{Event, Notice, SendOptions, SendReport, send};
use grappe_proto::limits::PEERS_MAX;
use grappe_proto::session::{Expectation, NodeState};
use grappe_proto::units::Rate;
use indicatif::{ProgressBar, ProgressStyle};

use super::error::{CommandError, INCOMPLETE, NOBODY, say};
use super::network::NodeArguments;
use super::size::{parse_duration, parse_rate, show_bytes};
use super::{signals, table};

/// Send files and directories to every node that listens
#[derive(Debug, Args)]
#[command(
    after_help = "Exit code: 0 every expected receiver is complete and verified; 1 some are not, \
    or a file could not be sent whole; 2 usage or configuration; 3 nobody joined."
)]
pub(crate) struct Arguments {
    /// Files and directories; `a/b` arrives as `DIR/b`
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    node: NodeArguments,
    /// Wait for this many receivers
    #[arg(long, value_name = "N", conflicts_with = "to", value_parser = clap::value_parser!(u16).range(1..=PEERS_MAX as i64))]
    expect: Option<u16>,
    /// Send to these nodes and wait for all of them: node[01-16,20]
    #[arg(long, value_name = "NODESET")]
    to: Option<String>,
    /// How long to wait for receivers; all being there, it starts at once
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    wait: Duration,
    /// Send at most this much: 900mbit, 80MB/s [default: as much as network and nodes take]
    #[arg(long, value_parser = parse_rate)]
    rate: Option<Rate>,
    /// Port of this node, TCP and UDP, that receivers connect and report to; to open in a firewall
    /// [default: any free one]
    #[arg(long, value_name = "PORT")]
    control_port: Option<u16>,
    /// Print one JSON object on standard output at the end
    #[arg(long)]
    json: bool,
}

/// Runs `grappe send`.
pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, CommandError> {
    let expectation = expectation(&arguments)?;
    let (identity, trust) = arguments.node.identity()?;
    let network = arguments.node.network()?;
    let interface = format!("{} ({})", network.interface.name, network.interface.address);
    let (cancel, cancelled) = crossbeam_channel::bounded(1);
    signals::watch(move |signal| {
        let _told_already = cancel.try_send(format!("stopped by {signal}"));
    })?;
    let options = SendOptions {
        paths: arguments.paths,
        identity,
        trust,
        network,
        expectation: expectation.clone(),
        wait: arguments.wait,
        rate: arguments.rate,
        control_port: arguments.control_port.unwrap_or(0),
    };
    let mut display = Display::new(&interface, &expectation, arguments.wait);
    let report = send(options, &cancelled, &mut |notice| display.show(&notice))?;
    display.finish();
    Ok(conclude(&report, &interface, arguments.json))
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

/// Prints the result and chooses the exit code.
fn conclude(report: &SendReport, interface: &str, json: bool) -> ExitCode {
    let mut out = std::io::stdout().lock();
    // A reader that went away is no reason to fail a copy that is done.
    let _closed = if json {
        writeln!(out, "{}", table::json(report))
    } else {
        out.write_all(table::text(report).as_bytes())
    };
    drop(out);
    for skipped in &report.skipped {
        say(format_args!(
            "not sent whole: {}: {}",
            skipped.path.display(),
            skipped.reason
        ));
    }
    let nobody = report
        .nodes
        .iter()
        .all(|node| node.reason.as_deref() == Some("did not join"));
    if let Some(reason) = &report.cancelled {
        say(format_args!("the copy was broken off: {reason}"));
        return ExitCode::from(INCOMPLETE);
    }
    if nobody {
        say_nobody_joined(interface);
        return ExitCode::from(NOBODY);
    }
    if report.missing > 0 {
        say(format_args!(
            "{} of {} expected receivers did not join",
            report.missing,
            report.missing + report.nodes.len()
        ));
    }
    say(format_args!("{}", table::summary(report)));
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

fn say_nobody_joined(interface: &str) {
    say(format_args!("error: nobody joined"));
    say(format_args!(
        "It was announced on {interface}. If receivers run, one of these is the cause:"
    ));
    say(format_args!(
        "  interface: another one leads to the nodes: --interface, here and there"
    ));
    say(format_args!(
        "  firewall:  UDP port and group, IGMP, or TCP to this node is blocked"
    ));
    say(format_args!(
        "  key:       the receivers do not trust this node's key; `grappe receive` says so"
    ));
    say(format_args!(
        "  switch:    it drops multicast: no querier, storm control; name the nodes with --to"
    ));
}

/// Progress on standard error: a bar on a terminal, lines elsewhere.
struct Display {
    interface: String,
    wait: String,
    bar: Option<ProgressBar>,
    bytes: u64,
    blocks_told: u32,
}

impl Display {
    fn new(interface: &str, expectation: &Expectation, wait: Duration) -> Self {
        let whom = match expectation.count() {
            Some(1) => "1 receiver".into(),
            Some(count) => format!("{count} receivers"),
            None => "receivers".into(),
        };
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {percent:>3} %  {msg}");
            ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let wait = format!("waiting up to {:.1} s for {whom}", wait.as_secs_f64());
        Self {
            interface: interface.into(),
            wait,
            bar,
            bytes: 0,
            blocks_told: 0,
        }
    }

    fn show(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Announced {
                session,
                bytes,
                files,
            } => {
                self.bytes = *bytes;
                self.line(format_args!(
                    "session {session}: {} in {files} file(s) on {}; {}",
                    show_bytes(*bytes),
                    self.interface,
                    self.wait
                ));
            }
            Notice::Event(Event::Joined(name)) => self.line(format_args!("joined: {name}")),
            Notice::Event(Event::Refused(name, reason)) => {
                self.line(format_args!("refused: {name}: {reason}"));
            }
            Notice::Event(Event::Started(count)) => {
                self.line(format_args!("sending to {count} receiver(s)"));
            }
            Notice::Event(Event::Complete(name)) => self.line(format_args!("complete: {name}")),
            Notice::Event(Event::Gone(name, reason)) => {
                self.line(format_args!("gone: {name}: {reason}"));
            }
            Notice::Stranger(address, reason) => {
                self.line(format_args!("turned away: {}: {reason}", address.ip()));
            }
            Notice::Waiting(what) => self.line(format_args!("waiting for {what}")),
            Notice::Note(text) => self.line(format_args!("note: {text}")),
            Notice::Progress(progress) => self.progress(progress),
        }
    }

    fn progress(&mut self, progress: &grappe::send::Progress) {
        let total = progress.content_blocks.max(1);
        match &self.bar {
            Some(bar) => {
                bar.set_length(total.into());
                bar.set_position(progress.stored_blocks.into());
                bar.set_message(format!(
                    "{}/s to {}",
                    show_bytes(progress.rate),
                    progress.receivers
                ));
            }
            None => {
                // A line for each tenth.
                let tenth = (total / 10).max(1);
                if progress.stored_blocks / tenth > self.blocks_told / tenth {
                    self.blocks_told = progress.stored_blocks;
                    let percent = u64::from(progress.stored_blocks) * 100 / u64::from(total);
                    self.line(format_args!(
                        "{percent} % at {}/s",
                        show_bytes(progress.rate)
                    ));
                }
            }
        }
    }

    fn line(&self, line: std::fmt::Arguments<'_>) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(line)),
            None => say(line),
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
