//! Which symbols of which blocks are there: what is stored, and the stretch of the stream between the
//! first block of this turn that is not and the last that anything was seen of.

use std::collections::{BTreeSet, VecDeque};
use std::ops::Range;

use crate::content::block_set::BlockSet;
use crate::fec::SymbolSet;
use crate::limits::WINDOW_BLOCKS;
use crate::units::{BlockIndex, SymbolIndex};

/// The window. Blocks beyond what it holds have not been seen in this turn.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// Everything that is stored, of this turn and before.
    have: BlockSet,
    /// Whole, but not stored yet.
    storing: BTreeSet<BlockIndex>,
    /// The first block of this turn that is not stored.
    stored_below: BlockIndex,
    blocks: VecDeque<Block>,
    /// Every block before this one was sent once, if it is sent in this turn at all.
    passed: BlockIndex,
}

#[derive(Clone, Copy, Debug)]
enum Block {
    Open(SymbolSet),
    /// Being stored, or stored.
    Whole,
}

impl Window {
    /// Begins a turn, in which blocks from `from` on are sent. What came of blocks that are not whole is
    /// forgotten.
    pub(super) fn begin_turn(&mut self, from: BlockIndex) {
        self.blocks.clear();
        self.passed = from;
        self.stored_below = self.have.next_out(from);
    }

    /// Takes note that these blocks were stored before.
    pub(super) fn stored_before(&mut self, have: &BlockSet) {
        for run in have.runs() {
            self.have.insert_range(run);
        }
        self.close_up();
    }

    /// All that is stored.
    pub(super) const fn have(&self) -> &BlockSet {
        &self.have
    }

    /// Whether every block of `range` is stored.
    pub(super) fn covers(&self, range: Range<BlockIndex>) -> bool {
        self.have.covers(range)
    }

    pub(super) const fn stored_below(&self) -> BlockIndex {
        self.stored_below
    }

    pub(super) const fn passed(&self) -> BlockIndex {
        self.passed
    }

    /// Blocks that are whole but not stored.
    pub(super) fn backlog(&self) -> u16 {
        u16::try_from(self.storing.len()).unwrap_or(u16::MAX)
    }

    /// Takes note that every block before `block` was sent once.
    pub(super) fn passed_to(&mut self, block: BlockIndex) {
        self.passed = self.passed.max(block);
    }

    /// Whether `symbol` would help: its block is within the window, not whole, and lacks it.
    pub(super) fn wants(&self, block: BlockIndex, symbol: SymbolIndex) -> bool {
        let Some(index) = block.0.checked_sub(self.stored_below.0) else {
            return false;
        };
        match self.blocks.get(index as usize) {
            Some(Block::Open(present)) => !present.contains(symbol),
            Some(Block::Whole) => false,
            None => index < WINDOW_BLOCKS && !self.is_whole(block),
        }
    }

    /// Adds a wanted symbol to a block of `symbols` data symbols; gives what is present when that makes
    /// the block whole.
    pub(super) fn insert(
        &mut self,
        block: BlockIndex,
        symbol: SymbolIndex,
        symbols: u16,
    ) -> Option<SymbolSet> {
        debug_assert!(self.wants(block, symbol), "asked before");
        let index = block.0.checked_sub(self.stored_below.0)? as usize;
        while self.blocks.len() <= index {
            let next = BlockIndex(self.stored_below.0 + self.blocks.len() as u32);
            self.blocks.push_back(if self.is_whole(next) {
                Block::Whole
            } else {
                Block::Open(SymbolSet::EMPTY)
            });
        }
        let slot = self.blocks.get_mut(index)?;
        let Block::Open(present) = slot else {
            return None;
        };
        present.insert(symbol);
        if present.count() < symbols {
            return None;
        }
        let present = *present;
        *slot = Block::Whole;
        self.storing.insert(block);
        Some(present)
    }

    /// Takes a block that came whole, of `symbols` data symbols; gives what is present when it is wanted.
    pub(super) fn insert_whole(&mut self, block: BlockIndex, symbols: u16) -> Option<SymbolSet> {
        if self.is_whole(block) {
            return None;
        }
        if let Some(index) = block.0.checked_sub(self.stored_below.0)
            && let Some(slot) = self.blocks.get_mut(index as usize)
        {
            *slot = Block::Whole;
        }
        self.storing.insert(block);
        Some(SymbolSet::first(symbols))
    }

    /// The blocks of `range` that are neither stored nor about to be.
    pub(super) fn lacking_whole(&self, range: Range<BlockIndex>) -> Vec<Range<BlockIndex>> {
        let mut there = self.have.clone();
        for block in &self.storing {
            there.insert(*block);
        }
        there.lacking(range).collect()
    }

    /// Takes note that a whole block is stored.
    pub(super) fn stored(&mut self, block: BlockIndex) {
        if self.storing.remove(&block) {
            self.have.insert(block);
            self.close_up();
        }
    }

    /// The first `max` blocks that were sent once and are not whole, with what is present.
    pub(super) fn lacking(&self, max: usize) -> impl Iterator<Item = (BlockIndex, SymbolSet)> {
        let end = self
            .passed
            .0
            .min(self.stored_below.0.saturating_add(WINDOW_BLOCKS));
        (self.stored_below.0..end)
            .map(BlockIndex)
            .filter_map(|block| {
                let index = (block.0 - self.stored_below.0) as usize;
                match self.blocks.get(index) {
                    Some(Block::Open(present)) => Some((block, *present)),
                    Some(Block::Whole) => None,
                    None => (!self.is_whole(block)).then_some((block, SymbolSet::EMPTY)),
                }
            })
            .take(max)
    }

    /// Makes stored blocks empty again. Called when everything is stored, so the window is empty.
    pub(super) fn reopen(&mut self, wrong: &[BlockIndex]) {
        let Some(first) = wrong.iter().min() else {
            return;
        };
        for block in wrong {
            self.have.remove(*block);
        }
        // Only the first of them are asked for at a time, as `lacking` looks no further than the window.
        self.blocks.clear();
        self.stored_below = *first;
    }

    fn is_whole(&self, block: BlockIndex) -> bool {
        self.have.contains(block) || self.storing.contains(&block)
    }

    /// Moves the window past what is stored.
    fn close_up(&mut self) {
        let below = self.have.next_out(self.stored_below);
        let past = (below.0 - self.stored_below.0) as usize;
        self.blocks.drain(..past.min(self.blocks.len()));
        self.stored_below = below;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(window: &mut Window, block: u32, symbols: u8) -> Option<SymbolSet> {
        (0..symbols)
            .filter_map(|symbol| window.insert(BlockIndex(block), SymbolIndex(symbol), 4))
            .last()
    }

    #[test]
    fn a_block_is_whole_with_any_symbols_and_leaves_when_stored() {
        let mut window = Window::default();
        assert_eq!(fill(&mut window, 1, 4), Some(SymbolSet::first(4)));
        assert!(!window.wants(BlockIndex(1), SymbolIndex(9)), "whole");
        window.stored(BlockIndex(1));
        assert_eq!(window.stored_below(), BlockIndex(0), "block 0 is missing");
        fill(&mut window, 0, 4);
        window.stored(BlockIndex(0));
        assert_eq!(window.stored_below(), BlockIndex(2));
    }

    #[test]
    fn lacks_are_what_was_passed_and_is_not_whole() {
        let mut window = Window::default();
        fill(&mut window, 1, 4);
        fill(&mut window, 2, 3);
        assert_eq!(
            window.lacking(9).count(),
            0,
            "nothing is known to have passed"
        );
        window.passed_to(BlockIndex(4));
        let lacking: Vec<u32> = window.lacking(9).map(|(block, _)| block.0).collect();
        assert_eq!(lacking, [0, 2, 3]);
        assert_eq!(window.lacking(1).count(), 1);
    }

    #[test]
    fn a_wrong_block_is_wanted_again() {
        let mut window = Window::default();
        for block in 0..4 {
            fill(&mut window, block, 4);
            window.stored(BlockIndex(block));
        }
        window.reopen(&[BlockIndex(2)]);
        assert_eq!(window.stored_below(), BlockIndex(2));
        assert!(window.wants(BlockIndex(2), SymbolIndex(0)));
        assert!(!window.wants(BlockIndex(3), SymbolIndex(0)));
        fill(&mut window, 2, 4);
        window.stored(BlockIndex(2));
        assert_eq!(window.stored_below(), BlockIndex(4));
    }

    #[test]
    fn a_turn_leaves_out_what_is_there_and_what_was_before_it() {
        let mut have = BlockSet::new();
        have.insert_range(BlockIndex(4)..BlockIndex(6));
        let mut window = Window::default();
        window.stored_before(&have);
        window.begin_turn(BlockIndex(3));
        assert!(
            !window.wants(BlockIndex(2), SymbolIndex(0)),
            "not in this turn"
        );
        assert!(
            !window.wants(BlockIndex(5), SymbolIndex(0)),
            "stored before"
        );
        window.passed_to(BlockIndex(8));
        let lacking: Vec<u32> = window.lacking(9).map(|(block, _)| block.0).collect();
        assert_eq!(lacking, [3, 6, 7]);
        fill(&mut window, 3, 4);
        window.stored(BlockIndex(3));
        assert_eq!(window.stored_below(), BlockIndex(6));
    }

    #[test]
    fn a_block_that_is_stored_after_its_turn_counts() {
        let mut window = Window::default();
        fill(&mut window, 2, 4);
        window.begin_turn(BlockIndex(0));
        assert!(
            !window.wants(BlockIndex(2), SymbolIndex(0)),
            "on its way to the disk"
        );
        window.stored(BlockIndex(2));
        assert!(window.have().contains(BlockIndex(2)));
        assert_eq!(window.backlog(), 0);
    }

    #[test]
    fn nothing_beyond_the_window_is_wanted() {
        let window = Window::default();
        assert!(window.wants(BlockIndex(WINDOW_BLOCKS - 1), SymbolIndex(0)));
        assert!(!window.wants(BlockIndex(WINDOW_BLOCKS), SymbolIndex(0)));
    }
}
