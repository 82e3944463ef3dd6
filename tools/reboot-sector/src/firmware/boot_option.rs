//! A UEFI load option as the variables Boot0000 to BootFFFF hold it (UEFI 2.10, 3.1.3): read, and written
//! for a file on a GPT partition. Pure; which number and what order is `boot_order.rs`'s.

use crate::table::gpt::Guid;

/// LOAD_OPTION_ACTIVE.
const ACTIVE: u32 = 1;
/// A hard drive's partition in a device path: type, subtype, length.
const DRIVE_NODE: [u8; 4] = [4, 1, 42, 0];
/// A file's path in a device path: type, subtype.
const FILE_NODE: [u8; 2] = [4, 4];
/// The end of a device path.
const END_NODE: [u8; 4] = [0x7f, 0xff, 4, 0];
/// "GPT", and "the signature is a GUID".
const GPT_BY_GUID: [u8; 2] = [2, 2];

/// A partition as a load option names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drive {
    /// Number of the partition, from 1.
    pub number: u32,
    /// First sector.
    pub first: u64,
    /// Count of sectors.
    pub sectors: u64,
    /// The partition's own GUID.
    pub unique: Guid,
}

/// A load option that starts a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadOption {
    /// The firmware may try it.
    pub active: bool,
    /// What the firmware's menu shows.
    pub description: String,
    /// Where the file is; `None` when the option names no GPT partition.
    pub drive: Option<Drive>,
    /// The file, with backslashes; `None` when the option names none.
    pub file: Option<String>,
}

impl LoadOption {
    /// The variable's bytes. A file or description of more than some thousand characters is cut.
    pub fn emit(&self) -> Vec<u8> {
        let mut paths = Vec::new();
        if let Some(drive) = &self.drive {
            paths.extend(DRIVE_NODE);
            paths.extend(drive.number.to_le_bytes());
            paths.extend(drive.first.to_le_bytes());
            paths.extend(drive.sectors.to_le_bytes());
            paths.extend(drive.unique.0);
            paths.extend(GPT_BY_GUID);
        }
        if let Some(file) = &self.file {
            let name = wide(file);
            paths.extend(FILE_NODE);
            paths.extend(u16::try_from(name.len() + 4).unwrap_or(4).to_le_bytes());
            paths.extend(name);
        }
        paths.extend(END_NODE);
        let mut bytes = u32::from(self.active).to_le_bytes().to_vec();
        bytes.extend(u16::try_from(paths.len()).unwrap_or(0).to_le_bytes());
        bytes.extend(wide(&self.description));
        bytes.extend(paths);
        bytes
    }

    /// Reads a variable's bytes; `None` when they are no load option. Nodes that are not of interest, and
    /// optional data behind, are passed over.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (attributes, rest) = bytes.split_first_chunk()?;
        let (paths_len, rest) = rest.split_first_chunk()?;
        let (description, rest) = narrow(rest)?;
        let mut paths = rest.get(..usize::from(u16::from_le_bytes(*paths_len)))?;
        let (mut drive, mut file) = (None, None);
        while let Some((header, _)) = paths.split_first_chunk::<4>() {
            let len = usize::from(u16::from_le_bytes([header[2], header[3]]));
            let node = paths.get(..len).filter(|_| len >= 4)?;
            if *header == DRIVE_NODE {
                drive = drive.or(read_drive(node));
            } else if header[..2] == FILE_NODE {
                file = file.or(narrow(&node[4..]).map(|(name, _)| name));
            } else if header[..2] == END_NODE[..2] {
                break;
            }
            paths = &paths[len..];
        }
        let active = u32::from_le_bytes(*attributes) & ACTIVE != 0;
        Some(Self {
            active,
            description,
            drive,
            file,
        })
    }

    /// Both name one partition, by its GUID: that is what firmware looks for.
    pub fn names_partition_of(&self, other: &Self) -> bool {
        let unique = |option: &Self| option.drive.as_ref().map(|drive| drive.unique);
        unique(self).is_some_and(|mine| unique(other) == Some(mine))
    }
}

fn read_drive(node: &[u8]) -> Option<Drive> {
    let (_, rest) = node.split_first_chunk::<4>()?;
    let (number, rest) = rest.split_first_chunk()?;
    let (first, rest) = rest.split_first_chunk()?;
    let (sectors, rest) = rest.split_first_chunk()?;
    let (unique, rest) = rest.split_first_chunk()?;
    (*rest == GPT_BY_GUID).then(|| Drive {
        number: u32::from_le_bytes(*number),
        first: u64::from_le_bytes(*first),
        sectors: u64::from_le_bytes(*sectors),
        unique: Guid(*unique),
    })
}

/// UTF-16, little-endian, ended by a zero.
pub fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect()
}

/// The text up to a zero, and what follows it.
fn narrow(bytes: &[u8]) -> Option<(String, &[u8])> {
    let units = bytes.as_chunks::<2>().0;
    let len = units.iter().position(|unit| *unit == [0, 0])?;
    let text: Vec<u16> = units[..len]
        .iter()
        .map(|unit| u16::from_le_bytes(*unit))
        .collect();
    Some((String::from_utf16_lossy(&text), &bytes[len * 2 + 2..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_option_is_read_as_it_was_written(
            active: bool,
            description in "[a-zA-Z äß-]{0,30}",
            (number, first, sectors, unique) in any::<(u32, u64, u64, [u8; 16])>(),
            file in prop::option::of("[a-zA-Z.\\\\]{1,60}"),
        ) {
            let drive = Some(Drive { number, first, sectors, unique: Guid(unique) });
            let option = LoadOption { active, description, drive, file };
            prop_assert_eq!(LoadOption::read(&option.emit()), Some(option.clone()));
            for len in 0..option.emit().len() {
                prop_assert_eq!(LoadOption::read(&option.emit()[..len]), None);
            }
        }

        #[test]
        fn any_bytes_are_borne(noise in prop::collection::vec(prop_oneof![Just(0), Just(4), any::<u8>()], 0..200)) {
            let _any = LoadOption::read(&noise);
        }
    }
}
