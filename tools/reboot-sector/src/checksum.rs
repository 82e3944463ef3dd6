//! CRC-32 as GPT, zip and Ethernet have it, over bytes. Finds damage, not forgery. The sector, the EFI
//! application's settings, GPT headers and backups are checked with it.

/// The reversed polynomial of IEEE 802.3.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The CRC-32 of `bytes`, as in the UEFI specification, section 4.2: `cksum -a crc32b` prints the same.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let carry = crc & 1;
            crc >>= 1;
            if carry == 1 {
                crc ^= POLYNOMIAL;
            }
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_check_value_comes_out() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
