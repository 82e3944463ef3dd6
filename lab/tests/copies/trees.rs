//! The cases of `lab tree` that mean something at any size, on a small scale: holes, the union of what
//! nodes lack, every kind of entry, and a stream to devices.

use std::fs::File;

use lab::net::Cluster;
use lab::tree::{self, Settings};
use rustix::fs::{FlockOperation, flock};

#[test]
fn trees_arrive_as_they_are_and_cost_what_is_lacking() {
    if let Some(reason) = Cluster::unavailable() {
        println!("skipped: {reason}");
        return;
    }
    let turn = File::create("/run/grappe-lab.lock").unwrap();
    flock(&turn, FlockOperation::LockExclusive).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut cases = vec!["union", "sparse", "everything"];
    if let Err(reason) = tree::loop_devices() {
        println!("skipped: no stream to devices: {reason}");
    } else {
        cases.push("stream");
    }
    let settings = Settings {
        cases: cases.into_iter().map(String::from).collect(),
        folder: folder.path().to_path_buf(),
        files: 1000,
        large: 16 << 20,
    };
    let mut table = String::new();
    tree::measure(&settings, &mut |line| {
        println!("{line}");
        table.push_str(line);
    })
    .unwrap();
    assert!(!table.contains("MISSED"), "{table}");
}
