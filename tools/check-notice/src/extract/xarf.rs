//! XARF version 4 and 3: a JSON report, alone or attached.
//!
//! Not a schema validator: a valid report may be uncheckable and an invalid one checkable. Hashes of
//! evidence are computed again, which the schema does not ask for.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{fact, place_of};
use crate::claim::{Aside, Claim, Event, Fact, Fault, Format, Place, Protocol};
use crate::scan::is_hash_of_nothing;
use crate::time;

/// Evidence entries whose hash is computed again.
const EVIDENCE_MAX: usize = 100;

/// The largest JSON document that is read.
const JSON_BYTES_MAX: usize = 2 << 20;

/// Reads a report, if the text is one.
pub(super) fn read(part: u32, text: &str) -> Option<Claim> {
    if text.len() > JSON_BYTES_MAX {
        return None;
    }
    let root: Value = serde_json::from_str(text).ok()?;
    let reader = Reader { part, text };
    if root.get("xarf_version").is_some() {
        Some(reader.version_4(&root))
    } else if root.get("Report").is_some() && root.get("ReporterInfo").is_some() {
        Some(reader.version_3(&root))
    } else {
        None
    }
}

struct Reader<'a> {
    part: u32,
    text: &'a str,
}

impl Reader<'_> {
    fn string(&self, from: &Value, path: &str) -> Option<Fact<String>> {
        let value = match from.pointer(path)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        let name = path.rsplit('/').next().unwrap_or(path);
        Some(fact(
            value.clone(),
            &path[1..].replace('/', "."),
            self.place(name, &value),
        ))
    }

    /// The place of a value behind its name.
    fn place(&self, name: &str, value: &str) -> Place {
        let key = format!("\"{name}\"");
        for (at, _) in self.text.match_indices(&key).take(64) {
            let rest = &self.text[at + key.len()..];
            let gap = rest.len()
                - rest
                    .trim_start_matches([' ', '\t', '\r', '\n', ':', '"'])
                    .len();
            if rest[gap..].starts_with(value) {
                let from = at + key.len() + gap;
                return Place::new(self.part, from..from + value.len());
            }
        }
        place_of(self.part, self.text, value)
    }

    fn parsed<T: std::str::FromStr>(&self, from: &Value, path: &str) -> Option<Fact<T>> {
        let found = self.string(from, path)?;
        found.value.trim().parse().ok().map(|value| Fact {
            value,
            field: found.field,
            place: found.place,
        })
    }

    fn time(&self, from: &Value, path: &str, claim: &mut Claim) -> Option<Fact<time::When>> {
        let found = self.string(from, path)?;
        let Some((when, _)) = time::read(found.value.trim()) else {
            claim.faults.push(Fault {
                what: format!("{} is no time", found.field),
                place: found.place,
            });
            return None;
        };
        Some(Fact {
            value: when,
            field: found.field,
            place: found.place,
        })
    }

    fn version_4(&self, root: &Value) -> Claim {
        let mut claim = Claim::new(Format::Xarf4);
        claim.case = self.string(root, "/report_id");
        claim.complainant = self.string(root, "/reporter/org");
        let time = self.time(root, "/timestamp", &mut claim);
        let mut event = Event {
            address: self.parsed(root, "/source_identifier"),
            port: self
                .parsed::<u16>(root, "/source_port")
                .filter(|port| port.value != 0),
            protocol: self.protocol(root, "/protocol"),
            time,
            peer_address: self.parsed(root, "/destination_ip"),
            peer_port: self.parsed(root, "/destination_port"),
            content_hash: None,
        };
        if event.address.is_none()
            && let Some(other) = self.string(root, "/source_identifier")
        {
            claim.remarks.push(format!(
                "{} names no address but another thing ({})",
                other.field, other.place
            ));
        }
        for path in [
            "/swarm_info/info_hash",
            "/info_hash",
            "/file_hash",
            "/swarm_info/magnet_uri",
            "/magnet_uri",
        ] {
            let Some(mut hash) = self.string(root, path) else {
                continue;
            };
            let value = hash.value.to_ascii_lowercase();
            let value = value.split("btih:").last().unwrap_or("");
            let value = value.split(['&', '?']).next().unwrap_or("");
            let bare = value.rsplit(':').next().unwrap_or(value);
            hash.value = bare.to_owned();
            if is_hash_of_nothing(bare) {
                claim.faults.push(Fault {
                    what: format!(
                        "{} is the hash of an empty text, or one digit repeated",
                        hash.field
                    ),
                    place: hash.place,
                });
            }
            match &event.content_hash {
                None => event.content_hash = Some(hash),
                Some(first) if first.value.len() == hash.value.len() => {
                    claim.asides.push(Aside::ContentHash(hash));
                }
                Some(_) => {}
            }
        }
        let evidence = root.get("evidence").and_then(Value::as_array);
        for (index, entry) in evidence
            .into_iter()
            .flatten()
            .take(EVIDENCE_MAX)
            .enumerate()
        {
            self.evidence(index, entry, &mut claim);
        }
        claim.events.push(event);
        claim
    }

    fn protocol(&self, root: &Value, path: &str) -> Option<Fact<Protocol>> {
        let found = self.string(root, path)?;
        Protocol::named(&found.value).map(|value| Fact {
            value,
            field: found.field,
            place: found.place,
        })
    }

    /// Compares the stated hash of an evidence entry with that of its content.
    fn evidence(&self, index: usize, entry: &Value, claim: &mut Claim) {
        let (Some(payload), Some(stated)) = (
            entry.get("payload").and_then(Value::as_str),
            entry.get("hash").and_then(Value::as_str),
        ) else {
            return;
        };
        let Some((name, stated_hex)) = stated.split_once(':') else {
            return;
        };
        let algorithm = match name.to_ascii_lowercase().as_str() {
            "sha256" | "sha-256" => &digest::SHA256,
            "sha512" | "sha-512" => &digest::SHA512,
            "sha1" | "sha-1" => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            _ => {
                claim
                    .remarks
                    .push(format!("evidence[{index}].hash: not computed again"));
                return;
            }
        };
        let place = self.place("hash", stated);
        let Ok(content) = STANDARD.decode(payload.trim()) else {
            claim.faults.push(Fault {
                what: format!("evidence[{index}].payload is no base64, its hash says nothing"),
                place,
            });
            return;
        };
        let hex =
            |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        if hex(digest::digest(algorithm, &content).as_ref())
            != stated_hex.trim().to_ascii_lowercase()
        {
            claim.faults.push(Fault {
                what: format!("evidence[{index}].hash is not the hash of its payload"),
                place,
            });
        }
    }

    fn version_3(&self, root: &Value) -> Claim {
        let mut claim = Claim::new(Format::Xarf3);
        claim.complainant = self.string(root, "/ReporterInfo/ReporterOrg");
        claim.case = self
            .string(root, "/Report/ReportID")
            .or_else(|| self.string(root, "/ReportID"));
        let time = self.time(root, "/Report/Date", &mut claim);
        let info = "/Report/AdditionalInfo";
        claim.events.push(Event {
            address: self
                .parsed(root, "/Report/Source/IP")
                .or_else(|| self.parsed(root, "/Report/SourceIp")),
            port: self
                .parsed::<u16>(root, "/Report/Source/Port")
                .or_else(|| self.parsed(root, "/Report/SourcePort"))
                .filter(|port| port.value != 0),
            protocol: self.protocol(root, &format!("{info}/Protocol")),
            time,
            peer_address: self.parsed(root, &format!("{info}/DestinationIP")),
            peer_port: self.parsed(root, &format!("{info}/DestinationPort")),
            content_hash: None,
        });
        claim
    }
}
