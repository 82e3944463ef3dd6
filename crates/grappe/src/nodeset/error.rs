//! What can be wrong with a node set as typed, and where.
//!
//! Not here: names that cannot be resolved or reached.

use super::{NAME_BYTES_MAX, NAMES_MAX};

/// Why a text is not a node set. `position` counts characters, from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeSetError {
    /// Something else should stand here.
    #[error("at character {position}: expected {expected}, found {found}")]
    Unexpected {
        /// Where.
        position: usize,
        /// What would have been understood.
        expected: &'static str,
        /// What stands there: a character in quotes, or "the end".
        found: String,
    },
    /// A range runs backwards, like `[5-3]`.
    #[error("at character {position}: range ends before it begins: {begin}-{end}")]
    Backwards {
        /// Where the end of the range is written.
        position: usize,
        /// The first number, as written.
        begin: String,
        /// The last number, as written.
        end: String,
    },
    /// The ends of a range are padded differently, like `[1-010]` or `[001-10]`.
    #[error("at character {position}: range ends are padded differently: {begin}-{end}")]
    Padding {
        /// Where the end of the range is written.
        position: usize,
        /// The first number, as written.
        begin: String,
        /// The last number, as written.
        end: String,
    },
    /// A step of zero never arrives.
    #[error("at character {position}: the step of a range is at least 1")]
    ZeroStep {
        /// Where the step is written.
        position: usize,
    },
    /// A number in brackets has too many digits.
    #[error("at character {position}: number longer than {digits_max} digits")]
    NumberTooLong {
        /// Where the number begins.
        position: usize,
        /// The most digits, leading zeros included.
        digits_max: usize,
    },
    /// More names than [`NAMES_MAX`], repetitions included.
    #[error("at character {position}: more than {NAMES_MAX} names")]
    TooMany {
        /// Where the item begins with which it became too many.
        position: usize,
    },
    /// A name longer than [`NAME_BYTES_MAX`].
    #[error("at character {position}: name longer than {NAME_BYTES_MAX} characters")]
    NameTooLong {
        /// Where the item begins that holds the name.
        position: usize,
    },
}
