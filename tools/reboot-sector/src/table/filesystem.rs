//! Signs that a whole device holds a file system, swap or a volume, rather than a partition table. A short
//! list for refusing, not a second blkid. Pure; plans call it with the first bytes of a disk.

use super::mbr::{self, Record};
use super::{u32_at, u64_at};

/// Bytes from the start of a disk that show all signs.
pub const HEAD_LEN: usize = 0x1_1000;

/// Bytes at the end of a disk that show all signs there.
pub const TAIL_LEN: u64 = 128 << 10;

const LVM: &str = "an LVM physical volume";
const MD: &str = "an MD member";
const MD_MAGIC: [u8; 4] = [0xfc, 0x4e, 0x2b, 0xa9];

/// Where, what, and its name. Places are those of util-linux, libblkid/src/superblocks.
const SIGNS: [(usize, &[u8], &str); 29] = [
    (0, b"XFSB", "XFS"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (0, b"hsqs", "squashfs"),
    (0, &MD_MAGIC, MD),
    (0, &[0xc9, 0xc2, 0xd4, 0xc1], "an AIX volume"),
    (3, b"NTFS    ", "NTFS"),
    (3, b"EXFAT   ", "exFAT"),
    (3, b"-FVE-FS-", "BitLocker"),
    (0x18, b"LABELONE", LVM),
    (512, b"LABELONE", LVM),
    (1024, b"LABELONE", LVM),
    (1536, b"LABELONE", LVM),
    (1024, &[0x10, 0x20, 0xf5, 0xf2], "F2FS"),
    (1024, &[0xe2, 0xe1, 0xf5, 0xe0], "EROFS"),
    (1080, &[0x53, 0xef], "ext2, ext3 or ext4"),
    (4096, &MD_MAGIC, MD),
    (1024, b"H+\0\x04", "HFS+"),
    (1030, &[0x34, 0x34], "NILFS2"),
    (4096 + 24, &[0xc6, 0x85, 0x73, 0xf6], "bcache or bcachefs"),
    (4086, b"SWAPSPACE2", "swap"),
    (4086, b"S1SUSPEND\0", "a hibernated system"),
    (4086, b"LINHIB0001", "a hibernated system"),
    (16374, b"SWAPSPACE2", "swap"),
    (65526, b"SWAPSPACE2", "swap"),
    (32768, b"JFS1", "JFS"),
    (32769, b"CD001", "ISO 9660"),
    (65536, &[0x01, 0x16, 0x19, 0x70], "GFS2"),
    (65600, b"_BHRfS_M", "Btrfs"),
    (65588, b"ReIsEr2Fs", "ReiserFS"),
];

/// What the start of a disk holds beside or instead of a partition table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sign {
    /// Its name.
    pub name: &'static str,
    /// It lies in the first sector, where the code would go, so a partition table does not excuse it.
    pub in_first_sector: bool,
}

impl Sign {
    /// A partition table beside it makes it no leftover: the first sector may belong to it, or it takes
    /// the whole disk without ever writing there.
    pub fn is_firm(self) -> bool {
        self.in_first_sector || [LVM, MD].contains(&self.name)
    }
}

/// An MD superblock at the end of a disk of `size_bytes`, whose last bytes `tail` are, at most
/// [`TAIL_LEN`]. One that is about a partition there is none. (Linux, include/uapi/linux/raid/md_p.h)
pub fn tail_sign(size_bytes: u64, tail: &[u8]) -> Option<Sign> {
    let found = Some(Sign {
        name: MD,
        in_first_sector: false,
    });
    let read = |at: u64| {
        let start = at.checked_sub(size_bytes.checked_sub(tail.len() as u64)?)?;
        let rest = tail.get(usize::try_from(start).ok()?..)?;
        rest.starts_with(&MD_MAGIC).then_some(rest)
    };
    // Version 1.0: it says itself at which sector of the member it lies.
    let place = (size_bytes / 512).checked_sub(16)? & !7;
    if read(place * 512).is_some_and(|block| u64_at(block, 144) == place) {
        return found;
    }
    // Version 0.90: it says how many KiB of the member lie before it; a partition begins at 1 MiB or so.
    let place = (size_bytes & !0xffff).checked_sub(0x1_0000)?;
    let block = read(place)?;
    let before = u64::from(u32_at(block, 32)) << 10;
    let is_whole = before == 0 || place.saturating_sub(before) < 512 << 10;
    if u32_at(block, 4) == 0 && is_whole {
        return found;
    }
    None
}

/// The first sign found. A short `head` shows fewer.
pub fn sign(head: &[u8]) -> Option<Sign> {
    let there = |(at, bytes, _): &&(usize, &[u8], &str)| {
        head.get(*at..).is_some_and(|rest| rest.starts_with(bytes))
    };
    if let Some((at, _, name)) = SIGNS.iter().find(there) {
        return Some(Sign {
            name,
            in_first_sector: *at < mbr::RECORD_LEN,
        });
    }
    let record: &Record = head.first_chunk()?;
    looks_like_fat(record).then_some(Sign {
        name: "FAT",
        in_first_sector: true,
    })
}

/// The BIOS parameter block would pass the checks of Linux (fs/fat/inode.c) and blkid.
pub fn looks_like_fat(record: &Record) -> bool {
    let sector = u16::from_le_bytes([record[11], record[12]]);
    let reserved = u16::from_le_bytes([record[14], record[15]]);
    sector.is_power_of_two()
        && (512..=4096).contains(&sector)
        && record[13].is_power_of_two()
        && reserved != 0
        && record[16] != 0
        && (record[21] == 0xf0 || record[21] >= 0xf8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_sign_is_found_where_it_lies() {
        for (at, bytes, name) in SIGNS {
            let mut head = vec![0; HEAD_LEN];
            head[at..at + bytes.len()].copy_from_slice(bytes);
            let found = sign(&head).expect(name);
            assert_eq!((found.name, found.in_first_sector), (name, at < 512));
            assert_eq!(sign(&head[..at]), None);
        }
        assert_eq!(sign(&[0; HEAD_LEN]), None);
    }

    #[test]
    fn a_parameter_block_is_fat_and_zeros_are_not() {
        let mut record = [0; 512];
        assert!(!looks_like_fat(&record));
        record[11..22].copy_from_slice(&[0, 2, 4, 4, 0, 2, 0, 2, 0, 0, 0xf8]);
        assert!(looks_like_fat(&record));
        assert_eq!(sign(&record).map(|sign| sign.name), Some("FAT"));
    }

    /// The end of a disk with a superblock of one of the two old places.
    fn tail(size_bytes: u64, place: u64, fields: &[(usize, &[u8])]) -> Vec<u8> {
        let mut tail = vec![0; usize::try_from(TAIL_LEN).unwrap()];
        let at = usize::try_from(place - (size_bytes - TAIL_LEN)).unwrap();
        tail[at..at + 4].copy_from_slice(&MD_MAGIC);
        for (offset, bytes) in fields {
            tail[at + offset..at + offset + bytes.len()].copy_from_slice(bytes);
        }
        tail
    }

    #[test]
    fn md_members_are_known_by_their_end_and_partitions_there_are_not() {
        for size in [64 << 20, (64 << 20) + 512, (100 << 20) + 4096 + 512] {
            let new = (size / 512 - 16) & !7;
            let old = (size & !0xffff) - 0x1_0000;
            let whole = tail(size, new * 512, &[(4, &[1]), (144, &new.to_le_bytes())]);
            assert_eq!(tail_sign(size, &whole).map(|sign| sign.name), Some(MD));
            let inner = (new - 2048).to_le_bytes();
            let partition = tail(size, new * 512, &[(4, &[1]), (144, &inner)]);
            assert_eq!(tail_sign(size, &partition), None);
            let kib = u32::try_from(old >> 10).unwrap();
            let whole = tail(size, old, &[(32, &kib.to_le_bytes())]);
            assert!(tail_sign(size, &whole).is_some());
            let partition = tail(size, old, &[(32, &(kib - 1024).to_le_bytes())]);
            assert_eq!(tail_sign(size, &partition), None);
        }
    }

    proptest! {
        #[test]
        fn any_end_is_borne(size: u64, noise in prop::collection::vec(any::<u8>(), 0..9000)) {
            let _any = tail_sign(size, &noise);
            let _any = tail_sign(noise.len() as u64, &noise);
        }
    }
}
