//! A day at an abuse desk: the program with its records, ledger, exit codes and JSON, as procmail or a
//! ticket system meets it.

#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// Written above the border's `Received`: the sender is attested.
const ATTESTED: &str = "Authentication-Results: mx.net.example; dkim=pass header.d=rights.example\n\
Received: from out.rights.example by mx.net.example; Mon, 2 Mar 2026 12:00:00 +0000\n";
/// The same border, which found nothing.
const UNPROVEN: &str =
    "Received: from somewhere by mx.net.example; Mon, 2 Mar 2026 12:00:00 +0000\n";
const HEAD: &str = "From: Notices <notice@rights.example>\nTo: abuse@net.example\nSubject: Notice of infringement\n\
Date: Mon, 2 Mar 2026 11:59:00 +0000\nContent-Type: text/plain\n\n";

/// A complaint about 203.0.113.7 at ten.
const CLAIM: &str = "We saw an infringement.\nCase ID: C1\nSource IP: 203.0.113.7\nSource Port: 6881\nProtocol: UDP\n\
Timestamp: 2026-03-02 10:00:30 UTC\nDestination IP: 192.0.2.1:7000\n";

const CONFIG: &str = "ledger = 'ledger'\npeople = 'people.csv'\n\
[network]\nown = ['203.0.113.0/24']\nnever_used = ['203.0.113.96/27']\ntolerance_s = 600\n\
[trust]\nauthserv_ids = ['mx.net.example']\nborder = ['mx.net.example']\nrecipients = ['abuse@net.example']\n\
[[source]]\nfile = 'dnsmasq'\nkind = 'dnsmasq-log'\nzone = 'UTC'\nlease_s = 3600\nserves = ['203.0.113.0/24']\n\
[[source]]\nfile = 'flows'\nzone = 'UTC'\nserves = ['203.0.113.0/24']\n\
[[complainant]]\nname = 'rights'\ndomains = ['rights.example']\ncontact = '+1-555-0100'\n";

const HARDWARE: &str = "02:00:00:00:00:07";

struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(TempDir::new().unwrap());
        std::fs::create_dir(desk.path("records")).unwrap();
        let (mut leases, mut flows) = (
            String::new(),
            "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt\n".to_owned(),
        );
        for minute in 0..24 * 60 {
            let at = format!("{:02}:{:02}", minute / 60, minute % 60);
            let (address, hardware) = match minute % 30 {
                0 => ("203.0.113.7", HARDWARE),
                _ => ("203.0.113.8", "02:00:00:00:00:08"),
            };
            writeln!(
                leases,
                "2026-03-02T{at}:00Z gw dnsmasq-dhcp[7]: DHCPACK(eth0) {address} {hardware} host"
            )
            .unwrap();
            let (address, port) = match minute {
                600 => ("203.0.113.7", 6_881),
                _ => ("203.0.113.8", 443),
            };
            writeln!(
                flows,
                "2026-03-02 {at}:10,2026-03-02 {at}:50,40.0,{address},192.0.2.1,{port},7000,UDP,........,0,0,9,999"
            )
            .unwrap();
        }
        desk.write("records/dnsmasq.log", &leases);
        desk.write("records/flows.csv", &flows);
        desk.write("config", CONFIG);
        desk.write(
            "people.csv",
            &format!("holder,kind,value\nmac:{HARDWARE},name,Ada Lovelace\n"),
        );
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_check-notice"))
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    /// Checks a mail with records; the exit code and the JSON.
    fn check(&self, mail: &str, flags: &[&str]) -> (i32, Value) {
        self.write("mail", mail);
        let mut arguments = vec![
            "check",
            "mail",
            "--config",
            "config",
            "--records",
            "records",
        ];
        arguments.push("--json");
        arguments.extend(flags);
        let (code, out, errors) = self.run(&arguments);
        let value = serde_json::from_str(&out);
        (code, value.unwrap_or_else(|_| panic!("{out}{errors}")))
    }
}

fn signs(value: &Value) -> BTreeSet<String> {
    let all = value["signs"].as_array().unwrap();
    for sign in all {
        assert!(!sign["source"].as_str().unwrap().is_empty(), "{sign}");
    }
    all.iter()
        .map(|sign| sign["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn each_exit_code_is_met() {
    let desk = Desk::new();
    let good = format!("{ATTESTED}{HEAD}{CLAIM}");
    let (code, value) = desk.check(&good, &[]);
    assert_eq!(
        (code, value["evidence"].as_str()),
        (0, Some("confirmed")),
        "{value:#}"
    );
    assert_eq!(value["contact"], "+1-555-0100");
    let dark = good.replace("203.0.113.7", "203.0.113.100");
    let (code, value) = desk.check(&dark, &[]);
    assert_eq!(
        (code, value["evidence"].as_str()),
        (10, Some("contradicted"))
    );
    // A port that no packet had.
    let (code, value) = desk.check(&good.replace("6881", "6882"), &[]);
    assert_eq!(
        (code, value["evidence"].as_str()),
        (10, Some("contradicted"))
    );
    let unproven = format!("{UNPROVEN}{HEAD}{CLAIM}");
    assert_eq!(desk.check(&unproven, &[]).0, 11);
    let vague = good
        .replace("Source Port: 6881\n", "")
        .replace("10:00:30 UTC", "10:00");
    let (code, value) = desk.check(&vague, &[]);
    assert_eq!(
        (code, value["evidence"].as_str()),
        (11, Some("uncheckable")),
        "{value:#}"
    );
    // Nothing a stranger could know.
    let leak = format!("{unproven}Dear Ada Lovelace, your device 02-00-00-00-00-07 was seen.\n");
    let (code, value) = desk.check(&leak, &[]);
    assert_eq!(code, 12, "{value:#}");
    let kinds: Vec<&str> = value["leaks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["name", "hardware address"]);
    assert!(!value.to_string().contains("Lovelace"));
    // A sender who is attested may know who the customer is.
    assert_eq!(desk.check(&leak.replace(UNPROVEN, ATTESTED), &[]).0, 0);
    // Another's name is no leak.
    assert_eq!(
        desk.check(&leak.replace("Ada", "Bob").replace("-07", "-09"), &[])
            .0,
        11
    );
    let hello = format!("{ATTESTED}{HEAD}Hello.\n")
        .replace("infringement", "lunch")
        .replace("Notice", "Time");
    let (code, value) = desk.check(&hello, &[]);
    assert_eq!((code, &value["evidence"]), (13, &Value::Null), "{value:#}");

    desk.write("mail", "\0");
    assert_eq!(desk.run(&["check", "mail"]).0, 65);
    assert_eq!(desk.run(&["check", "none"]).0, 66);
    assert_eq!(desk.run(&["check", "--nonsense"]).0, 2);
    desk.write("bad", "[network]\nowned = []\n");
    let (code, _, errors) = desk.run(&["check", "mail", "--config", "bad"]);
    assert!(code == 2 && errors.contains("owned"), "{errors}");
    desk.write("mail", &good);
    desk.write(
        "ledger",
        "this is no database, but a text of some length that nobody wrote for it",
    );
    assert_eq!(desk.run(&["check", "mail", "--config", "config"]).0, 75);
}

#[test]
fn every_name_of_the_json_is_documented() {
    let desk = Desk::new();
    let (_, value) = desk.check(
        &format!("{UNPROVEN}{HEAD}{CLAIM}Ada Lovelace, pay the fee\n"),
        &[],
    );
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/check-notice.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let mut names = BTreeSet::new();
    let mut todo = vec![&value];
    while let Some(value) = todo.pop() {
        match value {
            Value::Object(fields) => {
                names.extend(fields.keys().cloned());
                todo.extend(fields.values());
            }
            Value::Array(all) => todo.extend(all),
            _ => {}
        }
    }
    for name in &names {
        let told = [format!("`{name}`"), format!("`{name}[]`")];
        assert!(
            told.iter().any(|told| docs.contains(told)),
            "{name} is not documented"
        );
    }
    assert!(names.len() > 30, "{names:?}");
}

#[test]
fn nobody_is_named_without_a_reason_that_is_journaled_first() {
    let desk = Desk::new();
    let good = format!("{ATTESTED}{HEAD}{CLAIM}");
    let (_, value) = desk.check(&good, &[]);
    let shown = value["claims"][0]["events"][0]["holder"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(shown.starts_with("holder-"), "{shown}");
    assert!(!value.to_string().contains(HARDWARE));
    // The same person has the same pseudonym in the next run.
    let (_, again) = desk.check(&good, &[]);
    assert_eq!(again["claims"][0]["events"][0]["holder"], shown.as_str());
    let (_, text, _) = desk.run(&[
        "check",
        "mail",
        "--config",
        "config",
        "--records",
        "records",
    ]);
    assert!(text.contains(&shown) && !text.contains(HARDWARE), "{text}");
    let journal = || -> Vec<(String, String)> {
        let ledger = rusqlite::Connection::open(desk.path("ledger")).unwrap();
        let mut query = ledger.prepare("SELECT reason, holder FROM reveal").unwrap();
        let rows = query
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        rows.map(Result::unwrap).collect()
    };
    assert!(journal().is_empty());
    let (_, value) = desk.check(&good, &["--reveal", "court order 12"]);
    assert_eq!(
        value["claims"][0]["events"][0]["holder"],
        format!("mac:{HARDWARE}")
    );
    assert_eq!(
        journal(),
        [("court order 12".to_owned(), format!("mac:{HARDWARE}"))]
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(desk.path("ledger"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    // Without a ledger nothing can be journaled, so nobody is named.
    let config = CONFIG.replace("ledger = 'ledger'\n", "");
    desk.write("config", &config);
    let (code, out, _) = desk.run(&["check", "mail", "--config", "config", "--reveal", "x"]);
    assert_eq!((code, out.as_str()), (2, ""));
}

#[test]
fn the_ledger_counts_complainants_and_sees_the_same_evidence_again() {
    let desk = Desk::new();
    let good = format!("{ATTESTED}{HEAD}{CLAIM}");
    desk.check(&good, &[]);
    desk.check(&good, &[]);
    desk.check(&good.replace("6881", "6882"), &[]);
    let forged = format!("{UNPROVEN}{HEAD}{CLAIM}").replace("rights.example", "evil.example");
    let (_, value) = desk.check(&forged, &[]);
    assert!(!signs(&value).contains("same-evidence"));
    let (_, value) = desk.check(&forged.replace("abuse@", "boss@"), &[]);
    assert!(signs(&value).contains("same-evidence"), "{value:#}");
    assert!(signs(&value).contains("hidden-recipient"), "{value:#}");
    let (code, out, _) = desk.run(&["ledger", "--config", "config", "--json"]);
    assert_eq!(code, 0);
    let counts: Value = serde_json::from_str(&out).unwrap();
    let of = |name: &str| {
        counts
            .as_array()
            .unwrap()
            .iter()
            .find(|c| c["complainant"] == name)
            .cloned()
            .unwrap()
    };
    let proven = of("rights.example");
    assert_eq!(
        (
            &proven["sent"],
            &proven["confirmed"],
            &proven["contradicted"],
            &proven["uncheckable"]
        ),
        (&2.into(), &1.into(), &1.into(), &0.into())
    );
    assert_eq!(of("claimed:evil.example")["sent"], 2);
    let (_, table, _) = desk.run(&["ledger", "--config", "config"]);
    assert!(
        table.contains("uncheckable") && table.contains("rights.example"),
        "{table}"
    );
}

#[test]
fn a_reply_lists_the_missing_fields_and_no_other() {
    let desk = Desk::new();
    desk.write(
        "mail",
        &format!("{HEAD}We saw an infringement.\nCase ID: C9\nSource IP: 203.0.113.7\nTimestamp: 2026-03-02 10:00\n"),
    );
    let (code, out, _) = desk.run(&["reply", "mail", "--config", "config"]);
    assert_eq!(code, 0);
    let asked: Vec<&str> = out.lines().filter(|line| line.starts_with("- ")).collect();
    let words = [
        "source port",
        "time zone",
        "to the second",
        "TCP or UDP",
        "other end",
    ];
    assert_eq!(asked.len(), words.len(), "{out}");
    for (line, word) in asked.iter().zip(words) {
        assert!(line.contains(word), "{line}");
    }
    assert!(out.contains("C9") && !out.contains('@'), "{out}");
    desk.write("mail", &format!("{HEAD}{CLAIM}"));
    let (_, out, _) = desk.run(&["reply", "mail"]);
    assert!(out.contains("every field"), "{out}");
}

#[test]
fn an_mbox_and_a_maildir_are_read_mail_by_mail() {
    let desk = Desk::new();
    let good = format!("{ATTESTED}{HEAD}{CLAIM}");
    let other = good.replace("6881", "6882");
    desk.write(
        "box",
        &format!(
            "From x Mon Mar  2 12:00:00 2026\n{good}\nFrom y Mon Mar  2 12:00:01 2026\n{other}\n"
        ),
    );
    let arguments = [
        "check",
        "box",
        "--config",
        "config",
        "--records",
        "records",
        "--json",
    ];
    let verdicts = |out: &str| -> Vec<String> {
        let mut all: Vec<String> = out
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["evidence"].to_string())
            .collect();
        all.sort();
        all
    };
    let (code, out, _) = desk.run(&arguments);
    assert_eq!(code, 10);
    assert_eq!(verdicts(&out), ["\"confirmed\"", "\"contradicted\""]);
    for folder in ["dir", "dir/new", "dir/cur", "dir/tmp"] {
        std::fs::create_dir(desk.path(folder)).unwrap();
    }
    desk.write("dir/new/1", &good);
    desk.write("dir/cur/2:2,S", &other);
    let (_, out, _) = desk.run(&[
        "check",
        "dir",
        "--config",
        "config",
        "--records",
        "records",
        "--json",
    ]);
    assert_eq!(verdicts(&out), ["\"confirmed\"", "\"contradicted\""]);
}

#[test]
fn records_are_streamed_once() {
    let desk = Desk::new();
    // A pipe can be read once, and not from its beginning again.
    let flows = std::fs::read(desk.path("records/flows.csv")).unwrap();
    std::fs::remove_file(desk.path("records/flows.csv")).unwrap();
    let made = Command::new("mkfifo")
        .arg(desk.path("records/flows.csv"))
        .status();
    assert!(made.unwrap().success());
    let pipe = desk.path("records/flows.csv");
    let writing = std::thread::spawn(move || std::fs::write(pipe, flows));
    let (code, value) = desk.check(&format!("{ATTESTED}{HEAD}{CLAIM}"), &[]);
    writing.join().unwrap().unwrap();
    assert_eq!(
        (code, value["evidence"].as_str()),
        (0, Some("confirmed")),
        "{value:#}"
    );
}

#[test]
fn signs_are_told_with_their_sources_and_are_no_verdict() {
    let desk = Desk::new();
    let (_, plain) = desk.check(&format!("{ATTESTED}{HEAD}{CLAIM}"), &[]);
    assert_eq!(signs(&plain), BTreeSet::new(), "{plain:#}");
    let fake = "From: \"Gendarmerie\" <office.gendarmerie@gmail.com>\nReply-To: other@mail.ru\nTo: someone@else.example\n\
        Date: Mon, 2 Feb 2026 12:00:00 +0000\nSubject: Notice \u{202e}x\nContent-Type: text/plain\n\n\
        Infringement. Pay the fine by Bitcoin at https://pay.example/x or log in to your account.\n\
        Source IP: 10.1.2.3\nTimestamp: 2026-05-01 10:00:00 UTC\n";
    let (code, value) = desk.check(&format!("{UNPROVEN}{fake}"), &[]);
    let expected = [
        "bogus-address",
        "date-apart",
        "foreign-link",
        "freemail-authority",
        "future-event",
        "hidden-order",
        "hidden-recipient",
        "login",
        "money",
        "no-case-number",
        "reply-elsewhere",
    ];
    assert_eq!(
        signs(&value),
        expected.map(str::to_owned).into(),
        "{value:#}"
    );
    // It is contradicted for its hour, not for its signs.
    assert_eq!(
        (code, value["sender"]["verdict"].as_str()),
        (10, Some("unproven"))
    );
}

#[test]
fn what_procmail_and_ticket_systems_do_with_the_exit_code() {
    let desk = Desk::new();
    desk.write(
        "mail",
        &format!("{ATTESTED}{HEAD}{CLAIM}").replace("203.0.113.7", "203.0.113.100"),
    );
    // A mail on standard input, as a filter gets it.
    let mail = std::fs::File::open(desk.path("mail")).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_check-notice"))
        .args(["check", "-", "--config", "config"])
        .current_dir(desk.0.path())
        .stdin(mail)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(10));
}
