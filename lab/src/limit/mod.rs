//! What the machine can do at all: a file as bare multicast in offloaded trains, straight into files.
//!
//! The yardstick for every other figure, and no protocol: no repair, no checking, no security. Runs on
//! the nodes as `lab limit-send` and `lab limit-receive`. What it costs to seal and to hash as well, `sealed` says.

mod receive;
mod sealed;
mod send;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub use receive::receive;
pub use send::send;

/// Organization-local (RFC 2365), and different from what the tools under test use.
const GROUP: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(239, 77, 0, 1)), 7700);

/// The largest datagram in an Ethernet frame of 1500 bytes.
const SEGMENT_BYTES: usize = 1472;
const PAYLOAD_BYTES: usize = SEGMENT_BYTES - Header::BYTES;

/// As many as fit into the 64 kB that one call may send.
const SEGMENTS_PER_TRAIN: usize = 44;

/// In front of every segment, because trains are cut differently on arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    /// Which segment, counted from 0; `END` for the mark behind the last.
    index: u32,
    /// How many segments there are.
    count: u32,
}

impl Header {
    const BYTES: usize = 8;
    const END: u32 = u32::MAX;

    fn emit(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..4].copy_from_slice(&self.index.to_le_bytes());
        bytes[4..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }

    fn parse(segment: &[u8]) -> Option<(Self, &[u8])> {
        let (head, payload) = segment.split_first_chunk::<{ Self::BYTES }>()?;
        let [a, b, c, d, e, f, g, h] = *head;
        let header = Self {
            index: u32::from_le_bytes([a, b, c, d]),
            count: u32::from_le_bytes([e, f, g, h]),
        };
        Some((header, payload))
    }
}

/// What a receiver did not get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Segments that never came.
    pub missing: u64,
    /// Segments there were.
    pub of: u64,
}

impl Missing {
    /// By what came, one entry for each segment.
    fn of(received: &[bool]) -> Self {
        let missing = received.iter().filter(|received| !**received).count();
        Self {
            missing: missing as u64,
            of: received.len() as u64,
        }
    }

    /// From 0 for all there to 1 for nothing there.
    #[must_use]
    pub fn share(self) -> f64 {
        if self.of == 0 {
            1.0
        } else {
            self.missing as f64 / self.of as f64
        }
    }
}

/// Takes in what arrives.
trait Intake {
    /// Takes a train; true when it holds the end mark.
    fn take(&mut self, train: &[u8], segment_size: usize) -> Result<bool>;

    /// What did not come; of no segments, when nothing came.
    fn missing(&self) -> Missing;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_the_wire() {
        let header = Header {
            index: 7,
            count: 1 << 20,
        };
        let mut segment = header.emit().to_vec();
        segment.extend(b"payload");
        assert_eq!(Header::parse(&segment), Some((header, &b"payload"[..])));
        assert_eq!(Header::parse(b"short"), None);
    }

    #[test]
    fn nothing_received_is_all_missing() {
        assert_eq!(Missing { missing: 0, of: 0 }.share(), 1.0);
        assert_eq!(Missing { missing: 1, of: 4 }.share(), 0.25);
    }
}
