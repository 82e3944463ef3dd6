//! Starting receivers for a command: flags and the environment in, a running launcher out.
//!
//! Shared by the commands that can launch. How it is done is in the library's `launch`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use crossbeam_channel::{Receiver, unbounded};
use grappe::announce;
use grappe::launch::{Call, LaunchOptions, Launcher, Session, Target, Told, Way};
use grappe::network::Network;
use grappe::nodeset::NodeSet;
use grappe::send::Absence;
use grappe::trust::{Identity, TrustFile};
use grappe_proto::limits::PEERS_MAX;
use grappe_proto::session::Expectation;
use grappe_proto::units::SessionId;

use super::error::CommandError;

/// The nodes of the allocation that this process is in.
const SLURM_NODES: &str = "SLURM_JOB_NODELIST";

/// How long a node may take, when the user does not say.
const PATIENCE: Duration = Duration::from_secs(20);

/// Flags of commands that can start receivers.
#[derive(Clone, Debug, Args)]
pub(crate) struct LaunchArguments {
    /// How receivers are started at NODESET:DIR: through ssh, or with srun inside an allocation, where
    /// `:DIR` means all its nodes [default: ssh]
    #[arg(long, value_enum, value_name = "HOW")]
    launch: Option<How>,
    /// The program that logs in, with its options [default: $GRAPPE_SSH, ssh]
    #[arg(long, value_name = "CMD")]
    ssh: Option<String>,
    /// `grappe` on the nodes, as the shell there finds it [default: grappe]
    #[arg(long, value_name = "CMD")]
    remote_path: Option<String>,
    /// How many receivers are started at one time [default: 32]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    fanout: Option<u16>,
}

/// Without `--remote-path`.
const REMOTE_PATH: &str = "grappe";

/// Without `--fanout`.
const FANOUT: u16 = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum How {
    Ssh,
    Slurm,
}

/// What receivers are started for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// To take one copy in.
    Copy,
    /// To take part in one gather.
    Gather {
        /// The directory that each of them shares as its part.
        share: String,
        /// The name of this node, where it takes part as well.
        own: Option<String>,
    },
}

/// Receivers that are being started, and the starting side of their one session.
pub(crate) struct Launched {
    pub(crate) launcher: Launcher,
    /// The key of the sender, or of the coordinator.
    pub(crate) identity: Identity,
    /// The receivers' key, and in a gather that of the coordinator, which can be a member.
    pub(crate) trust: TrustFile,
    nodes: Vec<String>,
    /// The longest that all starts together can take.
    wait: Duration,
}

impl LaunchArguments {
    /// Takes the last of `paths` where it is a target.
    pub(crate) fn target(&self, paths: &mut Vec<PathBuf>) -> Result<Option<Target>, CommandError> {
        let parsed = |path: &PathBuf| {
            let word = path.to_str().unwrap_or_default();
            Target::parse(word).map_err(|error| {
                CommandError::usage(format_args!("{word}: {error}")).with_hint(format_args!(
                    "NODESET:DIR names nodes; write ./{word} for a file"
                ))
            })
        };
        let last = paths.last().map(parsed).transpose()?.flatten();
        if last.is_some() {
            paths.pop();
        } else if let Some(flag) = self.given() {
            return Err(CommandError::usage(format_args!(
                "{flag} needs NODESET:DIR as the last word"
            )));
        }
        if let Some(path) = paths.iter().find(|path| !matches!(parsed(path), Ok(None))) {
            let path = path.display();
            return Err(
                CommandError::usage(format_args!("{path}: nodes, where a file is meant"))
                    .with_hint(format_args!(
                        "NODESET:DIR stands last, once; write ./{path} for a file"
                    )),
            );
        }
        Ok(last)
    }

    /// The first of these flags that was given.
    fn given(&self) -> Option<&'static str> {
        let flags = [
            ("--launch", self.launch.is_some()),
            ("--ssh", self.ssh.is_some()),
            ("--remote-path", self.remote_path.is_some()),
            ("--fanout", self.fanout.is_some()),
        ];
        let mut given = flags.into_iter().filter(|(_, is_given)| *is_given);
        given.next().map(|(flag, _)| flag)
    }

    /// Starts receivers at `target` for one session of this node.
    pub(crate) fn start(
        &self,
        target: Target,
        purpose: Purpose,
        network: &Network,
        wait: Option<Duration>,
    ) -> Result<Launched, CommandError> {
        let (way, nodes) = self.way(&target)?;
        if nodes.len() > PEERS_MAX {
            return Err(CommandError::usage(format_args!(
                "{} nodes are named; {PEERS_MAX} at most take part",
                nodes.len()
            )));
        }
        if let Purpose::Gather { own: Some(own), .. } = &purpose
            && nodes.contains(own)
        {
            return Err(CommandError::usage(format_args!(
                "{own} would take part twice: as this node, and as one that is started"
            ))
            .with_hint("leave it out of NODESET, or DIR and --into out"));
        }
        // One key each: a receiver cannot speak as the sender, nor as the coordinator.
        let (sender, receiver) = (
            Identity::generate("sender of one session")?,
            Identity::generate("receiver of one session")?,
        );
        let (share, trust, own_trust) = match purpose {
            Purpose::Copy => {
                let trust = format!("send {}\n", sender.public());
                (None, trust, TrustFile::only(receiver.public()))
            }
            Purpose::Gather { share, .. } => {
                // In a gather everybody sends to everybody.
                let trust = format!("{}\n{}\n", sender.public(), receiver.public());
                let own_trust = TrustFile::parse(&trust, Path::new("keys of one session"))?;
                (Some(share), trust, own_trust)
            }
        };
        let mut call = Call::new(&receiver, trust, target.directory, network)?;
        call.share = share;
        let patience = wait.unwrap_or(PATIENCE);
        let fanout = usize::from(self.fanout.unwrap_or(FANOUT));
        let rounds = u32::try_from(nodes.len().div_ceil(fanout)).unwrap_or(u32::MAX);
        let options = LaunchOptions {
            way,
            call,
            nodes: nodes.clone(),
            remote: self.remote_path.as_deref().unwrap_or(REMOTE_PATH).into(),
            fanout,
            patience,
        };
        let launcher = Launcher::start(options).map_err(|error| {
            CommandError::failed(format_args!("cannot start receivers: {error}"))
        })?;
        Ok(Launched {
            launcher,
            identity: sender,
            trust: own_trust,
            nodes,
            // To start, to be called, and to take part.
            wait: patience.saturating_mul(rounds.saturating_add(2)),
        })
    }

    fn way(&self, target: &Target) -> Result<(Way, Vec<String>), CommandError> {
        let named = target.nodes.as_ref();
        let names = |nodes: &NodeSet| nodes.iter().map(String::from).collect::<Vec<_>>();
        match (self.launch.unwrap_or(How::Ssh), named) {
            (How::Ssh, Some(nodes)) => Ok((self.ssh_way(target)?, names(nodes))),
            (How::Ssh, None) => Err(CommandError::usage(format_args!(
                ":{} names no nodes",
                target.directory
            ))
            .with_hint("write NODESET:DIR, or --launch slurm for all nodes of an allocation")),
            (How::Slurm, _) if self.ssh.is_some() => Err(CommandError::usage(
                "--ssh has no meaning with --launch slurm, which starts receivers by srun",
            )),
            (How::Slurm, nodes) => {
                if let Some(user) = &target.user {
                    return Err(CommandError::usage(format_args!(
                        "{user}@ has no meaning with --launch slurm: srun runs as the account of the job"
                    )));
                }
                let allocated = allocation()?;
                let nodes = nodes.unwrap_or(&allocated);
                if let Some(stranger) = nodes.iter().find(|node| !allocated.contains(node)) {
                    return Err(CommandError::usage(format_args!(
                        "{stranger} is not in this allocation, which has {allocated}"
                    )));
                }
                let program = vec!["srun".into()];
                Ok((Way::Slurm { program }, names(nodes)))
            }
        }
    }

    fn ssh_way(&self, target: &Target) -> Result<Way, CommandError> {
        let from_environment = std::env::var("GRAPPE_SSH").ok();
        let command = self.ssh.clone().or(from_environment);
        let command = command.filter(|text| !text.trim().is_empty());
        Ok(Way::Ssh {
            program: program_words(command.as_deref().unwrap_or("ssh"))?,
            user: target.user.clone(),
        })
    }
}

impl Launched {
    /// Whom to wait for, and how long at most.
    pub(crate) fn expectation(&self) -> (Expectation, Duration) {
        let names = self.nodes.iter().cloned().collect();
        (Expectation::Names(names), self.wait)
    }

    /// Those that will not come, as it becomes known; ends when all receivers have.
    pub(crate) fn absences(&self) -> Result<Receiver<Absence>, CommandError> {
        let told = self.launcher.told().clone();
        let (absent, absences) = unbounded();
        let pass_on = move || {
            for told in told {
                if let Told::Lost(name, reason) = told {
                    let _over = absent.send(Absence { name, reason });
                }
            }
        };
        std::thread::Builder::new()
            .name("absences".into())
            .spawn(pass_on)
            .map_err(CommandError::failed)?;
        Ok(absences)
    }

    /// Calls the receivers to the session `id`, which is there, and listens at `control`.
    pub(crate) fn call_to(&self, call: announce::Call, id: SessionId, control: SocketAddr) {
        let session = Session::new(call, id, self.identity.public(), control);
        self.launcher.call_to(session);
    }
}

/// A program and its options as a shell would split them: quotes hold words together.
fn program_words(command: &str) -> Result<Vec<OsString>, CommandError> {
    let words = shlex::split(command).filter(|words| !words.is_empty());
    let words = words.ok_or_else(|| {
        CommandError::usage(format_args!(
            "--ssh, or GRAPPE_SSH: a quote is not closed, or nothing is named: {command}"
        ))
    })?;
    Ok(words.into_iter().map(OsString::from).collect())
}

fn allocation() -> Result<NodeSet, CommandError> {
    let list = std::env::var(SLURM_NODES).map_err(|_| {
        CommandError::usage(format_args!(
            "{SLURM_NODES} is not set: this is no allocation of Slurm"
        ))
        .with_hint("run it inside `salloc`, or in a script for `sbatch`")
    })?;
    NodeSet::parse(&list)
        .map_err(|error| CommandError::usage(format_args!("{SLURM_NODES}={list}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_the_words_of_the_program_together() {
        let words = |command| program_words(command).unwrap();
        assert_eq!(words(" ssh  -p 22 "), ["ssh", "-p", "22"]);
        let proxy = r#"ssh -o "ProxyCommand=nc -X 5 %h %p" -i 'my key'"#;
        let expected = ["ssh", "-o", "ProxyCommand=nc -X 5 %h %p", "-i", "my key"];
        assert_eq!(words(proxy), expected);
        assert!(program_words("ssh -i 'my key").is_err());
        assert!(program_words("# nothing").is_err());
    }
}
