//! The reset register out of ACPI's fixed description table (ACPI 6.5, 5.2.9). Pure; it reads one table's
//! bytes and resets nothing. `live.rs` feeds it `/sys/firmware/acpi/tables/FACP`.

use crate::sector::ResetPort;

const FLAGS: usize = 112;
const RESET_REGISTER: usize = 116;
const RESET_VALUE: usize = 128;
/// RESET_REG_SUP: the register may be used.
const SUPPORTED: u32 = 1 << 10;
const SPACE_MEMORY: u8 = 0;
const SPACE_PORT: u8 = 1;

/// How the firmware says the machine is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// By a byte to a port: the boot sector can do that.
    Port(ResetPort),
    /// By a register elsewhere, which real mode does not reach: in memory, in PCI's configuration.
    Elsewhere(&'static str),
    /// The firmware names no register.
    None,
}

/// Why bytes are no such table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FadtError {
    /// It begins otherwise, or is too short.
    #[error("this is no ACPI table FACP")]
    NoTable,
    /// Its bytes do not add up to 0.
    #[error("the checksum of ACPI's table FACP does not match")]
    Checksum,
}

/// Reads the reset register out of a table.
///
/// # Errors
/// When `table` is no such table, or damaged.
pub fn reset_register(table: &[u8]) -> Result<Reset, FadtError> {
    let len = table
        .get(4..8)
        .and_then(|four| four.first_chunk().copied())
        .map(u32::from_le_bytes);
    let len = len
        .filter(|_| table.starts_with(b"FACP"))
        .ok_or(FadtError::NoTable)?;
    let table = table
        .get(..len as usize)
        .filter(|table| table.len() >= FLAGS + 4);
    let table = table.ok_or(FadtError::NoTable)?;
    if table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) != 0 {
        return Err(FadtError::Checksum);
    }
    let word = |at: usize| {
        table
            .get(at..)
            .and_then(|rest| rest.first_chunk().copied())
            .map_or(0, u32::from_le_bytes)
    };
    // ACPI 1.0 had a shorter table.
    let (Some(register), Some(value)) = (
        table.get(RESET_REGISTER..RESET_VALUE),
        table.get(RESET_VALUE),
    ) else {
        return Ok(Reset::None);
    };
    if word(FLAGS) & SUPPORTED == 0 {
        return Ok(Reset::None);
    }
    let high = word(RESET_REGISTER + 8);
    Ok(
        match (register[0], u16::try_from(word(RESET_REGISTER + 4))) {
            (SPACE_PORT, Ok(port)) if port != 0 && high == 0 && matches!(register[1], 0 | 8) => {
                Reset::Port(ResetPort {
                    port,
                    value: *value,
                })
            }
            (SPACE_PORT, _) => Reset::Elsewhere("a port that makes no sense"),
            (SPACE_MEMORY, _) => Reset::Elsewhere("memory"),
            _ => Reset::Elsewhere("PCI configuration or another space"),
        },
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table(space: u8, address: u64, value: u8, flags: u32) -> Vec<u8> {
        let mut table = vec![0; 244];
        table[..4].copy_from_slice(b"FACP");
        table[4..8].copy_from_slice(&244_u32.to_le_bytes());
        table[FLAGS..FLAGS + 4].copy_from_slice(&flags.to_le_bytes());
        table[RESET_REGISTER] = space;
        table[RESET_REGISTER + 1] = 8;
        table[RESET_REGISTER + 4..RESET_VALUE].copy_from_slice(&address.to_le_bytes());
        table[RESET_VALUE] = value;
        let sum = table.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        table[9] = sum.wrapping_neg();
        table
    }

    #[test]
    fn a_port_is_found_only_where_it_is_supported() {
        let port = ResetPort {
            port: 0xcf9,
            value: 6,
        };
        assert_eq!(
            reset_register(&table(1, 0xcf9, 6, SUPPORTED)),
            Ok(Reset::Port(port))
        );
        assert_eq!(reset_register(&table(1, 0xcf9, 6, 0)), Ok(Reset::None));
        assert_eq!(
            reset_register(&table(0, 0xfed0_0000, 6, SUPPORTED)),
            Ok(Reset::Elsewhere("memory"))
        );
        for odd in [0, 0x1_0000, 1 << 32 | 0xcf9] {
            assert!(matches!(
                reset_register(&table(1, odd, 6, SUPPORTED)),
                Ok(Reset::Elsewhere(_))
            ));
        }
    }

    #[test]
    fn damage_is_seen() {
        let mut damaged = table(1, 0xcf9, 6, SUPPORTED);
        damaged[40] ^= 1;
        assert_eq!(reset_register(&damaged), Err(FadtError::Checksum));
        assert_eq!(reset_register(&damaged[..100]), Err(FadtError::NoTable));
        assert_eq!(reset_register(b"APIC"), Err(FadtError::NoTable));
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(mut noise in prop::collection::vec(any::<u8>(), 0..300), seal: bool) {
            if seal && noise.len() >= 10 {
                noise[..4].copy_from_slice(b"FACP");
                let len = u32::try_from(noise.len()).unwrap();
                noise[4..8].copy_from_slice(&len.to_le_bytes());
                let sum = noise.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
                noise[9] = noise[9].wrapping_sub(sum);
            }
            let _any = reset_register(&noise);
        }
    }
}
