//! DKIM signatures (RFC 6376, 8301, 8463), judged as of the time of receipt with the keys at hand.
//!
//! An own verifier, as libraries ask the present clock and the present DNS: an archived mail then counts
//! as expired. A key that is gone is "not available", never "forged".

use std::ops::Range;

use aws_lc_rs::{digest, signature};
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::canon::{self, Form};
use super::keys::{Key, Keys, Standing};
use crate::mail::{Header, Mail};
use crate::time::Seconds;

/// Signatures of one mail that are looked at.
pub const SIGNATURES_MAX: usize = 10;

/// Base64 as mails have it: with or without padding, sloppy last bits.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A signature and what became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// `d=`, the domain that signs, in lower case.
    pub domain: String,
    /// `s=`.
    pub selector: String,
    /// Line of the field in the mail, from 1.
    pub line: usize,
    /// Names in `h=`, in lower case.
    pub signed: Vec<String>,
    /// Bytes of the mail behind what `l=` covers, where the body up to there is the one that was signed.
    pub unsigned_tail: Option<Range<usize>>,
    /// The result.
    pub outcome: Outcome,
}

/// What a signature shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The holder of the key signed these fields and this body, up to [`Checked::unsigned_tail`].
    Valid {
        /// Where the key is from.
        key: String,
    },
    /// The body is not the one that was signed.
    BodyAltered,
    /// With a key of that time, the signature does not fit the fields.
    HeadersAltered {
        /// Where the key is from.
        key: String,
    },
    /// No key of that time is at hand: it says nothing.
    NoKey(String),
    /// It had run out when the mail came.
    Expired,
    /// It cannot count: too weak, for tests, or not as the RFC wants it.
    Unusable(String),
}

/// Checks all signatures of a mail that came at `received`.
#[must_use]
pub fn check(mail: &Mail, keys: &impl Keys, received: Seconds) -> Vec<Checked> {
    mail.all("DKIM-Signature")
        .take(SIGNATURES_MAX)
        .map(|(index, header)| check_one(mail, index, header, keys, received, Role::Author))
        .collect()
}

/// For whom a field signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// `DKIM-Signature`.
    Author,
    /// `ARC-Message-Signature` (RFC 8617, 4.1.2): no version, and `i=` is a number.
    Forwarder,
}

/// The names under which the keys of a mail's signatures are published.
#[must_use]
pub fn key_names(mail: &Mail) -> Vec<String> {
    let fields = ["DKIM-Signature", "ARC-Message-Signature", "ARC-Seal"];
    let mut names: Vec<String> = fields
        .iter()
        .flat_map(|name| mail.all(name).take(SIGNATURES_MAX))
        .filter_map(|(_, header)| {
            let tags = tags(&mail.value(header));
            Some(key_name(&tag(&tags, "s")?, &tag(&tags, "d")?))
        })
        .filter(|name| name.len() < 254)
        .collect();
    names.sort();
    names.dedup();
    names
}

pub(super) fn key_name(selector: &str, domain: &str) -> String {
    format!("{selector}._domainkey.{domain}").to_ascii_lowercase()
}

/// Checks one field.
pub(super) fn check_one(
    mail: &Mail,
    index: usize,
    header: &Header,
    keys: &impl Keys,
    received: Seconds,
    role: Role,
) -> Checked {
    let tags = tags(&mail.value(header));
    let text = |name: &str| tag(&tags, name).unwrap_or_default();
    let mut checked = Checked {
        domain: text("d").to_ascii_lowercase(),
        selector: text("s"),
        line: mail.line_of(header),
        signed: text("h")
            .split(':')
            .map(|name| name.trim().to_ascii_lowercase())
            .collect(),
        unsigned_tail: None,
        outcome: Outcome::Expired,
    };
    checked.outcome = match verify(mail, index, &tags, &mut checked, keys, received, role) {
        Ok(outcome) => outcome,
        Err(why) => Outcome::Unusable(why.to_owned()),
    };
    checked
}

fn verify(
    mail: &Mail,
    index: usize,
    tags: &[(String, String)],
    checked: &mut Checked,
    keys: &impl Keys,
    received: Seconds,
    role: Role,
) -> Result<Outcome, &'static str> {
    let text = |name: &str| tag(tags, name);
    let author = role == Role::Author;
    if author && text("v").as_deref() != Some("1") {
        return Err("an unknown version of DKIM");
    }
    let ed25519 = is_ed25519(tags)?;
    if checked.domain.is_empty() || checked.selector.is_empty() || !checked.domain.contains('.') {
        return Err("no d= or s=");
    }
    if !checked.signed.iter().any(|name| name == "from") {
        return Err("From is not signed");
    }
    let identity = text("i").filter(|_| author).unwrap_or_default();
    let identity = identity.to_ascii_lowercase();
    let identity_domain = identity.rsplit('@').next().unwrap_or("").to_owned();
    if !identity.is_empty()
        && identity_domain != checked.domain
        && !identity_domain.ends_with(&format!(".{}", checked.domain))
    {
        return Err("i= is outside of d=");
    }
    let forms = text("c").unwrap_or_else(|| "simple/simple".to_owned());
    let (head_form, body_form) = forms.split_once('/').unwrap_or((&forms, "simple"));
    let head_form = Form::named(head_form.trim()).ok_or("an unknown canonical form")?;
    let body_form = Form::named(body_form.trim()).ok_or("an unknown canonical form")?;
    let (stated_hash, signature) = (
        decoded(tags, "bh").ok_or("bh= is no base64")?,
        decoded(tags, "b").ok_or("b= is no base64")?,
    );
    if stated_hash.len() != 32 {
        return Err("bh= is no SHA-256");
    }
    let number = |name: &str| text(name).and_then(|text| text.parse::<Seconds>().ok());
    if number("x").is_some_and(|end| end < received) {
        return Ok(Outcome::Expired);
    }
    let body = canon::body(body_form, &mail.raw[mail.body_at..]);
    let length = match text("l") {
        None => body.len(),
        Some(length) => length.parse().map_err(|_| "l= is no number")?,
    };
    let signed_body = body.get(..length).ok_or("l= is longer than the body")?;
    if digest::digest(&digest::SHA256, signed_body).as_ref() != stated_hash {
        return Ok(Outcome::BodyAltered);
    }
    let tail = body[length..]
        .iter()
        .any(|byte| !byte.is_ascii_whitespace());
    checked.unsigned_tail = tail.then(|| tail_range(mail, body.len() - length));
    let message = signed_headers(mail, index, head_form, &checked.signed);
    let signed = Signed {
        ed25519,
        identity: &identity_domain,
        domain: &checked.domain,
        selector: &checked.selector,
        message: &message,
        signature: &signature,
    };
    signed.by_keys(keys, received)
}

/// Whether the algorithm of a signature is Ed25519, or RSA; an error for those that prove nothing.
pub(super) fn is_ed25519(tags: &[(String, String)]) -> Result<bool, &'static str> {
    match tag(tags, "a").ok_or("no a=")?.to_ascii_lowercase().as_str() {
        "rsa-sha256" => Ok(false),
        "ed25519-sha256" => Ok(true),
        "rsa-sha1" => Err("SHA-1, which proves nothing any more (RFC 8301)"),
        _ => Err("an unknown algorithm"),
    }
}

/// A tag's value out of base64, folded or not.
pub(super) fn decoded(tags: &[(String, String)], name: &str) -> Option<Vec<u8>> {
    let bare: String = tag(tags, name)?.split_whitespace().collect();
    BASE64.decode(bare).ok()
}

/// A signature with what it is over, before keys are looked for.
pub(super) struct Signed<'a> {
    pub(super) ed25519: bool,
    /// The domain of `i=`, empty where there is none.
    pub(super) identity: &'a str,
    pub(super) domain: &'a str,
    pub(super) selector: &'a str,
    pub(super) message: &'a [u8],
    pub(super) signature: &'a [u8],
}

impl Signed<'_> {
    /// Tries the keys of its name.
    pub(super) fn by_keys(
        &self,
        keys: &impl Keys,
        received: Seconds,
    ) -> Result<Outcome, &'static str> {
        let mut last = Outcome::NoKey("it is not at hand".to_owned());
        for key in keys.find(&key_name(self.selector, self.domain), received) {
            let (origin, standing) = (&key.origin, &key.standing);
            if key.record.is_empty() {
                if matches!(last, Outcome::NoKey(_)) {
                    last = Outcome::NoKey(format!("the name server knew none ({origin})"));
                }
                continue;
            }
            let found = match (fits(&key, self), standing) {
                (Ok(true), Standing::OfThatTime | Standing::Later) => {
                    return Ok(Outcome::Valid {
                        key: origin.clone(),
                    });
                }
                (Ok(true), Standing::LongBefore) => Outcome::NoKey(format!(
                    "one that fits was seen long before ({origin}), and whether it still held is not known"
                )),
                (Ok(_), Standing::Withdrawn(when)) => Outcome::NoKey(format!(
                    "the one at hand ({origin}) was withdrawn before the mail came ({when})"
                )),
                (Ok(false), Standing::OfThatTime) => Outcome::HeadersAltered {
                    key: origin.clone(),
                },
                (Ok(false), Standing::Later | Standing::LongBefore) => Outcome::NoKey(format!(
                    "the key at hand ({origin}) is not of that time and does not fit"
                )),
                (Err(Fault::Gone), _) => Outcome::NoKey(format!("it was withdrawn ({origin})")),
                (Err(Fault::Bad(why)), _) => Outcome::Unusable(why.to_owned()),
            };
            // A misfit with a key of that time is what the others cannot undo.
            if !matches!(last, Outcome::HeadersAltered { .. }) {
                last = found;
            }
        }
        Ok(last)
    }
}

enum Fault {
    Gone,
    Bad(&'static str),
}

/// Whether a signature fits a key record (RFC 6376, 3.6.1).
fn fits(key: &Key, of: &Signed<'_>) -> Result<bool, Fault> {
    let Signed {
        ed25519,
        identity,
        domain,
        message,
        signature: signed,
        ..
    } = *of;
    let tags = tags(&key.record);
    let text = |name: &str| tag(&tags, name);
    if text("v").is_some_and(|version| version != "DKIM1") {
        return Err(Fault::Bad("its key record is no DKIM key"));
    }
    let list = |name: &str, wanted: &str| {
        text(name).is_none_or(|all| {
            all.split(':')
                .any(|one| one.trim() == wanted || one.trim() == "*")
        })
    };
    if !list("h", "sha256") || !list("s", "email") {
        return Err(Fault::Bad("its key is for another purpose"));
    }
    let flags = text("t").unwrap_or_default();
    if flags.split(':').any(|flag| flag.trim() == "y") {
        return Err(Fault::Bad("its key is only for tests (t=y)"));
    }
    if flags.split(':').any(|flag| flag.trim() == "s") && !identity.is_empty() && identity != domain
    {
        return Err(Fault::Bad("its key is for the domain alone (t=s)"));
    }
    let kind = text("k").unwrap_or_else(|| "rsa".to_owned());
    if kind != if ed25519 { "ed25519" } else { "rsa" } {
        return Err(Fault::Bad("its key is of another kind"));
    }
    let bare: String = text("p").unwrap_or_default().split_whitespace().collect();
    if bare.is_empty() {
        return Err(Fault::Gone);
    }
    let public = BASE64
        .decode(bare)
        .map_err(|_| Fault::Bad("its key is no base64"))?;
    if ed25519 {
        // RFC 8463, 3: the signature is over the hash of the fields.
        let hash = digest::digest(&digest::SHA256, message);
        let key = signature::UnparsedPublicKey::new(&signature::ED25519, public);
        return Ok(key.verify(hash.as_ref(), signed).is_ok());
    }
    let bits = rsa_bits(signed);
    if bits < 1_024 {
        return Err(Fault::Bad("its key has fewer than 1024 bits (RFC 8301)"));
    }
    let key = signature::UnparsedPublicKey::new(
        &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        public,
    );
    Ok(key.verify(message, signed).is_ok())
}

/// An RSA signature is as long as its key.
fn rsa_bits(signed: &[u8]) -> usize {
    signed.len() * 8
}

/// The fields that `h=` names, bottom up, and the signature field itself without its value of `b=`.
fn signed_headers(mail: &Mail, index: usize, form: Form, signed: &[String]) -> Vec<u8> {
    let mut message = Vec::new();
    let mut taken = vec![false; mail.headers.len()];
    for name in signed {
        let found = mail.headers.iter().enumerate().rev().find(|(at, header)| {
            !taken[*at] && *at != index && header.name.eq_ignore_ascii_case(name)
        });
        if let Some((at, header)) = found {
            taken[at] = true;
            message.extend(canon::header(form, &mail.raw[header.range.clone()]));
        }
    }
    let own = &mail.headers[index];
    let mut field = canon::header(form, &without_signature(&mail.raw[own.range.clone()]));
    while matches!(field.last(), Some(b'\r' | b'\n')) {
        field.pop();
    }
    message.extend(field);
    message
}

/// The field with the value of `b=` cut out; `bh=` stays.
pub(super) fn without_signature(raw: &[u8]) -> Vec<u8> {
    let colon = memchr::memchr(b':', raw).map_or(raw.len(), |at| at + 1);
    let mut out = raw[..colon].to_vec();
    let mut rest = raw[colon..].split(|b| *b == b';').peekable();
    while let Some(piece) = rest.next() {
        let name = piece
            .split(|b| *b == b'=')
            .next()
            .unwrap_or_default()
            .trim_ascii();
        if name == b"b" && piece.contains(&b'=') {
            let at = memchr::memchr(b'=', piece).map_or(piece.len(), |at| at + 1);
            out.extend_from_slice(&piece[..at]);
            if rest.peek().is_none() {
                out.extend_from_slice(b"\r\n");
            }
        } else {
            out.extend_from_slice(piece);
        }
        if rest.peek().is_some() {
            out.push(b';');
        }
    }
    out
}

/// Where the last bytes of the canonical body are in the mail, nearly: blanks may shift the start back.
fn tail_range(mail: &Mail, canonical: usize) -> Range<usize> {
    mail.raw.len().saturating_sub(canonical).max(mail.body_at)..mail.raw.len()
}

/// `name=value` pairs of a tag list; the first of a name counts.
pub(super) fn tags(text: &str) -> Vec<(String, String)> {
    text.split(';')
        .filter_map(|piece| {
            let (name, value) = piece.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

pub(super) fn tag(tags: &[(String, String)], name: &str) -> Option<String> {
    tags.iter()
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::keys::KeyFile;

    /// The vectors of RFC 8463 and RFC 6376: keys, an empty line, the mail.
    fn vector(name: &str) -> (KeyFile, Vec<u8>) {
        let path = format!(
            "{}/tests/data/mail-auth/resources/dkim/{name}",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(path).unwrap().replace("\r\n", "\n");
        let (keys, mail) = text.split_once("\n\n").unwrap();
        (KeyFile::read(keys), mail.replace('\n', "\r\n").into_bytes())
    }

    #[test]
    fn published_vectors_are_valid_and_one_other_byte_is_not() {
        for (name, count) in [("001.txt", 2), ("002.txt", 1)] {
            let (keys, raw) = vector(name);
            let checked = check(&Mail::read(raw.clone()).unwrap(), &keys, 1_700_000_000);
            assert_eq!(checked.len(), count);
            for one in &checked {
                let valid = matches!(one.outcome, Outcome::Valid { .. });
                assert!(valid && one.unsigned_tail.is_none(), "{name} {one:?}");
            }
            let text = String::from_utf8(raw).unwrap();
            for (from, to) in [
                ("lost the game", "won the game"),
                ("Subject: Is", "Subject: Was"),
            ] {
                let altered = Mail::read(text.replace(from, to).into_bytes()).unwrap();
                for one in check(&altered, &keys, 1_700_000_000) {
                    let expected = if from.starts_with('S') {
                        matches!(one.outcome, Outcome::HeadersAltered { .. })
                    } else {
                        one.outcome == Outcome::BodyAltered
                    };
                    assert!(expected, "{name} {one:?}");
                }
            }
        }
    }
}
