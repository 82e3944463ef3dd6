//! What an operator's answer says: money, messages, data, minutes, and until when.
//!
//! Pure: text in, [`Understanding`] out. It never guesses: what is not certain is said to be so, with
//! the reason, and no figure is handed on. Who fetched the text, and whether the figures are cause for
//! alarm, is decided elsewhere.

mod date;
mod fold;
mod generic;
mod money;
mod profile;
mod quantity;
mod token;
mod words;

pub use date::DateOrder;
pub use profile::{Profile, ProfileError};

use jiff::civil::Date;
use rust_decimal::Decimal;
use serde::Serialize;

/// What an answer says with certainty. Absent is what it does not say, or not clearly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// The money left, in units of the currency, with the decimals that the operator wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amount: Option<Decimal>,
    /// ISO 4217. Absent beside an amount where several currencies share the sign, as `$` and `kr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// The day until which the money, or the number itself, is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Date>,
    /// Messages left in a bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sms: Option<u64>,
    /// The day until which these messages are valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sms_expiry: Option<Date>,
    /// Data left, in units of 1,024 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_kb: Option<u64>,
    /// Minutes of calls left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<u64>,
}

/// An answer's meaning, or why it cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Understanding {
    /// These figures, and how they were found.
    Certain(Figures, String),
    /// No figure may be taken from this text, for this reason.
    Uncertain(String),
}

/// What the reader knows beside the text.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The order of day, month and year, where the text leaves it open.
    pub date_order: Option<DateOrder>,
    /// Read with this profile and no other way. Without one, the built-in profiles are tried, then the
    /// rules for any operator.
    pub profile: Option<Profile>,
    /// The currency of the SIM, ISO 4217: an amount in another one is not taken, and a sign that several
    /// currencies share means this one.
    pub currency: Option<String>,
}

/// The most characters that are read. A USSD string has 182 at most (3GPP TS 23.038, 3GPP TS 22.090).
const CHARACTERS_MAX: usize = 4096;

/// What `text` says.
///
/// `terminated` is false where the text may have been cut short: a figure at its very end is then not
/// taken.
#[must_use]
pub fn understand(text: &str, terminated: bool, options: &Options) -> Understanding {
    let text: String = text
        .chars()
        .take_while(|&character| character != '\0')
        .take(CHARACTERS_MAX)
        .collect();
    if let Some(profile) = &options.profile {
        return match profile.read(&text) {
            Some(read) => expected(read, options),
            None => Understanding::Uncertain(format!(
                "the text is not what profile '{}' expects",
                profile.name()
            )),
        };
    }
    let read = Profile::built_in()
        .iter()
        .find_map(|profile| profile.read(&text));
    expected(
        read.unwrap_or_else(|| generic::read(&text, terminated, options)),
        options,
    )
}

/// Compares the currency with the one that is expected.
fn expected(read: Understanding, options: &Options) -> Understanding {
    let (mut figures, how) = match read {
        Understanding::Certain(figures, how) => (figures, how),
        uncertain @ Understanding::Uncertain(_) => return uncertain,
    };
    if let (Some(wanted), Some(_)) = (&options.currency, figures.amount) {
        match &figures.currency {
            Some(found) if !found.eq_ignore_ascii_case(wanted) => {
                return Understanding::Uncertain(format!(
                    "the amount is in {found}, expected was {wanted}"
                ));
            }
            Some(_) => {}
            None => figures.currency = Some(wanted.to_uppercase()),
        }
    }
    Understanding::Certain(figures, how)
}
