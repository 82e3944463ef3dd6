//! The hashes of a copy: of each piece, of each file from its pieces, of the whole from its files.
//!
//! They are ordinary BLAKE3 hashes: a piece is a complete subtree of its file's tree, so nothing is
//! hashed twice. Comparing them, and deciding what a difference means, is done elsewhere.

mod together;

use std::iter::Peekable;

use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};
use thiserror::Error;

use crate::limits::BLOCK_SIZE;
use crate::units::Digest;

/// Bytes of an encoded digest.
const DIGEST_BYTES: usize = 32;

/// Bytes of lines that are hashed at a time: long runs are hashed faster.
const LINES_TOGETHER: usize = 64 << 10;

/// Why bytes are not the digests of a copy.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum DigestsError {
    /// The length is not what the numbers of pieces and entries make.
    #[error("{len} bytes of digests instead of {expected}")]
    Length {
        /// Bytes found.
        len: u64,
        /// Bytes expected.
        expected: u64,
    },
    /// An entry's state is none of the four.
    #[error("entry {entry} has the unknown state {state}")]
    State {
        /// Index of the entry in the manifest.
        entry: u32,
        /// The number found.
        state: u8,
    },
}

/// What became of an entry at the sender while it was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileState {
    /// It was read as the manifest describes it; also every entry that is not a regular file.
    #[default]
    Whole,
    /// Its size or time of modification changed during the copy.
    Changed,
    /// It was gone when its turn came.
    Vanished,
    /// It could not be read.
    Unreadable,
}

/// All that a sender knows only when it has read the content: the last object of the stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// One for each piece of the layout, at the piece's number; see [`piece_digest`].
    pub pieces: Vec<Digest>,
    /// One for each entry of the manifest.
    pub states: Vec<FileState>,
}

impl Digests {
    /// Bytes of the encoding: 32 for each piece and one for each entry. So the stream's length is
    /// known before anything is read.
    pub fn encoded_len(piece_count: u32, entry_count: u32) -> u64 {
        DIGEST_BYTES as u64 * u64::from(piece_count) + u64::from(entry_count)
    }

    /// The digests of all pieces, then the states of all entries.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(DIGEST_BYTES * self.pieces.len() + self.states.len());
        for Digest(digest) in &self.pieces {
            bytes.extend_from_slice(digest);
        }
        bytes.extend(self.states.iter().map(|state| state.number()));
        bytes
    }

    /// The digests that `bytes` encode, of so many pieces and entries.
    pub fn decode(bytes: &[u8], piece_count: u32, entry_count: u32) -> Result<Self, DigestsError> {
        let encoded = EncodedDigests::new(bytes, piece_count, entry_count)?;
        Ok(Self {
            pieces: encoded.pieces().collect(),
            states: encoded.states()?,
        })
    }
}

/// [`Digests`] that are read where their encoding lies: of many small files they are many.
#[derive(Clone, Copy, Debug)]
pub struct EncodedDigests<'a> {
    pieces: &'a [[u8; DIGEST_BYTES]],
    states: &'a [u8],
}

impl<'a> EncodedDigests<'a> {
    /// What `bytes` encode, of so many pieces and entries.
    pub fn new(bytes: &'a [u8], piece_count: u32, entry_count: u32) -> Result<Self, DigestsError> {
        let (len, expected) = (
            bytes.len() as u64,
            Digests::encoded_len(piece_count, entry_count),
        );
        if len != expected {
            return Err(DigestsError::Length { len, expected });
        }
        let (pieces, states) = bytes.split_at(bytes.len() - entry_count as usize);
        let (pieces, _) = pieces.as_chunks();
        Ok(Self { pieces, states })
    }

    /// Those of all pieces, by number.
    pub fn pieces(&self) -> impl ExactSizeIterator<Item = Digest> + 'a {
        self.pieces.iter().copied().map(Digest)
    }

    /// Those of all entries.
    pub fn states(&self) -> Result<Vec<FileState>, DigestsError> {
        let state = |(entry, number): (usize, &u8)| {
            let unknown = DigestsError::State {
                entry: entry as u32,
                state: *number,
            };
            FileState::from_number(*number).ok_or(unknown)
        };
        self.states.iter().enumerate().map(state).collect()
    }
}

impl FileState {
    const fn number(self) -> u8 {
        match self {
            Self::Whole => 0,
            Self::Changed => 1,
            Self::Vanished => 2,
            Self::Unreadable => 3,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Whole),
            1 => Some(Self::Changed),
            2 => Some(Self::Vanished),
            3 => Some(Self::Unreadable),
            _ => None,
        }
    }
}

/// The digest of one piece of a file of `file_len` bytes: its hash if it is the whole file, and
/// otherwise the chaining value of its subtree (BLAKE3 paper, section 2.4).
///
/// `offset` and `bytes` are those of a piece of the layout. Panics if `offset` is not a multiple of
/// `BLOCK_SIZE` or if `bytes` is empty or longer than `BLOCK_SIZE`.
pub fn piece_digest(file_len: u64, offset: u64, bytes: &[u8]) -> Digest {
    assert!(
        offset.is_multiple_of(u64::from(BLOCK_SIZE)),
        "a piece begins at a block's boundary"
    );
    assert!(
        (1..=BLOCK_SIZE as usize).contains(&bytes.len()),
        "a piece fits in a block"
    );
    if bytes.len() as u64 == file_len {
        return Digest(*blake3::hash(bytes).as_bytes());
    }
    let mut hasher = blake3::Hasher::new();
    Digest(
        hasher
            .set_input_offset(offset)
            .update(bytes)
            .finalize_non_root(),
    )
}

/// A piece and where it stands in its file, as [`piece_digest`] takes it.
#[derive(Clone, Copy, Debug)]
pub struct PieceBytes<'a> {
    /// Bytes of its file.
    pub file_len: u64,
    /// Its first byte in the file.
    pub offset: u64,
    /// The piece itself.
    pub bytes: &'a [u8],
}

/// The digests of `pieces`, in their order: many short files take less time together than one by one.
///
/// Panics where [`piece_digest`] does.
pub fn piece_digests(pieces: &[PieceBytes<'_>]) -> Vec<Digest> {
    let gains = |piece: &PieceBytes<'_>| {
        let is_whole = piece.offset == 0 && piece.bytes.len() as u64 == piece.file_len;
        is_whole && together::gains(piece.bytes.len())
    };
    let mut digests = vec![None; pieces.len()];
    let places: Vec<usize> = (0..pieces.len())
        .filter(|place| gains(&pieces[*place]))
        .collect();
    if places.len() >= together::TOGETHER_MIN {
        let files: Vec<&[u8]> = places.iter().map(|place| pieces[*place].bytes).collect();
        for (place, digest) in places.iter().zip(together::hashes(&files)) {
            digests[*place] = Some(digest);
        }
    }
    let alone = |piece: &PieceBytes<'_>| piece_digest(piece.file_len, piece.offset, piece.bytes);
    let both = pieces.iter().zip(digests);
    both.map(|(piece, digest)| digest.unwrap_or_else(|| alone(piece)))
        .collect()
}

/// The BLAKE3 hash of a file of `file_len` bytes from the digests of its pieces, in the order of
/// their bytes: what `b3sum` prints.
///
/// Another number of digests than the file has pieces gives a hash that belongs to no file.
pub fn file_digest(file_len: u64, pieces: impl IntoIterator<Item = Digest>) -> Digest {
    let mut pieces = pieces.into_iter();
    match file_len.div_ceil(u64::from(BLOCK_SIZE)) {
        0 => Digest(*blake3::hash(b"").as_bytes()),
        1 => pieces.next().unwrap_or_default(),
        count => {
            let left = left_len(count);
            let left_value = subtree(left, &mut pieces);
            let right_value = subtree(count - left, &mut pieces);
            Digest(*merge_subtrees_root(&left_value, &right_value, Mode::Hash).as_bytes())
        }
    }
}

/// The BLAKE3 hash of a file with holes of `file_len` bytes from those of its pieces that have data: pairs
/// of index and digest, ascending. What is all hole enters as a digest of zeros, so that a hole of any
/// size costs nothing: then this is not what `b3sum` prints.
pub fn sparse_file_digest(
    file_len: u64,
    pieces: impl IntoIterator<Item = (u64, Digest)>,
) -> Digest {
    let mut pieces = pieces.into_iter().peekable();
    match file_len.div_ceil(u64::from(BLOCK_SIZE)) {
        0 => Digest(*blake3::hash(b"").as_bytes()),
        1 => Digest(sparse_subtree(0, 1, &mut pieces)),
        count => {
            let left = left_len(count);
            let left_value = sparse_subtree(0, left, &mut pieces);
            let right_value = sparse_subtree(left, count - left, &mut pieces);
            Digest(*merge_subtrees_root(&left_value, &right_value, Mode::Hash).as_bytes())
        }
    }
}

/// The chaining value of `count` pieces from `first` on, of which those with data come next from `pieces`.
fn sparse_subtree(
    first: u64,
    count: u64,
    pieces: &mut Peekable<impl Iterator<Item = (u64, Digest)>>,
) -> [u8; DIGEST_BYTES] {
    let is_here = |(index, _): &(u64, Digest)| *index < first + count;
    if !pieces.peek().is_some_and(is_here) {
        return [0; DIGEST_BYTES];
    }
    if count == 1 {
        return pieces
            .next()
            .map_or([0; DIGEST_BYTES], |(_, piece)| piece.0);
    }
    let left = left_len(count);
    let left_value = sparse_subtree(first, left, pieces);
    let right_value = sparse_subtree(first + left, count - left, pieces);
    merge_subtrees_non_root(&left_value, &right_value, Mode::Hash)
}

/// The digest of a whole copy, from the paths and the digests of its regular files in manifest order.
///
/// It is the hash of one line for each file as `b3sum` prints it, so that `b3sum FILES | b3sum` gives
/// the same (names that are not UTF-8 enter as they are, which `b3sum` cannot print). A copy of just
/// one regular file has that file's own hash.
pub fn copy_digest<'a>(files: impl IntoIterator<Item = (&'a [u8], Digest)>) -> Digest {
    let mut files = files.into_iter().peekable();
    let first = files.next();
    if let (Some((_, only)), None) = (first, files.peek()) {
        return only;
    }
    let mut hasher = blake3::Hasher::new();
    let mut lines = Vec::with_capacity(LINES_TOGETHER);
    for (path, digest) in first.into_iter().chain(files) {
        write_line(&mut lines, path, digest);
        if lines.len() >= LINES_TOGETHER {
            hasher.update(&lines);
            lines.clear();
        }
    }
    hasher.update(&lines);
    Digest(*hasher.finalize().as_bytes())
}

/// How many of `count` pieces belong to the left subtree: the largest power of two below `count`,
/// because BLAKE3 trees are full on the left. There are at least two pieces.
const fn left_len(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The chaining value over the next `count` of `pieces`, at least one. Recursion is no deeper than the count has bits.
fn subtree(count: u64, pieces: &mut impl Iterator<Item = Digest>) -> [u8; DIGEST_BYTES] {
    if count == 1 {
        return pieces.next().unwrap_or_default().0;
    }
    let left = left_len(count);
    let left_value = subtree(left, pieces);
    let right_value = subtree(count - left, pieces);
    merge_subtrees_non_root(&left_value, &right_value, Mode::Hash)
}

/// Appends the line that `b3sum` prints for a file: a backslash before it tells that backslashes and
/// ends of lines in the name are escaped.
fn write_line(line: &mut Vec<u8>, path: &[u8], digest: Digest) {
    if path
        .iter()
        .any(|byte| matches!(byte, b'\\' | b'\n' | b'\r'))
    {
        line.push(b'\\');
    }
    line.extend(digest.0.into_iter().flat_map(hexadecimal));
    line.extend_from_slice(b"  ");
    for byte in path {
        match byte {
            b'\\' => line.extend_from_slice(b"\\\\"),
            b'\n' => line.extend_from_slice(b"\\n"),
            b'\r' => line.extend_from_slice(b"\\r"),
            byte => line.push(*byte),
        }
    }
    line.push(b'\n');
}

/// The two digits of a byte.
fn hexadecimal(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|digit| b"0123456789abcdef"[usize::from(digit)])
}

#[cfg(test)]
mod tests;
