//! The program under test: where its binary is, how it is called, what it reports.
//!
//! Written against the command line only, as a user's script would be; no crate of grappe is used.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::net::{INTERFACE, Node};

/// The `grappe` binary with a key that all nodes share.
#[derive(Debug, Clone)]
pub struct Grappe {
    binary: PathBuf,
    key: PathBuf,
}

impl Grappe {
    /// Where the binary is: `GRAPPE_BIN`, or the folder of this build.
    ///
    /// # Errors
    ///
    /// Says how to build it when it is not there.
    pub fn locate() -> Result<PathBuf> {
        if let Some(path) = env::var_os("GRAPPE_BIN") {
            return Ok(path.into());
        }
        let executable = env::current_exe()?;
        executable
            .ancestors()
            .skip(1)
            .take(2) // beside `lab`, or one above a test in `deps`
            .map(|folder| folder.join("grappe"))
            .find(|candidate| candidate.is_file())
            .context(
                "no grappe binary in this build: run `cargo build -p grappe`, or set GRAPPE_BIN",
            )
    }

    /// Makes a new key in `folder` for this binary.
    ///
    /// # Errors
    ///
    /// When there is no binary or it cannot make a key.
    pub fn with_new_key(folder: &Path) -> Result<Self> {
        let binary = Self::locate()?;
        let key = folder.join("cluster.key");
        let output = Command::new(&binary)
            .args(["key", "new"])
            .arg(&key)
            .output()?;
        if !output.status.success() || !key.is_file() {
            let message = String::from_utf8_lossy(&output.stderr);
            bail!("`grappe key new` made no key: {}", message.trim());
        }
        Ok(Self { binary, key })
    }

    /// `grappe receive` on a node; it stays up for any number of copies.
    #[must_use]
    pub fn receive(&self, node: &Node, into: &Path) -> Command {
        let mut command = self.command(node, "receive");
        command
            .arg("--into")
            .arg(into)
            .args(["--name", &node.name()]);
        command
    }

    /// `grappe receive` on a node that is called by its address, so that it can be reached without
    /// multicast.
    #[must_use]
    pub fn receive_as_address(&self, node: &Node, into: &Path) -> Command {
        let mut command = self.command(node, "receive");
        command
            .arg("--into")
            .arg(into)
            .args(["--name", &node.address()]);
        command
    }

    /// `grappe send` on a node, to nodes that are called by their addresses.
    #[must_use]
    pub fn send_to(&self, node: &Node, path: &Path, nodes: &[String]) -> Command {
        let mut command = self.command(node, "send");
        command.arg(path).args(["--to", &nodes.join(","), "--json"]);
        command
    }

    /// `grappe receive` of one stream on a node, written to `device`.
    #[must_use]
    pub fn receive_to_device(&self, node: &Node, device: &Path) -> Command {
        let mut command = self.command(node, "receive");
        command
            .arg("--to-device")
            .arg(device)
            .args(["--name", &node.name()]);
        command
    }

    /// `grappe send` on a node, to as many receivers as `expect` says, with its report as JSON.
    #[must_use]
    pub fn send(&self, node: &Node, path: &Path, expect: u8) -> Command {
        let mut command = self.command(node, "send");
        command
            .arg(path)
            .args(["--expect", &expect.to_string(), "--json"]);
        command
    }

    /// `grappe gather` on a node that takes no part itself, of so many nodes, with its report as JSON.
    #[must_use]
    pub fn gather(&self, node: &Node, nodes: u8) -> Command {
        let mut command = self.command(node, "gather");
        command.args(["--expect", &nodes.to_string(), "--json"]);
        command
    }

    /// `grappe send` on a node to receivers that it starts itself at `target`, with its report as JSON.
    #[must_use]
    pub fn send_launching(&self, node: &Node, path: &Path, target: &str) -> Command {
        let mut command = node.command(&self.binary.to_string_lossy());
        command
            .arg("send")
            .arg(path)
            .arg(target)
            .args(["--json", "--interface", INTERFACE]);
        command
    }

    /// `grappe doctor` on a node, with its report as JSON.
    #[must_use]
    pub fn doctor(&self, node: &Node) -> Command {
        let words = self.doctor_words();
        let mut command = node.command(&words[0]);
        command.args(&words[1..]);
        command
    }

    /// The words of `grappe doctor`, for a command that has something in front.
    #[must_use]
    pub fn doctor_words(&self) -> Vec<String> {
        let (binary, key) = (self.binary.display(), self.key.display());
        let words = format!("{binary} doctor --json --interface {INTERFACE} --key {key}");
        words.split(' ').map(String::from).collect()
    }

    /// Where the binary is: the same on all nodes.
    #[must_use]
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    fn command(&self, node: &Node, verb: &str) -> Command {
        let mut command = node.command(&self.binary.to_string_lossy());
        command
            .arg(verb)
            .arg("--key")
            .arg(&self.key)
            .args(["--interface", INTERFACE]);
        command
    }
}

/// What `grappe send --json` prints.
#[derive(Debug, Clone, Deserialize)]
pub struct Report {
    /// Bytes of content.
    pub bytes: u64,
    /// Seconds from the start of the copy to its end.
    pub seconds: f64,
    /// One entry for each receiver.
    pub nodes: Vec<NodeReport>,
}

/// One receiver in a `Report`.
#[derive(Debug, Clone, Deserialize)]
pub struct NodeReport {
    /// As given by `--name`.
    pub name: String,
    /// How the copy ended there.
    pub state: String,
    /// Seconds from the start of the copy to its end there.
    #[serde(default)]
    pub seconds: f64,
    /// Why it did not end well, where it did not.
    #[serde(default)]
    pub reason: Option<String>,
    /// How the content came: `multicast` or `pipeline`.
    #[serde(default)]
    pub transport: String,
    /// Why the pipeline, where it was.
    #[serde(default)]
    pub transport_reason: Option<String>,
    /// What kept it from being faster, where known.
    #[serde(default)]
    pub limited_by: Option<String>,
    /// Whether it held all others back.
    #[serde(default)]
    pub holds_all: bool,
    /// Whether some of it was sent apart from the others.
    #[serde(default)]
    pub apart: bool,
}

impl Report {
    /// Reads standard output of `grappe send --json`.
    ///
    /// # Errors
    ///
    /// When it is not such a report.
    pub fn parse(output: &str) -> Result<Self> {
        serde_json::from_str(output).with_context(|| format!("not a report of grappe: {output:?}"))
    }

    /// How the copy ended at the node of this name; empty when the report does not know the node.
    #[must_use]
    pub fn state_of(&self, name: &str) -> &str {
        self.nodes
            .iter()
            .find(|node| node.name == name)
            .map_or("", |node| &node.state)
    }

    /// Why the copy did not end well at the node of this name; empty where it did.
    #[must_use]
    pub fn reason_of(&self, name: &str) -> &str {
        let node = self.nodes.iter().find(|node| node.name == name);
        node.and_then(|node| node.reason.as_deref())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_report() {
        let report = Report::parse(
            r#"{"session":"a1","bytes":5,"files":1,"seconds":0.5,"blake3":"00","nodes":[
                {"name":"n2","state":"complete","bytes":5,"seconds":0.5,"rate":10,"repaired":0,
                 "limited_by":"network"},
                {"name":"n3","state":"lost","bytes":1,"seconds":0.1,"rate":10,"repaired":0,
                 "limited_by":null}]}"#,
        )
        .unwrap();
        assert_eq!(report.state_of("n3"), "lost");
        assert_eq!(report.state_of("n9"), "");
        assert!(Report::parse("hello").is_err());
    }
}
