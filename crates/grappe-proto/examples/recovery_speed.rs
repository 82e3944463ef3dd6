//! How long the erasure code takes to make parity of a block and to bring lost symbols back.
//!
//! Run it as `cargo run --release --example recovery_speed -p grappe-proto`. Not a test: it judges no
//! figure. The kernel is the portable one; `gf_speed` of grappe-os has those of the processor.

use std::time::{Duration, Instant};

use grappe_proto::content::stream::symbols_in;
use grappe_proto::fec::{Code, FecError, ScalarKernel, SymbolSet};
use grappe_proto::limits::{BLOCK_SIZE, SYMBOL_SIZE};
use grappe_proto::units::SymbolIndex;

const REPEATS: u32 = 200;

fn main() -> Result<(), FecError> {
    let block: Vec<u8> = (0..BLOCK_SIZE).map(|byte| (byte * 37) as u8).collect();
    let code = Code::new(symbols_in(BLOCK_SIZE, SYMBOL_SIZE))?;
    for losses in [1, 2, 4, 8, 16, 64] {
        measure(&code, &block, losses)?;
    }
    Ok(())
}

fn measure(code: &Code, block: &[u8], losses: u8) -> Result<(), FecError> {
    let (parities, encoding) = parities(code, block, losses)?;
    let mut present = SymbolSet::first(code.data_symbols());
    for nth in 0..losses {
        present.remove(SymbolIndex(2 * nth + 1));
    }
    let parities: Vec<_> = (parities.iter())
        .map(|(symbol, bytes)| (*symbol, bytes.as_slice()))
        .collect();
    let mut damaged = block.to_vec();
    let start = now();
    for _ in 0..REPEATS {
        code.decode(
            &ScalarKernel,
            &mut damaged,
            SYMBOL_SIZE,
            &present,
            &parities,
        )?;
    }
    let decoding = start.elapsed() / REPEATS;
    assert!(damaged == block, "the block did not come back");
    let each = decoding / u32::from(losses);
    println!("{losses} lost: {decoding:?}, {each:?} each; encoding {encoding:?} each");
    Ok(())
}

type Parities = Vec<(SymbolIndex, Vec<u8>)>;

/// The first parity symbols of the block, and how long each took.
fn parities(code: &Code, block: &[u8], count: u8) -> Result<(Parities, Duration), FecError> {
    let mut parities = Parities::new();
    let start = now();
    for nth in 0..count {
        let symbol = code.parity_symbol(nth.into());
        let mut bytes = vec![0; usize::from(SYMBOL_SIZE)];
        code.encode_parity(&ScalarKernel, block, SYMBOL_SIZE, symbol, &mut bytes)?;
        parities.push((symbol, bytes));
    }
    Ok((parities, start.elapsed() / u32::from(count)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a measurement needs the clock; the code has none"
)]
fn now() -> Instant {
    Instant::now()
}
