//! Tests of the erasure code: what can be lost and comes back, and what is refused.

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::*;
use crate::fec::ScalarKernel;

/// A block with K symbols, and the symbols that arrived: exactly K, of data and parity.
#[derive(Clone, Debug)]
struct Case {
    block: Vec<u8>,
    symbol_size: u16,
    data_symbols: u16,
    arrived: Vec<u16>,
}

fn cases(data_symbols: impl Strategy<Value = u16>) -> impl Strategy<Value = Case> {
    (data_symbols, 1_u16..40).prop_flat_map(|(data_symbols, symbol_size)| {
        let full = usize::from(data_symbols) * usize::from(symbol_size);
        let shortest = full - usize::from(symbol_size) + 1;
        (
            prop::collection::vec(any::<u8>(), shortest..=full),
            subsequence(Vec::from_iter(0..256), usize::from(data_symbols)),
        )
            .prop_map(move |(block, arrived)| Case {
                block,
                symbol_size,
                data_symbols,
                arrived,
            })
    })
}

fn parity(code: Code, case: &Case, symbol: SymbolIndex) -> Vec<u8> {
    let mut out = vec![0xEE; usize::from(case.symbol_size)];
    code.encode_parity(
        &ScalarKernel,
        &case.block,
        case.symbol_size,
        symbol,
        &mut out,
    )
    .unwrap();
    out
}

/// Encodes, loses all but the arrived symbols, and decodes with one parity withheld if so wished.
fn recover(case: &Case, withhold: bool) -> (Vec<u8>, Result<(), FecError>) {
    let code = Code::new(case.data_symbols).unwrap();
    let size = usize::from(case.symbol_size);
    let present: SymbolSet = case
        .arrived
        .iter()
        .filter(|n| **n < case.data_symbols)
        .map(|n| SymbolIndex(*n as u8))
        .collect();
    let mut parities: Vec<(SymbolIndex, Vec<u8>)> = case
        .arrived
        .iter()
        .filter(|number| **number >= case.data_symbols)
        .map(|number| SymbolIndex(*number as u8))
        .map(|symbol| (symbol, parity(code, case, symbol)))
        .collect();
    if withhold {
        parities.pop();
    }
    let mut block = case.block.clone();
    for symbol in present.missing(case.data_symbols) {
        block
            .chunks_mut(size)
            .nth(usize::from(symbol.0))
            .unwrap()
            .fill(0xAA);
    }
    let parities: Vec<(SymbolIndex, &[u8])> = parities
        .iter()
        .map(|(symbol, bytes)| (*symbol, bytes.as_slice()))
        .collect();
    let result = code.decode(
        &ScalarKernel,
        &mut block,
        case.symbol_size,
        &present,
        &parities,
    );
    (block, result)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_k_symbols_give_the_block_back(case in cases(1_u16..=183)) {
        let (block, result) = recover(&case, false);
        prop_assert_eq!(result, Ok(()));
        prop_assert!(block == case.block);
    }

    #[test]
    fn one_symbol_less_is_refused(case in cases(1_u16..=183)) {
        prop_assume!(case.arrived.iter().any(|number| *number >= case.data_symbols));
        let present = case.arrived.iter().filter(|number| **number < case.data_symbols).count() as u16;
        let missing = case.data_symbols - present;
        let (_, result) = recover(&case, true);
        prop_assert_eq!(result, Err(FecError::TooFewParities { missing, parities: missing - 1 }));
    }

    #[test]
    fn parity_does_not_depend_on_the_block_length(case in cases(2_u16..=183)) {
        // A block followed by symbols of zeros has the same parity under the larger K.
        let longer = Case {
            block: [case.block.clone(), vec![0; 5 * usize::from(case.symbol_size)]].concat(),
            data_symbols: symbols_in(case.block.len() as u32 + 5 * u32::from(case.symbol_size), case.symbol_size),
            ..case.clone()
        };
        let short = parity(Code::new(case.data_symbols).unwrap(), &case, SymbolIndex(250));
        let long = parity(Code::new(longer.data_symbols).unwrap(), &longer, SymbolIndex(250));
        prop_assert_eq!(short, long);
    }
}

#[test]
fn all_k_from_1_to_183_survive_the_heaviest_loss() {
    for data_symbols in 1..=183_u16 {
        let block: Vec<u8> = (0..u32::from(data_symbols) * 3 - 1)
            .map(|byte| (byte * 37) as u8)
            .collect();
        // The last K of the 256 symbols: data is lost as far as there is parity to replace it.
        let arrived = Vec::from_iter(256 - data_symbols..256);
        let case = Case {
            block,
            symbol_size: 3,
            data_symbols,
            arrived,
        };
        let (block, result) = recover(&case, false);
        assert_eq!(result, Ok(()), "K = {data_symbols}");
        assert_eq!(block, case.block, "K = {data_symbols}");
    }
}

#[test]
fn no_loss_is_no_work() {
    struct Forbidden;
    impl Kernel for Forbidden {
        fn mul_add(&self, _: &mut [u8], _: &[u8], _: u8) {
            panic!("nothing is to be computed");
        }
        fn add(&self, _: &mut [u8], _: &[u8]) {
            panic!("nothing is to be computed");
        }
    }
    let code = Code::new(4).unwrap();
    let mut block = *b"fourteen bytes";
    assert_eq!(
        code.decode(&Forbidden, &mut block, 4, &SymbolSet::first(4), &[]),
        Ok(())
    );
    assert_eq!(&block, b"fourteen bytes");
}

#[test]
fn nonsense_is_refused_and_leaves_the_block_alone() {
    let code = Code::new(3).unwrap();
    let mut block = [1, 2, 3, 4, 5];
    let present = SymbolSet::first(1);
    let mut decode = |parities: &[(SymbolIndex, &[u8])]| {
        code.decode(&ScalarKernel, &mut block, 2, &present, parities)
    };
    let (data, first) = (SymbolIndex(2), SymbolIndex(3));
    let not_parity = Err(FecError::NotParity { symbol: data });
    assert_eq!(decode(&[(data, &[0, 0]), (first, &[0, 0])]), not_parity);
    assert_eq!(
        decode(&[(first, &[0, 0]), (first, &[0, 0])]),
        Err(FecError::Repeated { symbol: first })
    );
    let too_long = Err(FecError::ParityLength {
        symbol: first,
        len: 3,
    });
    assert_eq!(
        decode(&[(first, &[0, 0, 0]), (SymbolIndex(4), &[0, 0])]),
        too_long
    );
    assert_eq!(block, [1, 2, 3, 4, 5]);
    let length = Err(FecError::BlockLength {
        len: 7,
        expected: 3,
    });
    assert_eq!(
        code.decode(&ScalarKernel, &mut [0; 7], 2, &present, &[]),
        length
    );
    let no_size = Err(FecError::BlockLength {
        len: 3,
        expected: 3,
    });
    assert_eq!(
        code.decode(&ScalarKernel, &mut [0; 3], 0, &present, &[]),
        no_size
    );
    assert_eq!(Code::new(0), Err(FecError::SymbolCount { count: 0 }));
    assert_eq!(Code::new(256), Err(FecError::SymbolCount { count: 256 }));
    assert!(Code::new(255).is_ok());
}
