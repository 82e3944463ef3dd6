//! Receivers started by `srun` inside an allocation of a real Slurm.

#![expect(
    clippy::unwrap_used,
    reason = "steps of tests: to panic is to fail the test"
)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use lab::content;
use lab::grappe::Report;
use lab::net::{INTERFACE, Plan};
use lab::process::Process;
use lab::slurm::Slurm;

use crate::trial::{COPY_MAX, Trial, finish_with_losses, skip};

/// A cluster with Slurm: n1 is the controller and the place to log in, n2 to n4 compute.
pub(crate) struct Site {
    pub(crate) slurm: Slurm,
    pub(crate) trial: Trial,
    pub(crate) disk: PathBuf,
}

impl Site {
    pub(crate) fn new() -> Option<Self> {
        let trial = Trial::new(&Plan::of(4))?;
        if let Some(reason) = Slurm::unavailable() {
            skip(&reason);
            return None;
        }
        let disk = trial.store.path().join("disk");
        let folder = trial.store.path();
        let own = |node| trial.disk_of(node);
        let slurm = Slurm::start(&trial.cluster, 1, &[2, 3, 4], folder, &disk, own).unwrap();
        Some(Self { slurm, trial, disk })
    }

    fn salloc(&self, nodes: u8) -> Command {
        let mut command = self.slurm.command("salloc");
        command.args(["--quiet", &format!("--nodes={nodes}")]);
        command
    }

    pub(crate) fn start(&self, command: Command) -> Process {
        Process::start(command, self.trial.store.path(), "salloc").unwrap()
    }

    /// The words of `grappe send` to all nodes of an allocation.
    fn words(&self, file: &str, target: &str, remote: &str) -> Vec<String> {
        let binary = self.trial.grappe.binary().display().to_string();
        let target = format!("{target}:{}", self.disk.display());
        [
            &*binary,
            "send",
            file,
            &target,
            "--launch",
            "slurm",
            "--json",
            "--interface",
            INTERFACE,
            "--remote-path",
            remote,
        ]
        .map(String::from)
        .into()
    }
}

#[test]
fn a_job_stages_its_data_on_all_its_nodes() {
    let Some(site) = Site::new() else {
        return;
    };
    let file = site.trial.file("content", 16 << 20);
    let shown = file.display().to_string();
    let binary = site.trial.grappe.binary().display().to_string();

    // From the node where people log in, which is not part of the allocation.
    let mut command = site.salloc(3);
    command.args(site.words(&shown, "", &binary));
    let mut sender = site.start(command);
    sender.finish(COPY_MAX).unwrap();
    let report = Report::parse(&sender.output()).unwrap();
    assert_eq!(report.nodes.len(), 3, "{report:?}");
    for node in [2, 3, 4] {
        assert_eq!(report.state_of(&format!("n{node}")), "complete");
        site.trial.assert_whole(node, &file);
    }

    // From the first node of the allocation itself, as a job's script does, to one of the others.
    let mut command = site.salloc(2);
    command.args(["srun", "--nodes=1", "--ntasks=1", "--nodelist=n2"]);
    command.args(site.words(&shown, "n[2-3]", &binary));
    let mut sender = site.start(command);
    sender.finish(COPY_MAX).unwrap();
    let report = Report::parse(&sender.output()).unwrap();
    assert_eq!(report.state_of("n2"), "complete", "{report:?}");
    assert_eq!(report.state_of("n3"), "complete", "{report:?}");

    // A node that cannot start it is told of; the others complete.
    let remote = site.disk.join("grappe").display().to_string();
    for node in [2, 4] {
        let link = site.trial.disk_of(node).join("grappe");
        std::os::unix::fs::symlink(&binary, link).unwrap();
    }
    let mut command = site.salloc(3);
    command.args(site.words(&shown, "", &remote));
    let mut sender = site.start(command);
    let report = finish_with_losses(&mut sender);
    assert_eq!(report.state_of("n2"), "complete", "{report:?}");
    assert_eq!(report.state_of("n4"), "complete", "{report:?}");
    let reason = report.reason_of("n3");
    assert!(reason.contains("--remote-path"), "{reason}");
}

#[test]
fn the_nodes_of_an_allocation_gather_and_one_that_cannot_is_named() {
    let Some(site) = Site::new() else {
        return;
    };
    for node in [2, 3, 4] {
        let part = site.trial.disk_of(node).join("mine");
        fs::create_dir(&part).unwrap();
        content::create(&part.join(format!("of-{node}")), 4 << 20, node.into()).unwrap();
    }
    let binary = site.trial.grappe.binary().display().to_string();
    let disk = site.disk.display();
    let gather = |into: &str| {
        let mut command = site.salloc(3);
        command.args([&binary, "gather", &format!(":{disk}/{into}")]);
        command.args(["--launch", "slurm", "--json", "--interface", INTERFACE]);
        command.args(["--share", &format!("{disk}/mine")]);
        command.args(["--remote-path", &binary]);
        site.start(command)
    };
    let assert_union = |node: u8, into: &str, owners: &[u8]| {
        let folder = site.trial.disk_of(node).join(into);
        for owner in owners {
            let name = format!("of-{owner}");
            let original = site.trial.disk_of(*owner).join("mine").join(&name);
            assert!(content::identical(&original, &folder.join(&name)), "{name}");
        }
        assert_eq!(fs::read_dir(folder).unwrap().count(), owners.len());
    };
    let mut all = gather("all");
    all.finish(COPY_MAX).unwrap();
    let report = Report::parse(&all.output()).unwrap();
    for node in [2, 3, 4] {
        let name = format!("n{node}");
        assert_eq!(report.state_of(&name), "complete", "{report:?}");
        assert_union(node, "all", &[2, 3, 4]);
    }

    fs::remove_dir_all(site.trial.disk_of(3).join("mine")).unwrap();
    let report = finish_with_losses(&mut gather("rest"));
    assert_eq!(report.state_of("n3"), "absent", "{report:?}");
    let reason = report.reason_of("n3");
    assert!(reason.contains("cannot share"), "{reason}");
    for node in [2, 4] {
        assert_union(node, "rest", &[2, 4]);
    }
}

#[test]
fn outside_an_allocation_the_way_in_is_told() {
    let Some(trial) = Trial::new(&Plan::of(1)) else {
        return;
    };
    let file = trial.file("content", 1);
    let node = trial.cluster.node(1);
    let mut command = trial.grappe.send_launching(node, &file, ":/tmp");
    command
        .args(["--launch", "slurm"])
        .env_remove("SLURM_JOB_NODELIST");
    let mut sender = Process::start(command, trial.store.path(), "send").unwrap();
    let status = sender.wait(COPY_MAX).unwrap().expect("it ends");
    assert_eq!(status.code(), Some(2));
    let said = sender.messages();
    assert!(
        said.contains("salloc") && said.contains("SLURM_JOB_NODELIST"),
        "{said}"
    );
}
