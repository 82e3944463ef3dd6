//! Disks that sfdisk, parted, sgdisk and mkswap write and edit, before and after an installation: the table
//! and the names stay, and so does the code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use reboot_sector::backup::Backup;

use crate::parts::{have, program, run_with_backup, tool};

fn blank(directory: &Path) -> PathBuf {
    let path = directory.join("disk.img");
    fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
    path
}

/// Runs a tool on the image, which must succeed, and gives what it printed.
pub(crate) fn edit(name: &str, arguments: &[&str], image: &Path, input: &str) -> String {
    let mut command = tool(name);
    let placed = arguments.iter().map(|argument| match *argument {
        "IMAGE" => image.as_os_str().to_owned(),
        other => other.into(),
    });
    command
        .args(placed)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{name} {arguments:?}: {out:?}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

fn install(image: &Path) {
    let out = program()
        .current_dir(image.parent().unwrap())
        .arg("install")
        .arg(image)
        .args(["--delay", "7s"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
}

/// Everything but the code.
fn rest(image: &Path) -> Vec<u8> {
    fs::read(image).unwrap().split_off(424)
}

fn code(image: &Path) -> Vec<u8> {
    fs::read(image).unwrap()[..424].to_vec()
}

fn is_ours(image: &Path) -> bool {
    program()
        .arg("verify")
        .arg(image)
        .output()
        .unwrap()
        .status
        .success()
}

pub(crate) const MBR: &str =
    "label: dos\nlabel-id: 0xdeadbeef\nsize=16MiB, type=82\nsize=16MiB, type=83\n";
/// With an EFI system partition first.
pub(crate) const GPT_WITH_ESP: &str =
    "label: gpt\nsize=16MiB, type=uefi\nsize=8MiB, type=swap\nsize=24MiB\n";
const GPT: &str = "label: gpt\nsize=16MiB, type=swap\nsize=16MiB, type=linux\n";

/// Installs on what was made; blkid, sfdisk and parted see the same as before.
fn installs_without_a_trace(image: &Path) {
    let look = || {
        [
            edit("blkid", &["-p", "IMAGE"], image, ""),
            edit("sfdisk", &["-d", "IMAGE"], image, ""),
            edit("parted", &["-s", "IMAGE", "unit", "s", "print"], image, ""),
        ]
    };
    let (before, seen) = (rest(image), look());
    install(image);
    assert!(rest(image) == before, "more than code changed");
    assert_eq!(look(), seen);
    assert!(is_ours(image));
}

/// An edit that must leave the code alone.
fn survives(name: &str, arguments: &[&str], image: &Path, input: &str) {
    let before = code(image);
    edit(name, arguments, image, input);
    assert!(
        code(image) == before,
        "{name} {arguments:?} changed the code"
    );
    assert!(is_ours(image));
}

#[test]
fn an_mbr_disk_stays_as_it_is_and_keeps_the_code_through_edits() {
    if !have(&["sfdisk", "parted", "blkid"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = blank(directory.path());
    edit("sfdisk", &["IMAGE"], &image, MBR);
    installs_without_a_trace(&image);
    survives(
        "sfdisk",
        &["--append", "IMAGE"],
        &image,
        "size=8MiB, type=83\n",
    );
    survives("sfdisk", &["--activate", "IMAGE", "1"], &image, "");
    survives("sfdisk", &["--delete", "IMAGE", "3"], &image, "");
    survives(
        "parted",
        &["-s", "IMAGE", "set", "2", "boot", "on"],
        &image,
        "",
    );
    survives(
        "parted",
        &["-s", "IMAGE", "mkpart", "primary", "40MiB", "50MiB"],
        &image,
        "",
    );
    survives("parted", &["-s", "IMAGE", "rm", "3"], &image, "");
    // The disk signature, of which PARTUUIDs are made.
    assert_eq!(
        fs::read(&image).unwrap()[440..444],
        [0xef, 0xbe, 0xad, 0xde]
    );
    install(&image);
}

#[test]
fn a_gpt_disk_stays_as_it_is_and_keeps_the_code_through_edits() {
    if !have(&["sfdisk", "parted", "blkid", "sgdisk"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = blank(directory.path());
    edit("sfdisk", &["IMAGE"], &image, GPT);
    installs_without_a_trace(&image);
    survives("sgdisk", &["-n", "3:0:+4M", "IMAGE"], &image, "");
    survives("sgdisk", &["-c", "3:new", "IMAGE"], &image, "");
    survives("parted", &["-s", "IMAGE", "rm", "3"], &image, "");
    survives(
        "parted",
        &["-s", "IMAGE", "disk_set", "pmbr_boot", "on"],
        &image,
        "",
    );
    survives("sfdisk", &["--append", "IMAGE"], &image, "size=8MiB\n");
    assert!(edit("sgdisk", &["-v", "IMAGE"], &image, "").contains("No problems found"));
}

#[test]
fn a_hybrid_disk_stays_as_it_is() {
    if !have(&["sfdisk", "parted", "blkid", "sgdisk"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = blank(directory.path());
    edit("sfdisk", &["IMAGE"], &image, GPT);
    edit("sgdisk", &["-h", "1:2", "IMAGE"], &image, "");
    let out = program()
        .args(["inspect", "--json"])
        .arg(&image)
        .output()
        .unwrap()
        .stdout;
    assert!(String::from_utf8_lossy(&out).contains("\"table\":\"hybrid\""));
    installs_without_a_trace(&image);
    survives("sgdisk", &["-c", "1:new", "IMAGE"], &image, "");
    survives(
        "sfdisk",
        &["--part-label", "IMAGE", "2", "newer"],
        &image,
        "",
    );
    survives(
        "parted",
        &["-s", "IMAGE", "name", "1", "newest"],
        &image,
        "",
    );
    assert!(edit("sgdisk", &["-v", "IMAGE"], &image, "").contains("No problems found"));
}

#[test]
fn disks_made_by_every_tool_stay_as_they_are() {
    if !have(&["sfdisk", "parted", "blkid", "sgdisk"]) {
        return;
    }
    let parted = |label| {
        let part = [
            "mkpart", "primary", "1MiB", "20MiB", "mkpart", "primary", "20MiB", "40MiB",
        ];
        [&["-s", "IMAGE", "mklabel", label][..], &part].concat()
    };
    let sgdisk = [
        "-o", "-n", "1:0:+16M", "-n", "2:0:+8M", "-t", "2:8200", "IMAGE",
    ];
    for (name, arguments) in [
        ("parted", parted("msdos")),
        ("parted", parted("gpt")),
        ("sgdisk", sgdisk.to_vec()),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let image = blank(directory.path());
        edit(name, &arguments, &image, "");
        installs_without_a_trace(&image);
    }
}

#[test]
fn tools_that_start_a_disk_anew_are_seen_by_verify() {
    if !have(&["sfdisk", "parted", "sgdisk", "mkswap", "wipefs"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = blank(directory.path());
    for (name, arguments) in [
        ("parted", &["-s", "IMAGE", "mklabel", "msdos"][..]),
        ("sgdisk", &["-Z", "IMAGE"]),
        ("mkswap", &["-f", "IMAGE"]),
        // The code stays, but without the mark no BIOS boots it.
        ("wipefs", &["-q", "-a", "-f", "IMAGE"]),
    ] {
        fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        edit("sfdisk", &["IMAGE"], &image, MBR);
        install(&image);
        assert!(is_ours(&image));
        edit(name, arguments, &image, "");
        assert!(!is_ours(&image), "{name} {arguments:?}");
    }
}

#[test]
fn mkswap_respects_the_table_and_swap_on_the_whole_disk_is_refused() {
    if !have(&["sfdisk", "mkswap"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = blank(directory.path());
    edit("sfdisk", &["IMAGE"], &image, MBR);
    install(&image);
    // Without --force it leaves a sector with a table alone.
    survives("mkswap", &["IMAGE"], &image, "");
    install(&image);
    let whole = directory.path().join("whole.img");
    fs::File::create(&whole).unwrap().set_len(8 << 20).unwrap();
    edit("mkswap", &["IMAGE"], &whole, "");
    let before = fs::read(&whole).unwrap();
    let refused = program().arg("install").arg(&whole).output().unwrap();
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(fs::read(&whole).unwrap() == before);
}

#[test]
fn a_code_that_begins_with_zero_would_be_replaced_by_parted() {
    if !have(&["sfdisk", "parted"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = blank(directory.path());
    edit("sfdisk", &["IMAGE"], &image, MBR);
    install(&image);
    let mut bytes = fs::read(&image).unwrap();
    bytes[0] = 0;
    fs::write(&image, &bytes).unwrap();
    edit(
        "parted",
        &["-s", "IMAGE", "set", "1", "boot", "on"],
        &image,
        "",
    );
    assert!(
        fs::read(&image).unwrap()[..440] != bytes[..440],
        "the trap is gone, byte 0 could be freed"
    );
}

#[test]
fn restoring_gives_back_every_byte() {
    let directory = tempfile::tempdir().unwrap();
    let image = blank(directory.path());
    let mut bytes = vec![0; 1 << 20];
    bytes[..424].fill(0x90);
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    fs::write(&image, &bytes).unwrap();
    let backup = directory.path().join("backup");
    let run = |arguments: &[&str]| {
        program()
            .current_dir(directory.path())
            .args(arguments)
            .arg(&image)
            .arg("--backup")
            .arg(&backup)
            .output()
            .unwrap()
    };
    assert!(run(&["install"]).status.success());
    assert!(is_ours(&image));
    // A second installation would lose the first backup, so it has to name another file.
    let again = run(&["install", "--delay", "9s"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(run(&["restore"]).status.success());
    assert!(fs::read(&image).unwrap() == bytes);
}

#[test]
fn a_boot_loader_put_there_since_is_not_restored_over_unless_asked_and_never_without_a_backup() {
    let directory = tempfile::tempdir().unwrap();
    let image = blank(directory.path());
    let run = |arguments: &[&str]| run_with_backup(directory.path(), &image, arguments);
    let kept = || {
        let path = directory.path().join("reboot-sector-disk.img.1.backup");
        Backup::read(&path).ok().map(|backup| backup.sector())
    };
    assert!(run(&["install"]).status.success());
    let mut grub = fs::read(&image).unwrap();
    grub[..424].fill(0x90);
    grub[..3].copy_from_slice(&[0xeb, 0x63, 0x90]);
    fs::write(&image, &grub).unwrap();
    for arguments in [&["restore"][..], &["restore", "--whole"]] {
        let refused = run(arguments);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(3), "{said}");
        assert!(
            said.contains("GRUB 2") && said.contains("--replace"),
            "{said}"
        );
        assert!(fs::read(&image).unwrap() == grub);
    }
    assert_eq!(kept(), None);
    let replaced = run(&["restore", "--replace"]);
    let said = String::from_utf8_lossy(&replaced.stderr);
    assert!(replaced.status.success(), "{said}");
    assert!(said.contains("replaces: GRUB 2"), "{said}");
    assert_eq!(kept(), Some(Ok(*grub.first_chunk().unwrap())));
    assert!(fs::read(&image).unwrap()[..512] == [0; 512]);
    // What is there already replaces nothing.
    assert!(run(&["restore"]).status.success());
}

#[test]
fn our_own_code_is_backed_up_as_well_before_another_is_restored() {
    let directory = tempfile::tempdir().unwrap();
    let image = blank(directory.path());
    let run = |command: &str| run_with_backup(directory.path(), &image, &[command]);
    assert!(run("install").status.success());
    let ours = fs::read(&image).unwrap();
    assert!(run("restore").status.success());
    let path = directory.path().join("reboot-sector-disk.img.1.backup");
    let kept = Backup::read(&path).unwrap().sector().unwrap();
    assert!(kept == ours[..512]);
}

#[test]
fn a_backup_that_does_not_arrive_stops_the_installation() {
    let directory = tempfile::tempdir().unwrap();
    let image = blank(directory.path());
    let before = fs::read(&image).unwrap();
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let out = program()
        .args(["install", "--backup", "-"])
        .arg(&image)
        .stdout(full)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    assert!(fs::read(&image).unwrap() == before);
}

#[test]
fn a_dry_run_shows_the_difference_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let image = blank(directory.path());
    let before = fs::read(&image).unwrap();
    let out = program()
        .current_dir(directory.path())
        .args(["install", "--dry-run"])
        .arg(&image)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(
        text.contains("000 - 00 00 00") && text.contains("000 + eb 58 90"),
        "{text}"
    );
    assert!(
        text.contains("lidt") && text.contains("jmp 0F000h:0FFF0h"),
        "{text}"
    );
    assert!(fs::read(&image).unwrap() == before);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn verify_tells_fleets_by_its_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let image = blank(directory.path());
    let verify = || {
        let out = program()
            .args(["verify", "--json"])
            .arg(&image)
            .output()
            .unwrap();
        let object: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        (
            out.status.code().unwrap(),
            object["code"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(verify(), (12, "none".to_owned()));
    fs::write(
        &image,
        [&[0x0f, 0x01, 0x1e, 0, 0, 0xcd, 3][..], &[0; 600]].concat(),
    )
    .unwrap();
    assert_eq!(verify(), (11, "historic-broken".to_owned()));
    install(&image);
    assert_eq!(verify(), (0, "ours".to_owned()));
    let mut bytes = fs::read(&image).unwrap();
    bytes[100] ^= 1;
    fs::write(&image, &bytes).unwrap();
    assert_eq!(verify(), (13, "ours-damaged".to_owned()));
    bytes[100] ^= 1;
    bytes[0x16e] = 200;
    let crc = reboot_sector::checksum::crc32(&bytes[..420]);
    bytes[420..424].copy_from_slice(&crc.to_le_bytes());
    fs::write(&image, &bytes).unwrap();
    assert_eq!(verify(), (10, "ours-old".to_owned()));
}
