//! The EFI application as a file: its settings are set in the bytes that ship, and read out of them again.
//! Pure, but for `esp.rs`, which puts the file into a FAT file system. Commands call it.

pub mod esp;
pub mod found;
#[cfg(test)]
mod oracle;

use crate::checksum::crc32;
use crate::firmware::boot_option::{Drive, LoadOption};
use crate::sector::{SettingsError, Text, Wait};
use crate::table::gpt::Partition;

/// The application for x86-64, made from `app.rs`.
const TEMPLATE: &[u8] = include_bytes!("app.efi");
/// Marks the settings in it.
const MAGIC: &[u8; 8] = b"RbSeEFI1";
/// The same in every version.
const MAGIC_ANY: &[u8; 7] = b"RbSeEFI";
/// Letters of text, a zero among them.
const TEXT_UNITS: usize = 48;
/// Bytes of the settings: magic, two numbers, text, CRC-32 of what is before it.
const CONFIG_LEN: usize = 8 + 4 + TEXT_UNITS * 2 + 4;

/// Where the file is on the EFI system partition, as directories and a name.
pub const PLACE: [&str; 3] = ["EFI", "reboot-sector", "rebootx64.efi"];
/// Where firmware looks on a disk that no boot option names.
pub const FALLBACK: [&str; 3] = ["EFI", "BOOT", "BOOTX64.EFI"];
/// What the firmware's menu calls it.
pub const DESCRIPTION: &str = "reboot-sector";

/// The file with these settings.
///
/// # Errors
/// When the bytes that ship hold no settings, which the tests rule out.
pub fn emit(text: &Text, wait: Wait) -> Result<Vec<u8>, SettingsError> {
    let mut config = MAGIC.to_vec();
    config.extend(wait.total_seconds().to_le_bytes());
    config.extend(wait.jitter_seconds().to_le_bytes());
    let units = text.as_str().encode_utf16().chain(std::iter::repeat(0));
    config.extend(units.take(TEXT_UNITS).flat_map(u16::to_le_bytes));
    config.extend(crc32(&config).to_le_bytes());
    let mut file = TEMPLATE.to_vec();
    let at = find(&file).ok_or(SettingsError::Wait(0))?;
    file[at..at + CONFIG_LEN].copy_from_slice(&config);
    Ok(file)
}

/// The settings out of a file; `None` when it is not ours or damaged. Only the settings are checked.
pub fn read(file: &[u8]) -> Option<(Text, Wait)> {
    let config = file.get(find(file)?..)?.get(..CONFIG_LEN)?;
    let (covered, crc) = config.split_last_chunk()?;
    if u32::from_le_bytes(*crc) != crc32(covered) {
        return None;
    }
    let number = |at: usize| u32::from(u16::from_le_bytes([covered[at], covered[at + 1]]));
    let units = covered[12..]
        .as_chunks::<2>()
        .0
        .iter()
        .map(|unit| u16::from_le_bytes(*unit));
    let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
    let text = Text::new(&String::from_utf16_lossy(&units)).ok()?;
    let wait = Wait::new(number(8).checked_sub(number(10))?, number(10)).ok()?;
    Some((text, wait))
}

fn find(file: &[u8]) -> Option<usize> {
    file.windows(MAGIC.len()).position(|window| window == MAGIC)
}

/// The boot option for our file on this partition.
pub fn option(partition: Option<&Partition>) -> LoadOption {
    LoadOption {
        active: true,
        description: DESCRIPTION.to_owned(),
        drive: partition.map(|partition| Drive {
            number: partition.number,
            first: partition.first,
            sectors: partition.sectors(),
            unique: partition.unique,
        }),
        file: Some(PLACE.iter().map(|part| format!("\\{part}")).collect()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn settings_come_back_out_of_the_file(text in "[ -~]{0,47}", delay in 1_u32..3000, jitter in 0_u32..600) {
            let settings = (Text::new(&text).unwrap(), Wait::new(delay, jitter).unwrap());
            let file = emit(&settings.0, settings.1).unwrap();
            prop_assert_eq!(file.len(), TEMPLATE.len());
            prop_assert_eq!(read(&file), Some(settings));
        }

        #[test]
        fn any_bytes_are_borne(before in prop::collection::vec(any::<u8>(), 0..20), after in prop::collection::vec(any::<u8>(), 0..200)) {
            let _any = read(&[&before[..], MAGIC, &after].concat());
        }
    }
}
