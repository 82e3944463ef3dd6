//! A whole node: a real Linux on a UEFI machine installs on disks that have serial numbers, in use as swap,
//! mounted, and under LVM and MD, with its own ACPI table and its own boot options. Then the firmware
//! starts what was installed. One boot serves all of it; what is done there is in `guest-init.sh`.
//! It needs no rights, and none of the kernel below.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reboot_sector::efi::esp::{self, Slice};
use reboot_sector::emulator::{Machine, Outcome, Way};

use crate::parts::{disk, have, have_qemu, run, tool};
use crate::skip::skip;
use crate::tables::{GPT_WITH_ESP, MBR, edit};
use crate::uefi::firmware;

/// A Linux boots in that time, and works for a while, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(600);

/// Modules of the guest's kernel, which pull in others.
const MODULES: [&str; 8] = [
    "virtio_pci",
    "virtio_blk",
    "dm-mod",
    "raid1",
    "vfat",
    "nls_cp437",
    "nls_ascii",
    "efivarfs",
];

/// What `./setup` unpacks for the guest; else the running test is reported as skipped.
fn parts() -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/guest");
    if !place.join("complete").exists() {
        skip("needs a kernel for the guest in target/guest, which ./setup unpacks");
        return None;
    }
    Some(place)
}

/// The only file in `directory` or below whose name `fits`.
fn find(directory: &Path, fits: &dyn Fn(&str) -> bool) -> Option<PathBuf> {
    for entry in fs::read_dir(directory).ok()?.map_while(Result::ok) {
        let path = entry.path();
        let found = if entry.file_type().ok()?.is_dir() {
            find(&path, fits)
        } else {
            fits(&entry.file_name().to_string_lossy()).then_some(path)
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// An archive as Linux unpacks it at its start (Documentation/driver-api/early-userspace/buffer-format.rst).
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    there: BTreeSet<String>,
}

impl Archive {
    fn put(&mut self, name: &str, mode: u32, contents: &[u8]) {
        if !self.there.insert(name.to_owned()) {
            return;
        }
        let (len, name_len) = (contents.len(), name.len() + 1);
        let head = [
            self.there.len(),
            mode as usize,
            0,
            0,
            1,
            0,
            len,
            0,
            0,
            0,
            0,
            name_len,
            0,
        ];
        self.bytes.extend(b"070701");
        for number in head {
            self.bytes.extend(format!("{number:08x}").into_bytes());
        }
        self.bytes.extend(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(contents);
        self.pad();
    }

    fn pad(&mut self) {
        let len = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(len, 0);
    }

    /// A file, and the directories above it.
    fn file(&mut self, name: &str, contents: &[u8]) {
        for (at, _) in name.match_indices('/') {
            self.put(&name[..at], 0o40755, b"");
        }
        self.put(name, 0o100_755, contents);
    }

    /// A program with its libraries, from the system that runs the test.
    fn program(&mut self, path: &Path) {
        let name = path.file_name().unwrap().to_string_lossy();
        self.file(&format!("bin/{name}"), &fs::read(path).unwrap());
        let said = tool("ldd").arg(path).output().unwrap().stdout;
        let said = String::from_utf8_lossy(&said).into_owned();
        for library in said.split_whitespace().filter(|word| word.starts_with('/')) {
            self.file(&library[1..], &fs::read(library).unwrap());
        }
    }

    /// A module behind those that it needs. Numbers keep them in that order.
    fn module(&mut self, modules: &Path, name: &str) {
        // What is not there is built in.
        let Some(path) = find(modules, &|file| file == format!("{name}.ko")) else {
            return;
        };
        if self
            .there
            .iter()
            .any(|there| there.ends_with(&format!("-{name}.ko")))
        {
            return;
        }
        let bytes = fs::read(path).unwrap();
        let key = b"\0depends=";
        let at = bytes
            .windows(key.len())
            .position(|window| window == key)
            .unwrap()
            + key.len();
        let needs: Vec<u8> = bytes[at..]
            .iter()
            .copied()
            .take_while(|byte| *byte != 0)
            .collect();
        for need in String::from_utf8(needs)
            .unwrap()
            .split(',')
            .filter(|need| !need.is_empty())
        {
            self.module(modules, need);
        }
        self.file(
            &format!("modules/{:03}-{name}.ko", self.there.len()),
            &bytes,
        );
    }
}

fn initramfs(parts: &Path, directory: &Path) -> PathBuf {
    let mut archive = Archive::default();
    for place in ["proc", "sys", "dev", "etc/lvm", "esp", "run", "tmp"] {
        archive.file(&format!("{place}/.keep"), b"");
    }
    archive.file("init", include_bytes!("guest-init.sh"));
    archive.file("bin/busybox", &fs::read(parts.join("bin/busybox")).unwrap());
    archive.program(&parts.join("sbin/mdadm"));
    for name in ["lvm", "blkid"] {
        let places = ["/usr/sbin", "/sbin"].map(|place| Path::new(place).join(name));
        archive.program(places.iter().find(|path| path.exists()).unwrap());
    }
    // Most of it tells debuggers something.
    let small = directory.join("reboot-sector");
    let whole = Path::new(env!("CARGO_BIN_EXE_reboot-sector"));
    let made = tool("strip").arg("-o").args([&small, whole]).status();
    assert!(made.unwrap().success());
    archive.program(&small);
    for name in MODULES {
        archive.module(&parts.join("lib/modules"), name);
    }
    archive.put("TRAILER!!!", 0, b"");
    let path = directory.join("initramfs");
    fs::write(&path, archive.bytes).unwrap();
    path
}

/// Disks vda to vdf, as the script expects them.
fn disks(directory: &Path) -> Vec<PathBuf> {
    let disks: Vec<PathBuf> = (1..=6)
        .map(|number| directory.join(format!("{number}.img")))
        .collect();
    for disk in &disks {
        fs::File::create(disk).unwrap().set_len(64 << 20).unwrap();
    }
    let [gpt, _, _, member, mbr, hybrid] = &disks[..] else {
        panic!("there are six");
    };
    edit("sfdisk", &["IMAGE"], gpt, GPT_WITH_ESP);
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(gpt)
        .unwrap();
    esp::format(&mut Slice::new(file, 1 << 20, 16 << 20)).unwrap();
    // A member of an array can hold a table of its own.
    edit("sfdisk", &["IMAGE"], member, MBR);
    edit("sfdisk", &["IMAGE"], mbr, MBR);
    edit("sfdisk", &["IMAGE"], hybrid, GPT_WITH_ESP);
    edit("sgdisk", &["-h", "2:3", "IMAGE"], hybrid, "");
    disks
}

fn attach(machine: &mut Machine, disks: &[PathBuf]) {
    for (number, path) in (1..).zip(disks) {
        let sector = if number == 3 {
            ",logical_block_size=4096,physical_block_size=4096"
        } else {
            ""
        };
        let drive = format!("file={},format=raw,if=none,id=disk{number}", path.display());
        let device = format!("virtio-blk-pci,drive=disk{number},serial=DISK000{number}{sector}");
        machine
            .more
            .extend(["-drive", &drive, "-device", &device].map(Into::into));
    }
}

/// What the script said about one of its tries: its words, and the exit code.
fn said(serial: &str, name: &str) -> (String, i32) {
    let words = serial.split_once(&format!("[{name}\n")).expect(name).1;
    let (words, rest) = words.split_once(&format!("{name}] ")).expect(name);
    (
        words.to_owned(),
        rest.lines().next().unwrap().trim().parse().unwrap(),
    )
}

#[test]
fn a_node_is_installed_by_its_own_linux_and_reset_by_its_own_firmware() {
    if !have_qemu() || !have(&["sfdisk", "sgdisk", "lvm", "blkid", "strip", "ldd"]) {
        return;
    }
    let (Some(mut firmware), Some(parts)) = (firmware(), parts()) else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let here = directory.path();
    let disks = disks(here);
    let none = disk(&directory, &[]);
    let mut machine = firmware.machine(here, &none);
    machine.memory_mib = 320;
    attach(&mut machine, &disks);
    let kernel = find(&parts.join("boot"), &|name| name.starts_with("vmlinuz-")).unwrap();
    let initramfs = initramfs(&parts, here);
    machine.more.extend([
        "-kernel".into(),
        kernel.into(),
        "-initrd".into(),
        initramfs.into(),
    ]);
    machine
        .more
        .extend(["-append", "console=ttyS0 panic=1 quiet"].map(Into::into));
    let (outcome, _) = run(&machine, here, PATIENCE);
    let serial = String::from_utf8_lossy(&fs::read(here.join("serial")).unwrap()).replace('\r', "");
    assert_eq!(
        outcome,
        Outcome::Ended("guest-shutdown".to_owned()),
        "{serial}"
    );
    judge(&serial);

    // The same firmware, with the variables that Linux has set, and no kernel to start.
    firmware.keep_variables(here);
    let mut machine = firmware.machine(here, &none);
    attach(&mut machine, &disks[..1]);
    let (outcome, _) = run(&machine, here, PATIENCE);
    let serial = String::from_utf8_lossy(&fs::read(here.join("serial")).unwrap()).into_owned();
    assert!(
        matches!(outcome, Outcome::Reset(_)),
        "{outcome:?}: {serial}"
    );
    let started = serial.lines().any(|line| {
        line.contains("starting Boot") && line.contains("\"reboot-sector\" from HD(1,GPT,")
    });
    assert!(started, "{serial}");

    // And a BIOS on the same disk, by the register that Linux had shown.
    let (outcome, ways) = run(&Machine::new("q35", &disks[0]), here, PATIENCE);
    assert!(matches!(outcome, Outcome::Reset(_)), "{outcome:?}");
    assert_eq!(ways, [Way::Cf9]);
    let log = fs::read_to_string(here.join("qemu.log")).unwrap();
    assert!(
        log.contains("addr 0xcf9 value 0xf "),
        "by the chipset's own way"
    );
}

fn judge(serial: &str) {
    for (device, name) in [("vde", "mbr"), ("vdf", "hybrid"), ("vda", "gpt")] {
        assert_eq!(said(serial, name).1, 0, "{serial}");
        assert!(serial.contains(&format!("same: {device}\n")), "{serial}");
    }
    for (name, because) in [
        ("lvm-active", "vdb is part of dm-"),
        ("lvm-idle", "it holds an LVM physical volume"),
        ("md-active", "vdd is part of md0"),
        ("md-idle", "it is an MD member as a whole"),
        ("md-old", "it is an MD member as a whole"),
        ("large", "its sectors have 4096 bytes"),
        ("wrong", "its serial number is DISK0001, not DISK9999"),
    ] {
        let (words, code) = said(serial, name);
        assert!(code == 3 && words.contains(because), "{name}: {words}");
    }
    let (words, code) = said(serial, "both");
    assert_eq!(code, 0, "{words}");
    for wanted in [
        "serial DISK0001",
        "vda1 is mounted on /esp",
        "vda2 is in use as swap",
        "vda3 is part of dm-",
        "Linux resets by: acpi; order: acpi,cf9,",
        "ACPI reset: 0x0f to port 0xcf9",
        "Secure Boot is off",
    ] {
        assert!(words.contains(wanted), "{wanted:?} is not in: {words}");
    }
    assert!(
        said(serial, "again")
            .0
            .contains("this very sector was there already"),
        "{serial}"
    );
    let (inspected, _) = said(serial, "inspect");
    let object: serde_json::Value = serde_json::from_str(inspected.trim()).unwrap();
    assert_eq!(object["efi"]["last"], true, "{inspected}");
    assert_eq!(object["efi"]["secure_boot"], false, "{inspected}");
    assert_eq!(
        object["uefi_doubts"].as_array().map(Vec::len),
        Some(0),
        "{inspected}"
    );
    for name in [
        "verify",
        "verify-efi",
        "verify-unmounted",
        "restore",
        "back",
        "verify-back",
    ] {
        assert_eq!(said(serial, name).1, 0, "{name}: {serial}");
    }
    assert_eq!(said(serial, "gone").1, 12, "{serial}");
}
