//! What can be chosen about the sector, and how it is put into the code and read out of it again. Pure.
//! The flags of the command line become these settings; `inspect` prints them.

use std::str::FromStr;

use super::layout::{CHAIN, CHECKSUM, CODE_LEN, MAGIC, SETTINGS, TEXT, TEXT_LEN, VERSION};
use super::method::{Chain, ChainError};
use crate::checksum::crc32;

/// The code as it ships, with default settings and no checksum; made from `boot.S`, see `oracle.rs`.
pub(super) const TEMPLATE: &[u8; CODE_LEN] = include_bytes!("template.bin");

/// The longest wait, in seconds: an hour.
pub const WAIT_SECONDS_MAX: u16 = 3600;

/// Ends the text in the code.
const CARRIAGE_RETURN: u8 = 13;
/// The rate of a serial line whose divisor is 1, in baud.
const BAUD_MAX: u32 = 115_200;

/// What follows the seconds on the screen: 1 to 47 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text(String);

/// Why some words cannot be the text, or a value no setting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Too many characters.
    #[error("the text has {0} characters, the sector has room for {max}; shorten it", max = TEXT_LEN - 1)]
    TextTooLong(usize),
    /// Something a BIOS cannot print.
    #[error("the text may hold printable ASCII only, not {0:?}")]
    TextNotPrintable(char),
    /// A wait that is too short or too long.
    #[error("delay and jitter together are {0} s; choose 1 to {max} s", max = WAIT_SECONDS_MAX)]
    Wait(u32),
    /// A serial line that is not known.
    #[error("'{0}' is no serial line; use com1 to com4, and a rate if not 115200, as in com1:9600")]
    Serial(String),
    /// The chain cannot be written, or is foreign.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl Text {
    /// Checks `text`.
    ///
    /// # Errors
    /// When it is too long or cannot be printed.
    pub fn new(text: &str) -> Result<Self, SettingsError> {
        if let Some(bad) = text.chars().find(|c| !(' '..='~').contains(c)) {
            return Err(SettingsError::TextNotPrintable(bad));
        }
        if text.len() >= TEXT_LEN {
            return Err(SettingsError::TextTooLong(text.len()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The words themselves.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Text {
    fn default() -> Self {
        Self(" s to reset; any key: now, Esc: next device ".to_owned())
    }
}

/// A serial line, written to directly and always 8N1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serial {
    /// First port of the UART, not 0.
    pub port: u16,
    /// 115200 divided by the rate, not 0.
    pub divisor: u16,
}

const LINES: [(&str, u16); 4] = [
    ("com1", 0x3f8),
    ("com2", 0x2f8),
    ("com3", 0x3e8),
    ("com4", 0x2e8),
];

impl FromStr for Serial {
    type Err = SettingsError;

    fn from_str(text: &str) -> Result<Self, SettingsError> {
        let wrong = || SettingsError::Serial(text.to_owned());
        let (name, rate) = text.split_once(':').unwrap_or((text, "115200"));
        let found = LINES.iter().find(|(line, _)| *line == name);
        let (_, port) = *found.ok_or_else(wrong)?;
        let rate: u32 = rate.parse().map_err(|_| wrong())?;
        if rate == 0 || !BAUD_MAX.is_multiple_of(rate) {
            return Err(wrong());
        }
        let divisor = u16::try_from(BAUD_MAX / rate).map_err(|_| wrong())?;
        Ok(Self { port, divisor })
    }
}

impl std::fmt::Display for Serial {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match LINES.iter().find(|(_, port)| *port == self.port) {
            Some((name, _)) => write!(out, "{name}")?,
            None => write!(out, "{:#x}", self.port)?,
        }
        write!(out, ":{}", BAUD_MAX / u32::from(self.divisor.max(1)))
    }
}

/// How long the sector waits: the delay that was asked for, and this node's share of the jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    delay_seconds: u16,
    jitter_seconds: u16,
}

impl Wait {
    /// A wait of both together.
    ///
    /// # Errors
    /// When the sum is not 1 to [`WAIT_SECONDS_MAX`].
    pub fn new(delay_seconds: u32, jitter_seconds: u32) -> Result<Self, SettingsError> {
        let sum = delay_seconds.saturating_add(jitter_seconds);
        if !(1..=u32::from(WAIT_SECONDS_MAX)).contains(&sum) {
            return Err(SettingsError::Wait(sum));
        }
        let small = |seconds| u16::try_from(seconds).map_err(|_| SettingsError::Wait(sum));
        Ok(Self {
            delay_seconds: small(delay_seconds)?,
            jitter_seconds: small(jitter_seconds)?,
        })
    }

    /// All of it, in seconds.
    pub fn total_seconds(self) -> u16 {
        self.delay_seconds + self.jitter_seconds
    }

    /// The part that is the same on every node, in seconds.
    pub fn delay_seconds(self) -> u16 {
        self.delay_seconds
    }

    /// The part that is this node's own, in seconds.
    pub fn jitter_seconds(self) -> u16 {
        self.jitter_seconds
    }
}

/// Everything that can differ between two sectors of one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What the screen says.
    pub text: Text,
    /// How long it says so.
    pub wait: Wait,
    /// How often the boot order is taken from its top (INT 19h) before the first reset.
    pub soft_tries: u8,
    /// Where the text goes besides the screen.
    pub serial: Option<Serial>,
    /// How the machine is reset.
    pub chain: Chain,
}

impl Settings {
    /// The code with these settings and its checksum: what goes to byte 0 of the disk.
    pub fn emit(&self) -> [u8; CODE_LEN] {
        let mut code = *TEMPLATE;
        let text = self.text.0.bytes().chain([CARRIAGE_RETURN]);
        let padded = text.chain(std::iter::repeat(0)).take(TEXT_LEN);
        for (place, byte) in code.iter_mut().skip(TEXT).zip(padded) {
            *place = byte;
        }
        let serial = self.serial.unwrap_or(Serial {
            port: 0,
            divisor: 1,
        });
        let settings = [
            &MAGIC[..],
            &[VERSION],
            &self.wait.total_seconds().to_le_bytes(),
            &self.wait.jitter_seconds.to_le_bytes(),
            &[self.soft_tries],
            &serial.divisor.to_le_bytes(),
            &serial.port.to_le_bytes(),
            &self.chain.emit(),
        ]
        .concat();
        for (place, byte) in code.iter_mut().skip(SETTINGS).zip(settings) {
            *place = byte;
        }
        let crc = crc32(&code[..CHECKSUM]);
        code[CHECKSUM..].copy_from_slice(&crc.to_le_bytes());
        code
    }

    /// Reads the settings out of code of this version. Whether the rest of it is ours is another
    /// question, see [`super::read`].
    ///
    /// # Errors
    /// When a value is none that this program writes.
    pub(super) fn read(code: &[u8; CODE_LEN]) -> Result<Self, SettingsError> {
        let text: String = code[TEXT..TEXT + TEXT_LEN]
            .iter()
            .take_while(|byte| **byte != CARRIAGE_RETURN)
            .map(|byte| char::from(*byte))
            .collect();
        let word = |at: usize| u16::from_le_bytes([code[SETTINGS + at], code[SETTINGS + at + 1]]);
        let (total, jitter) = (u32::from(word(5)), u32::from(word(7)));
        let delay = total
            .checked_sub(jitter)
            .ok_or(SettingsError::Wait(total))?;
        let port = word(12);
        Ok(Self {
            text: Text::new(&text)?,
            wait: Wait::new(delay, jitter)?,
            soft_tries: code[SETTINGS + 9],
            serial: (port != 0).then(|| Serial {
                port,
                divisor: word(10),
            }),
            chain: Chain::read(&code[CHAIN..CHECKSUM])?,
        })
    }
}
