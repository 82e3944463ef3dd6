//! Profiles: an operator's answer described by a regular expression, in TOML, with its own tests.
//!
//! A profile reads texts that the rules for any operator leave open: a `$` that is Australian, two
//! parts of a credit that add up. The whole text must fit. A profile whose tests fail is refused.

use std::sync::LazyLock;

use jiff::civil::Date;
use regex::{Captures, Regex, RegexBuilder};
use rust_decimal::Decimal;
use serde::Deserialize;

use super::date::{self, DateOrder};
use super::token::{Kind, tokens};
use super::{Figures, Understanding, generic, money};

/// How one operator answers.
#[derive(Clone, Debug)]
pub struct Profile {
    written: Written,
    pattern: Regex,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file is not TOML, or has a field too many or too few.
    #[error("profile: {0}")]
    Form(#[from] toml::de::Error),
    /// The regular expression does not compile, or has no group that is known.
    #[error("profile '{0}': {1}")]
    Pattern(String, String),
    /// A test of the profile's own does not come out as it says.
    #[error("profile '{name}': its test {text:?} gives {found}, not what it expects")]
    Test {
        /// The profile.
        name: String,
        /// The text of the test.
        text: String,
        /// What came out.
        found: String,
    },
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    /// Matched against the whole text. Groups: `amount`, `amount2` and `amount3` (added to the first),
    /// `sms`, `minutes`, `data_kb`, `data_mb`, `expiry`, `sms_expiry`, and `expiry_words` (`01 Jan 2013`).
    pattern: String,
    currency: Option<String>,
    date_order: Option<DateOrder>,
    test: Vec<Test>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Test {
    text: String,
    /// Must not be taken by this profile.
    #[serde(default)]
    refused: bool,
    amount: Option<Decimal>,
    expiry: Option<Date>,
    sms: Option<u64>,
    sms_expiry: Option<Date>,
    data_kb: Option<u64>,
    minutes: Option<u64>,
}

/// A pattern that compiles into more than this is a mistake.
const PATTERN_BYTES_MAX: usize = 1 << 20;

impl Profile {
    /// Reads a profile and runs its tests.
    ///
    /// # Errors
    /// Its form, its pattern, or a test that fails; each names the profile.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        let written: Written = toml::from_str(text)?;
        let whole = format!(r"^\s*(?:{})\s*$", written.pattern);
        let pattern = RegexBuilder::new(&whole)
            .dot_matches_new_line(true)
            .size_limit(PATTERN_BYTES_MAX)
            .build()
            .map_err(|error| ProfileError::Pattern(written.name.clone(), error.to_string()))?;
        if written.test.is_empty() {
            return Err(ProfileError::Pattern(
                written.name,
                "has no test: add [[test]] with a text and its figures".into(),
            ));
        }
        let profile = Self { written, pattern };
        for test in &profile.written.test {
            profile.run(test)?;
        }
        Ok(profile)
    }

    /// The profiles that come with the program.
    #[must_use]
    pub fn built_in() -> &'static [Self] {
        static ALL: LazyLock<Vec<Profile>> = LazyLock::new(|| {
            BUILT_IN
                .iter()
                .filter_map(|text| Profile::parse(text).ok())
                .collect()
        });
        &ALL
    }

    /// The name by which `--profile` finds it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.written.name
    }

    /// What the text says, or `None` if it is not this operator's.
    pub(crate) fn read(&self, text: &str) -> Option<Understanding> {
        let groups = self.pattern.captures(text)?;
        let how = format!("profile '{}'", self.name());
        Some(match self.figures(&groups) {
            Some(figures) => Understanding::Certain(figures, how),
            None => Understanding::Uncertain(format!(
                "{how} fits, but a number in it can be read in two ways"
            )),
        })
    }

    fn figures(&self, groups: &Captures<'_>) -> Option<Figures> {
        let code = self.written.currency.as_deref();
        let mut figures = Figures::default();
        for name in ["amount", "amount2", "amount3"] {
            if let Some(group) = groups.name(name) {
                let value = signed(group.as_str(), code)?;
                figures.amount = Some(figures.amount.unwrap_or_default() + value);
            }
        }
        figures.currency = figures.amount.and(self.written.currency.clone());
        let count = |name: &str| {
            groups
                .name(name)
                .map(|group| group.as_str().parse::<u64>().ok())
        };
        figures.sms = flat(count("sms"))?;
        figures.minutes = flat(count("minutes"))?;
        figures.data_kb = flat(count("data_kb"))?;
        if let Some(megabytes) = flat(count("data_mb"))? {
            figures.data_kb = Some(megabytes.checked_mul(1024)?);
        }
        figures.expiry = groups
            .name("expiry")
            .and_then(|group| self.day(group.as_str()));
        if let Some(group) = groups.name("expiry_words") {
            figures.expiry = generic::worded(group.as_str());
        }
        figures.sms_expiry = groups
            .name("sms_expiry")
            .and_then(|group| self.day(group.as_str()));
        Some(figures)
    }

    fn day(&self, written: &str) -> Option<Date> {
        match tokens(written).first()?.kind {
            Kind::Date(parts, separator) => date::date(
                parts,
                separator,
                self.written.date_order,
                self.written.currency.as_deref(),
            ),
            _ => None,
        }
    }

    fn run(&self, test: &Test) -> Result<(), ProfileError> {
        let found = self.read(&test.text);
        let right = match &found {
            None => test.refused,
            Some(Understanding::Certain(figures, _)) => {
                !test.refused
                    && figures.amount == test.amount
                    && figures.expiry == test.expiry
                    && figures.sms == test.sms
                    && figures.sms_expiry == test.sms_expiry
                    && figures.data_kb == test.data_kb
                    && figures.minutes == test.minutes
            }
            Some(Understanding::Uncertain(_)) => false,
        };
        if right {
            return Ok(());
        }
        Err(ProfileError::Test {
            name: self.name().to_owned(),
            text: test.text.clone(),
            found: format!("{found:?}"),
        })
    }
}

#[expect(
    clippy::option_option,
    reason = "the outer one says whether the group is there, the inner whether it is a number"
)]
fn flat(count: Option<Option<u64>>) -> Option<Option<u64>> {
    match count {
        None => Some(None),
        Some(count) => count.map(Some),
    }
}

fn signed(written: &str, code: Option<&str>) -> Option<Decimal> {
    let (negative, digits) = match written.trim().strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, written.trim()),
    };
    let decimal_dot = digits.split('.').count() == 2 && !digits.contains(',');
    let value = money::worth(digits.trim(), code, decimal_dot)?;
    Some(if negative { -value } else { value })
}

const BUILT_IN: &[&str] = &[
    include_str!("../../profiles/au-telstra.toml"),
    include_str!("../../profiles/de-kaufland-mobil.toml"),
    include_str!("../../profiles/in-main-balance.toml"),
    include_str!("../../profiles/ir-etebar.toml"),
];

#[cfg(test)]
mod tests {
    use super::{BUILT_IN, Profile};

    #[test]
    fn every_profile_that_ships_passes_its_own_tests() {
        for text in BUILT_IN {
            if let Err(error) = Profile::parse(text) {
                panic!("{error}");
            }
        }
    }

    #[test]
    fn a_profile_without_tests_or_with_a_wrong_one_is_refused() {
        let bare = "name = 'a'\npattern = '(?<amount>\\d+) EUR'\ntest = []";
        assert!(Profile::parse(bare).is_err());
        let wrong =
            "name = 'a'\npattern = '(?<amount>\\d+) EUR'\n[[test]]\ntext = '5 EUR'\namount = '6'";
        assert!(Profile::parse(wrong).is_err());
    }
}
