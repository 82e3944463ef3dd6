//! Tests of the layout against its rule, told the slow way.

use proptest::prelude::*;

use super::*;
use crate::content::manifest::{Entry, Kind};

/// A manifest of files of these sizes; `None` is a directory.
fn manifest(sizes: &[Option<u64>]) -> Manifest {
    let entry = |(number, size): (usize, &Option<u64>)| Entry {
        path: format!("{number}").into_bytes(),
        kind: size.map_or(Kind::Directory, |size| Kind::File { size }),
        mode: 0o644,
        mtime: (0, 0),
        ..Entry::default()
    };
    Manifest {
        entries: sizes.iter().enumerate().map(entry).collect(),
        ..Manifest::default()
    }
}

/// The rule as it is told: every block as the list of its pieces (entry, file offset, length).
fn told(sizes: &[Option<u64>]) -> Vec<Vec<(u32, u64, u32)>> {
    let mut blocks = vec![];
    let mut open: Vec<(u32, u64, u32)> = vec![];
    for (entry, size) in sizes.iter().enumerate() {
        let size = size.unwrap_or(0);
        for full in 0..size / FULL {
            blocks.push(vec![(entry as u32, full * FULL, BLOCK_SIZE)]);
        }
        let rest = (size % FULL) as u32;
        if rest == 0 {
            continue;
        }
        if open.iter().map(|piece| piece.2).sum::<u32>() + rest > BLOCK_SIZE {
            blocks.push(std::mem::take(&mut open));
        }
        open.push((entry as u32, size / FULL * FULL, rest));
    }
    if !open.is_empty() {
        blocks.push(open);
    }
    blocks
}

fn sizes() -> impl Strategy<Value = Vec<Option<u64>>> {
    let size = prop_oneof![
        2 => Just(None),
        1 => Just(Some(0)),
        6 => (1..FULL).prop_map(Some),
        2 => (1..FULL / 20).prop_map(Some),
        2 => (0..6 * FULL).prop_map(Some),
        2 => (0..4_u64, 0..3_u64).prop_map(|(full, near)| Some((full * FULL + near).saturating_sub(1))),
    ];
    prop::collection::vec(size, 0..40)
}

proptest! {
    #[test]
    fn layout_follows_the_rule(sizes in sizes()) {
        let layout = Layout::new(&manifest(&sizes));
        let told = told(&sizes);
        prop_assert_eq!(layout.block_count() as usize, told.len());
        for (block, told) in told.iter().enumerate() {
            let block = block as u32;
            let pieces: Vec<Piece> = layout.pieces(block).collect();
            let plain: Vec<_> = pieces.iter().map(|piece| (piece.entry, piece.file_offset, piece.len)).collect();
            prop_assert_eq!(&plain, told);
            prop_assert_eq!(layout.block_len(block), told.iter().map(|piece| piece.2).sum::<u32>());
            let mut block_offset = 0;
            for piece in pieces {
                prop_assert_eq!((piece.block, piece.block_offset), (block, block_offset));
                prop_assert_eq!(layout.piece(piece.number), Some(piece));
                block_offset += piece.len;
            }
        }
        let short: Vec<(u32, u32)> = layout.short_blocks().collect();
        let lens = (0..layout.block_count()).map(|block| (block, layout.block_len(block)));
        prop_assert_eq!(short, Vec::from_iter(lens.filter(|(_, len)| *len < BLOCK_SIZE)));
        let past = layout.block_count();
        prop_assert_eq!((layout.block_len(past), layout.pieces(past).count()), (0, 0));
    }

    #[test]
    fn pieces_are_numbered_file_by_file(sizes in sizes()) {
        let layout = Layout::new(&manifest(&sizes));
        let mut number = 0;
        for (entry, size) in sizes.iter().enumerate() {
            let mut file_offset = 0;
            let numbers = layout.piece_numbers_of(entry as u32);
            prop_assert_eq!(numbers.len(), layout.pieces_of(entry as u32).count());
            for piece in layout.pieces_of(entry as u32) {
                prop_assert!(numbers.contains(&piece.number));
                prop_assert_eq!((piece.number, piece.file_offset), (number, file_offset));
                prop_assert!(layout.pieces(piece.block).any(|other| other == piece));
                number += 1;
                file_offset += u64::from(piece.len);
            }
            prop_assert_eq!(file_offset, size.unwrap_or(0));
        }
        prop_assert_eq!(layout.piece_count(), number);
        prop_assert_eq!(layout.piece(number), None);
    }
}

#[test]
fn a_huge_file_costs_no_memory() {
    let size = u64::from(PIECES_MAX) * FULL - 1;
    let layout = Layout::new(&manifest(&[Some(size)]));
    assert_eq!((layout.block_count(), layout.files.len()), (PIECES_MAX, 1));
    let last = layout.pieces(PIECES_MAX - 1).next().unwrap();
    assert_eq!(last.file_offset + u64::from(last.len), size);
}
