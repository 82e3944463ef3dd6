//! Hostile mails: bounded memory and time, and a clear answer with its exit code.
//!
//! Each runs as a process of its own with 400 MB of address space and a generous end.

use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Address space in KiB; a mail may have 32 MiB and is decoded once.
const MEMORY_KIB: u32 = 400_000;

/// Far above what any of these takes, for busy machines.
const PATIENCE: Duration = Duration::from_secs(100);

/// Checks a mail from standard input; exit code and both outputs.
fn check(mail: &[u8]) -> (i32, String) {
    // A file takes any answer; a pipe would be full.
    let mut answer = tempfile::tempfile().expect("there is room for a file");
    let mut child = Command::new("sh")
        .args([
            "-c",
            &format!("ulimit -v {MEMORY_KIB}; exec \"$0\" check -"),
            env!("CARGO_BIN_EXE_check-notice"),
        ])
        .stdin(Stdio::piped())
        .stdout(answer.try_clone().expect("a file can be shared"))
        .stderr(answer.try_clone().expect("a file can be shared"))
        .spawn()
        .expect("there is a shell");
    let mut input = child.stdin.take().expect("it is piped");
    let bytes = mail.to_vec();
    // It may stop reading early, which is its right.
    let writing = std::thread::spawn(move || drop(input.write_all(&bytes)));
    let began = Instant::now();
    while child.try_wait().expect("it is our child").is_none() {
        if began.elapsed() > PATIENCE {
            drop(child.kill());
            drop(child.wait());
            panic!("no end in {PATIENCE:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(writing.join());
    let code = child.wait().expect("it ended").code().unwrap_or(-1);
    let mut text = String::new();
    answer
        .seek(SeekFrom::Start(0))
        .and_then(|_| answer.read_to_string(&mut text))
        .expect("its answer is text");
    (code, text)
}

const HEAD: &str = "From: a@b.example\r\nTo: c@d.example\r\nSubject: Notice of infringement\r\nDate: Mon, 2 Mar 2026 12:00:00 +0000\r\n";
const CLAIM: &str = "Source IP: 192.0.2.1\r\nTimestamp: 2026-03-02 10:00:00 UTC\r\n";

#[test]
fn a_hundred_megabytes_of_base64_are_refused() {
    let mut mail = format!(
        "{HEAD}Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    .into_bytes();
    mail.extend(
        b"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\r\n".repeat(1_600_000),
    );
    let (code, out) = check(&mail);
    assert_eq!(code, 65, "{out}");
    assert!(out.contains("more than 33554432 bytes"), "{out}");
}

#[test]
fn the_largest_mail_that_is_read_fits_into_memory() {
    let mut mail = format!(
        "{HEAD}Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    .into_bytes();
    mail.extend(
        b"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB\r\n".repeat(500_000),
    );
    let (code, out) = check(&mail);
    assert_eq!(code, 13, "{out}");
}

#[test]
fn ten_thousand_parts_are_refused() {
    let parts = "--b1\r\nContent-Type: text/plain\r\n\r\nx\r\n".repeat(10_000);
    let (code, out) = check(
        format!("{HEAD}Content-Type: multipart/mixed; boundary=b1\r\n\r\n{parts}--b1--\r\n")
            .as_bytes(),
    );
    assert_eq!(code, 65, "{out}");
    assert!(out.contains("1000 parts or more"), "{out}");
}

#[test]
fn a_hundred_mails_within_mails_are_read_to_a_depth() {
    let nest = format!("{HEAD}Content-Type: message/rfc822\r\n\r\n").repeat(100);
    let (code, out) = check(format!("{nest}{HEAD}\r\n{CLAIM}").as_bytes());
    assert_eq!(code, 13, "{out}");
    // Encoded ones, which must be decoded to be seen.
    let mut inner = format!("{HEAD}\r\n{CLAIM}");
    for _ in 0..12 {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(inner);
        inner = format!(
            "{HEAD}Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n{text}\r\n"
        );
    }
    let (code, out) = check(inner.as_bytes());
    assert_eq!(code, 13, "{out}");
}

#[test]
fn xml_bombs_deep_xml_and_deep_json_are_no_danger() {
    let entities: String = (1..30)
        .map(|n| format!("<!ENTITY e{n} \"&e{p};&e{p};&e{p};&e{p};\">", p = n - 1))
        .collect();
    let bomb = format!(
        "{HEAD}\r\n<!DOCTYPE Infringement [<!ENTITY e0 \"xxxxxxxxxxxxxxxx\">{entities}]>\
         <Infringement><Case><ID>&e29;</ID></Case><Source><IP_Address>192.0.2.1</IP_Address></Source></Infringement>"
    );
    assert_eq!(check(bomb.as_bytes()).0, 11);
    let deep = format!(
        "{HEAD}\r\n<Infringement>{}{}</Infringement>",
        "<a>".repeat(100_000),
        "</a>".repeat(100_000)
    );
    assert_eq!(check(deep.as_bytes()).0, 13);
    let attributes: String = (0..100_000).map(|n| format!(" a{n}=''")).collect();
    let wide = format!("{HEAD}\r\n<Infringement{attributes}></Infringement>");
    assert_eq!(check(wide.as_bytes()).0, 13);
    let json = format!(
        "{HEAD}Content-Type: application/json\r\n\r\n{}",
        "[".repeat(1_000_000)
    );
    assert_eq!(check(json.as_bytes()).0, 13);
}

#[test]
fn nul_mixed_line_ends_and_turned_writing_are_named() {
    let mail = format!("{HEAD}\n\u{0}\r\n{CLAIM}");
    let (code, out) = check(mail.as_bytes());
    assert_eq!(code, 11, "{out}");
    assert!(
        out.contains("NUL bytes") && out.contains("mixes line ends"),
        "{out}"
    );
    let turned = HEAD.replace("From: ", "From: \"\u{202e}elpmaxe.knab@ssob\" ");
    let (_, out) = check(format!("{turned}\r\n{CLAIM}").as_bytes());
    assert!(out.contains("turn the direction of writing"), "{out}");
    assert!(!out.contains('\u{202e}'), "{out}");
    let escape = HEAD.replace("a@b.example", "a@\u{1b}[31mb.example");
    assert!(
        !check(format!("{escape}\r\n{CLAIM}").as_bytes())
            .1
            .contains('\u{1b}')
    );
}

#[test]
fn huge_headers_and_floods_of_facts_are_bounded() {
    let many = "X-A: b\r\n".repeat(100_000);
    assert_eq!(check(format!("{HEAD}{many}\r\n{CLAIM}").as_bytes()).0, 65);
    let long = format!("To: {}\r\n", "a@b.example, ".repeat(200_000));
    assert_eq!(check(format!("{HEAD}{long}\r\n{CLAIM}").as_bytes()).0, 65);
    let flood = format!("{HEAD}\r\nabuse\r\n{}", CLAIM.repeat(100_000));
    assert_eq!(check(flood.as_bytes()).0, 11);
    let times = format!(
        "{HEAD}\r\nattack by 192.0.2.1\r\n{}",
        "2026-03-02 10:00:00 ".repeat(200_000)
    );
    assert_eq!(check(times.as_bytes()).0, 11);
    let signatures = format!(
        "DKIM-Signature: v=1; d=b.example; s=x; a=rsa-sha256; h={}; bh=; b=\r\n",
        "from:".repeat(10_000)
    );
    assert_eq!(
        check(format!("{}{HEAD}\r\n{CLAIM}", signatures.repeat(10)).as_bytes()).0,
        11
    );
}

#[test]
fn what_is_no_mail_is_refused() {
    for bytes in [
        b"".as_slice(),
        b"\0\0\0\0",
        b"{\"a\": 1}",
        b"\xff\xd8\xff\xe0 picture",
    ] {
        assert_eq!(check(bytes).0, 65, "{bytes:?}");
    }
}
