//! Who truly sent this mail? DKIM, S/MIME, PGP, and what the own border server wrote down.
//!
//! The plan is pure: keys, the results of `openssl` and `gpgv`, and the time of receipt come in. It proves
//! that a domain or a key signed these bytes; never that they are true.

mod arc;
mod canon;
pub mod dkim;
pub mod keys;
pub mod programs;
mod results;

use serde::Serialize;

use self::dkim::{Checked, Outcome};
use self::keys::Keys;
use self::programs::ProgramResult;
pub use self::results::{believed, border_received};
use crate::evidence::Reason;
use crate::mail::{Mail, addresses_of};
use crate::time::Seconds;

/// The answer about the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sender {
    /// A signature of the domain in `From`, or of a pinned signer, covers the whole mail.
    Proven,
    /// A server that is trusted by configuration wrote down that it checked it.
    Attested,
    /// Nothing proves it.
    Unproven,
    /// Something in it speaks against it.
    Contradicted,
}

/// The answer with its reasons.
#[derive(Debug, Clone, PartialEq)]
pub struct SenderFinding {
    /// The verdict.
    pub verdict: Sender,
    /// Who it is, if proven or attested: a domain or a pinned name.
    pub identity: Option<String>,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// What the operator believes of senders.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trust {
    /// Names that the own border servers put first in `Authentication-Results`.
    pub authserv_ids: Vec<String>,
    /// Host names of the own border servers, as they stand behind `by` in `Received`.
    pub border: Vec<String>,
    /// The own addresses to which complaints go; empty if nobody said.
    pub recipients: Vec<String>,
    /// Forwarders whose ARC seals are believed.
    pub arc_sealers: Vec<String>,
    /// Domains that may sign for another: the signer, then the domain in `From`.
    pub aligned: Vec<(String, String)>,
}

/// Judges the sender of a mail that came at `received`; `kept` are the results that `stamp` kept of it.
#[must_use]
pub fn judge(
    mail: &Mail,
    trust: &Trust,
    keys: &impl Keys,
    programs: &[ProgramResult],
    kept: &[String],
    received: Seconds,
) -> SenderFinding {
    let mut finding = SenderFinding {
        verdict: Sender::Unproven,
        identity: None,
        reasons: Vec::new(),
    };
    let mut against = Vec::new();
    for name in [
        "From",
        "Date",
        "Subject",
        "To",
        "Cc",
        "Message-ID",
        "Content-Type",
    ] {
        let count = mail.all(name).count();
        if count > 1 {
            let reason = Reason::new(format!(
                "{count} fields `{name}`, of which readers show different ones"
            ));
            if name == "From" {
                against.push(reason);
            } else {
                finding.reasons.push(reason);
            }
        }
    }
    let from = mail.from_domain().unwrap_or_default();
    if mail
        .first("From")
        .is_some_and(|value| addresses_of(&value).len() > 1)
    {
        against.push(Reason::new("`From` names several authors"));
    }
    let mut signatures = Signatures::default();
    for signature in dkim::check(mail, keys, received) {
        signatures.judge(mail, trust, &from, &signature, &mut finding.reasons);
    }
    let Signatures {
        mut proven,
        mut broken,
        partial,
    } = signatures;
    for result in programs {
        result.judge(mail, trust, &mut proven, &mut against, &mut finding.reasons);
    }
    let attested = results::attested(mail, trust, &from, kept, &mut finding.reasons)
        .filter(|_| counts(mail, trust, partial, &mut finding.reasons));
    let forwarded = arc::attested(mail, trust, &from, keys, received, &mut finding.reasons);
    // Another signature over the very same text, or a trusted forwarder's, explains a broken one.
    if proven.is_some() || forwarded.is_some() {
        finding.reasons.append(&mut broken);
    }
    against.append(&mut broken);
    let attested = attested.or(forwarded);
    if !against.is_empty() {
        finding.verdict = Sender::Contradicted;
        against.append(&mut finding.reasons);
        finding.reasons = against;
    } else if let Some(identity) = proven {
        finding.verdict = Sender::Proven;
        finding.identity = Some(identity);
    } else if let Some(identity) = attested {
        finding.verdict = Sender::Attested;
        finding.identity = Some(identity);
    } else if finding.reasons.is_empty() {
        finding.reasons.push(Reason::new(
            "it has no signature, and no trusted server vouches for it",
        ));
    }
    finding
}

/// Whether a signing domain may speak for the domain in `From`.
///
/// It may if it is the same or above it, or if the configuration says so. A domain below, which DMARC
/// would accept by the list of public suffixes, is not believed without that.
fn is_aligned(trust: &Trust, signer: &str, from: &str) -> bool {
    signer == from
        || (signer.contains('.') && from.ends_with(&format!(".{signer}")))
        || trust
            .aligned
            .iter()
            .any(|(one, two)| one == signer && two == from)
}

/// Whether what the border found valid counts: it does not look at what a signature leaves out.
fn counts(mail: &Mail, trust: &Trust, partial: bool, reasons: &mut Vec<Reason>) -> bool {
    let why = if partial {
        Some("of a signature that is not of this whole mail, written to us".to_owned())
    } else {
        to_others(mail, trust, &["To", "Cc"])
    };
    if let Some(why) = &why {
        reasons.push(Reason::new(format!(
            "what the own border found valid does not count: {why}"
        )));
    }
    why.is_none()
}

/// What the DKIM signatures of a mail show together.
#[derive(Default)]
struct Signatures {
    /// The domain of a valid one that covers all and may speak for `From`.
    proven: Option<String>,
    /// Those that may speak for it, and do not fit.
    broken: Vec<Reason>,
    /// One that may speak for it leaves something out, or was written to others.
    partial: bool,
}

impl Signatures {
    fn judge(
        &mut self,
        mail: &Mail,
        trust: &Trust,
        from: &str,
        signature: &Checked,
        reasons: &mut Vec<Reason>,
    ) {
        let aligned = is_aligned(trust, &signature.domain, from);
        let name = format!(
            "DKIM-Signature in line {} of {}",
            signature.line, signature.domain
        );
        let broken = if aligned {
            &mut self.broken
        } else {
            &mut *reasons
        };
        match &signature.outcome {
            Outcome::Valid { .. } if !aligned => reasons.push(Reason::new(format!(
                "{name} is valid, but that is not the domain of From ({from})"
            ))),
            Outcome::Valid { key } => {
                if let Some(text) = left_out(mail, trust, signature) {
                    reasons.push(Reason::new(format!("{name} is valid, but {text}")));
                    self.partial = true;
                } else {
                    reasons.push(Reason::new(format!(
                        "{name} is valid, with the key from {key}"
                    )));
                    self.proven = Some(signature.domain.clone());
                }
            }
            Outcome::BodyAltered => broken.push(Reason::new(format!(
                "{name}: the body is not the one that was signed; altered on the way, or forged"
            ))),
            Outcome::HeadersAltered { key } => broken.push(Reason::new(format!(
                "{name} does not fit its fields, with the key from {key}; altered on the way, or forged"
            ))),
            Outcome::NoKey(why) => {
                reasons.push(Reason::new(format!(
                    "{name}: its key is not available, {why}; that says nothing"
                )));
            }
            Outcome::Expired => reasons.push(Reason::new(format!(
                "{name} had expired when the mail came"
            ))),
            Outcome::Unusable(why) => {
                reasons.push(Reason::new(format!("{name} does not count: {why}")));
            }
        }
        // What it covers is to be seen without its key: the border may have found valid what says nothing
        // to us.
        let silent = matches!(
            signature.outcome,
            Outcome::NoKey(_) | Outcome::Expired | Outcome::Unusable(_)
        );
        if let Some(text) = left_out(mail, trust, signature).filter(|_| aligned && silent) {
            reasons.push(Reason::new(format!("{name}: {text}")));
            self.partial = true;
        }
    }
}

/// Why a signature proves less than this whole mail, written to us.
fn left_out(mail: &Mail, trust: &Trust, signature: &Checked) -> Option<String> {
    if let Some(tail) = &signature.unsigned_tail {
        return Some(format!(
            "it covers only a part: bytes {}..{} of the mail were added unsigned (l=)",
            tail.start, tail.end
        ));
    }
    if let Some(added) = added_field(mail, signature) {
        return Some(format!(
            "a field `{added}` was added unsigned, which readers may show instead"
        ));
    }
    replayed(mail, trust, signature)
}

/// How many fields of a name a signature covers: they are signed from the bottom up (RFC 6376, 5.4.2).
fn signed_count(mail: &Mail, signature: &Checked, name: &str) -> usize {
    let asked = signature
        .signed
        .iter()
        .filter(|signed| signed.eq_ignore_ascii_case(name))
        .count();
    asked.min(mail.all(name).count())
}

/// A field that a reader takes for a signed one, and is not: one of its name is signed, one is not.
fn added_field(mail: &Mail, signature: &Checked) -> Option<&'static str> {
    [
        "From",
        "To",
        "Cc",
        "Subject",
        "Date",
        "Content-Type",
        "Message-ID",
    ]
    .into_iter()
    .find(|name| {
        let signed = signed_count(mail, signature, name);
        // A subject is read as a part of the letter: it has to be signed.
        let counts = signed > 0 || *name == "Subject";
        counts && signed < mail.all(name).count()
    })
}

/// Why a signed mail may have been meant for somebody else.
fn replayed(mail: &Mail, trust: &Trust, signature: &Checked) -> Option<String> {
    if trust.recipients.is_empty() {
        return None;
    }
    let signed: Vec<&str> = ["To", "Cc"]
        .into_iter()
        .filter(|name| signed_count(mail, signature, name) > 0)
        .collect();
    if signed.is_empty() {
        return Some(
            "its recipients are not signed: it may have been sent to others (replay)".to_owned(),
        );
    }
    to_others(mail, trust, &signed)
}

/// Why a mail may have been meant for somebody else, by the addresses in some of its fields.
fn to_others(mail: &Mail, trust: &Trust, fields: &[&str]) -> Option<String> {
    let mut named = fields
        .iter()
        .flat_map(|name| mail.all(name))
        .flat_map(|(_, header)| addresses_of(&mail.unfolded(header)));
    let ours = named.any(|address| {
        trust
            .recipients
            .iter()
            .any(|own| own.eq_ignore_ascii_case(&address))
    });
    (!ours && !trust.recipients.is_empty())
        .then(|| "it was written to others and none of our addresses (replay)".to_owned())
}
