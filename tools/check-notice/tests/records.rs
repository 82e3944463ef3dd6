//! Logs as real programs write them: nfdump, FreeRADIUS. Each program runs on loopback, and is stopped by
//! its number.

#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

mod skip;

use std::io::Write;
use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use check_notice::records::{Kind, Reading, Records, SourceRules, Wanted, kind_of};
use check_notice::time::Interval;
use skip::skip;

/// 2026-03-02T10:00:00Z.
const AT: u32 = 1_772_445_600;

/// Whether a program is here.
fn has(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

fn wanted(address: &str) -> Wanted {
    let all = Interval::new(0, 4_000_000_000);
    Wanted::from([(address.parse().unwrap(), vec![all])])
}

fn read(name: &str, text: &str, rules: &dyn Fn(Kind) -> SourceRules, wanted: &Wanted) -> Records {
    let kind = kind_of(name, &text.as_bytes()[..text.len().min(8_192)]);
    let rules = rules(kind.unwrap_or_else(|| panic!("{name} is known: {text}")));
    let mut reading = Reading::new(wanted);
    reading.read(name, rules, text.as_bytes()).unwrap();
    let records = reading.finish().unwrap();
    assert_eq!(records.sources[0].bad_lines, 0, "{text}");
    records
}

/// A capture of one UDP packet from 198.51.100.7:6881 to 192.0.2.1:7000, and of a TCP packet back to 6882.
fn capture() -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 1] {
        file.extend(word.to_le_bytes());
    }
    let mut packet = |second: u32, protocol: u8, from: ([u8; 4], u16), to: ([u8; 4], u16)| {
        let mut payload = [from.1.to_be_bytes(), to.1.to_be_bytes()].concat();
        if protocol == 17 {
            payload.extend([0, 12, 0, 0, 1, 2, 3, 4]);
        } else {
            payload.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 1, 0, 0, 0, 0, 0]);
        }
        let length = u16::try_from(20 + payload.len()).unwrap();
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        frame.extend([0x45, 0]);
        frame.extend(length.to_be_bytes());
        frame.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
        frame.extend(from.0);
        frame.extend(to.0);
        frame.extend(payload);
        let size = u32::try_from(frame.len()).unwrap();
        for word in [second, 0, size, size] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    };
    packet(AT, 17, ([198, 51, 100, 7], 6_881), ([192, 0, 2, 1], 7_000));
    packet(AT + 9, 6, ([192, 0, 2, 2], 443), ([198, 51, 100, 7], 6_882));
    file
}

#[test]
fn what_nfdump_prints_is_read_with_both_directions() {
    if !has("nfpcapd") || !has("nfdump") {
        skip("needs nfdump");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("capture"), capture()).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .env("TZ", "UTC")
            .current_dir(folder.path())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{program}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    };
    std::fs::create_dir(folder.path().join("flows")).unwrap();
    run("nfpcapd", &["-r", "capture", "-w", "flows"]);
    // Without -q, which leaves out the line with the names of the columns.
    let text = run("nfdump", &["-R", "flows", "-o", "csv"]);
    let records = read("flows", &text, &SourceRules::of, &wanted("198.51.100.7"));
    let address: IpAddr = "198.51.100.7".parse().unwrap();
    let mut found: Vec<_> = records
        .flows(address, Interval::new(0, i64::MAX))
        .map(|flow| {
            (
                flow.port,
                flow.peer.0.to_string(),
                flow.peer.1,
                flow.time.from,
            )
        })
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            (6_881, "192.0.2.1".to_owned(), 7_000, i64::from(AT)),
            (6_882, "192.0.2.2".to_owned(), 443, i64::from(AT) + 9),
        ],
        "{text}"
    );
}

/// A FreeRADIUS of our own in the foreground.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _status = self.0.wait();
    }
}

fn settings(folder: &Path, port: u16) -> String {
    let here = folder.display();
    format!(
        "prefix = /usr\nlogdir = {here}\nradacctdir = {here}\nraddbdir = {here}\nrun_dir = {here}\n\
         libdir = /usr/lib/freeradius\npidfile = {here}/pid\nmax_requests = 1024\n\
         client localhost {{\n ipaddr = 127.0.0.1\n secret = testing123\n}}\n\
         modules {{\n detail {{\n filename = {here}/detail\n permissions = 0600\n header = \"%t\"\n }}\n}}\n\
         server default {{\n listen {{\n type = acct\n ipaddr = 127.0.0.1\n port = {port}\n }}\n\
         accounting {{\n detail\n }}\n}}\n"
    )
}

fn start(folder: &Path) -> Option<(Server, u16)> {
    for _attempt in 0..3 {
        let port = UdpSocket::bind("127.0.0.1:0")
            .ok()?
            .local_addr()
            .ok()?
            .port();
        std::fs::write(folder.join("radiusd.conf"), settings(folder, port)).unwrap();
        let child = Command::new("freeradius")
            .args(["-f", "-l", "stdout", "-d"])
            .arg(folder)
            .stdin(Stdio::null())
            .stdout(std::fs::File::create(folder.join("log")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut server = Server(child);
        for _wait in 0..100 {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            if log.contains("Ready to process requests") {
                return Some((server, port));
            }
            if server.0.try_wait().ok()?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    None
}

fn account(port: u16, packet: &str) {
    let mut child = Command::new("radclient")
        .args(["-x", "-r", "3", "-t", "5"])
        .args([&format!("127.0.0.1:{port}"), "acct", "testing123"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(packet.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
}

#[test]
fn what_freeradius_writes_is_read_as_sessions() {
    if !has("freeradius") || !has("radclient") {
        skip("needs freeradius and radclient");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let Some((server, port)) = start(folder.path()) else {
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        skip(&format!("freeradius does not start here: {log}"));
        return;
    };
    // The same number of a session twice, as after a restart of the access server: two people.
    for (user, kind, at, lasted) in [
        ("ada", "Start", AT, 0),
        ("ada", "Interim-Update", AT + 600, 600),
        ("ada", "Stop", AT + 900, 900),
        ("bob", "Start", AT + 1_000, 0),
        ("bob", "Stop", AT + 2_000, 1_000),
    ] {
        account(
            port,
            &format!(
                "Acct-Status-Type = {kind}\nAcct-Session-Id = \"00000001\"\nUser-Name = \"{user}\"\n\
                 NAS-IP-Address = 10.9.9.9\nFramed-IP-Address = 198.51.100.7\nAcct-Session-Time = {lasted}\n\
                 Calling-Station-Id = \"02-00-00-00-00-01\"\nEvent-Timestamp = {at}\n"
            ),
        );
    }
    drop(server);
    let text = std::fs::read_to_string(folder.path().join("detail")).unwrap();
    let records = read("detail", &text, &SourceRules::of, &Wanted::new());
    let address: IpAddr = "198.51.100.7".parse().unwrap();
    let mut found: Vec<_> = records
        .leases(address, Interval::new(0, i64::MAX))
        .map(|lease| {
            let possible = lease.possible;
            (
                records.holder(lease.holder).to_owned(),
                possible.from,
                possible.to,
            )
        })
        .collect();
    found.sort();
    let at = i64::from(AT);
    assert_eq!(
        found,
        [
            ("user:ada".to_owned(), at, at + 900),
            ("user:bob".to_owned(), at + 1_000, at + 2_000),
        ],
        "{text}"
    );
}
