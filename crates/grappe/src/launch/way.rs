//! The commands by which receivers are started: the user's own `ssh`, one for each node, or one `srun`
//! for all nodes of an allocation.
//!
//! Only words; nothing is started here.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::nodeset::NodeSet;

/// What a launched receiver is called with; hidden in the help, as people do not type it.
pub const LAUNCHED: &str = "launched";

/// How receivers are started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// By a program that logs in to one node and takes a command, as `ssh` does.
    Ssh {
        /// The program and its options.
        program: Vec<OsString>,
        /// The account there, where it is not the program's own choice.
        user: Option<String>,
    },
    /// By `srun`, as one step of the allocation that this process is in.
    Slurm {
        /// The program and its options.
        program: Vec<OsString>,
    },
}

impl Way {
    /// Its word, for messages.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ssh { .. } => "ssh",
            Self::Slurm { .. } => "srun",
        }
    }

    /// How many of `nodes` one process reaches.
    pub(super) fn shares(&self, nodes: &[String]) -> Vec<Vec<String>> {
        match self {
            Self::Ssh { .. } => nodes.iter().map(|node| vec![node.clone()]).collect(),
            Self::Slurm { .. } if nodes.is_empty() => Vec::new(),
            Self::Slurm { .. } => vec![nodes.to_vec()],
        }
    }

    /// Whether lines come with the number of the node in front.
    pub(super) const fn labels(&self) -> bool {
        matches!(self, Self::Slurm { .. })
    }

    /// The program and its arguments that start `remote` on `nodes`.
    pub(super) fn command(
        &self,
        nodes: &[String],
        remote: &str,
        patience: Duration,
    ) -> Vec<OsString> {
        match self {
            Self::Ssh { program, user } => {
                let mut words = program.clone();
                if is_openssh(program) {
                    words.extend(openssh_options(patience).map(OsString::from));
                }
                if let Some(user) = user {
                    words.extend(["-l".into(), user.into()]);
                }
                words.extend(nodes.iter().map(OsString::from));
                // Text for the shell there, as in rsync's --rsync-path.
                words.push(format!("{remote} {LAUNCHED}").into());
                words
            }
            Self::Slurm { program } => {
                let mut words = program.clone();
                words.extend(srun_options(nodes).map(OsString::from));
                words.extend(remote.split_whitespace().map(OsString::from));
                words.push(LAUNCHED.into());
                words
            }
        }
    }
}

fn is_openssh(program: &[OsString]) -> bool {
    let name = program.first().map(Path::new).and_then(Path::file_name);
    name.is_some_and(|name| name == "ssh")
}

/// After the user's own, which win as the first of each name (ssh_config(5)).
fn openssh_options(patience: Duration) -> impl Iterator<Item = String> {
    let plain = [
        // No terminal, no X11, no agent there, and none of the user's port forwardings, whose ports
        // would be taken by the first node already.
        "-T",
        "-x",
        "-a",
        "-oClearAllForwardings=yes",
        // Nobody can answer the questions of many logins at once.
        "-oBatchMode=yes",
    ];
    let connect = format!("-oConnectTimeout={}", patience.as_secs().max(1));
    plain.into_iter().map(String::from).chain([connect])
}

fn srun_options(nodes: &[String]) -> impl Iterator<Item = String> {
    let count = nodes.len();
    let list: NodeSet = nodes.iter().map(String::as_str).collect();
    let sized = [
        format!("--nodes={count}"),
        format!("--ntasks={count}"),
        format!("--nodelist={list}"),
    ];
    let plain = [
        "--ntasks-per-node=1",
        // Beside whatever else runs in the allocation, and without a share of its memory.
        "--overlap",
        "--mem=0",
        "--cpu-bind=none",
        "--mpi=none",
        // Each line says whose it is; everybody hears the call.
        "--label",
        "--input=all",
        // One that ends, or fails, leaves the others alone.
        "--kill-on-bad-exit=0",
        "--wait=0",
    ];
    sized.into_iter().chain(plain.map(String::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(way: &Way, nodes: &[&str]) -> String {
        let nodes: Vec<String> = nodes.iter().map(ToString::to_string).collect();
        let command = way.command(&nodes, "/opt/grappe", Duration::from_secs(7));
        let words: Vec<_> = command.iter().map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    #[test]
    fn the_users_ssh_comes_with_its_own_options_first() {
        let way = Way::Ssh {
            program: ["ssh", "-p", "22"].map(OsString::from).into(),
            user: Some("ann".into()),
        };
        let words = words(&way, &["n1"]);
        assert!(words.starts_with("ssh -p 22 -T "), "{words}");
        assert!(words.contains("BatchMode=yes -oConnectTimeout=7 -l ann n1"));
        assert!(words.ends_with("n1 /opt/grappe launched"), "{words}");
    }

    #[test]
    fn another_program_gets_no_options_that_it_may_not_know() {
        let way = Way::Ssh {
            program: vec!["/usr/bin/rsh".into()],
            user: None,
        };
        assert_eq!(words(&way, &["n1"]), "/usr/bin/rsh n1 /opt/grappe launched");
    }

    #[test]
    fn one_step_reaches_all_nodes_of_an_allocation() {
        let way = Way::Slurm {
            program: vec!["srun".into()],
        };
        let nodes = ["n1", "n2", "n3"].map(String::from);
        assert_eq!(way.shares(&nodes), [nodes.to_vec()]);
        let words = words(&way, &["n1", "n2", "n3"]);
        assert!(words.contains("--nodes=3") && words.contains("--nodelist=n[1-3]"));
        assert!(words.ends_with(" /opt/grappe launched"), "{words}");
    }
}
