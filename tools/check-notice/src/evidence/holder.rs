//! Who held an address at any second of a window, whether that is all, and how far the clock may be off.
//!
//! A lease shows a device, not a person. Called by `judge`.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use super::Margin;
use crate::records::coverage::Hole;
use crate::records::{HolderIndex, Kind, Lease, Log, LogIndex, Records, STRANGER};
use crate::time::{Interval, Seconds};

/// Kinds of records that give out addresses.
pub(super) const LEASE_KINDS: [Kind; 5] = [
    Kind::Dhcpd,
    Kind::DnsmasqLeases,
    Kind::DnsmasqLog,
    Kind::Kea,
    Kind::Radius,
];

/// How far a margin is looked for, in seconds.
const MARGIN_S: Seconds = 7 * 86_400;

/// Who may have held an address, and what is not known.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Holders {
    /// Everybody, in the order of first appearance.
    pub all: Vec<HolderIndex>,
    /// Their leases.
    pub leases: Vec<Lease>,
    /// Why others cannot be excluded.
    pub hole: Option<(String, Hole)>,
    /// A log says that every use of the address would be in it.
    pub served: bool,
    /// At some second that may be meant a record surely puts somebody there.
    pub surely: bool,
    /// A server found somebody unknown at the address.
    pub stranger: bool,
    /// At some second that may be meant no record names a holder, and no log would have one.
    pub unknown: bool,
}

/// Asks who held an address in any of some windows.
pub(super) fn ask(
    records: &Records,
    address: IpAddr,
    windows: &[Interval],
    slack: Seconds,
) -> Holders {
    let mut found = Holders::default();
    let mut listed = HashSet::new();
    for window in windows {
        let wide = window.widened(slack);
        let mut served = false;
        let leases: Vec<(LogIndex, Lease)> = records
            .leases(address, wide)
            .filter_map(|lease| Some((records.log_of(lease.source)?.0, *lease)))
            .collect();
        for (index, log) in records.logs_of(&LEASE_KINDS) {
            let serves = log.rules.serves(address);
            let own: Vec<&Lease> = leases
                .iter()
                .filter(|(of, _)| *of == index)
                .map(|(_, lease)| lease)
                .collect();
            if !serves && own.is_empty() {
                continue;
            }
            served |= serves;
            if found.hole.is_none() {
                found.hole = hole(log, wide, &own).map(|hole| (log.name.clone(), hole));
            }
        }
        found.served |= served;
        found.unknown |= !served && !covered(leases.iter().map(|(_, lease)| lease), wide);
        found.surely |= leases
            .iter()
            .any(|(_, lease)| lease.sure.is_some_and(|sure| sure.touches(wide)));
        let new = leases.into_iter().map(|(_, lease)| lease);
        found
            .leases
            .extend(new.filter(|lease| listed.insert((lease.source, lease.line, lease.holder))));
    }
    found.all = different(&found.leases);
    found.stranger = found
        .all
        .iter()
        .any(|holder| records.holder(*holder) == STRANGER);
    found
}

/// The holders of some leases, each once. A device counts as the person whose session names it.
fn different(leases: &[Lease]) -> Vec<HolderIndex> {
    let mut all = Vec::new();
    for lease in leases {
        let person = leases
            .iter()
            .find(|other| other.device == Some(lease.holder))
            .map_or(lease.holder, |other| other.holder);
        if !all.contains(&person) {
            all.push(person);
        }
    }
    all
}

/// Why a log may hide another holder in a window.
fn hole(log: &Log, window: Interval, own: &[&Lease]) -> Option<Hole> {
    let one_holder = own.windows(2).all(|pair| pair[0].holder == pair[1].holder);
    let surely = |lease: &&&Lease| lease.sure.is_some_and(|sure| sure.holds(window));
    if one_holder && own.iter().filter(|lease| lease.sealed).any(|l| surely(&l)) {
        // Records at both ends of a session prove all between.
        return None;
    }
    // The last record about the holder at or before the window: from there on nothing may be missing.
    let last = own
        .iter()
        .filter_map(|lease| Some(lease.sure?.from))
        .filter(|from| *from <= window.from)
        .max();
    let held_all_through = one_holder && last.is_some() && covered(own.iter().copied(), window);
    let from = match last {
        Some(last) if held_all_through => last,
        // Somebody whose record is lost may have held it for as long as any record does.
        _ => window.from.saturating_sub(log.longest_s),
    };
    if !log.rules.complete {
        // A file of the present: it proves a lease that was running when the file was last written.
        let end = log.coverage.end();
        if held_all_through && end.is_some_and(|end| end >= window.to) {
            return None;
        }
        return Some(end.map_or(Hole::TooFewRecords, Hole::EndsAt));
    }
    log.coverage.covers(Interval::new(from, window.to)).err()
}

/// Whether the sure intervals of leases leave no second of a window out.
fn covered<'a>(own: impl Iterator<Item = &'a Lease>, window: Interval) -> bool {
    let joined = crate::time::merged(own.filter_map(|lease| lease.sure).collect());
    joined.iter().any(|interval| interval.holds(window))
}

/// How far from the meanings of a time the same holder stays the only one.
pub(super) fn margin(
    records: &Records,
    address: IpAddr,
    holder: HolderIndex,
    at: Interval,
) -> Margin {
    let around = at.widened(MARGIN_S);
    let (mut from, mut to) = (around.from, around.to);
    let (mut before_ends, mut after_ends) = (
        "nothing within a week".to_owned(),
        "nothing within a week".to_owned(),
    );
    let mut own: BTreeSet<LogIndex> = BTreeSet::new();
    let (mut own_from, mut own_to) = (at.from, at.to);
    let devices: Vec<HolderIndex> = records
        .leases(address, around)
        .filter(|lease| lease.holder == holder)
        .filter_map(|lease| lease.device)
        .collect();
    for lease in records.leases(address, around) {
        own.extend(records.log_of(lease.source).map(|(log, _)| log));
        if lease.holder == holder || devices.contains(&lease.holder) {
            own_from = own_from.min(lease.possible.from);
            own_to = own_to.max(lease.possible.to);
            continue;
        }
        let line = || records.line(lease.source, lease.line);
        if lease.possible.to > at.from && lease.possible.from < at.to {
            // Packets alone told them apart.
            (from, to) = (at.from, at.to);
            before_ends = format!("another holder at that very time ({})", line());
            after_ends.clone_from(&before_ends);
        } else if lease.possible.to <= at.from && lease.possible.to >= from {
            from = lease.possible.to + 1;
            before_ends = format!("another holder until then ({})", line());
        } else if lease.possible.from >= at.to && lease.possible.from <= to {
            to = lease.possible.from - 1;
            after_ends = format!("another holder from then ({})", line());
        }
    }
    for index in own {
        let Some(log) = records.logs.get(usize::from(index.0)) else {
            continue;
        };
        let stretch = log.coverage.stretch(at.from).filter(|_| log.rules.complete);
        let stretch = stretch.unwrap_or(Interval::new(own_from, own_to));
        if stretch.from > from {
            from = stretch.from.min(at.from);
            before_ends = format!("{} shows nothing before", log.name);
        }
        if stretch.to < to {
            to = stretch.to.max(at.to);
            after_ends = format!("{} shows nothing after", log.name);
        }
    }
    Margin {
        before_s: (at.from - from).max(0),
        before_ends,
        after_s: (to - at.to).max(0),
        after_ends,
    }
}
