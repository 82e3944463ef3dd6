//! BLAKE3 of several short files at once, for `piece_digests`: the same hashes as one by one, in less time.
//!
//! One file of a few chunks leaves most lanes of a wide processor idle; the n-th chunks of many files fill them. A long
//! file fills them alone, and a single chunk none: they are not for here. The crate has the function that hashes many
//! inputs side by side, without a promise to keep it: `Cargo.toml` holds its version fast, and tests compare with its
//! ordinary hash. See `docs/design/0013`.

use blake3::hazmat::HasherExt;
use blake3::platform::Platform;
use blake3::{BLOCK_LEN, CHUNK_LEN, IncrementCounter, OUT_LEN};

use crate::units::Digest;

/// Files of more chunks fill the lanes alone: there are 16 at most.
const CHUNKS_MAX: usize = 16;

/// Fewer files than this are hashed one by one: below, files of several KiB took longer together (`digest_speed`).
pub(super) const TOGETHER_MIN: usize = 8;

/// What every chunk and every parent begins with (BLAKE3 paper, table 1).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// The domain flags (BLAKE3 paper, table 3).
const CHUNK_START: u8 = 1 << 0;
const CHUNK_END: u8 = 1 << 1;
const PARENT: u8 = 1 << 2;
const ROOT: u8 = 1 << 3;

type Chaining = [u8; OUT_LEN];

/// The tree of one file: its chaining values of the level that is worked on.
struct Tree {
    /// Index of the file among those asked for.
    file: usize,
    /// Index of the first of its values.
    first: usize,
    len: usize,
}

/// Whether a file of `len` bytes gains by it.
pub(super) const fn gains(len: usize) -> bool {
    CHUNK_LEN < len && len <= CHUNKS_MAX * CHUNK_LEN
}

/// The hashes of `files`, in their order. Each must gain.
pub(super) fn hashes(files: &[&[u8]]) -> Vec<Digest> {
    let mut trees = Vec::with_capacity(files.len());
    let mut count = 0;
    for (file, bytes) in files.iter().enumerate() {
        let (first, len) = (count, bytes.len().div_ceil(CHUNK_LEN));
        trees.push(Tree { file, first, len });
        count += len;
    }
    let mut values = vec![Chaining::default(); count];
    hash_chunks(files, &trees, &mut values);
    let mut hashes = vec![Digest::default(); files.len()];
    while !trees.is_empty() {
        let (done, others) = trees.into_iter().partition(|tree| tree.len == 2);
        trees = others;
        finish(&done, &values, &mut hashes);
        join_pairs(&mut trees, &mut values);
    }
    hashes
}

/// Fills in the `values` of the chunks.
fn hash_chunks(files: &[&[u8]], trees: &[Tree], values: &mut [Chaining]) {
    let longest = trees.iter().map(|tree| tree.len).max().unwrap_or(0);
    let (mut inputs, mut places) = (Vec::new(), Vec::new());
    for number in 0..longest {
        inputs.clear();
        places.clear();
        let offset = number * CHUNK_LEN;
        for tree in trees {
            let rest = files[tree.file].get(offset..).unwrap_or_default();
            if let Some(chunk) = rest.first_chunk::<CHUNK_LEN>() {
                inputs.push(chunk);
                places.push(tree.first + number);
            } else if !rest.is_empty() {
                let mut hasher = blake3::Hasher::new();
                hasher.set_input_offset(offset as u64).update(rest);
                values[tree.first + number] = hasher.finalize_non_root();
            }
        }
        let (start, end) = (CHUNK_START, CHUNK_END);
        for (place, value) in places
            .iter()
            .zip(side_by_side(&inputs, number, 0, start, end))
        {
            values[*place] = value;
        }
    }
}

/// Makes one level of parents: of each tree, two values that follow one another become one, and a last one without
/// another stays (BLAKE3 paper, section 2.1).
fn join_pairs(trees: &mut [Tree], values: &mut [Chaining]) {
    let (mut inputs, mut places) = (Vec::new(), Vec::new());
    for tree in &*trees {
        let pairs = values[tree.first..tree.first + tree.len].as_chunks::<2>().0;
        inputs.extend(pairs.iter().map(joined));
        places.extend((tree.first..).take(pairs.len()));
    }
    let inputs: Vec<&[u8; BLOCK_LEN]> = inputs.iter().collect();
    for (place, value) in places.iter().zip(side_by_side(&inputs, 0, PARENT, 0, 0)) {
        values[*place] = value;
    }
    for tree in trees {
        if !tree.len.is_multiple_of(2) {
            values[tree.first + tree.len / 2] = values[tree.first + tree.len - 1];
        }
        tree.len = tree.len.div_ceil(2);
    }
}

/// Makes the roots of trees that have two values left: the hashes of their files.
fn finish(trees: &[Tree], values: &[Chaining], hashes: &mut [Digest]) {
    let pair = |tree: &Tree| joined(&[values[tree.first], values[tree.first + 1]]);
    let inputs: Vec<[u8; BLOCK_LEN]> = trees.iter().map(pair).collect();
    let inputs: Vec<&[u8; BLOCK_LEN]> = inputs.iter().collect();
    let roots = side_by_side(&inputs, 0, PARENT | ROOT, 0, 0);
    for (tree, root) in trees.iter().zip(roots) {
        hashes[tree.file] = Digest(root);
    }
}

/// What a parent of two values hashes.
fn joined(pair: &[Chaining; 2]) -> [u8; BLOCK_LEN] {
    let mut input = [0; BLOCK_LEN];
    input.copy_from_slice(pair.as_flattened());
    input
}

/// The chaining values of `inputs`, which stand all at place `counter` of their trees. `start` and `end` are further
/// flags of the first and the last block of each.
fn side_by_side<const LEN: usize>(
    inputs: &[&[u8; LEN]],
    counter: usize,
    flags: u8,
    start: u8,
    end: u8,
) -> Vec<Chaining> {
    let mut values = vec![Chaining::default(); inputs.len()];
    Platform::detect().hash_many(
        inputs,
        &INITIAL,
        counter as u64,
        IncrementCounter::No,
        flags,
        start,
        end,
        values.as_flattened_mut(),
    );
    values
}
