//! A set of symbols of one block: which of them a node has, or lacks.
//!
//! Its four words are also its form on the wire; how they are written there is not said here.

use crate::units::SymbolIndex;

/// A set of the 256 possible symbols of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SymbolSet {
    /// Symbol n is bit n % 64 of word n / 64.
    words: [u64; 4],
}

impl SymbolSet {
    /// The set without symbols.
    pub const EMPTY: Self = Self { words: [0; 4] };

    /// The symbols below `count`: all data symbols of a block of K symbols when `count` is K. All 256
    /// symbols when `count` is 256 or more.
    pub fn first(count: u16) -> Self {
        let word = |number: u16| match count.saturating_sub(64 * number) {
            0 => 0,
            rest @ 1..=63 => (1 << rest) - 1,
            64.. => u64::MAX,
        };
        Self {
            words: [word(0), word(1), word(2), word(3)],
        }
    }

    /// The set with these words: symbol n is bit n % 64 of word n / 64.
    pub const fn from_words(words: [u64; 4]) -> Self {
        Self { words }
    }

    /// The set as words: symbol n is bit n % 64 of word n / 64.
    pub const fn words(&self) -> [u64; 4] {
        self.words
    }

    /// Puts `symbol` into the set; says whether it was new there.
    pub fn insert(&mut self, symbol: SymbolIndex) -> bool {
        let is_new = !self.contains(symbol);
        let (word, bit) = position(symbol);
        self.words[word] |= bit;
        is_new
    }

    /// Takes `symbol` out of the set; says whether it was there.
    pub fn remove(&mut self, symbol: SymbolIndex) -> bool {
        let was_there = self.contains(symbol);
        let (word, bit) = position(symbol);
        self.words[word] &= !bit;
        was_there
    }

    /// Whether `symbol` is in the set.
    pub const fn contains(&self, symbol: SymbolIndex) -> bool {
        let (word, bit) = position(symbol);
        self.words[word] & bit != 0
    }

    /// How many symbols are in the set, 0 to 256.
    pub fn count(&self) -> u16 {
        self.words.iter().map(|word| word.count_ones() as u16).sum()
    }

    /// Whether no symbol is in the set.
    pub fn is_empty(&self) -> bool {
        self.words == [0; 4]
    }

    /// The symbols in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self {
            words: std::array::from_fn(|word| self.words[word] | other.words[word]),
        }
    }

    /// The symbols in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self {
            words: std::array::from_fn(|word| self.words[word] & other.words[word]),
        }
    }

    /// The symbols of this set that are not in `other`.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        Self {
            words: std::array::from_fn(|word| self.words[word] & !other.words[word]),
        }
    }

    /// The symbols in the set, in ascending order.
    pub fn iter(self) -> impl Iterator<Item = SymbolIndex> {
        let ascending = self.words.into_iter().enumerate();
        ascending.flat_map(|(number, word)| {
            // Each rest is the one before without its lowest bit.
            let lowest = |rest: u64| (rest != 0).then(|| rest.trailing_zeros());
            let rests = std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)));
            rests
                .map_while(lowest)
                .map(move |bit| SymbolIndex((64 * number as u32 + bit) as u8))
        })
    }

    /// The symbols below `count` that are not in the set, in ascending order: the data symbols that a
    /// block of K symbols lacks when `count` is K.
    pub fn missing(self, count: u16) -> impl Iterator<Item = SymbolIndex> {
        Self::first(count).difference(self).iter()
    }
}

impl FromIterator<SymbolIndex> for SymbolSet {
    fn from_iter<I: IntoIterator<Item = SymbolIndex>>(symbols: I) -> Self {
        let mut set = Self::EMPTY;
        for symbol in symbols {
            set.insert(symbol);
        }
        set
    }
}

/// The word of `symbol` and its bit in that word.
const fn position(symbol: SymbolIndex) -> (usize, u64) {
    ((symbol.0 / 64) as usize, 1 << (symbol.0 % 64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_set(
            left in prop::collection::btree_set(any::<u8>(), 0..256),
            right in prop::collection::btree_set(any::<u8>(), 0..256),
            count in 0_u16..=300,
        ) {
            let set = |numbers: &BTreeSet<u8>| numbers.iter().copied().map(SymbolIndex).collect::<SymbolSet>();
            let numbers = |set: SymbolSet| set.iter().map(|symbol| symbol.0).collect::<Vec<u8>>();
            prop_assert_eq!(numbers(set(&left)), Vec::from_iter(left.iter().copied()));
            prop_assert_eq!(usize::from(set(&left).count()), left.len());
            prop_assert_eq!(set(&left).is_empty(), left.is_empty());
            prop_assert_eq!(set(&left).union(set(&right)), set(&(&left | &right)));
            prop_assert_eq!(set(&left).intersection(set(&right)), set(&(&left & &right)));
            prop_assert_eq!(set(&left).difference(set(&right)), set(&(&left - &right)));
            let missing: Vec<u8> = set(&left).missing(count).map(|symbol| symbol.0).collect();
            let expected = (0..=255).filter(|number| u16::from(*number) < count && !left.contains(number));
            prop_assert_eq!(missing, Vec::from_iter(expected));
            prop_assert_eq!(SymbolSet::from_words(set(&left).words()), set(&left));
        }
    }

    #[test]
    fn insert_and_remove_say_what_changed() {
        let mut set = SymbolSet::EMPTY;
        assert!(set.insert(SymbolIndex(200)));
        assert!(!set.insert(SymbolIndex(200)));
        assert!(set.remove(SymbolIndex(200)));
        assert!(!set.remove(SymbolIndex(200)));
        assert_eq!(set, SymbolSet::EMPTY);
    }
}
