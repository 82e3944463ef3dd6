//! Tokens: words, numbers, dates, codes and marks of an answer, with what stood between them.
//!
//! Takes any text. Decides no meaning: a number is a run of digits and separators, a date three
//! numbers that can be one. What fits nothing is [`Kind::Odd`], which nobody reads as a number.

use super::fold::{fold, is_invisible, plain_character};
use super::money;

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Letters, folded; currency signs count as letters.
    Word(String),
    /// Digits, with `.`, `,` or `'` between them as they were written.
    Number(String),
    /// Three numbers in the order and with the separator in which they were written.
    Date([u32; 3], char),
    /// Hours and minutes, or minutes and seconds: `1424:00`, `22:50`, `00:00:05`.
    Clock(String),
    /// A service code: `*111#`.
    Code,
    /// A subscriber's or card's number: too many digits for money.
    Identifier,
    /// Something with digits that is none of the above: `s50,00DA`, `24/7`, `1.2.3.4`.
    Odd,
    /// A punctuation mark.
    Mark(char),
    /// The end of a line.
    Newline,
}

/// One token and its surroundings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Nothing stands between the token before and this one.
    pub(crate) glued: bool,
    /// Its first letter is a capital, or it has no letters.
    pub(crate) capital: bool,
    /// The letters as they were written, for signs whose case matters.
    pub(crate) written: String,
}

impl Token {
    /// The folded word, or an empty one.
    pub(crate) fn word(&self) -> &str {
        match &self.kind {
            Kind::Word(word) => word,
            _ => "",
        }
    }

    pub(crate) fn is_mark(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }
}

/// The longest number that may be money: longer runs of digits name a subscriber or a card.
const MONEY_DIGITS_MAX: usize = 9;
/// A number of so many digits with a zero in front names a subscriber.
const SUBSCRIBER_DIGITS_MIN: usize = 7;

/// Splits `text` into tokens.
#[must_use]
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let visible: String = text
        .chars()
        .filter(|&character| !is_invisible(character))
        .map(plain_character)
        .collect();
    let characters: Vec<char> = money::plain_signs(&visible).chars().collect();
    let mut scanner = Scanner {
        characters: &characters,
        at: 0,
        glued: false,
        tokens: Vec::new(),
    };
    scanner.run();
    scanner.tokens
}

struct Scanner<'a> {
    characters: &'a [char],
    at: usize,
    glued: bool,
    tokens: Vec<Token>,
}

impl Scanner<'_> {
    fn run(&mut self) {
        while let Some(character) = self.peek(0) {
            match character {
                '\n' | '\r' => {
                    self.at += 1;
                    if self
                        .tokens
                        .last()
                        .is_some_and(|last| last.kind != Kind::Newline)
                    {
                        self.push(Kind::Newline, "");
                    }
                    self.glued = false;
                }
                ' ' | '\u{a0}' => {
                    self.at += 1;
                    self.glued = false;
                }
                '*' | '#' if self.code() => {}
                '+' if self.digits_from(1) >= 7 => {
                    self.at += 1 + self.digits_from(1);
                    self.push(Kind::Identifier, "");
                }
                '0'..='9' => self.number(),
                letter if is_letter(letter) => self.word(),
                other => {
                    self.at += 1;
                    self.push(Kind::Mark(other), "");
                }
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.characters.get(self.at + ahead).copied()
    }

    fn push(&mut self, kind: Kind, written: &str) {
        let capital = !written.chars().next().is_some_and(char::is_lowercase);
        let glued = self.glued;
        self.tokens.push(Token {
            kind,
            glued,
            capital,
            written: written.to_owned(),
        });
        self.glued = true;
    }

    fn digits_from(&self, ahead: usize) -> usize {
        let rest = self.characters.get(self.at + ahead..).unwrap_or_default();
        rest.iter()
            .take_while(|character| character.is_ascii_digit())
            .count()
    }

    /// `*111#`, `#100#`, `*181*7#`, `*111`.
    fn code(&mut self) -> bool {
        let rest = &self.characters[self.at..];
        let length = rest
            .iter()
            .take_while(|c| matches!(c, '*' | '#' | '0'..='9'))
            .count();
        if !rest[..length].iter().any(char::is_ascii_digit) {
            return false;
        }
        self.at += length;
        self.push(Kind::Code, "");
        true
    }

    fn number(&mut self) {
        let start = self.at;
        let mut end = start + self.digits_from(0);
        loop {
            let separator = self.characters.get(end).copied();
            let digits_follow = self
                .characters
                .get(end + 1)
                .is_some_and(char::is_ascii_digit);
            if !digits_follow
                || !matches!(
                    separator,
                    Some('.' | ',' | '\'' | '/' | ':' | '-' | '\u{a0}')
                )
            {
                break;
            }
            end += 1;
            end += self.characters[end..]
                .iter()
                .take_while(|c| c.is_ascii_digit())
                .count();
        }
        let run: String = self.characters[start..end].iter().collect();
        self.at = end;
        if self.spaced_date(&run) {
            return;
        }
        if self.characters.get(end) == Some(&'#') {
            // The end of a code whose star was lost.
            self.at += 1;
            self.push(Kind::Code, "");
            return;
        }
        self.push(number_kind(&run), &run);
    }

    /// `30. 1. 2024`, as it is written in Czech.
    fn spaced_date(&mut self, run: &str) -> bool {
        let Ok(day) = run.parse::<u32>() else {
            return false;
        };
        let rest: String = self.characters[self.at..].iter().take(12).collect();
        let Some(rest) = rest.strip_prefix(". ") else {
            return false;
        };
        let Some((month, year)) = rest.split_once(". ") else {
            return false;
        };
        let year: String = year.chars().take_while(char::is_ascii_digit).collect();
        let (Ok(month_number), Ok(year_number)) = (month.parse::<u32>(), year.parse::<u32>())
        else {
            return false;
        };
        if run.len() > 2 || month.len() > 2 || year.len() != 4 {
            return false;
        }
        self.at += 2 + month.len() + 2 + year.len();
        self.push(Kind::Date([day, month_number, year_number], '.'), "");
        true
    }

    fn word(&mut self) {
        let start = self.at;
        let mut end = start;
        while self.characters.get(end).copied().is_some_and(is_letter) {
            // "您的餘額為NT$150": a sign begins where a script without blanks ends.
            if end > start
                && without_blanks(self.characters[end - 1])
                && !without_blanks(self.characters[end])
            {
                break;
            }
            end += 1;
        }
        let letters: String = self.characters[start..end].iter().collect();
        let digits_follow = self.characters.get(end).is_some_and(char::is_ascii_digit);
        // Scripts without capitals write without blanks: nothing is glued there.
        let cased =
            letters.ends_with(|letter: char| letter.is_lowercase() || letter.is_uppercase());
        if digits_follow && cased && !money::may_stand_before(&letters) {
            // A name with a digit in it, or a number with a letter glued to it.
            while self
                .characters
                .get(end)
                .is_some_and(|&c| is_letter(c) || c.is_ascii_digit() || matches!(c, '.' | ','))
            {
                let separates = matches!(self.characters[end], '.' | ',');
                if separates
                    && !self
                        .characters
                        .get(end + 1)
                        .is_some_and(char::is_ascii_digit)
                {
                    break;
                }
                end += 1;
            }
            self.at = end;
            self.push(Kind::Odd, &letters);
            return;
        }
        self.at = end;
        let folded = fold(&letters);
        self.push(Kind::Word(folded), &letters);
    }
}

/// Letters, marks that belong to letters, and currency signs.
fn is_letter(character: char) -> bool {
    character.is_alphabetic()
        || ('\u{0300}'..='\u{036f}').contains(&character)
        || matches!(character, '\u{0591}'..='\u{05c7}' | '\u{0610}'..='\u{061a}' | '\u{064b}'..='\u{065f}')
        // Marks of the scripts of India and South-East Asia belong to their letters.
        || ('\u{0900}'..='\u{109f}').contains(&character)
        || ('\u{1780}'..='\u{17d3}').contains(&character)
        || money::is_sign(character)
}

/// Letters of scripts that write words without blanks between.
fn without_blanks(letter: char) -> bool {
    matches!(letter, '\u{0e01}'..='\u{0eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17d3}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}')
}

fn number_kind(run: &str) -> Kind {
    let separators: Vec<char> = run.chars().filter(|c| !c.is_ascii_digit()).collect();
    let parts: Vec<&str> = run.split(|c: char| !c.is_ascii_digit()).collect();
    if separators.is_empty() {
        let digits = run.trim_start_matches('0').len();
        return if digits > MONEY_DIGITS_MAX
            || (run.starts_with('0') && run.len() >= SUBSCRIBER_DIGITS_MIN)
        {
            Kind::Identifier
        } else {
            Kind::Number(run.to_owned())
        };
    }
    if separators.iter().all(|&separator| separator == ':') {
        return if parts[1..].iter().all(|part| part.len() == 2) {
            Kind::Clock(run.to_owned())
        } else {
            Kind::Odd
        };
    }
    if let ([first, second], [separator]) = (&parts[..], &separators[..])
        && matches!(separator, '.' | ',' | '\'' | '\u{a0}')
        && first.len() <= MONEY_DIGITS_MAX
        && second.len() <= MONEY_DIGITS_MAX
    {
        return Kind::Number(run.replace('\u{a0}', "'"));
    }
    if let ([first, second, third], [one, two]) = (&parts[..], &separators[..])
        && one == two
        && matches!(one, '.' | '/' | '-')
        && let Some(date) = date_parts(first, second, third)
    {
        return Kind::Date(date, *one);
    }
    if separators
        .iter()
        .all(|c| matches!(c, '.' | ',' | '\'' | '\u{a0}'))
        && run.len() <= 20
    {
        return Kind::Number(run.replace('\u{a0}', "'"));
    }
    Kind::Odd
}

/// Three numbers with the lengths of a date: two digits at most, but for a year of two or four.
fn date_parts(first: &str, second: &str, third: &str) -> Option<[u32; 3]> {
    let year_first = first.len() == 4 && second.len() <= 2 && third.len() <= 2;
    let year_last = first.len() <= 2 && second.len() <= 2 && matches!(third.len(), 2 | 4);
    if !year_first && !year_last {
        return None;
    }
    Some([
        first.parse().ok()?,
        second.parse().ok()?,
        third.parse().ok()?,
    ])
}

#[cfg(test)]
mod tests {
    use super::{Kind, tokens};

    fn kinds(text: &str) -> Vec<Kind> {
        tokens(text).into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn a_number_with_a_strange_letter_before_it_is_no_number() {
        assert_eq!(kinds("s50,00DA"), [Kind::Odd]);
        assert_eq!(kinds("O2:"), [Kind::Odd, Kind::Mark(':')]);
    }

    #[test]
    fn a_currency_glued_to_its_number_is_a_word_of_its_own() {
        assert_eq!(
            kinds("R49.96"),
            [Kind::Word("r".into()), Kind::Number("49.96".into())]
        );
        assert_eq!(
            kinds("7777Ft"),
            [Kind::Number("7777".into()), Kind::Word("ft".into())]
        );
    }

    #[test]
    fn dates_codes_and_subscribers_are_no_numbers() {
        assert_eq!(kinds("01.10.2009"), [Kind::Date([1, 10, 2009], '.')]);
        assert_eq!(kinds("30. 1. 2024"), [Kind::Date([30, 1, 2024], '.')]);
        assert_eq!(kinds("*181*7#"), [Kind::Code]);
        assert_eq!(kinds("4915700000000"), [Kind::Identifier]);
        assert_eq!(kinds("1424:00"), [Kind::Clock("1424:00".into())]);
        assert_eq!(kinds("24/7"), [Kind::Odd]);
    }
}
