//! The master boot record around the code: disk signature, four partitions, and the mark 55 AA. Pure; it
//! never writes a table. Plans prove with it that nothing but code changed.

use super::u32_at;

/// Bytes of the record, whatever the sectors of the disk are.
pub const RECORD_LEN: usize = 512;
/// Where the disk signature begins, of which Linux makes PARTUUIDs (block/partitions/msdos.c).
pub const DISK_SIGNATURE: usize = 440;
/// Where the first of four partition entries begins.
pub const ENTRIES: usize = 446;
/// Bytes of one entry.
pub const ENTRY_LEN: usize = 16;
/// Where the mark is that makes a BIOS boot the record.
pub const MARK: usize = 510;
/// The mark.
pub const MARK_BYTES: [u8; 2] = [0x55, 0xaa];
/// An entry's first byte when the partition is active.
pub const ACTIVE: u8 = 0x80;
/// The type of a protective entry: a GPT lies behind it.
pub const PROTECTIVE: u8 = 0xee;
/// The type of an EFI system partition.
pub const EFI_SYSTEM: u8 = 0xef;

/// A whole record.
pub type Record = [u8; RECORD_LEN];

/// One of the four entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// 0x80 when active, else 0.
    pub status: u8,
    /// Type; 0 when the entry is unused.
    pub kind: u8,
    /// First sector.
    pub first: u32,
    /// Count of sectors.
    pub sectors: u32,
}

/// What kind of table the entries make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// No mark 55 AA and no entries.
    None,
    /// The mark, no entries.
    Empty,
    /// Entries, but no mark.
    Unmarked,
    /// A table of the old kind.
    Mbr,
    /// A single protective entry: GPT.
    Gpt,
    /// A protective entry among others.
    Hybrid,
}

/// What a record says besides its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mbr {
    /// 55 AA is there.
    pub marked: bool,
    /// The disk signature.
    pub disk_signature: u32,
    /// The four entries as they stand.
    pub entries: [Entry; 4],
}

/// Reads a record. Every 512 bytes can be read so.
pub fn read(record: &Record) -> Mbr {
    let entry = |index: usize| {
        let at = ENTRIES + index * ENTRY_LEN;
        Entry {
            status: record[at],
            kind: record[at + 4],
            first: u32_at(record, at + 8),
            sectors: u32_at(record, at + 12),
        }
    };
    Mbr {
        marked: record[MARK..] == MARK_BYTES,
        disk_signature: u32_at(record, DISK_SIGNATURE),
        entries: [entry(0), entry(1), entry(2), entry(3)],
    }
}

impl Mbr {
    /// Entries in use, with their numbers from 1.
    pub fn used(&self) -> impl Iterator<Item = (usize, &Entry)> {
        let numbered = self.entries.iter().enumerate();
        numbered
            .filter(|(_, entry)| entry.kind != 0)
            .map(|(index, entry)| (index + 1, entry))
    }

    /// What kind of table this is.
    pub fn scheme(&self) -> Scheme {
        let protective = self
            .used()
            .filter(|(_, entry)| entry.kind == PROTECTIVE)
            .count();
        match (self.marked, self.used().count()) {
            (false, 0) => Scheme::None,
            (true, 0) => Scheme::Empty,
            (false, _) => Scheme::Unmarked,
            (true, 1) if protective == 1 => Scheme::Gpt,
            (true, _) if protective > 0 => Scheme::Hybrid,
            (true, _) => Scheme::Mbr,
        }
    }

    /// An entry is marked active.
    pub fn has_active(&self) -> bool {
        self.used().any(|(_, entry)| entry.status == ACTIVE)
    }

    /// The entries can be a table: a status is 0 or 0x80, and what is used has a length. Boot sectors of
    /// file systems have code there.
    pub fn is_plausible(&self) -> bool {
        let plausible = |entry: &Entry| {
            matches!(entry.status, 0 | ACTIVE) && (entry.kind == 0 || entry.sectors > 0)
        };
        self.entries.iter().all(plausible)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_kinds(kinds: [u8; 4]) -> Mbr {
        let mut record = [0; RECORD_LEN];
        record[MARK..].copy_from_slice(&MARK_BYTES);
        for (index, kind) in kinds.into_iter().enumerate() {
            record[ENTRIES + index * ENTRY_LEN + 4] = kind;
            record[ENTRIES + index * ENTRY_LEN + 12] = 1;
        }
        read(&record)
    }

    #[test]
    fn schemes_are_told_apart() {
        assert_eq!(read(&[0; RECORD_LEN]).scheme(), Scheme::None);
        assert_eq!(with_kinds([0; 4]).scheme(), Scheme::Empty);
        assert_eq!(with_kinds([0x83, 0x82, 0, 0]).scheme(), Scheme::Mbr);
        assert_eq!(with_kinds([0xee, 0, 0, 0]).scheme(), Scheme::Gpt);
        assert_eq!(with_kinds([0x83, 0xee, 0, 0]).scheme(), Scheme::Hybrid);
        let unmarked = Mbr {
            marked: false,
            ..with_kinds([0x83, 0, 0, 0])
        };
        assert_eq!(unmarked.scheme(), Scheme::Unmarked);
    }

    proptest! {
        #[test]
        fn fields_are_the_bytes_at_their_offsets(noise in prop::collection::vec(any::<u8>(), 512)) {
            let record: Record = noise.try_into().unwrap();
            let mbr = read(&record);
            let mut built = record[..DISK_SIGNATURE].to_vec();
            built.extend(mbr.disk_signature.to_le_bytes());
            built.extend(&record[DISK_SIGNATURE + 4..ENTRIES]);
            for (index, entry) in mbr.entries.iter().enumerate() {
                let at = ENTRIES + index * ENTRY_LEN;
                built.push(entry.status);
                built.extend(&record[at + 1..at + 4]);
                built.push(entry.kind);
                built.extend(&record[at + 5..at + 8]);
                built.extend(entry.first.to_le_bytes());
                built.extend(entry.sectors.to_le_bytes());
            }
            built.extend(&record[MARK..]);
            prop_assert_eq!(&built[..], &record[..]);
            let _any = (mbr.scheme(), mbr.has_active(), mbr.is_plausible());
        }
    }
}
