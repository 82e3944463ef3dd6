//! What is missing where, and which symbols to send for it.
//!
//! The ledger of one sender: it takes the lacks that receivers report, sets off what is on the way to
//! them already, and answers with as few symbols as serve all: the very symbols where losses
//! coincide, fresh parity where they differ. When to send them is the sender's business.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::fec::SymbolSet;
use crate::limits::SYMBOLS_WITH_PARITY_MAX;
use crate::units::{BlockIndex, Sequence, SymbolIndex, Time};
use crate::wire::report::Lack;

/// Repairs of one block remembered as on the way. More than a block has symbols: enough for any
/// round, and a bound on what a receiver can make the sender remember.
const IN_FLIGHT_MAX: usize = 512;

/// Answers to one block before it has to rest between them. With a tenth of all packets lost, not one
/// block in a million needs as many.
const ROUNDS_AT_ONCE: u32 = 8;

/// The longest rest between two answers.
const REST_MAX: Duration = Duration::from_secs(4);

/// All that receivers lack and that is not served yet.
#[derive(Clone, Debug, Default)]
pub struct RepairLedger {
    blocks: BTreeMap<BlockIndex, BlockRepair>,
    /// Blocks with something to send, in stream order.
    asked: BTreeSet<BlockIndex>,
}

#[derive(Clone, Debug)]
struct BlockRepair {
    /// The next parity symbol never sent before.
    parity_next: u16,
    /// The most that one receiver needs beyond what is on the way to it.
    need: u16,
    /// Every data symbol that some receiver lacks.
    missing: SymbolSet,
    asked_at: Time,
    /// Answers given, and when the next one may be.
    rounds: u32,
    rest_until: Time,
    /// Symbols that were answered, in all.
    answered: u32,
    /// Data symbols.
    symbols: u16,
    /// Repairs sent, oldest first.
    in_flight: Vec<(Sequence, SymbolIndex)>,
}

impl RepairLedger {
    /// Takes note that a receiver which has processed packets up to `highest` has this lack, in a block
    /// of `symbols` data symbols.
    pub fn lack(&mut self, now: Time, lack: &Lack, highest: Sequence, symbols: u16) {
        let block = self
            .blocks
            .entry(lack.block)
            .or_insert_with(|| BlockRepair {
                parity_next: symbols,
                need: 0,
                missing: SymbolSet::EMPTY,
                asked_at: now,
                rounds: 0,
                rest_until: now,
                answered: 0,
                symbols,
                in_flight: Vec::new(),
            });
        let mut missing = lack.missing.intersection(SymbolSet::first(symbols));
        let mut on_the_way = 0;
        for (_, symbol) in block
            .in_flight
            .iter()
            .filter(|(sequence, _)| *sequence > highest)
        {
            // A data symbol on the way helps a receiver that lacks it; parity helps any.
            on_the_way += u16::from(missing.remove(*symbol) || u16::from(symbol.0) >= symbols);
        }
        let need = u16::from(lack.need)
            .saturating_sub(on_the_way)
            .min(missing.count());
        if need == 0 {
            return;
        }
        if block.need == 0 {
            block.asked_at = now;
        }
        block.need = block.need.max(need);
        block.missing = block.missing.union(missing);
        self.asked.insert(lack.block);
    }

    /// The first block whose repair is due, and the symbols to send: one for which `heard_by_all` says
    /// that every receiver had its chance to ask, or that has waited for `patience`. Blocks that were sent
    /// again in full and more come only when there is `nothing_else` to send: some receiver's way is
    /// hopeless, or it lies.
    pub fn due(
        &mut self,
        now: Time,
        patience: Duration,
        nothing_else: bool,
        mut heard_by_all: impl FnMut(BlockIndex) -> bool,
    ) -> Option<(BlockIndex, Vec<SymbolIndex>)> {
        let blocks = &self.blocks;
        let mut due = |(index, asked_at): (BlockIndex, Time)| {
            now.since(asked_at) >= patience || heard_by_all(index)
        };
        let index = self
            .asked
            .iter()
            .filter_map(|index| Some((*index, blocks.get(index)?)))
            .filter(|(_, block)| now >= block.rest_until)
            .filter(|(_, block)| nothing_else || !block.is_hopeless())
            .map(|(index, block)| (index, block.asked_at))
            .take(64)
            .find_map(|candidate| due(candidate).then_some(candidate.0))?;
        self.asked.remove(&index);
        let block = self.blocks.get_mut(&index)?;
        block.rest(now, patience);
        Some((index, block.answer()))
    }

    /// Whether something waits to be repaired.
    pub fn is_idle(&self) -> bool {
        self.asked.is_empty()
    }

    /// Takes note that `symbol` of `block` left under number `sequence` as a repair.
    pub fn sent(&mut self, block: BlockIndex, symbol: SymbolIndex, sequence: Sequence) {
        let Some(block) = self.blocks.get_mut(&block) else {
            return;
        };
        if block.in_flight.len() >= IN_FLIGHT_MAX {
            block.in_flight.drain(..IN_FLIGHT_MAX / 2);
        }
        block.in_flight.push((sequence, symbol));
    }

    /// Forgets the blocks below `index`: everybody has them.
    pub fn forget_below(&mut self, index: BlockIndex) {
        self.blocks = self.blocks.split_off(&index);
        self.asked = self.asked.split_off(&index);
    }
}

impl BlockRepair {
    /// Postpones the next answer when there were many: some receiver's way is hopeless or it lies, and
    /// the others' blocks go first.
    fn rest(&mut self, now: Time, patience: Duration) {
        self.rounds += 1;
        if let Some(excess) = self.rounds.checked_sub(ROUNDS_AT_ONCE) {
            self.rest_until = now + (patience * (1 << excess.min(10))).min(REST_MAX);
        }
    }

    /// Whether it was sent again in full twice, and is still asked for.
    fn is_hopeless(&self) -> bool {
        self.answered >= 2 * u32::from(self.symbols)
    }

    /// The symbols that serve what was asked; nothing is asked afterwards.
    fn answer(&mut self) -> Vec<SymbolIndex> {
        let need = std::mem::take(&mut self.need);
        self.answered += u32::from(need);
        let missing = std::mem::take(&mut self.missing);
        let parity_left = SYMBOLS_WITH_PARITY_MAX - self.parity_next;
        if missing.count() <= need || need > parity_left {
            return missing.iter().collect();
        }
        let first = self.parity_next;
        self.parity_next += need;
        (first..self.parity_next)
            .map(|symbol| SymbolIndex(symbol as u8))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::ZERO;

    fn lack(need: u8, missing: &[u8]) -> Lack {
        let missing = missing.iter().map(|symbol| SymbolIndex(*symbol)).collect();
        Lack {
            block: BlockIndex(7),
            need,
            missing,
        }
    }

    fn due(ledger: &mut RepairLedger) -> Option<Vec<u8>> {
        let (block, symbols) = ledger.due(NOW, Duration::from_secs(1), true, |_| true)?;
        assert_eq!(block, BlockIndex(7));
        Some(symbols.iter().map(|symbol| symbol.0).collect())
    }

    #[test]
    fn the_same_loss_is_sent_again_once() {
        let mut ledger = RepairLedger::default();
        for _ in 0..3 {
            ledger.lack(NOW, &lack(2, &[4, 9]), Sequence(10), 100);
        }
        assert_eq!(due(&mut ledger), Some(vec![4, 9]));
        assert_eq!(due(&mut ledger), None);
    }

    #[test]
    fn different_losses_share_parity() {
        let mut ledger = RepairLedger::default();
        ledger.lack(NOW, &lack(2, &[4, 9]), Sequence(10), 100);
        ledger.lack(NOW, &lack(1, &[5]), Sequence(10), 100);
        assert_eq!(due(&mut ledger), Some(vec![100, 101]));
        ledger.lack(NOW, &lack(2, &[4, 9]), Sequence(10), 100);
        ledger.lack(NOW, &lack(1, &[5]), Sequence(10), 100);
        assert_eq!(
            due(&mut ledger),
            Some(vec![102, 103]),
            "parity is never sent twice"
        );
    }

    #[test]
    fn what_is_asked_for_without_end_comes_after_everything_else() {
        let mut ledger = RepairLedger::default();
        let all: Vec<u8> = (0..100).collect();
        let mut due = |nothing_else| {
            ledger.lack(NOW, &lack(100, &all), Sequence(10), 100);
            let due = ledger.due(NOW, Duration::from_secs(1), nothing_else, |_| true);
            due.map(|(_, symbols)| symbols.len())
        };
        assert_eq!([due(false), due(false)], [Some(100); 2]);
        assert_eq!(due(false), None, "the others' blocks go first");
        assert_eq!(due(true), Some(100), "but it is not given up");
    }

    #[test]
    fn what_is_on_the_way_is_set_off() {
        let mut ledger = RepairLedger::default();
        ledger.lack(NOW, &lack(2, &[4, 9]), Sequence(10), 100);
        for (symbol, sequence) in due(&mut ledger).unwrap().into_iter().zip(20..) {
            ledger.sent(BlockIndex(7), SymbolIndex(symbol), Sequence(sequence));
        }
        ledger.lack(NOW, &lack(2, &[4, 9]), Sequence(19), 100);
        assert_eq!(due(&mut ledger), None, "both are on the way");
        ledger.lack(NOW, &lack(1, &[9]), Sequence(30), 100);
        assert_eq!(due(&mut ledger), Some(vec![9]), "that one was lost again");
    }

    #[test]
    fn exhausted_parity_falls_back_to_the_data() {
        let mut ledger = RepairLedger::default();
        let many: Vec<u8> = (0..90).collect();
        ledger.lack(NOW, &lack(80, &many), Sequence(0), 183);
        assert_eq!(
            due(&mut ledger).unwrap(),
            many,
            "73 parity symbols cannot make up for 80"
        );
    }

    #[test]
    fn waits_until_all_were_heard_or_patience_ends() {
        let mut ledger = RepairLedger::default();
        ledger.lack(NOW, &lack(1, &[1]), Sequence(0), 10);
        let patience = Duration::from_millis(5);
        assert_eq!(ledger.due(NOW, patience, false, |_| false), None);
        assert!(
            ledger
                .due(NOW + patience, patience, false, |_| false)
                .is_some()
        );
    }

    #[test]
    fn a_block_that_is_asked_for_again_and_again_has_to_rest() {
        let mut ledger = RepairLedger::default();
        let mut answers = 0;
        for milli in 0..60_000 {
            let now = Time::from_nanos(milli * 1_000_000);
            ledger.lack(now, &lack(1, &[1]), Sequence(milli), 100);
            answers += u32::from(
                ledger
                    .due(now, Duration::from_millis(10), true, |_| true)
                    .is_some(),
            );
        }
        assert!((15..40).contains(&answers), "{answers}");
    }

    #[test]
    fn a_lie_about_symbols_that_do_not_exist_asks_for_nothing() {
        let mut ledger = RepairLedger::default();
        ledger.lack(NOW, &lack(3, &[200, 201, 202]), Sequence(0), 10);
        assert_eq!(due(&mut ledger), None);
    }
}
