//! What receivers have of a tree already, and what is sent because of that.
//!
//! In a copy that keeps what is there, each receiver tells in a [`Survey`] which files it lacks, and of
//! which it has another version. The sender answers all with one [`Selection`]: the files that somebody
//! lacks, which alone make up the stream, and the hashes by which old versions can be compared. Both travel
//! on the control channel, in [`Parts`]. Who has what is decided by the receivers' file code, not here.

use minicbor::{Decode, Encode};

use crate::limits::ENTRIES_MAX;

/// Bytes of one part on its way.
pub const PART_BYTES_MAX: usize = 512 << 10;

/// Pieces whose hashes a sender hands out before it sends: 512 GiB of old versions. What is beyond is
/// sent whole.
pub const COMPARED_PIECES_MAX: u64 = 2 << 20;

/// Paths that a survey names, for its reader; more are only counted.
pub const CHANGES_MAX: usize = 1000;

/// Bytes of a survey: two sets, and what it names.
pub const SURVEY_BYTES_MAX: usize = ENTRIES_MAX / 4 + CHANGES_MAX * 4200 + 1024;

/// Bytes of a selection: two sets and the hashes.
pub const SELECTION_BYTES_MAX: usize = ENTRIES_MAX / 4 + 32 * COMPARED_PIECES_MAX as usize + 1024;

/// A set of entries of one manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntrySet {
    /// Entry n is bit n mod 8 of byte n / 8; zero bytes at the end are left out.
    bits: Vec<u8>,
}

impl EntrySet {
    /// Adds an entry.
    pub fn insert(&mut self, entry: u32) {
        let (byte, bit) = (entry as usize / 8, entry % 8);
        if self.bits.len() <= byte {
            self.bits.resize(byte + 1, 0);
        }
        self.bits[byte] |= 1 << bit;
    }

    /// Whether `entry` is in the set.
    pub fn contains(&self, entry: u32) -> bool {
        let byte = self.bits.get(entry as usize / 8);
        byte.is_some_and(|byte| byte >> (entry % 8) & 1 == 1)
    }

    /// Adds all of `other`.
    pub fn unite(&mut self, other: &Self) {
        if self.bits.len() < other.bits.len() {
            self.bits.resize(other.bits.len(), 0);
        }
        for (own, others) in self.bits.iter_mut().zip(&other.bits) {
            *own |= others;
        }
    }

    /// Whether all of it is in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        let others = other.bits.iter().chain(std::iter::repeat(&0));
        self.bits
            .iter()
            .zip(others)
            .all(|(own, other)| own & !other == 0)
    }

    /// How many entries are in the set.
    pub fn count(&self) -> u64 {
        self.bits
            .iter()
            .map(|byte| u64::from(byte.count_ones()))
            .sum()
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.bits.iter().all(|byte| *byte == 0)
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let bits = self.bits.iter().enumerate();
        bits.flat_map(|(byte, value)| {
            (0..8_u32)
                .filter(move |bit| value >> bit & 1 == 1)
                .map(move |bit| byte as u32 * 8 + bit)
        })
    }
}

impl<C> Encode<C> for EntrySet {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let used = self.bits.iter().rposition(|byte| *byte != 0);
        encoder.bytes(&self.bits[..used.map_or(0, |last| last + 1)])?;
        Ok(())
    }
}

impl<'b, C> Decode<'b, C> for EntrySet {
    fn decode(
        decoder: &mut minicbor::Decoder<'b>,
        _: &mut C,
    ) -> Result<Self, minicbor::decode::Error> {
        let bits = decoder.bytes()?;
        if bits.len() > ENTRIES_MAX.div_ceil(8) {
            return Err(minicbor::decode::Error::message("more than all entries"));
        }
        Ok(Self {
            bits: bits.to_vec(),
        })
    }
}

/// What would become of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Action {
    /// It is not there and comes.
    #[n(0)]
    Create,
    /// It is there with other content, or as something else, and is replaced.
    #[n(1)]
    Update,
    /// Its content stays; permissions, owner, attributes or time change.
    #[n(2)]
    Adjust,
    /// It is not in the tree and goes.
    #[n(3)]
    Remove,
}

/// One path of which something would become.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Change {
    /// What.
    #[n(0)]
    pub action: Action,
    /// The path, as the manifest has it.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub path: Vec<u8>,
}

/// What a receiver has of the tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Survey {
    /// The files whose content it lacks, wholly or in part.
    #[n(0)]
    pub lacking: EntrySet,
    /// Those among them of which it has another version, or one that must be hashed.
    #[n(1)]
    pub compare: EntrySet,
    /// How many entries would be created, updated, adjusted and removed.
    #[n(2)]
    pub counts: [u64; 4],
    /// Bytes of data in the files that it lacks.
    #[n(3)]
    pub bytes: u64,
    /// The first of the changes, by name.
    #[n(4)]
    pub changes: Vec<Change>,
    /// How many entries are not in the tree and stay, since this receiver lets no copy remove anything; none
    /// where it does, or where nothing was to be removed.
    #[n(5)]
    pub spared: Option<u64>,
}

/// What is sent to whoever lacks it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Selection {
    /// The files that make up the content of the stream.
    #[n(0)]
    pub entries: EntrySet,
    /// Those among them whose hashes follow.
    #[n(1)]
    pub hashed: EntrySet,
    /// Hashes of the pieces of those, in the order of the layout, 32 bytes each.
    #[cbor(n(2), with = "minicbor::bytes")]
    pub digests: Vec<u8>,
}

/// Puts together what came in parts.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    bytes: Vec<u8>,
}

/// More came than can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more parts came than a message can have")]
pub struct TooLong;

impl Parts {
    /// Takes the next part in; gives the whole when it was the last.
    ///
    /// # Errors
    ///
    /// When all together are more than `max` bytes.
    pub fn take(
        &mut self,
        part: &[u8],
        is_last: bool,
        max: usize,
    ) -> Result<Option<Vec<u8>>, TooLong> {
        if self.bytes.len().saturating_add(part.len()) > max {
            return Err(TooLong);
        }
        self.bytes.extend_from_slice(part);
        Ok(is_last.then(|| std::mem::take(&mut self.bytes)))
    }

    /// The parts of `whole`, each with whether it is the last.
    pub fn of(whole: &[u8]) -> impl Iterator<Item = (Vec<u8>, bool)> {
        let count = whole.len().div_ceil(PART_BYTES_MAX).max(1);
        (1..=count).map(move |number| {
            let start = (number - 1) * PART_BYTES_MAX;
            let end = (number * PART_BYTES_MAX).min(whole.len());
            (whole[start..end].to_vec(), number == count)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(entries: &BTreeSet<u16>) -> EntrySet {
        let mut set = EntrySet::default();
        for entry in entries {
            set.insert((*entry).into());
        }
        set
    }

    proptest! {
        #[test]
        fn a_set_is_a_set_and_survives_the_wire(
            one in proptest::collection::btree_set(any::<u16>(), 0..40),
            other in proptest::collection::btree_set(0_u16..200, 0..40),
        ) {
            let (first, second) = (set(&one), set(&other));
            prop_assert!(first.iter().eq(one.iter().map(|entry| u32::from(*entry))));
            prop_assert_eq!(first.count(), one.len() as u64);
            prop_assert_eq!(second.is_within(&first), other.is_subset(&one));
            let mut united = first.clone();
            united.unite(&second);
            prop_assert_eq!(&united, &set(&(&one | &other)));
            let bytes = minicbor::to_vec(&united).unwrap();
            prop_assert_eq!(minicbor::decode::<EntrySet>(&bytes).unwrap(), united);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = minicbor::decode::<Survey>(&bytes);
            let _ = minicbor::decode::<Selection>(&bytes);
        }

        #[test]
        fn parts_make_the_whole(len in 0_usize..3 * PART_BYTES_MAX) {
            let whole: Vec<u8> = (0..len).map(|index| (index / 7) as u8).collect();
            let mut parts = Parts::default();
            let mut came = None;
            for (part, is_last) in Parts::of(&whole) {
                prop_assert!(came.is_none() && part.len() <= PART_BYTES_MAX);
                came = parts.take(&part, is_last, len).unwrap();
            }
            prop_assert_eq!(came, Some(whole));
            prop_assert_eq!(parts.take(&[0; 9], true, 8), Err(TooLong));
        }
    }
}
