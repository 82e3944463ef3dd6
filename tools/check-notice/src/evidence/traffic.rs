//! Translations and flows that fit a claim, and whether their logs cover the time.
//!
//! A flow shows traffic, not content. Called by `judge`.

use std::collections::HashSet;
use std::net::IpAddr;

use crate::claim::{Event, Protocol};
use crate::net::is_public;
use crate::records::coverage::Hole;
use crate::records::{Flow, Kind, Mapping, Records};
use crate::time::{Interval, Seconds};

/// Translations that fit.
#[derive(Debug, Default)]
pub(super) struct Mappings {
    /// Those that fit address, port, protocol and peer, as far as each is known.
    pub fitting: Vec<Mapping>,
    /// Whether each of these names the peer of the claim.
    pub peer_named: bool,
    /// Why others cannot be excluded.
    pub hole: Option<(String, Hole)>,
    /// There is a log of the translator that serves the address.
    pub served: bool,
}

fn same_protocol(one: Option<Protocol>, other: Option<Protocol>) -> bool {
    one.is_none() || other.is_none() || one == other
}

fn peer_of(event: &Event) -> Option<(IpAddr, u16)> {
    Some((
        event.peer_address.as_ref()?.value.to_canonical(),
        event.peer_port.as_ref()?.value,
    ))
}

/// Whether a logged peer may be the one of the claim; an unknown part fits all.
fn same_peer(event: &Event, peer: Option<(IpAddr, u16)>) -> bool {
    let Some((address, port)) = peer else {
        return true;
    };
    event
        .peer_address
        .as_ref()
        .is_none_or(|fact| fact.value.to_canonical() == address || !is_public(fact.value))
        && event
            .peer_port
            .as_ref()
            .is_none_or(|fact| fact.value == port)
}

/// Asks a translator's log for a port.
pub(super) fn mappings(
    records: &Records,
    event: &Event,
    address: IpAddr,
    port: u16,
    windows: &[Interval],
    slack: Seconds,
) -> Mappings {
    let mut found = Mappings::default();
    let protocol = event.protocol.as_ref().map(|fact| fact.value);
    let mut listed = HashSet::new();
    for window in windows {
        let wide = window.widened(slack);
        for mapping in records.mappings(address, port, wide) {
            if same_protocol(protocol, mapping.protocol)
                && same_peer(event, mapping.peer)
                && listed.insert((mapping.source, mapping.line))
            {
                found.fitting.push(*mapping);
            }
        }
        for (_, log) in records.logs_of(&[Kind::Nat]) {
            found.served |= log.rules.serves(address) && log.rules.complete;
            // A row may be written when it begins or when it ends.
            let hole = log.coverage.covers(wide.widened(log.longest_s)).err();
            if found.hole.is_none() {
                found.hole = hole.map(|hole| (log.name.clone(), hole));
            }
        }
    }
    let claimed = peer_of(event);
    found.peer_named = claimed.is_some()
        && !found.fitting.is_empty()
        && found.fitting.iter().all(|mapping| mapping.peer == claimed);
    found
}

/// Flows that fit.
#[derive(Debug, Default)]
pub(super) struct Flows {
    /// Those that fit, as far as port, protocol and peer are known.
    pub fitting: Vec<Flow>,
    /// The claim names its peer, and it is in the flows.
    pub peer_named: bool,
    /// A log of all flows serves the address.
    pub served: bool,
    /// Why others cannot be excluded.
    pub hole: Option<(String, Hole)>,
}

/// Asks the flow logs.
pub(super) fn flows(
    records: &Records,
    event: &Event,
    address: IpAddr,
    windows: &[Interval],
    slack: Seconds,
) -> Flows {
    let mut found = Flows::default();
    let protocol = event.protocol.as_ref().map(|fact| fact.value);
    let port = event.port.as_ref().map(|fact| fact.value);
    let mut listed = HashSet::new();
    for window in windows {
        let wide = window.widened(slack);
        for flow in records.flows(address, wide) {
            if same_protocol(protocol, flow.protocol)
                && port.is_none_or(|port| port == flow.port)
                && same_peer(event, Some(flow.peer))
                && listed.insert((flow.source, flow.line, flow.port))
            {
                found.fitting.push(*flow);
            }
        }
        for (_, log) in records.logs_of(&[Kind::Nfdump]) {
            found.served |= log.rules.serves(address) && log.rules.complete && !log.rules.sampled;
            let hole = log.coverage.covers(wide.widened(log.longest_s)).err();
            if found.hole.is_none() {
                found.hole = hole.map(|hole| (log.name.clone(), hole));
            }
        }
    }
    let claimed = peer_of(event);
    let exact = |flow: &Flow| claimed == Some(flow.peer);
    found.peer_named =
        port.is_some() && !found.fitting.is_empty() && found.fitting.iter().all(exact);
    found
}
