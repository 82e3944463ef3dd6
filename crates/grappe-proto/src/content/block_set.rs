//! A set of blocks, kept as runs: what a receiver has, what a pass of the sender is to send.
//!
//! Copies arrive nearly in order, so even the set of a broken-off copy has few runs. It knows nothing
//! of what the blocks hold.

use std::collections::BTreeMap;
use std::ops::Range;

use minicbor::{Decode, Encode};

use crate::units::BlockIndex;

/// Runs in a set that travels: half the bytes of the longest control message at most.
pub const RUNS_MAX: usize = 50_000;

/// A set of blocks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockSet {
    /// First block of each run, and the first block after it. Runs neither touch nor overlap.
    runs: BTreeMap<u32, u32>,
}

impl BlockSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self {
            runs: BTreeMap::new(),
        }
    }

    /// Whether `block` is in the set.
    pub fn contains(&self, block: BlockIndex) -> bool {
        self.end_of_run(block.0).is_some()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many blocks are in the set.
    pub fn count(&self) -> u64 {
        self.runs
            .iter()
            .map(|(start, end)| u64::from(end - start))
            .sum()
    }

    /// Adds one block.
    pub fn insert(&mut self, block: BlockIndex) {
        self.insert_range(block..BlockIndex(block.0.saturating_add(1)));
    }

    /// Adds the blocks of `range`.
    pub fn insert_range(&mut self, range: Range<BlockIndex>) {
        let (mut start, mut end) = (range.start.0, range.end.0);
        if start >= end {
            return;
        }
        if let Some((before, before_end)) = self.runs.range(..=start).next_back()
            && *before_end >= start
        {
            (start, end) = (*before, end.max(*before_end));
        }
        while let Some((next, next_end)) = self.runs.range(start..=end).next() {
            let (next, next_end) = (*next, *next_end);
            end = end.max(next_end);
            self.runs.remove(&next);
        }
        self.runs.insert(start, end);
    }

    /// Takes one block out.
    pub fn remove(&mut self, block: BlockIndex) {
        let Some((start, end)) = self.run_around(block.0) else {
            return;
        };
        self.runs.remove(&start);
        self.insert_range(BlockIndex(start)..block);
        self.insert_range(BlockIndex(block.0 + 1)..BlockIndex(end));
    }

    /// The first block from `from` on that is in the set.
    pub fn next_in(&self, from: BlockIndex) -> Option<BlockIndex> {
        if self.contains(from) {
            return Some(from);
        }
        let (start, _) = self.runs.range(from.0..).next()?;
        Some(BlockIndex(*start))
    }

    /// The first block from `from` on that is not in the set.
    pub fn next_out(&self, from: BlockIndex) -> BlockIndex {
        BlockIndex(self.end_of_run(from.0).unwrap_or(from.0))
    }

    /// Whether every block of `range` is in the set.
    pub fn covers(&self, range: Range<BlockIndex>) -> bool {
        range.is_empty() || self.next_out(range.start) >= range.end
    }

    /// The blocks of `range` that are not in the set.
    pub fn lacking(&self, range: Range<BlockIndex>) -> impl Iterator<Item = Range<BlockIndex>> {
        let mut from = range.start;
        std::iter::from_fn(move || {
            let start = self.next_out(from);
            if start >= range.end {
                return None;
            }
            let end = self
                .next_in(start)
                .map_or(range.end, |next| next.min(range.end));
            from = end;
            Some(start..end)
        })
    }

    /// The runs, in order.
    pub fn runs(&self) -> impl Iterator<Item = Range<BlockIndex>> {
        self.runs
            .iter()
            .map(|(start, end)| BlockIndex(*start)..BlockIndex(*end))
    }

    fn run_around(&self, block: u32) -> Option<(u32, u32)> {
        let (start, end) = self.runs.range(..=block).next_back()?;
        (block < *end).then_some((*start, *end))
    }

    fn end_of_run(&self, block: u32) -> Option<u32> {
        self.run_around(block).map(|(_, end)| end)
    }
}

/// On the wire: an array of numbers, each the distance from the one before; the first run's start,
/// its end, the next one's start and so on. Runs beyond [`RUNS_MAX`] are left out: what a receiver
/// does not claim to have is sent to it, no more.
impl<C> Encode<C> for BlockSet {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let runs = self.runs.len().min(RUNS_MAX);
        encoder.array(2 * runs as u64)?;
        let mut at = 0;
        for (start, end) in self.runs.iter().take(runs) {
            encoder.u32(start - at)?.u32(end - start)?;
            at = *end;
        }
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for BlockSet {
    fn decode(
        decoder: &mut minicbor::Decoder<'b>,
        _: &mut C,
    ) -> Result<Self, minicbor::decode::Error> {
        let wrong = minicbor::decode::Error::message;
        let numbers = decoder.array()?.ok_or_else(|| wrong("length not given"))?;
        if numbers % 2 != 0 || numbers > 2 * RUNS_MAX as u64 {
            return Err(wrong("impossible number of runs"));
        }
        let mut set = Self::new();
        let mut at = 0_u32;
        for _ in 0..numbers / 2 {
            let (gap, len) = (decoder.u32()?, decoder.u32()?);
            let run = at
                .checked_add(gap)
                .and_then(|start| Some((start, start.checked_add(len)?)));
            let (start, end) = run.ok_or_else(|| wrong("a run ends beyond the last block"))?;
            set.insert_range(BlockIndex(start)..BlockIndex(end));
            at = end;
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn blocks(set: &BlockSet) -> BTreeSet<u32> {
        set.runs().flat_map(|run| run.start.0..run.end.0).collect()
    }

    fn of(blocks: &BTreeSet<u32>) -> BlockSet {
        let mut set = BlockSet::new();
        for block in blocks {
            set.insert(BlockIndex(*block));
        }
        set
    }

    proptest! {
        /// Against the plainest set there is.
        #[test]
        fn behaves_like_a_set(
            changes in proptest::collection::vec((any::<bool>(), 0_u32..60, 0_u32..8), 0..60),
            from in 0_u32..64,
            len in 0_u32..20,
        ) {
            let (mut set, mut model) = (BlockSet::new(), BTreeSet::new());
            for (insert, start, len) in changes {
                if insert {
                    set.insert_range(BlockIndex(start)..BlockIndex(start + len));
                    model.extend(start..start + len);
                } else {
                    set.remove(BlockIndex(start));
                    model.remove(&start);
                }
            }
            prop_assert_eq!(&blocks(&set), &model);
            prop_assert_eq!(set.count(), model.len() as u64);
            prop_assert_eq!(set.contains(BlockIndex(from)), model.contains(&from));
            let next_in = model.range(from..).next().map(|block| BlockIndex(*block));
            prop_assert_eq!(set.next_in(BlockIndex(from)), next_in);
            let next_out = (from..).find(|block| !model.contains(block)).unwrap();
            prop_assert_eq!(set.next_out(BlockIndex(from)), BlockIndex(next_out));
            let range = BlockIndex(from)..BlockIndex(from + len);
            let lacking: BTreeSet<u32> = set
                .lacking(range.clone())
                .flat_map(|run| run.start.0..run.end.0)
                .collect();
            let expected: BTreeSet<u32> =
                (from..from + len).filter(|block| !model.contains(block)).collect();
            prop_assert_eq!(set.covers(range), expected.is_empty());
            prop_assert_eq!(lacking, expected);
        }

        #[test]
        fn survives_the_wire(blocks in proptest::collection::btree_set(any::<u16>(), 0..100)) {
            let set = of(&blocks.into_iter().map(u32::from).collect());
            let bytes = minicbor::to_vec(&set).unwrap();
            prop_assert_eq!(minicbor::decode::<BlockSet>(&bytes).unwrap(), set);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = minicbor::decode::<BlockSet>(&bytes);
        }
    }
}
