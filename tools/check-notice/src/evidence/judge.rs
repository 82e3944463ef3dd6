//! Puts facts and records together to a finding about one event.
//!
//! The rule behind all of it: a holder is named only where every other person is excluded at every second
//! that the claim may mean, by a log that shows it was written then. Else the answer is "uncheckable".

use std::net::IpAddr;

use super::traffic::{Flows, Mappings, flows, mappings};
use super::{Finding, Margin, Missing, Reason, Verdict, holder, windows};
use crate::claim::{Event, Fact};
use crate::policy::Network;
use crate::records::{HolderIndex, Kind, Mapping, Records};
use crate::time::{Interval, Precision, Seconds, When, show, show_length};

/// Reasons that list single records stop here.
const LISTED_MAX: usize = 20;

/// A complaint that names no event at all.
pub(super) fn without_events(faults: &[Reason]) -> Finding {
    let mut finding = empty(
        Verdict::Uncheckable(Missing::Address),
        vec![Missing::Address, Missing::Time],
    );
    if !faults.is_empty() {
        finding.verdict = Verdict::Contradicted;
        finding.reasons = faults.to_vec();
    }
    finding
        .reasons
        .push(Reason::new("it names no address and no time"));
    finding
}

fn empty(verdict: Verdict, missing: Vec<Missing>) -> Finding {
    Finding {
        verdict,
        reasons: Vec::new(),
        holder: None,
        holders: Vec::new(),
        margin: None,
        missing,
    }
}

/// Judges one event.
pub(super) fn event(
    event: &Event,
    faults: &[Reason],
    records: &Records,
    network: &Network,
) -> Finding {
    let mut finding = empty(Verdict::Contradicted, missing(event));
    finding.reasons = faults.to_vec();
    if let Some(address) = &event.address {
        finding.reasons.extend(impossible(address, network));
    }
    if !finding.reasons.is_empty() {
        return finding;
    }
    let Some(address) = &event.address else {
        return blocked(finding, Missing::Address, "it names no address");
    };
    let Some(time) = event
        .time
        .as_ref()
        .filter(|time| time.value.precision != Precision::Day)
    else {
        return blocked(finding, Missing::Time, "it names no hour");
    };
    let case = Case {
        event,
        address: address.value.to_canonical(),
        time,
        windows: windows(&time.value, network.tolerance_s),
        slack: network.log_tolerance_s,
        records,
        network,
    };
    if case.windows.is_empty() {
        return blocked(finding, Missing::Time, "its time cannot be one");
    }
    case.judge(finding)
}

fn blocked(mut finding: Finding, what: Missing, reason: &str) -> Finding {
    finding.verdict = Verdict::Uncheckable(what);
    finding.reasons.push(Reason::new(reason));
    finding
}

/// Facts that a good complaint has (RFC 6302, section 2) and this one lacks.
fn missing(event: &Event) -> Vec<Missing> {
    let time = event.time.as_ref().map(|fact| &fact.value);
    let lacks = [
        (event.address.is_none(), Missing::Address),
        (
            time.is_none_or(|when| when.precision == Precision::Day),
            Missing::Time,
        ),
        (event.port.is_none(), Missing::SourcePort),
        (time.is_some_and(When::lacks_zone), Missing::Zone),
        (
            time.is_some_and(|when| when.precision == Precision::Minute),
            Missing::ClockAccuracy,
        ),
        (event.protocol.is_none(), Missing::Protocol),
        (
            event.peer_address.is_none() || event.peer_port.is_none(),
            Missing::Peer,
        ),
    ];
    lacks
        .into_iter()
        .filter_map(|(lacks, what)| lacks.then_some(what))
        .collect()
}

/// An address at which it cannot have happened.
fn impossible(address: &Fact<IpAddr>, network: &Network) -> Option<Reason> {
    let ip = address.value.to_canonical();
    let within = |prefixes: &[crate::net::Prefix]| prefixes.iter().any(|prefix| prefix.holds(ip));
    let what = if !network.own.is_empty() && !within(&network.own) {
        format!("{ip} is none of our addresses")
    } else if within(&network.never_used) {
        format!("{ip} was never in use")
    } else if within(&network.incapable) {
        format!("{ip} belongs to a device that cannot have done this")
    } else {
        return None;
    };
    Some(Reason::new(what).at(address.place))
}

struct Case<'a> {
    event: &'a Event,
    address: IpAddr,
    time: &'a Fact<When>,
    windows: Vec<Interval>,
    slack: Seconds,
    records: &'a Records,
    network: &'a Network,
}

impl Case<'_> {
    fn judge(&self, finding: Finding) -> Finding {
        let serves = |(_, log): (_, &crate::records::Log)| log.rules.serves(self.address);
        let shared = self
            .network
            .shared
            .iter()
            .any(|prefix| prefix.holds(self.address))
            || self.records.logs_of(&[Kind::Nat]).any(serves);
        let known =
            !self.network.own.is_empty() || self.records.logs_of(&holder::LEASE_KINDS).any(serves);
        match &self.event.port {
            None if shared => blocked(
                finding,
                Missing::SourcePort,
                "the address is shared, and no source port is named",
            ),
            None if !known => {
                let reason = "no source port is named, and nothing says that the address is one person's alone";
                blocked(finding, Missing::SourcePort, reason)
            }
            Some(port) if shared => self.behind_translator(port.value, finding),
            _ => self.direct(finding),
        }
    }

    fn behind_translator(&self, port: u16, mut finding: Finding) -> Finding {
        let found: Mappings = mappings(
            self.records,
            self.event,
            self.address,
            port,
            &self.windows,
            self.slack,
        );
        if let Some((name, hole)) = &found.hole {
            return blocked(
                finding,
                Missing::OwnRecords,
                &format!("{name} does not cover the time: {hole}"),
            );
        }
        if found.fitting.is_empty() {
            if !found.served {
                return blocked(
                    finding,
                    Missing::OwnRecords,
                    "no translation log serves this address",
                );
            }
            let text = format!(
                "no translation of {} port {port} in {}",
                self.address,
                self.spans()
            );
            finding.reasons.push(Reason::new(text).at(self.time.place));
            finding.verdict = Verdict::Contradicted;
            return finding;
        }
        let mut holders = holder::Holders {
            surely: true,
            ..holder::Holders::default()
        };
        for mapping in &found.fitting {
            let inner = self
                .windows
                .iter()
                .filter_map(|w| w.widened(self.slack).common(mapping.possible));
            let inner: Vec<Interval> = inner.collect();
            let asked = holder::ask(self.records, mapping.inner, &inner, self.slack);
            self.list(
                &mut finding,
                "translation to an inner address",
                mapping.source,
                mapping.line,
            );
            if asked.all.is_empty() {
                let hole = asked
                    .hole
                    .map_or(String::new(), |(name, hole)| format!(": {name}: {hole}"));
                return blocked(
                    finding,
                    Missing::OwnRecords,
                    &format!("no record of who held the inner address{hole}"),
                );
            }
            holders.hole = holders.hole.or(asked.hole);
            holders.stranger |= asked.stranger;
            // Whoever had the other inner address may be the one.
            holders.surely &= asked.surely;
            holders.unknown |= asked.unknown;
            for (holder, lease) in asked
                .all
                .iter()
                .map(|h| (*h, asked.leases.iter().find(|l| l.holder == *h)))
            {
                if !holders.all.contains(&holder) {
                    holders.all.push(holder);
                }
                if let Some(lease) = lease {
                    self.list(
                        &mut finding,
                        "holder of the inner address",
                        lease.source,
                        lease.line,
                    );
                }
            }
        }
        let verdict = if found.peer_named {
            Verdict::Confirmed
        } else {
            Verdict::Consistent
        };
        let mut finding = self.conclude(finding, holders, verdict);
        if let (Some(only), Some(at)) = (finding.holder, self.nominal()) {
            finding.margin = Some(self.port_margin(port, &found.fitting, only, at));
        }
        finding
    }

    fn direct(&self, mut finding: Finding) -> Finding {
        let traffic: Flows = flows(
            self.records,
            self.event,
            self.address,
            &self.windows,
            self.slack,
        );
        let complete = traffic.served && traffic.hole.is_none();
        if complete && traffic.fitting.is_empty() {
            let port = self
                .event
                .port
                .as_ref()
                .map_or(String::new(), |port| format!(" port {}", port.value));
            let text = format!(
                "no packets of {}{port} that fit in {}",
                self.address,
                self.spans()
            );
            finding.reasons.push(Reason::new(text).at(self.time.place));
            finding.verdict = Verdict::Contradicted;
            return finding;
        }
        // Where all flows are known, the event is one of those that fit: their hours are exact.
        let mut windows = self.windows.clone();
        let mut verdict = Verdict::Consistent;
        if complete {
            let common = |window: &Interval| {
                let window = window.widened(self.slack);
                traffic
                    .fitting
                    .iter()
                    .filter_map(move |flow| flow.time.common(window))
                    .collect::<Vec<_>>()
            };
            windows = crate::time::merged(self.windows.iter().flat_map(common).collect());
            for flow in &traffic.fitting {
                self.list(&mut finding, "packets that fit", flow.source, flow.line);
            }
            if traffic.peer_named {
                verdict = Verdict::Confirmed;
            }
        } else if let Some((name, hole)) = traffic.hole.filter(|_| traffic.served) {
            finding.reasons.push(Reason::new(format!(
                "{name} does not cover the time: {hole}"
            )));
        }
        let holders = holder::ask(self.records, self.address, &windows, self.slack);
        if holders.all.is_empty() && holders.hole.is_none() && holders.served {
            let text = format!("nobody held {} in {}", self.address, self.spans());
            finding.reasons.push(Reason::new(text).at(self.time.place));
            finding.verdict = Verdict::Contradicted;
            return finding;
        }
        for lease in &holders.leases {
            self.list(
                &mut finding,
                "holder of the address",
                lease.source,
                lease.line,
            );
        }
        let mut finding = self.conclude(finding, holders, verdict);
        if let (Some(only), Some(at)) = (finding.holder, self.nominal()) {
            finding.margin = Some(holder::margin(self.records, self.address, only, at));
        }
        finding
    }

    /// One holder and no hole, or nothing.
    fn conclude(
        &self,
        mut finding: Finding,
        holders: holder::Holders,
        verdict: Verdict,
    ) -> Finding {
        finding.holders.clone_from(&holders.all);
        if let Some((name, hole)) = holders.hole {
            return blocked(
                finding,
                Missing::OwnRecords,
                &format!("{name} does not cover the time: {hole}"),
            );
        }
        if holders.stranger {
            let reason = "a stranger was at the address: our server met one, or its log does not tell the client from others";
            return blocked(finding, Missing::OwnRecords, reason);
        }
        match holders.all.as_slice() {
            [] => blocked(
                finding,
                Missing::OwnRecords,
                "no record of who held the address",
            ),
            [_] if holders.unknown => blocked(
                finding,
                Missing::OwnRecords,
                "at some hour that may be meant no record tells who held the address: nobody is named",
            ),
            [_] if !holders.surely => blocked(
                finding,
                Missing::OwnRecords,
                "the last holder may have given the address back before: nobody is named",
            ),
            [only] => {
                finding.verdict = verdict;
                finding.holder = Some(*only);
                let word = match verdict {
                    Verdict::Confirmed => {
                        "our records show traffic with the peer that is named, of one holder"
                    }
                    _ => "one holder at every second it may mean; nothing shows what was sent",
                };
                finding.reasons.push(Reason::new(word).at(self.time.place));
                finding
            }
            several => {
                let what = if self.time.value.lacks_zone() {
                    Missing::Zone
                } else {
                    Missing::ClockAccuracy
                };
                let count = several.len();
                blocked(
                    finding,
                    what,
                    &format!("{count} holders in {}: none of them is named", self.spans()),
                )
            }
        }
    }

    fn list(
        &self,
        finding: &mut Finding,
        what: &str,
        source: crate::records::SourceIndex,
        line: u64,
    ) {
        if finding.reasons.len() < LISTED_MAX {
            let reason = Reason::new(what).on(self.records.line(source, line));
            if !finding.reasons.contains(&reason) {
                finding.reasons.push(reason);
            }
        }
    }

    /// The windows in words.
    fn spans(&self) -> String {
        let (Some(first), Some(last)) = (self.windows.first(), self.windows.last()) else {
            return String::new();
        };
        let around = show_length(self.network.tolerance_s);
        let gaps = if self.windows.len() > 1 {
            ", with pauses"
        } else {
            ""
        };
        format!(
            "{} to {} (clock within {around}{gaps})",
            show(first.from),
            show(last.to)
        )
    }

    /// From the first to the last meaning of the time, without tolerance.
    fn nominal(&self) -> Option<Interval> {
        let meanings = self.time.value.meanings();
        Some(Interval::new(meanings.first()?.from, meanings.last()?.to))
    }

    /// As [`holder::margin`], for a port of a translator: no longer than the inner address stays the
    /// holder's, and no longer than translations were kept.
    fn port_margin(
        &self,
        port: u16,
        fitting: &[Mapping],
        only: HolderIndex,
        at: Interval,
    ) -> Margin {
        let kept = super::reach(self.network, self.address).max(self.network.tolerance_s);
        let reach = at.widened(kept);
        let nothing = format!("nothing within {}", show_length(kept));
        let mut margin = Margin {
            before_s: kept,
            before_ends: nothing.clone(),
            after_s: kept,
            after_ends: nothing,
        };
        let mut shorten = |before_s: Seconds, before: &str, after_s: Seconds, after: &str| {
            if before_s < margin.before_s {
                (margin.before_s, margin.before_ends) = (before_s.max(0), before.to_owned());
            }
            if after_s < margin.after_s {
                (margin.after_s, margin.after_ends) = (after_s.max(0), after.to_owned());
            }
        };
        let mut inner: Vec<IpAddr> = fitting.iter().map(|mapping| mapping.inner).collect();
        inner.sort_unstable();
        inner.dedup();
        for address in &inner {
            let held = holder::margin(self.records, *address, only, at);
            shorten(
                held.before_s,
                &held.before_ends,
                held.after_s,
                &held.after_ends,
            );
        }
        for other in self.records.mappings(self.address, port, reach) {
            if inner.contains(&other.inner) {
                continue;
            }
            let line = self.records.line(other.source, other.line);
            let before = at.from - other.possible.to - 1;
            let after = other.possible.from - at.to - 1;
            let until = format!("the port was another's until then ({line})");
            let since = format!("the port was another's from then ({line})");
            if other.possible.to <= at.from {
                shorten(before, &until, kept, "");
            } else if other.possible.from >= at.to {
                shorten(kept, "", after, &since);
            } else {
                // The peer or the protocol told them apart.
                shorten(0, &until, 0, &since);
            }
        }
        for (_, log) in self.records.logs_of(&[Kind::Nat]) {
            if let Some(stretch) = log.coverage.stretch(at.from) {
                let edge = format!("{} shows nothing beyond", log.name);
                shorten(at.from - stretch.from, &edge, stretch.to - at.to, &edge);
            }
        }
        margin
    }
}
