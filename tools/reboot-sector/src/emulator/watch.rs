//! Reads what QEMU tells about its guest: the log of ports written, and dumps of screen memory. Pure; the
//! emulator and its tests call it.

use std::fmt;

/// A way of resetting that a guest was seen to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A byte with bit 2, such as 06 or 0e, to port 0xcf9: by itself or as the ACPI reset register.
    Cf9,
    /// fe to port 0x64.
    Keyboard,
    /// Bit 0 of port 0x92.
    Port92,
    /// A processor that shut down.
    Triple,
}

impl fmt::Display for Way {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Cf9 => "CF9",
            Self::Keyboard => "the keyboard controller",
            Self::Port92 => "port 92h",
            Self::Triple => "a triple fault",
        })
    }
}

/// The ways in a log of `-d cpu_reset -trace memory_region_ops_write`, in order.
pub fn ways(log: &str) -> Vec<Way> {
    log.lines().filter_map(way).collect()
}

fn way(line: &str) -> Option<Way> {
    if line.contains("Triple fault") {
        return Some(Way::Triple);
    }
    // memory_region_ops_write cpu 0 mr 0x55cf addr 0xcf9 value 0x6 size 1 name 'piix3-reset-control'
    let (_, rest) = line.split_once("ops_write ")?.1.split_once(" addr 0x")?;
    let (port, rest) = rest.split_once(" value 0x")?;
    let (value, _) = rest.split_once(" size 1")?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    match (number(port)?, number(value)?) {
        // Bit 2 starts the reset, the others say which.
        (0xcf9, value) if value & 4 != 0 => Some(Way::Cf9),
        (0x64, 0xfe) => Some(Way::Keyboard),
        (0x92, value) if value & 1 == 1 => Some(Way::Port92),
        _ => None,
    }
}

/// Letters out of a dump of the monitor's `xp /4000xb 0xb8000`: every other byte is a letter.
pub(super) fn screen(dump: &str) -> String {
    let bytes = dump
        .lines()
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(_, bytes)| {
            bytes
                .split_whitespace()
                .filter_map(|byte| u8::from_str_radix(byte.trim_start_matches("0x"), 16).ok())
        });
    let letters: Vec<char> = bytes
        .step_by(2)
        .map(|byte| {
            if (b' '..=b'~').contains(&byte) {
                char::from(byte)
            } else {
                ' '
            }
        })
        .collect();
    letters
        .chunks(80)
        .map(|line| line.iter().collect::<String>() + "\n")
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_read_from_a_log() {
        let write = |port, value| {
            format!(
                "memory_region_ops_write cpu 0 mr 0x5 addr {port} value {value} size 1 name 'io'\n"
            )
        };
        let ports = [
            ("0xcf9", "0x2"),
            ("0xcf9", "0xf"),
            ("0x64", "0xfe"),
            ("0x92", "0x3"),
        ];
        let log = ports.map(|(port, value)| write(port, value)).concat() + "Triple fault\n";
        assert_eq!(
            ways(&log),
            [Way::Cf9, Way::Keyboard, Way::Port92, Way::Triple]
        );
    }

    #[test]
    fn a_screen_is_read_from_a_dump() {
        let dump = "00000000000b8000: 0x48 0x07 0x69 0x07\n00000000000b8004: 0x00 0x07\n";
        assert_eq!(screen(dump), "Hi \n");
    }
}
