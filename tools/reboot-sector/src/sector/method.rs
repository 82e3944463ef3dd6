//! Ways to reset the machine, and the chain of them as the sector holds it: four-byte records that its
//! interpreter walks for ever. Pure; `settings.rs` puts the chain into the code, flags name the methods.

use std::fmt;
use std::str::FromStr;

use super::layout::{BASE, CHAIN_RECORDS, LABEL_CHAIN, LABEL_JUMP, LABEL_TRIPLE, RECORD_LEN};

/// Port of the chipset's reset control register.
const CF9: u16 = 0xcf9;
/// Command port of the keyboard controller.
const KEYBOARD: u16 = 0x64;
/// "System control port A".
const PORT_92: u16 = 0x92;

/// A reset register in port space: what the firmware's table says, or what is baked into a sector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetPort {
    /// The port, not 0.
    pub port: u16,
    /// The byte to write there.
    pub value: u8,
}

/// A way to reset, as the sector carries it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Writes the ACPI reset register (ACPI 6.5, 4.8.3.6).
    Acpi(ResetPort),
    /// Chipset register 0xcf9: 02, then 06, a hard reset.
    Cf9,
    /// The same with 0e: power goes off and on.
    Cf9Full,
    /// Pulses the reset line of the keyboard controller once.
    Keyboard,
    /// Bit 0 of port 0x92, from 0 to 1.
    Port92,
    /// An interrupt without a vector, twice.
    Triple,
    /// A jump to the entry after power-on, with the flag for a cold start.
    Jump,
}

/// A method as a flag names it: `acpi` gets its port only on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodName {
    /// `acpi`
    Acpi,
    /// `cf9`
    Cf9,
    /// `cf9-full`
    Cf9Full,
    /// `kbc`
    Keyboard,
    /// `port92`
    Port92,
    /// `triple`
    Triple,
    /// `jump`
    Jump,
}

const NAMES: [(&str, MethodName); 7] = [
    ("acpi", MethodName::Acpi),
    ("cf9", MethodName::Cf9),
    ("cf9-full", MethodName::Cf9Full),
    ("kbc", MethodName::Keyboard),
    ("port92", MethodName::Port92),
    ("triple", MethodName::Triple),
    ("jump", MethodName::Jump),
];

/// The order used when none is given. What the firmware names comes first, and twice as some systems
/// expect; the jump comes last, as a bad BIOS may hang in it, and after the triple fault, which either
/// resets or comes back.
pub const DEFAULT_ORDER: [MethodName; 8] = [
    MethodName::Acpi,
    MethodName::Cf9,
    MethodName::Keyboard,
    MethodName::Acpi,
    MethodName::Keyboard,
    MethodName::Port92,
    MethodName::Triple,
    MethodName::Jump,
];

/// A name that is no method's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no reset method is called '{0}'; there are acpi, cf9, cf9-full, kbc, port92, triple and jump"
)]
pub struct UnknownMethod(String);

impl FromStr for MethodName {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, method)| *method)
            .ok_or_else(|| UnknownMethod(text.to_owned()))
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = NAMES.iter().find(|(_, method)| method == self);
        out.write_str(found.map_or("?", |(name, _)| name))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acpi(register) => {
                write!(out, "acpi({:#x}<-{:#04x})", register.port, register.value)
            }
            other => write!(out, "{}", other.name()),
        }
    }
}

impl Method {
    /// What a flag calls it.
    pub fn name(self) -> MethodName {
        match self {
            Self::Acpi(_) => MethodName::Acpi,
            Self::Cf9 => MethodName::Cf9,
            Self::Cf9Full => MethodName::Cf9Full,
            Self::Keyboard => MethodName::Keyboard,
            Self::Port92 => MethodName::Port92,
            Self::Triple => MethodName::Triple,
            Self::Jump => MethodName::Jump,
        }
    }

    fn records(self) -> Vec<Record> {
        let poke = |port, keep, set| Record {
            port,
            low: keep,
            high: set,
        };
        match self {
            Self::Acpi(register) => vec![poke(register.port, 0, register.value)],
            Self::Cf9 => vec![poke(CF9, 0xf1, 0x02), poke(CF9, 0xf1, 0x06)],
            Self::Cf9Full => vec![poke(CF9, 0xf1, 0x0a), poke(CF9, 0xf1, 0x0e)],
            Self::Keyboard => vec![poke(KEYBOARD, 0, 0xfe)],
            Self::Port92 => vec![poke(PORT_92, 0xfe, 0), poke(PORT_92, 0xfe, 1)],
            Self::Triple => vec![Record::go(LABEL_TRIPLE)],
            Self::Jump => vec![Record::go(LABEL_JUMP)],
        }
    }
}

/// The methods of one sector in the order in which they are tried: at least one, and as many as the
/// records hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain(Vec<Method>);

/// Why a list of methods is no chain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Nothing is left to reset with.
    #[error("the list of reset methods is empty; name one at least, or leave --methods out")]
    Empty,
    /// More than the sector holds.
    #[error(
        "the list of reset methods takes {0} records, the sector has room for {max}; cf9 and port92 take two each",
        max = CHAIN_RECORDS - 1
    )]
    TooLong(usize),
    /// The bytes of a sector are not what this program writes.
    #[error("record {0} of the chain is none that this program writes")]
    Foreign(usize),
}

impl Chain {
    /// A chain of `methods`.
    ///
    /// # Errors
    /// When there is none, or when they do not fit.
    pub fn new(methods: Vec<Method>) -> Result<Self, ChainError> {
        let records: usize = methods.iter().map(|method| method.records().len()).sum();
        match records {
            0 => Err(ChainError::Empty),
            too_many if too_many >= CHAIN_RECORDS => Err(ChainError::TooLong(too_many)),
            _ => Ok(Self(methods)),
        }
    }

    /// What the names mean on a machine with this reset register. `acpi` is left out where there is none.
    ///
    /// # Errors
    /// As for [`Chain::new`].
    pub fn from_names(
        names: &[MethodName],
        register: Option<ResetPort>,
    ) -> Result<Self, ChainError> {
        let method = |name: &MethodName| match name {
            MethodName::Acpi => register.map(Method::Acpi),
            MethodName::Cf9 => Some(Method::Cf9),
            MethodName::Cf9Full => Some(Method::Cf9Full),
            MethodName::Keyboard => Some(Method::Keyboard),
            MethodName::Port92 => Some(Method::Port92),
            MethodName::Triple => Some(Method::Triple),
            MethodName::Jump => Some(Method::Jump),
        };
        Self::new(names.iter().filter_map(method).collect())
    }

    /// The methods, in order.
    pub fn methods(&self) -> &[Method] {
        &self.0
    }

    /// The records as bytes, ended by "again"; what is left is zero.
    pub fn emit(&self) -> [u8; CHAIN_RECORDS * RECORD_LEN] {
        let mut bytes = [0; CHAIN_RECORDS * RECORD_LEN];
        let again = std::iter::once(Record::go(LABEL_CHAIN));
        let records = self
            .0
            .iter()
            .flat_map(|method| method.records())
            .chain(again);
        for (place, record) in bytes.chunks_exact_mut(RECORD_LEN).zip(records) {
            place.copy_from_slice(&record.emit());
        }
        bytes
    }

    /// Reads what [`Chain::emit`] wrote.
    ///
    /// # Errors
    /// When a record is none of those.
    pub fn read(bytes: &[u8]) -> Result<Self, ChainError> {
        let records: Vec<Record> = bytes.chunks_exact(RECORD_LEN).map(Record::read).collect();
        let mut methods = Vec::new();
        let mut at = 0;
        loop {
            let rest = records.get(at..).unwrap_or_default();
            let first = rest.first().ok_or(ChainError::Foreign(at))?;
            if *first == Record::go(LABEL_CHAIN) {
                return Self::new(methods);
            }
            let register = ResetPort {
                port: first.port,
                value: first.high,
            };
            let acpi = (first.port != 0 && first.low == 0).then_some(Method::Acpi(register));
            let known = [
                Some(Method::Cf9),
                Some(Method::Cf9Full),
                Some(Method::Keyboard),
                Some(Method::Port92),
                Some(Method::Triple),
                Some(Method::Jump),
                acpi,
            ];
            let found = known
                .into_iter()
                .flatten()
                .find(|method| rest.starts_with(&method.records()));
            let method = found.ok_or(ChainError::Foreign(at))?;
            at += method.records().len();
            methods.push(method);
        }
    }
}

impl fmt::Display for Chain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, method) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(out, "{comma}{method}")?;
        }
        Ok(())
    }
}

/// Port 0: go on at the address in the other two bytes. Else: read, keep `low`, set `high`, write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    port: u16,
    low: u8,
    high: u8,
}

impl Record {
    fn go(label: u16) -> Self {
        let [low, high] = (BASE + label).to_le_bytes();
        Self { port: 0, low, high }
    }

    fn emit(self) -> [u8; RECORD_LEN] {
        let [first, second] = self.port.to_le_bytes();
        [first, second, self.low, self.high]
    }

    fn read(bytes: &[u8]) -> Self {
        let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
        Self {
            port: u16::from_le_bytes([at(0), at(1)]),
            low: at(2),
            high: at(3),
        }
    }
}
