//! The sector resets every kind of machine, and each way of its chain is reached where those before it are
//! absent. The historic sector does not, which is asserted as well.

use std::time::Duration;

use reboot_sector::emulator::{Machine, Outcome, Way};
use reboot_sector::sector::MethodName;

use crate::parts::{PATIENCE, disk, have_qemu, run, settings, settings_with};

/// Runs of each case.
const RUNS: usize = 5;

/// The whole chain on one kind of machine; the last way is the one that must have worked.
fn resets(kind: &str, by: Way) {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new(kind, &disk(&directory, &settings().emit()));
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

/// Longer than a reset takes by far: the sectors that work need two to three seconds.
const HANG: Duration = Duration::from_secs(12);

#[test]
fn the_historic_sector_hangs() {
    if !have_qemu() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let machine = Machine::new("pc", &disk(&directory, &[0x0f, 0x01, 0x1e, 0, 0, 0xcd, 3]));
    let (outcome, ways) = run(&machine, directory.path(), HANG);
    assert_eq!((outcome, ways), (Outcome::StillRuns, vec![]));
}
