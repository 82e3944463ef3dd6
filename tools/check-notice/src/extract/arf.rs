//! ARF: the `message/feedback-report` part of RFC 5965, with the fields of RFC 6591 and RFC 6692.
//!
//! The report says when a mail arrived from an address; it has no hash and mostly no port.

use super::fact;
use crate::claim::{Claim, Event, Format, Place};
use crate::mail::Mail;
use crate::scan;
use crate::time;

/// Fields of one report.
const FIELDS_MAX: usize = 200;

/// Reads the report.
pub(super) fn read(mail: &Mail, part: u32, text: &str) -> Option<Claim> {
    let fields = scan::fields(text, FIELDS_MAX);
    if !fields.iter().any(|field| field.label == "feedback-type") {
        return None;
    }
    let mut claim = Claim::new(Format::Arf);
    let mut event = Event::default();
    for field in &fields {
        let place = Place::new(part, field.range.clone());
        match field.label.as_str() {
            "source-ip" => {
                event.address = field
                    .value
                    .parse()
                    .ok()
                    .map(|ip| fact(ip, "Source-IP", place));
            }
            "source-port" => {
                event.port = field
                    .value
                    .parse()
                    .ok()
                    .filter(|port| *port != 0)
                    .map(|port| fact(port, "Source-Port", place));
            }
            "arrival-date" | "received-date" => {
                event.time =
                    time::read(field.value).map(|(when, _)| fact(when, "Arrival-Date", place));
            }
            "reporting-mta" => {
                claim.complainant = Some(fact(field.value.to_owned(), "Reporting-MTA", place));
            }
            _ => {}
        }
    }
    claim.remarks.push(format!(
        "ARF names the address from which a mail came; the mail itself is {}",
        if mail
            .parts
            .iter()
            .any(|p| p.nesting > 0 || p.kind == "text/rfc822-headers")
        {
            "attached"
        } else {
            "not attached"
        }
    ));
    claim.events.push(event);
    Some(claim)
}
