//! The EFI application under OVMF: found on a disk by itself, and through the boot option that the plan
//! writes; and the same through a directory that stands for efivarfs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use reboot_sector::efi;
use reboot_sector::efi::found::Application;
use reboot_sector::emulator::{Machine, Outcome, Running};
use reboot_sector::firmware::boot_option::{LoadOption, wide};
use reboot_sector::firmware::boot_order::{Variables, put_last};
use reboot_sector::firmware::live;
use reboot_sector::table::gpt::{Header, Partition};

use crate::parts::{PATIENCE, have_qemu, program, run_with_backup, tool};
use crate::skip::skip;

/// The two halves of the firmware.
pub(crate) struct Firmware {
    code: PathBuf,
    variables: Vec<u8>,
}

/// OVMF; else the running test is reported as skipped.
pub(crate) fn firmware() -> Option<Firmware> {
    let place = Path::new("/usr/share/OVMF");
    let code = place.join("OVMF_CODE_4M.fd");
    let variables = fs::read(place.join("OVMF_VARS_4M.fd"))
        .ok()
        .filter(|_| code.exists());
    if variables.is_none() {
        skip("needs the package ovmf, which ./setup installs");
    }
    Some(Firmware {
        code,
        variables: variables?,
    })
}

impl Firmware {
    /// A machine with its own copy of the variables, and a serial line into the file `serial`.
    pub(crate) fn machine(&self, directory: &Path, image: &Path) -> Machine {
        let variables = directory.join("variables");
        fs::write(&variables, &self.variables).unwrap();
        let mut machine = Machine::new("q35", image);
        machine.memory_mib = 256;
        machine.logs_ports = false;
        machine.more = vec![
            "-drive".into(),
            format!(
                "if=pflash,format=raw,readonly=on,file={}",
                self.code.display()
            )
            .into(),
            "-drive".into(),
            format!("if=pflash,format=raw,file={}", variables.display()).into(),
            "-serial".into(),
            format!("file:{}", directory.join("serial").display()).into(),
        ];
        machine
    }

    /// Goes on with the variables of a machine that ran in `directory`.
    pub(crate) fn keep_variables(&mut self, directory: &Path) {
        self.variables = fs::read(directory.join("variables")).unwrap();
    }

    /// Carries out the plan for these variables, as efivarfs would.
    pub(crate) fn put_last(&mut self, before: &Variables, partition: &Partition) {
        let change = put_last(before, &efi::option(Some(partition))).unwrap();
        for (number, option) in &before.options {
            self.set(&format!("Boot{number:04X}"), option);
        }
        self.set(
            &format!("Boot{:04X}", change.number),
            &change.option.unwrap(),
        );
        let order = change.order.unwrap();
        let order: Vec<u8> = order
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect();
        self.set("BootOrder", &order);
    }

    /// Adds a variable as OVMF keeps them: behind the volume's and the store's header, each with a header
    /// of 60 bytes (edk2, MdeModulePkg/Include/Guid/VariableFormat.h).
    pub(crate) fn set(&mut self, name: &str, value: &[u8]) {
        let mut at = 0x64;
        let number = |bytes: &[u8], at: usize| {
            u32::from_le_bytes(*bytes[at..].first_chunk().unwrap()) as usize
        };
        while self.variables[at..at + 2] == [0xaa, 0x55] {
            let len = 60 + number(&self.variables, at + 36) + number(&self.variables, at + 40);
            at += len.next_multiple_of(4);
        }
        let name = wide(name);
        let mut entry = vec![0xaa, 0x55, 0x3f, 0, 7, 0, 0, 0];
        entry.resize(36, 0);
        entry.extend(u32::try_from(name.len()).unwrap().to_le_bytes());
        entry.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
        // EFI_GLOBAL_VARIABLE
        entry.extend([0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11]);
        entry.extend([0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c]);
        entry.extend(name);
        entry.extend(value);
        self.variables[at..at + entry.len()].copy_from_slice(&entry);
    }
}

/// Looks at the serial line until `wanted` is there; the machine must not reset meanwhile.
pub(crate) fn serial_shows(running: &mut Running, directory: &Path, wanted: &str) {
    let end = Instant::now() + PATIENCE;
    loop {
        let bytes = fs::read(directory.join("serial")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.contains(wanted) {
            return;
        }
        assert!(Instant::now() < end, "{wanted:?} is not in:\n{text}");
        let outcome = running.wait(Duration::from_millis(200)).unwrap();
        assert_eq!(
            outcome,
            Outcome::StillRuns,
            "{wanted:?} was awaited in:\n{text}"
        );
    }
}

fn image(directory: &Path, flags: &[&str]) -> PathBuf {
    let path = directory.join("disk.img");
    let made = program()
        .arg("image")
        .arg(&path)
        .args(flags)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    path
}

#[test]
fn an_image_resets_a_uefi_machine() {
    if !have_qemu() {
        return;
    }
    let Some(firmware) = firmware() else { return };
    for flags in [
        &["--efi", "--gpt", "--delay", "2s"][..],
        &["--efi", "--delay", "2s"],
    ] {
        let directory = tempfile::tempdir().unwrap();
        let image = image(directory.path(), flags);
        let machine = firmware.machine(directory.path(), &image);
        let mut running = machine.start(&directory.path().join("qemu.log")).unwrap();
        assert!(
            matches!(running.wait(PATIENCE).unwrap(), Outcome::Reset(_)),
            "{flags:?}"
        );
        let text = fs::read(directory.path().join("serial")).unwrap();
        assert!(
            String::from_utf8_lossy(&text).contains("1 s to reset"),
            "{flags:?}"
        );
    }
}

/// A GPT image whose EFI system partition holds the application only where a boot option finds it, and
/// that partition.
pub(crate) fn image_without_fallback(directory: &Path) -> (PathBuf, Partition) {
    let path = image(directory, &["--gpt", "--efi", "--delay", "2s"]);
    let partition = partition_of(&path);
    let application = efi::esp::read_from_slice(esp_of(&path), &efi::FALLBACK).unwrap();
    efi::esp::remove_from_slice(esp_of(&path), &efi::FALLBACK).unwrap();
    efi::esp::put_in_slice(esp_of(&path), &efi::PLACE, &application).unwrap();
    (path, partition)
}

/// The first partition of a GPT image.
fn partition_of(image: &Path) -> Partition {
    let bytes = fs::read(image).unwrap();
    let header = Header::read(&bytes[512..1024]).unwrap();
    let entries = &bytes[1024..][..usize::try_from(header.entries_bytes()).unwrap()];
    header.partitions(entries).unwrap().remove(0)
}

fn esp_of(image: &Path) -> efi::esp::Slice {
    let partition = partition_of(image);
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(image)
        .unwrap();
    efi::esp::Slice::new(file, partition.first * 512, partition.sectors() * 512)
}

#[test]
fn the_firmware_starts_the_application_by_its_boot_option() {
    if !have_qemu() {
        return;
    }
    let Some(mut firmware) = firmware() else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let (image, partition) = image_without_fallback(directory.path());
    // The one before it fails.
    let absent = LoadOption {
        description: "absent".to_owned(),
        file: Some("\\EFI\\absent.efi".to_owned()),
        ..efi::option(Some(&partition))
    };
    let before = Variables {
        order: vec![1],
        options: [(1, absent.emit())].into(),
    };
    firmware.put_last(&before, &partition);
    let machine = firmware.machine(directory.path(), &image);
    let mut running = machine.start(&directory.path().join("qemu.log")).unwrap();
    let outcome = running.wait(PATIENCE).unwrap();
    let text = fs::read(directory.path().join("serial")).unwrap();
    let text = String::from_utf8_lossy(&text);
    assert!(matches!(outcome, Outcome::Reset(_)), "{outcome:?} {text}");
    assert!(
        text.contains("failed to load Boot0001 \"absent\"")
            && text.contains("starting Boot0000 \"reboot-sector\""),
        "{text}"
    );
}

#[test]
fn variables_are_written_and_taken_back_in_a_directory_as_in_efivarfs() {
    let directory = tempfile::tempdir().unwrap();
    let guid = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let file = |name: &str| directory.path().join(format!("{name}-{guid}"));
    fs::write(file("BootOrder"), [7, 0, 0, 0, 1, 0]).unwrap();
    fs::write(file("Boot0001"), [7, 0, 0, 0, 9]).unwrap();
    fs::write(file("SecureBoot"), [6, 0, 0, 0, 1]).unwrap();
    assert_eq!(live::secure_boot(directory.path()).unwrap(), Some(true));
    let before = live::variables(directory.path()).unwrap();
    assert_eq!(before.order, [1]);
    let option = efi::option(None);
    live::write(directory.path(), &put_last(&before, &option).unwrap()).unwrap();
    let after = live::variables(directory.path()).unwrap();
    assert_eq!(after.order, [1, 0]);
    assert_eq!(after.options[&0], option.emit());
    assert_eq!(fs::read(file("Boot0001")).unwrap(), [7, 0, 0, 0, 9]);
    live::remove(directory.path(), 0, &[1]).unwrap();
    // The file keeps its length on a plain file system; efivarfs sets it with each write.
    assert!(!file("Boot0000").exists());
}

/// A disk with an EFI system partition, and a directory that stands for efivarfs.
struct Node {
    directory: tempfile::TempDir,
    image: PathBuf,
    device: crate::devices::Loop,
    variables: PathBuf,
}

impl Node {
    /// With no variables yet. `None` where there are no loop devices, and the running test is skipped.
    fn new() -> Option<Self> {
        if !crate::devices::have_loop_devices() {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let image = image(directory.path(), &["--gpt", "--efi"]);
        let variables = directory.path().join("efivars");
        fs::create_dir(&variables).unwrap();
        let device = crate::devices::Loop::new(&image, &[]);
        Some(Self {
            directory,
            image,
            device,
            variables,
        })
    }

    fn variable(&self, name: &str) -> PathBuf {
        let guid = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
        self.variables.join(format!("{name}-{guid}"))
    }

    fn install(&self) -> Output {
        program()
            .current_dir(self.directory.path())
            .arg("install")
            .arg(self.device.path())
            .args(["--both", "--delay", "5s", "--efi-variables"])
            .arg(&self.variables)
            .output()
            .unwrap()
    }

    fn is_refused(&self, because: &str) {
        let refused = self.install();
        assert_eq!(refused.status.code(), Some(3), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains(because), "{said}");
    }

    /// The exit code, and what is said.
    fn verify(&self) -> (i32, String) {
        let out = program()
            .args(["verify", "--efi", "--efi-variables"])
            .args([&self.variables, self.device.path()])
            .output()
            .unwrap();
        let said = String::from_utf8(out.stdout).unwrap();
        (out.status.code().unwrap(), said)
    }
}

#[test]
fn secure_boot_and_an_empty_boot_order_stop_an_installation_before_it_begins() {
    let Some(node) = Node::new() else { return };
    let before = fs::read(&node.image).unwrap();
    let secure_boot = node.variable("SecureBoot");
    fs::write(&secure_boot, [6, 0, 0, 0, 1]).unwrap();
    node.is_refused("Secure Boot is on");
    fs::remove_file(secure_boot).unwrap();
    node.is_refused("efibootmgr -o");
    let order = node.variable("BootOrder");
    assert!(!order.exists());
    fs::write(&order, [7, 0, 0, 0]).unwrap();
    node.is_refused("efibootmgr -o");
    assert_eq!(fs::read(&order).unwrap(), [7, 0, 0, 0]);
    assert_eq!(node.verify(), (12, "none\n".to_owned()));
    assert!(before == fs::read(&node.image).unwrap());
    fs::write(&order, [7, 0, 0, 0, 9, 0]).unwrap();
    let installed = node.install();
    assert_eq!(installed.status.code(), Some(0), "{installed:?}");
    assert_eq!(live::variables(&node.variables).unwrap().order, [9, 0]);
    drop(node.device);
    let after = fs::read(&node.image).unwrap();
    assert_ne!(before[..424], after[..424]);
    assert_eq!(before[424..1 << 20], after[424..1 << 20]);
    let checked = tool("sgdisk").arg("-v").arg(&node.image).output();
    if let Ok(checked) = checked {
        assert!(String::from_utf8_lossy(&checked.stdout).contains("No problems found"));
    }
}

#[test]
fn verify_tells_whether_the_firmware_would_start_the_application_last() {
    let Some(node) = Node::new() else { return };
    let well = || assert_eq!(node.verify(), (0, "ours\n".to_owned()));
    let is_doubted = |because: &str| {
        let (code, said) = node.verify();
        assert!(
            code == 14 && said.starts_with("ours, but ") && said.contains(because),
            "{because}: {code} {said}"
        );
    };
    let order = node.variable("BootOrder");
    fs::write(&order, [7, 0, 0, 0, 9, 0]).unwrap();
    let installed = node.install();
    assert_eq!(installed.status.code(), Some(0), "{installed:?}");
    well();
    let partition = partition_of(&node.image).unique.0;
    let option = node.variable("Boot0000");
    let bytes = fs::read(&option).unwrap();
    let unique = bytes.windows(16).position(|window| window == partition);
    let changed = |at: usize| {
        let mut other = bytes.clone();
        other[at] ^= 1;
        other
    };
    for (path, other, because) in [
        (&order, vec![7, 0, 0, 0, 0, 0, 9, 0], "not the last"),
        (&order, vec![7, 0, 0, 0, 0, 0], "alone"),
        (&option, changed(4), "not active"),
        (&option, changed(unique.unwrap()), "another partition"),
    ] {
        let ours = fs::read(path).unwrap();
        fs::write(path, other).unwrap();
        is_doubted(because);
        fs::write(path, ours).unwrap();
        well();
    }
    let secure_boot = node.variable("SecureBoot");
    fs::write(&secure_boot, [6, 0, 0, 0, 1]).unwrap();
    is_doubted("Secure Boot is on");
    fs::remove_file(&secure_boot).unwrap();
    // What is no file cannot be read.
    for path in [secure_boot, node.variable("Boot0005")] {
        fs::create_dir(&path).unwrap();
        is_doubted("cannot be read");
        fs::remove_dir(&path).unwrap();
    }
    well();
    fs::remove_dir_all(&node.variables).unwrap();
    is_doubted("cannot be read");
}

#[test]
fn of_an_image_only_the_file_is_verified() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(directory.path(), &["--gpt", "--efi"]);
    let verified = program()
        .args(["verify", "--efi", "--efi-variables", "/nowhere"])
        .arg(&image)
        .output()
        .unwrap();
    assert_eq!(verified.status.code(), Some(0), "{verified:?}");
}

/// A GPT image in whose EFI system partition this program is where firmware looks by itself.
fn image_with(directory: &Path, program: &[u8]) -> PathBuf {
    let (path, _) = image_without_fallback(directory);
    efi::esp::put_in_slice(esp_of(&path), &efi::FALLBACK, program).unwrap();
    path
}

#[test]
fn another_program_in_the_place_of_the_application_is_replaced_only_when_asked() {
    let directory = tempfile::tempdir().unwrap();
    let other = [&b"MZ of somebody else"[..], &[7; 5000]].concat();
    let image = image_with(directory.path(), &other);
    let before = fs::read(&image).unwrap();
    let install = |flags: &[&str]| {
        program()
            .current_dir(directory.path())
            .arg("install")
            .arg(&image)
            .args(flags)
            .output()
            .unwrap()
    };
    for flags in [&["--efi"][..], &["--both"], &["--efi", "--dry-run"]] {
        let refused = install(flags);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(3), "{flags:?}: {said}");
        assert!(
            said.contains("EFI/BOOT/BOOTX64.EFI") && said.contains("--replace"),
            "{said}"
        );
        assert!(fs::read(&image).unwrap() == before, "{flags:?}");
    }
    let replaced = install(&["--efi", "--replace"]);
    assert_eq!(replaced.status.code(), Some(0), "{replaced:?}");
    let there = efi::esp::read_from_slice(esp_of(&image), &efi::FALLBACK).unwrap();
    assert_eq!(Application::identify(Some(&there)), Application::Ours);
    // Ours may be renewed without a word.
    assert_eq!(install(&["--efi", "--delay", "9s"]).status.code(), Some(0));
}

#[test]
fn a_program_of_others_stays_when_the_application_is_removed() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(directory.path(), &["--gpt", "--efi"]);
    let restore = || {
        program()
            .current_dir(directory.path())
            .arg("restore")
            .arg(&image)
            .args(["--efi", "--backup", "before"])
            .output()
            .unwrap()
    };
    let installed = program()
        .current_dir(directory.path())
        .arg("install")
        .arg(&image)
        .args(["--both", "--backup", "before"])
        .output()
        .unwrap();
    assert_eq!(installed.status.code(), Some(0), "{installed:?}");
    let removed = restore();
    assert_eq!(removed.status.code(), Some(0), "{removed:?}");
    assert!(efi::esp::read_from_slice(esp_of(&image), &efi::FALLBACK).is_err());
    let other = b"MZ of somebody else";
    efi::esp::put_in_slice(esp_of(&image), &efi::FALLBACK, other).unwrap();
    let stayed = restore();
    assert_eq!(stayed.status.code(), Some(0), "{stayed:?}");
    let said = String::from_utf8_lossy(&stayed.stderr);
    assert!(
        said.contains("EFI/BOOT/BOOTX64.EFI is another program, and stays"),
        "{said}"
    );
    assert!(stayed.stdout == b"this very sector was there already\n");
    let there = efi::esp::read_from_slice(esp_of(&image), &efi::FALLBACK).unwrap();
    assert_eq!(there, other);
}

#[test]
fn a_boot_loader_put_there_since_does_not_keep_the_efi_part_from_being_removed() {
    let directory = tempfile::tempdir().unwrap();
    let image = image(directory.path(), &["--gpt", "--efi"]);
    let run = |arguments: &[&str]| run_with_backup(directory.path(), &image, arguments);
    let installed = run(&["install", "--both"]);
    assert_eq!(installed.status.code(), Some(0), "{installed:?}");
    let mut bytes = fs::read(&image).unwrap();
    bytes[..424].fill(0x90);
    bytes[..3].copy_from_slice(&[0xeb, 0x63, 0x90]);
    fs::write(&image, &bytes).unwrap();
    // Whoever asks for the sector alone, or for all of it, is refused.
    for flags in [&["restore"][..], &["restore", "--efi", "--whole"]] {
        let refused = run(flags);
        assert_eq!(refused.status.code(), Some(3), "{refused:?}");
        assert!(fs::read(&image).unwrap() == bytes, "{flags:?}");
    }
    let tried = run(&["restore", "--efi", "--dry-run"]);
    assert_eq!(tried.status.code(), Some(0), "{tried:?}");
    assert!(fs::read(&image).unwrap() == bytes);
    let removed = run(&["restore", "--efi"]);
    let said = String::from_utf8_lossy(&removed.stderr);
    assert_eq!(removed.status.code(), Some(0), "{said}");
    assert!(said.contains("GRUB 2") && said.contains("stays"), "{said}");
    assert!(removed.stdout == b"removed the EFI application\n");
    assert!(fs::read(&image).unwrap()[..512] == bytes[..512]);
    assert!(efi::esp::read_from_slice(esp_of(&image), &efi::FALLBACK).is_err());
}
