//! Which packet numbers have been seen: a sliding bitmap (the method of RFC 6479).
//!
//! A number older than the window counts as seen: better a repair than a replay.

use crate::units::Sequence;

/// Numbers remembered behind the highest: at 10 Gbit/s about 70 ms of packets.
const WINDOW: u64 = 1 << 16;

/// Words of the bitmap: one more than the window has, as it seldom begins where a word does, and a word is cleared as
/// soon as it gets its first new number (RFC 6479, section 2).
const WORDS: usize = (WINDOW / 64) as usize + 1;

/// The window over the packet numbers of one key.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    seen: Box<[u64; WORDS]>,
    /// One more than the highest number seen; numbers in `[end - WINDOW, end)` are in `seen`.
    end: u64,
}

impl ReplayWindow {
    /// A window that has seen nothing.
    pub fn new() -> Self {
        Self {
            seen: Box::new([0; WORDS]),
            end: 0,
        }
    }

    /// Whether `sequence` was not seen before; it is from now on. Ask only for packets that opened.
    pub fn insert(&mut self, sequence: Sequence) -> bool {
        let number = sequence.0;
        if number.saturating_add(WINDOW) < self.end {
            return false;
        }
        if number >= self.end {
            self.advance(number);
        }
        let (word, bit) = (((number / 64) as usize) % WORDS, 1u64 << (number % 64));
        let fresh = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        fresh
    }

    /// Makes `number` the highest, forgetting what leaves the window.
    fn advance(&mut self, number: u64) {
        let first_new_word = self.end.div_ceil(64);
        let last_new_word = number / 64;
        if last_new_word >= first_new_word {
            let count = (last_new_word - first_new_word + 1).min(WORDS as u64);
            for offset in 0..count {
                self.seen[((last_new_word - offset) as usize) % WORDS] = 0;
            }
        }
        self.end = number.saturating_add(1);
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_number_is_fresh_once() {
        let mut window = ReplayWindow::new();
        assert!(window.insert(Sequence(5)));
        assert!(!window.insert(Sequence(5)));
        assert!(window.insert(Sequence(4)));
        assert!(window.insert(Sequence(5 + 2 * WINDOW)));
        assert!(!window.insert(Sequence(4)), "older than the window");
        assert!(!window.insert(Sequence(6)), "older than the window");
    }

    #[test]
    fn what_is_still_in_the_window_is_never_fresh_again() {
        for last in WINDOW..WINDOW + 130 {
            let mut window = ReplayWindow::new();
            for number in 0..=last {
                assert!(window.insert(Sequence(number)));
            }
            for number in (0..200).chain(last - 200..=last) {
                assert!(!window.insert(Sequence(number)), "{number} of {last}");
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(steps in proptest::collection::vec(0u64..200_000, 1..400)) {
            let mut window = ReplayWindow::new();
            let mut seen = BTreeSet::new();
            let mut end = 0;
            for number in steps {
                let fresh = window.insert(Sequence(number));
                if number + WINDOW >= end + 64 {
                    prop_assert_eq!(fresh, !seen.contains(&number));
                }
                prop_assert!(!fresh || !seen.contains(&number), "never twice");
                seen.insert(number);
                end = end.max(number + 1);
            }
        }
    }
}
