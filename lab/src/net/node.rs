//! One machine of the cluster: its address, commands that run on it, and what runs on it now.
//!
//! Made by `Cluster::build`; finds processes through `/proc`, without starting any.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::{INTERFACE, plan};
use crate::shell;

/// One machine of the cluster.
#[derive(Debug, Clone)]
pub struct Node {
    pub(super) number: u8,
    pub(super) namespace: String,
}

impl Node {
    /// Its number, counted from 1.
    #[must_use]
    pub fn number(&self) -> u8 {
        self.number
    }

    /// What it is called in commands and reports: `n1`, `n2` and so on.
    #[must_use]
    pub fn name(&self) -> String {
        format!("n{}", self.number)
    }

    /// Its IPv4 address, on `INTERFACE`.
    #[must_use]
    pub fn address(&self) -> String {
        plan::address(self.number)
    }

    /// Its IPv6 address there, in a cluster of IPv6.
    #[must_use]
    pub fn address_v6(&self) -> String {
        plan::address_v6(self.number)
    }

    /// A command that will run on this node, not yet started.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }

    /// Bytes that came in from the switch since the cluster was built.
    ///
    /// # Errors
    ///
    /// When the kernel's counter cannot be read.
    pub fn received_bytes(&self) -> Result<u64> {
        self.counter("rx_bytes")
    }

    /// Packets that went out to the switch since the cluster was built; a train in one piece counts as one.
    ///
    /// # Errors
    ///
    /// When the kernel's counter cannot be read.
    pub fn sent_packets(&self) -> Result<u64> {
        self.counter("tx_packets")
    }

    /// Bytes that left by its interface, as the kernel counts them.
    ///
    /// # Errors
    ///
    /// When the kernel's counter cannot be read.
    pub fn sent_bytes(&self) -> Result<u64> {
        self.counter("tx_bytes")
    }

    fn counter(&self, name: &str) -> Result<u64> {
        let file = format!("/sys/class/net/{INTERFACE}/statistics/{name}");
        let counter = shell::run(&format!("ip netns exec {} cat {file}", self.namespace))?;
        counter.trim().parse().context("the counter is no number")
    }

    /// The same without starting a program, through any process on the node; `None` when it has none.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be listed.
    pub fn received_bytes_by_proc(&self) -> Result<Option<u64>> {
        Ok(self.processes()?.iter().find_map(|process| {
            let table = fs::read_to_string(format!("/proc/{process}/net/dev")).ok()?;
            received_in_table(&table)
        }))
    }

    /// The process ids of all that runs on this node.
    ///
    /// # Errors
    ///
    /// When `/proc` cannot be listed or the node is gone.
    pub fn processes(&self) -> Result<Vec<i32>> {
        let namespace = fs::metadata(format!("/run/netns/{}", self.namespace))
            .with_context(|| format!("no namespace {}", self.namespace))?
            .ino();
        let mut processes = Vec::new();
        for entry in fs::read_dir("/proc")? {
            let name = entry?.file_name();
            let Some(process) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue; // not a process
            };
            // One that ended meanwhile runs nowhere.
            let is_here = fs::metadata(format!("/proc/{process}/ns/net"))
                .is_ok_and(|meta| meta.ino() == namespace);
            if is_here {
                processes.push(process);
            }
        }
        Ok(processes)
    }

    /// Kills all that runs on this node, as `kill -9` does.
    ///
    /// # Errors
    ///
    /// When the processes cannot be listed.
    pub fn kill_processes(&self) -> Result<()> {
        for process in self.processes()?.into_iter().filter_map(Pid::from_raw) {
            // Many end by themselves between the listing and this.
            let _ = kill_process(process, Signal::KILL);
        }
        Ok(())
    }
}

/// The first column of `INTERFACE` in `/proc/net/dev`, see proc_pid_net(5).
fn received_in_table(table: &str) -> Option<u64> {
    let line = table
        .lines()
        .find_map(|line| line.trim().strip_prefix(INTERFACE)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_of_the_right_interface_is_read() {
        let table =
            "Inter-|   Receive\n face |bytes    packets\n    lo:  17 1 0\n    e0: 4242 9 0\n";
        assert_eq!(received_in_table(table), Some(4242));
        assert_eq!(received_in_table("    lo:  17 1 0\n"), None);
    }
}
