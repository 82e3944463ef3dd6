//! The real smsd on a simulated modem: answers and messages share a port, and none is lost.
//!
//! smsd is started by the test with a configuration and a spool of its own, and stopped by its process
//! id. The modem is a fake, the project's own simulator: no radio is at hand.

#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

mod skip;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use check_sim_credit::ussd::gsm7;

const PROGRAM: &str = env!("CARGO_BIN_EXE_check_sim_credit");
const SMSD: &str = "/usr/sbin/smsd";
/// No wait of these tests is longer: smsd looks at each message for half a second before it takes it.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// smsd, its modem and its spool; all gone when dropped.
struct Office {
    directory: tempfile::TempDir,
    modem: Child,
    smsd: Option<Child>,
}

impl Office {
    /// Opens one whose smsd asks `question` every second.
    fn open(script: &str, question: Option<&str>) -> Option<Self> {
        if !Path::new(SMSD).exists() {
            skip::skip("needs smsd, of the Debian package smstools");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in [
            "outgoing", "checked", "incoming", "sent", "failed", "report", "run",
        ] {
            fs::create_dir(root.join(name)).unwrap();
        }
        let modem = Command::new(PROGRAM)
            .args(["simulate", script, "--lifetime", "35m", "--link"])
            .arg(root.join("modem"))
            .arg("--log")
            .arg(root.join("modem.log"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let office = Self {
            directory,
            modem,
            smsd: None,
        };
        wait_for("the modem", || office.path("modem").exists());
        let handler = office.path("handler");
        let root = office.path("");
        let root = root.to_str().unwrap().trim_end_matches('/');
        let text = format!(
            "#!/bin/sh\n{PROGRAM} ussd-event --state {root}/answer \"$@\" && {{ cat {root}/answer; echo; }} >>{root}/answers\n"
        );
        fs::write(&handler, text).unwrap();
        fs::set_permissions(
            &handler,
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        let asking = question.map_or_else(String::new, |question| {
            format!("eventhandler_ussd = {root}/handler\nregular_run_interval = 1\nregular_run_cmd = {question}\n")
        });
        let configuration = format!(
            "devices = GSM1\noutgoing = {root}/outgoing\nchecked = {root}/checked\nincoming = {root}/incoming\n\
             sent = {root}/sent\nfailed = {root}/failed\nreport = {root}/report\ninfofile = {root}/run/infofile\n\
             pidfile = {root}/run/pid\nlogfile = {root}/smsd.log\nloglevel = 7\ndelaytime = 1\nerrorsleeptime = 1\n\
             executable_check = no\nautosplit = 3\n\n\
             [GSM1]\ndevice = {root}/modem\nincoming = no\nbaudrate = 115200\n{asking}"
        );
        fs::write(office.path("smsd.conf"), configuration).unwrap();
        Some(office)
    }

    /// Opens one whose smsd closes the port every second for our program to ask.
    fn open_for_regular_run(script: &str) -> Option<Self> {
        let office = Self::open(script, None)?;
        let runner = office.path("runner");
        let root = office.path("");
        let root = root.to_str().unwrap().trim_end_matches('/');
        let text = format!(
            "#!/bin/sh\n{PROGRAM} regular-run --device {root}/modem --lock-dir {root}/run -t 20 --state {root}/answer \"$@\" \
             >>{root}/runner.log && {{ cat {root}/answer; echo; }} >>{root}/answers\n"
        );
        fs::write(&runner, text).unwrap();
        fs::set_permissions(&runner, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let mut configuration = fs::read_to_string(office.path("smsd.conf")).unwrap();
        configuration.push_str(&format!(
            "regular_run = {root}/runner\nregular_run_interval = 1\n"
        ));
        fs::write(office.path("smsd.conf"), configuration).unwrap();
        Some(office)
    }

    fn start(&mut self) {
        let smsd = Command::new(SMSD)
            .arg("-t")
            .arg("-c")
            .arg(self.path("smsd.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.smsd = Some(smsd.unwrap());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn send(&self, text: &str) {
        let status = Command::new(PROGRAM)
            .arg("send")
            .arg("--outgoing")
            .arg(self.path("outgoing"))
            .args(["41791234567", text])
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    }

    /// What the modem was told, by kind: "command" or "message".
    fn told(&self, kind: &str) -> Vec<String> {
        let log = fs::read_to_string(self.path("modem.log")).unwrap_or_default();
        log.lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|line| line[kind].as_str().map(str::to_owned))
            .collect()
    }

    /// The texts of the messages that the modem got, with the number of times each.
    fn delivered(&self) -> BTreeMap<String, usize> {
        let mut texts = BTreeMap::new();
        for pdu in self.told("message") {
            *texts.entry(text_of(&pdu)).or_default() += 1;
        }
        texts
    }

    fn answers(&self) -> Vec<String> {
        let answers = fs::read_to_string(self.path("answers")).unwrap_or_default();
        answers
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Office {
    fn drop(&mut self) {
        if let Some(smsd) = &mut self.smsd {
            // It has a child for the modem: asked to stop, it takes that along.
            let _ = Command::new("kill").arg(smsd.id().to_string()).status();
            let stop = Instant::now() + Duration::from_secs(10);
            while Instant::now() < stop && matches!(smsd.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = smsd.kill();
            let _ = smsd.wait();
        }
        let _ = self.modem.kill();
        let _ = self.modem.wait();
    }
}

fn wait_for(what: &str, mut come: impl FnMut() -> bool) {
    let stop = Instant::now() + PATIENCE;
    while !come() {
        assert!(Instant::now() < stop, "{what} did not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The text of an SMS-SUBMIT in the GSM alphabet (3GPP TS 23.040 clause 9.2.2.2) to 11 digits.
fn text_of(pdu: &str) -> String {
    let octets: Vec<u8> = (0..pdu.len() / 2)
        .map(|at| u8::from_str_radix(&pdu[2 * at..2 * at + 2], 16).unwrap())
        .collect();
    // Service centre, type, reference, 11 digits with their length and type, protocol, coding, validity.
    let length_at = 1 + 2 + 2 + 6 + 3;
    let mut septets = gsm7::unpack(&octets[length_at + 1..]);
    septets.truncate(usize::from(octets[length_at]));
    gsm7::text(&septets)
}

/// A number of an environment variable, for the long form of a test.
fn count(variable: &str, usual: usize) -> usize {
    std::env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(usual)
}

#[test]
fn smsd_asks_while_it_sends_and_nothing_is_lost() {
    let questions = count("SIM_CREDIT_QUESTIONS", 20);
    let Some(mut office) = Office::open("siemens", Some("AT+CUSD=1,\"*130#\",15")) else {
        return;
    };
    office.start();
    let mut sent = 0;
    wait_for("the questions", || {
        // A message for each answer: sending and asking alternate on the port.
        if sent < office.answers().len().min(questions) {
            sent += 1;
            office.send(&format!("alarm {sent} of many"));
        }
        office
            .told("command")
            .iter()
            .filter(|command| command.starts_with("AT+CUSD=1,"))
            .count()
            >= questions
            && sent == questions
    });
    wait_for("the messages", || office.told("message").len() >= sent);
    let asked = office
        .told("command")
        .iter()
        .filter(|command| command.starts_with("AT+CUSD=1,"))
        .count();
    wait_for("the last answer", || office.answers().len() >= asked);
    for answer in office.answers() {
        assert!(
            answer.contains("Credit actuel: CHF -0,44; 25 SMS gratuits jusqu'au 01.10.2009"),
            "{answer}"
        );
    }
    let delivered = office.delivered();
    for number in 1..=sent {
        assert_eq!(
            delivered.get(&format!("alarm {number} of many")),
            Some(&1),
            "alarm {number}"
        );
    }
    assert_eq!(delivered.len(), sent, "nothing but the alarms was sent");
    let checked = Command::new(PROGRAM)
        .args(["-w", "5:", "-c", "2:", "--state"])
        .arg(office.path("answer"))
        .output()
        .unwrap();
    assert_eq!(checked.status.code(), Some(2));
    let line = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(
        line.starts_with("SIM CREDIT CRITICAL - CHF -0.44, 25 SMS until 2009-10-01"),
        "{line}"
    );
}

#[test]
fn the_program_asks_while_smsd_has_the_port_closed() {
    const QUESTIONS: usize = 3;
    let Some(mut office) = Office::open_for_regular_run("siemens") else {
        return;
    };
    office.start();
    for number in 1..=QUESTIONS {
        office.send(&format!("alarm {number} between questions"));
    }
    wait_for("the answers", || office.answers().len() >= QUESTIONS);
    wait_for("the messages", || office.told("message").len() >= QUESTIONS);
    for answer in office.answers() {
        assert!(
            answer.contains("Credit actuel: CHF -0,44; 25 SMS"),
            "{answer}"
        );
    }
    let delivered = office.delivered();
    for number in 1..=QUESTIONS {
        let text = format!("alarm {number} between questions");
        assert_eq!(delivered.get(&text), Some(&1), "{text}");
    }
}

#[test]
fn twenty_writers_lose_no_message_and_send_none_twice() {
    const WRITERS: usize = 20;
    let messages = count("SIM_CREDIT_MESSAGES", 100);
    let Some(mut office) = Office::open("siemens", None) else {
        return;
    };
    office.start();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let office = &office;
            scope.spawn(move || {
                for number in 0..messages / WRITERS {
                    office.send(&format!(
                        "writer {writer} message {number}, whole to its last word"
                    ));
                }
            });
        }
    });
    wait_for("the messages", || office.told("message").len() >= messages);
    // One more round of smsd, for what might come twice.
    std::thread::sleep(Duration::from_secs(2));
    let delivered = office.delivered();
    for writer in 0..WRITERS {
        for number in 0..messages / WRITERS {
            let text = format!("writer {writer} message {number}, whole to its last word");
            assert_eq!(delivered.get(&text), Some(&1), "{text}");
        }
    }
    assert_eq!(delivered.len(), messages);
}
