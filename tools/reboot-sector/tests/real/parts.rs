//! What several tests need: programs that may be missing, sectors, disks of a few sectors.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use reboot_sector::emulator::{Machine, Outcome, QEMU, Way};
use reboot_sector::sector::{Chain, DEFAULT_ORDER, MethodName, Serial, Settings, Text, Wait};
use tempfile::TempDir;

use crate::skip::skip;

/// Longer than anything takes on a busy machine with two processors; a test that waits so long failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// The sector of earlier years: lidt [0]; int 3.
pub(crate) const HISTORIC: [u8; 7] = [0x0f, 0x01, 0x1e, 0, 0, 0xcd, 0x03];

/// The programs can be run; else the running test is reported as skipped.
pub(crate) fn have(programs: &[&str]) -> bool {
    let found = |program: &&&str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let sbin = [PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")];
        std::env::split_paths(&path)
            .chain(sbin)
            .any(|place| place.join(program).is_file())
    };
    let missing: Vec<_> = programs.iter().filter(|program| !found(program)).collect();
    if !missing.is_empty() {
        skip(&format!("needs {missing:?}, which ./setup installs"));
    }
    missing.is_empty()
}

/// QEMU can be run.
pub(crate) fn have_qemu() -> bool {
    have(&[QEMU, "setpriv"])
}

/// A command with the tools of root in its path.
pub(crate) fn tool(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command
        .env("PATH", format!("{path}:/usr/sbin:/sbin"))
        .env("LC_ALL", "C");
    command
}

/// The program under test.
pub(crate) fn program() -> Command {
    tool(env!("CARGO_BIN_EXE_reboot-sector"))
}

/// Runs the program in `directory` on `image`, with the backup `before`.
pub(crate) fn run_with_backup(directory: &Path, image: &Path, arguments: &[&str]) -> Output {
    let mut command = program();
    let command = command.current_dir(directory).args(arguments).arg(image);
    command.args(["--backup", "before"]).output().unwrap()
}

/// A wait of one second, all methods.
pub(crate) fn settings() -> Settings {
    Settings {
        text: Text::default(),
        wait: Wait::new(1, 0).unwrap(),
        soft_tries: 0,
        serial: None::<Serial>,
        chain: Chain::from_names(&DEFAULT_ORDER, None).unwrap(),
    }
}

/// The same with these methods.
pub(crate) fn settings_with(methods: &[MethodName]) -> Settings {
    Settings {
        chain: Chain::from_names(methods, None).unwrap(),
        ..settings()
    }
}

/// A disk of 1 MiB that begins with `code` and has the mark 55 AA.
pub(crate) fn disk(directory: &TempDir, code: &[u8]) -> PathBuf {
    let path = directory.path().join("disk.img");
    let mut bytes = vec![0; 1 << 20];
    bytes[..code.len()].copy_from_slice(code);
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Boots `machine` and returns how that ended, and what the guest tried.
pub(crate) fn run(machine: &Machine, directory: &Path, limit: Duration) -> (Outcome, Vec<Way>) {
    let mut running = machine.start(&directory.join("qemu.log")).unwrap();
    let outcome = running.wait(limit).unwrap();
    let ways = running.ways();
    (outcome, ways)
}
