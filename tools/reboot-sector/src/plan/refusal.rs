//! Why a disk is not written: what is in the way, and what to do. No decisions; the program prints these
//! and ends with the exit code for "refused".

/// A reason not to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A partition was given.
    #[error("it is a partition of {of}; a BIOS boots whole disks: give /dev/{of}")]
    Partition {
        /// The disk.
        of: String,
    },
    /// Nothing that a firmware boots.
    #[error("it is {0}, which no firmware boots; give a disk or an image file")]
    Unfit(&'static str),
    /// Another serial number than expected.
    #[error(
        "its serial number is {found}, not {wanted}; this is another disk, or --expect-serial is wrong"
    )]
    Serial {
        /// What was expected.
        wanted: String,
        /// What it has.
        found: String,
    },
    /// Another size than expected.
    #[error("it has {found} bytes, not {wanted}; this is another disk, or --expect-size is wrong")]
    Size {
        /// What was expected.
        wanted: u64,
        /// What it has.
        found: u64,
    },
    /// It cannot be written.
    #[error("it is read-only; look for a write-protect switch, or for blockdev --getro")]
    ReadOnly,
    /// Sectors of another size than BIOSes know.
    #[error(
        "its sectors have {0} bytes; a BIOS boots sectors of 512 only: use --efi, or another disk"
    )]
    SectorSize(u32),
    /// No room for a sector.
    #[error("it has {0} bytes; a boot sector takes 512")]
    TooSmall(u64),
    /// The whole of it is in use.
    #[error(
        "{0}, the whole of it, so the first sector belongs to that; end that use, or take another disk"
    )]
    InUse(String),
    /// In use, nobody knows by whom.
    #[error(
        "the kernel says that it is in use, but not by whom; look at lsblk and at other mount namespaces"
    )]
    Busy,
    /// A file system or the like where a table should be.
    #[error(
        "it holds {0} on the whole disk, not in a partition; boot code is none of its business. \
         If it is a leftover, wipefs shows and removes it"
    )]
    FileSystem(&'static str),
    /// A part of an array, as its end says.
    #[error(
        "it is {0} as a whole, so its first sector belongs to that. If it is a leftover, wipefs or \
         mdadm --zero-superblock removes it"
    )]
    Member(&'static str),
    /// Bytes that are no table.
    #[error(
        "its first sector has no partition table that makes sense; look with fdisk -l, and make one with sfdisk"
    )]
    Implausible,
    /// A table without the mark 55 AA.
    #[error(
        "its first sector lost the mark 55 AA, as after wipefs, but still lists partitions; make the table \
         anew with sfdisk, or wipe the sector"
    )]
    Unmarked,
    /// No partition to activate.
    #[error("it has no partition that could be marked active; leave --active out, or make one")]
    NothingToActivate,
    /// A fault of this program.
    #[error("the plan would change the partition table; nothing was written, please report this")]
    WouldChangeTable,
    /// Somebody installed another boot loader since the backup.
    #[error(
        "its boot code is of another by now: {0}; if nobody needs that any more, restore with --replace, \
         which keeps a backup of it"
    )]
    OtherCode(String),
    /// Somebody else wrote.
    #[error(
        "its first sector changed while this program worked; nothing was written, look who else writes there"
    )]
    Changed,
}
