//! The installer is killed at each of its system calls in turn: the disk then holds the old sector or the
//! new one, and where it holds the new one there is a backup that restores the old.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Output;

use reboot_sector::efi;
use reboot_sector::firmware::boot_order;
use reboot_sector::firmware::live;
use reboot_sector::sector::{Text, Wait};

use crate::devices::{After, Loop, have_loop_devices};
use crate::parts::{have, program, tool};
use crate::skip::skip;
use crate::tables::{GPT_WITH_ESP, edit};

/// Calls that change a file, a directory or a variable. A kill at another one finds what these left.
const CHANGES: [&str; 11] = [
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "rename",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "ioctl",
];

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
    let Some(calls) = calls(&run, directory.path()) else {
        return;
    };
    let (mut olds, mut news, mut backups, mut killed) = (0, 0, 0, 0);
    for (name, nth) in &calls {
        let call = format!("{name} number {nth}");
        killed += usize::from(
            !run(&["/dev/null", "-e", &kill_at(name, *nth)])
                .status
                .success(),
        );
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

/// One run to the end: the names of all calls in their order, each with its number among those of its
/// name, as strace counts them. Else the running test is reported as skipped.
fn calls(run: &dyn Fn(&[&str]) -> Output, directory: &Path) -> Option<Vec<(String, usize)>> {
    let trace = directory.join("trace");
    if !run(&[trace.to_str().unwrap()]).status.success() {
        skip("strace may not trace here");
        return None;
    }
    let trace = fs::read_to_string(trace).unwrap();
    let name = |line: &str| Some(line.split_once(' ')?.1.trim().split_once('(')?.0.to_owned());
    let mut counts = BTreeMap::new();
    let mut calls = Vec::new();
    for name in trace.lines().filter_map(name) {
        let count = counts.entry(name.clone()).or_insert(0);
        *count += 1;
        calls.push((name, *count));
    }
    assert!(calls.len() < CALLS_MAX, "{} calls", calls.len());
    Some(calls)
}

fn kill_at(name: &str, nth: usize) -> String {
    format!("inject={name}:signal=SIGKILL:when={nth}")
}

fn restores(backup: &Path, image: &Path, old: &[u8]) -> bool {
    let copy = image.with_extension("copy");
    fs::copy(image, &copy).unwrap();
    let out = program()
        .current_dir(image.parent().unwrap())
        .arg("restore")
        .arg(&copy)
        .arg("--backup")
        .arg(backup)
        .output()
        .unwrap();
    out.status.success() && fs::read(&copy).unwrap() == old
}

/// A disk whose EFI system partition is mounted, and a directory that stands for efivarfs. The file system is
/// ext4, as not every kernel has FAT; the program asks for no more than files.
#[test]
fn killed_while_it_installs_for_uefi_the_firmware_never_finds_a_half() {
    if !have_loop_devices() || !have(&["strace", "mkfs.ext4", "sfdisk"]) {
        return;
    }
    // In memory where that is possible: every run syncs several times.
    let directory = tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let here = directory.path();
    let image = here.join("disk.img");
    fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
    edit("sfdisk", &["IMAGE"], &image, GPT_WITH_ESP);
    let old = fs::read(&image).unwrap()[..512].to_vec();
    let device = Loop::new(&image, &[]);
    let part = device.partition(1);
    crate::devices::run("mkfs.ext4", &["-q".as_ref(), part.as_os_str()]);
    let root = here.join("esp");
    fs::create_dir(&root).unwrap();
    crate::devices::run("mount", &[part.as_os_str(), root.as_os_str()]);
    let _unmount = After("umount", vec![root.clone()]);

    let (variables, backup) = (here.join("efivars"), here.join("backup"));
    let guid = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let application = efi::emit(&Text::default(), Wait::new(5, 0).unwrap()).unwrap();
    let start_over = || {
        let _may_be_absent = fs::remove_dir_all(&variables);
        let _may_be_absent = fs::remove_dir_all(root.join("EFI"));
        let _may_be_absent = fs::remove_file(&backup);
        fs::create_dir(&variables).unwrap();
        let put =
            |name: &str, bytes: &[u8]| fs::write(variables.join(format!("{name}-{guid}")), bytes);
        put("BootOrder", &[7, 0, 0, 0, 9, 0]).unwrap();
        put("Boot0009", &[7, 0, 0, 0, 1]).unwrap();
        let mut disk = fs::File::options().write(true).open(device.path()).unwrap();
        disk.write_all(&old).unwrap();
    };
    let run = |strace: &[&str]| {
        start_over();
        tool("strace")
            .args(["-qq", "-f", "-o"])
            .args(strace)
            .arg(env!("CARGO_BIN_EXE_reboot-sector"))
            .args(["install", "--both", "--delay", "5s", "--backup"])
            .args([
                &backup,
                device.path(),
                Path::new("--efi-variables"),
                &variables,
            ])
            .output()
            .unwrap()
    };
    // How far it came: nothing, the file, the option, the order, the sector.
    let stage = |call: &str| {
        let found = live::variables(&variables).unwrap();
        assert_eq!(found.order.first(), Some(&9), "{call}");
        let ours = boot_order::find(&found, &efi::option(None));
        let whole = fs::read(efi::esp::path_below(&root, &efi::PLACE))
            .is_ok_and(|file| file == application);
        let ordered = ours.is_some_and(|number| found.order.contains(&number));
        let written = fs::read(device.path()).unwrap()[..424] != old[..424];
        let stages = [whole, ours.is_some(), ordered, written];
        let done = stages.iter().take_while(|done| **done).count();
        assert!(
            stages[done..].iter().all(|done| !done),
            "{call}: {stages:?}"
        );
        assert!(!written || backup.exists(), "{call}");
        done
    };
    let Some(calls) = calls(&run, here) else {
        return;
    };
    assert_eq!(stage("none"), 4);
    let mut seen = [0; 5];
    for (name, nth) in calls.iter().filter(|(name, _)| CHANGES.contains(&&**name)) {
        run(&["/dev/null", "-e", &kill_at(name, *nth)]);
        seen[stage(&format!("{name} number {nth}"))] += 1;
    }
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}
