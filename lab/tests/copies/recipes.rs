//! The recipes of the operations manual, from its text: what is printed there is what runs here.
//!
//! Only paths, names and addresses are put in the place of those of the text.

#![expect(
    clippy::unwrap_used,
    reason = "steps of tests: to panic is to fail the test"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use lab::content;
use lab::net::{INTERFACE, Plan};
use lab::shell;

use crate::allocation;
use crate::trial::{COPY_MAX, Trial, skip};

const OPERATIONS: &str = include_str!("../../../docs/operations.md");

/// The network of the text, and that of the lab's nodes without its last number.
const TEXT_NETWORK: &str = "10.0.0.0/24";

/// The block of the manual that begins with a fence of this language and has `mark` in it.
fn recipe(language: &str, mark: &str) -> String {
    let fence = format!("```{language}\n");
    let blocks = OPERATIONS.split("```").skip(1).step_by(2);
    let mut found = blocks
        .filter_map(|block| format!("```{block}").strip_prefix(&fence).map(String::from))
        .filter(|block| block.contains(mark));
    let recipe = found.next().expect("the manual has it");
    assert!(found.next().is_none(), "{mark:?} is in two recipes");
    recipe
}

/// Puts `new` in the place of `old`, which must be there: a text that has changed is looked at again.
fn put(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "{old:?} is no longer in {text}");
    text.replace(old, new)
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_job_of_the_manual_stages_data_in_and_gathers_results() {
    let Some(site) = allocation::Site::new() else {
        return;
    };
    let store = site.trial.store.path();
    let input = site.trial.file("input", 4 << 20);
    let (disk, shown) = (site.disk.display(), store.display());
    // What a job computes: here the sum of its input, under the node's name.
    script(
        &store.join("compute"),
        "#!/bin/sh\ncksum <\"$1\" >\"$2/of-$SLURMD_NODENAME\"\n",
    );
    script(&store.join("finish"), "#!/bin/sh\nls \"$1\" >\"$1/seen\"\n");
    let job = recipe("sh", "gather \":$scratch/all\"");
    let job = put(&job, "--nodes=16", "--nodes=3");
    let job = put(
        &job,
        "/scratch/$SLURM_JOB_ID",
        &format!("{disk}/$SLURM_JOB_ID"),
    );
    let job = put(&job, "/home/ann/input", &input.display().to_string());
    let job = put(&job, "./compute", &format!("{shown}/compute"));
    let job = put(&job, "./finish", &format!("{shown}/finish"));
    script(&store.join("job"), &job);
    let binaries = site.trial.grappe.binary().parent().unwrap().display();
    let path = format!("{binaries}:{}", std::env::var("PATH").unwrap());
    let mut command = site.slurm.command("sbatch");
    command.args(["--wait", "--parsable", "--output"]);
    command.arg(store.join("job.out")).arg(store.join("job"));
    command.env("PATH", path).env("HOME", store.join("nobody"));
    let mut batch = site.start(command);
    let ended = batch.finish(COPY_MAX);
    let said = fs::read_to_string(store.join("job.out")).unwrap_or_default();
    ended.unwrap_or_else(|error| panic!("{error}: {said}"));
    let number = batch.output().trim().to_owned();
    for node in [2, 3, 4] {
        let all = site.trial.disk_of(node).join(&number).join("all");
        assert!(content::identical(&input, &all.join("input")), "{said}");
        let seen = fs::read_to_string(all.join("seen")).unwrap();
        assert_eq!(seen, "input\nof-n2\nof-n3\nof-n4\nseen\n", "n{node}");
    }
}

#[test]
fn behind_the_firewall_of_the_manual_nodes_copy_and_gather_and_nothing_else_comes_in() {
    let Some(trial) = Trial::new(&Plan {
        snooping: true,
        ..Plan::of(3)
    }) else {
        return;
    };
    if shell::find("nft").is_none() {
        return skip("nft is not installed");
    }
    let address = trial.cluster.node(1).address();
    let (network, _) = address.rsplit_once('.').unwrap();
    let rules = recipe("nft", "table inet grappe");
    let rules = put(&rules, "\"eth0\"", &format!("\"{INTERFACE}\""));
    let rules = put(&rules, TEXT_NETWORK, &format!("{network}.0/24"));
    let path = trial.store.path().join("rules.nft");
    fs::write(&path, rules).unwrap();
    for node in trial.cluster.nodes() {
        let loaded = node.command("nft").arg("-f").arg(&path).output().unwrap();
        let said = String::from_utf8_lossy(&loaded.stderr);
        assert!(loaded.status.success(), "{said}");
    }
    let part = |node| trial.part(node).join(format!("of-{node}"));
    for node in [2, 3] {
        content::create(&part(node), 1 << 20, node.into()).unwrap();
    }
    let members: Vec<_> = [2, 3].map(|node| trial.member(node)).into();
    members
        .iter()
        .for_each(|member| trial.wait_for_words(member, "receiving into"));
    let file = trial.file("content", 2 << 20);
    trial.copy(1, &file, &[2, 3]);
    let mut one_port = trial
        .grappe
        .send(trial.cluster.node(1), &trial.file("another", 2 << 20), 2);
    one_port.args(["--control-port", "7172"]);
    lab::process::Process::start(one_port, trial.store.path(), "one-port")
        .unwrap()
        .finish(COPY_MAX)
        .unwrap();
    trial.gather(1, 2).finish(COPY_MAX).unwrap();
    for (node, owner) in [(2, 3), (3, 2)] {
        let copy = trial.arrived(node, &format!("of-{owner}"));
        assert!(content::identical(&part(owner), &copy));
    }
    // Below all ports that the rules name.
    let listen = "import socket; s = socket.create_server(('', 5000)); s.accept()";
    let mut listener = trial.cluster.node(2).command("python3");
    let mut listener = listener.args(["-c", listen]).spawn().unwrap();
    let knock = format!(
        "import socket; socket.create_connection(('{}', 5000), 1)",
        trial.cluster.node(2).address()
    );
    let mut stranger = trial.cluster.node(3).command("python3");
    let knocked = stranger.args(["-c", &knock]).output().unwrap();
    assert!(!knocked.status.success(), "port 5000 is open");
    let said = String::from_utf8_lossy(&knocked.stderr);
    assert!(said.contains("timed out"), "{said}");
    listener.kill().unwrap();
    listener.wait().unwrap();
}

#[test]
fn the_unit_and_the_netboot_image_of_the_manual_are_whole() {
    let Ok(binary) = lab::grappe::Grappe::locate() else {
        return skip("grappe was not built");
    };
    if shell::find("cpio").is_none() {
        return skip("cpio is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("image");
    fs::write(folder.path().join("cluster.key"), "a key").unwrap();
    let unit = recipe("ini", "grappe.service");
    fs::write(folder.path().join("grappe.service"), unit).unwrap();
    let tree = recipe("sh", "install -D -m 600 cluster.key");
    let built = "target/x86_64-unknown-linux-musl/release/grappe";
    let tree = put(&tree, built, &binary.display().to_string());
    // The block stands in a list, so it is indented.
    let archive = recipe("sh", "grappe.img");
    let line = |text: &str| {
        let done = Command::new("bash")
            .args(["-euc", text])
            .current_dir(folder.path())
            .env("IMAGE", &image)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{text}: {said}");
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    line(&tree);
    line(&archive);
    let listed = line("zcat grappe.img | cpio --quiet -t");
    for wanted in [
        "usr/local/bin/grappe",
        "etc/grappe/key",
        "etc/systemd/system/multi-user.target.wants/grappe.service",
        "srv/grappe",
    ] {
        assert!(
            listed.lines().any(|line| line == wanted),
            "{wanted}: {listed}"
        );
    }
    if shell::find("systemd-analyze").is_none() {
        return skip("systemd-analyze is not installed");
    }
    let checked = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(format!("--root={}", image.display()))
        .arg("grappe.service")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(
        checked.status.success() && !said.contains("Unknown"),
        "{said}"
    );
}
