//! A folder with keys, and the programs that sign with them. Everything is gone with its value.

mod milter;

use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

/// A complaint as it leaves its author.
pub(crate) const MAIL: &str = "From: Notices <notice@rights.example>\r\nTo: abuse@net.example\r\nSubject: Notice of infringement\r\n\
Date: Mon, 2 Mar 2026 12:00:00 +0000\r\nMessage-ID: <1@rights.example>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n\
We saw an infringement.\r\n\r\nSource IP: 198.51.100.7\r\nPort: 6881\r\nTimestamp: 2026-03-02 10:00:00 UTC\r\n";

/// Whether a program is here.
pub(crate) fn has(program: &str) -> bool {
    if program.contains('/') {
        return std::path::Path::new(program).exists();
    }
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}

fn program(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env(
        "PATH",
        std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin",
    );
    command
}

pub(crate) struct Bench {
    folder: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a program in the folder with an input; its output, or a panic with its errors.
    fn sign(&self, command: &mut Command, input: &str) -> String {
        let mut child = command
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{command:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn configure(&self, text: &str) {
        std::fs::write(self.path("config"), text).unwrap();
    }

    /// Runs check-notice in the folder, the mail in the file `mail`.
    pub(crate) fn run(&self, arguments: &[&str], mail: &str) -> (i32, String) {
        std::fs::write(self.path("mail"), mail).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_check-notice"))
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        (
            output.status.code().unwrap(),
            out + &String::from_utf8_lossy(&output.stderr),
        )
    }

    pub(crate) fn check(&self, mail: &str, flags: &[&str]) -> (i32, String) {
        let mut arguments = vec!["check", "mail", "--config", "config", "--json"];
        arguments.extend(flags);
        self.run(&arguments, mail)
    }

    /// Checks a mail, and that sender and a reason are these.
    pub(crate) fn expect(&self, mail: &str, flags: &[&str], verdict: &str, reason: &str) {
        let (_, out) = self.check(mail, flags);
        let value: serde_json::Value =
            serde_json::from_str(&out).unwrap_or_else(|_| panic!("no JSON: {out}"));
        let sender = &value["sender"];
        assert_eq!(sender["verdict"], verdict, "{sender:#}\n{mail}");
        let reasons = sender["reasons"].to_string();
        assert!(reasons.contains(reason), "{reason}: {sender:#}");
    }

    /// An RSA key for a domain with the selector `s1`, and an Ed25519 one with `s2`.
    pub(crate) fn rsa_key(&self, domain: &str) {
        let run = |arguments: &[&str]| self.sign(program("openssl").args(arguments), "");
        run(&["genrsa", "-traditional", "-out", "rsa.pem", "2048"]);
        let pem = run(&["rsa", "-in", "rsa.pem", "-pubout"]);
        let public: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        run(&["genpkey", "-algorithm", "ed25519", "-out", "ed.pem"]);
        run(&["pkey", "-in", "ed.pem", "-outform", "DER", "-out", "ed.der"]);
        run(&[
            "pkey", "-in", "ed.pem", "-pubout", "-outform", "DER", "-out", "ed.pub",
        ]);
        let tail = |name: &str| {
            use base64::Engine;
            let bytes = std::fs::read(self.path(name)).unwrap();
            base64::engine::general_purpose::STANDARD.encode(&bytes[bytes.len() - 32..])
        };
        std::fs::write(self.path("ed.key"), tail("ed.der")).unwrap();
        let keys = format!(
            "s1._domainkey.{domain} v=DKIM1; k=rsa; p={public}\ns2._domainkey.{domain} v=DKIM1; k=ed25519; p={}\n",
            tail("ed.pub")
        );
        std::fs::write(self.path("keys"), keys).unwrap();
    }

    /// Signed by the test program of opendkim, which knows only SHA-1.
    pub(crate) fn opendkim_sha1(&self, domain: &str, mail: &str) -> String {
        let mut command = program("opendkim-testmsg");
        command.args(["-C", "-d", domain, "-s", "s1", "-k", "rsa.pem"]);
        let signed = self.sign(&mut command, mail);
        signed.replace("\r\n", "\n").replace('\n', "\r\n")
    }

    /// Signed by a running opendkim, asked as a mail server would.
    pub(crate) fn opendkim(&self, domain: &str, mail: &str) -> String {
        let socket = self.path("milter");
        let settings = format!(
            "Mode s\nDomain {domain}\nSelector s1\nKeyFile {}\nInternalHosts 0.0.0.0/0\nSignatureAlgorithm rsa-sha256\n\
             Canonicalization relaxed/simple\nRequireSafeKeys no\nSyslog no\nSocket local:{}\nBackground no\n",
            self.path("rsa.pem").display(),
            socket.display()
        );
        std::fs::write(self.path("opendkim.conf"), settings).unwrap();
        let mut command = program("opendkim");
        command.args(["-f", "-x"]).arg(self.path("opendkim.conf"));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let signed = milter::ask(&socket, mail);
        let _gone = child.kill();
        let _status = child.wait();
        let _socket = std::fs::remove_file(socket);
        signed
    }

    pub(crate) fn has_dkimpy(&self) -> bool {
        let import = if self.path("ed.key").exists() {
            "import dkim, authres, nacl"
        } else {
            "import dkim, authres"
        };
        let mut command = Command::new("/usr/bin/python3");
        let silent = command
            .args(["-c", import])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        silent.status().is_ok_and(|status| status.success())
    }

    pub(crate) fn dkimpy(&self, domain: &str, mail: &str, length: bool, ed25519: bool) -> String {
        const SCRIPT: &str = "import sys, dkim\n\
            mail = sys.stdin.buffer.read()\n\
            domain, length, kind = sys.argv[1].encode(), sys.argv[2] == '1', sys.argv[3]\n\
            key, selector, algorithm = (open('ed.key','rb').read(), b's2', b'ed25519-sha256') if kind == 'ed' \
            else (open('rsa.pem','rb').read(), b's1', b'rsa-sha256')\n\
            field = dkim.sign(mail, selector, domain, key, canonicalize=(b'relaxed', b'simple'), length=length, \
            signature_algorithm=algorithm, include_headers=[b'from', b'to', b'subject', b'date'])\n\
            sys.stdout.buffer.write(field + mail)\n";
        let flags = [
            domain,
            if length { "1" } else { "0" },
            if ed25519 { "ed" } else { "rsa" },
        ];
        self.sign(
            Command::new("/usr/bin/python3")
                .args(["-c", SCRIPT])
                .args(flags),
            mail,
        )
    }

    /// The key of one domain is published for another too.
    pub(crate) fn add_key_of(&self, domain: &str, other: &str) {
        let keys = std::fs::read_to_string(self.path("keys")).unwrap();
        let more = keys.replace(domain, other);
        std::fs::write(self.path("keys"), keys + &more).unwrap();
    }

    /// Sealed by a forwarder, who reads the results in the mail.
    pub(crate) fn arc(&self, domain: &str, mail: &str) -> String {
        const SCRIPT: &str = "import sys, dkim\n\
            mail = sys.stdin.buffer.read()\n\
            domain = sys.argv[1].encode()\n\
            fields = dkim.arc_sign(mail, b's1', domain, open('rsa.pem','rb').read(), b'mx.' + domain, \
            include_headers=[b'from', b'to', b'subject', b'date'])\n\
            sys.stdout.buffer.write(b''.join(fields) + mail)\n";
        self.sign(
            Command::new("/usr/bin/python3").args(["-c", SCRIPT, domain]),
            mail,
        )
    }

    pub(crate) fn certificate(&self, address: &str) {
        let subject = format!("/CN=Notices/emailAddress={address}");
        let mut command = program("openssl");
        command.args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-keyout", "key.pem",
            "-out", "cert.pem",
        ]);
        self.sign(command.args(["-subj", &subject]), "");
    }

    /// An authority `ca.pem`, which issues certificates to anybody.
    pub(crate) fn authority(&self) {
        let mut command = program("openssl");
        command.args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "30",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-subj",
            "/CN=Authority",
        ]);
        self.sign(&mut command, "");
    }

    /// A certificate of that authority, in place of the one before.
    pub(crate) fn issue(&self, address: &str) {
        let subject = format!("/CN=Somebody/emailAddress={address}");
        let run = |arguments: &[&str]| self.sign(program("openssl").args(arguments), "");
        run(&[
            "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out",
            "csr.pem", "-subj", &subject,
        ]);
        run(&[
            "x509",
            "-req",
            "-in",
            "csr.pem",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "30",
            "-out",
            "cert.pem",
        ]);
    }

    pub(crate) fn smime(&self, mail: &str) -> String {
        self.smime_with(mail, &[])
    }

    pub(crate) fn smime_with(&self, mail: &str, flags: &[&str]) -> String {
        let (head, body) = mail.split_once("MIME-Version: 1.0\r\n").unwrap();
        let mut command = program("openssl");
        command.args([
            "cms", "-sign", "-signer", "cert.pem", "-inkey", "key.pem", "-md", "sha256", "-crlfeol",
        ]);
        command.args(flags);
        let signed = self.sign(&mut command, body);
        format!(
            "{head}{}",
            signed.replace("\r\n", "\n").replace('\n', "\r\n")
        )
    }

    fn gpg(&self) -> Command {
        let mut command = program("gpg");
        command.args([
            "--homedir",
            "gpg",
            "--batch",
            "--no-tty",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
        ]);
        command
    }

    /// Makes a key and its ring; gives the fingerprint.
    pub(crate) fn pgp_key(&self, address: &str) -> String {
        use std::os::unix::fs::DirBuilderExt;
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(self.path("gpg"))
            .unwrap();
        self.sign(
            self.gpg()
                .args(["--quick-generate-key", address, "rsa2048", "sign", "never"]),
            "",
        );
        let listed = self.sign(
            self.gpg().args(["--with-colons", "--fingerprint", address]),
            "",
        );
        self.sign(self.gpg().args(["--export", "--output", "ring.gpg"]), "");
        let line = listed
            .lines()
            .find(|line| line.starts_with("fpr:"))
            .unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    pub(crate) fn clearsign(&self, mail: &str, hash: &str) -> String {
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        let signed = self.sign(
            self.gpg().args(["--digest-algo", hash, "--clearsign"]),
            &body.replace("\r\n", "\n"),
        );
        format!("{head}\r\n\r\n{}", signed.replace('\n', "\r\n"))
    }

    /// A signed MIME part, and its signature.
    pub(crate) fn detached(&self, mail: &str) -> (String, String) {
        let (_, body) = mail.split_once("\r\n\r\n").unwrap();
        let content = format!("Content-Type: text/plain\r\n\r\n{}", body.trim_end());
        let signature = self.sign(self.gpg().args(["--armor", "--detach-sign"]), &content);
        (content, signature)
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // gpg starts an agent for its folder; it ends when asked.
        if self.path("gpg").exists() {
            let mut command = program("gpgconf");
            let _ended = command
                .arg("--homedir")
                .arg(self.path("gpg"))
                .args(["--kill", "all"])
                .output();
        }
    }
}

/// RFC 3156, 5.
pub(crate) fn pgp_mime(mail: &str, content: &str, signature: &str) -> String {
    let (head, _) = mail.split_once("Content-Type: ").unwrap();
    let signature = signature.replace('\n', "\r\n");
    format!(
        "{head}Content-Type: multipart/signed; micalg=pgp-sha256; protocol=\"application/pgp-signature\"; boundary=\"b1\"\r\n\r\n\
         --b1\r\n{content}\r\n--b1\r\nContent-Type: application/pgp-signature\r\n\r\n{signature}\r\n--b1--\r\n"
    )
}

/// A dnsmasq that serves the keys of a bench.
pub(crate) struct NameServer {
    child: Child,
    address: SocketAddr,
}

impl NameServer {
    pub(crate) fn start(bench: &Bench) -> Option<Self> {
        // A free port; another may take it meanwhile, then the next is tried.
        for _attempt in 0..5 {
            let port = UdpSocket::bind("127.0.0.1:0")
                .ok()?
                .local_addr()
                .ok()?
                .port();
            let mut command = program("dnsmasq");
            command.args([
                "--keep-in-foreground",
                "--no-resolv",
                "--no-hosts",
                "--conf-file=/dev/null",
                "--bind-interfaces",
            ]);
            command.args([
                "--listen-address=127.0.0.1",
                "--user=",
                "--group=",
                &format!("--port={port}"),
            ]);
            command.arg(format!(
                "--pid-file={}",
                bench.path("dnsmasq.pid").display()
            ));
            for line in std::fs::read_to_string(bench.path("keys")).ok()?.lines() {
                let (name, record) = line.split_once(' ')?;
                // A string of a TXT record has at most 255 bytes.
                let strings: Vec<String> = record
                    .as_bytes()
                    .chunks(200)
                    .map(|part| String::from_utf8_lossy(part).into_owned())
                    .collect();
                command.arg(format!("--txt-record={name},{}", strings.join(",")));
            }
            let mut child = command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .ok()?;
            let address: SocketAddr = ([127, 0, 0, 1], port).into();
            for _wait in 0..100 {
                if check_notice::world::txt(address, "s1._domainkey.rights.example").is_ok() {
                    return Some(Self { child, address });
                }
                if child.try_wait().ok()?.is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            let _gone = child.kill();
            let _status = child.wait();
        }
        None
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A name server that knows no name, and counts who asks.
pub(crate) struct NoNames {
    pub(crate) address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl NoNames {
    pub(crate) fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        // Ends with the test's process.
        std::thread::spawn(move || {
            let mut question = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut question) {
                count.fetch_add(1, Ordering::Relaxed);
                let mut answer = question[..length].to_vec();
                // An answer, recursion available: no such name.
                (answer[2], answer[3]) = (0x81, 0x83);
                let _lost = socket.send_to(&answer, from);
            }
        });
        Self { address, asked }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}
