//! Lays out a new disk image: partition table and the boot code. Pure: it gives pieces of bytes with their
//! places, `image` writes them. Images are for trying out and for disks that hold nothing else.

use crate::checksum::crc32;
use crate::firmware::boot_option::wide;
use crate::sector::layout::CODE_LEN;
use crate::table::gpt::{EFI_SYSTEM, Guid};
use crate::table::mbr::{self, RECORD_LEN};

/// Where the one partition begins, in bytes, as everybody aligns it.
pub const PARTITION_START: u64 = 1 << 20;
/// The smallest image that has room for a FAT file system behind the start.
pub const SIZE_MIN: u64 = 4 << 20;
/// The largest, as a table of the old kind counts sectors in 32 bits.
pub const SIZE_MAX: u64 = 1 << 40;

const ENTRY_LEN: usize = 128;
const ENTRIES: usize = 128;
/// Sectors of the entries.
const ENTRIES_SECTORS: u64 = (ENTRY_LEN * ENTRIES / RECORD_LEN) as u64;

/// What an image shall have.
#[derive(Clone, Debug)]
pub struct Wish {
    /// All of it, in bytes.
    pub size_bytes: u64,
    /// A GPT; else a table of the old kind.
    pub gpt: bool,
    /// The partition is an EFI system partition.
    pub efi: bool,
    /// The boot code.
    pub code: [u8; CODE_LEN],
    /// Sixteen bytes for the disk's names, any.
    pub random: [u8; 16],
}

/// Bytes and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// From the start of the image.
    pub at: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// The wish cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an image of {0} bytes cannot be made; choose from 4 MiB to 1 TiB, in whole sectors of 512 bytes"
)]
pub struct SizeError(u64);

impl Wish {
    /// Bytes of the partition.
    pub fn partition_len(&self) -> u64 {
        let tail = if self.gpt {
            (ENTRIES_SECTORS + 1) * RECORD_LEN as u64
        } else {
            0
        };
        self.size_bytes - PARTITION_START - tail
    }

    /// The pieces; what is between them is zero.
    ///
    /// # Errors
    /// When the size does not fit.
    pub fn pieces(&self) -> Result<Vec<Piece>, SizeError> {
        let fits = (SIZE_MIN..=SIZE_MAX).contains(&self.size_bytes);
        if !fits || !self.size_bytes.is_multiple_of(RECORD_LEN as u64) {
            return Err(SizeError(self.size_bytes));
        }
        let mut pieces = vec![Piece {
            at: 0,
            bytes: self.record().to_vec(),
        }];
        if self.gpt {
            let last = self.size_bytes / RECORD_LEN as u64 - 1;
            let entries = self.entries();
            let place = |sector: u64| sector * RECORD_LEN as u64;
            pieces.push(Piece {
                at: place(1),
                bytes: self.header(1, last, 2, &entries),
            });
            let back = last - ENTRIES_SECTORS;
            pieces.push(Piece {
                at: place(last),
                bytes: self.header(last, 1, back, &entries),
            });
            pieces.push(Piece {
                at: place(back),
                bytes: entries.clone(),
            });
            pieces.push(Piece {
                at: place(2),
                bytes: entries,
            });
        }
        Ok(pieces)
    }

    fn record(&self) -> mbr::Record {
        let mut record = [0; RECORD_LEN];
        record[..CODE_LEN].copy_from_slice(&self.code);
        record[mbr::DISK_SIGNATURE..mbr::DISK_SIGNATURE + 4].copy_from_slice(&self.random[..4]);
        record[mbr::MARK..].copy_from_slice(&mbr::MARK_BYTES);
        let sectors = |bytes: u64| u32::try_from(bytes / RECORD_LEN as u64).unwrap_or(u32::MAX);
        let (status, kind, first, count) = if self.gpt {
            (0, mbr::PROTECTIVE, 1, sectors(self.size_bytes) - 1)
        } else {
            let kind = if self.efi { mbr::EFI_SYSTEM } else { 0x0c };
            (
                mbr::ACTIVE,
                kind,
                sectors(PARTITION_START),
                sectors(self.partition_len()),
            )
        };
        // Cylinders and heads of no meaning, as all tools write them for LBA.
        let entry = [status, 0, 2, 0, kind, 0xff, 0xff, 0xff];
        record[mbr::ENTRIES..mbr::ENTRIES + 8].copy_from_slice(&entry);
        record[mbr::ENTRIES + 8..mbr::ENTRIES + 12].copy_from_slice(&first.to_le_bytes());
        record[mbr::ENTRIES + 12..mbr::ENTRIES + 16].copy_from_slice(&count.to_le_bytes());
        record
    }

    /// A random GUID, told apart by its last byte (RFC 9562, version 4).
    fn guid(&self, which: u8) -> Guid {
        let mut bytes = self.random;
        bytes[7] = bytes[7] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        bytes[15] ^= which;
        Guid(bytes)
    }

    fn entries(&self) -> Vec<u8> {
        let first = PARTITION_START / RECORD_LEN as u64;
        let last = first + self.partition_len() / RECORD_LEN as u64 - 1;
        // Linux's "file system data", or the EFI system partition.
        let data = Guid([
            0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47,
            0x7d, 0xe4,
        ]);
        let kind = if self.efi { EFI_SYSTEM } else { data };
        let mut entries = [&kind.0[..], &self.guid(1).0].concat();
        entries.extend(first.to_le_bytes());
        entries.extend(last.to_le_bytes());
        entries.extend([0; 8]);
        entries.extend(wide("reboot-sector"));
        entries.resize(ENTRY_LEN * ENTRIES, 0);
        entries
    }

    fn header(&self, at: u64, other: u64, entries_at: u64, entries: &[u8]) -> Vec<u8> {
        let last = self.size_bytes / RECORD_LEN as u64 - ENTRIES_SECTORS - 2;
        let mut header = b"EFI PART\0\0\x01\0\x5c\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        for number in [at, other, ENTRIES_SECTORS + 2, last] {
            header.extend(number.to_le_bytes());
        }
        header.extend(self.guid(0).0);
        header.extend(entries_at.to_le_bytes());
        header.extend(128_u32.to_le_bytes());
        header.extend(128_u32.to_le_bytes());
        header.extend(crc32(entries).to_le_bytes());
        let crc = crc32(&header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        header.resize(RECORD_LEN, 0);
        header
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::table::gpt::Header;

    proptest! {
        #[test]
        fn a_gpt_that_is_laid_out_is_read_again(sectors in 8192_u64..100_000, random: [u8; 16], efi: bool) {
            let wish = Wish { size_bytes: sectors * 512, gpt: true, efi, code: [0xeb; CODE_LEN], random };
            let pieces = wish.pieces().unwrap();
            let header = Header::read(&pieces[1].bytes).unwrap();
            let partitions = header.partitions(&pieces[4].bytes).unwrap();
            prop_assert_eq!(partitions.len(), 1);
            prop_assert_eq!(partitions[0].sectors() * 512, wish.partition_len());
            prop_assert_eq!(partitions[0].kind == EFI_SYSTEM, efi);
            for piece in pieces {
                prop_assert!(piece.at + piece.bytes.len() as u64 <= wish.size_bytes);
            }
        }
    }

    #[test]
    fn sizes_that_cannot_be_are_refused() {
        let wish = |size_bytes| Wish {
            size_bytes,
            gpt: false,
            efi: false,
            code: [0xeb; CODE_LEN],
            random: [0; 16],
        };
        for size_bytes in [0, SIZE_MIN - 512, SIZE_MIN + 1, SIZE_MAX + 512] {
            assert!(wish(size_bytes).pieces().is_err());
        }
        assert!(wish(SIZE_MIN).pieces().is_ok());
    }
}
