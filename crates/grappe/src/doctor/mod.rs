//! Looking at the network before a copy does: this node's settings, and what a test of a second or two
//! shows of the way to the nodes that listen.
//!
//! Facts are gathered by `local`, `querier` and `peers`; what they mean, and what to do, is decided in
//! `judge`, which is pure. Nothing is changed anywhere. The other end of the test is `receive::examined`.

mod judge;
mod local;
mod peers;
mod querier;
mod traffic;

use std::net::IpAddr;

use grappe_proto::wire::examine::{Here, Measured};

pub use self::judge::judge;
pub use self::local::look;
pub use self::peers::{ExamineError, examine};
use self::querier::Querier;
use crate::network::Network;
use crate::trust::{Identity, TrustFile};

/// What a copy asks of the kernel for its socket, in bytes.
pub(crate) const RECEIVE_BUFFER: usize = crate::receive::RECEIVE_BUFFER;

/// Whom to examine, and as who.
#[derive(Debug)]
pub struct DoctorOptions {
    /// This node's key.
    pub identity: Identity,
    /// Whose receivers are believed.
    pub trust: TrustFile,
    /// Where copies travel.
    pub network: Network,
    /// The nodes to find; whoever listens when there is none.
    pub nodes: Vec<String>,
    /// Port for their connections; 0 leaves it to the kernel.
    pub control_port: u16,
}

/// How good or bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Good,
    /// Could not be found out, or may matter.
    Note,
    /// Copies will fail or be slow.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at: `interface`, `mtu` and so on.
    pub check: &'static str,
    /// The node it is about; this one when there is none.
    pub node: Option<String>,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub text: String,
    /// What to do: a command where there is one.
    pub advice: Option<String>,
}

/// What this node says of itself.
#[derive(Clone, Debug)]
pub struct LocalFacts {
    /// The interface that copies would use.
    pub network: Network,
    /// Whether the interface may send multicast; unknown without `/sys`.
    pub is_multicast: Option<bool>,
    /// Whether it is a radio.
    pub is_wireless: bool,
    /// Its speed in Mbit/s, where the driver tells.
    pub speed_mbit: Option<u32>,
    /// The interface of the route to the group, or why there is none.
    pub route: Result<String, String>,
    /// The root queueing discipline, where `tc` tells.
    pub qdisc: Option<String>,
    /// Bytes that a copy's socket was granted, in the kernel's way of counting, and asked for.
    pub receive_buffer: Option<(u64, u64)>,
    /// Whether a packet to a group came back through this node's own firewall, or why it did not leave.
    pub echo: Result<bool, String>,
    /// What was heard of a querier.
    pub querier: Querier,
}

/// What was found out about the nodes.
#[derive(Clone, Debug, Default)]
pub struct Examination {
    /// Those that took part.
    pub nodes: Vec<NodeFacts>,
    /// Those that were named and did not.
    pub absent: Vec<Absent>,
    /// Those whose key is not trusted: address and fingerprint.
    pub untrusted: Vec<(IpAddr, String)>,
    /// What was sent, phase by phase.
    pub phases: Vec<SentPhase>,
    /// Bytes with all headers that were sent to the group that nobody joined.
    pub flood_bytes: u64,
}

/// A node that took part.
#[derive(Clone, Debug, Default)]
pub struct NodeFacts {
    /// The name that it gave.
    pub name: String,
    /// Whether it runs on this very host, so that nothing of it tells of the network.
    pub is_own: bool,
    /// What it said of itself.
    pub here: Here,
    /// By how much its clock is ahead of this one's, in microseconds.
    pub clock_ahead_us: i64,
    /// What had arrived: before anything was sent, after a quiet moment as long as the flood, after the
    /// first phases, after the flood, at the end.
    pub measured: Vec<Measured>,
}

/// A node that was named and did not take part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    /// Its name.
    pub name: String,
    /// What is known of the reason.
    pub why: Why,
}

/// Why a node did not take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No address is known for it.
    Nameless,
    /// Nobody said in time whether there is an address for it.
    Unresolved,
    /// It answered that nothing listens at the port.
    NotListening,
    /// Nothing was heard of it.
    Silent,
}

/// What a phase is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Whether anything is heard.
    Small,
    /// Whether packets of a copy's size are heard.
    Full,
    /// Whether packets as large as this node's interface takes are heard.
    Jumbo,
    /// What is lost when there is no hurry.
    Calm,
    /// How much gets through, at this many bits per second of goodput.
    Rate(u64),
}

/// A phase as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentPhase {
    /// What it is for.
    pub purpose: Purpose,
    /// Bytes of IP packets in it, each.
    pub packet_bytes: u32,
    /// How many of them left.
    pub packets: u32,
}
