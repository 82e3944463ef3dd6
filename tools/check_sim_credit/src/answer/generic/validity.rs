//! Until when an answer's figures are valid, and whether it says that this time is over.
//!
//! A day belongs to the figure before it. Today is not asked for; `judge.rs` does that.

use jiff::civil::Date;

use super::super::date::{self, DateOrder};
use super::super::quantity::Unit;
use super::super::token::{Kind, Token};
use super::super::words::{self, List};
use super::{Answer, Figures, ends_sentence, joined};

impl Answer<'_> {
    /// Until when, for the money and for the messages.
    pub(super) fn dates(
        &self,
        figures: &mut Figures,
        money: Option<usize>,
        order: Option<DateOrder>,
        code: Option<&str>,
    ) {
        let (mut expiries, mut sms_expiries) = (Vec::new(), Vec::new());
        for (at, day) in self.found_dates(order, code) {
            let Some(previous) = self.quantities.iter().rposition(|quantity| {
                // "do 28.12.2025" may follow a name with a number in it.
                quantity.end <= at
                    && !(quantity.unit == Unit::Other
                        && quantity.end == quantity.start + 1
                        && matches!(self.tokens[quantity.start].kind, Kind::Number(_)))
            }) else {
                continue;
            };
            let start = self.sentence_start(at);
            let after_previous = self.quantities[previous].end;
            let earlier_date = (after_previous..at)
                .rev()
                .find(|&index| matches!(self.tokens[index].kind, Kind::Date(..)));
            let label = joined(self.tokens, start.max(after_previous), at);
            let own_sentence = start <= after_previous;
            let until = words::any(List::Validity, &label)
                || (own_sentence && words::any(List::Until, &label));
            if earlier_date.is_some() || !until {
                continue;
            }
            if Some(previous) == money {
                if words::any(List::OtherDate, &without_until(&label)) {
                    continue;
                }
                expiries.push(day);
            } else if matches!(self.quantities[previous].unit, Unit::Messages(_))
                && figures.sms.is_some()
                && own_sentence
                && !words::any(
                    List::NotLeft,
                    label.strip_prefix("expired").unwrap_or(&label),
                )
            {
                sms_expiries.push(day);
            }
        }
        figures.expiry = one(&expiries);
        figures.sms_expiry = one(&sms_expiries);
    }

    /// Whether a sentence says that the credit, the card or the number is over or locked.
    ///
    /// What will come is no such thing, nor is the name of a day: "Expired: 31.12.2027". Whether that
    /// day is past is not asked here.
    pub(super) fn has_lapsed(&self, dates: &[(usize, Option<Date>)], figures: &Figures) -> bool {
        if self.has_no_days() {
            return true;
        }
        let mut start = 0;
        while start < self.tokens.len() {
            let stop = self.sentence_end(start);
            let words: Vec<usize> = (start..stop)
                .filter(|&at| !self.names_expiry(at, dates, figures))
                .collect();
            // "Saldo caducado: 5,00 EUR" is the name of that figure, "Saldo caducado." is news.
            let is_name = self
                .quantities
                .iter()
                .any(|quantity| (start..stop).contains(&quantity.start));
            let is_over = |&at: &usize| {
                let word = self.tokens[at].word();
                words::OVER.iter().any(|stem| word.starts_with(stem)) && !self.is_to_come(at)
            };
            if self.is_said(List::Lapsed, &words) || (!is_name && words.iter().any(is_over)) {
                return true;
            }
            start = stop + 1;
        }
        false
    }

    /// Whether the word at `at` names the day behind it, and says nothing of what has been.
    ///
    /// That is the day taken for the credit or its messages, or one of another bundle. Of a day that is
    /// not certain the words must make a name: "expired date 03/04/2027", "expired: 03/04/2027", and
    /// not "your SIM expired 03/04/2026".
    fn names_expiry(&self, at: usize, dates: &[(usize, Option<Date>)], figures: &Figures) -> bool {
        const BETWEEN: [&str; 7] = ["on", "date", "dates", "by", "at", "in", "after"];
        const OF_A_NAME: [&str; 3] = ["date", "dates", "by"];
        if !words::any(List::Validity, self.tokens[at].word()) {
            return false;
        }
        let found = (at + 1..self.tokens.len()).find(|&next| {
            !matches!(self.tokens[next].kind, Kind::Mark(_))
                && !BETWEEN.contains(&self.tokens[next].word())
        });
        let Some((next, day)) = found.and_then(|next| {
            let date = dates.iter().find(|(start, _)| *start == next);
            date.map(|(_, day)| (next, *day))
        }) else {
            return false;
        };
        let start = self.sentence_start(at);
        let previous = self
            .quantities
            .iter()
            .rfind(|quantity| quantity.end <= at && quantity.start >= start);
        let behind = previous.map_or(start, |quantity| quantity.end);
        let bundle = previous.is_some_and(|quantity| {
            matches!(
                quantity.unit,
                Unit::Messages(_) | Unit::Minutes(_) | Unit::DataKb(_)
            )
        });
        let subject = self.tokens[behind..at]
            .iter()
            .any(|token| !token.word().is_empty());
        let is_name = self.tokens[at].word() == "expired"
            && (!subject
                || self.tokens[at + 1..next]
                    .iter()
                    .any(|token| token.is_mark(':') || OF_A_NAME.contains(&token.word())));
        let is_taken = day.is_some() && (day == figures.expiry || day == figures.sms_expiry);
        is_taken || bundle || (day.is_none() && is_name)
    }

    /// Whether the words at `at` say, by a list of what has been, that it has; not that it will be.
    pub(super) fn is_said(&self, list: List, at: &[usize]) -> bool {
        let text = |words: &mut dyn Iterator<Item = usize>| {
            words
                .map(|at| self.tokens[at].word())
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        };
        words::has_been(
            list,
            &text(&mut at.iter().copied()),
            &text(&mut at.iter().copied().filter(|&at| !self.is_to_come(at))),
        )
    }

    /// "will be lost", "wird am 31.12.2027 gelöscht": whether the words just before put the one at `at`
    /// into the future. Not beyond a comma, a reason or another verb: "will be blocked as expired".
    fn is_to_come(&self, at: usize) -> bool {
        /// "wird nach Ablauf der Frist gelöscht"
        const REACH_WORDS: usize = 5;
        const BREAKS: [&str; 30] = [
            "as", "because", "since", "due", "is", "are", "was", "has", "have", "da", "weil",
            "denn", "wegen", "ist", "sind", "hat", "car", "est", "porque", "por", "esta", "perche",
            "want", "bo", "poniewaz", "protoze", "je", "jer", "tak", "karena",
        ];
        let mut before: Vec<&str> = (0..at)
            .rev()
            .take_while(|&earlier| !ends_sentence(self.tokens, earlier))
            .map(|earlier| &self.tokens[earlier])
            .take_while(|token| {
                !matches!(token.kind, Kind::Mark(',' | ':' | '(' | ')'))
                    && !BREAKS.contains(&token.word())
            })
            .map(Token::word)
            .filter(|word| !word.is_empty())
            .take(REACH_WORDS)
            .collect();
        before.reverse();
        words::any(List::Future, &before.join(" "))
    }

    /// "Validity: 0 days", "0 days left", where no bundle is spoken of.
    fn has_no_days(&self) -> bool {
        self.quantities.iter().enumerate().any(|(index, quantity)| {
            let is_zero = matches!(&self.tokens[quantity.start].kind, Kind::Number(written)
                if written.bytes().all(|byte| byte == b'0'));
            let is_days = quantity.unit == Unit::Other
                && is_zero
                && self
                    .tokens
                    .get(quantity.start + 1)
                    .is_some_and(|token| words::DAYS.contains(&token.word()));
            let of_money = index.checked_sub(1).is_none_or(|previous| {
                matches!(self.quantities[previous].unit, Unit::Money { .. })
            });
            is_days && of_money
        })
    }

    /// Every date, also those with the month in letters, with the token it begins at; `None` where the
    /// day is not certain.
    pub(super) fn found_dates(
        &self,
        order: Option<DateOrder>,
        code: Option<&str>,
    ) -> Vec<(usize, Option<Date>)> {
        let mut found = Vec::new();
        for at in 0..self.tokens.len().min(self.offers) {
            match &self.tokens[at].kind {
                Kind::Date(parts, separator) => {
                    found.push((at, date::date(*parts, *separator, order, code)));
                }
                Kind::Word(word) => {
                    let Some(month) = date::month(word) else {
                        continue;
                    };
                    if let Some((start, day)) = date::worded(self.tokens, at, month, code) {
                        found.push((start, day));
                    }
                }
                _ => {}
            }
        }
        found
    }
}

/// Places that write the day first, told by their money.
pub(super) fn day_first(code: Option<&str>) -> Option<DateOrder> {
    const DAY_FIRST: &str = "EUR GBP CHF DZD MAD TND XOF XAF INR BDT PKR LKR NGN GHS KES TZS UGX AUD NZD IDR MYR VND \
THB RUB UAH KZT BYN PLN CZK RON BGN HRK RSD BAM MKD ALL TRY ILS BRL ARS CLP COP PEN MXN UYU PYG BOB EGP AED SAR";
    DAY_FIRST
        .split(' ')
        .any(|day_first| Some(day_first) == code)
        .then_some(DateOrder::DayFirst)
}

/// The one day of all; none if one of them is not certain, or they differ.
fn one(days: &[Option<Date>]) -> Option<Date> {
    let (first, rest) = days.split_first()?;
    rest.iter()
        .all(|day| day == first)
        .then_some(*first)
        .flatten()
}

/// Words that speak of validity may sound like others: taken out before those are looked for.
fn without_until(label: &str) -> String {
    // In Romanian a "data" is a day.
    let label = label.replace("la data", "la");
    label
        .split(' ')
        .filter(|word| {
            !words::any(List::Validity, word) && !matches!(*word, "au" | "le" | "on" | "am")
        })
        .collect::<Vec<_>>()
        .join(" ")
}
