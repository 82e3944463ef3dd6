//! The installer is killed at each of its system calls in turn: the disk then holds the old sector or the
//! new one, and where it holds the new one there is a backup that restores the old.

use std::fs;
use std::path::Path;

use crate::parts::{have, program, tool};
use crate::skip::skip;

/// More system calls than an installation makes.
const CALLS_MAX: usize = 2000;

#[test]
fn killed_at_any_system_call_it_leaves_the_old_sector_or_the_new() {
    if !have(&["strace"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("disk.img");
    let mut old = vec![0x90; 40 << 10];
    old[446..510].fill(0);
    old[510..512].copy_from_slice(&[0x55, 0xaa]);
    let backup = directory.path().join("backup");
    let run = |strace: &[&str]| {
        fs::write(&image, &old).unwrap();
        let _of_the_run_before = fs::remove_file(&backup);
        tool("strace")
            .args(["-qq", "-f", "-o"])
            .args(strace)
            .arg(env!("CARGO_BIN_EXE_reboot-sector"))
            .args(["install", "--delay", "5s", "--backup"])
            .args([&backup, &image])
            .output()
            .unwrap()
    };
    // One run to the end: the names of all calls in their order. strace counts each name by itself.
    let trace = directory.path().join("trace");
    if !run(&[trace.to_str().unwrap()]).status.success() {
        return skip("strace may not trace here");
    }
    let trace = fs::read_to_string(trace).unwrap();
    let name = |line: &str| Some(line.split_once(' ')?.1.trim().split_once('(')?.0.to_owned());
    let calls: Vec<String> = trace.lines().filter_map(name).collect();
    assert!(calls.len() < CALLS_MAX, "{} calls", calls.len());
    let (mut olds, mut news, mut backups, mut killed) = (0, 0, 0, 0);
    for (index, name) in calls.iter().enumerate() {
        let nth = calls[..=index]
            .iter()
            .filter(|other| *other == name)
            .count();
        let call = format!("{name} number {nth}");
        let inject = format!("inject={name}:signal=SIGKILL:when={nth}");
        killed += usize::from(!run(&["/dev/null", "-e", &inject]).status.success());
        let now = fs::read(&image).unwrap();
        assert!(
            now[424..] == old[424..],
            "call {call}: more than code changed"
        );
        if backup.exists() {
            backups += 1;
            assert!(
                restores(&backup, &image, &old),
                "call {call}: the backup does not restore"
            );
        }
        if now[..424] == old[..424] {
            olds += 1;
        } else {
            news += 1;
            assert!(
                backup.exists(),
                "call {call}: written before there was a backup"
            );
            let code: &[u8; 424] = now[..424].try_into().unwrap();
            let ours = reboot_sector::sector::read(code);
            assert!(
                matches!(ours, Some(reboot_sector::sector::Ours::Current(_))),
                "call {call}"
            );
        }
    }
    // All but the call that ends the program, and what strace cannot be asked for.
    assert!(killed + 5 > calls.len(), "{killed} of {}", calls.len());
    assert!(
        olds > 20 && news > 5 && backups > news,
        "{olds} old, {news} new, {backups} backups"
    );
}

fn restores(backup: &Path, image: &Path, old: &[u8]) -> bool {
    let copy = image.with_extension("copy");
    fs::copy(image, &copy).unwrap();
    let out = program()
        .arg("restore")
        .arg(&copy)
        .arg("--backup")
        .arg(backup)
        .output()
        .unwrap();
    out.status.success() && fs::read(&copy).unwrap() == old
}
