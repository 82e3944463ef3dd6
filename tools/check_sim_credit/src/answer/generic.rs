//! Reading without a profile: the rules that hold for any operator's answer.
//!
//! A figure counts when its unit stands beside it and the words before it name what is left. Where two
//! figures could be meant, or the words say something else, the answer is uncertain.

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::date::{self, DateOrder};
use super::quantity::{Quantity, Unit, quantities};
use super::token::{Kind, Token, tokens};
use super::{Figures, Options, Understanding, words};

/// What `text` says by these rules.
#[must_use]
pub(crate) fn read(text: &str, terminated: bool, options: &Options) -> Understanding {
    let tokens = tokens(text);
    let everything = joined(&tokens, 0, tokens.len());
    if words::any(words::FAILURE, &everything) {
        return Understanding::Uncertain(
            "the text says that something failed, or will come later".into(),
        );
    }
    let offers = offers_start(&tokens);
    let quantities: Vec<Quantity> = quantities(&tokens)
        .into_iter()
        .filter(|quantity| quantity.start < offers)
        .collect();
    let answer = Answer {
        tokens: &tokens,
        quantities: &quantities,
        everything: &everything,
        offers,
    };

    let money = match answer.money() {
        Ok(money) => money,
        Err(reason) => return Understanding::Uncertain(reason.into()),
    };
    if let Some(money) = &money
        && answer.may_be_cut(money.index, text, terminated)
    {
        return Understanding::Uncertain(
            "the text may be cut short in the middle of the amount".into(),
        );
    }
    let mut figures = Figures::default();
    if let Some(money) = &money {
        figures.amount = Some(money.value);
        figures.currency = money.code.map(str::to_owned);
    } else if !words::any(words::REMAINDER, &everything) {
        return Understanding::Uncertain(
            "no amount with a currency is named as what is left".into(),
        );
    }
    answer.counts(&mut figures);
    let code = options
        .currency
        .as_deref()
        .or(figures.currency.as_deref())
        .map(str::to_uppercase);
    let order = options.date_order.or_else(|| day_first(code.as_deref()));
    answer.dates(
        &mut figures,
        money.as_ref().map(|money| money.index),
        order,
        code.as_deref(),
    );
    if figures == Figures::default() {
        return Understanding::Uncertain("no figure with a unit is named as what is left".into());
    }
    let how = if money.is_some() {
        "an amount beside a word for credit"
    } else {
        "what a bundle has left"
    };
    Understanding::Certain(figures, how.into())
}

/// The day of a date whose month is a word: `01 Jan 2013`.
#[must_use]
pub(crate) fn worded(text: &str) -> Option<Date> {
    let tokens = tokens(text);
    let found = tokens
        .iter()
        .enumerate()
        .find_map(|(at, token)| Some((at, date::month(token.word())?)));
    let (at, month) = found?;
    worded_date(&tokens, at, month, None)?.1
}

struct Answer<'a> {
    tokens: &'a [Token],
    quantities: &'a [Quantity],
    everything: &'a str,
    offers: usize,
}

struct Money {
    value: Decimal,
    code: Option<&'static str>,
    index: usize,
}

impl Answer<'_> {
    /// The money left, if exactly one amount is named so.
    fn money(&self) -> Result<Option<Money>, &'static str> {
        let mut chosen: Option<Money> = None;
        let mut unlabelled = Vec::new();
        for (index, quantity) in self.quantities.iter().enumerate() {
            let Unit::Money {
                value, code, doubt, ..
            } = &quantity.unit
            else {
                continue;
            };
            match self.label(index) {
                Label::Other => continue,
                Label::None => {
                    if chosen.is_some() && self.stands_beside_previous(index) {
                        return Err("two amounts stand side by side");
                    }
                    unlabelled.push(index);
                    continue;
                }
                Label::Bound => return Err("the amount is only a bound"),
                Label::Credit => {}
            }
            if let Some(doubt) = doubt {
                return Err(doubt);
            }
            let value = value.ok_or("the number can be read in two ways")?;
            if let Some(earlier) = &chosen {
                if earlier.value == value && earlier.code == *code {
                    continue;
                }
                return Err("two amounts are named as what is left");
            }
            chosen = Some(Money {
                value,
                code: *code,
                index,
            });
        }
        if chosen.is_none()
            && let [index] = unlabelled[..]
        {
            return self.bare(index);
        }
        Ok(chosen)
    }

    /// Whether only marks stand between this figure and the one before.
    fn stands_beside_previous(&self, index: usize) -> bool {
        let Some(previous) = index
            .checked_sub(1)
            .map(|previous| &self.quantities[previous])
        else {
            return false;
        };
        let between = &self.tokens[previous.end..self.quantities[index].start];
        between
            .iter()
            .all(|token| matches!(token.kind, Kind::Mark('+' | ',' | '-' | '/' | '&' | '(')))
    }

    /// An amount without a word for it: it counts alone in its text or line, or at the text's beginning
    /// with its validity behind.
    fn bare(&self, index: usize) -> Result<Option<Money>, &'static str> {
        let quantity = &self.quantities[index];
        let Unit::Money {
            value,
            code,
            weak,
            doubt,
        } = &quantity.unit
        else {
            return Ok(None);
        };
        let first = quantity.start == 0 || self.tokens[quantity.start - 1].kind == Kind::Newline;
        let mut end = quantity.end;
        while self
            .tokens
            .get(end)
            .is_some_and(|token| matches!(token.kind, Kind::Mark('.' | ',' | ';' | '!')))
        {
            end += 1;
        }
        let last = self
            .tokens
            .get(end)
            .is_none_or(|token| token.kind == Kind::Newline);
        let valid_follows = quantity.start == 0
            && self
                .tokens
                .get(end)
                .is_some_and(|token| words::any(words::VALIDITY, token.word()));
        // A letter alone is no currency, but for the Cyrillic one that nothing else is.
        let sign = !weak
            || self.tokens[quantity.end - 1]
                .written
                .starts_with(['р', 'Р']);
        if !(first && (last || valid_follows) && sign)
            || words::any(words::OTHER, self.everything) && !valid_follows
        {
            return Ok(None);
        }
        if let Some(doubt) = doubt {
            return Err(doubt);
        }
        let value = value.ok_or("the number can be read in two ways")?;
        Ok(Some(Money {
            value,
            code: *code,
            index,
        }))
    }

    /// What the words beside a figure call it.
    fn label(&self, index: usize) -> Label {
        let before = self.words_before(index);
        let after = self.words_after(index);
        if words::any(words::BOUND, &before) {
            return if words::any(words::CREDIT, &before) {
                Label::Bound
            } else {
                Label::Other
            };
        }
        // "You have 5.00 EUR left", "5.00 EUR credit remaining".
        let following = after.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let first_after = following.split(' ').next().unwrap_or_default();
        if words::any(words::OTHER, &before)
            || (words::any(words::OTHER, first_after) && !words::any(words::CREDIT, first_after))
        {
            return Label::Other;
        }
        if words::any(words::CREDIT, &before) {
            return Label::Credit;
        }
        let owner = words::any(
            &[
                "you have",
                "you still have",
                "sie haben",
                "du hast",
                "vous avez",
                "il vous reste",
                "te quedan",
                "usted tiene",
                "tienes",
                "hai",
                "u heeft",
                "je hebt",
                "u vas",
                "masz",
                "noch",
            ],
            &before,
        );
        let left = words::any(words::LEFT, &following)
            || words::any(words::CREDIT, first_after)
            || words::any(words::LEFT, &before);
        if owner
            && (left
                || before.ends_with("have")
                || before.ends_with("reste")
                || before.ends_with("quedan"))
            || (left && !before.is_empty())
        {
            return Label::Credit;
        }
        Label::None
    }

    /// The words from the last figure, or the sentence's beginning, to this one.
    fn words_before(&self, index: usize) -> String {
        let quantity = &self.quantities[index];
        let after_previous = index.checked_sub(1).map_or(0, |previous| {
            let previous = &self.quantities[previous];
            // A lone number is no end: "Konto 1: 5 EUR", "1. Guthaben".
            if previous.unit == Unit::Other
                && matches!(self.tokens[previous.start].kind, Kind::Number(_))
            {
                0
            } else {
                previous.end
            }
        });
        let start = self.sentence_start(quantity.start).max(after_previous);
        let label = joined_without_subscriber(self.tokens, start, quantity.start);
        if !label.is_empty()
            || start < 2
            || self.tokens[start - 1].kind != Kind::Newline
            || start == after_previous
        {
            return label;
        }
        // The label is a line of its own: "Guthaben:\n5,00 EUR".
        let above = self.sentence_start(start - 1).max(after_previous);
        joined_without_subscriber(self.tokens, above, start - 1)
    }

    fn words_after(&self, index: usize) -> String {
        let end = self.quantities[index].end;
        let stop = (end..self.tokens.len())
            .find(|&at| {
                matches!(
                    self.tokens[at].kind,
                    Kind::Mark(_) | Kind::Newline | Kind::Number(_) | Kind::Odd | Kind::Date(..)
                )
            })
            .unwrap_or(self.tokens.len());
        joined(self.tokens, end, stop)
    }

    fn sentence_start(&self, from: usize) -> usize {
        (0..from)
            .rev()
            .find(|&at| ends_sentence(self.tokens, at))
            .map_or(0, |at| at + 1)
    }

    /// Messages, minutes and data that are left.
    fn counts(&self, figures: &mut Figures) {
        let (mut messages, mut data, mut minutes) = (Vec::new(), Vec::new(), Vec::new());
        for (index, quantity) in self.quantities.iter().enumerate() {
            let (list, count) = match quantity.unit {
                Unit::Messages(count) => (&mut messages, count),
                Unit::DataKb(count) => (&mut data, count),
                Unit::Minutes(count) => (&mut minutes, count),
                _ => continue,
            };
            let before = self.words_before(index);
            let after = self.words_after(index);
            let first_after = after.split(' ').next().unwrap_or_default();
            let other = words::any(words::NOT_LEFT, &before)
                || words::any(words::BOUND, &before)
                || words::any(
                    &[
                        "for",
                        "fur",
                        "pour",
                        "za",
                        "por",
                        "per",
                        "cost*",
                        "kost*",
                        "used",
                        "utilis*",
                        "verbraucht*",
                        "consum*",
                    ],
                    first_after,
                )
                || self.money_follows(quantity.end);
            if !other {
                list.push(count);
            }
        }
        figures.sms = only(&messages);
        figures.data_kb = only(&data);
        // No alarm hangs on minutes: of several, the first that has something left.
        figures.minutes = minutes
            .iter()
            .copied()
            .find(|&count| count > 0)
            .or_else(|| minutes.first().copied());
    }

    /// A price right behind: "100 SMS = 2 EUR", "100 SMS 2 EUR".
    fn money_follows(&self, end: usize) -> bool {
        self.quantities.iter().any(|quantity| {
            matches!(quantity.unit, Unit::Money { .. })
                && (quantity.start == end
                    || (quantity.start == end + 1
                        && matches!(
                            self.tokens[end].kind,
                            Kind::Mark('=' | '-' | ':' | '/' | '@')
                        )))
        })
    }

    /// Until when, for the money and for the messages.
    fn dates(
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
            let until = if own_sentence {
                words::UNTIL
            } else {
                words::VALIDITY
            };
            if earlier_date.is_some() || !words::any(until, &label) {
                continue;
            }
            if Some(previous) == money {
                if words::any(words::OTHER_DATE, &without_until(&label)) {
                    continue;
                }
                expiries.push(day);
            } else if matches!(self.quantities[previous].unit, Unit::Messages(_))
                && figures.sms.is_some()
                && own_sentence
                && !words::any(words::NOT_LEFT, &label)
            {
                sms_expiries.push(day);
            }
        }
        figures.expiry = one(&expiries);
        figures.sms_expiry = one(&sms_expiries);
    }

    /// Every date, also those with the month in letters, with the token it begins at; `None` where the
    /// day is not certain.
    fn found_dates(
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
                    if let Some((start, day)) = worded_date(self.tokens, at, month, code) {
                        found.push((start, day));
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// Whether the amount is the last thing of a text that may have been cut.
    fn may_be_cut(&self, index: usize, text: &str, terminated: bool) -> bool {
        /// One packet holds 160 characters of 7 bits, a USSD string 182.
        const LONG_CHARACTERS: usize = 160;
        let last = self.quantities[index].end == self.tokens.len()
            && text.ends_with(|c: char| c.is_ascii_digit());
        last && (!terminated || text.chars().count() >= LONG_CHARACTERS)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Label {
    Credit,
    Other,
    Bound,
    None,
}

/// Places that write the day first, told by their money.
fn day_first(code: Option<&str>) -> Option<DateOrder> {
    const DAY_FIRST: &str = "EUR GBP CHF DZD MAD TND XOF XAF INR BDT PKR LKR NGN GHS KES TZS UGX AUD NZD IDR MYR VND \
THB RUB UAH KZT BYN PLN CZK RON BGN HRK RSD BAM MKD ALL TRY ILS BRL ARS CLP COP PEN MXN UYU PYG BOB EGP AED SAR";
    DAY_FIRST
        .split(' ')
        .any(|day_first| Some(day_first) == code)
        .then_some(DateOrder::DayFirst)
}

/// `01 Jan 2013`, `Aug 28, 2021`, `1 октября 2009`.
fn worded_date(
    tokens: &[Token],
    at: usize,
    month: u32,
    code: Option<&str>,
) -> Option<(usize, Option<Date>)> {
    let number = |index: usize| match &tokens.get(index)?.kind {
        Kind::Number(written) => written.parse::<u32>().ok(),
        _ => None,
    };
    let year_of = |year: u32| match (code, year) {
        (Some("THB"), 2500..) => year - 543,
        (_, ..100) => 2000 + year,
        _ => year,
    };
    let skip = |index: usize| {
        if tokens
            .get(index)
            .is_some_and(|t| matches!(t.kind, Kind::Mark('.' | ',' | '-' | '/')))
        {
            index + 1
        } else {
            index
        }
    };
    let before = (1..=2).find_map(|back| {
        let index = at.checked_sub(back)?;
        (back == 1 || matches!(tokens[at - 1].kind, Kind::Mark('.' | '-' | '/'))).then_some(())?;
        number(index).map(|day| (index, day))
    });
    if let (Some((start, day)), Some(year)) = (before, number(skip(at + 1))) {
        return Some((start, date::day(year_of(year), month, day)));
    }
    let day = number(at + 1)?;
    let year = number(skip(at + 2))?;
    Some((
        at,
        if year >= 2000 {
            date::day(year_of(year), month, day)
        } else {
            None
        },
    ))
}

fn only(counts: &[u64]) -> Option<u64> {
    let left: Vec<u64> = counts.iter().copied().filter(|&count| count > 0).collect();
    match (&left[..], counts) {
        ([count], _) => Some(*count),
        ([], [zero, ..]) => Some(*zero),
        ([first, rest @ ..], _) if rest.iter().all(|count| count == first) => Some(*first),
        _ => None,
    }
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
    label
        .split(' ')
        .filter(|word| {
            !words::any(words::VALIDITY, word) && !matches!(*word, "au" | "le" | "on" | "am")
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// Words joined by blanks, from one token to before another.
fn joined(tokens: &[Token], start: usize, end: usize) -> String {
    let words: Vec<&str> = tokens
        .get(start..end)
        .unwrap_or_default()
        .iter()
        .map(Token::word)
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ")
}

/// The same without "for the number 4179...": whose credit it is does not say what it is.
fn joined_without_subscriber(tokens: &[Token], start: usize, end: usize) -> String {
    let mut words: Vec<&str> = Vec::new();
    // "3.00 EUR/min": the unit of a price belongs to the figure before.
    let price = tokens
        .get(start..end)
        .is_some_and(|between| between.first().is_some_and(|token| token.is_mark('/')));
    let start = if price { start + 2 } else { start };
    for token in tokens.get(start..end).unwrap_or_default() {
        if token.kind == Kind::Identifier {
            let from = words.len().saturating_sub(4);
            if let Some(at) = words[from..].iter().position(|word| {
                matches!(
                    *word,
                    "for"
                        | "fur"
                        | "fuer"
                        | "pour"
                        | "dla"
                        | "za"
                        | "por"
                        | "per"
                        | "of"
                        | "na"
                        | "voor"
                        | "to"
                )
            }) {
                words.truncate(from + at);
            }
        } else if !token.word().is_empty() {
            words.push(token.word());
        }
    }
    words.join(" ")
}

fn ends_sentence(tokens: &[Token], at: usize) -> bool {
    match tokens[at].kind {
        Kind::Newline | Kind::Mark('!' | '?' | ';') => true,
        Kind::Mark('.') => {
            let Some(previous) = at.checked_sub(1).map(|previous| &tokens[previous]) else {
                return true;
            };
            if words::ABBREVIATED.contains(&previous.word()) {
                return false;
            }
            tokens.get(at + 1).is_none_or(|next| {
                !next.glued || next.capital || matches!(next.kind, Kind::Newline)
            })
        }
        _ => false,
    }
}

/// The token at which a menu or a list of offers begins, or the number of tokens.
fn offers_start(tokens: &[Token]) -> usize {
    let mut line_starts = Vec::new();
    for at in 0..tokens.len() {
        let begins_line = at == 0 || tokens[at - 1].kind == Kind::Newline;
        if begins_line
            && let Kind::Number(written) = &tokens[at].kind
            && written.len() <= 2
            && written.bytes().all(|byte| byte.is_ascii_digit())
            && tokens.get(at + 1).is_some_and(|next| {
                matches!(next.kind, Kind::Mark('.' | ')' | '-' | ':')) || !next.glued
            })
        {
            line_starts.push((at, written.parse::<u32>().unwrap_or_default()));
        }
    }
    // Numbered one after the other; two figures at the beginnings of lines are no menu.
    let menu = line_starts
        .windows(2)
        .find(|pair| pair[0].1 + 1 == pair[1].1)
        .map_or(tokens.len(), |pair| pair[0].0);
    let called = (0..tokens.len()).find(|&at| {
        let begins = at == 0 || ends_sentence(tokens, at - 1);
        begins
            && words::any(
                words::OFFER_LIST,
                &joined(tokens, at, (at + 4).min(tokens.len())),
            )
    });
    menu.min(called.unwrap_or(tokens.len()))
}
