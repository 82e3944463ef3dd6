//! X-ARF 0.2: a mail with the field `X-XARF` whose second part is a list of `Key: value` lines.
//!
//! YAML by its name, but flat; read as lines. A part counts when it has the keys that the schema asks
//! for, whatever it is called.

use super::fact;
use crate::claim::{Claim, Event, Format, Place, Protocol};
use crate::mail::Mail;
use crate::scan;
use crate::time;

/// Lines of one report.
const FIELDS_MAX: usize = 200;

/// Reads the report, if the part is one.
pub(super) fn read(mail: &Mail, part: u32, text: &str) -> Option<Claim> {
    let fields = scan::fields(text, FIELDS_MAX);
    let value = |name: &str| fields.iter().find(|field| field.label == name);
    let marked = mail.all("X-XARF").next().is_some() || mail.all("X-ARF").next().is_some();
    let keys = [
        "report-type",
        "schema-url",
        "source",
        "source-type",
        "date",
        "category",
    ];
    let found = keys.iter().filter(|key| value(key).is_some()).count();
    if value("source").is_none() || found < if marked { 3 } else { 5 } {
        return None;
    }
    let place = |field: &scan::Field<'_>| Place::new(part, field.range.clone());
    let text_of = |field: &scan::Field<'_>| field.value.trim_matches(['"', '\'']).to_owned();
    let mut claim = Claim::new(Format::XArf02);
    claim.case = value("report-id").map(|f| fact(text_of(f), "Report-ID", place(f)));
    claim.complainant = value("reported-from").map(|f| fact(text_of(f), "Reported-From", place(f)));
    claim.events.push(Event {
        address: value("source")
            .and_then(|f| Some(fact(text_of(f).parse().ok()?, "Source", place(f)))),
        port: value("source-port")
            .and_then(|f| Some(fact(text_of(f).parse().ok()?, "Source-Port", place(f))))
            .filter(|port| port.value != 0),
        protocol: value("protocol")
            .or_else(|| value("service"))
            .and_then(|f| Some(fact(Protocol::named(&text_of(f))?, "Protocol", place(f)))),
        time: value("date").and_then(|f| Some(fact(time::read(&text_of(f))?.0, "Date", place(f)))),
        peer_address: value("destination")
            .and_then(|f| Some(fact(text_of(f).parse().ok()?, "Destination", place(f)))),
        peer_port: value("destination-port")
            .or_else(|| value("port"))
            .and_then(|f| Some(fact(text_of(f).parse().ok()?, "Port", place(f)))),
        content_hash: None,
    });
    Some(claim)
}
