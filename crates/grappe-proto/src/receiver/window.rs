//! Which symbols of which blocks are there: the stretch of the stream between the first block that is
//! not stored and the last that anything was seen of.

use std::collections::VecDeque;

use crate::fec::SymbolSet;
use crate::limits::WINDOW_BLOCKS;
use crate::units::{BlockIndex, SymbolIndex};

/// The window. Blocks before it are stored; blocks beyond what it holds have not been seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    stored_below: BlockIndex,
    blocks: VecDeque<Block>,
    /// Every block before this one was sent once.
    passed: BlockIndex,
    backlog: u16,
}

#[derive(Clone, Copy, Debug)]
enum Block {
    Open(SymbolSet),
    Storing,
    Stored,
}

impl Window {
    pub(super) const fn stored_below(&self) -> BlockIndex {
        self.stored_below
    }

    pub(super) const fn passed(&self) -> BlockIndex {
        self.passed
    }

    /// Blocks that are whole but not stored.
    pub(super) const fn backlog(&self) -> u16 {
        self.backlog
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
            Some(Block::Storing | Block::Stored) => false,
            None => index < WINDOW_BLOCKS,
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
            self.blocks.push_back(Block::Open(SymbolSet::EMPTY));
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
        *slot = Block::Storing;
        self.backlog = self.backlog.saturating_add(1);
        Some(present)
    }

    /// Takes note that a whole block is stored.
    pub(super) fn stored(&mut self, block: BlockIndex) {
        let Some(index) = block.0.checked_sub(self.stored_below.0) else {
            return;
        };
        let Some(slot @ Block::Storing) = self.blocks.get_mut(index as usize) else {
            return;
        };
        *slot = Block::Stored;
        self.backlog = self.backlog.saturating_sub(1);
        while let Some(Block::Stored) = self.blocks.front() {
            self.blocks.pop_front();
            self.stored_below = self.stored_below.next();
        }
    }

    /// The first `max` blocks that were sent once and are not whole, with what is present.
    pub(super) fn lacking(&self, max: usize) -> impl Iterator<Item = (BlockIndex, SymbolSet)> {
        let end = self
            .passed
            .0
            .min(self.stored_below.0.saturating_add(WINDOW_BLOCKS));
        (self.stored_below.0..end)
            .filter_map(|block| {
                let index = (block - self.stored_below.0) as usize;
                match self.blocks.get(index) {
                    Some(Block::Open(present)) => Some((BlockIndex(block), *present)),
                    Some(Block::Storing | Block::Stored) => None,
                    None => Some((BlockIndex(block), SymbolSet::EMPTY)),
                }
            })
            .take(max)
    }

    /// Makes stored blocks empty again. Called when everything is stored, so the window is empty.
    pub(super) fn reopen(&mut self, wrong: &[BlockIndex]) {
        let (Some(first), Some(last)) = (wrong.iter().min(), wrong.iter().max()) else {
            return;
        };
        if *last >= self.stored_below {
            return;
        }
        let old_end = self.stored_below;
        // Only the first of them are asked for at a time, as `lacking` looks no further than the window.
        self.blocks = (first.0..old_end.0).map(|_| Block::Stored).collect();
        for block in wrong {
            self.blocks[(block.0 - first.0) as usize] = Block::Open(SymbolSet::EMPTY);
        }
        self.stored_below = *first;
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
    fn nothing_beyond_the_window_is_wanted() {
        let window = Window::default();
        assert!(window.wants(BlockIndex(WINDOW_BLOCKS - 1), SymbolIndex(0)));
        assert!(!window.wants(BlockIndex(WINDOW_BLOCKS), SymbolIndex(0)));
    }
}
