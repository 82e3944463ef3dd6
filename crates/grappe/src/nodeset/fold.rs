//! From names back to brackets: `n1r1 n1r2 n2r1 n2r2` becomes `n[1-2]r[1-2]`.
//!
//! Not the shortest form in every case, but always an exact one: each step joins sets that differ
//! in a single place.

use std::collections::BTreeMap;
use std::fmt;

use super::name_order::{compare, is_number, pieces};

/// Longer runs of digits are kept as text: nobody counts that far, and `parse` does not read them.
const DIGITS_MAX: usize = 18;

/// A product of numbers and text: one alternative for text, one or more for a number.
type Block<'a> = Vec<Vec<&'a str>>;

/// Writes sorted, distinct names in folded form.
pub(super) fn write(names: &[String], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut blocks: Vec<Block<'_>> = names
        .iter()
        .map(|name| pieces(name).map(|piece| vec![piece]).collect())
        .collect();
    let places = blocks.iter().map(Vec::len).max().unwrap_or(0);
    // From the right: in `rack2node13` the last number is the one that counts on.
    for place in (0..places).rev() {
        blocks = join_at(place, blocks);
    }
    for (at, block) in blocks.iter().enumerate() {
        if at > 0 {
            f.write_str(",")?;
        }
        block
            .iter()
            .try_for_each(|alternatives| write_alternatives(alternatives, f))?;
    }
    Ok(())
}

/// Joins the blocks that are equal everywhere but in the number at `place`.
fn join_at(place: usize, blocks: Vec<Block<'_>>) -> Vec<Block<'_>> {
    let mut joined: Vec<Block<'_>> = Vec::with_capacity(blocks.len());
    // What is left of a block without the place, and where in `joined` the block went.
    let mut seen = BTreeMap::new();
    for mut block in blocks {
        let foldable = |piece: &&str| is_number(piece) && piece.len() <= DIGITS_MAX;
        if !block
            .get(place)
            .and_then(|numbers| numbers.first())
            .is_some_and(foldable)
        {
            joined.push(block);
            continue;
        }
        let numbers = std::mem::take(&mut block[place]);
        if let Some(&at) = seen.get(&block) {
            let target: &mut Block<'_> = &mut joined[at];
            target[place].extend(numbers);
        } else {
            let mut whole = block.clone();
            whole[place] = numbers;
            seen.insert(block, joined.len());
            joined.push(whole);
        }
    }
    for block in &mut joined {
        if let Some(numbers) = block.get_mut(place) {
            numbers.sort_unstable_by(|left, right| compare(left, right));
        }
    }
    joined
}

/// A single alternative as it is, several as `[1-3,7]`.
fn write_alternatives(alternatives: &[&str], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let [first, others @ ..] = alternatives else {
        return Ok(());
    };
    if others.is_empty() {
        return f.write_str(first);
    }
    let mut rest = alternatives;
    let mut separator = '[';
    while let [begin, ..] = rest {
        let (run, after) = rest.split_at(run_length(rest));
        write!(f, "{separator}{begin}")?;
        if let [_, .., end] = run {
            write!(f, "-{end}")?;
        }
        rest = after;
        separator = ',';
    }
    f.write_str("]")
}

/// How many of the numbers, at least one, are exactly what a range from the first would expand to.
fn run_length(numbers: &[&str]) -> usize {
    let [first, others @ ..] = numbers else {
        return 0;
    };
    let Ok(begin) = first.parse::<u64>() else {
        return 1;
    };
    let width = if first.starts_with('0') {
        first.len()
    } else {
        1
    };
    let counts_on =
        |(number, value): &(&&str, u64)| **number == format!("{value:0width$}").as_str();
    1 + others.iter().zip(begin + 1..).take_while(counts_on).count()
}
