//! How long the hashes of a block of short files take, together and one by one.
//!
//! Run it as `cargo run --release --example digest_speed -p grappe-proto`. Not a test: it judges no figure.

use std::hint::black_box;
use std::time::{Duration, Instant};

use grappe_proto::content::digest::{PieceBytes, piece_digest, piece_digests};
use grappe_proto::limits::BLOCK_SIZE;

const ROUNDS: usize = 9;
const BLOCKS: usize = 200;

fn main() {
    // Some more than one block: they come from memory, not from the fastest cache.
    let content: Vec<Vec<u8>> = (0..BLOCKS)
        .map(|block| vec![block as u8; BLOCK_SIZE as usize])
        .collect();
    for len in [
        300, 1024, 2048, 3000, 4096, 5000, 8192, 12_288, 16_384, 20_000, 40_000,
    ] {
        for count in [2, 4, 8, 16, BLOCK_SIZE as usize / len] {
            if count * len <= BLOCK_SIZE as usize {
                measure(&content, len, count);
            }
        }
    }
}

/// Prints the time for one file of `len` bytes, `count` of which share a block.
fn measure(content: &[Vec<u8>], len: usize, count: usize) {
    let blocks: Vec<Vec<PieceBytes<'_>>> = content
        .iter()
        .map(|block| {
            let files = block.chunks_exact(len).take(count);
            let piece = |bytes| PieceBytes {
                file_len: len as u64,
                offset: 0,
                bytes,
            };
            files.map(piece).collect()
        })
        .collect();
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        together.push(time(|| {
            for block in &blocks {
                black_box(piece_digests(block));
            }
        }));
        alone.push(time(|| {
            for piece in blocks.iter().flatten() {
                black_box(piece_digest(piece.file_len, piece.offset, piece.bytes));
            }
        }));
    }
    let each = |times: &mut Vec<Duration>| {
        times.sort();
        times[ROUNDS / 2].as_nanos() as f64 / (BLOCKS * count) as f64
    };
    let (together, alone) = (each(&mut together), each(&mut alone));
    println!(
        "{count:3} files of {len:6} bytes: {together:7.0} ns each together, {alone:7.0} alone, {:4.2}",
        together / alone
    );
}

#[expect(
    clippy::disallowed_methods,
    reason = "this example measures; nothing in the library does"
)]
fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
