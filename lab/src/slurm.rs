//! A real Slurm on the nodes of a cluster: `munged`, `slurmctld` on one node, `slurmd` on the others, all
//! with files of the lab's own.
//!
//! Steps on a node find its own disk at one path that is the same on all nodes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::net::{Cluster, Node};
use crate::process::Process;
use crate::shell;
use crate::ssh::with_disk;

/// What the daemons may take until all nodes are idle.
const START_MAX: Duration = Duration::from_secs(60);

/// The first of the ports that `slurmd` listens on: one for each node, as all have one host's name.
const PORT_BASE: u16 = 17_000;

/// The daemons; they end with this value, and steps with the cluster.
#[derive(Debug)]
pub struct Slurm {
    _daemons: Vec<Process>,
    controller: Node,
    config: PathBuf,
    workers: usize,
}

impl Slurm {
    /// Why there can be none here; `None` when there can.
    #[must_use]
    pub fn unavailable() -> Option<String> {
        let programs = ["munged", "slurmctld", "slurmd", "srun", "salloc", "sbatch"];
        let missing = programs
            .into_iter()
            .find(|program| shell::find(program).is_none());
        missing.map(|program| format!("{program} is not installed"))
    }

    /// Starts the controller on one node and a worker on each of `workers`, named as the nodes are. At
    /// `disk`, an empty folder, steps find the folder that `own` names for their node.
    ///
    /// # Errors
    ///
    /// When the daemons do not come up; their last words are in the message.
    pub fn start(
        cluster: &Cluster,
        controller: u8,
        workers: &[u8],
        folder: &Path,
        disk: &Path,
        own: impl Fn(u8) -> PathBuf,
    ) -> Result<Self> {
        let folder = folder.join("slurm");
        fs::create_dir_all(folder.join("state"))?;
        let controller = cluster.node(controller).clone();
        let nodes: Vec<&Node> = workers.iter().map(|worker| cluster.node(*worker)).collect();
        let config = folder.join("slurm.conf");
        fs::write(&config, configuration(&controller, &nodes, &folder)?)?;
        // In a namespace there are no control groups, and none are needed.
        let groups = folder.join("cgroup");
        fs::create_dir(&groups)?;
        let groups = format!(
            "CgroupPlugin=cgroup/v1\nCgroupMountpoint={}\n",
            groups.display()
        );
        fs::write(folder.join("cgroup.conf"), groups)?;
        let mut daemons = vec![start_munge(&folder)?];
        let mut slurmctld = controller.command("slurmctld");
        slurmctld.args(["-D", "-f"]).arg(&config);
        daemons.push(Process::start(slurmctld, &folder, "slurmctld")?);
        for node in nodes {
            let own = own(node.number());
            fs::create_dir_all(&own)?;
            fs::create_dir_all(disk)?;
            let name = node.name();
            fs::create_dir(folder.join(format!("spool.{name}")))?;
            let line = format!("exec slurmd -D -N {name} -f {}", config.display());
            let slurmd = with_disk(node, disk, &own, &line);
            daemons.push(Process::start(slurmd, &folder, &format!("slurmd-{name}"))?);
        }
        let slurm = Self {
            _daemons: daemons,
            controller,
            config,
            workers: workers.len(),
        };
        slurm.wait_until_idle(&folder)?;
        Ok(slurm)
    }

    /// A command of Slurm's on the controller's node, such as `salloc`.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.controller.command(program);
        command.env("SLURM_CONF", &self.config);
        command
    }

    fn wait_until_idle(&self, folder: &Path) -> Result<()> {
        let deadline = Instant::now() + START_MAX;
        loop {
            let idle = self
                .command("sinfo")
                .args(["--noheader", "--Node", "--states=idle", "--format=%N"])
                .output()?;
            let idle = String::from_utf8_lossy(&idle.stdout).lines().count();
            if idle == self.workers {
                return Ok(());
            }
            if Instant::now() > deadline {
                let words = |name: &str| {
                    let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
                    let lines: Vec<_> = text.lines().rev().take(5).map(String::from).collect();
                    lines.join(" | ")
                };
                bail!(
                    "{idle} of {} nodes of Slurm are idle: {} {}",
                    self.workers,
                    words("slurmctld.err"),
                    words("munged.err")
                );
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn start_munge(folder: &Path) -> Result<Process> {
    let key = folder.join("munge.key");
    let seed: Vec<u8> = fs::read("/proc/sys/kernel/random/uuid")?.repeat(8);
    fs::write(&key, seed)?;
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    let file = |name: &str| folder.join(name).display().to_string();
    // The lab's folder is below /tmp, which everybody may write: refused without `--force`.
    let mut munged = Command::new(shell::find("munged").unwrap_or_else(|| "munged".into()));
    munged.args([
        "--foreground",
        "--force",
        &format!("--key-file={}", key.display()),
        &format!("--socket={}", file("munge.socket")),
        &format!("--pid-file={}", file("munge.pid")),
        &format!("--log-file={}", file("munge.log")),
        &format!("--seed-file={}", file("munge.seed")),
    ]);
    let process = Process::start(munged, folder, "munged")?;
    let deadline = Instant::now() + START_MAX;
    while !folder.join("munge.socket").exists() {
        if Instant::now() > deadline {
            bail!("munged does not come up: {}", process.messages());
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(process)
}

fn configuration(controller: &Node, workers: &[&Node], folder: &Path) -> Result<String> {
    let host = shell::run("hostname -s")?.trim().to_owned();
    let shown = folder.display();
    let mut config = format!(
        "ClusterName=lab\nSlurmctldHost={host}({})\nSlurmUser=root\nAuthType=auth/munge\n\
         AuthInfo=socket={shown}/munge.socket\nCryptoType=crypto/munge\nMpiDefault=none\n\
         ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nSelectType=select/cons_tres\n\
         StateSaveLocation={shown}/state\nSlurmdSpoolDir={shown}/spool.%n\n\
         SlurmctldPidFile={shown}/slurmctld.pid\nSlurmdPidFile={shown}/slurmd.%n.pid\n\
         SlurmctldPort=16817\nReturnToService=2\nSlurmdTimeout=60\nJobAcctGatherType=jobacct_gather/none\n",
        controller.address()
    );
    for node in workers {
        config += &format!(
            "NodeName={} NodeHostname={host} NodeAddr={} Port={} CPUs=1 State=UNKNOWN\n",
            node.name(),
            node.address(),
            PORT_BASE + u16::from(node.number())
        );
    }
    config += "PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n";
    Ok(config)
}
