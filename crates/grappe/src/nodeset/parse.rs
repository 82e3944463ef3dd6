//! From the typed text to names: a reader of one pass that knows where it stands.
//!
//! Not here: order and uniqueness of the names (`NodeSet`). Work and memory are bounded before
//! anything is expanded.

use super::{NAME_BYTES_MAX, NAMES_MAX, NodeSetError};

/// Enough for any numbering, and sums of two such numbers fit a `u64`.
const DIGITS_MAX: usize = 18;

/// All names of `text`, in the order written, repetitions included.
pub(super) fn names(text: &str) -> Result<Vec<String>, NodeSetError> {
    let mut reader = Reader {
        rest: text,
        position: 1,
    };
    let mut names = Vec::new();
    loop {
        reader.skip_blanks();
        let begin = reader.position;
        let parts = reader.item()?;
        expand(&parts, begin, &mut names)?;
        reader.skip_blanks();
        match reader.peek() {
            None => return Ok(names),
            Some(',') => reader.skip(),
            Some(_) => return Err(reader.unexpected("`,`, `[`, or a character of a name")),
        }
    }
}

/// A part of an item: text, or what stands in one pair of brackets.
enum Part<'a> {
    Text(&'a str),
    Ranges(Vec<Range>),
}

impl Part<'_> {
    /// How many alternatives the part stands for.
    fn count(&self) -> u64 {
        match self {
            Self::Text(_) => 1,
            Self::Ranges(ranges) => ranges.iter().map(Range::count).fold(0, u64::saturating_add),
        }
    }

    /// The length of the longest alternative.
    fn bytes_max(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Ranges(ranges) => ranges.iter().map(Range::bytes_max).max().unwrap_or(0),
        }
    }
}

/// Numbers from `begin` to at most `end`, written with at least `width` digits.
struct Range {
    begin: u64,
    end: u64,
    step: u64,
    width: usize,
}

impl Range {
    const fn count(&self) -> u64 {
        (self.end - self.begin) / self.step + 1
    }

    fn numbers(&self) -> impl Iterator<Item = String> {
        (0..self.count()).map(|at| self.number(at))
    }

    fn bytes_max(&self) -> usize {
        self.number(self.count() - 1).len()
    }

    fn number(&self, at: u64) -> String {
        format!(
            "{:0width$}",
            self.begin + at * self.step,
            width = self.width
        )
    }
}

/// Appends the product of all parts, the last part running fastest.
fn expand(
    parts: &[Part<'_>],
    position: usize,
    names: &mut Vec<String>,
) -> Result<(), NodeSetError> {
    let count = parts.iter().map(Part::count).fold(1, u64::saturating_mul);
    if count > (NAMES_MAX - names.len()) as u64 {
        return Err(NodeSetError::TooMany { position });
    }
    if parts.iter().map(Part::bytes_max).sum::<usize>() > NAME_BYTES_MAX {
        return Err(NodeSetError::NameTooLong { position });
    }
    let mut product = vec![String::new()];
    for part in parts {
        product = match part {
            Part::Text(text) => product.into_iter().map(|name| name + text).collect(),
            Part::Ranges(ranges) => {
                let numbers: Vec<_> = ranges.iter().flat_map(Range::numbers).collect();
                let with_numbers = |name: &String| {
                    let joined = numbers.iter().map(|number| format!("{name}{number}"));
                    joined.collect::<Vec<_>>()
                };
                product.iter().flat_map(with_numbers).collect()
            }
        };
    }
    names.append(&mut product);
    Ok(())
}

/// The text not yet read, and the place of its first character, from 1.
struct Reader<'a> {
    rest: &'a str,
    position: usize,
}

impl<'a> Reader<'a> {
    /// One item of the list: text and brackets up to a comma, a blank or the end.
    fn item(&mut self) -> Result<Vec<Part<'a>>, NodeSetError> {
        // A leading `-` or `.` would make a name look like an option or a path.
        if !self.peek().is_some_and(|c| c == '[' || begins_name(c)) {
            return Err(self.unexpected("a node name"));
        }
        let mut parts = Vec::new();
        loop {
            let text = self.take_while(continues_name);
            if !text.is_empty() {
                parts.push(Part::Text(text));
            }
            if self.peek() != Some('[') {
                return Ok(parts);
            }
            parts.push(Part::Ranges(self.brackets()?));
        }
    }

    /// `[RANGE,RANGE...]`, the reader standing on the bracket.
    fn brackets(&mut self) -> Result<Vec<Range>, NodeSetError> {
        self.skip();
        let mut ranges = Vec::new();
        loop {
            ranges.push(self.range()?);
            match self.peek() {
                Some(',') => self.skip(),
                Some(']') => {
                    self.skip();
                    return Ok(ranges);
                }
                _ => return Err(self.unexpected("`-`, `/`, `,` or `]`")),
            }
        }
    }

    /// `N`, `N-M` or `N-M/STEP`.
    fn range(&mut self) -> Result<Range, NodeSetError> {
        let (begin_text, begin) = self.number()?;
        let padded = begin_text.len() > 1 && begin_text.starts_with('0');
        let width = if padded { begin_text.len() } else { 1 };
        if self.peek() != Some('-') {
            return Ok(Range {
                begin,
                end: begin,
                step: 1,
                width,
            });
        }
        self.skip();
        let position = self.position;
        let (end_text, end) = self.number()?;
        let end_padded = end_text.len() > 1 && end_text.starts_with('0');
        let texts = || (begin_text.to_owned(), end_text.to_owned());
        if end_text.len() < width || (end_padded && end_text.len() != begin_text.len()) {
            let (begin, end) = texts();
            return Err(NodeSetError::Padding {
                position,
                begin,
                end,
            });
        }
        if end < begin {
            let (begin, end) = texts();
            return Err(NodeSetError::Backwards {
                position,
                begin,
                end,
            });
        }
        let step = self.step()?;
        Ok(Range {
            begin,
            end,
            step,
            width,
        })
    }

    /// `/STEP`, or nothing for 1.
    fn step(&mut self) -> Result<u64, NodeSetError> {
        if self.peek() != Some('/') {
            return Ok(1);
        }
        self.skip();
        let position = self.position;
        match self.number()?.1 {
            0 => Err(NodeSetError::ZeroStep { position }),
            step => Ok(step),
        }
    }

    fn number(&mut self) -> Result<(&'a str, u64), NodeSetError> {
        let position = self.position;
        let digits = self.take_while(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Err(self.unexpected("a number"));
        }
        match digits.parse() {
            Ok(value) if digits.len() <= DIGITS_MAX => Ok((digits, value)),
            _ => Err(NodeSetError::NumberTooLong {
                position,
                digits_max: DIGITS_MAX,
            }),
        }
    }

    fn unexpected(&self, expected: &'static str) -> NodeSetError {
        let found = self
            .peek()
            .map_or_else(|| "the end".to_owned(), |c| format!("`{c}`"));
        NodeSetError::Unexpected {
            position: self.position,
            expected,
            found,
        }
    }

    fn skip_blanks(&mut self) {
        self.take_while(|c| c.is_ascii_whitespace());
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn skip(&mut self) {
        let mut chars = self.rest.chars();
        if chars.next().is_some() {
            self.rest = chars.as_str();
            self.position += 1;
        }
    }

    /// Reads on while `wanted`, which holds for ASCII only.
    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        self.position += taken.len();
        taken
    }
}

const fn begins_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

const fn continues_name(c: char) -> bool {
    begins_name(c) || c == '-' || c == '.'
}
