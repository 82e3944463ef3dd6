//! The records of a link of the pipeline, which is a TCP connection from a receiver to its source: a
//! header in the clear, a sealed body, a tag. Blocks are sealed once and passed on as they came.
//!
//! What the bodies mean is said at each kind; who connects to whom is the sender's decision.

use super::{Fields, WireError};
use crate::limits::BLOCK_SIZE;
use crate::units::BlockIndex;

/// What a link begins with, from the one who connects: these bytes, then the session's tag.
///
/// No TLS record begins with them, so that one port can hear both.
pub const LINK_MAGIC: [u8; 4] = *b"grpL";

/// Bytes of the beginning of a link.
pub const PREAMBLE_LEN: usize = 8;

/// Bytes of the number that the source answers with; the one who connects sends it back sealed.
pub const CHALLENGE_LEN: usize = 16;

/// Bytes of a record's header.
pub const RECORD_HEADER_LEN: usize = 24;

/// Bytes of the longest request: half a million runs of blocks do not come up in practice, and what is
/// left out is asked for afterwards.
pub const REQUEST_BYTES_MAX: u32 = 1 << 20;

/// What a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// From the one who connects: the challenge.
    Proof,
    /// From the one who connects: the blocks that it wants, as a set in CBOR.
    Request,
    /// From the source: a block.
    Block,
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// What it carries.
    pub kind: RecordKind,
    /// The block; zero with other kinds.
    pub block: BlockIndex,
    /// Bytes of the body.
    pub len: u32,
    /// Who sealed it: together with `number`, never used twice under one key.
    pub sealer: u32,
    /// Counts the records of one sealer.
    pub number: u64,
}

impl RecordHeader {
    /// Reads a header.
    ///
    /// # Errors
    ///
    /// When the kind is unknown, reserved bytes are set, or the body is longer than its kind may be.
    pub fn read(bytes: &[u8; RECORD_HEADER_LEN]) -> Result<Self, WireError> {
        let mut fields = Fields::of(bytes);
        let (kind, len_max) = match fields.u8()? {
            0x10 => (RecordKind::Proof, CHALLENGE_LEN as u32),
            0x11 => (RecordKind::Request, REQUEST_BYTES_MAX),
            0x12 => (RecordKind::Block, BLOCK_SIZE),
            other => return Err(WireError::Kind(other)),
        };
        if fields.array()? != [0; 3] {
            return Err(WireError::Field("reserved"));
        }
        let block = BlockIndex(fields.u32()?);
        let len = fields.u32()?;
        if len > len_max {
            return Err(WireError::Field("len"));
        }
        let sealer = fields.u32()?;
        if sealer == 0 {
            // These nonces are the data packets'.
            return Err(WireError::Field("sealer"));
        }
        let number = fields.u64()?;
        Ok(Self {
            kind,
            block,
            len,
            sealer,
            number,
        })
    }

    /// The header's bytes.
    pub fn emit(&self) -> [u8; RECORD_HEADER_LEN] {
        let mut bytes = [0; RECORD_HEADER_LEN];
        bytes[0] = match self.kind {
            RecordKind::Proof => 0x10,
            RecordKind::Request => 0x11,
            RecordKind::Block => 0x12,
        };
        bytes[4..8].copy_from_slice(&self.block.0.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.len.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.sealer.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_be_bytes());
        bytes
    }
}

/// The beginning of a link in the session with this tag.
pub fn preamble(tag: u32) -> [u8; PREAMBLE_LEN] {
    let mut bytes = [0; PREAMBLE_LEN];
    bytes[..4].copy_from_slice(&LINK_MAGIC);
    bytes[4..].copy_from_slice(&tag.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_header_survives_the_wire(block: u32, len in 0..=BLOCK_SIZE, sealer in 1u32.., number: u64) {
            let header = RecordHeader {
                kind: RecordKind::Block,
                block: BlockIndex(block),
                len,
                sealer,
                number,
            };
            prop_assert_eq!(RecordHeader::read(&header.emit()), Ok(header));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: [u8; RECORD_HEADER_LEN]) {
            let _ = RecordHeader::read(&bytes);
        }
    }

    #[test]
    fn what_would_cost_memory_or_a_nonce_is_refused() {
        let header = RecordHeader {
            kind: RecordKind::Block,
            block: BlockIndex(1),
            len: BLOCK_SIZE + 1,
            sealer: 1,
            number: 1,
        };
        assert_eq!(
            RecordHeader::read(&header.emit()),
            Err(WireError::Field("len"))
        );
        let header = RecordHeader {
            len: 1,
            sealer: 0,
            ..header
        };
        assert_eq!(
            RecordHeader::read(&header.emit()),
            Err(WireError::Field("sealer"))
        );
    }

    #[test]
    fn a_link_is_never_taken_for_tls() {
        // The first byte of a TLS handshake (RFC 8446, section 5.1).
        assert_ne!(preamble(7)[0], 22);
    }
}
