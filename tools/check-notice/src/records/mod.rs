//! The operator's own records: who held an address, which ports a translator gave out, which flows ran.
//!
//! One file for each format reads lines into the same three kinds of record. Nothing is decided about
//! people here; `evidence` asks. Reading is streamed, and bounded by what claims ask for.

pub mod coverage;
mod dhcpd;
mod dnsmasq;
mod kea;
mod radius;
mod reading;
mod settle;
mod sniff;
mod table;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use jiff::tz::TimeZone;
use serde::Deserialize;
use thiserror::Error;

use self::coverage::Coverage;
use crate::claim::Protocol;
use crate::net::Prefix;
use crate::time::{Interval, Seconds};

pub use self::reading::Reading;
pub use self::sniff::kind_of;

/// Assignments of addresses that are kept; more asks for a smaller folder.
pub const LEASES_MAX: usize = 5_000_000;

/// Mappings and flows that are kept after all filters.
pub const TRAFFIC_MAX: usize = 2_000_000;

/// The longest line of a log; the rest of a longer one is skipped.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// The format of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// `dhcpd.leases` of ISC dhcpd.
    Dhcpd,
    /// `dnsmasq.leases`: what is leased now.
    DnsmasqLeases,
    /// Lines of dnsmasq in a system log: `DHCPACK(eth0) ...`.
    DnsmasqLog,
    /// The memfile of Kea, for IPv4 or IPv6.
    Kea,
    /// The detail file of FreeRADIUS.
    Radius,
    /// Translations of addresses, CSV with a head line.
    Nat,
    /// `nfdump -o csv`.
    Nfdump,
}

/// How a file is to be read.
#[derive(Debug, Clone)]
pub struct SourceRules {
    /// Its format.
    pub kind: Kind,
    /// The log of which it is a part, as rotation leaves them; nothing for a file that is whole.
    pub log: Option<String>,
    /// The zone of times without one.
    pub zone: TimeZone,
    /// Whether somebody said so: where nobody did, such times are refused and not guessed.
    pub zone_stated: bool,
    /// Whether every event is in it, as in a log; a lease file that is rewritten is none.
    pub complete: bool,
    /// Addresses whose every use passes through it.
    pub serves: Vec<Prefix>,
    /// The longest pause of this log in seconds, if the operator knows it.
    pub gap_s: Option<Seconds>,
    /// How long a lease lasts, for files that do not say.
    pub lease_s: Option<Seconds>,
    /// How long a translation or flow lives at most before its line is written, if longer than any seen.
    pub longest_s: Option<Seconds>,
    /// The year of all lines, for system logs that have none.
    pub year: Option<i16>,
    /// Whether only some packets are counted: then silence says nothing.
    pub sampled: bool,
}

impl SourceRules {
    /// What is believed of a file of which nothing is configured: least.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        Self {
            kind,
            log: None,
            zone: TimeZone::UTC,
            zone_stated: true,
            complete: matches!(
                kind,
                Kind::DnsmasqLog | Kind::Radius | Kind::Nat | Kind::Nfdump
            ),
            serves: Vec::new(),
            gap_s: None,
            lease_s: None,
            longest_s: None,
            year: None,
            sampled: false,
        }
    }

    /// Whether every use of an address passes through it.
    #[must_use]
    pub fn serves(&self, address: IpAddr) -> bool {
        // Leases of IPv6 are read out of Kea's memfile and RADIUS alone: others' silence tells nothing.
        let blind = matches!(
            self.kind,
            Kind::Dhcpd | Kind::DnsmasqLeases | Kind::DnsmasqLog
        );
        if blind && address.is_ipv6() {
            return false;
        }
        self.serves.iter().any(|prefix| prefix.holds(address))
    }
}

/// Index of a source in [`Records::sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceIndex(pub u16);

/// Index of a holder in [`Records::holders`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HolderIndex(pub u32);

/// Index of a log in [`Records::logs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogIndex(pub u16);

/// A file after reading.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its file name.
    pub name: String,
    /// The log of which it is the whole or a part.
    pub log: LogIndex,
    /// Lines that could not be read.
    pub bad_lines: u64,
}

/// A log: one file, or the files that rotation made of it.
#[derive(Debug, Clone)]
pub struct Log {
    /// The name of its file, or what the names of its files begin with.
    pub name: String,
    /// How it was read.
    pub rules: SourceRules,
    /// When it was demonstrably written.
    pub coverage: Coverage,
    /// The longest time that one of its records spans.
    pub longest_s: Seconds,
}

/// Who holds an address: the name that the records have, and what else they tell.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Holder {
    /// `user:NAME`, `mac:00:11:22:33:44:55`, or `client:` and what else tells it from others.
    pub key: String,
}

/// What stands for a holder whom a record hides: a server that found an address taken by a stranger.
pub const STRANGER: &str = "unknown";

/// An address was somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Who.
    pub holder: HolderIndex,
    /// The device, where the record names it beside the holder.
    pub device: Option<HolderIndex>,
    /// When it may have been theirs at most.
    pub possible: Interval,
    /// When it surely was, by the record; nothing where no second is sure.
    pub sure: Option<Interval>,
    /// Whether records of one session at both ends prove all that is sure.
    pub sealed: bool,
    /// The source.
    pub source: SourceIndex,
    /// Its line, from 1.
    pub line: u64,
}

/// A translator lent a port of an outer address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapping {
    /// When at most.
    pub possible: Interval,
    /// The protocol.
    pub protocol: Option<Protocol>,
    /// To whom: the inner address.
    pub inner: IpAddr,
    /// The other end, where the log has it.
    pub peer: Option<(IpAddr, u16)>,
    /// The source.
    pub source: SourceIndex,
    /// Its line, from 1.
    pub line: u64,
}

/// Packets ran between one of our addresses and a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// When.
    pub time: Interval,
    /// The protocol.
    pub protocol: Option<Protocol>,
    /// Our port.
    pub port: u16,
    /// The other end.
    pub peer: (IpAddr, u16),
    /// The source.
    pub source: SourceIndex,
    /// Its line, from 1.
    pub line: u64,
}

/// What claims ask for: the times around which traffic of an address is kept.
pub type Wanted = HashMap<IpAddr, Vec<Interval>>;

/// Records read so far.
#[derive(Debug, Default)]
pub struct Records {
    /// Files, in the order of reading.
    pub sources: Vec<Source>,
    /// Logs that these files are.
    pub logs: Vec<Log>,
    /// All holders.
    pub holders: Vec<Holder>,
    holder_index: HashMap<String, HolderIndex>,
    leases: HashMap<Prefix, Vec<Lease>>,
    /// Lengths of the prefixes that leases are of.
    lengths: BTreeSet<u8>,
    mappings: HashMap<(IpAddr, u16), Vec<Mapping>>,
    flows: HashMap<IpAddr, Vec<Flow>>,
}

/// Why records cannot be used.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The system refused.
    #[error("{name}: {cause}")]
    Read {
        /// The file.
        name: String,
        /// Why.
        cause: std::io::Error,
    },
    /// More than [`LEASES_MAX`].
    #[error("{0}: more than {LEASES_MAX} assignments of addresses: give a folder with fewer days")]
    TooManyLeases(String),
    /// More than [`TRAFFIC_MAX`].
    #[error(
        "{0}: more than {TRAFFIC_MAX} flows or mappings match: check fewer complaints at a time"
    )]
    TooMuchTraffic(String),
    /// Lines without a year, and no year in the rules.
    #[error("{0}: its lines have no year: set `year` for it in the configuration")]
    NoYear(String),
    /// Lines without a year on both sides of a New Year.
    #[error(
        "{0}: it crosses New Year and its lines have no year: split it there, and set `year` for both parts"
    )]
    TwoYears(String),
    /// Times without a zone, and none in the rules.
    #[error(
        "{0}: its times have no zone: set `zone` for it in the configuration, as Europe/Paris or UTC"
    )]
    NoZone(String),
    /// A table without the columns that are needed.
    #[error("{name}: its head line lacks the column `{column}`")]
    Column {
        /// The file.
        name: String,
        /// What is missing.
        column: &'static str,
    },
    /// More files than indices.
    #[error("more than 65,535 files of records")]
    TooManyFiles,
}

impl Records {
    /// Leases of an address that touch an interval.
    pub fn leases(&self, address: IpAddr, around: Interval) -> impl Iterator<Item = &Lease> {
        self.lengths
            .iter()
            .filter_map(move |length| self.leases.get(&Prefix::around(address, *length)?))
            .flatten()
            .filter(move |lease| lease.possible.touches(around))
    }

    /// Mappings of an outer address and port that touch an interval.
    pub fn mappings(
        &self,
        address: IpAddr,
        port: u16,
        around: Interval,
    ) -> impl Iterator<Item = &Mapping> {
        let all = self.mappings.get(&(address, port)).into_iter().flatten();
        all.filter(move |mapping| mapping.possible.touches(around))
    }

    /// Flows of an address that touch an interval.
    pub fn flows(&self, address: IpAddr, around: Interval) -> impl Iterator<Item = &Flow> {
        let all = self.flows.get(&address).into_iter().flatten();
        all.filter(move |flow| flow.time.touches(around))
    }

    /// Logs of some kinds.
    pub fn logs_of<'a>(&'a self, kinds: &'a [Kind]) -> impl Iterator<Item = (LogIndex, &'a Log)> {
        (0_u16..)
            .map(LogIndex)
            .zip(&self.logs)
            .filter(move |(_, log)| kinds.contains(&log.rules.kind))
    }

    /// A file by its index.
    #[must_use]
    pub fn source(&self, index: SourceIndex) -> Option<&Source> {
        self.sources.get(usize::from(index.0))
    }

    /// The log that a file belongs to.
    #[must_use]
    pub fn log_of(&self, index: SourceIndex) -> Option<(LogIndex, &Log)> {
        let index = self.source(index)?.log;
        Some((index, self.logs.get(usize::from(index.0))?))
    }

    /// A holder by its index.
    #[must_use]
    pub fn holder(&self, index: HolderIndex) -> &str {
        self.holders
            .get(index.0 as usize)
            .map_or("", |holder| &holder.key)
    }

    /// `file:line` of a record.
    #[must_use]
    pub fn line(&self, source: SourceIndex, line: u64) -> String {
        format!(
            "{}:{line}",
            self.source(source).map_or("", |source| &source.name)
        )
    }

    fn holder_named(&mut self, key: &str) -> HolderIndex {
        if let Some(index) = self.holder_index.get(key) {
            return *index;
        }
        let index = HolderIndex(u32::try_from(self.holders.len()).unwrap_or(u32::MAX));
        self.holders.push(Holder {
            key: key.to_owned(),
        });
        self.holder_index.insert(key.to_owned(), index);
        index
    }
}

/// A hardware address in one form: lower case, colons.
fn mac_key(text: &str) -> Option<String> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let marks = text
        .bytes()
        .all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'-' | b'.'));
    (digits.len() == 12 && marks).then(|| {
        let pairs: Vec<String> = digits
            .chunks(2)
            .map(|pair| String::from_utf8_lossy(pair).to_ascii_lowercase())
            .collect();
        format!("mac:{}", pairs.join(":"))
    })
}

/// The end of a lease that has none.
const NEVER: Seconds = Seconds::MAX / 4;

/// The longest name of a client that has no hardware address of Ethernet; InfiniBand's has 62 bytes.
const CLIENT_BYTES_MAX: usize = 400;

/// What tells a client from others: its hardware address, or whatever a record has in its place.
///
/// Nothing if it is empty, or dnsmasq's word for a client without one.
fn device_key(text: &str) -> Option<String> {
    let text = text.trim();
    let tells = text.bytes().any(|b| b.is_ascii_alphanumeric() && b != b'0');
    if !tells || text == "<null>" || text.len() > CLIENT_BYTES_MAX {
        return None;
    }
    Some(mac_key(text).unwrap_or_else(|| format!("client:{text}")))
}
