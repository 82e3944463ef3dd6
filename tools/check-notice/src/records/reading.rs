//! Reads files of records one after the other, and makes logs of them at the end.
//!
//! A log may lie in several files, as rotation leaves them: only when all are read is it known when a lease
//! ended and whether the log pauses. So nothing can be asked before `finish`.

use std::cell::Cell;
use std::collections::HashMap;
use std::io::BufRead;

use super::coverage::Pulse;
use super::radius::Sessions;
use super::settle::{Grant, leases_of_grants};
use super::{
    Kind, LEASES_MAX, LINE_BYTES_MAX, Lease, Log, LogIndex, RecordError, Records, STRANGER, Source,
    SourceIndex, SourceRules, TRAFFIC_MAX, Wanted, device_key, dhcpd, dnsmasq, kea, radius, table,
};
use crate::net::Prefix;
use crate::time::{Interval, Seconds, When};

/// A translation may live this long before its line is written, whatever was seen: a connection that is
/// idle is kept for 2 h 4 min at least (RFC 5382, REQ-5).
const TRANSLATION_LONGEST_S: Seconds = 7_440;

/// A flow is written after half an hour at most, as exporters are set.
const FLOW_LONGEST_S: Seconds = 1_800;

/// Leases that last longer, as those for ever, tell nothing of how long a lost one may have lasted.
const LEASE_LONGEST_S: Seconds = 400 * 86_400;

/// Files being read.
#[derive(Debug)]
pub struct Reading<'w> {
    records: Records,
    wanted: &'w Wanted,
    open: Vec<OpenLog>,
    /// Of each log its name and kind.
    index: HashMap<(String, Kind), usize>,
    lease_count: usize,
    traffic_count: usize,
}

/// A log of which more files may come.
#[derive(Debug)]
struct OpenLog {
    name: String,
    rules: SourceRules,
    pulse: Pulse,
    longest_s: Seconds,
    grants: Vec<Grant>,
    sessions: Sessions,
}

/// What a reader of one file fills.
pub(super) struct Intake<'a> {
    pub(super) records: &'a mut Records,
    pub(super) wanted: &'a Wanted,
    pub(super) index: SourceIndex,
    pub(super) rules: &'a SourceRules,
    pub(super) name: &'a str,
    pub(super) pulse: &'a mut Pulse,
    pub(super) longest_s: &'a mut Seconds,
    pub(super) sessions: &'a mut Sessions,
    pub(super) bad_lines: u64,
    /// A time had no zone, and nobody said which.
    zoneless: Cell<bool>,
    grants: &'a mut Vec<Grant>,
    lease_count: &'a mut usize,
    traffic_count: &'a mut usize,
}

impl<'w> Reading<'w> {
    /// Nothing read yet; of traffic only what is wanted will be kept.
    #[must_use]
    pub fn new(wanted: &'w Wanted) -> Self {
        Self {
            records: Records::default(),
            wanted,
            open: Vec::new(),
            index: HashMap::new(),
            lease_count: 0,
            traffic_count: 0,
        }
    }

    /// Reads a file to its end.
    ///
    /// # Errors
    ///
    /// What the system refuses, a table without its columns, and more than the limits of this room.
    pub fn read(
        &mut self,
        name: &str,
        rules: SourceRules,
        reader: impl BufRead,
    ) -> Result<(), RecordError> {
        let index =
            u16::try_from(self.records.sources.len()).map_err(|_| RecordError::TooManyFiles)?;
        let log = self.log(name, rules);
        let open = &mut self.open[log];
        let rules = open.rules.clone();
        let mut intake = Intake {
            records: &mut self.records,
            wanted: self.wanted,
            index: SourceIndex(index),
            rules: &rules,
            name,
            pulse: &mut open.pulse,
            longest_s: &mut open.longest_s,
            sessions: &mut open.sessions,
            bad_lines: 0,
            zoneless: Cell::new(false),
            grants: &mut open.grants,
            lease_count: &mut self.lease_count,
            traffic_count: &mut self.traffic_count,
        };
        let lines = Lines::new(reader, name);
        match rules.kind {
            Kind::Dhcpd => dhcpd::read(&mut intake, lines)?,
            Kind::DnsmasqLeases => dnsmasq::read_leases(&mut intake, lines)?,
            Kind::DnsmasqLog => dnsmasq::read_log(&mut intake, lines)?,
            Kind::Kea => kea::read(&mut intake, lines)?,
            Kind::Radius => radius::read(&mut intake, lines)?,
            Kind::Nat | Kind::Nfdump => table::read(&mut intake, lines)?,
        }
        if intake.zoneless.get() {
            return Err(RecordError::NoZone(name.to_owned()));
        }
        let bad_lines = intake.bad_lines;
        open.pulse.end_file();
        self.records.sources.push(Source {
            name: name.to_owned(),
            log: LogIndex(u16::try_from(log).unwrap_or(u16::MAX)),
            bad_lines,
        });
        Ok(())
    }

    /// The log of a file, begun where it is the first of its log.
    fn log(&mut self, name: &str, rules: SourceRules) -> usize {
        let known = rules.log.clone().unwrap_or_else(|| name.to_owned());
        let key = (known.clone(), rules.kind);
        let next = self.open.len();
        let at = *self.index.entry(key).or_insert(next);
        if at == next {
            self.open.push(OpenLog {
                name: known,
                rules,
                pulse: Pulse::default(),
                longest_s: 0,
                grants: Vec::new(),
                sessions: Sessions::default(),
            });
        }
        at
    }

    /// All files are read: leases end where others begin, and it is seen when logs pause.
    ///
    /// # Errors
    ///
    /// More sessions than [`LEASES_MAX`].
    pub fn finish(mut self) -> Result<Records, RecordError> {
        for open in self.open {
            let mut longest = open.longest_s;
            let mut keep = |prefix: Prefix, lease: Lease| {
                let length = lease.possible.to.saturating_sub(lease.possible.from);
                if length <= LEASE_LONGEST_S {
                    longest = longest.max(length);
                }
                self.records.lengths.insert(prefix.length());
                self.records.leases.entry(prefix).or_default().push(lease);
            };
            for (address, lease) in leases_of_grants(open.grants) {
                keep(Prefix::of(address), lease);
            }
            for (prefix, lease) in open.sessions.leases() {
                keep(prefix, lease);
            }
            let floor = open.rules.longest_s.unwrap_or(match open.rules.kind {
                Kind::Nat => TRANSLATION_LONGEST_S,
                Kind::Nfdump => FLOW_LONGEST_S,
                _ => 0,
            });
            self.records.logs.push(Log {
                coverage: open.pulse.coverage(open.rules.gap_s),
                name: open.name,
                rules: open.rules,
                longest_s: longest.max(floor),
            });
        }
        Ok(self.records)
    }
}

impl Intake<'_> {
    /// A time of this file, in the zone that was said for it where it has none.
    pub(super) fn zoned(&self, when: When) -> When {
        if when.lacks_zone() && !self.rules.zone_stated {
            self.zoneless.set(true);
        }
        when.in_zone_if_missing(&self.rules.zone)
    }

    /// Counts a record that cannot be read: from when it is, where that is known, everybody may be in it.
    pub(super) fn lost(&mut self, at: Option<Interval>) {
        self.bad_lines += 1;
        self.pulse.lose(at);
    }

    /// The index of a holder by its hardware address, or by what else a record has of it.
    pub(super) fn device(&mut self, text: Option<&str>) -> super::HolderIndex {
        let key = text.and_then(device_key);
        self.holder(key.as_deref().unwrap_or(STRANGER))
    }

    /// Keeps a grant; what it would have lasted is what a lost one may hide.
    pub(super) fn grant(&mut self, grant: Grant) -> Result<(), RecordError> {
        self.lease_counted()?;
        let length = grant.until.to.saturating_sub(grant.at.from);
        if grant.gives && length <= LEASE_LONGEST_S {
            *self.longest_s = (*self.longest_s).max(length);
        }
        self.grants.push(grant);
        Ok(())
    }

    /// The grants of this file so far.
    pub(super) fn own_grants(&mut self) -> impl Iterator<Item = &mut Grant> {
        let index = self.index;
        self.grants
            .iter_mut()
            .rev()
            .take_while(move |grant| grant.source == index)
    }

    /// Counts a lease or session; an error where there are too many.
    pub(super) fn lease_counted(&mut self) -> Result<(), RecordError> {
        *self.lease_count += 1;
        if *self.lease_count > LEASES_MAX {
            return Err(RecordError::TooManyLeases(self.name.to_owned()));
        }
        Ok(())
    }

    pub(super) fn traffic_counted(&mut self) -> Result<(), RecordError> {
        *self.traffic_count += 1;
        if *self.traffic_count > TRAFFIC_MAX {
            return Err(RecordError::TooMuchTraffic(self.name.to_owned()));
        }
        Ok(())
    }

    /// The index of a holder.
    pub(super) fn holder(&mut self, key: &str) -> super::HolderIndex {
        self.records.holder_named(key)
    }
}

/// Lines of a file, with bounded length.
pub(super) struct Lines<'n, R> {
    reader: R,
    name: &'n str,
    buffer: Vec<u8>,
    number: u64,
}

impl<'n, R: BufRead> Lines<'n, R> {
    fn new(reader: R, name: &'n str) -> Self {
        Self {
            reader,
            name,
            buffer: Vec::new(),
            number: 0,
        }
    }

    /// The next line with its number, without its end.
    pub(super) fn next(&mut self) -> Result<Option<(u64, &[u8])>, RecordError> {
        self.buffer.clear();
        let mut seen = false;
        loop {
            let available = match self.reader.fill_buf() {
                Ok(bytes) => bytes,
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(cause) => {
                    return Err(RecordError::Read {
                        name: self.name.to_owned(),
                        cause,
                    });
                }
            };
            if available.is_empty() {
                break;
            }
            seen = true;
            let end = memchr::memchr(b'\n', available);
            let taken = end.map_or(available.len(), |at| at + 1);
            let room = LINE_BYTES_MAX.saturating_sub(self.buffer.len());
            self.buffer.extend_from_slice(&available[..taken.min(room)]);
            self.reader.consume(taken);
            if end.is_some() {
                break;
            }
        }
        if !seen {
            return Ok(None);
        }
        self.number += 1;
        while matches!(self.buffer.last(), Some(b'\n' | b'\r')) {
            self.buffer.pop();
        }
        Ok(Some((self.number, &self.buffer)))
    }
}
