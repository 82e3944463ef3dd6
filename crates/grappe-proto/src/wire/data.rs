//! The data packet (one symbol of one block, or several in a row), the beat (where the stream stands) and
//! the sounding (whether packets of its size arrive), all multicast by the sender and sealed under the session's key.
//!
//! The header is in the clear and authenticated; the rest is ciphertext and a 16-byte tag.

use super::{Fields, WireError};
use crate::units::{BlockIndex, Sequence, SymbolIndex, Time};

/// Bytes of the header of every packet of the data plane.
pub const HEADER_LEN: usize = 20;

/// Bytes of the AEAD tag that ends every packet of the data plane.
pub const TAG_LEN: usize = 16;

/// Bytes of a beat's body before sealing.
pub const BEAT_BODY_LEN: usize = 13;

pub(super) const KIND_DATA: u8 = 0x01;
const KIND_BEAT: u8 = 0x02;
pub(super) const KIND_REPORT: u8 = 0x03;
const KIND_SOUNDING: u8 = 0x04;

/// What a packet from the sender carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A symbol of a block, or several whose numbers follow each other.
    Data,
    /// The stream's position and the time, when nothing else may be sent or now and then.
    Beat,
    /// Zeros, as many as make a packet of the size in question.
    Sounding,
}

/// The header of a packet from the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Data, beat or sounding.
    pub kind: Kind,
    /// Data: which symbol of the block, the first if there are several. Otherwise zero.
    pub symbol: SymbolIndex,
    /// A random number that tells sessions on one group and port apart before the key does.
    pub tag: u32,
    /// Data: the block. Otherwise every block before this one has been sent once.
    pub block: BlockIndex,
    /// The packet's number, its nonce under the session's key. With several symbols each has a number, and this
    /// is the first one's.
    pub sequence: Sequence,
}

impl Header {
    /// Reads the header of `packet`, which is a whole datagram or segment.
    ///
    /// # Errors
    ///
    /// When the packet is too short for header and tag, is of another kind, or sets reserved bits.
    pub fn read(packet: &[u8]) -> Result<Self, WireError> {
        if packet.len() < HEADER_LEN + TAG_LEN {
            return Err(WireError::Length(packet.len()));
        }
        let mut fields = Fields::of(packet);
        let kind = match fields.u8()? {
            KIND_DATA => Kind::Data,
            KIND_BEAT => Kind::Beat,
            KIND_SOUNDING => Kind::Sounding,
            other => return Err(WireError::Kind(other)),
        };
        let symbol = SymbolIndex(fields.u8()?);
        if fields.u16()? != 0 {
            return Err(WireError::Field("lane"));
        }
        let tag = fields.u32()?;
        let block = BlockIndex(fields.u32()?);
        let sequence = Sequence(fields.u64()?);
        Ok(Self {
            kind,
            symbol,
            tag,
            block,
            sequence,
        })
    }

    /// The header that the symbol `index` places after the first would have in a packet of its own.
    #[must_use]
    pub const fn of_symbol(&self, index: u8) -> Self {
        Self {
            symbol: SymbolIndex(self.symbol.0.saturating_add(index)),
            sequence: Sequence(self.sequence.0.saturating_add(index as u64)),
            ..*self
        }
    }

    /// The header's bytes.
    pub fn emit(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = match self.kind {
            Kind::Data => KIND_DATA,
            Kind::Beat => KIND_BEAT,
            Kind::Sounding => KIND_SOUNDING,
        };
        bytes[1] = self.symbol.0;
        bytes[4..8].copy_from_slice(&self.tag.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.block.0.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.sequence.0.to_be_bytes());
        bytes
    }
}

/// The body of a beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The sender's clock when it was sent; a receiver's report echoes it.
    pub sent_at: Time,
    /// How often a receiver reports while packets arrive, in microseconds; at least 1,000.
    pub report_interval_us: u32,
    /// Whether the sender has something to send; when not, receivers need not hurry.
    pub active: bool,
}

impl Beat {
    /// Reads the body of a beat, opened.
    ///
    /// # Errors
    ///
    /// When the length is wrong or the interval is below a millisecond.
    pub fn read(body: &[u8]) -> Result<Self, WireError> {
        let mut fields = Fields::of(body);
        let sent_at = Time::from_nanos(fields.u64()?);
        let report_interval_us = fields.u32()?;
        let active = match fields.u8()? {
            0 => false,
            1 => true,
            _ => return Err(WireError::Field("active")),
        };
        fields.end()?;
        if report_interval_us < 1_000 {
            return Err(WireError::Field("report_interval_us"));
        }
        Ok(Self {
            sent_at,
            report_interval_us,
            active,
        })
    }

    /// The body's bytes, to be sealed.
    pub fn emit(&self) -> [u8; BEAT_BODY_LEN] {
        let mut bytes = [0; BEAT_BODY_LEN];
        bytes[0..8].copy_from_slice(&self.sent_at.as_nanos().to_be_bytes());
        bytes[8..12].copy_from_slice(&self.report_interval_us.to_be_bytes());
        bytes[12] = u8::from(self.active);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn header_survives_the_wire(kind in 0..3, symbol: u8, tag: u32, block: u32, sequence: u64) {
            let kind = [Kind::Data, Kind::Beat, Kind::Sounding][kind as usize];
            let header = Header {
                kind,
                symbol: SymbolIndex(symbol),
                tag,
                block: BlockIndex(block),
                sequence: Sequence(sequence),
            };
            let mut packet = header.emit().to_vec();
            packet.extend_from_slice(&[0; TAG_LEN]);
            prop_assert_eq!(Header::read(&packet), Ok(header));
        }

        #[test]
        fn beat_survives_the_wire(nanos: u64, report_interval_us in 1_000u32.., active: bool) {
            let beat = Beat { sent_at: Time::from_nanos(nanos), report_interval_us, active };
            prop_assert_eq!(Beat::read(&beat.emit()), Ok(beat));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Header::read(&bytes);
            let _ = Beat::read(&bytes);
        }
    }

    #[test]
    fn short_and_foreign_packets_are_refused() {
        assert_eq!(Header::read(&[KIND_DATA; 35]), Err(WireError::Length(35)));
        assert_eq!(Header::read(&[0x77; 60]), Err(WireError::Kind(0x77)));
        assert_eq!(
            Header::read(&[KIND_DATA; 60]),
            Err(WireError::Field("lane"))
        );
    }
}
