//! The whole point: the network comes first, the disk last, the boot server is down at first. The machine
//! has to come back to the network by itself, again and again, until it boots from there.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use reboot_sector::efi;
use reboot_sector::emulator::{Machine, Outcome, Running};
use reboot_sector::firmware::boot_option::wide;
use reboot_sector::firmware::boot_order::Variables;
use reboot_sector::sector::{Settings, Text, Wait};

use crate::machines::hangs;
use crate::parts::{HISTORIC, PATIENCE, disk, have_qemu, settings};
use crate::uefi::{firmware, image_without_fallback, serial_shows};

/// Resets until the boot server answers.
const FAILURES: usize = 2;
/// Seconds that the disk waits, in which the file appears.
const COUNTDOWN: u32 = 4;

/// Writes 10h to QEMU's exit device: exit code 33. mov dx, f4h; mov al, 10h; out dx, al; jmp $
const NETWORK_PROGRAM: [u8; 8] = [0xba, 0xf4, 0, 0xb0, 0x10, 0xee, 0xeb, 0xfe];

/// Lets the file appear in one step.
fn serve(directory: &Path, name: &str, file: &[u8]) {
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
    machine.more = [
        "-netdev",
        &network,
        "-device",
        "e1000,netdev=net",
        "-boot",
        "order=nc",
    ]
    .map(Into::into)
    .to_vec();
    machine
        .more
        .extend(["-device".into(), "isa-debug-exit,iobase=0xf4".into()]);
    machine
}

/// How often SeaBIOS says so on its debug console.
fn count(directory: &Path, words: &str) -> usize {
    let text = fs::read(directory.join("seabios")).unwrap_or_default();
    String::from_utf8_lossy(&text).matches(words).count()
}

/// Waits until the disk was booted after the last failure. The sector still counts down then, so the file
/// that the test serves next is there before the network is tried again.
fn fails(running: &mut Running, boots: impl Fn() -> usize) {
    let end = Instant::now() + PATIENCE;
    while boots() < FAILURES {
        let outcome = running.wait(Duration::from_millis(100)).unwrap();
        assert!(!matches!(outcome, Outcome::Ended(_)), "{outcome:?}");
        assert!(Instant::now() < end, "{} boots of the disk", boots());
    }
}

#[test]
fn a_bios_machine_boots_from_the_network_after_two_failures() {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings {
        wait: Wait::new(COUNTDOWN, 0).unwrap(),
        ..settings()
    };
    let mut machine = machine(&directory, &settings.emit());
    let console = directory.path().join("seabios");
    let console = format!("file,id=seabios,path={}", console.display());
    let device = "isa-debugcon,iobase=0x402,chardev=seabios";
    machine
        .more
        .extend(["-chardev", &console, "-device", device].map(Into::into));
    let mut running = machine.start(&directory.path().join("qemu.log")).unwrap();
    // SeaBIOS adds resets of its own, so boots are counted, not resets.
    fails(&mut running, || {
        count(directory.path(), "Booting from Hard Disk")
    });
    serve(directory.path(), "boot.0", &NETWORK_PROGRAM);
    let mut outcome = running.wait(PATIENCE).unwrap();
    while let Outcome::Reset(_) = outcome {
        outcome = running.wait(PATIENCE).unwrap();
    }
    assert_eq!(outcome, Outcome::Ended("exit code 33".to_owned()));
    assert_eq!(count(directory.path(), "Booting from Hard Disk"), FAILURES);
    assert_eq!(count(directory.path(), "Booting from ROM"), FAILURES + 1);
}

#[test]
fn a_bios_machine_with_the_historic_sector_never_comes_back() {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let machine = machine(&directory, &HISTORIC);
    let mut running = machine.start(&directory.path().join("qemu.log")).unwrap();
    // The boot server comes back, and nobody asks it.
    hangs(&mut running, || {
        serve(directory.path(), "boot.0", &NETWORK_PROGRAM);
    });
}

/// A boot option for PXE over IPv4 on the card at PCI 0:5.0 (UEFI 2.10, 10.3).
fn network_option() -> Vec<u8> {
    let mut card = vec![2, 1, 12, 0, 0xd0, 0x41, 3, 10, 0, 0, 0, 0]; // PciRoot(0)
    card.extend([1, 1, 6, 0, 0, 5]); // Pci(5,0)
    card.extend([3, 11, 37, 0, 0x52, 0x54, 0, 0x12, 0x34, 0x56]); // MAC
    card.extend([0; 26]);
    card.push(1);
    card.extend([3, 12, 27, 0]); // IPv4
    card.extend([0; 23]);
    card.extend([0x7f, 0xff, 4, 0]);
    let mut option = vec![1, 0, 0, 0];
    option.extend(u16::try_from(card.len()).unwrap().to_le_bytes());
    option.extend(wide("network"));
    option.extend(card);
    option
}

#[test]
fn a_uefi_machine_boots_from_the_network_after_two_failures() {
    if !have_qemu() {
        return;
    }
    let Some(mut firmware) = firmware() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let (image, partition) = image_without_fallback(directory.path());
    let options = [(0, network_option())].into();
    firmware.put_last(
        &Variables {
            order: vec![0],
            options,
        },
        &partition,
    );
    let mut machine = firmware.machine(directory.path(), &image);
    machine.reboots = true;
    let network = network(directory.path(), "boot.efi");
    let card = "virtio-net-pci,netdev=net,romfile=,addr=5,mac=52:54:00:12:34:56";
    machine
        .more
        .extend(["-netdev", &network, "-device", card].map(Into::into));
    let mut running = machine.start(&directory.path().join("qemu.log")).unwrap();
    let line = directory.path().join("serial");
    let times = |words: &str| {
        let bytes = fs::read(&line).unwrap_or_default();
        String::from_utf8_lossy(&bytes).matches(words).count()
    };
    let disk = "starting Boot0001 \"reboot-sector\"";
    fails(&mut running, || times(disk));
    let text = Text::new(" s, and this came from the network").unwrap();
    let program = efi::emit(&text, Wait::new(3000, 0).unwrap()).unwrap();
    serve(directory.path(), "boot.efi", &program);
    let outcome = running.wait(PATIENCE).unwrap();
    assert!(matches!(outcome, Outcome::Reset(_)), "{outcome:?}");
    // No further reset: the third try is the one that boots.
    serial_shows(
        &mut running,
        directory.path(),
        "2999 s, and this came from the network",
    );
    let serial = fs::read_to_string(&line).unwrap_or_default();
    assert_eq!(times(disk), FAILURES, "{serial}");
    assert_eq!(times("1 s to reset"), FAILURES, "{serial}");
    assert_eq!(times("Start PXE over IPv4"), FAILURES + 1, "{serial}");
    let failed = "failed to load Boot0000 \"network\"";
    assert_eq!(times(failed), FAILURES, "{serial}");
}
