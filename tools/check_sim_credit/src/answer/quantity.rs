//! Quantities: numbers of an answer together with their unit: money, messages, minutes, data.
//!
//! Says what stands beside a number, not whether it is the number looked for; that is `generic`.

use rust_decimal::Decimal;

use super::money::{self, Place};
use super::token::{Kind, Token};
use super::words::{self, List};

/// A number's unit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Unit {
    Money {
        /// `None` where the number's form leaves its value open.
        value: Option<Decimal>,
        code: Option<&'static str>,
        /// The sign as it stands in the list of currencies.
        sign: &'static str,
        weak: bool,
        /// Why the figure must not be taken, however well it is labelled.
        doubt: Option<&'static str>,
    },
    Messages(u64),
    Minutes(u64),
    DataKb(u64),
    /// A figure that is none of these, or not readable: it separates what is around it.
    Other,
}

/// A quantity and the tokens it takes up.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Quantity {
    pub(crate) unit: Unit,
    /// Its first token: a sign or a currency before the number, or the number.
    pub(crate) start: usize,
    /// The first token that is not part of it any more.
    pub(crate) end: usize,
}

/// All quantities in the order of the text.
#[must_use]
pub(crate) fn quantities(tokens: &[Token]) -> Vec<Quantity> {
    let dot_is_decimal = tokens.iter().any(|token| {
        matches!(&token.kind, Kind::Number(written)
            if written.starts_with("0.") && written.len() == 5)
    });
    let mut found: Vec<Quantity> = Vec::new();
    for index in 0..tokens.len() {
        let taken = found.last().map_or(0, |quantity| quantity.end);
        if index < taken {
            continue;
        }
        match &tokens[index].kind {
            Kind::Number(written) => {
                let unit = counted(tokens, index, written)
                    .or_else(|| priced(tokens, index, written, taken, dot_is_decimal));
                found.push(unit.unwrap_or(Quantity {
                    unit: Unit::Other,
                    start: index,
                    end: index + 1,
                }));
            }
            Kind::Clock(written) => {
                let minutes = unit_word(tokens, index)
                    .filter(|&word| is_one_of(tokens, word, words::MINUTES));
                let whole = written
                    .split_once(':')
                    .filter(|(_, rest)| !rest.contains(':'));
                let unit = match (minutes, whole.and_then(|(whole, _)| whole.parse().ok())) {
                    (Some(word), Some(count)) => (Unit::Minutes(count), word + 1),
                    _ => continue,
                };
                found.push(Quantity {
                    unit: unit.0,
                    start: index,
                    end: unit.1,
                });
            }
            Kind::Odd => found.push(Quantity {
                unit: Unit::Other,
                start: index,
                end: index + 1,
            }),
            _ => {}
        }
    }
    found
}

/// `25 SMS`, `20 MORE Weekend minutes`, `SMS: 25`, `500Mo`.
fn counted(tokens: &[Token], index: usize, written: &str) -> Option<Quantity> {
    // "2 500 SMS" may be two numbers or one.
    let split = index
        .checked_sub(1)
        .is_some_and(|previous| matches!(tokens[previous].kind, Kind::Number(_)))
        && tokens.get(index + 1).is_some_and(|unit| !unit.glued);
    let count: Option<u64> = written.parse().ok().filter(|_| !split);
    if let Some(word) = unit_word(tokens, index) {
        if let Some((_, kb)) = words::DATA
            .iter()
            .find(|(unit, _)| *unit == tokens[word].word())
        {
            if word != index + 1 || speed_follows(tokens, word + 1) {
                return None;
            }
            let unit = data_kb(written, *kb)
                .filter(|_| !split)
                .map_or(Unit::Other, Unit::DataKb);
            return Some(Quantity {
                unit,
                start: index,
                end: word + 1,
            });
        }
        let unit = if is_one_of(tokens, word, words::MESSAGES) {
            Unit::Messages
        } else {
            Unit::Minutes
        };
        let priced = tokens
            .get(word + 1)
            .is_some_and(|next| next.is_mark('=') || next.is_mark('/'));
        return match count {
            Some(count) if !priced => Some(Quantity {
                unit: unit(count),
                start: index,
                end: word + 1,
            }),
            _ => Some(Quantity {
                unit: Unit::Other,
                start: index,
                end: word + 1,
            }),
        };
    }
    // The name before the figure: "SMS: 25".
    let colon = index
        .checked_sub(1)
        .filter(|&colon| tokens[colon].is_mark(':'))?;
    let name = colon.checked_sub(1)?;
    let alone = tokens
        .get(index + 1)
        .is_none_or(|next| matches!(next.kind, Kind::Mark(_) | Kind::Newline));
    let slash = tokens
        .get(index + 1)
        .is_some_and(|next| next.is_mark('/') || next.is_mark('%'));
    if !alone || slash {
        return None;
    }
    let unit = if is_one_of(tokens, name, words::MESSAGES) {
        Unit::Messages(count?)
    } else if is_one_of(tokens, name, words::MINUTES) {
        Unit::Minutes(count?)
    } else {
        return None;
    };
    Some(Quantity {
        unit,
        start: name,
        end: index + 1,
    })
}

/// The unit after a number, at most two plain words away: `20 MORE Weekend minutes`.
fn unit_word(tokens: &[Token], index: usize) -> Option<usize> {
    for ahead in 1..=3 {
        let token = tokens.get(index + ahead)?;
        let Kind::Word(word) = &token.kind else {
            return None;
        };
        let is_unit = is_one_of(tokens, index + ahead, words::MESSAGES)
            || is_one_of(tokens, index + ahead, words::MINUTES)
            || words::DATA.iter().any(|(unit, _)| unit == word);
        if is_unit {
            return Some(index + ahead);
        }
        // A currency or a preposition begins something else.
        let joins = money::currency(&token.written, word, Place::After).is_none()
            && !words::any(List::NotLeft, word)
            && word.len() > 2;
        if !joins || (ahead == 1 && token.glued) {
            return None;
        }
    }
    None
}

fn is_one_of(tokens: &[Token], index: usize, list: &[&str]) -> bool {
    list.contains(&tokens[index].word()) && !tokens[index].word().is_empty()
}

fn speed_follows(tokens: &[Token], index: usize) -> bool {
    tokens
        .get(index)
        .is_some_and(|token| token.is_mark('/') || matches!(token.word(), "ps" | "pro" | "per"))
}

fn data_kb(written: &str, kb: u64) -> Option<u64> {
    let value = money::worth(written, None, false)?;
    let total = value.checked_mul(Decimal::from(kb))?.trunc();
    u64::try_from(total).ok()
}

/// A number with a currency beside it.
fn priced(
    tokens: &[Token],
    index: usize,
    written: &str,
    taken: usize,
    dot_is_decimal: bool,
) -> Option<Quantity> {
    let joined = joined_thousands(tokens, index);
    let last = joined.as_ref().map_or(index, |_| index + 1);
    let written = joined.as_deref().unwrap_or(written);

    let before = currency_before(tokens, index, taken);
    let after = tokens.get(last + 1).and_then(|token| {
        money::currency(&token.written, token.word(), Place::After)
            .filter(|currency| !currency.weak || weak_fits(token))
    });
    let after = after.filter(|_| before.is_none() || !begins_another(tokens, last + 1));
    let currency = match (&before, &after) {
        (Some((before, _)), Some(after))
            if before.code.is_none()
                && after
                    .code
                    .is_some_and(|code| money::may_mean(before.sign, code)) =>
        {
            *after
        }
        // "Crédit SOS: 500 F" is no money of Somalia.
        (Some((before, _)), Some(after))
            if before.code != after.code
                && (!after.weak
                    || before
                        .code
                        .is_some_and(|code| !money::may_mean(after.sign, code))) =>
        {
            return Some(Quantity {
                unit: Unit::Other,
                start: index,
                end: last + 2,
            });
        }
        (Some((before, _)), _) => *before,
        (None, Some(after)) => named_closer(tokens, last + 2, *after),
        (None, None) => return None,
    };
    let mut start = before.as_ref().map_or(index, |(_, start)| *start);
    let mut end = if after.is_some() && before.as_ref().is_none_or(|(before, _)| !before.weak) {
        last + 2
    } else {
        last + 1
    };
    if before.is_none() && after.is_some_and(|after| after.code != currency.code) {
        end += 1;
    }

    let mut doubt = None;
    // "12 345 678 UZS", "Konto 1 5.00 EUR": where the number begins is not certain.
    if start
        .checked_sub(1)
        .is_some_and(|previous| matches!(tokens[previous].kind, Kind::Number(_)) && start == index)
    {
        doubt = Some("two numbers stand side by side");
    }
    if joined.is_some() && may_be_two(tokens, index, last, before.is_some()) {
        doubt = Some("two numbers stand side by side");
    }
    if start >= 2 && tokens[start - 1].is_mark('(') && tokens[start - 2].is_mark(':') {
        doubt = Some("brackets around the amount may be a minus sign");
    }
    if currency.weak && !currency.fits(&tokens.iter().map(Token::word).collect::<Vec<_>>(), written)
    {
        doubt = Some("a letter beside the number may be no currency");
    }
    let mut value = money::worth(written, currency.code, dot_is_decimal);
    // A multiplier or a coin after it changes the amount.
    let next = tokens
        .get(end)
        .filter(|token| !matches!(token.kind, Kind::Newline));
    if next.is_some_and(|token| {
        words::multiplies(token.word()) && (token.glued || !token.word().is_empty())
    }) {
        doubt = Some("the number goes on in words");
    }
    // "50 Euro Cent".
    if next.is_some_and(|token| words::CENTS.contains(&token.word())) {
        doubt = Some("the number may be coins");
    }
    if is_part(tokens, index, start) {
        doubt = Some("the number before is what is left of this one");
    }
    match coins(tokens, end, currency.code) {
        Coins::None => {}
        Coins::Worth(coins, coin_end) => {
            value = value
                .filter(|value| value.scale() == 0 && coins < Decimal::ONE)
                .map(|value| value + coins);
            end = coin_end;
        }
        Coins::Unclear => {
            if value.is_none_or(|value| value.scale() == 0) {
                doubt = Some("a number behind the amount may be its coins");
            }
        }
    }
    if tokens
        .get(end)
        .is_some_and(|token| token.is_mark('-') && token.glued)
        && tokens
            .get(end + 1)
            .is_none_or(|token| !token.glued || matches!(token.kind, Kind::Word(_)))
    {
        doubt = Some("a minus sign stands behind the number");
    }
    if tokens.get(end).is_some_and(|token| token.is_mark('-'))
        && tokens
            .get(end + 1)
            .is_none_or(|token| token.kind == Kind::Newline)
    {
        doubt = Some("a minus sign stands behind the number");
    }
    if tokens
        .get(end)
        .is_some_and(|token| token.is_mark('/') && token.glued)
    {
        doubt = Some("the amount is a price for something");
    }
    match sign(tokens, index, start) {
        Sign::None => {}
        Sign::Minus(at) => {
            value = value.map(|value| -value);
            start = start.min(at);
        }
        Sign::Unclear => doubt = Some("a dash before the number may be a minus sign"),
        Sign::Plus => doubt = Some("the number is something added"),
        Sign::Glued => doubt = Some("something is glued to the number"),
    }
    Some(Quantity {
        unit: Unit::Money {
            value,
            code: currency.code,
            sign: currency.sign,
            weak: currency.weak,
            doubt,
        },
        start,
        end,
    })
}

/// `0.00 of 5.00 EUR`, `0,00 von EUR 5,00`: a number without a unit is a part of the amount at
/// `start`.
fn is_part(tokens: &[Token], index: usize, start: usize) -> bool {
    [index, start].into_iter().any(|at| {
        let of = at.checked_sub(1).map(|of| tokens[of].word());
        let number = at.checked_sub(2).map(|number| &tokens[number]);
        let out_of = at
            .checked_sub(3)
            .filter(|&number| tokens[number + 1].word() == "out");
        of.is_some_and(|of| words::OF.contains(&of))
            && (number.is_some_and(|token| matches!(token.kind, Kind::Number(_)))
                || out_of.is_some_and(|number| matches!(tokens[number].kind, Kind::Number(_))))
    })
}

/// The currency where an adjective or a code behind the sign says which: `12 ريال سعودي`, `15,75 $ CAD`.
fn named_closer(tokens: &[Token], at: usize, sign: money::Currency) -> money::Currency {
    let named = tokens
        .get(at)
        .and_then(|token| money::nationality(sign, &token.written, token.word()));
    named.unwrap_or(sign)
}

/// `50 000`: a number of at most three digits and one of exactly three. Whether what stands around
/// them makes them two numbers, [`may_be_two`] says.
fn joined_thousands(tokens: &[Token], index: usize) -> Option<String> {
    let (Kind::Number(first), Some(Kind::Number(second))) =
        (&tokens[index].kind, tokens.get(index + 1).map(|t| &t.kind))
    else {
        return None;
    };
    let whole = second.split(['.', ',']).next().unwrap_or_default();
    let fits = first.len() <= 3
        && first.bytes().all(|b| b.is_ascii_digit())
        && whole.len() == 3
        && !first.starts_with('0');
    let decimals = second.len() - whole.len();
    if !fits || tokens[index + 1].glued || decimals > 3 {
        return None;
    }
    Some(match second.get(whole.len() + 1..) {
        Some(rest) => format!("{first}'{whole}.{rest}"),
        None => format!("{first}'{whole}"),
    })
}

/// Whether numbers that look like thousands may be two: `EUR 3 250 MB` is an amount and a count
/// behind it, `SIM 2 150.00 KES` the number of a card and an amount. `last` is the second number.
fn may_be_two(tokens: &[Token], index: usize, last: usize, currency_before: bool) -> bool {
    if !currency_before {
        let named = tokens[..index]
            .iter()
            .rfind(|token| !matches!(token.kind, Kind::Mark('.' | '#' | '№')))
            .map_or("", Token::word);
        let marked = index
            .checked_sub(1)
            .is_some_and(|mark| tokens[mark].is_mark('#') || tokens[mark].is_mark('№'));
        // Cards and accounts are counted from 1 and few; "Счет 1 250,50" names the credit itself.
        let counts = words::COUNTED.contains(&named)
            && !words::any(List::Credit, named)
            && matches!(&tokens[index].kind, Kind::Number(first) if first.len() == 1);
        return marked || counts || words::NUMBERED.contains(&named);
    }
    let Some(next) = tokens.get(last + 1) else {
        return false;
    };
    match &next.kind {
        Kind::Word(word) => {
            money::currency(&next.written, word, Place::After).is_none()
                && !words::any(List::Until, word)
                && !words::any(List::Left, word)
                && !words::any(List::Credit, word)
                && (next.glued || unit_follows(tokens, last))
                && !words::JOINS_COINS.contains(&word.as_str())
                && !words::multiplies(word)
                && !words::PREPOSITIONS.contains(&word.as_str())
                // "R 1 250.50 Data: 500 MB": the name of what follows.
                && !tokens.get(last + 2).is_some_and(|token| token.is_mark(':'))
        }
        Kind::Mark('%') | Kind::Number(_) | Kind::Odd => true,
        _ => false,
    }
}

/// Whether one of the three words behind a number may be its unit, also one that is not counted here:
/// "100 bonus points", "250 FreeSMS".
fn unit_follows(tokens: &[Token], number: usize) -> bool {
    tokens[number + 1..]
        .iter()
        .map_while(|token| match &token.kind {
            Kind::Word(word) => Some(word.as_str()),
            _ => None,
        })
        .take(3)
        .any(|word| {
            words::MESSAGES.contains(&word)
                || words::MINUTES.contains(&word)
                || words::DATA.iter().any(|(unit, _)| *unit == word)
                || words::DAYS.contains(&word)
                || words::OTHER_UNITS.contains(&word)
                || ["sms", "minut"].iter().any(|part| word.contains(part))
        })
}

/// The currency before the number, with an optional sign, full stop or colon between, and where it starts.
fn currency_before(
    tokens: &[Token],
    index: usize,
    taken: usize,
) -> Option<(money::Currency, usize)> {
    let mut at = index;
    let mut marks = 0;
    loop {
        at = at.checked_sub(1)?;
        if at < taken {
            return None;
        }
        let token = &tokens[at];
        match &token.kind {
            Kind::Mark('.' | ':' | '-' | '+' | '=') if marks < 2 => marks += 1,
            Kind::Word(word) => {
                let currency = money::currency(&token.written, word, Place::Before)?;
                // "d." or "fr" may end the words before; a weak sign stands right at its number.
                if currency.weak && at + 1 != index {
                    return None;
                }
                return Some((currency, at));
            }
            _ => return None,
        }
    }
}

/// A letter that is a currency only where nothing is glued to it, or it is glued to its number.
fn weak_fits(token: &Token) -> bool {
    !token.written.is_empty()
}

/// Whether the currency at `index` belongs to the number that follows it: `EUR 5.00 USD 3.00`.
fn begins_another(tokens: &[Token], index: usize) -> bool {
    !tokens[index].glued
        && matches!(
            tokens.get(index + 1).map(|token| &token.kind),
            Some(Kind::Number(_))
        )
}

/// What stands behind an amount and may belong to it.
enum Coins {
    None,
    /// Their worth, and where they end.
    Worth(Decimal, usize),
    /// A number that may be coins.
    Unclear,
}

/// `30 kop`, `and 50 paise`, `con 50 centavos` after an amount; `12€50`, of which the end is not certain.
fn coins(tokens: &[Token], index: usize, code: Option<&str>) -> Coins {
    let Some(first) = tokens.get(index) else {
        return Coins::None;
    };
    let stopped = first.is_mark('.');
    let at = if stopped || words::JOINS_COINS.contains(&first.word()) {
        index + 1
    } else {
        index
    };
    let next_word = tokens.get(at + 1).map_or("", Token::word);
    let Some(Kind::Number(written)) = tokens.get(at).map(|token| &token.kind) else {
        // A joining word glued to its number.
        let odd = tokens.get(at).is_some_and(|token| token.kind == Kind::Odd);
        return if odd && !next_word.is_empty() && !stopped {
            Coins::Unclear
        } else {
            Coins::None
        };
    };
    let Some(count) = written.parse::<u32>().ok().filter(|_| written.len() <= 3) else {
        return Coins::None;
    };
    if words::COINS.contains(&next_word) {
        let scale = match (next_word, code) {
            ("millimes" | "baisa", _) | ("fils", Some("KWD" | "JOD" | "BHD" | "IQD")) => 3,
            ("fils", code) if code != Some("AED") => return Coins::Unclear,
            _ => 2,
        };
        return Coins::Worth(Decimal::new(count.into(), scale), at + 2);
    }
    let glued = at == index && tokens[at].glued;
    let alone = at == index && written.len() == 2 && next_word.is_empty() && {
        let next = tokens.get(at + 1);
        next.is_none_or(|next| matches!(next.kind, Kind::Newline | Kind::Mark('.' | ',')))
    };
    let named = !stopped && !next_word.is_empty() && !begins_something_else(tokens, at);
    if unit_word(tokens, at).is_none() && (glued || alone || named) {
        Coins::Unclear
    } else {
        Coins::None
    }
}

/// Whether the word behind a number is a month or a currency: the number is no coins then.
fn begins_something_else(tokens: &[Token], number: usize) -> bool {
    tokens.get(number + 1).is_some_and(|token| {
        super::date::month(token.word()).is_some()
            || money::currency(&token.written, token.word(), Place::After).is_some()
    })
}

enum Sign {
    None,
    Minus(usize),
    Plus,
    Unclear,
    Glued,
}

/// `.50`, `$.50`: a number whose nought before the separator is not written. The full stop of
/// `Rs.50` is that of an abbreviation.
fn begins_with_separator(tokens: &[Token], number: usize) -> bool {
    let Some(mark) = number.checked_sub(1) else {
        return false;
    };
    let is_abbreviated = tokens[mark].glued
        && mark
            .checked_sub(1)
            .is_some_and(|word| tokens[word].written.ends_with(char::is_alphabetic));
    matches!(tokens[mark].kind, Kind::Mark('.' | ',')) && tokens[number].glued && !is_abbreviated
}

/// What stands between the words before and the number: a minus, its word, or a dash.
fn sign(tokens: &[Token], number: usize, start: usize) -> Sign {
    if begins_with_separator(tokens, number) {
        return Sign::Glued;
    }
    for at in [number, start] {
        let Some(previous) = at.checked_sub(1) else {
            continue;
        };
        let token = &tokens[previous];
        if words::MINUS.contains(&token.word()) {
            return Sign::Minus(previous);
        }
        match token.kind {
            Kind::Mark('-') => {
                let between_currency_and_number = at == number && start < number;
                let after_mark = previous.checked_sub(1).is_none_or(|before| {
                    matches!(
                        tokens[before].kind,
                        Kind::Mark(':' | '=' | '(') | Kind::Newline
                    )
                });
                let apart_from_words = !token.glued && tokens[at].glued;
                return if between_currency_and_number || after_mark || apart_from_words {
                    Sign::Minus(previous)
                } else {
                    Sign::Unclear
                };
            }
            Kind::Mark('\u{2014}') => {
                let after_colon = previous
                    .checked_sub(1)
                    .is_some_and(|before| matches!(tokens[before].kind, Kind::Mark(':' | '=')));
                if tokens[at].glued || after_colon {
                    return Sign::Unclear;
                }
            }
            Kind::Mark('+') => return Sign::Plus,
            Kind::Mark('*' | '#' | '/' | '%' | '~' | '<' | '>' | '≈' | '≤' | '≥')
                if tokens[at].glued =>
            {
                return Sign::Glued;
            }
            Kind::Mark('<' | '>' | '~' | '≈' | '≤' | '≥') => return Sign::Glued,
            Kind::Mark('.' | ',')
                if tokens[at].glued
                    && at == start
                    && token.glued
                    && previous > 0
                    && matches!(tokens[previous - 1].kind, Kind::Number(_)) =>
            {
                return Sign::Glued;
            }
            _ => {}
        }
    }
    Sign::None
}
