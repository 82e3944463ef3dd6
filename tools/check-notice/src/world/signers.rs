//! Starts `openssl cms` and `gpgv` with pinned keys on the signed bytes of a mail.
//!
//! A program that is missing, or that hangs, says nothing. Both read files in a folder of ours alone.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::config::{Complainant, Config};
use crate::mail::Mail;
use crate::sender::programs::{Found, ProgramResult, Signed, gpgv_answer, signed};
use crate::time::Seconds;

/// How long a program may take.
const WAIT: Duration = Duration::from_secs(20);

/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// Checks what is signed in a mail by programs, as of `received`; `folder` is empty and ours alone.
#[must_use]
pub fn run_programs(
    mail: &Mail,
    config: &Config,
    received: Seconds,
    folder: &Path,
) -> Vec<ProgramResult> {
    signed(mail)
        .into_iter()
        .map(|one| run(mail, config, received, folder, &one))
        .collect()
}

fn run(
    mail: &Mail,
    config: &Config,
    received: Seconds,
    folder: &Path,
    one: &Signed,
) -> ProgramResult {
    let around =
        |wrapped: bool| wrapped.then(|| "text that is not signed stands around it".to_owned());
    match one {
        Signed::Smime { wrapped } => ProgramResult {
            kind: "S/MIME",
            unsigned: around(*wrapped),
            found: smime(mail, config, received, folder),
        },
        Signed::PgpMime {
            content,
            signature,
            wrapped,
        } => {
            // RFC 3156, 5: the signed text has line ends as on the wire.
            let text = String::from_utf8_lossy(&mail.raw[content.clone()])
                .replace("\r\n", "\n")
                .replace('\n', "\r\n");
            let written = std::fs::write(folder.join("text"), text).and_then(|()| {
                std::fs::write(folder.join("signature"), &mail.raw[signature.clone()])
            });
            ProgramResult {
                kind: "PGP",
                unsigned: around(*wrapped),
                found: if written.is_ok() {
                    gpgv(config, received, folder, &["signature", "text"])
                } else {
                    Found::Nothing("its text could not be written to a file".to_owned())
                },
            }
        }
        Signed::Clearsigned { block, outside } => ProgramResult {
            kind: "PGP",
            unsigned: (*outside > 0)
                .then(|| format!("{outside} bytes of text stand outside of the signed block")),
            found: if std::fs::write(folder.join("block"), block).is_ok() {
                gpgv(config, received, folder, &["block"])
            } else {
                Found::Nothing("its text could not be written to a file".to_owned())
            },
        },
    }
}

fn gpgv(config: &Config, received: Seconds, folder: &Path, files: &[&str]) -> Found {
    let pinned: Vec<(String, String, Vec<String>)> = config
        .complainants()
        .iter()
        .filter_map(|one| {
            Some((
                one.pgp.as_ref()?.replace(' ', ""),
                one.name.clone(),
                one.addresses.clone(),
            ))
        })
        .collect();
    let rings: Vec<&Path> = config
        .complainants()
        .iter()
        .filter_map(|one| one.pgp_keyring.as_deref())
        .collect();
    if pinned.is_empty() || rings.is_empty() {
        return Found::Nothing("no PGP key is pinned in the configuration".to_owned());
    }
    let mut command = Command::new("gpgv");
    command.args(["--status-fd", "1", "--homedir"]).arg(folder);
    for ring in rings {
        let ring = std::path::absolute(ring).unwrap_or_else(|_| ring.to_owned());
        command.arg("--keyring").arg(ring);
    }
    command.args(files.iter().map(|file| folder.join(file)));
    match answer(&mut command) {
        Ok((_, text)) => gpgv_answer(&text, &pinned, received),
        Err(why) => Found::Nothing(format!("gpgv: {why}")),
    }
}

fn smime(mail: &Mail, config: &Config, received: Seconds, folder: &Path) -> Found {
    let file = folder.join("mail");
    if std::fs::write(&file, &mail.raw).is_err() {
        return Found::Nothing("its text could not be written to a file".to_owned());
    }
    let (mut altered, mut stranger) = (false, false);
    for one in config.complainants() {
        let Some(authority) = &one.smime_ca else {
            continue;
        };
        match smime_by(one, authority, &file, received, folder) {
            Ok(Some(found)) => return found,
            Ok(None) => {}
            Err(Mismatch::Altered) => altered = true,
            Err(Mismatch::Stranger) => stranger = true,
            Err(Mismatch::Program(why)) => return Found::Nothing(why),
        }
    }
    if altered {
        Found::Altered
    } else if stranger {
        Found::Nothing("its certificate is for no address of a pinned complainant".to_owned())
    } else {
        Found::Nothing("no pinned certificate leads to its signer".to_owned())
    }
}

enum Mismatch {
    Altered,
    /// Valid, by a certificate for addresses of somebody else.
    Stranger,
    Program(String),
}

fn smime_by(
    one: &Complainant,
    authority: &Path,
    file: &Path,
    received: Seconds,
    folder: &Path,
) -> Result<Option<Found>, Mismatch> {
    let signer = folder.join("signer.pem");
    let mut command = Command::new("openssl");
    command.args([
        "cms",
        "-verify",
        "-purpose",
        "any",
        "-attime",
        &received.to_string(),
        // A certificate may be pinned itself, without the authority that made it and many others.
        "-partial_chain",
        "-no-CApath",
        "-CAfile",
    ]);
    command
        .arg(authority)
        .arg("-in")
        .arg(file)
        .arg("-signer")
        .arg(&signer)
        .args(["-out", "/dev/null"]);
    let (ok, text) =
        answer(&mut command).map_err(|why| Mismatch::Program(format!("openssl: {why}")))?;
    if !ok {
        // A signer who is not pinned, or not valid at that time, says nothing about the text.
        let stranger = text.contains("certificate verify error");
        let words = [
            "digest failure",
            "content verify error",
            ":verification failure",
            "signature failure",
        ];
        let altered = !stranger && words.iter().any(|word| text.contains(word));
        return if altered {
            Err(Mismatch::Altered)
        } else {
            Ok(None)
        };
    }
    let mut command = Command::new("openssl");
    command
        .args(["x509", "-noout", "-email", "-in"])
        .arg(&signer);
    let (_, emails) =
        answer(&mut command).map_err(|why| Mismatch::Program(format!("openssl: {why}")))?;
    // An authority signs for many: only addresses that the operator named are this complainant's.
    let addresses: Vec<String> = emails
        .lines()
        .map(|line| line.trim().to_lowercase())
        .filter(|line| one.speaks_for(line))
        .collect();
    if addresses.is_empty() {
        return Err(Mismatch::Stranger);
    }
    Ok(Some(Found::Valid {
        name: one.name.clone(),
        addresses,
        remark: Some("whether it was revoked cannot be told offline".to_owned()),
    }))
}

/// Runs a program with nothing on its standard input; its outputs together, or why there is none.
fn answer(command: &mut Command) -> Result<(bool, String), String> {
    let (mut reader, writer) = std::io::pipe().map_err(|error| error.to_string())?;
    let both = writer.try_clone().map_err(|error| error.to_string())?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(both)
        .env("LC_ALL", "C")
        .spawn()
        .map_err(|error| format!("cannot be started: {error}"))?;
    // The command keeps the ends of the pipe that the child got: without them the reader sees its end.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let reading = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _cut = reader
            .by_ref()
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut text);
        text
    });
    let began = Instant::now();
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if began.elapsed() < WAIT => std::thread::sleep(Duration::from_millis(5)),
            _ => {
                let _gone = child.kill();
                let _status = child.wait();
                return Err("it did not end in time".to_owned());
            }
        }
    };
    let text = reading
        .join()
        .map_err(|_| "its answer was lost".to_owned())?;
    Ok((
        status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}
