//! From a mail to the complaints in it: one file for each format, and prose where no form is known.
//!
//! Reads, compares nothing with records and judges nothing. Called by `check` and by the fuzzer.

mod acns;
mod arf;
mod prose;
mod repair;
mod xarf;
mod yamlish;

use crate::claim::{ASIDES_MAX, Claim, EVENTS_MAX, Fact, Place};
use crate::mail::Mail;
use crate::time;

/// Complaints read from one mail.
const CLAIMS_MAX: usize = 50;

/// All complaints of a mail; forms first. Empty if nothing in it accuses an address.
#[must_use]
pub fn claims(mail: &Mail) -> Vec<Claim> {
    let mut found: Vec<Claim> = Vec::new();
    for part in &mail.parts {
        let Some(text) = part.text.as_deref() else {
            continue;
        };
        if found.len() >= CLAIMS_MAX {
            break;
        }
        let json = part.kind.ends_with("json") || text.trim_start().starts_with('{');
        if part.kind == "message/feedback-report" {
            found.extend(arf::read(mail, part.index, text));
        } else if json {
            found.extend(xarf::read(part.index, text));
        } else if let Some(claim) = acns::read(part.index, text) {
            found.push(claim);
        } else if let Some(claim) = yamlish::read(mail, part.index, text) {
            found.push(claim);
        }
    }
    let texts: Vec<(u32, &str)> = prose_parts(mail);
    if found.is_empty() {
        found.extend(prose::read(mail, &texts));
    } else {
        for claim in &mut found {
            prose::add_asides(claim, &texts);
        }
    }
    let date = mail.all("Date").next().and_then(|(_, header)| {
        let (when, _) = time::read(&mail.unfolded(header))?;
        let name = format!("header Date in line {}", mail.line_of(header));
        // A header field has no place in a part; its name tells the line.
        Some(fact(when, &name, Place::new(0, 0..0)))
    });
    for claim in &mut found {
        claim.written = claim.written.take().or_else(|| date.clone());
        claim.events.truncate(EVENTS_MAX);
        claim.asides.truncate(ASIDES_MAX);
    }
    found
}

/// Complaints in bytes that are no mail: a bare XARF or ACNS document.
#[must_use]
pub fn claims_of_document(text: &str) -> Vec<Claim> {
    if text.trim_start().starts_with('{') {
        xarf::read(0, text).into_iter().collect()
    } else {
        acns::read(0, text).into_iter().collect()
    }
}

/// Parts that a person would read as the letter itself.
fn prose_parts(mail: &Mail) -> Vec<(u32, &str)> {
    let is_letter = |kind: &str| kind == "text/plain" || kind == "text/html";
    mail.parts
        .iter()
        .filter(|part| part.nesting == 0 && is_letter(&part.kind))
        .filter_map(|part| part.text.as_deref().map(|text| (part.index, text)))
        .collect()
}

fn fact<T>(value: T, field: &str, place: Place) -> Fact<T> {
    Fact {
        value,
        field: field.to_owned(),
        place,
    }
}

/// Where a value stands in a text, for formats whose reader does not say.
fn place_of(part: u32, text: &str, needle: &str) -> Place {
    let at = if needle.is_empty() {
        None
    } else {
        text.find(needle)
    };
    match at {
        Some(at) => Place::new(part, at..at + needle.len()),
        None => Place::new(part, 0..text.len()),
    }
}
