//! Free text: labelled fields and lists; the French warning is one dialect of it.
//!
//! Only an address with a label, or the only address of a letter, is taken for the accused one. The same
//! search finds second statements beside a form.

use std::net::IpAddr;
use std::ops::Range;

use super::fact;
use super::repair::{cut, unquoted};
use crate::claim::{ASIDES_MAX, Aside, Claim, EVENTS_MAX, Event, Fact, Format, Place, Protocol};
use crate::mail::Mail;
use crate::scan;
use crate::time::{self, When};

/// Labelled lines that are looked at.
const FIELDS_MAX: usize = 2_000;

/// A letter reads as a complaint if it has one of these words.
const WORDS: [&str; 22] = [
    "infring",
    "abuse",
    "attack",
    "complain",
    "copyright",
    "intrusion",
    "scan",
    "spam",
    "brute",
    "malware",
    "unauthori",
    "hadopi",
    "arcom",
    "contrefa",
    "mise \u{e0} disposition",
    "recommandation",
    "t\u{e9}l\u{e9}charg",
    "droit d'auteur",
    "avertissement",
    "infraction",
    "botnet",
    "notice",
];

/// Reads a letter, if it accuses an address.
pub(super) fn read(mail: &Mail, texts: &[(u32, &str)]) -> Option<Claim> {
    let all = texts
        .iter()
        .map(|(_, text)| text.to_lowercase())
        .collect::<String>();
    let subject = mail.first("Subject").unwrap_or_default().to_lowercase();
    if !WORDS
        .iter()
        .any(|word| all.contains(word) || subject.contains(word))
    {
        return None;
    }
    let french = ["hadopi", "arcom", "haute autorit\u{e9}", "droit d'auteur"]
        .iter()
        .any(|w| all.contains(w))
        && ["adresse ip", "adresse i.p", "abonnement", "recommandation"]
            .iter()
            .any(|w| all.contains(w));
    let mut claim = Claim::new(if french {
        Format::French
    } else {
        Format::Prose
    });
    for (part, text) in texts {
        let text = unquoted(text);
        let found = Found::search(*part, &text);
        claim.case = claim.case.take().or(found.case);
        claim.complainant = claim.complainant.take().or(found.complainant);
        claim.written = claim.written.take().or(found.written);
        claim.events.extend(found.events);
        if !claim.events.is_empty() {
            break;
        }
    }
    (!claim.events.is_empty() || french).then_some(claim)
}

/// Adds what the letter around a form says again.
pub(super) fn add_asides(claim: &mut Claim, texts: &[(u32, &str)]) {
    let own = claim
        .events
        .first()
        .and_then(|event| event.address.as_ref().map(|a| a.place.part));
    for (part, text) in texts {
        let mut text = unquoted(text).into_owned();
        // The form itself is no second statement; blanks keep all places.
        for root in ["Infringement", "acns:Infringement"] {
            if let Some(range) = cut(&text, root) {
                let blank: String = " ".repeat(range.len());
                text.replace_range(range, &blank);
            }
        }
        if text.trim_start().starts_with('{')
            || (own == Some(*part) && claim.format == Format::XArf02)
        {
            continue;
        }
        let found = Found::search(*part, &text);
        claim.written = claim.written.take().or(found.written);
        if let (Some(_), Some(case)) = (&claim.case, found.case) {
            claim.asides.push(Aside::Case(case));
        }
        for event in found.events.into_iter().take(ASIDES_MAX) {
            // One unlabelled address in a letter may be anybody's: the sender's server, an example.
            let labelled = event.address.filter(|address| address.field != UNLABELLED);
            if labelled.is_none() {
                continue;
            }
            claim.asides.extend(labelled.map(Aside::Address));
            claim.asides.extend(event.port.map(Aside::Port));
            claim.asides.extend(event.time.map(Aside::Time));
            claim
                .asides
                .extend(event.content_hash.map(Aside::ContentHash));
        }
    }
}

/// The name of an address without a label.
const UNLABELLED: &str = "the only address in the text";

#[derive(Default)]
struct Found {
    case: Option<Fact<String>>,
    complainant: Option<Fact<String>>,
    written: Option<Fact<When>>,
    events: Vec<Event>,
}

impl Found {
    fn search(part: u32, text: &str) -> Self {
        let mut found = Self::default();
        let mut event = Event::default();
        // Lists repeat their fields in one order: what comes first begins the next event when it comes
        // again. Else the hour of one would go to the address of another.
        let mut leader = None;
        // Where letters tell of their own hour.
        let mut letters = Vec::new();
        // What the reporter says of its own addresses.
        let mut own = Vec::new();
        let fields = scan::fields(text, FIELDS_MAX);
        let accused = fields.iter().any(|field| {
            meaning(&field.label) == Some(Meaning::Address)
                && owner(&field.label) == Owner::Accused
                && !scan::addresses(field.value, 1).is_empty()
        });
        for (index, field) in fields.iter().enumerate() {
            let place = Place::new(part, field.range.clone());
            let value = || field.value.to_owned();
            let meaning = meaning(&field.label).filter(|_| !is_of_header(&fields, index));
            if meaning == Some(Meaning::Written) || is_of_header(&fields, index) {
                letters.push(field.range.clone());
            }
            let owner = owner(&field.label);
            let foreign = owner == Owner::Reporter || owner == Owner::Unclear && accused;
            let last = field.label.split(' ').next_back().unwrap_or("");
            // Behind other labels, as "logs of our server", whoever is accused may stand.
            if foreign && ["ip", "address", "host", "adresse"].contains(&last) {
                own.push(field.range.clone());
            }
            let meaning = meaning.filter(|this| *this != Meaning::Address || !foreign);
            if let Some(this) = meaning.filter(|this| this.is_of_event()) {
                let leads = *leader.get_or_insert(this) == this;
                if leads
                    && event.address.is_some()
                    && this.is_in(&event)
                    && this != Meaning::Address
                {
                    found.events.push(std::mem::take(&mut event));
                }
            }
            match meaning {
                Some(Meaning::Address) => {
                    if let Some((_, ip)) = scan::addresses(field.value, 1).first() {
                        if event.address.is_some() {
                            found.events.push(std::mem::take(&mut event));
                        }
                        let text = ip.to_string();
                        let at = field.value.find(&text).unwrap_or(0);
                        let here = Place::new(
                            part,
                            field.range.start + at
                                ..field.range.start + at + text.len().min(field.value.len()),
                        );
                        event.address = Some(fact(*ip, &field.label, here));
                        if let Some(port) = port_behind(field.value, at + text.len()) {
                            event.port = Some(fact(port, &field.label, place));
                        }
                    }
                }
                Some(Meaning::Port) => {
                    let digits = field
                        .value
                        .split(|c: char| !c.is_ascii_digit())
                        .next()
                        .unwrap_or("");
                    if let Some(port) = digits.parse().ok().filter(|p| *p != 0) {
                        event.port = Some(fact(port, &field.label, place));
                    }
                }
                Some(Meaning::Protocol) => {
                    let word = field
                        .value
                        .split(|c: char| !c.is_ascii_alphanumeric())
                        .find_map(|w| {
                            w.parse::<u8>()
                                .is_err()
                                .then(|| Protocol::named(w))
                                .flatten()
                        });
                    event.protocol = event
                        .protocol
                        .or_else(|| word.map(|p| fact(p, &field.label, place)));
                }
                Some(Meaning::Time) => {
                    if let Some((at, when)) = time::find(field.value, 1).into_iter().next() {
                        let range = field.range.start + at.start..field.range.start + at.end;
                        event.time = Some(fact(when, &field.label, Place::new(part, range)));
                    }
                }
                Some(Meaning::Peer) => {
                    if let Some((range, ip)) = scan::addresses(field.value, 1).first() {
                        event.peer_address = Some(fact(*ip, &field.label, place));
                        if let Some(port) = port_behind(field.value, range.end) {
                            event.peer_port = Some(fact(port, &field.label, place));
                        }
                    }
                }
                Some(Meaning::Hash) => {
                    if let Some((_, hash)) = scan::hashes(field.value, 1).into_iter().next() {
                        event.content_hash = Some(fact(hash, &field.label, place));
                    }
                }
                Some(Meaning::Case) => {
                    found.case = found
                        .case
                        .or_else(|| Some(fact(value(), &field.label, place)));
                }
                Some(Meaning::Complainant) => {
                    found.complainant = found
                        .complainant
                        .or_else(|| Some(fact(value(), &field.label, place)));
                }
                Some(Meaning::Written) => {
                    found.written =
                        time::read(field.value).map(|(when, _)| fact(when, &field.label, place));
                }
                None => {}
            }
        }
        // A last field of a list without an address tells nothing of its own.
        if event != Event::default() && (event.address.is_some() || found.events.is_empty()) {
            found.events.push(event);
        }
        found.sentences(part, text, &letters, &own);
        found.events.truncate(EVENTS_MAX);
        found
    }

    /// Fills from running text what no label gave: lines of a list, or the only address and hour.
    fn sentences(&mut self, part: u32, text: &str, letters: &[Range<usize>], own: &[Range<usize>]) {
        let lone = self.events.iter().all(|event| event.address.is_none());
        if lone {
            let rows = rows(part, text);
            if !rows.is_empty() {
                self.events = rows;
                return;
            }
            let mut hits = scan::addresses(text, 500);
            hits.retain(|(at, _)| !own.iter().any(|field| field.contains(&at.start)));
            hits.dedup_by_key(|hit| hit.1);
            let different: std::collections::BTreeSet<IpAddr> =
                hits.iter().map(|hit| hit.1).collect();
            if let (Some((range, ip)), 1) = (hits.first(), different.len()) {
                let port = port_behind(text, range.end)
                    .map(|p| fact(p, UNLABELLED, Place::new(part, range.clone())));
                let place = Place::new(part, range.clone());
                match self.events.first_mut() {
                    Some(event) => {
                        event.address = Some(fact(*ip, UNLABELLED, place));
                        event.port = event.port.take().or(port);
                    }
                    None => self.events.push(Event {
                        address: Some(fact(*ip, UNLABELLED, place)),
                        port,
                        ..Event::default()
                    }),
                }
            }
        }
        let [event] = self.events.as_mut_slice() else {
            return;
        };
        if event.address.is_some() && event.time.is_none() {
            let times = time::find(text, 50);
            let with_hour: Vec<_> = times
                .iter()
                .filter(|(at, when)| {
                    when.precision != time::Precision::Day
                        && !letters.iter().any(|letter| letter.contains(&at.start))
                })
                .collect();
            // Several hours and no label: which is meant cannot be told.
            if let [one] = with_hour.as_slice() {
                event.time = Some(fact(
                    one.1.clone(),
                    "the only hour in the text",
                    Place::new(part, one.0.clone()),
                ));
            }
        }
    }
}

/// Whether a `Date:` is that of a mail that is quoted: a neighbour is another field of its header.
fn is_of_header(fields: &[scan::Field<'_>], index: usize) -> bool {
    let label = |at: usize| fields.get(at).map(|field| field.label.as_str());
    let header = [
        "from",
        "to",
        "cc",
        "subject",
        "message-id",
        "de",
        "\u{e0}",
        "objet",
        "von",
        "an",
        "betreff",
    ];
    let is_header = |at: usize| label(at).is_some_and(|label| header.contains(&label));
    label(index) == Some("date")
        && (is_header(index + 1) || index.checked_sub(1).is_some_and(is_header))
}

/// Lines that hold one address and one hour each, as logs have them; two at least.
fn rows(part: u32, text: &str) -> Vec<Event> {
    let mut rows = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let here = start;
        start += line.len();
        if line.len() > 400 || rows.len() >= EVENTS_MAX {
            continue;
        }
        let (addresses, times) = (scan::addresses(line, 3), time::find(line, 2));
        if let ([(range, ip)], [(when_range, when)]) = (addresses.as_slice(), times.as_slice())
            && when.precision != time::Precision::Day
        {
            let at = |range: &Range<usize>| Place::new(part, here + range.start..here + range.end);
            rows.push(Event {
                address: Some(fact(*ip, "row", at(range))),
                port: port_behind(line, range.end).map(|port| fact(port, "row", at(range))),
                time: Some(fact(when.clone(), "row", at(when_range))),
                ..Event::default()
            });
        }
    }
    if rows.len() < 2 { Vec::new() } else { rows }
}

/// `:6881`, ` port 6881` behind an address.
fn port_behind(text: &str, at: usize) -> Option<u16> {
    let rest = text.get(at..)?;
    let digits = rest.strip_prefix(':').or_else(|| {
        let rest = rest.trim_start_matches([' ', ',', '(']);
        let lower = rest.get(..5)?.to_ascii_lowercase();
        lower
            .starts_with("port")
            .then(|| rest[4..].trim_start_matches([' ', ':', '=']))
    })?;
    let digits: String = digits
        .chars()
        .take_while(char::is_ascii_digit)
        .take(6)
        .collect();
    digits.parse().ok().filter(|port| *port != 0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Address,
    Port,
    Protocol,
    Time,
    Peer,
    Hash,
    Case,
    Complainant,
    Written,
}

impl Meaning {
    /// Whether it tells of an event, and not of the letter.
    fn is_of_event(self) -> bool {
        !matches!(self, Self::Case | Self::Complainant | Self::Written)
    }

    /// Whether an event has it already.
    fn is_in(self, event: &Event) -> bool {
        match self {
            Self::Address => event.address.is_some(),
            Self::Port => event.port.is_some(),
            Self::Protocol => event.protocol.is_some(),
            Self::Time => event.time.is_some(),
            Self::Peer => event.peer_address.is_some(),
            Self::Hash => event.content_hash.is_some(),
            Self::Case | Self::Complainant | Self::Written => false,
        }
    }
}

/// Whose address a label tells of, by its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Accused,
    /// Whoever writes, or whoever was attacked.
    Reporter,
    /// A server, or one that an attack on the reporter has to do with: the reporter's where another address
    /// is accused, else the accused one.
    Unclear,
}

/// Words of a reporter for itself.
const REPORTER: [&str; 7] = [
    "our",
    "my",
    "local",
    "reporter",
    "reporting",
    "notre",
    "mon",
];

/// Words for whoever attacks.
const ATTACKER: [&str; 5] = ["source", "attacker", "attackers", "offender", "attaquant"];

/// Beginnings of words for what is done to a reporter.
const ATTACK: [&str; 12] = [
    "attac", "attaq", "brute", "scan", "abus", "against", "contre", "fail", "login", "intru",
    "spam", "hack",
];

/// Words for an address.
const NOUNS: [&str; 6] = ["ip", "ips", "address", "addresses", "host", "adresse"];

fn owner(label: &str) -> Owner {
    let words: Vec<&str> = label.split(|c: char| !c.is_alphabetic()).collect();
    let has = |all: &[&str]| words.iter().any(|word| all.contains(word));
    if has(&["your", "votre"]) || names_attacker(label) {
        return Owner::Accused;
    }
    let Some(at) = words.iter().position(|word| REPORTER.contains(word)) else {
        return if has(&["server", "serveur"]) {
            Owner::Unclear
        } else {
            Owner::Accused
        };
    };
    // "Attacker of our host" is not ours; "attack on our host" may be either.
    let before = &words[..at];
    if before.iter().any(|word| ATTACKER.contains(word)) {
        Owner::Accused
    } else if before
        .iter()
        .any(|word| ATTACK.iter().any(|begin| word.starts_with(begin)))
        // "From our host" is ours.
        || before.iter().rev().skip(1).any(|word| *word == "from")
    {
        Owner::Unclear
    } else {
        Owner::Reporter
    }
}

/// Whether a label has a word of [`NOUNS`].
fn has_noun(label: &str) -> bool {
    label
        .split(|c: char| !c.is_alphabetic())
        .any(|word| NOUNS.contains(&word))
}

/// Whether a label names an attacker by what it did to another: "IP that attacked our host", "IP address seen
/// by our honeypot".
fn names_attacker(label: &str) -> bool {
    let deeds = [
        " that attacked ",
        " which attacked ",
        " attacked our ",
        " attacked my ",
        " seen by ",
        " detected by ",
        " caught by ",
        " logged by ",
    ];
    let is_other_end = |label: &str| TARGETS.iter().any(|word| label.contains(word));
    let of_deed = deeds
        .iter()
        .filter_map(|deed| label.find(deed))
        .any(|at| has_noun(&label[..at]) && !is_other_end(&label[..at]));
    // "From honeypot IP" is the honeypot's own.
    let of_trap = label.split_once(" from ").is_some_and(|(before, trap)| {
        let is_trap = TRAPS.iter().any(|word| trap.contains(word));
        is_trap && has_noun(before) && !is_other_end(before) && !has_noun(trap)
    });
    of_deed || of_trap
}

/// Words for the other end, as parts of words.
const TARGETS: [&str; 7] = [
    "destination",
    "target",
    "victim",
    "peer",
    "dst",
    "detector",
    "attacked",
];

/// Words for the other end that was set up to be attacked.
const TRAPS: [&str; 2] = ["honeypot", "sensor"];

/// What a label says, in the words of the senders that are known.
fn meaning(label: &str) -> Option<Meaning> {
    let has = |words: &[&str]| words.iter().any(|word| label.contains(word));
    let is = |words: &[&str]| words.contains(&label);
    if has(&TARGETS) || has(&TRAPS) {
        if names_attacker(label) {
            return Some(Meaning::Address);
        }
        return has(&["ip", "address", "host"]).then_some(Meaning::Peer);
    }
    if is(&[
        "ip",
        "ip address",
        "source ip",
        "source",
        "attacker",
        "offender",
        "infringer's ip address",
        "adresse ip",
        "source ip address",
        "infringing ip",
        "ip-address",
        "source-ip",
        "src",
        "src ip",
        "host",
        "ip source",
        "adresse ip source",
        "adresse i.p.",
        "infringing ip address",
        "infringers ip address",
        "ip address(es)",
    ]) || label.ends_with("adresse ip")
        || label.ends_with("ip address")
    {
        return Some(Meaning::Address);
    }
    if is(&[
        "port",
        "source port",
        "src port",
        "port source",
        "infringer's port",
        "ip port",
        "port number",
        "port associ\u{e9}",
    ]) {
        return Some(Meaning::Port);
    }
    if is(&[
        "notice date",
        "date of notice",
        "report date",
        "date of this notice",
        "date du pr\u{e9}sent avertissement",
    ]) {
        return Some(Meaning::Written);
    }
    if is(&[
        "date",
        "timestamp",
        "time",
        "date/time",
        "date and time",
        "event time",
        "infringement timestamp",
        "initial infringement timestamp",
        "recent infringement timestamp",
        "date et heure",
        "date et heure des faits",
        "last seen",
        "infringement date",
        "time of infringement",
        "date and hour",
        "incident date",
        "event-date",
        "first seen",
        "date des faits",
        "date & time",
        "infringement time",
    ]) {
        return Some(Meaning::Time);
    }
    if is(&["protocol", "protocole", "infringement type", "transport"]) {
        return Some(Meaning::Protocol);
    }
    if has(&["hash", "infohash"]) {
        return Some(Meaning::Hash);
    }
    if is(&[
        "case id",
        "case",
        "notice id",
        "reference",
        "ref",
        "case number",
        "ticket",
        "incident",
        "num\u{e9}ro de dossier",
        "dossier",
        "dossier n\u{b0}",
        "r\u{e9}f\u{e9}rence",
        "n\u{b0} de dossier",
        "report id",
        "case #",
    ]) {
        return Some(Meaning::Case);
    }
    if is(&[
        "complainant",
        "rights owner",
        "rightsholder",
        "copyright owner",
        "copyright owner(s)",
        "reporter",
        "ayant droit",
        "organisation",
    ]) {
        return Some(Meaning::Complainant);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_of_a_letter_is_not_that_of_the_event() {
        for letter in [
            "Notice Date: 2026-03-02 12:00:00 UTC\r\n",
            "From: q@b.example\r\nDate: Mon, 2 Mar 2026 12:00:00 +0000\r\nSubject: abuse\r\n",
        ] {
            let search = |more: &str| {
                Found::search(0, &format!("{letter}IP Address: 198.51.100.7\r\n{more}"))
                    .events
                    .remove(0)
                    .time
            };
            assert_eq!(search(""), None, "{letter}");
            let stated = search("Timestamp: 2026-03-01 09:00:00 UTC\r\n").unwrap();
            assert_eq!(stated.value.readings[0].day(), 1, "{letter}");
        }
    }

    #[test]
    fn an_address_of_the_reporter_accuses_nobody() {
        let accused = |text: &str| -> Vec<String> {
            let events = Found::search(0, text).events;
            events
                .into_iter()
                .filter_map(|event| Some(event.address?.value.to_string()))
                .collect()
        };
        let source = "Source IP: 198.51.100.200\r\nTimestamp: 2026-03-01 09:00:00 UTC\r\n";
        for label in [
            "Our server IP address",
            "My IP address",
            "Our IP",
            "Reporter's IP address",
            "Local IP address",
            "Server IP address",
            "Honeypot IP address",
            "Notre adresse IP",
        ] {
            let line = format!("{label}: 203.0.113.9\r\n");
            for text in [format!("{source}{line}"), format!("{line}{source}")] {
                assert_eq!(accused(&text), ["198.51.100.200"], "{text}");
            }
        }
        // It does not keep the only other address from being found.
        let text = "Our IP address: 203.0.113.9\r\nWe were attacked by 198.51.100.200 today.\r\n";
        assert_eq!(accused(text), ["198.51.100.200"]);
        let text = "Logs of our server: 198.51.100.200 failed to log in\r\n";
        assert_eq!(accused(text), ["198.51.100.200"]);
        // A honeypot is the other end; what else is ours need not be.
        let peer = |label: &str| {
            let event = Found::search(0, &format!("{source}{label}: 203.0.113.9\r\n")).events;
            event[0].peer_address.is_some()
        };
        assert!(peer("Honeypot IP address") && !peer("Our IP address"));
        for label in [
            "Your IP address",
            "Your server IP address",
            "Server IP address",
            "Votre adresse IP",
            "Offending IP address",
        ] {
            let text = format!("{label}: 198.51.100.200\r\nSeen by 203.0.113.9\r\n");
            assert_eq!(accused(&text), ["198.51.100.200"], "{label}");
        }
    }

    #[test]
    fn a_label_that_tells_of_an_attack_on_the_reporter_hides_nobody() {
        let accused = |text: &str| -> Vec<(String, bool)> {
            let events = Found::search(0, text).events;
            let of = |event: Event| {
                let address = event.address?.value;
                let itself = event.peer_address.is_some_and(|peer| peer.value == address);
                Some((address.to_string(), itself))
            };
            events.into_iter().filter_map(of).collect()
        };
        let only = [("198.51.100.200".to_owned(), false)];
        for label in [
            "Brute force attacks on our host",
            "Attacker of our host",
            "IP that attacked our host",
            "Source of the scan of our IP address",
            "Abuse against my IP",
            "Failed logins on our host",
            "Connection from an IP to our host",
            "Attaque contre notre adresse IP",
            "IP address seen by our honeypot",
            "IP address seen by our honeypot host",
            "IP from our sensor",
        ] {
            let text = format!("{label}: 198.51.100.200\r\n");
            assert_eq!(accused(&text), only, "{label}");
        }
        // Of two the one that is accused in so many words.
        for label in [
            "Attack on our IP address",
            "Attack on IP of our host",
            "Seen by our IP address",
            "Destination IP seen by our sensor",
            "Reports from honeypot IP address",
        ] {
            let source = "Source IP: 198.51.100.200\r\n";
            let line = format!("{label}: 203.0.113.9\r\n");
            for text in [format!("{source}{line}"), format!("{line}{source}")] {
                assert_eq!(accused(&text), only, "{text}");
            }
        }
    }
}
