//! Ranges of monitoring plugins, on decimals: when a figure is cause for alarm.
//!
//! Monitoring Plugins Development Guidelines, "Threshold and ranges". `5:` alarms below five, which is
//! what a credit wants; `5` alarms outside zero to five.

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;

/// `[@][start:][end]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// `None` is minus infinity, written `~`.
    start: Option<Decimal>,
    /// `None` is infinity.
    end: Option<Decimal>,
    /// `@`: alarm inside, ends included, and not outside.
    inside: bool,
    written: String,
}

/// Why a range is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// A bound is no decimal number.
    #[error(
        "'{0}' is not a number; a range is written [@][START:][END], for example 5: for \"alarm below 5\""
    )]
    Number(String),
    /// The start is greater than the end.
    #[error("the range {0} ends before it starts")]
    Reversed(String),
    /// Nothing was written.
    #[error(
        "the range is empty; a range is written [@][START:][END], for example 5: for \"alarm below 5\""
    )]
    Empty,
}

impl Range {
    /// Whether `value` is cause for alarm.
    #[must_use]
    pub fn alarms(&self, value: Decimal) -> bool {
        let above_start = self.start.is_none_or(|start| value >= start);
        let below_end = self.end.is_none_or(|end| value <= end);
        (above_start && below_end) == self.inside
    }
}

impl FromStr for Range {
    type Err = RangeError;

    fn from_str(written: &str) -> Result<Self, RangeError> {
        let (inside, bounds) = match written.strip_prefix('@') {
            Some(bounds) => (true, bounds),
            None => (false, written),
        };
        if bounds.is_empty() {
            return Err(RangeError::Empty);
        }
        let (start, end) = bounds.split_once(':').unwrap_or(("", bounds));
        let number = |text: &str| {
            Decimal::from_str_exact(text).map_err(|_| RangeError::Number(text.to_owned()))
        };
        let start = match start {
            "~" => None,
            "" => Some(Decimal::ZERO),
            text => Some(number(text)?),
        };
        let end = if end.is_empty() {
            None
        } else {
            Some(number(end)?)
        };
        if let (Some(start), Some(end)) = (start, end)
            && start > end
        {
            return Err(RangeError::Reversed(written.to_owned()));
        }
        Ok(Self {
            start,
            end,
            inside,
            written: written.to_owned(),
        })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::{Range, RangeError};

    fn alarms(range: &str, value: &str) -> bool {
        range
            .parse::<Range>()
            .unwrap()
            .alarms(value.parse().unwrap())
    }

    #[test]
    fn the_guideline_s_examples_hold() {
        for (range, quiet, alarm) in [
            ("10", ["0", "10"], ["-0.01", "10.01"]),
            ("10:", ["10", "1000"], ["9.99", "-5"]),
            ("~:10", ["-100", "10"], ["10.01", "11"]),
            ("10:20", ["10", "20"], ["9.99", "20.01"]),
            ("@10:20", ["9.99", "20.01"], ["10", "20"]),
        ] {
            for value in quiet {
                assert!(!alarms(range, value), "{range} {value}");
            }
            for value in alarm {
                assert!(alarms(range, value), "{range} {value}");
            }
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        assert_eq!(
            "20:10".parse::<Range>(),
            Err(RangeError::Reversed("20:10".into()))
        );
        assert_eq!("".parse::<Range>(), Err(RangeError::Empty));
        assert_eq!("5€:".parse::<Range>(), Err(RangeError::Number("5€".into())));
        assert_eq!(
            "1:2:3".parse::<Range>(),
            Err(RangeError::Number("2:3".into()))
        );
    }

    proptest! {
        #[test]
        fn at_turns_the_answer_round(start in -500i64..500, length in 0i64..500, value in -1000i64..1000) {
            let end = start + length;
            let plain: Range = format!("{start}:{end}").parse().unwrap();
            let turned: Range = format!("@{start}:{end}").parse().unwrap();
            let outside = value < start || value > end;
            prop_assert_eq!(plain.alarms(Decimal::from(value)), outside);
            prop_assert_eq!(turned.alarms(Decimal::from(value)), !outside);
        }

        #[test]
        fn any_text_is_a_range_or_an_error(text in ".{0,20}") {
            let _ = text.parse::<Range>();
        }
    }
}
