//! A real `sshd` on every node, with keys and a client configuration of the lab's own: nothing of the
//! machine's `ssh` is read or changed.
//!
//! Logins on a node find its own disk at one path that is the same on all nodes, as on a cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::net::{Cluster, Node};
use crate::process::Process;
use crate::shell;

/// What `sshd` may take to listen.
const START_MAX: Duration = Duration::from_secs(20);

/// Where `sshd` wants an empty folder of root's (sshd(8)).
const PRIVILEGE_SEPARATION: &str = "/run/sshd";

/// The servers of a cluster; they end with this value, and their logins with the cluster.
#[derive(Debug)]
pub struct SshServers {
    servers: Vec<Process>,
    config: PathBuf,
}

impl SshServers {
    /// Why there can be none here; `None` when there can.
    #[must_use]
    pub fn unavailable() -> Option<String> {
        let missing = ["sshd", "ssh", "ssh-keygen"]
            .into_iter()
            .find(|program| shell::find(program).is_none());
        missing.map(|program| format!("{program} is not installed"))
    }

    /// Starts one on each of `nodes`. At `disk`, an empty folder, logins find the folder that `own`
    /// names for their node.
    ///
    /// # Errors
    ///
    /// When keys cannot be made or a server does not come up.
    pub fn start(
        cluster: &Cluster,
        nodes: &[u8],
        folder: &Path,
        disk: &Path,
        own: impl Fn(u8) -> PathBuf,
    ) -> Result<Self> {
        fs::create_dir_all(PRIVILEGE_SEPARATION)?;
        let folder = folder.join("ssh");
        fs::create_dir_all(&folder)?;
        let host_key = new_key(&folder, "host_key")?;
        new_key(&folder, "user_key")?;
        fs::copy(folder.join("user_key.pub"), folder.join("authorized_keys"))?;
        let known = format!(
            "lab {}",
            fs::read_to_string(host_key.with_extension("pub"))?
        );
        fs::write(folder.join("known_hosts"), known)?;
        let config = folder.join("config");
        fs::write(&config, client_config(cluster, &folder))?;
        let mut servers = Vec::new();
        for &number in nodes {
            let node = cluster.node(number);
            servers.push(start_server(node, &folder, disk, &own(number))?);
        }
        let deadline = Instant::now() + START_MAX;
        for server in &mut servers {
            while !server.messages().contains("Server listening") {
                if Instant::now() > deadline || !server.is_running()? {
                    bail!("sshd does not listen: {}", server.messages());
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(Self { servers, config })
    }

    /// The client with the lab's configuration, as one would give it to `--ssh`.
    #[must_use]
    pub fn program(&self) -> String {
        format!("ssh -F {}", self.config.display())
    }

    /// Kills the server of the node with this place in the list that it was started with. Logins that
    /// are there stay.
    pub fn kill(&mut self, place: usize) {
        if let Some(server) = self.servers.get_mut(place) {
            server.kill();
        }
    }
}

fn new_key(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f"])
        .arg(&path)
        .output()?;
    if !made.status.success() {
        bail!("ssh-keygen: {}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(path)
}

fn client_config(cluster: &Cluster, folder: &Path) -> String {
    let folder = folder.display();
    let mut config = format!(
        "User root\nIdentityFile {folder}/user_key\nIdentitiesOnly yes\nHostKeyAlias lab\n\
         UserKnownHostsFile {folder}/known_hosts\nGlobalKnownHostsFile /dev/null\nLogLevel ERROR\n"
    );
    for node in cluster.nodes() {
        config += &format!("Host {}\n  HostName {}\n", node.name(), node.address());
    }
    config
}

fn start_server(node: &Node, folder: &Path, disk: &Path, own: &Path) -> Result<Process> {
    fs::create_dir_all(own)?;
    fs::create_dir_all(disk)?;
    let server = shell::find("sshd").context("sshd is not installed")?;
    let log = format!("sshd-{}", node.name());
    let config = folder.join(format!("{log}.config"));
    let shown = folder.display();
    fs::write(
        &config,
        format!(
            "ListenAddress {}\nHostKey {shown}/host_key\nAuthorizedKeysFile {shown}/authorized_keys\n\
             PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nPrintMotd no\n\
             PermitRootLogin prohibit-password\nUseDNS no\nLogLevel INFO\n",
            node.address()
        ),
    )?;
    let line = format!("{} -D -e -f {}", server.display(), config.display());
    let line = format!("{}exec {line}", plain_shell());
    Process::start(with_disk(node, disk, own, &line), folder, &log)
}

/// Commands that let logins find no start files of this machine's administrator, which may take any time.
fn plain_shell() -> String {
    const HOME: &str = "/root";
    const START_FILES: [&str; 3] = [".bashrc", ".zshenv", ".profile"];

    START_FILES
        .map(|name| format!("{HOME}/{name}"))
        .iter()
        .filter(|path| Path::new(path).is_file())
        .fold(String::new(), |commands, path| {
            commands + &format!("mount --bind /dev/null {path} && ")
        })
}

/// A command line of the shell, for `node`, that finds its own disk at `disk`: `ip netns exec` gives it mounts of its own.
pub(crate) fn with_disk(node: &Node, disk: &Path, own: &Path, line: &str) -> Command {
    let mut command = node.command("sh");
    let script = format!(
        "mount --bind {} {} && {line}",
        own.display(),
        disk.display()
    );
    command.args(["-c", &script]);
    command
}
