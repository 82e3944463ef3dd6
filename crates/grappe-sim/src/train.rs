//! What the sender puts on the wire at once: a burst of symbols, a beat or a sounding, with payload where the
//! scenario has any.

use grappe_proto::limits::{IP_UDP_HEADERS, SYMBOL_SIZE};
use grappe_proto::sender::in_packets;
use grappe_proto::units::{BlockIndex, Sequence, SymbolIndex};
use grappe_proto::wire::data::{Beat, HEADER_LEN, Header, Kind, TAG_LEN};

/// Packets in one train at most, so that a set of them is one word.
pub(crate) const TRAIN_PACKETS_MAX: usize = 44;

/// Bytes on the wire of a packet beyond its UDP payload: Ethernet frame and gap, IPv4 and UDP headers.
pub(crate) const WIRE_OVERHEAD: u64 = 38 + 20 + 8;

/// Bytes of a data packet on the wire beyond its symbols.
const DATA_OVERHEAD: u64 = HEADER_LEN as u64 + TAG_LEN as u64 + WIRE_OVERHEAD;

/// Packets that leave together.
#[derive(Debug)]
pub(crate) struct Train {
    tag: u32,
    first: Sequence,
    /// The symbols in each packet: its first, and how many follow from there on, it included.
    packets: Vec<(BlockIndex, SymbolIndex, u8)>,
    beat: Option<(BlockIndex, Beat)>,
    /// Of a sounding: the stream's position.
    sounding: Option<BlockIndex>,
    /// The sealed packets, when real bytes travel.
    pub(crate) sealed: Vec<Vec<u8>>,
    /// Bytes of the largest packet on the wire; all take as long.
    pub(crate) packet_bytes: u64,
}

/// Which packets of a train reach a receiver, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) whole: u64,
    pub(crate) broken: u64,
}

impl Arrival {
    pub(crate) const fn is_empty(self) -> bool {
        self.whole | self.broken == 0
    }

    pub(crate) const fn count(self) -> u32 {
        (self.whole | self.broken).count_ones()
    }
}

impl Train {
    pub(crate) fn of_symbols(
        tag: u32,
        first: Sequence,
        symbols: &[(BlockIndex, SymbolIndex)],
        together: u8,
    ) -> Self {
        let packets: Vec<_> = in_packets(symbols, together)
            .map(|packet| (packet[0].0, packet[0].1, packet.len() as u8))
            .collect();
        let most = packets.iter().map(|(_, _, count)| *count).max();
        let packet_bytes = DATA_OVERHEAD + u64::from(most.unwrap_or(0)) * u64::from(SYMBOL_SIZE);
        Self {
            tag,
            first,
            packets,
            beat: None,
            sounding: None,
            sealed: Vec::new(),
            packet_bytes,
        }
    }

    pub(crate) fn of_beat(
        tag: u32,
        sequence: Sequence,
        block: BlockIndex,
        beat: Beat,
        packet_bytes: u64,
    ) -> Self {
        Self {
            tag,
            first: sequence,
            packets: Vec::new(),
            beat: Some((block, beat)),
            sounding: None,
            sealed: Vec::new(),
            packet_bytes,
        }
    }

    /// Zeros that make an IP packet of `bytes`.
    pub(crate) fn of_sounding(tag: u32, first: Sequence, block: BlockIndex, bytes: u16) -> Self {
        Self {
            tag,
            first,
            packets: Vec::new(),
            beat: None,
            sounding: Some(block),
            sealed: Vec::new(),
            packet_bytes: u64::from(bytes) + WIRE_OVERHEAD - IP_UDP_HEADERS as u64,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.packets.len() + usize::from(self.beat.is_some() || self.sounding.is_some())
    }

    pub(crate) fn beat(&self) -> Option<Beat> {
        self.beat.map(|(_, beat)| beat)
    }

    /// Bytes of the largest packet as IP counts them.
    pub(crate) const fn ip_bytes(&self) -> u64 {
        self.packet_bytes - WIRE_OVERHEAD + IP_UDP_HEADERS as u64
    }

    /// Symbols in packet number `index`; none in a beat.
    pub(crate) fn symbols(&self, index: usize) -> u8 {
        self.packets.get(index).map_or(0, |(_, _, count)| *count)
    }

    /// The clear header of packet number `index` of this train.
    pub(crate) fn header(&self, index: usize) -> Header {
        let before = self.packets.iter().take(index);
        let numbers: u64 = before.map(|(_, _, count)| u64::from(*count)).sum();
        let sequence = Sequence(self.first.0 + numbers);
        match (self.beat, self.packets.get(index)) {
            (None, Some((block, symbol, _))) => Header {
                kind: Kind::Data,
                symbol: *symbol,
                tag: self.tag,
                block: *block,
                sequence,
            },
            (beat, _) => {
                let of_beat = beat.map(|(block, _)| (Kind::Beat, block));
                let of_sounding = self.sounding.map(|block| (Kind::Sounding, block));
                let nothing = (Kind::Beat, BlockIndex(0));
                let (kind, block) = of_beat.or(of_sounding).unwrap_or(nothing);
                Header {
                    kind,
                    symbol: SymbolIndex(0),
                    tag: self.tag,
                    block,
                    sequence,
                }
            }
        }
    }
}
