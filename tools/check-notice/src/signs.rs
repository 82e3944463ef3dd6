//! Signs of a false complaint, each with its source. Never a verdict: the forgeries of 2016 had none.
//!
//! Called by `check`; looks at text and names only, opens nothing.

use serde::Serialize;

use crate::claim::Claim;
use crate::mail::{Mail, addresses_of};
use crate::net::is_public;
use crate::sender::SenderFinding;
use crate::time::{Interval, Seconds};

/// A sign, where it was seen and who says that it means something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sign {
    /// A stable name.
    pub name: &'static str,
    /// What was seen, in words.
    pub what: String,
    /// Who says so.
    pub source: &'static str,
}

const MONEY: [&str; 18] = [
    "iban",
    "bitcoin",
    "btc wallet",
    "paypal",
    "western union",
    "paysafecard",
    "settlement",
    "settle this",
    "pay the",
    "payment of",
    "r\u{e8}glement de",
    "payer la somme",
    "amende de",
    "sms surtax",
    "gift card",
    "zahlung",
    "\u{fc}berweis",
    "monero",
];
const LOGIN: [&str; 8] = [
    "your password",
    "votre mot de passe",
    "log in to",
    "connectez-vous",
    "verify your account",
    "v\u{e9}rification de votre compte",
    "identifiants",
    "sign in to",
];
const FREEMAIL: [&str; 14] = [
    "gmail.com",
    "googlemail.com",
    "yahoo.com",
    "yahoo.fr",
    "outlook.com",
    "outlook.fr",
    "hotmail.com",
    "hotmail.fr",
    "gmx.de",
    "gmx.net",
    "web.de",
    "proton.me",
    "laposte.net",
    "mail.ru",
];
const AUTHORITIES: [&str; 12] = [
    "hadopi",
    "arcom",
    "gendarmerie",
    "police",
    "europol",
    "interpol",
    "tribunal",
    "minist\u{e8}re",
    "federal bureau",
    "bundespolizei",
    "cybercrime",
    "procureur",
];

/// A `Date` that differs more from the receipt is a sign that a mail was sent again, in seconds.
const OLD_S: Seconds = 7 * 86_400;

/// Looks for signs; `recipients` are the own addresses to which complaints go, if anybody said.
#[must_use]
pub fn look(
    mail: &Mail,
    claims: &[Claim],
    sender: &SenderFinding,
    received: Seconds,
    recipients: &[String],
) -> Vec<Sign> {
    let mut found = Vec::new();
    of_letter(mail, sender, &mut found);
    of_header(mail, received, recipients, &mut found);
    of_claims(claims, received, &mut found);
    for part in &mail.parts {
        if let Some(kind) = dangerous(&part.magic, part.file_name.as_deref().unwrap_or("")) {
            found.push(Sign {
                name: "active-attachment",
                what: format!("part {} is {kind}; it was not opened", part.index),
                source: "Verbraucherzentrale Rheinland-Pfalz on forged letters: malware in archives",
            });
        }
    }
    found
}

/// The sign of the ledger: `others` counts other recipients to whom the same evidence came.
#[must_use]
pub fn same_evidence(others: u64) -> Option<Sign> {
    (others > 0).then(|| Sign {
        name: "same-evidence",
        what: format!("the same evidence came to {others} other(s) before"),
        source: "forged letters of 2017, one address for all: arts-music-media.de",
    })
}

/// What a letter says and where it leads.
fn of_letter(mail: &Mail, sender: &SenderFinding, found: &mut Vec<Sign>) {
    let mut sign = |name: &'static str, what: String, source: &'static str| {
        found.push(Sign { name, what, source });
    };
    let text = letter(mail);
    if let Some(word) = MONEY.iter().find(|word| text.contains(**word)) {
        sign(
            "money",
            format!("it speaks of money: \"{word}\""),
            "Copyright Act (Canada) s. 41.25(3); Hadopi, 2010: no money (macommune.info)",
        );
    }
    if let Some(word) = LOGIN.iter().find(|word| text.contains(**word)) {
        sign(
            "login",
            format!("it wants a login or password: \"{word}\""),
            "Hadopi, 2010: no invitation to log in (macommune.info)",
        );
    }
    let from = mail.from_domain().unwrap_or_default();
    let display = mail.first("From").unwrap_or_default().to_lowercase();
    let authority = AUTHORITIES
        .iter()
        .find(|name| display.contains(**name) || text.contains(**name));
    if let Some(name) = authority
        && FREEMAIL.contains(&from.as_str())
    {
        sign(
            "freemail-authority",
            format!("it speaks for \"{name}\" from {from}"),
            "cybermalveillance.gouv.fr on forged summons (ufcnouvellecaledonie.nc/?p=21686)",
        );
    }
    // A pinned name is no domain.
    let identity = sender.identity.clone().filter(|name| name.contains('.'));
    let known = identity.unwrap_or_else(|| from.clone());
    let foreign: Vec<String> = link_domains(&text)
        .into_iter()
        .filter(|domain| !same_site(domain, &known))
        .take(5)
        .collect();
    if !foreign.is_empty() {
        sign(
            "foreign-link",
            format!(
                "links lead to {}, and the sender is {known}",
                foreign.join(", ")
            ),
            "forgeries of 2016 led to a payment page (scamicide.com, 2016-07-25)",
        );
    }
    if text.contains("suspension de votre acc\u{e8}s")
        || text.contains("coupure de votre acc\u{e8}s")
    {
        sign(
            "abolished-sanction",
            "it threatens to cut the access, which was abolished in 2013".to_owned(),
            "d\u{e9}cret 2013-596; generation-nt.com 1909934",
        );
    }
}

/// What the header shows.
fn of_header(mail: &Mail, received: Seconds, recipients: &[String], found: &mut Vec<Sign>) {
    let mut sign = |name: &'static str, what: String, source: &'static str| {
        found.push(Sign { name, what, source });
    };
    let from = mail.from_domain().unwrap_or_default();
    let display = mail.first("From").unwrap_or_default().to_lowercase();
    let reply: Vec<String> = mail
        .all("Reply-To")
        .flat_map(|(_, h)| addresses_of(&mail.unfolded(h)))
        .collect();
    if let Some(other) = reply
        .iter()
        .find(|address| !address.ends_with(&format!("@{from}")))
    {
        sign(
            "reply-elsewhere",
            format!("answers go to {}", printable(other)),
            "forged summons want answers to a private address (tatoufaux.com)",
        );
    }
    let written_to: Vec<String> = ["To", "Cc"]
        .into_iter()
        .flat_map(|name| mail.all(name))
        .flat_map(|(_, h)| addresses_of(&mail.unfolded(h)))
        .collect();
    let own = |address: &String| {
        recipients
            .iter()
            .any(|own| own.eq_ignore_ascii_case(address))
    };
    if written_to.is_empty() || (!recipients.is_empty() && !written_to.iter().any(own)) {
        sign(
            "hidden-recipient",
            "it is not written to us, but reached us".to_owned(),
            "forged summons are written to a third address (ufcnouvellecaledonie.nc/?p=21686)",
        );
    }
    let date = mail
        .first("Date")
        .and_then(|value| crate::time::read(&value)?.0.hull());
    if date.is_some_and(|date| !date.widened(OLD_S).holds(Interval::new(received, received))) {
        sign(
            "date-apart",
            "its Date is more than a week from its receipt: it may have been sent again".to_owned(),
            "RFC 6376, 8.6",
        );
    }
    of_names(mail, &from, &display, &mut sign);
}

/// What complaints themselves show.
fn of_claims(claims: &[Claim], received: Seconds, found: &mut Vec<Sign>) {
    let mut sign = |name: &'static str, what: String, source: &'static str| {
        found.push(Sign { name, what, source });
    };
    let addresses = claims
        .iter()
        .flat_map(|c| &c.events)
        .filter_map(|e| Some(e.address.as_ref()?.value));
    if let Some(address) = addresses.into_iter().find(|address| !is_public(*address)) {
        sign(
            "bogus-address",
            format!("{address} is no address of the Internet"),
            "RFC 6890",
        );
    }
    let starts = claims
        .iter()
        .flat_map(|c| &c.events)
        .filter_map(|e| e.time.as_ref()?.value.meanings().first().map(|m| m.from));
    if starts.into_iter().any(|from| from > received) {
        sign(
            "future-event",
            "an event is later than the mail".to_owned(),
            "Verbraucherzentrale Rheinland-Pfalz on forged letters (metropolnews.info)",
        );
    }
    if !claims.is_empty() && claims.iter().all(|claim| claim.case.is_none()) {
        sign(
            "no-case-number",
            "it has no case number".to_owned(),
            "Verbraucherzentrale Rheinland-Pfalz on forged letters (metropolnews.info)",
        );
    }
}

/// Letters in names that mislead the eye.
fn of_names(
    mail: &Mail,
    from: &str,
    display: &str,
    sign: &mut impl FnMut(&'static str, String, &'static str),
) {
    if mail
        .first("Subject")
        .into_iter()
        .chain([display.to_owned()])
        .any(|text| text.chars().any(is_override))
    {
        sign(
            "hidden-order",
            "the header holds signs that turn the direction of writing".to_owned(),
            "Unicode TR 36, 2.5",
        );
    }
    if from.split('.').any(|label| label.starts_with("xn--")) || !from.is_ascii() {
        sign(
            "lookalike-domain",
            format!(
                "the domain of From has letters beyond ASCII: {}",
                printable(from)
            ),
            "Unicode TR 36, 2.1",
        );
    }
}

fn letter(mail: &Mail) -> String {
    let texts = mail
        .parts
        .iter()
        .filter(|part| part.nesting == 0 && part.kind.starts_with("text/"));
    texts
        .filter_map(|part| part.text.as_deref())
        .collect::<Vec<_>>()
        .join("\n")
        .to_lowercase()
}

fn link_domains(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for scheme in ["http://", "https://"] {
        for (at, _) in text.match_indices(scheme).take(500) {
            let rest = &text[at + scheme.len()..];
            let host = rest
                .split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '@')))
                .next()
                .unwrap_or("");
            let host = host.rsplit('@').next().unwrap_or(host).trim_matches('.');
            if host.contains('.') && !found.iter().any(|one| one == host) {
                found.push(printable(host));
            }
        }
    }
    found.retain(|host| !NAMESPACES.iter().any(|known| host.ends_with(known)));
    found
}

/// Hosts that stand in the forms themselves as names, not as links.
const NAMESPACES: [&str; 5] = [
    "acns.net",
    "movielabs.com",
    "w3.org",
    "abuse.io",
    "x-arf.org",
];

fn same_site(domain: &str, known: &str) -> bool {
    domain == known
        || domain.ends_with(&format!(".{known}"))
        || known.ends_with(&format!(".{domain}"))
}

/// What a part is by its first bytes, if it is something that acts.
fn dangerous(magic: &[u8], name: &str) -> Option<&'static str> {
    let name = name.to_lowercase();
    let ends = |all: &[&str]| all.iter().any(|end| name.ends_with(end));
    if magic.starts_with(b"MZ")
        || magic.starts_with(b"\x7fELF")
        || ends(&[".exe", ".scr", ".js", ".vbs", ".bat", ".lnk", ".ps1"])
    {
        Some("a program")
    } else if ends(&[".docm", ".xlsm", ".doc", ".xls"]) || magic.starts_with(b"\xd0\xcf\x11\xe0") {
        Some("a document that may hold macros")
    } else if magic.starts_with(b"PK\x03\x04")
        || magic.starts_with(b"Rar!")
        || magic.starts_with(b"7z\xbc\xaf")
        || ends(&[".iso", ".img"])
    {
        Some("an archive")
    } else if ends(&[".htm", ".html", ".svg"]) {
        Some("a page that may hold scripts")
    } else {
        None
    }
}

fn is_override(letter: char) -> bool {
    matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

/// A text of others, safe to show: without controls and overrides, at most 200 letters.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() || is_override(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .take(200)
        .collect()
}
