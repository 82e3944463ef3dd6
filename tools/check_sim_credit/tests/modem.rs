//! The program on simulated modems: every kind is asked right, and none, however broken, keeps it.
//!
//! The modems are the project's own simulator, each a process of its own on a pseudo-terminal.

#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_check_sim_credit");
/// The program's own limit in these tests, in seconds.
const LIMIT: &str = "8";
/// Far more than that: who is still there then hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A modem with its place for locks; gone when dropped.
struct Modem {
    process: Child,
    directory: tempfile::TempDir,
}

impl Modem {
    fn new(script: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("locks")).unwrap();
        let process = Command::new(PROGRAM)
            .args(["simulate", script, "--lifetime", "5m", "--link"])
            .arg(directory.path().join("modem"))
            .arg("--log")
            .arg(directory.path().join("log"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let modem = Self { process, directory };
        let stop = Instant::now() + PATIENCE;
        while fs::read_link(modem.path("modem")).is_err() {
            assert!(Instant::now() < stop, "no modem came");
            std::thread::sleep(Duration::from_millis(20));
        }
        modem
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a command of the program on this modem. It must end by itself.
    fn run(&self, arguments: &[&str]) -> Output {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .arg("--device")
            .arg(self.path("modem"))
            .arg("--lock-dir")
            .arg(self.path("locks"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stop = Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > stop {
                child.kill().unwrap();
                panic!("{arguments:?} hangs");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        child.wait_with_output().unwrap()
    }

    fn ask(&self, code: &str, more: &[&str]) -> (Option<i32>, String) {
        let output = self.run(&[&["ask", "--ussd", code, "-t", LIMIT], more].concat());
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    }

    /// The commands that the modem was told.
    fn told(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|line| line["command"].as_str().map(str::to_owned))
            .collect()
    }

    fn locks(&self) -> usize {
        fs::read_dir(self.path("locks")).unwrap().count()
    }
}

impl Drop for Modem {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn every_kind_of_modem_is_asked() {
    for (script, code, expected) in [
        (
            "siemens",
            "*130#",
            "Credit actuel: CHF -0,44; 25 SMS gratuits jusqu'au 01.10.2009",
        ),
        ("sim800", "*130#", "Balance:40,60r"),
        ("huawei-packed", "*100#", "OCTATOK 0.51 p."),
        ("ucs2", "*100#", "611.20 р."),
        (
            "vodacom-double",
            "*100#",
            "Your balance is R49.96. Out of Airtime? Dial *111# for Airtime Advance. T&Cs apply.",
        ),
    ] {
        let modem = Modem::new(script);
        assert_eq!(
            modem.ask(code, &[]),
            (Some(0), expected.to_owned()),
            "{script}"
        );
        assert_eq!(modem.locks(), 0, "{script}: the lock is gone");
        // The port is free again, and the modem as it was.
        assert_eq!(modem.ask(code, &[]).0, Some(0), "{script}, once more");
        assert!(
            !modem.told().contains(&"AT+CUSD=2".to_owned()),
            "{script}: nothing was open"
        );
    }
}

#[test]
fn a_menu_is_answered_and_always_cancelled() {
    let modem = Modem::new("menu");
    let (code, text) = modem.ask("*100#", &["--reply", "1"]);
    assert_eq!(code, Some(0));
    assert!(text.starts_with("Ihr Guthaben betraegt 5,12 EUR"), "{text}");
    assert_eq!(modem.told().last().map(String::as_str), Some("AT+CUSD=2"));

    let (code, text) = modem.ask("*100#", &[]);
    assert_eq!(code, Some(0));
    assert!(text.starts_with("Servicemenu:"), "{text}");
    assert_eq!(modem.told().last().map(String::as_str), Some("AT+CUSD=2"));
    assert_eq!(modem.locks(), 0);
}

#[test]
fn a_menu_is_cancelled_where_the_modem_refuses_the_reply() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("refusing.toml");
    let text = include_str!("../modems/menu.toml").replace(
        r#"say = ["\r\nOK\r\n", "\r\n+CUSD: 1,\"Ihr"#,
        r#"say = ["\r\nERROR\r\n", "\r\n\"Ihr"#,
    );
    fs::write(&script, text).unwrap();
    let modem = Modem::new(script.to_str().unwrap());
    let (code, text) = modem.ask("*100#", &["--reply", "1"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("refuses the question"), "{text}");
    assert_eq!(modem.told().last().map(String::as_str), Some("AT+CUSD=2"));
}

#[test]
fn the_check_judges_what_it_asks_and_keeps_it() {
    let modem = Modem::new("siemens");
    let state = modem.path("answer");
    let state = state.to_str().unwrap();
    let output = modem.run(&["-w", "5:", "-c", "2:", "-t", LIMIT, "--state", state]);
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.starts_with("SIM CREDIT CRITICAL - CHF -0.44, 25 SMS until 2009-10-01"),
        "{text}"
    );
    let stored = Command::new(PROGRAM)
        .args(["--state", state, "-c", "-1:"])
        .output()
        .unwrap();
    assert_eq!(stored.status.code(), Some(0), "a range may begin below 0");
}

#[test]
fn a_broken_modem_is_unknown_and_the_port_is_given_back() {
    for (script, expected) in [
        ("dead", "does not answer AT"),
        ("silent", "has not answered the question in time"),
        ("garbage", "no AT dialogue"),
        ("flood", "came without an end"),
        ("unplugged", "the modem is gone"),
    ] {
        let modem = Modem::new(script);
        let output = modem.run(&["-w", "5:", "-t", LIMIT]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(3), "{script}: {text}");
        assert!(
            text.starts_with("SIM CREDIT UNKNOWN - ") && text.contains(expected),
            "{script}: {text}"
        );
        assert_eq!(text.lines().count(), 1, "{script}: {text}");
        assert!(!text.contains('|'), "{script}: {text}");
        assert_eq!(modem.locks(), 0, "{script}: the lock is gone");
        if script != "unplugged" {
            let opened = fs::File::options()
                .read(true)
                .write(true)
                .open(modem.path("modem"));
            assert!(opened.is_ok(), "{script}: the port is free");
        }
    }
}

#[test]
fn a_timeout_is_the_state_that_was_asked_for() {
    let modem = Modem::new("silent");
    let output = modem.run(&["-t", "4:c"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.starts_with(b"SIM CREDIT CRITICAL - "));
}

#[test]
fn a_port_that_somebody_has_is_refused_with_the_name() {
    let modem = Modem::new("siemens");
    let held = fs::File::open(modem.path("modem")).unwrap();
    let mut holder = Command::new("sleep")
        .arg("300")
        .stdin(held)
        .spawn()
        .unwrap();
    // Until the child runs `sleep`, it still has this process's name.
    let stop = Instant::now() + PATIENCE;
    let comm = format!("/proc/{}/comm", holder.id());
    while fs::read_to_string(&comm).unwrap_or_default().trim() != "sleep" {
        assert!(Instant::now() < stop, "no holder came");
        std::thread::sleep(Duration::from_millis(10));
    }
    let (code, text) = modem.ask("*130#", &[]);
    let _ = holder.kill();
    let _ = holder.wait();
    assert_eq!(code, Some(3));
    assert!(
        text.contains(&format!("held by sleep (process {})", holder.id())),
        "{text}"
    );
    assert_eq!(modem.told(), Vec::<String>::new(), "nothing was sent");
    assert_eq!(modem.locks(), 0);

    // A lock of a living process, under the real name of the port.
    let name = fs::canonicalize(modem.path("modem")).unwrap();
    let lock = modem.path("locks").join(format!(
        "LCK..{}",
        name.file_name().unwrap().to_string_lossy()
    ));
    fs::write(&lock, format!("{:>10}\n", std::process::id())).unwrap();
    let (code, text) = modem.ask("*130#", &[]);
    assert_eq!(code, Some(3));
    assert!(text.contains(&std::process::id().to_string()), "{text}");
    assert!(lock.exists(), "another's lock stays");
    assert_eq!(modem.told(), Vec::<String>::new(), "nothing was sent");
}

#[test]
fn the_doctor_names_each_trouble_with_its_fix() {
    let modem = Modem::new("siemens");
    let spool = modem.path("outgoing");
    fs::create_dir(&spool).unwrap();
    let conf = modem.path("smsd.conf");
    fs::write(&conf, "devices = GSM1\n[GSM1]\nincoming = no\n").unwrap();
    let examine = || {
        let output = modem.run(&[
            "doctor",
            "--smsd-conf",
            conf.to_str().unwrap(),
            "--state",
            modem.path("answer").to_str().unwrap(),
            "--outgoing",
            spool.to_str().unwrap(),
        ]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), text)
    };
    let (code, text) = examine();
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("BAD") && text.contains("nobody asks for the credit"),
        "{text}"
    );
    assert!(text.contains("there is no answer yet"), "{text}");
    assert!(text.contains("ok  registered at home"), "{text}");
    assert!(text.contains("ok  signal 17 of 31"), "{text}");

    let handler = modem.path("handler");
    fs::write(&handler, "#!/bin/sh\n").unwrap();
    fs::set_permissions(
        &handler,
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let asking = format!(
        "[GSM1]\nregular_run_cmd = [(ERROR)]AT+CUSD=1,\"*130#\",15\neventhandler_ussd = {}\n",
        handler.display()
    );
    fs::write(&conf, asking).unwrap();
    assert_eq!(
        modem
            .ask(
                "*130#",
                &["--state", modem.path("answer").to_str().unwrap()]
            )
            .0,
        Some(0)
    );
    let (code, text) = examine();
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("BAD"), "{text}");
}
