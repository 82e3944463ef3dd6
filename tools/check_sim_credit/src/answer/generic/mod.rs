//! Reading without a profile: the rules that hold for any operator's answer.
//!
//! A figure counts when its unit stands beside it and the words before it name what is left. Where two
//! figures could be meant, or the words say something else, the answer is uncertain.

mod counts;
mod validity;

use std::cell::OnceCell;

use jiff::civil::Date;
use rust_decimal::Decimal;

use super::date;
use super::quantity::{Quantity, Unit, quantities};
use super::token::{Kind, Token, tokens};
use super::words::{self, List};
use super::{Figures, Options, Understanding, money};

/// What `text` says by these rules.
#[must_use]
pub(crate) fn read(text: &str, terminated: bool, options: &Options) -> Understanding {
    let tokens = tokens(text);
    let everything = joined(&tokens, 0, tokens.len());
    if words::any(List::Failure, &everything) {
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
        plain_credit: OnceCell::new(),
    };

    let money = match answer.money() {
        Ok(money) => money,
        Err(reason) => return Understanding::Uncertain(reason.into()),
    };
    // The yuan's sign is a dollar's in the places that write the old characters.
    let money = money.map(|money| Money {
        code: money
            .code
            .filter(|_| money.sign != "元" || !text.contains(['額', '餘', '帳', '戶'])),
        ..money
    });
    if let Some(money) = &money
        && answer.may_be_cut(money.index, text, terminated)
    {
        return Understanding::Uncertain(
            "the text may be cut short in the middle of the amount".into(),
        );
    }
    let mut figures = Figures::default();
    if let Some(money) = &money {
        if let (None, Some(wanted)) = (money.code, &options.currency)
            && !money::may_mean(money.sign, wanted)
        {
            return Understanding::Uncertain(format!("the sign of the amount is none of {wanted}"));
        }
        figures.amount = Some(money.value);
        figures.currency = money.code.map(str::to_owned);
    } else if !words::any(List::Remainder, &everything) {
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
    let order = options
        .date_order
        .or_else(|| validity::day_first(code.as_deref()));
    answer.dates(
        &mut figures,
        money.as_ref().map(|money| money.index),
        order,
        code.as_deref(),
    );
    if answer.has_lapsed(&answer.found_dates(order, code.as_deref()), &figures) {
        return Understanding::Uncertain("the text says that something is over or locked".into());
    }
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
    date::worded(&tokens, at, month, None)?.1
}

struct Answer<'a> {
    tokens: &'a [Token],
    quantities: &'a [Quantity],
    everything: &'a str,
    offers: usize,
    /// Found out when it is asked for, see [`Answer::has_plain_credit`].
    plain_credit: OnceCell<bool>,
}

struct Money {
    value: Decimal,
    code: Option<&'static str>,
    /// The sign as it stands in the list of currencies.
    sign: &'static str,
    index: usize,
}

impl Answer<'_> {
    /// The money left, if exactly one amount is named so.
    fn money(&self) -> Result<Option<Money>, &'static str> {
        let mut chosen: Option<Money> = None;
        let mut unlabelled = Vec::new();
        for (index, quantity) in self.quantities.iter().enumerate() {
            let Unit::Money {
                value,
                code,
                sign,
                doubt,
                ..
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
                let same = earlier.code == *code || earlier.code.is_none() || code.is_none();
                if earlier.value == value && same {
                    if let Some(money) = chosen.as_mut() {
                        money.code = money.code.or(*code);
                    }
                    continue;
                }
                return Err("two amounts are named as what is left");
            }
            chosen = Some(Money {
                value,
                code: *code,
                sign,
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
            sign: written,
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
                .is_some_and(|token| words::any(List::Validity, token.word()));
        // A letter alone is no currency, but for the Cyrillic one that nothing else is.
        let sign = !weak
            || self.tokens[quantity.end - 1]
                .written
                .starts_with(['р', 'Р']);
        if !(first && ((last && self.is_alone(quantity)) || valid_follows) && sign)
            || words::any(List::Other, self.everything) && !valid_follows
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
            sign: written,
            index,
        }))
    }

    /// Whether no other line says anything but a subscriber's number.
    fn is_alone(&self, quantity: &Quantity) -> bool {
        let lines = self.tokens.split(|token| token.kind == Kind::Newline);
        let own = self.tokens.get(quantity.start);
        let mut others = lines.filter(|line| !line.iter().any(|token| Some(token) == own));
        others
            .all(|line| line.is_empty() || line.iter().any(|token| token.kind == Kind::Identifier))
    }

    /// What the words beside a figure call it.
    fn label(&self, index: usize) -> Label {
        let before = self.words_before(index);
        let after = self.words_after(index);
        let following = after.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let first_after = following.split(' ').next().unwrap_or_default();
        let credit = words::any(List::Credit, &before);
        if self.is_asked_for(index) {
            return Label::Bound;
        }
        let bound = words::any(List::Bound, &before)
            || words::any(List::Bound, &following)
            || words::any(List::Debt, &self.bracket_behind(index))
            || (words::any(List::Debt, &following) && !self.names_the_next(index))
            || self.is_said(List::Gone, &self.rest_of_sentence(index));
        let owed = words::any(List::Debt, &before);
        if bound || owed {
            let named = credit || words::ends(List::Owner, &before);
            return if named && (bound || !self.is_beside_a_credit(index, &before)) {
                Label::Bound
            } else {
                Label::Other
            };
        }
        // "You have 5.00 EUR left", "5.00 EUR credit remaining".
        if words::any(List::Other, &before)
            || (words::ends(List::Act, &before) && !self.follows_a_time(index))
            || self.cyrillic_loan(index)
            || (words::any(List::Other, first_after) && !words::any(List::Credit, first_after))
            || self.is_named_behind(index, &after)
        {
            return Label::Other;
        }
        if credit {
            return Label::Credit;
        }
        let left = words::any(List::Left, &following)
            || words::any(List::Credit, first_after)
            || words::any(List::Left, &before);
        let ends_here = first_after.is_empty()
            || words::any(List::Until, first_after)
            || words::any(List::Validity, first_after)
            || matches!(
                first_after,
                "and" | "et" | "y" | "e" | "und" | "en" | "i" | "si" | "on"
            );
        let owned = words::ends(List::Owner, &before) && (left || ends_here);
        if owned || (left && !before.is_empty()) {
            return Label::Credit;
        }
        Label::None
    }

    /// "Balance: 5.00 EUR. Loan balance: 0.00 EUR": a figure named as a debt is another account's where
    /// a plain credit stands beside it. A minus may speak of that credit itself, unless it is nought.
    fn is_beside_a_credit(&self, index: usize, before: &str) -> bool {
        let is_nought = matches!(&self.quantities[index].unit,
            Unit::Money { value: Some(value), .. } if value.is_zero());
        (is_nought || words::any(List::Other, before)) && self.has_plain_credit()
    }

    /// Whether an amount is named as a credit by words that speak of no debt.
    fn has_plain_credit(&self) -> bool {
        // Once for all figures: a long text has many.
        *self.plain_credit.get_or_init(|| {
            (0..self.quantities.len()).any(|index| {
                matches!(self.quantities[index].unit, Unit::Money { .. })
                    && !words::any(List::Debt, &self.words_before(index))
                    && self.label(index) == Label::Credit
            })
        })
    }

    /// "Guthaben um 11:12: 5,00 EUR": the last word before the figure belongs to a time or a number.
    fn follows_a_time(&self, index: usize) -> bool {
        self.tokens[..self.quantities[index].start]
            .iter()
            .rfind(|token| !matches!(token.kind, Kind::Mark(_) | Kind::Newline))
            .is_some_and(|token| {
                matches!(
                    token.kind,
                    Kind::Clock(_) | Kind::Date(..) | Kind::Number(_)
                )
            })
    }

    /// "and 5.00 PLN on the promotional account": the words behind say that it is another account.
    fn is_named_behind(&self, index: usize, after: &str) -> bool {
        const OTHERS: [&str; 7] = [
            "promo", "bonus", "bonif", "regal", "gift", "omaggio", "podar",
        ];
        let other = |word: &str| OTHERS.iter().any(|beginning| word.starts_with(beginning));
        after.split(' ').take(4).any(other)
            && index > 0
            && matches!(self.quantities[index - 1].unit, Unit::Money { .. })
            && !self.names_the_next(index)
    }

    /// "Use 5.00 EUR of your balance?" is a question, not an answer.
    fn is_asked_for(&self, index: usize) -> bool {
        let end = self.quantities[index].end;
        let stop = (end..self.tokens.len()).find(|&at| ends_sentence(self.tokens, at));
        stop.is_some_and(|at| self.tokens[at].is_mark('?'))
    }

    /// Whether the words after a figure are the name of the next one: "5.00 EUR Debt: 3.00 EUR".
    fn names_the_next(&self, index: usize) -> bool {
        let end = self.quantities[index].end;
        let stop =
            (end..self.tokens.len()).find(|&at| !matches!(self.tokens[at].kind, Kind::Word(_)));
        stop.is_some_and(|at| {
            matches!(
                self.tokens[at].kind,
                Kind::Mark(':' | '=') | Kind::Number(_)
            )
        })
    }

    /// In Russian a "кредит" is money lent; other languages write the credit left so.
    fn cyrillic_loan(&self, index: usize) -> bool {
        let start = self.quantities[index].start;
        let from = self.sentence_start(start);
        let lent = self.tokens[from..start]
            .iter()
            .any(|token| token.written.to_lowercase().starts_with("кредит"));
        lent && matches!(
            self.quantities[index].unit,
            Unit::Money {
                code: Some("RUB" | "UAH" | "BYN" | "KZT"),
                ..
            }
        )
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
        joined(self.tokens, end, self.words_after_end(end))
    }

    /// The token before which the words behind a figure end, which itself ends before `end`.
    fn words_after_end(&self, end: usize) -> usize {
        let stop = (end..self.tokens.len())
            .find(|&at| {
                matches!(
                    self.tokens[at].kind,
                    Kind::Mark(_) | Kind::Newline | Kind::Number(_) | Kind::Odd | Kind::Date(..)
                )
            })
            .unwrap_or(self.tokens.len());
        // "R12.30 Bonus:R3.00": the word before the colon names the next figure.
        let names_next = self
            .tokens
            .get(stop)
            .is_some_and(|token| token.is_mark(':'));
        if stop > end && names_next {
            stop - 1
        } else {
            stop
        }
    }

    /// The words behind a figure that speak of it and of no other: "of 5.00 EUR, granted in May,
    /// has been used". Where another figure follows in the sentence, what stands behind a mark may
    /// name that.
    fn rest_of_sentence(&self, index: usize) -> Vec<usize> {
        let start = self.quantities[index].end;
        let stop = self.sentence_end(start);
        let another = self.quantities[index + 1..]
            .iter()
            .any(|next| next.start < stop && next.unit != Unit::Other);
        if !another {
            return (start..stop).collect();
        }
        if self.names_the_next(index) {
            return Vec::new();
        }
        (start..self.words_after_end(start)).collect()
    }

    /// The words in brackets right behind a figure: "5.00 EUR (DR)". None where they hold a figure,
    /// which is what they speak of.
    fn bracket_behind(&self, index: usize) -> String {
        let start = self.quantities[index].end;
        if !self
            .tokens
            .get(start)
            .is_some_and(|token| token.is_mark('('))
        {
            return String::new();
        }
        let inside = self.tokens[start + 1..]
            .iter()
            .take_while(|token| matches!(token.kind, Kind::Word(_)))
            .count();
        let closed = self
            .tokens
            .get(start + 1 + inside)
            .is_none_or(|token| token.is_mark(')'));
        if closed {
            joined(self.tokens, start, start + 1 + inside)
        } else {
            String::new()
        }
    }

    fn sentence_end(&self, from: usize) -> usize {
        (from..self.tokens.len())
            .find(|&at| ends_sentence(self.tokens, at))
            .unwrap_or(self.tokens.len())
    }

    fn sentence_start(&self, from: usize) -> usize {
        (0..from)
            .rev()
            .find(|&at| ends_sentence(self.tokens, at))
            .map_or(0, |at| at + 1)
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
                List::Offers,
                &joined(tokens, at, (at + 4).min(tokens.len())),
            )
    });
    menu.min(called.unwrap_or(tokens.len()))
}
