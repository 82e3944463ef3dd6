//! The whole point: the network comes first, the disk last, the boot server is down at first. The machine
//! has to come back to the network by itself, again and again, until it boots from there.

use std::fs;
use std::path::Path;

use reboot_sector::efi;
use reboot_sector::emulator::{Machine, Outcome, Running};
use reboot_sector::sector::{Text, Wait};

use crate::parts::{PATIENCE, disk, have, have_qemu, program, settings};
use crate::uefi::{firmware, serial_shows};

/// Resets until the boot server answers.
const FAILURES: usize = 2;

/// Writes 10h to QEMU's exit device: exit code 33. mov dx, f4h; mov al, 10h; out dx, al; jmp $
const NETWORK_PROGRAM: [u8; 8] = [0xba, 0xf4, 0, 0xb0, 0x10, 0xee, 0xeb, 0xfe];

/// Waits for the resets, none of which may fail to come, then lets the file appear.
fn serve_after_failures(running: &mut Running, directory: &Path, name: &str, file: &[u8]) {
    for turn in 1..=FAILURES {
        let outcome = running.wait(PATIENCE * 2).unwrap();
        assert!(matches!(outcome, Outcome::Reset(_)), "failure {turn}: {outcome:?}");
    }
    let part = directory.join("part");
    fs::write(&part, file).unwrap();
    fs::rename(part, directory.join("tftp").join(name)).unwrap();
}

fn network(directory: &Path, name: &str) -> String {
    let tftp = directory.join("tftp");
    fs::create_dir(&tftp).unwrap();
    format!("user,id=net,tftp={},bootfile={name}", tftp.display())
}

/// A PC that boots from the network first, then from a disk with this code.
fn machine(directory: &tempfile::TempDir, code: &[u8]) -> Machine {
    let mut machine = Machine::new("pc", &disk(directory, code));
    machine.reboots = true;
    let network = network(directory.path(), "boot.0");
    machine.more = ["-netdev", &network, "-device", "e1000,netdev=net", "-boot", "order=nc"]
        .map(Into::into)
        .to_vec();
    machine.more.extend(["-device".into(), "isa-debug-exit,iobase=0xf4".into()]);
    machine
}

#[test]
fn a_bios_machine_boots_from_the_network_after_two_failures() {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let machine = machine(&directory, &settings().emit());
    let mut running = machine.start(&directory.path().join("qemu.log")).unwrap();
    serve_after_failures(&mut running, directory.path(), "boot.0", &NETWORK_PROGRAM);
    // No further reset: the third try is the one that boots.
    assert_eq!(running.wait(PATIENCE).unwrap(), Outcome::Ended("exit code 33".to_owned()));
}

#[test]
fn a_uefi_machine_boots_from_the_network_after_two_failures() {
    if !have_qemu() || !have(&["setpriv"]) {
        return;
    }
    let Some(firmware) = firmware() else { return };
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("disk.img");
    let flags = ["--efi", "--gpt", "--delay", "1s"];
    assert!(program().arg("image").arg(&image).args(flags).output().unwrap().status.success());
    let mut machine = firmware.machine(directory.path(), &image);
    machine.reboots = true;
    let network = network(directory.path(), "boot.efi");
    machine.more.extend(
        [
            "-netdev",
            &network,
            "-device",
            "virtio-net-pci,netdev=net,romfile=,bootindex=1",
            "-fw_cfg",
            "name=opt/org.tianocore/IPv6PXESupport,string=n",
        ]
        .map(Into::into),
    );
    let text = Text::new(" s, and this came from the network").unwrap();
    let program = efi::emit(&text, Wait::new(3000, 0).unwrap()).unwrap();
    let mut running = machine.start(&directory.path().join("qemu.log")).unwrap();
    serve_after_failures(&mut running, directory.path(), "boot.efi", &program);
    serial_shows(&mut running, directory.path(), "2999 s, and this came from the network");
}
