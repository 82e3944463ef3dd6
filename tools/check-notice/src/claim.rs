//! What a complaint says: facts with the place each was read from. No judgement.
//!
//! Filled by `extract`, judged by `evidence`, listed by `report` and `reply`.

use std::net::IpAddr;

use serde::Serialize;

use crate::time::When;

/// Where a fact stands: bytes of the decoded text of one part of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Index of the MIME part, 0 for the root.
    pub part: u32,
    /// First byte in the decoded text of that part.
    pub from: u32,
    /// The byte behind the last.
    pub to: u32,
}

impl Place {
    /// The place of a range of bytes in a part.
    #[must_use]
    pub fn new(part: u32, range: std::ops::Range<usize>) -> Self {
        let cut = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            part,
            from: cut(range.start),
            to: cut(range.end),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "part {}, bytes {}..{}", self.part, self.from, self.to)
    }
}

/// A value, the name of the field that held it, and where that stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact<T> {
    /// What was read.
    pub value: T,
    /// The name of the field in its format, `Source/IP_Address`.
    pub field: String,
    /// Where it stands.
    pub place: Place,
}

/// The form in which a complaint is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Automated Copyright Notice System, XML.
    Acns,
    /// XARF version 4, JSON.
    Xarf4,
    /// XARF version 3, JSON.
    Xarf3,
    /// X-ARF 0.2: a mail whose second part is YAML-like.
    XArf02,
    /// RFC 5965, and RFC 6591 which extends it.
    Arf,
    /// The French "riposte graduée" (Hadopi, since 2022 Arcom).
    French,
    /// Anything else: fields that could be found.
    Prose,
}

impl Format {
    /// The name that people know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Acns => "ACNS XML",
            Self::Xarf4 => "XARF v4",
            Self::Xarf3 => "XARF v3",
            Self::XArf02 => "X-ARF 0.2",
            Self::Arf => "ARF",
            Self::French => "French warning text",
            Self::Prose => "free text",
        }
    }
}

/// A protocol by its IANA number; 6 is TCP, 17 UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Protocol(pub u8);

impl Protocol {
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);

    /// A transport protocol from its name or number; nothing for names of applications.
    #[must_use]
    pub fn named(text: &str) -> Option<Self> {
        match text.trim().to_ascii_lowercase().as_str() {
            "tcp" => Some(Self::TCP),
            "udp" => Some(Self::UDP),
            other => other.parse().ok().filter(|number| *number != 0).map(Self),
        }
    }
}

/// One thing that somebody at an address is said to have done.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event {
    /// The address accused.
    pub address: Option<Fact<IpAddr>>,
    /// Its port; a port 0 is no port and never stored.
    pub port: Option<Fact<u16>>,
    /// Transport protocol.
    pub protocol: Option<Fact<Protocol>>,
    /// When it is said to have happened.
    pub time: Option<Fact<When>>,
    /// The other end: its address.
    pub peer_address: Option<Fact<IpAddr>>,
    /// The other end: its port.
    pub peer_port: Option<Fact<u16>>,
    /// A hash that names the content, in lower case.
    pub content_hash: Option<Fact<String>>,
}

/// A second statement of a fact, elsewhere in the same mail: to be compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Aside {
    /// Another statement of the address accused.
    Address(Fact<IpAddr>),
    /// Another statement of the port.
    Port(Fact<u16>),
    /// Another statement of the time of the event.
    Time(Fact<When>),
    /// Another statement of the content hash.
    ContentHash(Fact<String>),
    /// Another statement of the case number.
    Case(Fact<String>),
}

/// Something in the complaint that is wrong by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// In words.
    pub what: String,
    /// Where it stands.
    pub place: Place,
}

/// A complaint, as far as it could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The form it is in.
    pub format: Format,
    /// The complainant's number for it.
    pub case: Option<Fact<String>>,
    /// The body that complains, by its own words.
    pub complainant: Option<Fact<String>>,
    /// When the complaint was written, by its own words.
    pub written: Option<Fact<When>>,
    /// What is said to have happened; at most [`EVENTS_MAX`].
    pub events: Vec<Event>,
    /// What is said again elsewhere.
    pub asides: Vec<Aside>,
    /// What cannot be right, seen while reading.
    pub faults: Vec<Fault>,
    /// Things a reader should know: repairs, parts not read.
    pub remarks: Vec<String>,
}

/// Events read from one complaint. Real lists have tens; more is an attack or needs a person.
pub const EVENTS_MAX: usize = 1_000;

/// Second statements kept from one complaint.
pub const ASIDES_MAX: usize = 200;

impl Claim {
    /// An empty complaint of a format.
    #[must_use]
    pub fn new(format: Format) -> Self {
        Self {
            format,
            case: None,
            complainant: None,
            written: None,
            events: Vec::new(),
            asides: Vec::new(),
            faults: Vec::new(),
            remarks: Vec::new(),
        }
    }
}
