//! How a simulated copy ended: numbers for tables, and what was violated.

use std::time::Duration;

use grappe_proto::content::block_set::BlockSet;
use grappe_proto::receiver::Failure;
use grappe_proto::sender::Summary;
use grappe_proto::session::{LimitedBy, NodeState};

use crate::marks::{Marks, Waits};

/// The end of one simulated copy.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Virtual time from the start of content flow to the sender's end.
    pub elapsed: Duration,
    /// Data packets that the sender sent, by symbols: one with six counts six times, as everywhere but in the
    /// next line.
    pub packets_sent: u64,
    /// Data packets that it sent, each once.
    pub datagrams: u64,
    /// Data packets that a copy without any loss would take.
    pub packets_useful: u64,
    /// Data packets sent for repair.
    pub packets_repair: u64,
    /// Beats that the sender sent.
    pub beats: u64,
    /// Reports that came as far as the sender's link.
    pub reports: u64,
    /// The same, by when they came there.
    pub reports_by_time: Marks,
    /// Data packets that the receivers' downlinks, sockets and chance kept from them, all together.
    pub packets_lost: u64,
    /// A line for each receiver.
    pub nodes: Vec<NodeResult>,
    /// Bytes of content per second of `elapsed`, delivered to each receiver.
    pub goodput: f64,
    /// What the sender said at its end; nothing when it crashed or never ended.
    pub summary: Option<Summary>,
    /// Virtual time at which the last node ended, from the beginning of the session.
    pub ended_at: Duration,
    /// What must never be and was, with the times; empty for a sound run.
    pub violations: Vec<String>,
}

impl Outcome {
    /// Data packets sent over those needed without loss: 1.0 is perfect.
    pub fn overhead(&self) -> f64 {
        self.packets_sent as f64 / self.packets_useful.max(1) as f64
    }

    /// Share of the packets sent that were repairs.
    pub fn repair_share(&self) -> f64 {
        self.packets_repair as f64 / self.packets_sent.max(1) as f64
    }

    /// Whether every receiver is complete in the sender's eyes and its own.
    pub fn all_complete(&self) -> bool {
        self.nodes
            .iter()
            .all(|node| node.state == Some(NodeState::Complete) && node.end == End::Complete)
    }
}

/// One receiver at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeResult {
    /// What the sender's table says.
    pub state: Option<NodeState>,
    /// What the sender's table says held it back.
    pub limited_by: Option<LimitedBy>,
    /// What the receiver says itself.
    pub end: End,
    /// Virtual time of its end, from the beginning of the session.
    pub ended_at: Option<Duration>,
    /// The most whole blocks that waited for its disk at a time.
    pub backlog_max: u32,
    /// Blocks that it had stored and told of: what the next attempt at the same copy finds.
    pub stored: BlockSet,
    /// Bytes of the symbols that it did not have before, by when they were processed.
    pub got: Marks,
    /// Bytes on the wire of its link's rival, by when they passed the link.
    pub rival: Marks,
    /// How long packets of the copy waited at its link.
    pub waits: Waits,
}

/// How a receiver saw its own end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Not ended.
    Running,
    /// Everything is there and was verified.
    Complete,
    /// It gave up, or was given up.
    Failed(Failure),
    /// A fault ended it.
    Crashed,
}
