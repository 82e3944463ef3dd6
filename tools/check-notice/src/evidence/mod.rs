//! Do facts of a complaint agree with themselves and with the own records? The answer, with reasons.
//!
//! `itself` compares a complaint with itself, `holder` asks who held the address, `traffic` whether
//! packets ran, `judge` puts these together. Reads no file and no clock. Nothing here is a score.

mod holder;
mod itself;
mod judge;
mod traffic;

use serde::Serialize;

use crate::claim::{Claim, Place};
use crate::policy::Network;
use crate::records::{HolderIndex, Records, Wanted};
use crate::time::{Interval, Seconds, merged};

/// What was found about one event.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, each with the place or line it rests on.
    pub reasons: Vec<Reason>,
    /// The only holder, where the verdict is confirmed or consistent.
    pub holder: Option<HolderIndex>,
    /// Everybody who held the address within the tolerance.
    pub holders: Vec<HolderIndex>,
    /// How far the clock may be off without another holder.
    pub margin: Option<Margin>,
    /// Facts that are missing, whether they block or not; names of fields of RFC 6302 and its kin.
    pub missing: Vec<Missing>,
}

/// The answer about evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// One holder, and the own records show traffic with the very peer that is named.
    Confirmed,
    /// One holder; the records have nothing against the claim and no proof of it.
    Consistent,
    /// It cannot be checked.
    Uncheckable(Missing),
    /// It is wrong: by itself, or by records that cover the time.
    Contradicted,
}

/// What lacks for a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// No address.
    Address,
    /// No time, or a day only.
    Time,
    /// No source port, needed where an address is shared.
    SourcePort,
    /// No zone of the time.
    Zone,
    /// No seconds, or a clock that is not known to be right: several holders within the tolerance.
    ClockAccuracy,
    /// The transport protocol.
    Protocol,
    /// The other end: its address and port.
    Peer,
    /// Our own records do not reach: not the complainant's fault.
    OwnRecords,
}

impl Missing {
    /// The name of the field as complainants know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "source address",
            Self::Time => "time of the event",
            Self::SourcePort => "source port",
            Self::Zone => "time zone",
            Self::ClockAccuracy => "accuracy of the clock",
            Self::Protocol => "transport protocol",
            Self::Peer => "address and port of the other end",
            Self::OwnRecords => "own records",
        }
    }
}

/// A reason, with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// In words.
    pub what: String,
    /// Bytes of the mail, if it rests on these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// `file:line` of a record, if it rests on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
}

impl Reason {
    /// A reason that rests on nothing but what it says.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            place: None,
            record: None,
        }
    }

    /// The same, resting on bytes of the mail.
    #[must_use]
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// The same, resting on a line of a record.
    #[must_use]
    pub fn on(mut self, record: String) -> Self {
        self.record = Some(record);
        self
    }
}

/// The longest shift of the complainant's clock each way with the same holder and no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Margin {
    /// Seconds back.
    pub before_s: Seconds,
    /// What ends it there.
    pub before_ends: String,
    /// Seconds onward.
    pub after_s: Seconds,
    /// What ends it there.
    pub after_ends: String,
}

/// Judges all events of a complaint; `received` is when the mail came, in seconds.
///
/// The answer has one finding for each event, and one without records if there is no event.
#[must_use]
pub fn judge(
    claim: &Claim,
    records: &Records,
    network: &Network,
    received: Seconds,
) -> Vec<Finding> {
    let faults = itself::faults(claim, network, received);
    if claim.events.is_empty() {
        return vec![judge::without_events(&faults)];
    }
    claim
        .events
        .iter()
        .map(|event| judge::event(event, &faults, records, network))
        .collect()
}

/// The verdict about a whole complaint: the gravest about its events.
#[must_use]
pub fn overall(findings: &[Finding]) -> Verdict {
    findings
        .iter()
        .map(|finding| finding.verdict)
        .max()
        .unwrap_or(Verdict::Uncheckable(Missing::Address))
}

/// Times behind and before which traffic matters for a mapping that outlives the tolerance.
const TRAFFIC_REACH_S: Seconds = 86_400;

/// How far around the windows of a claim translations of an address are kept.
fn reach(network: &Network, address: std::net::IpAddr) -> Seconds {
    let address = address.to_canonical();
    let shared = network.shared.iter().any(|prefix| prefix.holds(address));
    if shared { TRAFFIC_REACH_S } else { 0 }
}

/// What must be kept of traffic to judge these complaints.
#[must_use]
pub fn wanted(claims: &[&Claim], network: &Network) -> Wanted {
    let mut wanted = Wanted::new();
    for event in claims.iter().flat_map(|claim| &claim.events) {
        let (Some(address), Some(time)) = (&event.address, &event.time) else {
            continue;
        };
        let windows = windows(&time.value, network.tolerance_s);
        let reach = reach(network, address.value);
        let around = wanted.entry(address.value.to_canonical()).or_default();
        around.extend(
            windows
                .into_iter()
                .map(|window| window.widened(network.log_tolerance_s + reach)),
        );
    }
    for intervals in wanted.values_mut() {
        *intervals = merged(std::mem::take(intervals));
    }
    wanted
}

/// All seconds at which an event may have been: each meaning of its time, widened by the tolerance.
fn windows(when: &crate::time::When, tolerance: Seconds) -> Vec<Interval> {
    merged(
        when.meanings()
            .into_iter()
            .map(|meaning| meaning.widened(tolerance))
            .collect(),
    )
}
