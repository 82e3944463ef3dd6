//! GPT headers and partition entries, read and checked (UEFI specification 2.10, 5.3). Pure; it repairs
//! and writes nothing. `inspect` and the EFI part look for the EFI system partition with it.

use std::fmt;

use super::{u32_at, u64_at};
use crate::checksum::crc32;

/// Bytes of a header that are defined.
pub const HEADER_LEN: usize = 92;
/// The most bytes of entries that are read: sixteen times what everybody writes.
pub const ENTRIES_BYTES_MAX: u64 = 256 << 10;

/// The type of an EFI system partition, as it stands on disk.
pub const EFI_SYSTEM: Guid = Guid([
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
]);

/// Sixteen bytes as they stand on disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Guid(pub [u8; 16]);

impl fmt::Display for Guid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The first three groups are little-endian numbers.
        let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        for (count, index) in order.into_iter().enumerate() {
            let dash = if matches!(count, 4 | 6 | 8 | 10) {
                "-"
            } else {
                ""
            };
            write!(out, "{dash}{:02x}", self.0[index])?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The disk's own name.
    pub disk: Guid,
    /// Where the entries begin, in sectors.
    pub entries_sector: u64,
    /// How many there are, used or not.
    pub entries: u32,
    /// Bytes of one.
    pub entry_len: u32,
    /// CRC-32 of all of them.
    pub entries_crc: u32,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// From 1.
    pub number: u32,
    /// What it is for.
    pub kind: Guid,
    /// Its own name: the PARTUUID.
    pub unique: Guid,
    /// First sector.
    pub first: u64,
    /// Last sector, in it.
    pub last: u64,
}

/// Why bytes are no GPT that can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GptError {
    /// The signature is not there.
    #[error("there is no GPT header at sector 1")]
    Absent,
    /// A checksum is wrong: of the header, or of the entries.
    #[error("the checksum of the GPT {0} does not match; sgdisk -v says more")]
    Checksum(&'static str),
    /// Numbers that cannot be.
    #[error("the GPT header makes no sense: {0}; sgdisk -v says more")]
    Nonsense(&'static str),
}

impl Header {
    /// Reads the primary header, which is the whole of sector 1.
    ///
    /// # Errors
    /// When it is absent, damaged, or its numbers cannot be.
    pub fn read(sector: &[u8]) -> Result<Self, GptError> {
        if !sector.starts_with(b"EFI PART") {
            return Err(GptError::Absent);
        }
        let len = u32_at(sector, 12) as usize;
        let covered = sector.get(..len).filter(|_| len >= HEADER_LEN);
        let mut covered = covered.ok_or(GptError::Nonsense("its length"))?.to_vec();
        covered[16..20].fill(0); // the checksum is taken with itself as zero
        if crc32(&covered) != u32_at(sector, 16) {
            return Err(GptError::Checksum("header"));
        }
        let header = Self {
            disk: Guid(std::array::from_fn(|index| covered[56 + index])),
            entries_sector: u64_at(sector, 72),
            entries: u32_at(sector, 80),
            entry_len: u32_at(sector, 84),
            entries_crc: u32_at(sector, 88),
        };
        if u64_at(sector, 24) != 1 {
            return Err(GptError::Nonsense("it is not for sector 1"));
        }
        if header.entry_len < 128 || !header.entry_len.is_power_of_two() {
            return Err(GptError::Nonsense("the length of an entry"));
        }
        if header.entries_bytes() > ENTRIES_BYTES_MAX || header.entries_sector < 2 {
            return Err(GptError::Nonsense("the place or number of entries"));
        }
        Ok(header)
    }

    /// Bytes of all entries.
    pub fn entries_bytes(&self) -> u64 {
        u64::from(self.entries) * u64::from(self.entry_len)
    }

    /// Reads the entries in use out of [`Header::entries_bytes`] bytes.
    ///
    /// # Errors
    /// When their checksum is wrong.
    pub fn partitions(&self, bytes: &[u8]) -> Result<Vec<Partition>, GptError> {
        if bytes.len() as u64 != self.entries_bytes() || crc32(bytes) != self.entries_crc {
            return Err(GptError::Checksum("entries"));
        }
        let guid = |entry: &[u8], at: usize| {
            Guid(std::array::from_fn(|index| {
                entry.get(at + index).copied().unwrap_or(0)
            }))
        };
        let numbered = (1..).zip(bytes.chunks_exact(self.entry_len as usize));
        let read = numbered.map(|(number, entry)| Partition {
            number,
            kind: guid(entry, 0),
            unique: guid(entry, 16),
            first: u64_at(entry, 32),
            last: u64_at(entry, 40),
        });
        Ok(read
            .filter(|partition| partition.kind != Guid([0; 16]))
            .collect())
    }
}

impl Partition {
    /// How many sectors; 0 when the last lies before the first.
    pub fn sectors(&self) -> u64 {
        self.last
            .checked_sub(self.first)
            .map_or(0, |more| more.saturating_add(1))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed(mut header: Vec<u8>) -> Vec<u8> {
        header[..8].copy_from_slice(b"EFI PART");
        header[12..16].copy_from_slice(&92_u32.to_le_bytes());
        header[16..20].fill(0);
        let crc = crc32(&header[..92]);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        header
    }

    #[test]
    fn a_guid_is_printed_as_everybody_prints_it() {
        assert_eq!(
            EFI_SYSTEM.to_string(),
            "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(noise in prop::collection::vec(any::<u8>(), 0..600)) {
            let _any = Header::read(&noise);
        }

        #[test]
        fn any_sealed_header_is_borne(
            noise in prop::collection::vec(any::<u8>(), 512),
            entries in 0_u32..300,
            shift in 6_u32..10,
        ) {
            let mut noise = noise;
            noise[24..32].copy_from_slice(&1_u64.to_le_bytes());
            noise[80..84].copy_from_slice(&entries.to_le_bytes());
            noise[84..88].copy_from_slice(&(1_u32 << shift).to_le_bytes());
            if let Ok(header) = Header::read(&sealed(noise)) {
                prop_assert!(header.entries_bytes() <= ENTRIES_BYTES_MAX);
                let bytes = vec![7; usize::try_from(header.entries_bytes()).unwrap()];
                let trusted = Header { entries_crc: crc32(&bytes), ..header };
                let partitions = trusted.partitions(&bytes).unwrap();
                prop_assert_eq!(partitions.len(), trusted.entries as usize);
                prop_assert!(partitions.iter().all(|partition| partition.sectors() == 1));
            }
        }
    }
}
