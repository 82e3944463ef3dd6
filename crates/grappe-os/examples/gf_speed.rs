//! Measures the GF(2^8) kernel that this processor gets, on symbols of the usual size.
//!
//! Run it as `cargo run --release --example gf_speed -p grappe-os`. Not a benchmark suite: one number
//! per operation, the best of several rounds, to tell whether parity can keep up with the line.

use std::{hint::black_box, time::Instant};

use grappe_os::gf;

/// Payload of one packet on a 1,500-byte link.
const SYMBOL_BYTES: usize = 1_433;

/// Symbols in a block: 183 kB, larger than the first-level cache, as in a real encoder.
const SYMBOLS: usize = 128;

const ROUNDS: usize = 20;
const PASSES: usize = 200;

fn main() {
    let block: Vec<Vec<u8>> = (0..SYMBOLS)
        .map(|index| {
            (0..SYMBOL_BYTES)
                .map(|byte| (byte * 31 + index) as u8)
                .collect()
        })
        .collect();
    let mut parity = vec![0_u8; SYMBOL_BYTES];

    println!("kernel {}", gf::kernel_name());
    report("mul_add", &block, |symbol, index| {
        gf::mul_add(&mut parity, symbol, (index % 254) as u8 + 2);
    });
    report("add", &block, |symbol, _| gf::add(&mut parity, symbol));
    black_box(parity);
}

/// Prints the best rate of `step` over the block, in gigabytes of source per second.
fn report(name: &str, block: &[Vec<u8>], mut step: impl FnMut(&[u8], usize)) {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..PASSES {
            for (index, symbol) in block.iter().enumerate() {
                step(black_box(symbol), index);
            }
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    let bytes = (SYMBOL_BYTES * SYMBOLS * PASSES) as f64;
    println!("{name:8} {:7.2} GB/s", bytes / best / 1e9);
}
