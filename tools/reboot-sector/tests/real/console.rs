//! What a person sees and does: the countdown on screen and serial line, keys, jitter; and a sector that
//! is entered with odd registers, or on a machine whose timer is dead.

use std::fs;
use std::time::{Duration, Instant};

use reboot_sector::emulator::{Machine, Outcome, Running, Way};
use reboot_sector::sector::{Settings, Text, Wait};
use tempfile::TempDir;

use crate::parts::{PATIENCE, disk, have_qemu, program, run, settings};

/// No test waits until this has passed: a reset before it was asked for by a key.
const LONG: u32 = 3000;

fn waiting(seconds: u32, text: &str) -> Settings {
    let wait = Wait::new(seconds, 0).unwrap();
    Settings {
        wait,
        text: Text::new(text).unwrap(),
        ..settings()
    }
}

fn start(directory: &TempDir, settings: &Settings) -> Running {
    let machine = Machine::new("pc", &disk(directory, &settings.emit()));
    machine.start(&directory.path().join("qemu.log")).unwrap()
}

/// Looks at the screen until `wanted` is there.
fn see(running: &mut Running, wanted: &str) -> String {
    let end = Instant::now() + PATIENCE;
    loop {
        let screen = running.screen().unwrap();
        if screen.contains(wanted) {
            return screen;
        }
        assert!(Instant::now() < end, "{wanted:?} is not on:\n{screen}");
        let outcome = running.wait(Duration::from_millis(100)).unwrap();
        assert_eq!(
            outcome,
            Outcome::StillRuns,
            "{wanted:?} was awaited on:\n{screen}"
        );
    }
}

#[test]
fn the_countdown_is_on_the_screen_and_any_key_resets_now() {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut running = start(&directory, &waiting(LONG, " s, says a test"));
    see(&mut running, "3000 s, says a test");
    see(&mut running, "2998 s, says a test");
    running.press("a").unwrap();
    assert!(matches!(running.wait(PATIENCE).unwrap(), Outcome::Reset(_)));
}

#[test]
fn escape_goes_on_to_the_next_device() {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut running = start(&directory, &waiting(LONG, " s, says a test"));
    see(&mut running, "2999 s, says a test");
    running.press("esc").unwrap();
    see(&mut running, "No bootable device");
}

#[test]
fn the_countdown_is_on_the_serial_line_when_asked_for() {
    if !have_qemu() {
        return;
    }
    for (serial, seen) in [
        (Some("com1"), true),
        (Some("com1:9600"), true),
        (None, false),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let line = directory.path().join("serial");
        let serial = serial.map(|serial| serial.parse().unwrap());
        let settings = Settings {
            serial,
            ..waiting(2, " s, says a test ")
        };
        let mut machine = Machine::new("pc", &disk(&directory, &settings.emit()));
        machine.more = vec!["-serial".into(), format!("file:{}", line.display()).into()];
        let (outcome, _) = run(&machine, directory.path(), PATIENCE);
        assert!(matches!(outcome, Outcome::Reset(_)));
        let text = String::from_utf8_lossy(&fs::read(line).unwrap()).into_owned();
        assert_eq!(
            text.contains("2 s, says a test \r1 s, says a test \r"),
            seen,
            "{text:?}"
        );
    }
}

#[test]
fn two_nodes_wait_differently_and_each_always_the_same() {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = |name: &str, node: &str| {
        let path = directory.path().join(name);
        let flags = [
            "--delay",
            "1000s",
            "--jitter",
            "600s",
            "--size",
            "4MiB",
            "--jitter-from",
            node,
        ];
        let made = program()
            .arg("image")
            .arg(&path)
            .args(flags)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        path
    };
    let first_seconds = |path: &std::path::Path| {
        let machine: Machine = Machine::new("pc", path);
        let mut running = machine.start(&directory.path().join("qemu.log")).unwrap();
        let screen = see(&mut running, " s to reset");
        let line = screen
            .lines()
            .find(|line| line.contains(" s to reset"))
            .unwrap();
        let number: u32 = line.split_whitespace().next().unwrap().parse().unwrap();
        assert!((990..=1600).contains(&number), "{line}");
        number
    };
    let (one, two) = (image("one", "node01"), image("two", "node02"));
    let inspected = |path: &std::path::Path| {
        let out = program()
            .args(["inspect", "--json"])
            .arg(path)
            .output()
            .unwrap()
            .stdout;
        let object: serde_json::Value = serde_json::from_slice(&out).unwrap();
        object["wait_seconds"].as_u64().unwrap()
    };
    assert_eq!(inspected(&one), inspected(&image("again", "node01")));
    // Hashes of the two names lie further apart than a slow look at the screen takes.
    assert!(inspected(&one).abs_diff(inspected(&two)) > 60);
    let (seen_one, seen_two) = (first_seconds(&one), first_seconds(&two));
    assert!(u64::from(seen_one).abs_diff(inspected(&one)) < 30);
    assert!(u64::from(seen_two).abs_diff(inspected(&two)) < 30);
}

/// A first stage at 0x600 that loads the sector from the disk's second, spoils what it can, and enters it
/// at 07c0:0000.
fn entered_by(spoil: &[u8]) -> Vec<u8> {
    let mut stage = vec![0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0]; // cli; segments 0
    stage.extend([0xbc, 0x00, 0x06]); // mov sp, 600h
    stage.extend([
        0xbe, 0x00, 0x7c, 0xbf, 0x00, 0x06, 0xb9, 0x00, 0x01, 0xfc, 0xf3, 0xa5,
    ]); // copy
    stage.extend([0xea, 0x1d, 0x06, 0, 0]); // jmp 0:61dh
    assert_eq!(stage.len(), 0x1d);
    stage.extend([
        0xb8, 0x01, 0x02, 0xbb, 0x00, 0x7c, 0xb9, 0x02, 0, 0xb6, 0, 0xcd, 0x13,
    ]); // read
    stage.extend(spoil);
    stage.extend([0xea, 0, 0, 0xc0, 0x07]); // jmp 7c0h:0
    let mut disk = stage;
    disk.resize(512, 0);
    disk.extend(settings().emit());
    disk
}

#[test]
fn it_resets_however_it_is_entered() {
    if !have_qemu() {
        return;
    }
    // std; mov ax, 9000h; mov ds, ax; mov es, ax; mov ss, ax; mov sp, 3
    let odd = [
        0xfd, 0xb8, 0x00, 0x90, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x03, 0x00,
    ];
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new("pc", &disk(&directory, &entered_by(&odd)));
    let (outcome, ways) = run(&machine, directory.path(), PATIENCE);
    assert!(matches!(outcome, Outcome::Reset(_)), "{outcome:?}");
    assert_eq!(ways, [Way::Cf9]);
}

#[test]
fn it_resets_on_a_machine_whose_timer_is_dead() {
    if !have_qemu() {
        return;
    }
    // in al, 21h; or al, 1; out 21h, al: the timer's interrupt never comes.
    let dead_timer = [0xe4, 0x21, 0x0c, 0x01, 0xe6, 0x21];
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new("pc", &disk(&directory, &entered_by(&dead_timer)));
    let (outcome, ways) = run(&machine, directory.path(), PATIENCE);
    assert!(matches!(outcome, Outcome::Reset(_)), "{outcome:?}");
    assert_eq!(ways, [Way::Cf9]);
}

#[test]
fn soft_tries_come_before_the_first_reset() {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let line = directory.path().join("serial");
    let serial = Some("com1".parse().unwrap());
    let settings = Settings {
        soft_tries: 2,
        serial,
        ..waiting(1, " s, says a test ")
    };
    let mut machine = Machine::new("pc", &disk(&directory, &settings.emit()));
    machine.more = vec!["-serial".into(), format!("file:{}", line.display()).into()];
    let (outcome, _) = run(&machine, directory.path(), PATIENCE);
    assert!(matches!(outcome, Outcome::Reset(_)));
    let text = fs::read_to_string(line).unwrap();
    assert_eq!(text.matches("1 s, says a test").count(), 3, "{text:?}");
}
