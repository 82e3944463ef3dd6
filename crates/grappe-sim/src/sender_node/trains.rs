//! What the sender puts on the wire, and the watch over it: numbers without gaps, blocks that are in
//! memory, a window that nobody overruns.

use grappe_proto::limits::WINDOW_BLOCKS;
use grappe_proto::units::{BlockIndex, Sequence, SymbolIndex, Time};
use grappe_proto::wire::data::{BEAT_BODY_LEN, Beat, HEADER_LEN, TAG_LEN};

use super::SenderNode;
use crate::outside::Outside;
use crate::payload::{seal, seal_symbols};
use crate::train::{TRAIN_PACKETS_MAX, Train, WIRE_OVERHEAD};

/// Blocks that the sender may hold: its window, and what it reads ahead.
const MEMORY_BLOCKS_MAX: usize = WINDOW_BLOCKS as usize + 64;

/// Bytes of a beat on the wire.
const BEAT_BYTES: u64 = (HEADER_LEN + BEAT_BODY_LEN + TAG_LEN) as u64 + WIRE_OVERHEAD;

impl SenderNode {
    pub(super) fn burst(
        &mut self,
        now: Time,
        first: Sequence,
        symbols: &[(BlockIndex, SymbolIndex)],
        together: u8,
        outside: &mut Outside,
    ) {
        self.number(now, first, symbols.len(), outside);
        self.check(now, symbols, outside);
        self.data_packets += symbols.len() as u64;
        let mut train = Train::of_symbols(outside.keys.tag, first, symbols, together);
        if self.payload {
            let seal = |index| {
                let header = train.header(index);
                let block = self.memory.get(&header.block).map_or(&[][..], |it| it);
                seal_symbols(&self.key, &header, train.symbols(index), block)
            };
            train.sealed = (0..train.len()).map(seal).collect();
        }
        self.datagrams += train.len() as u64;
        let departure = self.uplink.send(now, &train);
        outside.multicast(now, train, departure);
    }

    pub(super) fn beat(
        &mut self,
        now: Time,
        sequence: Sequence,
        block: BlockIndex,
        beat: Beat,
        outside: &mut Outside,
    ) {
        self.number(now, sequence, 1, outside);
        self.beats += 1;
        let mut train = Train::of_beat(outside.keys.tag, sequence, block, beat, BEAT_BYTES);
        if self.payload {
            train.sealed = vec![seal(&self.key, &train.header(0), &beat.emit())];
        }
        let departure = self.uplink.send(now, &train);
        outside.multicast(now, train, departure);
    }

    pub(super) fn sounding(
        &mut self,
        now: Time,
        sequence: Sequence,
        block: BlockIndex,
        bytes: u16,
        outside: &mut Outside,
    ) {
        self.number(now, sequence, 1, outside);
        let train = Train::of_sounding(outside.keys.tag, sequence, block, bytes);
        let departure = self.uplink.send(now, &train);
        outside.multicast(now, train, departure);
    }

    /// A number used twice would break the seal; one left out would look like a loss.
    fn number(&mut self, now: Time, first: Sequence, count: usize, outside: &mut Outside) {
        if first != self.next {
            outside.violation(now, || {
                format!("packet {} follows where {} should", first.0, self.next.0)
            });
        }
        self.next = Sequence(first.0 + count as u64);
    }

    fn check(&mut self, now: Time, symbols: &[(BlockIndex, SymbolIndex)], outside: &mut Outside) {
        if symbols.is_empty() || symbols.len() > TRAIN_PACKETS_MAX {
            outside.violation(now, || format!("a burst of {} packets", symbols.len()));
        }
        if self.memory.len() > MEMORY_BLOCKS_MAX {
            outside.violation(now, || {
                format!("the sender holds {} blocks", self.memory.len())
            });
        }
        for (block, _) in symbols {
            if !self.memory.contains_key(block) {
                outside.violation(now, || format!("block {block} is sent but not in memory"));
            }
            if *block >= self.begun {
                self.begun = block.next();
                let floor = outside
                    .stored_below
                    .iter()
                    .min()
                    .copied()
                    .unwrap_or(u32::MAX);
                if block.0 >= floor.saturating_add(WINDOW_BLOCKS) {
                    outside.violation(now, || {
                        format!("block {block} is sent while {floor} is not stored")
                    });
                }
            }
        }
    }
}
