//! Tests of the digests: they are the hashes that BLAKE3 and `b3sum` give for the same bytes.

use proptest::prelude::*;

use super::*;
use crate::content::layout::Layout;
use crate::content::manifest::{Entry, Kind, Manifest};

const FULL: usize = BLOCK_SIZE as usize;

/// Bytes that differ from chunk to chunk.
fn content(len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect()
}

fn manifest(files: &[(&[u8], u64)]) -> Manifest {
    let entry = |(path, size): &(&[u8], u64)| Entry {
        path: path.to_vec(),
        kind: Kind::File { size: *size },
        mode: 0o644,
        mtime: (0, 0),
        ..Entry::default()
    };
    Manifest {
        entries: files.iter().map(entry).collect(),
        ..Manifest::default()
    }
}

/// The file's hash by way of its pieces, as the layout cuts them.
fn by_pieces(content: &[u8]) -> Digest {
    let len = content.len() as u64;
    let layout = Layout::new(&manifest(&[(b"file", len)]));
    let pieces: Vec<Digest> = layout
        .pieces_of(0)
        .map(|piece| {
            let start = piece.file_offset as usize;
            piece_digest(
                len,
                piece.file_offset,
                &content[start..start + piece.len as usize],
            )
        })
        .collect();
    file_digest(len, pieces)
}

fn hash(content: &[u8]) -> Digest {
    Digest(*blake3::hash(content).as_bytes())
}

#[test]
fn files_around_every_boundary_have_their_ordinary_hash() {
    let content = content(9 * FULL + 1);
    let mut lens = vec![0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 100_000];
    for blocks in 1..=9 {
        let near = [-1025_isize, -1024, -1, 0, 1, 1023, 1024, 1025];
        lens.extend(
            near.iter()
                .map(|near| (blocks * FULL).saturating_add_signed(*near)),
        );
    }
    for len in lens.into_iter().filter(|len| *len <= content.len()) {
        assert_eq!(
            by_pieces(&content[..len]),
            hash(&content[..len]),
            "{len} bytes"
        );
    }
}

#[test]
fn short_files_of_every_length_hashed_together_have_their_ordinary_hash() {
    // Up to a little more than what is hashed together.
    let content = content(16 * 1024 + 2);
    let whole = |len: usize| PieceBytes {
        file_len: len as u64,
        offset: 0,
        bytes: &content[..len],
    };
    let files: Vec<PieceBytes<'_>> = (1..=content.len()).map(whole).collect();
    for (file, digest) in files.iter().zip(piece_digests(&files)) {
        assert_eq!(digest, hash(file.bytes), "{} bytes", file.bytes.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn files_of_any_length_have_their_ordinary_hash(len in 0..40 * FULL) {
        let content = content(len);
        prop_assert_eq!(by_pieces(&content), hash(&content));
    }

    #[test]
    fn pieces_hashed_together_have_the_hash_of_each(
        lens in prop::collection::vec(
            prop_oneof![1..18_000_usize, (1..18_usize).prop_map(|chunks| chunks * 1024), Just(FULL)],
            0..40,
        ),
        rest in 1..5_000_usize,
    ) {
        let content = content(FULL + 40);
        // Each file another content; then a piece of a file that is longer.
        let whole = lens.iter().enumerate().map(|(number, len)| PieceBytes {
            file_len: *len as u64,
            offset: 0,
            bytes: &content[number..number + len],
        });
        let file_len = (FULL + rest) as u64;
        let last = PieceBytes { file_len, offset: FULL as u64, bytes: &content[..rest] };
        let first = PieceBytes { file_len, offset: 0, bytes: &content[..FULL] };
        let pieces: Vec<PieceBytes<'_>> = [first].into_iter().chain(whole).chain([last]).collect();
        let alone = pieces.iter().map(|it| piece_digest(it.file_len, it.offset, it.bytes));
        prop_assert_eq!(piece_digests(&pieces), alone.collect::<Vec<_>>());
    }

    #[test]
    fn digests_come_back_as_they_went(
        pieces in prop::collection::vec(any::<[u8; 32]>().prop_map(Digest), 0..20),
        states in prop::collection::vec((0_u8..4).prop_map(|n| FileState::from_number(n).unwrap()), 0..20),
    ) {
        let (piece_count, entry_count) = (pieces.len() as u32, states.len() as u32);
        let digests = Digests { pieces, states };
        let bytes = digests.encode();
        prop_assert_eq!(bytes.len() as u64, Digests::encoded_len(piece_count, entry_count));
        prop_assert_eq!(Digests::decode(&bytes, piece_count, entry_count), Ok(digests));
    }
}

#[test]
fn other_lengths_and_states_are_refused() {
    let length = Err(DigestsError::Length {
        len: 33,
        expected: 34,
    });
    assert_eq!(Digests::decode(&[0; 33], 1, 2), length);
    let most = Err(DigestsError::Length {
        len: 0,
        expected: 33 * u64::from(u32::MAX),
    });
    assert_eq!(Digests::decode(&[], u32::MAX, u32::MAX), most);
    let mut bytes = [0; 34];
    bytes[33] = 4;
    assert_eq!(
        Digests::decode(&bytes, 1, 2),
        Err(DigestsError::State { entry: 1, state: 4 })
    );
}

#[test]
fn a_copy_has_the_hash_of_its_files_lines() {
    // Printed by `b3sum a 'new<LF>line' 'return<CR>' 'back\slash' | b3sum` of b3sum 1.8.7, where each
    // file holds one letter: x, y, z, w.
    let files: [(&[u8], Digest); 4] = [
        (b"a", hash(b"x")),
        (b"new\nline", hash(b"y")),
        (b"return\r", hash(b"z")),
        (b"back\\slash", hash(b"w")),
    ];
    let printed = "a277e231a7c775c7052ed0584cfa56a2e049cbf65ad21a6f1df05ddda335c730";
    assert_eq!(copy_digest(files).to_string(), printed);
}

#[test]
fn a_copy_of_one_file_has_its_hash() {
    let only: &[u8] = b"d/a";
    assert_eq!(copy_digest([(only, hash(b"x"))]), hash(b"x"));
}

#[test]
fn a_copy_without_files_has_the_hash_of_no_lines() {
    assert_eq!(copy_digest([]), hash(b""));
}
