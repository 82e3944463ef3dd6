//! What all tests here begin with: a cluster, a store, a key, a file, and receivers that are up.
//!
//! A failing step panics with the last words of the program, which is what one wants to read first.

#![expect(
    clippy::unwrap_used,
    reason = "steps of tests: to panic is to fail the test"
)]

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use lab::content;
use lab::grappe::{Grappe, Report};
use lab::net::{Cluster, Plan};
use lab::process::Process;
use lab::store::Store;
use rustix::fs::{FlockOperation, flock};

/// No copy here takes more than a few seconds on a quiet machine; this is for a busy one.
pub(crate) const COPY_MAX: Duration = Duration::from_secs(90);

/// Time that receivers get to come up.
const RECEIVER_START: Duration = Duration::from_millis(1500);

/// What the largest test holds at a time; memory is taken as it is filled.
const STORE_BYTES: u64 = 2 << 30;

/// A cluster with the files and keys for one test. Fields are dropped in order: processes first.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) cluster: Cluster,
    pub(crate) store: Store,
    pub(crate) grappe: Grappe,
    _turn: File,
}

impl Trial {
    /// Builds the cluster of `plan`; `None`, with the reason printed, where that is not possible.
    pub(crate) fn new(plan: &Plan) -> Option<Self> {
        if let Some(reason) = Cluster::unavailable() {
            println!("skipped: {reason}"); // `setup` lists it once for all of these
            return None;
        }
        // Shaped links and time limits mean little when several tests share two processors.
        let turn = File::create("/run/grappe-lab.lock").unwrap();
        flock(&turn, FlockOperation::LockExclusive).unwrap();

        let store = Store::mount(STORE_BYTES).unwrap();
        let grappe = Grappe::with_new_key(store.path()).unwrap();
        let cluster = Cluster::build(plan).unwrap();
        Some(Self {
            cluster,
            store,
            grappe,
            _turn: turn,
        })
    }

    /// Makes a file to copy; the name is also what its content depends on.
    pub(crate) fn file(&self, name: &str, bytes: u64) -> PathBuf {
        let path = self.store.path().join(name);
        content::create(&path, bytes, name.len() as u64).unwrap();
        path
    }

    /// Starts `grappe receive` on these nodes and gives it time to come up.
    pub(crate) fn receivers(&self, nodes: &[u8]) -> Vec<Process> {
        let receivers = nodes
            .iter()
            .map(|&node| self.receiver(node, &self.disk_of(node)))
            .collect();
        thread::sleep(RECEIVER_START);
        receivers
    }

    /// Starts `grappe receive` on one node, without waiting.
    pub(crate) fn receiver(&self, node: u8, into: &Path) -> Process {
        fs::create_dir_all(into).unwrap();
        let command = self.grappe.receive(self.cluster.node(node), into);
        Process::start(command, self.store.path(), &format!("receive-n{node}")).unwrap()
    }

    /// Starts `grappe send` on a node.
    pub(crate) fn sender(&self, node: u8, file: &Path, expect: u8) -> Process {
        let command = self.grappe.send(self.cluster.node(node), file, expect);
        Process::start(command, self.store.path(), &format!("send-n{node}")).unwrap()
    }

    /// Starts `grappe receive` on nodes that multicast may not reach, and gives it time to come up.
    pub(crate) fn receivers_by_address(&self, nodes: &[u8]) -> Vec<Process> {
        let start = |node: &u8| {
            let into = self.disk_of(*node);
            fs::create_dir_all(&into).unwrap();
            let command = (self.grappe).receive_as_address(self.cluster.node(*node), &into);
            Process::start(command, self.store.path(), &format!("receive-n{node}")).unwrap()
        };
        let receivers = nodes.iter().map(start).collect();
        thread::sleep(RECEIVER_START);
        receivers
    }

    /// Starts `grappe send` on a node, to nodes called by their addresses, with more flags.
    pub(crate) fn sender_to(&self, node: u8, file: &Path, to: &[u8], flags: &[&str]) -> Process {
        let to: Vec<_> = to
            .iter()
            .map(|node| self.cluster.node(*node).address())
            .collect();
        let mut command = self.grappe.send_to(self.cluster.node(node), file, &to);
        command.args(flags);
        Process::start(command, self.store.path(), &format!("send-n{node}")).unwrap()
    }

    /// Sends from a node, wants success and the file whole on each of `to`.
    pub(crate) fn copy(&self, from: u8, file: &Path, to: &[u8]) -> Report {
        let mut sender = self.sender(from, file, to.len() as u8);
        sender.finish(COPY_MAX).unwrap();
        for &node in to {
            self.assert_whole(node, file);
        }
        Report::parse(&sender.output()).unwrap()
    }

    /// Wants the file, byte for byte, under its own name in the node's folder.
    pub(crate) fn assert_whole(&self, node: u8, file: &Path) {
        let copy = self.copy_of(node, file);
        assert!(
            content::identical(file, &copy),
            "{} is not the same",
            copy.display()
        );
    }

    /// Where a node's copy of the file belongs.
    pub(crate) fn copy_of(&self, node: u8, file: &Path) -> PathBuf {
        self.disk_of(node).join(file.file_name().unwrap())
    }

    /// Waits until a node has received this many bytes more than it had at first sight.
    pub(crate) fn wait_for_bytes(&self, node: u8, bytes: u64) {
        let node = self.cluster.node(node);
        let before = node.received_bytes().unwrap();
        let deadline = Instant::now() + COPY_MAX;
        while node.received_bytes().unwrap() < before + bytes {
            assert!(
                Instant::now() < deadline,
                "{} receives nothing",
                node.name()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The folder that a node shares in a gather.
    pub(crate) fn part(&self, node: u8) -> PathBuf {
        let part = self.store.path().join(format!("part-n{node}"));
        fs::create_dir_all(&part).unwrap();
        part
    }

    /// Starts `grappe receive` on a node that shares its part, without waiting.
    pub(crate) fn member(&self, node: u8) -> Process {
        let into = self.disk_of(node);
        fs::create_dir_all(&into).unwrap();
        let mut command = self.grappe.receive(self.cluster.node(node), &into);
        command.arg("--share").arg(self.part(node));
        Process::start(command, self.store.path(), &format!("member-n{node}")).unwrap()
    }

    /// Starts `grappe gather` on a node, of so many.
    pub(crate) fn gather(&self, node: u8, nodes: u8) -> Process {
        let command = self.grappe.gather(self.cluster.node(node), nodes);
        Process::start(command, self.store.path(), &format!("gather-n{node}")).unwrap()
    }

    /// What arrived at a node as `path`.
    pub(crate) fn arrived(&self, node: u8, path: &str) -> PathBuf {
        self.disk_of(node).join(path)
    }

    /// Bytes that came to a node since the cluster was built.
    pub(crate) fn received(&self, node: u8) -> u64 {
        self.cluster.node(node).received_bytes().unwrap()
    }

    /// Waits until a program has said something on standard error.
    pub(crate) fn wait_for_words(&self, process: &Process, words: &str) {
        let deadline = Instant::now() + COPY_MAX;
        while !process.messages().contains(words) {
            assert!(
                Instant::now() < deadline,
                "never said {words:?}: {}",
                process.messages()
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The folder that stands for a node's own disk.
    pub(crate) fn disk_of(&self, node: u8) -> PathBuf {
        self.store.path().join(format!("n{node}"))
    }
}

/// Says that the running test is skipped and why, also in the file that `GRAPPE_SKIPPED` names.
pub(crate) fn skip(reason: &str) {
    let thread = thread::current();
    let line = format!("{}: {reason}", thread.name().unwrap_or("a test"));
    println!("skipped: {line}");
    let Some(list) = std::env::var_os("GRAPPE_SKIPPED") else {
        return;
    };
    let mut list = OpenOptions::new()
        .create(true)
        .append(true)
        .open(list)
        .unwrap();
    list.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Ends a copy that is expected to fail in part: exit code 1, and a report all the same.
pub(crate) fn finish_with_losses(sender: &mut Process) -> Report {
    let status = sender
        .wait(COPY_MAX)
        .unwrap()
        .expect("the sender ends in time");
    assert_eq!(status.code(), Some(1), "{}", sender.messages());
    Report::parse(&sender.output()).unwrap()
}
