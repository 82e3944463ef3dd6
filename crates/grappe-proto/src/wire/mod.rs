//! What travels, byte by byte: one file per packet, each with a checked reader and an emitter.
//!
//! No state, no keys, no decisions. Every reader takes bytes from anybody and answers with a value or
//! a [`WireError`]; none can panic. The layout of every field is in `docs/protocol.md`.

mod address;
pub mod announce;
pub mod control;
pub mod data;
pub mod examine;
pub mod gather;
pub mod link;
pub mod report;

use thiserror::Error;

/// Why bytes are not a packet of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// The packet is shorter or longer than its kind demands.
    #[error("packet of {0} bytes does not have the length of its kind")]
    Length(usize),
    /// The first byte names no known kind, or not the one expected here.
    #[error("packet kind {0:#04x} is not expected here")]
    Kind(u8),
    /// The packet speaks another version of the protocol.
    #[error("protocol version {0}, this program speaks {expected}", expected = crate::limits::PROTOCOL_VERSION)]
    Version(u16),
    /// A field has a value that the protocol excludes.
    #[error("field `{0}` is out of range")]
    Field(&'static str),
    /// A control message is not the CBOR that its type demands.
    #[error("control message cannot be decoded")]
    Control,
}

/// Takes big-endian fields off the front of a packet.
struct Fields<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> Fields<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            total: bytes.len(),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], WireError> {
        let (front, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(WireError::Length(self.total))?;
        self.rest = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (front, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(WireError::Length(self.total))?;
        self.rest = rest;
        Ok(*front)
    }

    fn u8(&mut self) -> Result<u8, WireError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, WireError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn end(&self) -> Result<(), WireError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(WireError::Length(self.total))
        }
    }
}
