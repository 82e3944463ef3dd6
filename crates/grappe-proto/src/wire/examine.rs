//! An examination of the network: messages of the control channel, and the packets that are counted.
//!
//! It is no copy: nothing is stored, no content travels, and no key is given. The packets are not
//! sealed, as nothing is decided by them but what a person is told.

use std::net::IpAddr;

use minicbor::{Decode, Encode};

use super::{Fields, WireError};

/// The first four bytes of a packet that is counted.
pub const MAGIC: [u8; 4] = *b"grpX";

/// Bytes in front of a packet's padding.
pub const HEADER_LEN: usize = 4 + 4 + 2;

/// Phases of an examination; packets of later ones are not counted.
pub const PHASES_MAX: usize = 64;

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Examine {
    /// The multicast group.
    #[cbor(n(0), with = "super::address")]
    pub group: IpAddr,
    /// The UDP port.
    #[n(1)]
    pub port: u16,
    /// Tells the packets of this examination from others'.
    #[n(2)]
    pub tag: u32,
}

/// What a node says of itself, once it has joined the group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Here {
    /// The name of its interface.
    #[n(0)]
    pub interface: String,
    /// The interface's MTU, in bytes.
    #[n(1)]
    pub mtu: u32,
    /// Bytes that the kernel granted the socket of a copy, by its own way of counting, and twice what
    /// was asked for.
    #[n(2)]
    pub receive_buffer: (u64, u64),
    /// Its clock, in microseconds since 1970.
    #[n(3)]
    pub unix_micros: u64,
    /// Its version of the program.
    #[n(4)]
    pub program: String,
}

/// What has arrived at a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Measured {
    /// One for each phase from the first on.
    #[n(0)]
    pub phases: Vec<Phase>,
    /// What the socket lost because this node was late.
    #[n(1)]
    pub dropped: u32,
    /// Bytes that the interface received since it is up; nothing where the system does not tell.
    #[n(2)]
    pub interface_bytes: Option<u64>,
}

/// The packets of one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Phase {
    /// How many.
    #[n(0)]
    pub packets: u32,
    /// Their bytes, without headers of IP and UDP.
    #[n(1)]
    pub bytes: u64,
    /// From the first to the last, in microseconds.
    #[n(2)]
    pub span_us: u64,
}

/// The header of a packet of `phase`.
pub fn header(tag: u32, phase: u16) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..4].copy_from_slice(&MAGIC);
    header[4..8].copy_from_slice(&tag.to_be_bytes());
    header[8..].copy_from_slice(&phase.to_be_bytes());
    header
}

/// The phase that a packet belongs to.
///
/// # Errors
///
/// When it is no packet of the examination `tag`.
pub fn phase_of(packet: &[u8], tag: u32) -> Result<u16, WireError> {
    if packet.len() < HEADER_LEN {
        return Err(WireError::Length(packet.len()));
    }
    let mut fields = Fields::of(packet);
    let magic: [u8; 4] = fields.array()?;
    if magic != MAGIC {
        return Err(WireError::Kind(magic[0]));
    }
    let found = fields.u32()?;
    let phase = fields.u16()?;
    if found != tag || usize::from(phase) >= PHASES_MAX {
        return Err(WireError::Kind(MAGIC[0]));
    }
    Ok(phase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_belongs_to_its_phase_and_examination() {
        let packet = header(7, 3);
        assert_eq!(phase_of(&packet, 7), Ok(3));
        assert!(phase_of(&packet, 8).is_err());
        assert!(phase_of(&header(7, u16::MAX), 7).is_err());
        assert!(phase_of(&packet[..9], 7).is_err());
        assert!(phase_of(b"something else", 7).is_err());
    }
}
