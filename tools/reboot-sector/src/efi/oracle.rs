//! Compiles `app.rs` and compares with the file that ships; tests only. Skipped where the compiler is not
//! the one that made the file, or lacks the target. With GRAPPE_BLESS=1 the file is made anew instead.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_application_that_ships_is_what_its_source_compiles_to() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/efi");
    let version = Command::new("rustc")
        .arg("--version")
        .output()
        .expect("rustc runs")
        .stdout;
    let version = String::from_utf8_lossy(&version).into_owned();
    let bless = std::env::var_os("GRAPPE_BLESS").is_some();
    let recorded = fs::read_to_string(here.join("app.rustc")).expect("it is checked in");
    let directory = tempfile::tempdir().expect("there is room");
    let built = directory.path().join("app.efi");
    let compiled = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "--target",
            "x86_64-unknown-uefi",
            "--crate-name",
            "app",
        ])
        .args(["-C", "opt-level=s", "-C", "panic=abort"])
        .args([
            "-C",
            "link-arg=/timestamp:0",
            "-C",
            "link-arg=/debug:none",
            "-o",
        ])
        .args([&built, &here.join("app.rs")])
        .output()
        .expect("rustc runs");
    let said = String::from_utf8_lossy(&compiled.stderr);
    if !compiled.status.success() && said.contains("target may not be installed") {
        return skip(
            "rustc has no x86_64-unknown-uefi here: rustup target add x86_64-unknown-uefi",
        );
    }
    assert!(compiled.status.success(), "{said}");
    let built = fs::read(built).expect("it was written");
    if bless {
        fs::write(here.join("app.efi"), built).expect("it can be written");
        fs::write(here.join("app.rustc"), version).expect("it can be written");
    } else if version != recorded {
        skip(&format!(
            "app.efi was made by {}, this is {}",
            recorded.trim(),
            version.trim()
        ));
    } else {
        assert!(
            built == super::TEMPLATE,
            "app.rs changed: run this test with GRAPPE_BLESS=1"
        );
    }
}

/// As in the integration tests, which cannot be called from here.
fn skip(reason: &str) {
    use std::io::Write as _;
    eprintln!("skipped: {reason}");
    if let Some(list) = std::env::var_os("GRAPPE_SKIPPED") {
        let opened = fs::OpenOptions::new().create(true).append(true).open(list);
        let line = format!("efi::oracle: {reason}\n");
        opened
            .and_then(|mut list| list.write_all(line.as_bytes()))
            .expect("the list can be written");
    }
}
