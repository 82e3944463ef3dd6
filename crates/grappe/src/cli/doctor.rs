//! `grappe doctor`: what is wrong with the network, and what to do.

use std::process::ExitCode;

use clap::Args;
use grappe::doctor::{DoctorOptions, Finding, Level, examine, judge, look};
use grappe::nodeset::NodeSet;
use grappe::trust::{Identity, TrustFile};
use serde::Serialize;

use super::error::{CommandError, INCOMPLETE, printable};
use super::network::NodeArguments;
use super::output;

/// What follows the flags in the help.
const AFTER_HELP: &str = "\
Takes about five seconds and changes nothing. It sends for half a second as fast as the network takes it, \
40 MB at 1 Gbit/s, and 1 MB to a group that nobody has joined. Run it as root to find the querier.

Exit code: 0 nothing is bad; 1 something is; 2 usage or configuration.

The object of --json: bad (how many findings are), findings (each with check, level: good, note or bad, \
text, and where there is one node and advice).";

/// Look at this node and at the way to those that listen, and say what to do
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(flatten)]
    node: NodeArguments,
    /// Nodes that run `grappe receive` and are to be looked at [default: all that answer]
    #[arg(long, value_name = "NODESET")]
    nodes: Option<String>,
    /// Port of this node, TCP, that they connect to [default: any free one]
    #[arg(long, value_name = "PORT")]
    control_port: Option<u16>,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    bad: usize,
    findings: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    check: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'a str>,
    level: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'a str>,
}

/// Runs `grappe doctor`.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, CommandError> {
    let nodes = match &arguments.nodes {
        Some(nodes) => NodeSet::parse(nodes)
            .map_err(|error| CommandError::usage(format_args!("--nodes {nodes}: {error}")))?,
        None => NodeSet::default(),
    };
    let network = arguments.node.network()?;
    let local = look(network.clone());
    let (key, keys) = key(&arguments.node);
    let mut findings = match keys {
        Some((identity, trust)) => {
            let options = DoctorOptions {
                identity,
                trust,
                network,
                nodes: nodes.iter().map(String::from).collect(),
                control_port: arguments.control_port.unwrap_or(0),
            };
            match examine(&options) {
                Ok(examination) => judge(&local, Some(&examination)),
                Err(error) => {
                    let mut findings = judge(&local, None);
                    findings.push(bad("nodes", &error.to_string(), None));
                    findings
                }
            }
        }
        None => judge(&local, None),
    };
    findings.insert(0, key);
    let shown = match arguments.json {
        true => as_json(&findings),
        false => as_text(&findings),
    };
    output::print(&shown)?;
    let is_bad = findings.iter().any(|finding| finding.level == Level::Bad);
    Ok(ExitCode::from(if is_bad { INCOMPLETE } else { 0 }))
}

/// What there is to say of this node's key, and the key where it can be used.
fn key(node: &NodeArguments) -> (Finding, Option<(Identity, TrustFile)>) {
    match node.identity() {
        Ok((identity, trust)) => {
            let key = identity.public();
            let text = format!("{}; {} key(s) are trusted", key.fingerprint(), trust.len());
            let finding = Finding {
                check: "key",
                node: None,
                level: Level::Good,
                text,
                advice: None,
            };
            (finding, Some((identity, trust)))
        }
        Err(error) => (bad("key", error.message(), error.hint()), None),
    }
}

fn bad(check: &'static str, text: &str, advice: Option<&str>) -> Finding {
    Finding {
        check,
        node: None,
        level: Level::Bad,
        text: text.into(),
        advice: advice.map(String::from),
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Good => "good",
        Level::Note => "note",
        Level::Bad => "bad",
    }
}

fn as_json(findings: &[Finding]) -> String {
    let lines = findings.iter().map(|finding| Line {
        check: finding.check,
        node: finding.node.as_deref(),
        level: word(finding.level),
        text: &finding.text,
        advice: finding.advice.as_deref(),
    });
    let report = Report {
        bad: findings
            .iter()
            .filter(|finding| finding.level == Level::Bad)
            .count(),
        findings: lines.collect(),
    };
    let object = serde_json::to_string(&report)
        .unwrap_or_else(|error| unreachable!("strings and numbers are JSON: {error}"));
    super::table::escape(&object) + "\n"
}

fn as_text(findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let node = finding.node.as_deref().unwrap_or("here");
        let line = format!(
            "{:<4}  {:<9}  {:<10}  {}",
            word(finding.level),
            finding.check,
            node,
            finding.text
        );
        text += printable(&line).trim_end();
        text.push('\n');
        if let Some(advice) = &finding.advice {
            text += &printable(&format!("      do: {advice}"));
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_lines_and_what_others_wrote_stays_on_them() {
        let mut finding = bad("way", "x\ngood  all is well", Some("ip link"));
        finding.node = Some("n1\u{1b}[2J".into());
        let text = as_text(std::slice::from_ref(&finding));
        assert_eq!(text.lines().count(), 2, "{text}");
        let json = as_json(&[finding]);
        assert_eq!(json.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["bad"], 1);
        assert_eq!(value["findings"][0]["advice"], "ip link");
    }
}
