//! S/MIME and PGP: which bytes go to `openssl cms` and `gpgv`, and what their answers mean.
//!
//! The programs themselves are started by `world`; here is only what goes in and what came out.

use std::ops::Range;

use super::{Trust, to_others};
use crate::evidence::Reason;
use crate::mail::Mail;

/// A signed piece of a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signed {
    /// `multipart/signed` with PKCS #7; the whole mail goes to `openssl`.
    Smime {
        /// Whether text that is not signed stands around it.
        wrapped: bool,
    },
    /// `multipart/signed` with PGP: bytes of the signed part and of the signature.
    PgpMime {
        /// The signed part, as raw bytes of the mail.
        content: Range<usize>,
        /// The armoured signature.
        signature: Range<usize>,
        /// Whether text that is not signed stands around it.
        wrapped: bool,
    },
    /// A block `BEGIN PGP SIGNED MESSAGE` in a text part.
    Clearsigned {
        /// The decoded block.
        block: String,
        /// Bytes of text outside of it.
        outside: usize,
    },
}

/// What a program found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Valid, by a pinned signer; a remark as a weak hash.
    Valid {
        /// The pinned name.
        name: String,
        /// Addresses in the certificate; for PGP those that the pin names.
        addresses: Vec<String>,
        /// Something to know.
        remark: Option<String>,
    },
    /// The bytes are not those that were signed.
    Altered,
    /// Signed, but not by a pinned signer, or the program is missing: says nothing.
    Nothing(String),
}

/// A result with the kind of signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgramResult {
    /// `S/MIME` or `PGP`.
    pub kind: &'static str,
    /// What stands around it unsigned, in words.
    pub unsigned: Option<String>,
    /// What the program found.
    pub found: Found,
}

impl ProgramResult {
    /// Adds to the reasons of a finding.
    pub(super) fn judge(
        &self,
        mail: &Mail,
        trust: &Trust,
        proven: &mut Option<String>,
        against: &mut Vec<Reason>,
        reasons: &mut Vec<Reason>,
    ) {
        let kind = self.kind;
        match &self.found {
            Found::Valid {
                name,
                addresses,
                remark,
            } => {
                let from = mail.from_address().unwrap_or_default();
                let remark = remark
                    .as_ref()
                    .map_or(String::new(), |remark| format!(" ({remark})"));
                if !addresses
                    .iter()
                    .any(|address| address.eq_ignore_ascii_case(&from))
                {
                    reasons.push(Reason::new(format!(
                        "{kind}: valid by {name}{remark}, but From is another address: {from}"
                    )));
                } else if let Some(unsigned) = &self.unsigned {
                    reasons.push(Reason::new(format!(
                        "{kind}: valid by {name}{remark}, but it covers only a part: {unsigned}"
                    )));
                } else if let Some(text) = to_others(mail, trust, &["To", "Cc"]) {
                    reasons.push(Reason::new(format!(
                        "{kind}: valid by {name}{remark}, but {text}"
                    )));
                } else {
                    reasons.push(Reason::new(format!(
                        "{kind}: valid by the pinned {name}{remark}; it does not cover the Subject"
                    )));
                    *proven = Some(name.clone());
                }
            }
            Found::Altered => against.push(Reason::new(format!(
                "{kind}: the text is not the one that was signed"
            ))),
            Found::Nothing(why) => {
                reasons.push(Reason::new(format!("{kind}: says nothing, {why}")));
            }
        }
    }
}

/// Finds what is signed in a mail; at most one of each kind.
#[must_use]
pub fn signed(mail: &Mail) -> Vec<Signed> {
    let mut found = Vec::new();
    let kind = mail.first("Content-Type").unwrap_or_default();
    let lower = kind.to_ascii_lowercase();
    let body = mail.raw.get(mail.body_at..).unwrap_or_default();
    let is_signed = lower.starts_with("multipart/signed");
    let split = boundary(&kind)
        .filter(|_| is_signed)
        .and_then(|boundary| split(mail, &boundary));
    if is_signed && lower.contains("pkcs7") {
        let wrapped = split.is_none_or(|both| has_more(mail, &both, &SMIME_SIGNATURES, is_base64));
        found.push(Signed::Smime { wrapped });
    } else if SMIME_OPAQUE.iter().any(|opaque| lower.starts_with(opaque)) {
        let alone = mail
            .parts
            .iter()
            .all(|part| is_one_of(&part.kind, &SMIME_OPAQUE));
        let several = mail.all("Content-Type").count() > 1;
        let wrapped = !alone || several || !is_base64(&String::from_utf8_lossy(body));
        found.push(Signed::Smime { wrapped });
    } else if memchr::memmem::find(body, b"application/pkcs7-signature").is_some() {
        found.push(Signed::Smime { wrapped: true });
    } else if is_signed && lower.contains("pgp-signature") {
        if let Some(both) = split {
            let wrapped = has_more(mail, &both, &PGP_SIGNATURES, is_armour);
            let (content, signature) = both;
            found.push(Signed::PgpMime {
                content,
                signature,
                wrapped,
            });
        }
    } else if let Some(part) = mail
        .parts
        .iter()
        .find(|p| p.text.as_deref().is_some_and(|t| t.contains(BEGIN)))
    {
        found.extend(
            part.text
                .as_deref()
                .and_then(|text| clearsigned(mail, text)),
        );
    }
    found
}

/// Kinds of the part that holds a PGP signature (RFC 3156, 5).
const PGP_SIGNATURES: [&str; 1] = ["application/pgp-signature"];

/// Kinds of the part that holds an S/MIME signature (RFC 8551, 3.5.3), and what they were called before.
const SMIME_SIGNATURES: [&str; 2] = [
    "application/pkcs7-signature",
    "application/x-pkcs7-signature",
];

/// Kinds of a mail that is inside of its signature (RFC 8551, 3.5.2).
const SMIME_OPAQUE: [&str; 2] = ["application/pkcs7-mime", "application/x-pkcs7-mime"];

fn is_one_of(kind: &str, kinds: &[&str]) -> bool {
    kinds.contains(&kind)
}

/// Whether a reader sees more than the signed bytes: a part elsewhere, words in the part of the signature,
/// which programs skip, or another idea of where parts end.
fn has_more(
    mail: &Mail,
    (content, signature): &(Range<usize>, Range<usize>),
    kinds: &[&str],
    is_signature: fn(&str) -> bool,
) -> bool {
    let outside = mail.parts.iter().any(|part| {
        let within =
            |range: &Range<usize>| range.start <= part.raw.start && part.raw.end <= range.end + 2;
        let signs = within(signature) && is_one_of(&part.kind, kinds);
        part.length > 0 && !within(content) && !signs
    });
    let text = String::from_utf8_lossy(mail.raw.get(signature.clone()).unwrap_or_default());
    outside || !is_bare(&text, is_signature) || mail.all("Content-Type").count() > 1
}

/// A field of the whole mail (RFC 2045, 4) that some libraries write into each part, as Python's does.
const VERSION: &str = "MIME-Version: 1.0";

/// Whether a part has no more than the fields of a MIME part, without an address in them, and a signature.
fn is_bare(part: &str, is_signature: fn(&str) -> bool) -> bool {
    let mut lines = part.lines();
    let fields: Vec<&str> = lines
        .by_ref()
        .take_while(|line| !line.trim().is_empty())
        .collect();
    let known = fields.iter().all(|line| {
        let begin = line.get(..8).unwrap_or("");
        line.starts_with([' ', '\t'])
            || begin.eq_ignore_ascii_case("content-")
            || line.trim_end().eq_ignore_ascii_case(VERSION)
    });
    let rest: Vec<&str> = lines.collect();
    known
        && crate::scan::addresses(&fields.join("\n"), 1).is_empty()
        && is_signature(&rest.join("\n"))
}

fn is_base64(text: &str) -> bool {
    text.bytes().all(|b| {
        b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=') || b.is_ascii_whitespace()
    })
}

fn is_armour(text: &str) -> bool {
    let mut lines = text.trim().lines();
    lines
        .next()
        .is_some_and(|first| first.trim_end() == SIGNATURE)
        && lines.next_back() == Some(END)
        && lines.all(is_of_armour)
}

const BEGIN: &str = "-----BEGIN PGP SIGNED MESSAGE-----";
const END: &str = "-----END PGP SIGNATURE-----";

fn clearsigned(mail: &Mail, text: &str) -> Option<Signed> {
    let start = text.find(BEGIN)?;
    let end = start + text.get(start..)?.find(END)? + END.len();
    let blank = |text: &str| text.bytes().filter(|b| !b.is_ascii_whitespace()).count();
    let others: usize = mail
        .parts
        .iter()
        .filter_map(|part| part.text.as_deref())
        .map(blank)
        .sum();
    let block = text.get(start..end)?;
    let unsigned: usize = unsigned_lines(block).map(blank).sum();
    Some(Signed::Clearsigned {
        block: format!("{block}\n"),
        outside: others.saturating_sub(blank(block)) + unsigned,
    })
}

/// Lines of a clearsigned block that no signature covers, but for those that programs write by themselves:
/// what stands between the first line and the first empty one, and around the signature's base64.
fn unsigned_lines(block: &str) -> impl Iterator<Item = &str> {
    let head = block
        .lines()
        .skip(1)
        .take_while(|line| !line.trim().is_empty())
        .filter(|line| !line.starts_with("Hash: "));
    // The first one ends the text: within it such a line is escaped (RFC 9580, 7.2).
    let armour = block
        .lines()
        .skip_while(|line| line.trim_end() != SIGNATURE);
    head.chain(armour.skip(1).filter(|line| !is_of_armour(line)))
}

/// Whether a line behind the first one of an armour is base64, the end, or what a program writes by itself.
fn is_of_armour(line: &str) -> bool {
    let line = line.trim_end();
    let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
    if line == END || line.bytes().all(base64) {
        return true;
    }
    match line.split_once(": ") {
        Some(("Version", version)) => {
            let tells = [":", "www.", "@"].iter().any(|sign| version.contains(sign));
            crate::scan::addresses(version, 1).is_empty()
                && (version.len() <= VERSION_BYTES_MAX && !tells || is_free_pgp(version))
        }
        // One word, as PGP 2 to 10 wrote it.
        Some(("Charset" | "MessageID", word)) => {
            word.len() <= 40 && word.bytes().all(|b| base64(b) || b == b'-')
        }
        Some(("Comment", comment)) => is_usual_comment(comment),
        _ => false,
    }
}

/// The longest name of a program with its version and system that is no text.
const VERSION_BYTES_MAX: usize = 60;

/// Whether a version is that of PGP without a licence, which says so: `PGP Desktop 9.0.2 (Build 2424) - not
/// licensed for commercial use: www.pgp.com`.
fn is_free_pgp(version: &str) -> bool {
    let number = |text: &str| {
        (1..=20).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    };
    let rest = version.strip_prefix("PGP ").and_then(|rest| {
        let rest = rest.strip_prefix("Desktop ").unwrap_or(rest);
        rest.strip_suffix(" - not licensed for commercial use: www.pgp.com")
    });
    rest.is_some_and(|rest| match rest.split_once(" (Build ") {
        Some((release, build)) => number(release) && build.strip_suffix(')').is_some_and(number),
        None => number(rest),
    })
}

/// Comments that programs put into an armour unasked.
const COMMENTS: [&str; 12] = [
    "For info see http://www.gnupg.org",
    "GPGTools - http://gpgtools.org",
    "GPGTools - https://gpgtools.org",
    "http://openpgpjs.org",
    "https://openpgpjs.org",
    "https://flowcrypt.com",
    "https://keybase.io/crypto",
    "https://keybase.io/download",
    "https://mailvelope.com",
    "https://www.mailvelope.com",
    "https://protonmail.com",
    "https://gopenpgp.org",
];

/// Whether a comment is one of [`COMMENTS`], or Enigmail's, which has the mail program's name in it.
fn is_usual_comment(comment: &str) -> bool {
    let enigmail = || {
        let rest = comment.strip_prefix("Using GnuPG with ")?;
        let (program, link) = rest.split_once(" - ")?;
        let host = link
            .trim_start_matches("https://")
            .trim_start_matches("http://");
        let host = host.trim_end_matches('/');
        let named = program.len() <= 20 && program.bytes().all(|b| b.is_ascii_alphabetic());
        let hosts = ["enigmail.mozdev.org", "www.enigmail.net", "enigmail.net"];
        (named && hosts.contains(&host)).then_some(())
    };
    COMMENTS.contains(&comment) || enigmail().is_some()
}

const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----";

fn boundary(kind: &str) -> Option<String> {
    let at = kind.to_ascii_lowercase().find("boundary=")? + "boundary=".len();
    let rest = kind.get(at..)?;
    Some(match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?.to_owned(),
        None => rest.split([';', ' ']).next()?.to_owned(),
    })
}

/// The signed part and the signature (RFC 1847, 2.1), byte for byte, without the line end before the
/// boundary; nothing if there are not exactly two parts.
fn split(mail: &Mail, boundary: &str) -> Option<(Range<usize>, Range<usize>)> {
    let body = mail.raw.get(mail.body_at..)?;
    let mark = format!("--{boundary}");
    let line_end =
        |at: usize| memchr::memchr(b'\n', &body[at..]).map_or(body.len(), |n| at + n + 1);
    let mut lines = Vec::new();
    for at in memchr::memmem::find_iter(body, mark.as_bytes()).take(10) {
        let rest = body[at + mark.len()..line_end(at)].trim_ascii_end();
        if (at == 0 || body[at - 1] == b'\n') && matches!(rest, b"" | b"--") {
            lines.push((at, rest == b"--"));
        }
    }
    let [(first, false), (second, false), (third, true)] = lines.as_slice() else {
        return None;
    };
    let trim = |at: usize| {
        let at = at.saturating_sub(1);
        if at > 0 && body[at - 1] == b'\r' {
            at - 1
        } else {
            at
        }
    };
    let content = line_end(*first)..trim(*second);
    let signature = line_end(*second)..trim(*third);
    let shift = |range: Range<usize>| range.start + mail.body_at..range.end + mail.body_at;
    (content.start <= content.end && signature.start <= signature.end)
        .then(|| (shift(content), shift(signature)))
}

/// Reads the status lines of `gpgv --status-fd`.
#[must_use]
pub fn gpgv_answer(status: &str, pinned: &[(String, String, Vec<String>)], received: i64) -> Found {
    let field = |name: &str| {
        status
            .lines()
            .filter_map(|line| line.strip_prefix("[GNUPG:] "))
            .find_map(|line| line.strip_prefix(name).map(str::to_owned))
    };
    if field("BADSIG").is_some() {
        return Found::Altered;
    }
    let Some(valid) = field("VALIDSIG ") else {
        return Found::Nothing("no pinned key fits".to_owned());
    };
    let words: Vec<&str> = valid.split_whitespace().collect();
    let prints = [
        words.first().copied().unwrap_or(""),
        words.get(9).copied().unwrap_or(""),
    ];
    let Some((_, name, addresses)) = pinned.iter().find(|pin| {
        prints
            .iter()
            .any(|print| print.eq_ignore_ascii_case(&pin.0))
    }) else {
        return Found::Nothing("its key is not pinned".to_owned());
    };
    if let Some(expiry) = field("KEYEXPIRED ").and_then(|at| at.trim().parse::<i64>().ok())
        && expiry < received
    {
        return Found::Nothing("its key had expired when the mail came".to_owned());
    }
    if field("REVKEYSIG").is_some() || field("EXPSIG ").is_some() {
        return Found::Nothing("its key was withdrawn, or the signature ran out".to_owned());
    }
    // RFC 4880, 9.4: 1 is MD5, 2 SHA-1.
    let weak = matches!(words.get(7), Some(&"1" | &"2"));
    Found::Valid {
        name: name.clone(),
        addresses: addresses.clone(),
        remark: weak.then(|| "weak hash, SHA-1 or MD5".to_owned()),
    }
}
