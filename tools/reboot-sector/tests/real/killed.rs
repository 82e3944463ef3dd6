//! The installer is killed at each of its system calls in turn: the disk then holds the old sector or the
//! new one, and where it holds the new one there is a backup that restores the old.

use std::fs;
use std::path::Path;

use crate::parts::{have, program, tool};

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
    let (mut olds, mut news, mut backups) = (0, 0, 0);
    for call in 1..CALLS_MAX {
        fs::write(&image, &old).unwrap();
        let _of_the_run_before = fs::remove_file(&backup);
        let traced = tool("strace")
            .args(["-qq", "-f", "-o", "/dev/null"])
            .arg("-e")
            .arg(format!("inject=all:signal=SIGKILL:when={call}"))
            .arg(env!("CARGO_BIN_EXE_reboot-sector"))
            .args(["install", "--delay", "5s", "--backup"])
            .args([&backup, &image])
            .output()
            .unwrap();
        let now = fs::read(&image).unwrap();
        assert!(now[424..] == old[424..], "call {call}: more than code changed");
        if backup.exists() {
            backups += 1;
            assert!(restores(&backup, &image, &old), "call {call}: the backup does not restore");
        }
        if now[..424] == old[..424] {
            olds += 1;
        } else {
            news += 1;
            assert!(backup.exists(), "call {call}: written before there was a backup");
            let code: &[u8; 424] = now[..424].try_into().unwrap();
            let ours = reboot_sector::sector::read(code);
            assert!(matches!(ours, Some(reboot_sector::sector::Ours::Current(_))), "call {call}");
        }
        if traced.status.success() {
            assert!(olds > 20 && news > 2 && backups > news, "{olds} {news} {backups}");
            return;
        }
    }
    panic!("the installation never ended by itself");
}

fn restores(backup: &Path, image: &Path, old: &[u8]) -> bool {
    let copy = image.with_extension("copy");
    fs::copy(image, &copy).unwrap();
    let out = program().arg("restore").arg(&copy).arg("--backup").arg(backup).output().unwrap();
    out.status.success() && fs::read(&copy).unwrap() == old
}
