//! What an operator's answer says: money, messages, data, minutes, and until when.
//!
//! Pure: text in, [`Understanding`] out. It never guesses: what is not certain is said to be so, with
//! the reason, and no figure is handed on. Who fetched the text, and whether the figures are cause for
//! alarm, is decided elsewhere.

mod date;
mod fold;
mod money;
mod token;

pub use date::DateOrder;

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
