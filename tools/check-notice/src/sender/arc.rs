//! ARC (RFC 8617): what forwarders saw before they changed a mail, each sealing what those before it said.
//!
//! Worth as much as the forwarder: only sealers that the configuration names are believed, and only if all
//! behind them are named as well.

use super::canon::{self, Form};
use super::dkim::{self, Outcome, Role, Signed, tag, tags};
use super::keys::Keys;
use super::results::{self, passed};
use super::{Trust, is_aligned};
use crate::evidence::Reason;
use crate::mail::{Header, Mail};
use crate::time::Seconds;

/// Sets in a chain (RFC 8617, 4.2.1).
const SETS_MAX: usize = 50;

/// The three fields of one forwarder, by their index among the fields of the mail.
struct Set {
    results: usize,
    signature: usize,
    seal: usize,
}

/// The domain that a trusted forwarder found valid, if it is aligned with `From`.
pub(super) fn attested(
    mail: &Mail,
    trust: &Trust,
    from: &str,
    keys: &impl Keys,
    received: Seconds,
    reasons: &mut Vec<Reason>,
) -> Option<String> {
    mail.all("ARC-Seal").next()?;
    let sets = match sets(mail) {
        Ok(sets) => sets,
        Err(why) => {
            reasons.push(Reason::new(format!("ARC: {why}; it says nothing")));
            return None;
        }
    };
    let last = sets.last()?;
    let header = &mail.headers[last.signature];
    let newest = dkim::check_one(
        mail,
        last.signature,
        header,
        keys,
        received,
        Role::Forwarder,
    );
    let name = format!(
        "ARC-Message-Signature in line {} of {}",
        newest.line, newest.domain
    );
    match &newest.outcome {
        Outcome::Valid { .. } if newest.unsigned_tail.is_none() => {}
        other => {
            let why = match other {
                Outcome::NoKey(why) => format!("its key is not available, {why}"),
                Outcome::Unusable(why) => why.clone(),
                Outcome::Expired => "it had expired".to_owned(),
                _ => "it does not fit the mail".to_owned(),
            };
            reasons.push(Reason::new(format!("{name}: {why}; it says nothing")));
            return None;
        }
    }
    for number in (0..sets.len()).rev() {
        match sealed(mail, &sets, number, keys, received) {
            Ok(sealer)
                if trust
                    .arc_sealers
                    .iter()
                    .any(|own| own.eq_ignore_ascii_case(&sealer)) =>
            {
                if number + 1 == sets.len() && sealer != newest.domain {
                    reasons.push(Reason::new(format!("{name}: sealed by another, {sealer}")));
                    return None;
                }
                let field = &mail.headers[sets[number].results];
                let value = mail.unfolded(field);
                let said = value.split_once(';').map_or("", |(_, rest)| rest);
                if let Some(domain) = passed(&results::parsed(said))
                    .into_iter()
                    .find(|domain| is_aligned(trust, domain, from))
                {
                    reasons.push(Reason::new(format!(
                        "ARC-Authentication-Results in line {}: the forwarder {sealer} found {domain} valid",
                        mail.line_of(field)
                    )));
                    return Some(domain);
                }
            }
            Ok(sealer) => {
                reasons.push(Reason::new(format!(
                    "ARC: the forwarder {} is not trusted by configuration: ignored",
                    shown(&sealer)
                )));
                return None;
            }
            Err(why) => {
                reasons.push(Reason::new(format!(
                    "ARC-Seal {}: {why}; it says nothing",
                    number + 1
                )));
                return None;
            }
        }
    }
    None
}

fn shown(text: &str) -> String {
    let letters = text.chars().filter(char::is_ascii_graphic);
    letters.take(60).collect()
}

/// The sets of a mail in order, complete and without a gap.
fn sets(mail: &Mail) -> Result<Vec<Set>, &'static str> {
    let numbered = |name: &'static str| -> Result<Vec<usize>, &'static str> {
        let mut found = Vec::new();
        for (index, header) in mail.all(name).take(SETS_MAX + 1) {
            let number: usize = instance(mail, header).ok_or("a field has no number")?;
            found.push((number, index));
        }
        found.sort_unstable();
        let counted = found.iter().zip(1..).all(|((number, _), n)| *number == n);
        if !counted || found.len() > SETS_MAX {
            return Err("its fields are not numbered 1, 2, 3 and so on");
        }
        Ok(found.into_iter().map(|(_, index)| index).collect())
    };
    let results = numbered("ARC-Authentication-Results")?;
    let signatures = numbered("ARC-Message-Signature")?;
    let seals = numbered("ARC-Seal")?;
    if results.len() != seals.len() || signatures.len() != seals.len() {
        return Err("fields of it are missing");
    }
    Ok(results
        .into_iter()
        .zip(signatures)
        .zip(seals)
        .map(|((results, signature), seal)| Set {
            results,
            signature,
            seal,
        })
        .collect())
}

fn instance(mail: &Mail, header: &Header) -> Option<usize> {
    tag(&tags(&mail.value(header)), "i")?.parse().ok()
}

/// The domain whose seal over the sets up to a number is valid.
fn sealed(
    mail: &Mail,
    sets: &[Set],
    number: usize,
    keys: &impl Keys,
    received: Seconds,
) -> Result<String, String> {
    let seal = &mail.headers[sets[number].seal];
    let tags = tags(&mail.value(seal));
    let text = |name: &str| tag(&tags, name).unwrap_or_default();
    let expected = if number == 0 { "none" } else { "pass" };
    if !text("cv").eq_ignore_ascii_case(expected) {
        return Err("it says itself that the chain is broken".to_owned());
    }
    if tag(&tags, "h").is_some() {
        return Err("it has h=, which no seal may (RFC 8617, 4.1.3)".to_owned());
    }
    let (domain, selector) = (text("d").to_ascii_lowercase(), text("s"));
    let ed25519 = dkim::is_ed25519(&tags)?;
    let signature = dkim::decoded(&tags, "b").ok_or("b= is no base64")?;
    let mut message = Vec::new();
    for (at, set) in sets.iter().enumerate().take(number + 1) {
        for index in [set.results, set.signature, set.seal] {
            let raw = &mail.raw[mail.headers[index].range.clone()];
            if at == number && index == set.seal {
                message.extend(canon::header(Form::Relaxed, &dkim::without_signature(raw)));
            } else {
                message.extend(canon::header(Form::Relaxed, raw));
            }
        }
    }
    while matches!(message.last(), Some(b'\r' | b'\n')) {
        message.pop();
    }
    let signed = Signed {
        ed25519,
        identity: "",
        domain: &domain,
        selector: &selector,
        message: &message,
        signature: &signature,
    };
    match signed.by_keys(keys, received)? {
        Outcome::Valid { .. } => Ok(domain),
        Outcome::NoKey(why) => Err(format!("its key is not available, {why}")),
        Outcome::Unusable(why) => Err(why),
        _ => Err("it does not fit".to_owned()),
    }
}
