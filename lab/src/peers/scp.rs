//! scp to one node after another: what most people do.
//!
//! Every node gets its own sshd on a port of its own; keys are made for the run and thrown away.

use std::fs;
use std::thread;
use std::time::Instant;

use anyhow::Result;

use super::{Copied, Job, Peer, RECEIVER_START, Task, missing};
use crate::shell;

const PORT: &str = "2222";

#[derive(Debug)]
pub(super) struct Scp;

impl Peer for Scp {
    fn name(&self) -> &'static str {
        "scp"
    }

    fn unavailable(&self) -> Option<String> {
        missing(&["sshd"], "openssh-server")
            .or_else(|| missing(&["scp", "ssh-keygen"], "openssh-client"))
    }

    fn is_slow(&self, task: &Task) -> bool {
        task.receivers > 1
    }

    fn copy(&self, job: &Job) -> Result<Copied> {
        // Where Debian's sshd drops its privileges; its start script makes it at every boot.
        fs::create_dir_all("/run/sshd")?;
        let [user, host] = ["user", "host"].map(|name| job.folder.join(name).display().to_string());
        for key in [&user, &host] {
            let mut command = std::process::Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-f", key]);
            crate::process::Process::start(command, job.folder, "keygen")?.finish(job.time_max)?;
        }
        // sshd re-executes itself and wants to be called by its full path.
        let sshd = shell::find("sshd").unwrap_or_default();
        let sshd = sshd.to_string_lossy();
        let authorized = format!("AuthorizedKeysFile={user}.pub");
        let mut servers = Vec::new();
        for number in job.receivers() {
            job.node_folder(number)?;
            let mut arguments = vec![
                "-D",
                "-f",
                "/dev/null",
                "-p",
                PORT,
                "-h",
                &host,
                "-o",
                &authorized,
            ];
            arguments.extend(["-o", "StrictModes=no", "-o", "PidFile=none"]);
            arguments.extend(["-o", "Subsystem=sftp internal-sftp"]);
            servers.push(job.start(number, &sshd, &arguments, "sshd")?);
        }
        thread::sleep(RECEIVER_START);

        let file = job.source.to_string_lossy();
        let mut options = vec![
            "-q",
            "-P",
            PORT,
            "-i",
            &user,
            "-o",
            "StrictHostKeyChecking=no",
        ];
        options.extend(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]);
        let start = Instant::now();
        for number in job.receivers() {
            let node = job.cluster.node(number);
            let target = format!("{}:{}/n{number}/", node.address(), job.folder.display());
            let mut arguments = options.clone();
            arguments.extend([&*file, &target]);
            job.start(1, "scp", &arguments, "send")?
                .finish(job.time_max)?;
        }
        Ok(Copied {
            elapsed: start.elapsed(),
            others_elapsed: None,
            copies: job.copies_by_name(),
            lossy: false,
            note: None,
        })
    }
}
