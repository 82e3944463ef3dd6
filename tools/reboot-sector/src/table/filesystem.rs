//! Signs that a whole device holds a file system, swap or a volume, rather than a partition table. A short
//! list for refusing, not a second blkid. Pure; plans call it with the first bytes of a disk.

use super::mbr::{self, Record};

/// Bytes from the start of a disk that show all signs.
pub const HEAD_LEN: usize = 0x1_1000;

/// Where, what, and its name. Places are those of util-linux, libblkid/src/superblocks.
const SIGNS: [(usize, &[u8], &str); 22] = [
    (0, b"XFSB", "XFS"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (0, b"hsqs", "squashfs"),
    (0, &[0xfc, 0x4e, 0x2b, 0xa9], "an MD member"),
    (0, &[0xc9, 0xc2, 0xd4, 0xc1], "an AIX volume"),
    (3, b"NTFS    ", "NTFS"),
    (3, b"EXFAT   ", "exFAT"),
    (3, b"-FVE-FS-", "BitLocker"),
    (0x18, b"LABELONE", "an LVM physical volume"),
    (512, b"LABELONE", "an LVM physical volume"),
    (1024, b"LABELONE", "an LVM physical volume"),
    (1536, b"LABELONE", "an LVM physical volume"),
    (1024, &[0x10, 0x20, 0xf5, 0xf2], "F2FS"),
    (1024, &[0xe2, 0xe1, 0xf5, 0xe0], "EROFS"),
    (1080, &[0x53, 0xef], "ext2, ext3 or ext4"),
    (4096, &[0xfc, 0x4e, 0x2b, 0xa9], "an MD member"),
    (4096 + 24, &[0xf6, 0x73, 0x85, 0xc6], "bcache"),
    (4086, b"SWAPSPACE2", "swap"),
    (65526, b"SWAPSPACE2", "swap"),
    (32769, b"CD001", "ISO 9660"),
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
}
