//! Which symbols of a burst share a packet. How many may is decided in `hearing`; the packets are made by the
//! driver.

use crate::units::{BlockIndex, SymbolIndex};

/// Cuts the symbols of a burst into packets: up to `together` of one block whose numbers follow each other.
pub fn in_packets(
    symbols: &[(BlockIndex, SymbolIndex)],
    together: u8,
) -> impl Iterator<Item = &[(BlockIndex, SymbolIndex)]> {
    let follow = |(one, other): (&(BlockIndex, SymbolIndex), &(BlockIndex, SymbolIndex))| {
        one.0 == other.0 && one.1.0.checked_add(1) == Some(other.1.0)
    };
    let mut rest = symbols;
    std::iter::from_fn(move || {
        let most = rest.len().min(usize::from(together).max(1));
        let candidates = rest.get(..most).filter(|some| !some.is_empty())?;
        let pairs = candidates.iter().zip(&candidates[1..]);
        let (packet, after) = rest.split_at(1 + pairs.take_while(|pair| follow(*pair)).count());
        rest = after;
        Some(packet)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn symbol(block: u32, symbol: u8) -> (BlockIndex, SymbolIndex) {
        (BlockIndex(block), SymbolIndex(symbol))
    }

    #[test]
    fn a_packet_ends_where_numbers_do_not_follow_or_a_block_ends() {
        let symbols = [
            symbol(1, 180),
            symbol(1, 181),
            symbol(1, 182),
            symbol(2, 183),
            symbol(2, 184),
            symbol(2, 190),
            symbol(2, 255),
            symbol(2, 0),
        ];
        let lens = |together| -> Vec<usize> {
            let packets = in_packets(&symbols, together);
            packets.map(<[_]>::len).collect()
        };
        assert_eq!(lens(6), [3, 2, 1, 1, 1]);
        assert_eq!(lens(2), [2, 1, 2, 1, 1, 1]);
        assert_eq!(lens(1), [1; 8]);
        assert_eq!(lens(0), [1; 8], "none at all is not asked for");
    }

    proptest! {
        #[test]
        fn every_symbol_is_in_one_packet_in_its_order(
            steps in proptest::collection::vec((0_u32..2, any::<u8>()), 0..60),
            together in 0_u8..8,
        ) {
            let symbols: Vec<_> = steps.iter().map(|(block, it)| symbol(*block, *it % 4)).collect();
            let packets: Vec<_> = in_packets(&symbols, together).collect();
            prop_assert_eq!(packets.concat(), &symbols[..]);
            for packet in packets {
                prop_assert!((1..=usize::from(together.max(1))).contains(&packet.len()));
                for (offset, it) in packet.iter().enumerate() {
                    prop_assert_eq!(*it, symbol(packet[0].0.0, packet[0].1.0 + offset as u8));
                }
            }
        }
    }
}
