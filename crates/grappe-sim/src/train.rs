//! What the sender puts on the wire at once: a burst of symbols or a beat, with payload where the
//! scenario has any.

use grappe_proto::units::{BlockIndex, Sequence, SymbolIndex};
use grappe_proto::wire::data::{Beat, Header, Kind};

/// Packets in one train at most, so that a set of them is one word.
pub(crate) const TRAIN_PACKETS_MAX: usize = 44;

/// Bytes on the wire of a packet beyond its UDP payload: Ethernet frame and gap, IPv4 and UDP headers.
pub(crate) const WIRE_OVERHEAD: u64 = 38 + 20 + 8;

/// Packets that leave together.
#[derive(Debug)]
pub(crate) struct Train {
    tag: u32,
    first: Sequence,
    symbols: Vec<(BlockIndex, SymbolIndex)>,
    beat: Option<(BlockIndex, Beat)>,
    /// The sealed packets, when real bytes travel.
    pub(crate) sealed: Vec<Vec<u8>>,
    /// Bytes of one packet on the wire.
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
        symbols: Vec<(BlockIndex, SymbolIndex)>,
        packet_bytes: u64,
    ) -> Self {
        Self {
            tag,
            first,
            symbols,
            beat: None,
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
            symbols: Vec::new(),
            beat: Some((block, beat)),
            sealed: Vec::new(),
            packet_bytes,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.symbols.len() + usize::from(self.beat.is_some())
    }

    pub(crate) fn beat(&self) -> Option<Beat> {
        self.beat.map(|(_, beat)| beat)
    }

    /// The clear header of packet number `index` of this train.
    pub(crate) fn header(&self, index: usize) -> Header {
        let sequence = Sequence(self.first.0 + index as u64);
        match (self.beat, self.symbols.get(index)) {
            (None, Some((block, symbol))) => Header {
                kind: Kind::Data,
                symbol: *symbol,
                tag: self.tag,
                block: *block,
                sequence,
            },
            (beat, _) => {
                let block = beat.map_or(BlockIndex(0), |(block, _)| block);
                Header {
                    kind: Kind::Beat,
                    symbol: SymbolIndex(0),
                    tag: self.tag,
                    block,
                    sequence,
                }
            }
        }
    }
}
