//! A cluster: network namespaces on one switch, with links shaped both ways.
//!
//! The switch is a bridge in a namespace of its own, so nothing appears among the host's interfaces and
//! the host's firewall has no say. Not a simulation: sockets, queues and IGMP are the kernel's.

mod node;
mod plan;

use std::sync::OnceLock;
use std::thread;

use anyhow::Result;

pub use node::Node;
pub use plan::Plan;

use crate::{leftovers, shell, watchdog::Watchdog};

/// The interface that every node has towards the switch.
pub const INTERFACE: &str = "e0";

/// Kills first and deletes afterwards: a namespace lives on while a process is in it.
const REMOVAL: &str = r#"
for ns in $(ip netns list | cut -d' ' -f1 | grep "^$1"); do
  ip netns pids "$ns" | xargs -r kill -9
  ip netns del "$ns"
done"#;

/// Nodes on one switch; they and everything running on them go when this value goes.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    switch: String,
    _watchdog: Watchdog,
}

impl Cluster {
    /// Builds what the plan says.
    ///
    /// # Errors
    ///
    /// Names the command that failed; what was made until then is removed.
    pub fn build(plan: &Plan) -> Result<Self> {
        let name = leftovers::cluster_name();
        let watchdog = Watchdog::new(REMOVAL, &[&name])?;
        let switch = format!("{name}switch");
        let nodes: Vec<_> = (1..=plan.nodes)
            .map(|number| Node {
                number,
                namespace: format!("{name}n{number}"),
            })
            .collect();

        for line in plan.switch_commands(&switch) {
            shell::run(&line)?;
        }
        for node in &nodes {
            for line in plan.node_commands(&switch, &node.namespace, node.number) {
                shell::run(&line)?;
            }
        }
        thread::sleep(plan.settling());
        Ok(Self {
            nodes,
            switch,
            _watchdog: watchdog,
        })
    }

    /// Why no cluster can be built here, as one line for a test that skips; `None` when one can.
    ///
    /// Finds out by building a small one, with loss and shaped links, once per process.
    #[must_use]
    pub fn unavailable() -> Option<String> {
        static REASON: OnceLock<Option<String>> = OnceLock::new();
        REASON
            .get_or_init(|| {
                if !rustix::process::geteuid().is_root() {
                    return Some("network namespaces need root".into());
                }
                let trial = Plan {
                    link_mbit: Some(1000),
                    loss_percent: 1.0,
                    split: true,
                    ..Plan::of(1)
                };
                Self::build(&trial).err().map(|error| format!("{error:#}"))
            })
            .clone()
    }

    /// The node with this number, counted from 1.
    ///
    /// # Panics
    ///
    /// When the cluster has no such node.
    #[must_use]
    pub fn node(&self, number: u8) -> &Node {
        &self.nodes[usize::from(number) - 1]
    }

    /// All nodes, in order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Runs a command on the switch, as its administrator would; see `shell::run`.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub fn on_switch(&self, line: &str) -> Result<String> {
        shell::run(&format!("ip netns exec {} {line}", self.switch))
    }

    /// Kills whatever still runs on the nodes, so that the next tool finds quiet machines.
    ///
    /// # Errors
    ///
    /// When the processes cannot be listed.
    pub fn stop_processes(&self) -> Result<()> {
        self.nodes.iter().try_for_each(Node::kill_processes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_reach_each_other_and_vanish_afterwards() {
        if let Some(reason) = Cluster::unavailable() {
            println!("skipped: {reason}");
            return;
        }
        let cluster = Cluster::build(&Plan {
            link_mbit: Some(100),
            ..Plan::of(2)
        })
        .unwrap();
        let namespace = cluster.node(1).namespace.clone();
        let mut sleeper = cluster
            .node(2)
            .command("sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        assert!(cluster.node(1).processes().unwrap().is_empty());
        while cluster.node(2).processes().unwrap().is_empty() {} // it enters the namespace first
        assert!(cluster.node(2).received_bytes_by_proc().unwrap().is_some());
        cluster.stop_processes().unwrap();
        assert!(!sleeper.wait().unwrap().success(), "killed with its node");
        let script = format!("exec 3<>/dev/tcp/{}/9", cluster.node(2).address());
        let refused = cluster
            .node(1)
            .command("bash")
            .args(["-c", &script])
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            message.contains("refused"),
            "a closed port answers: {message}"
        );

        drop(cluster);
        assert!(leftovers::namespaces(&namespace).unwrap().is_empty());
    }
}
