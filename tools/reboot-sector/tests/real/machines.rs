//! The sector resets every kind of machine, and each way of its chain is reached where those before it are
//! absent. The historic sector does not, which is asserted as well.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use reboot_sector::emulator::{Machine, Outcome, Running, Way};
use reboot_sector::firmware::fadt::{Reset, reset_register};
use reboot_sector::sector::layout::LABEL_TRIPLE;
use reboot_sector::sector::{
    Chain, DEFAULT_ORDER, Method, MethodName, ResetPort, Settings, Text, Wait,
};

use crate::parts::{HISTORIC, PATIENCE, disk, have_qemu, program, run, settings, settings_with};

/// Runs of each case.
const RUNS: usize = 5;

/// The whole chain on one kind of machine; the last way is the one that must have worked. As on most
/// machines the ACPI register is that of the chipset, so on those without one it is passed over too.
fn resets(kind: &str, by: Way) {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let register = ResetPort {
        port: 0xcf9,
        value: 0x0f,
    };
    let settings = Settings {
        chain: Chain::from_names(&DEFAULT_ORDER, Some(register)).unwrap(),
        ..settings()
    };
    let machine = Machine::new(kind, &disk(&directory, &settings.emit()));
    for turn in 0..RUNS {
        let (outcome, ways) = run(&machine, directory.path(), PATIENCE);
        assert!(
            matches!(outcome, Outcome::Reset(_)),
            "{kind}, run {turn}: {outcome:?} {ways:?}"
        );
        assert_eq!(ways.last(), Some(&by), "{kind}, run {turn}: {ways:?}");
    }
}

#[test]
fn it_resets_a_pc_by_cf9() {
    resets("pc", Way::Cf9);
}

#[test]
fn it_resets_a_q35_by_cf9() {
    resets("q35", Way::Cf9);
}

#[test]
fn it_resets_a_machine_without_pci_by_the_keyboard_controller() {
    resets("isapc", Way::Keyboard);
}

#[test]
fn it_resets_a_pc_without_keyboard_controller() {
    resets("pc,i8042=off", Way::Cf9);
}

#[test]
fn it_resets_a_machine_with_neither_by_a_triple_fault() {
    resets("isapc,i8042=off", Way::Triple);
}

/// One way alone, on the machine whose other ways are not used.
fn resets_by(kind: &str, methods: &[MethodName], by: Way) {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let code = settings_with(methods).emit();
    let (outcome, ways) = run(
        &Machine::new(kind, &disk(&directory, &code)),
        directory.path(),
        PATIENCE,
    );
    assert!(
        matches!(outcome, Outcome::Reset(_)),
        "{methods:?}: {outcome:?}"
    );
    // The firmware writes to some of these ports before, and a machine runs on for a moment after.
    assert!(
        ways.ends_with(&[by]) || ways.ends_with(&[by, Way::Triple]),
        "{methods:?}: {ways:?}"
    );
}

#[test]
fn each_way_resets_by_itself() {
    resets_by("pc", &[MethodName::Cf9], Way::Cf9);
    resets_by("pc", &[MethodName::Cf9Full], Way::Cf9);
    resets_by("pc", &[MethodName::Keyboard], Way::Keyboard);
    resets_by("pc", &[MethodName::Port92], Way::Port92);
    resets_by("pc", &[MethodName::Triple], Way::Triple);
    // SeaBIOS, entered again, resets by CF9.
    resets_by("pc", &[MethodName::Jump], Way::Cf9);
}

#[test]
fn ways_that_are_absent_are_passed_over_in_order() {
    use MethodName::{Cf9, Keyboard, Port92, Triple};
    resets_by("isapc", &[Cf9, Port92], Way::Port92);
    resets_by("isapc", &[Cf9, Keyboard], Way::Keyboard);
    resets_by("pc,i8042=off", &[Keyboard, Port92, Triple], Way::Triple);
    resets_by("pc,i8042=off", &[Keyboard, Port92, Cf9], Way::Cf9);
    resets_by(
        "isapc,i8042=off",
        &[Cf9, Keyboard, Port92, Triple],
        Way::Triple,
    );
}

#[test]
fn after_the_last_way_the_first_is_tried_again() {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    // None of these is there.
    let methods = [MethodName::Cf9, MethodName::Keyboard, MethodName::Port92];
    let code = settings_with(&methods).emit();
    let machine = Machine::new("isapc,i8042=off", &disk(&directory, &code));
    let mut running = machine.start(&directory.path().join("qemu.log")).unwrap();
    let rounds = [Way::Cf9, Way::Keyboard, Way::Port92].repeat(3);
    until(&mut running, |running| {
        running
            .ways()
            .windows(rounds.len())
            .any(|ways| ways == rounds)
    });
}

#[test]
fn the_jump_is_reached_when_all_before_it_fail() {
    use MethodName::{Cf9, Jump, Keyboard, Port92};
    if !have_qemu() {
        return;
    }
    // Without the triple fault among the ways, only SeaBIOS, entered again, does one.
    let methods = [Cf9, Keyboard, Port92, Jump];
    resets_by("isapc,i8042=off", &methods, Way::Triple);
    // A processor on which the interrupt of the triple fault comes back, as where real mode is emulated:
    // it gets the real table in place of the empty one, which lies two bytes behind that.
    let mut code = settings_with(&[MethodName::Triple, Jump]).emit();
    let operand = usize::from(LABEL_TRIPLE) + 3;
    assert_eq!(code[operand - 3..operand], [0x0f, 0x01, 0x1e]);
    code[operand] -= 2;
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new("pc", &disk(&directory, &code));
    let (outcome, ways) = run(&machine, directory.path(), PATIENCE);
    assert!(matches!(outcome, Outcome::Reset(_)), "{outcome:?}");
    assert_eq!(ways.first(), Some(&Way::Cf9), "{ways:?}");
}

/// Waits until `there`, while the machine must not reset or end.
fn until(running: &mut Running, there: impl Fn(&mut Running) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !there(running) {
        let outcome = running.wait(Duration::from_millis(200)).unwrap();
        assert_eq!(outcome, Outcome::StillRuns, "{:?}", running.ways());
        assert!(Instant::now() < end, "{:?}", running.ways());
    }
}

/// ACPI's table FACP as the firmware of a running machine made it, out of its memory.
fn reset_table(directory: &Path, disk: &Path) -> Vec<u8> {
    let machine = Machine::new("q35", disk);
    let mut running = machine.start(&directory.join("qemu.log")).unwrap();
    until(&mut running, |running| {
        running.screen().unwrap().contains("3000 s")
    });
    let memory = directory.join("memory");
    let bytes = u64::from(machine.memory_mib) << 20;
    running
        .monitor(&format!("pmemsave 0 {bytes} \"{}\"", memory.display()))
        .unwrap();
    let memory = fs::read(memory).unwrap();
    let mut places = memory
        .windows(4)
        .enumerate()
        .filter(|(_, four)| four == b"FACP");
    // The firmware's code has these letters as well.
    let table = places.find_map(|(at, _)| {
        let table = memory[at..].get(..512)?;
        reset_register(table).is_ok().then(|| table.to_vec())
    });
    table.expect("a q35 has one")
}

#[test]
fn the_reset_register_of_the_firmware_is_baked_in_and_resets() {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let waiting = Settings {
        wait: Wait::new(3000, 0).unwrap(),
        text: Text::new(" s").unwrap(),
        ..settings()
    };
    let table = reset_table(directory.path(), &disk(&directory, &waiting.emit()));
    let Ok(Reset::Port(register)) = reset_register(&table) else {
        panic!("QEMU's q35 is reset by a port");
    };
    let path = directory.path().join("FACP");
    fs::write(&path, table).unwrap();
    let image = directory.path().join("image");
    let flags = [
        "--methods",
        "acpi",
        "--delay",
        "1s",
        "--size",
        "4MiB",
        "--fadt",
    ];
    let made = program()
        .arg("image")
        .arg(&image)
        .args(flags)
        .arg(&path)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let code: [u8; 424] = *fs::read(&image).unwrap().first_chunk().unwrap();
    let Some(reboot_sector::sector::Ours::Current(settings)) = reboot_sector::sector::read(&code)
    else {
        panic!("the image has our code");
    };
    assert_eq!(settings.chain.methods(), [Method::Acpi(register)]);
    let (outcome, _) = run(&Machine::new("q35", &image), directory.path(), PATIENCE);
    assert!(matches!(outcome, Outcome::Reset(_)), "{outcome:?}");
    let log = fs::read_to_string(directory.path().join("qemu.log")).unwrap();
    let write = format!("addr {:#x} value {:#x} ", register.port, register.value);
    assert!(log.contains(&write), "{write:?} is not in the log");
}

/// How long a hang is watched. From the same moment the sectors that work reset in less than a second.
const HANG: Duration = Duration::from_secs(8);

/// Waits until the historic sector has run, does `then`, and watches for a while: nothing happens any more.
pub(crate) fn hangs(running: &mut Running, then: impl FnOnce()) {
    // What INT 0 and INT 1 point to in SeaBIOS, taken for a table: its place and its length.
    until(running, |running| {
        let registers = running.monitor("info registers").unwrap();
        registers.contains("IDT=     0053f000 0000ff53")
    });
    then();
    assert_eq!(running.wait(HANG).unwrap(), Outcome::StillRuns);
}

#[test]
fn the_historic_sector_hangs() {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new("pc", &disk(&directory, &HISTORIC));
    let mut running = machine.start(&directory.path().join("qemu.log")).unwrap();
    hangs(&mut running, || {});
    assert_eq!(running.ways(), []);
}

#[test]
fn the_program_says_how_an_image_resets() {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let flags = ["--delay", "1s", "--size", "4MiB"];
    let made = program()
        .arg("image")
        .arg(&image)
        .args(flags)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let before = fs::read(&image).unwrap();
    let simulate = |flags: &[&str]| {
        let out = program()
            .arg("simulate")
            .arg(&image)
            .args(flags)
            .output()
            .unwrap();
        (
            out.status.code().unwrap(),
            String::from_utf8(out.stdout).unwrap(),
        )
    };
    for (machine, way) in [("pc", "CF9"), ("isapc", "the keyboard controller")] {
        let (code, said) = simulate(&["--machine", machine, "--limit", "180s"]);
        assert_eq!(code, 0, "{said}");
        assert!(
            said.starts_with("reset after ") && said.ends_with(&format!(" s by {way}\n")),
            "{said}"
        );
    }
    assert_eq!(fs::read(&image).unwrap(), before);
    let broken = disk(&directory, &HISTORIC);
    let out = program()
        .arg("simulate")
        .arg(broken)
        .args(["--limit", "4s"])
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&out.stderr).contains("no reset within 4 s"),
        "{out:?}"
    );
}
