//! The report: what a receiver has, lacks and suffers from; unicast to the sender, sealed under the
//! receiver's own key.
//!
//! It states facts; what to send for them is decided in `repair` and `rate`.

use super::data::{HEADER_LEN, KIND_REPORT, TAG_LEN};
use super::{Fields, WireError};
use crate::fec::SymbolSet;
use crate::limits::IP_UDP_HEADERS;
use crate::units::{BlockIndex, PeerId, Sequence, Time};

/// Lacks in one report: as many as fit a packet at MTU 1500 when each lists every data symbol of a full
/// block, 29 bytes each.
pub const LACKS_MAX: usize = 40;

/// Beats before the latest that one report may tell of.
pub const EARLIER_MAX: usize = 4;

const LACK_BYTES_MAX: usize = 4 + 1 + 1 + 32;
const EARLIER_BYTES: usize = 4 + 4 + 4;
const FIXED_LEN: usize =
    4 + 8 + 8 + 8 + 8 + 8 + 4 + 4 + 2 + 2 + 1 + 1 + EARLIER_MAX * EARLIER_BYTES;

/// Bytes of a report that lacks nothing, with all headers: what the reports of many cost the links.
pub const REPORT_BYTES: usize = IP_UDP_HEADERS + HEADER_LEN + FIXED_LEN + TAG_LEN;

/// Bytes of the longest report, header and tag included.
pub const REPORT_LEN_MAX: usize = HEADER_LEN + FIXED_LEN + LACKS_MAX * LACK_BYTES_MAX + TAG_LEN;

/// The clear header of a report: who reports, in which session, and the report's own number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportHeader {
    /// Which receiver.
    pub peer: PeerId,
    /// The session's tag, as in data packets.
    pub tag: u32,
    /// Nanoseconds by the receiver's clock from `echo_at` to this report; the longest that fits where it was longer.
    /// The rest of the time from the beat's leaving to the report's coming is that of the way and back, by the sender's
    /// clock alone: it does not grow with the clocks' difference where one of them is being put right.
    pub held: u32,
    /// The report's number, its nonce under this receiver's key; grows.
    pub sequence: Sequence,
}

impl ReportHeader {
    /// Reads the header of `packet`, a whole datagram.
    ///
    /// # Errors
    ///
    /// When the packet is too short, too long, no report, or sets reserved bits.
    pub fn read(packet: &[u8]) -> Result<Self, WireError> {
        if packet.len() < HEADER_LEN + TAG_LEN || packet.len() > REPORT_LEN_MAX {
            return Err(WireError::Length(packet.len()));
        }
        let mut fields = Fields::of(packet);
        let kind = fields.u8()?;
        if kind != KIND_REPORT {
            return Err(WireError::Kind(kind));
        }
        if fields.u8()? != 0 {
            return Err(WireError::Field("reserved"));
        }
        let peer = PeerId(fields.u16()?);
        let tag = fields.u32()?;
        let held = fields.u32()?;
        let sequence = Sequence(fields.u64()?);
        Ok(Self {
            peer,
            tag,
            held,
            sequence,
        })
    }

    /// The header's bytes.
    pub fn emit(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = KIND_REPORT;
        bytes[2..4].copy_from_slice(&self.peer.0.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.tag.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.held.to_be_bytes());
        bytes[12..20].copy_from_slice(&self.sequence.0.to_be_bytes());
        bytes
    }
}

/// What one block lacks at one receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The block.
    pub block: BlockIndex,
    /// How many more symbols, of any kind, complete it; at least 1.
    pub need: u8,
    /// The data symbols that are not there.
    pub missing: SymbolSet,
}

/// A beat before the latest one of a report, told by how far it lies before that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earlier {
    /// Nanoseconds by the sender's clock from its leaving to that of the latest.
    pub sent_before: u32,
    /// Nanoseconds by the receiver's clock from its arrival to that of the latest.
    pub arrived_before: u32,
    /// Packets received since.
    pub received_since: u32,
}

/// The body of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The receiver's turn that `stored_below` and the lacks belong to; see `control`.
    pub turn: u32,
    /// The highest sequence number among the packets processed.
    pub highest: Sequence,
    /// Packets of the sender processed, each counted once.
    pub received: u64,
    /// The `sent_at` of the latest beat.
    pub echo: Time,
    /// The receiver's clock when that beat reached its socket. The two clocks have nothing in common but
    /// their pace: only how their difference changes tells something, the growth and fall of queues.
    pub echo_at: Time,
    /// `received` as it was when that beat had been processed: between two beats, exactly what reached
    /// the socket in that time.
    pub echo_received: u64,
    /// Some beats before that, the earliest first; at most [`EARLIER_MAX`]. Where reports are rare, the latest
    /// beat alone tells of a moment, and not whether a queue stands.
    pub earlier: Vec<Earlier>,
    /// Every block of the turn before this one is stored.
    pub stored_below: BlockIndex,
    /// Reads' worth of packets that the receiving socket dropped for want of room since the session
    /// began; a train of packets counts as one.
    pub dropped: u32,
    /// How full the receive ring is, in thousandths.
    pub ring_permille: u16,
    /// Blocks complete but not yet stored.
    pub store_backlog: u16,
    /// The first blocks that lack something although the stream has passed them, lowest first; at
    /// most [`LACKS_MAX`].
    pub lacks: Vec<Lack>,
}

impl Report {
    /// Reads the body of a report, opened.
    ///
    /// # Errors
    ///
    /// When lengths do not add up, there are too many lacks, or one of them is empty or inconsistent.
    pub fn read(body: &[u8]) -> Result<Self, WireError> {
        let mut fields = Fields::of(body);
        let mut report = Self {
            turn: fields.u32()?,
            highest: Sequence(fields.u64()?),
            received: fields.u64()?,
            echo: Time::from_nanos(fields.u64()?),
            echo_at: Time::from_nanos(fields.u64()?),
            echo_received: fields.u64()?,
            stored_below: BlockIndex(fields.u32()?),
            dropped: fields.u32()?,
            ring_permille: fields.u16()?,
            store_backlog: fields.u16()?,
            earlier: Vec::new(),
            lacks: Vec::new(),
        };
        let count = usize::from(fields.u8()?);
        if count > EARLIER_MAX {
            return Err(WireError::Field("earlier"));
        }
        for _ in 0..count {
            report.earlier.push(Earlier {
                sent_before: fields.u32()?,
                arrived_before: fields.u32()?,
                received_since: fields.u32()?,
            });
        }
        let count = usize::from(fields.u8()?);
        if count > LACKS_MAX {
            return Err(WireError::Field("lacks"));
        }
        for _ in 0..count {
            report.lacks.push(read_lack(&mut fields)?);
        }
        fields.end()?;
        Ok(report)
    }

    /// Appends the body's bytes, to be sealed. Lacks beyond [`LACKS_MAX`] are left out, as are beats beyond
    /// [`EARLIER_MAX`].
    pub fn emit(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.turn.to_be_bytes());
        bytes.extend_from_slice(&self.highest.0.to_be_bytes());
        bytes.extend_from_slice(&self.received.to_be_bytes());
        bytes.extend_from_slice(&self.echo.as_nanos().to_be_bytes());
        bytes.extend_from_slice(&self.echo_at.as_nanos().to_be_bytes());
        bytes.extend_from_slice(&self.echo_received.to_be_bytes());
        bytes.extend_from_slice(&self.stored_below.0.to_be_bytes());
        bytes.extend_from_slice(&self.dropped.to_be_bytes());
        bytes.extend_from_slice(&self.ring_permille.to_be_bytes());
        bytes.extend_from_slice(&self.store_backlog.to_be_bytes());
        let earlier = &self.earlier[..self.earlier.len().min(EARLIER_MAX)];
        bytes.push(earlier.len() as u8);
        for beat in earlier {
            bytes.extend_from_slice(&beat.sent_before.to_be_bytes());
            bytes.extend_from_slice(&beat.arrived_before.to_be_bytes());
            bytes.extend_from_slice(&beat.received_since.to_be_bytes());
        }
        let lacks = &self.lacks[..self.lacks.len().min(LACKS_MAX)];
        bytes.push(lacks.len() as u8);
        for lack in lacks {
            let set = set_to_bytes(lack.missing);
            let used = set
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |last| last + 1);
            bytes.extend_from_slice(&lack.block.0.to_be_bytes());
            bytes.push(lack.need);
            bytes.push(used as u8);
            bytes.extend_from_slice(&set[..used]);
        }
    }
}

fn read_lack(fields: &mut Fields<'_>) -> Result<Lack, WireError> {
    let block = BlockIndex(fields.u32()?);
    let need = fields.u8()?;
    let used = usize::from(fields.u8()?);
    let mut set = [0; 32];
    set.get_mut(..used)
        .ok_or(WireError::Field("missing"))?
        .copy_from_slice(fields.take(used)?);
    let missing = set_from_bytes(&set);
    if need == 0 || u16::from(need) > missing.count() {
        return Err(WireError::Field("need"));
    }
    Ok(Lack {
        block,
        need,
        missing,
    })
}

/// Symbol n is bit n % 8 of byte n / 8.
fn set_to_bytes(set: SymbolSet) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(set.words()) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

fn set_from_bytes(bytes: &[u8; 32]) -> SymbolSet {
    let mut words = [0; 4];
    for (word, chunk) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*chunk);
    }
    SymbolSet::from_words(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lack() -> impl Strategy<Value = Lack> {
        (
            any::<u32>(),
            proptest::collection::btree_set(any::<u8>(), 1..200),
            any::<u8>(),
        )
            .prop_map(|(block, symbols, need)| {
                let mut missing = SymbolSet::default();
                for symbol in &symbols {
                    missing.insert(crate::units::SymbolIndex(*symbol));
                }
                let need = 1 + need % symbols.len() as u8;
                Lack {
                    block: BlockIndex(block),
                    need,
                    missing,
                }
            })
    }

    proptest! {
        #[test]
        fn report_survives_the_wire(
            turn: u32, highest: u64, received: u64, echo: [u64; 3], counts: [u32; 2], small: [u16; 2],
            earlier in proptest::collection::vec(any::<[u32; 3]>(), 0..=EARLIER_MAX),
            lacks in proptest::collection::vec(lack(), 0..=LACKS_MAX),
        ) {
            let report = Report {
                turn,
                highest: Sequence(highest),
                received,
                echo: Time::from_nanos(echo[0]),
                echo_at: Time::from_nanos(echo[1]),
                echo_received: echo[2],
                stored_below: BlockIndex(counts[0]),
                dropped: counts[1],
                ring_permille: small[0],
                store_backlog: small[1],
                earlier: earlier.into_iter().map(|[sent_before, arrived_before, received_since]| {
                    Earlier { sent_before, arrived_before, received_since }
                }).collect(),
                lacks,
            };
            let mut bytes = Vec::new();
            report.emit(&mut bytes);
            prop_assert!(bytes.len() + HEADER_LEN + TAG_LEN <= REPORT_LEN_MAX);
            prop_assert_eq!(Report::read(&bytes), Ok(report));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Report::read(&bytes);
            let _ = ReportHeader::read(&bytes);
        }
    }
}
