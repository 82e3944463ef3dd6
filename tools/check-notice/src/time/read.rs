//! Reads dates with hours out of text: ISO 8601, RFC 5322, English and French prose.
//!
//! A hand-written scanner over bytes, bounded by the length of the text; it decides nothing about zones
//! that the text does not name.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

use super::{Precision, When, Zone};

/// The longest text that one point in time takes, in bytes.
const TEXT_BYTES_MAX: usize = 80;

/// Reads a point in time at the start of a text; gives it with the number of bytes taken.
#[must_use]
pub fn read(text: &str) -> Option<(When, usize)> {
    let bytes = text.as_bytes();
    let mut cursor = Cursor {
        bytes: &bytes[..bytes.len().min(TEXT_BYTES_MAX)],
        at: 0,
    };
    let dates = cursor.date()?;
    let after_date = cursor.at;
    let Some((time, mut precision)) = cursor.time_of_day() else {
        return build(&dates, Time::midnight(), Zone::Missing, Precision::Day)
            .map(|w| (w, after_date));
    };
    let hour_ends = cursor.at;
    let yearless = dates.iter().all(|date| date.year() == 0);
    let (mut zone, year) = cursor.zone_and_year(yearless);
    let isolated = !matches!(bytes.get(after_date), Some(b'T' | b't'));
    if isolated && precision == Precision::Minute && begins_range(&bytes[hour_ends..]) {
        // `10:00-11:00` may be two hours of a day, or one with an offset: nothing is said of a zone.
        zone = Zone::Missing;
    }
    let dates: Vec<Date> = match year {
        Some(year) => dates
            .iter()
            .filter_map(|d| Date::new(year, d.month(), d.day()).ok())
            .collect(),
        None => dates.into_iter().filter(|d| d.year() != 0).collect(),
    };
    if time.second() == 60 {
        precision = Precision::Minute;
    }
    build(&dates, time, zone, precision).map(|when| (when, cursor.at))
}

/// Whether a text begins as `-11:00`.
fn begins_range(text: &[u8]) -> bool {
    matches!(text, [b'-', one, two, b':', ..] if one.is_ascii_digit() && two.is_ascii_digit())
}

/// Finds all points in time of a text that name a day, with their byte ranges; at most `count_max`.
#[must_use]
pub fn find(text: &str, count_max: usize) -> Vec<(std::ops::Range<usize>, When)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() && found.len() < count_max {
        let begins_word = at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
        if begins_word && bytes[at].is_ascii_alphanumeric() && text.is_char_boundary(at) {
            // A dotted number is an address or a version, no day.
            let after_dot = at >= 2 && bytes[at - 1] == b'.' && bytes[at - 2].is_ascii_digit();
            if !after_dot && let Some((when, taken)) = read(&text[at..]) {
                found.push((at..at + taken, when));
                at += taken;
                continue;
            }
        }
        at += 1;
    }
    found
}

fn build(dates: &[Date], time: Time, zone: Zone, precision: Precision) -> Option<When> {
    let readings: Vec<DateTime> = dates.iter().map(|date| date.to_datetime(time)).collect();
    (!readings.is_empty()).then_some(When {
        readings,
        zone,
        precision,
    })
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    fn eat(&mut self, byte: u8) -> bool {
        let same = self.peek() == byte && byte != 0;
        self.at += usize::from(same);
        same
    }

    fn spaces(&mut self) {
        // A no-break space, as French typography has it, counts as one.
        while matches!(self.peek(), b' ' | b'\t') || self.bytes[self.at..].starts_with(b"\xc2\xa0")
        {
            self.at += if self.peek() == 0xc2 { 2 } else { 1 };
        }
    }

    fn number(&mut self, digits_max: usize) -> Option<(i32, usize)> {
        let start = self.at;
        let mut value = 0_i32;
        while self.peek().is_ascii_digit() && self.at - start < digits_max {
            value = value * 10 + i32::from(self.peek() - b'0');
            self.at += 1;
        }
        let digits = self.at - start;
        (digits > 0 && !self.peek().is_ascii_digit()).then_some((value, digits))
    }

    fn word(&mut self) -> String {
        let start = self.at;
        while self.peek().is_ascii_alphabetic() || self.peek() >= 0x80 {
            if self.bytes[self.at..].starts_with(b"\xc2\xa0") {
                break;
            }
            self.at += 1;
        }
        String::from_utf8_lossy(&self.bytes[start..self.at]).to_lowercase()
    }

    /// A day; several where the order of day and month is open; year 0 where it comes later.
    fn date(&mut self) -> Option<Vec<Date>> {
        let start = self.at;
        if !self.peek().is_ascii_digit() {
            let word = self.word();
            if is_weekday(&word) {
                self.eat(b'.');
                self.eat(b',');
                self.spaces();
                if self.peek().is_ascii_digit() {
                    return self.date();
                }
                let month = month(&self.word())?;
                return self.day_after_month(month);
            }
            self.at = start;
            let month = month(&self.word())?;
            return self.day_after_month(month);
        }
        let (first, digits) = self.number(4)?;
        match (digits, self.peek()) {
            (4, b'-' | b'/') => {
                let separator = self.peek();
                self.at += 1;
                let (month, _) = self.number(2)?;
                if !self.eat(separator) {
                    return None;
                }
                let (day, _) = self.number(2)?;
                Some(vec![date(first, month, day)?])
            }
            (1 | 2, b'/' | b'.' | b'-') => self.day_month_year(first),
            (1 | 2, _) => {
                if self.bytes[self.at..].starts_with(b"er") {
                    self.at += 2;
                }
                self.spaces();
                let month = month(&self.word())?;
                self.eat(b'.');
                self.spaces();
                let (year, digits) = self.number(4)?;
                Some(vec![date(full_year(year, digits)?, month, first)?])
            }
            _ => None,
        }
    }

    fn day_month_year(&mut self, first: i32) -> Option<Vec<Date>> {
        let separator = self.peek();
        self.at += 1;
        if self.peek().is_ascii_alphabetic() {
            let month = month(&self.word())?;
            if !self.eat(separator) {
                return None;
            }
            let (year, digits) = self.number(4)?;
            return Some(vec![date(full_year(year, digits)?, month, first)?]);
        }
        let (second, _) = self.number(2)?;
        if !self.eat(separator) {
            return None;
        }
        let (year, digits) = self.number(4)?;
        if digits != 4 {
            return None;
        }
        let mut both: Vec<Date> = [(first, second), (second, first)]
            .into_iter()
            .filter_map(|(day, month)| date(year, month, day))
            .collect();
        both.dedup();
        // Points are a European habit: the day comes first.
        if separator == b'.' {
            both = date(year, second, first).into_iter().collect();
        }
        (!both.is_empty()).then_some(both)
    }

    fn day_after_month(&mut self, month: i32) -> Option<Vec<Date>> {
        self.eat(b'.');
        self.spaces();
        let (day, digits) = self.number(2)?;
        if digits > 2 {
            return None;
        }
        self.eat(b',');
        let before_year = self.at;
        self.spaces();
        match self.number(4) {
            Some((year, 4)) if self.peek() != b':' => Some(vec![date(year, month, day)?]),
            // `Mon Mar  2 12:00:00 2026`: the year follows the hour.
            _ => {
                self.at = before_year;
                Some(vec![date(0, month, day)?])
            }
        }
    }

    fn time_of_day(&mut self) -> Option<(Time, Precision)> {
        let start = self.at;
        let found = self.time_of_day_inner();
        if found.is_none() {
            self.at = start;
        }
        found
    }

    fn time_of_day_inner(&mut self) -> Option<(Time, Precision)> {
        self.eat(b',');
        let joined = self.eat(b'T') || self.eat(b't');
        if !joined {
            self.spaces();
            self.eat(b'@');
            let before_word = self.at;
            if !matches!(self.word().as_str(), "at" | "\u{e0}" | "a" | "um" | "-") {
                self.at = before_word;
            }
            self.eat(b'-');
            self.spaces();
        }
        let (hour, digits) = self.number(2)?;
        if digits > 2 || hour > 23 {
            return None;
        }
        let mut hour = hour;
        let french = self.eat(b'h') || self.eat(b'H');
        if !(french || self.eat(b':') || self.eat(b'.')) {
            return None;
        }
        // `12.5` is a number, and `12h` an hour.
        let minute = match self.number(2) {
            Some((minute, digits)) if french || digits == 2 => minute,
            None if french => 0,
            _ => return None,
        };
        let mut second = 0;
        let mut precision = Precision::Minute;
        let more = matches!(self.peek(), b':' | b'm') || self.bytes[self.at..].starts_with(b"'");
        if more && self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
            second = self.number(2)?.0;
            precision = Precision::Second;
            if matches!(self.peek(), b'.' | b',')
                && self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit)
            {
                self.at += 1;
                while self.peek().is_ascii_digit() {
                    self.at += 1;
                }
            }
        }
        let before = self.at;
        self.spaces();
        match self.word().as_str() {
            "am" if hour == 12 => hour = 0,
            "am" => {}
            "pm" if hour < 12 => hour += 12,
            "pm" => {}
            _ => self.at = before,
        }
        // A leap second is the second before it.
        let second = second.min(59);
        let part = |value: i32| i8::try_from(value).ok();
        let time = Time::new(part(hour)?, part(minute)?, part(second)?, 0).ok()?;
        Some((time, precision))
    }

    /// What follows the hour: a zone, a year, both in either order, or neither.
    fn zone_and_year(&mut self, yearless: bool) -> (Zone, Option<i16>) {
        let mut year = None;
        let mut zone = self.zone();
        let before = self.at;
        self.spaces();
        if yearless
            && let Some((number, 4)) = self.number(4)
            && (1970..2200).contains(&number)
        {
            year = i16::try_from(number).ok();
            if zone == Zone::Missing {
                zone = self.zone();
            }
        } else {
            self.at = before;
        }
        (zone, year)
    }

    fn zone(&mut self) -> Zone {
        let start = self.at;
        self.spaces();
        self.eat(b'(');
        let before = self.at;
        let word = self.word();
        if word == "z" {
            return Zone::Offsets(vec![0]);
        }
        if word.is_empty() {
            if let Some(offset) = self.numeric_offset() {
                self.close();
                return Zone::Offsets(vec![offset]);
            }
        } else if word == "heure" || word == "europe" {
            self.at = before;
            let rest = String::from_utf8_lossy(&self.bytes[before..]).to_lowercase();
            for name in [
                "heure de paris",
                "heure locale de paris",
                "heure fran\u{e7}aise",
                "europe/paris",
            ] {
                if rest.starts_with(name)
                    && let Ok(paris) = TimeZone::get("Europe/Paris")
                {
                    self.at += name.len();
                    self.close();
                    return Zone::Place(paris);
                }
            }
        } else if let Some(hours) = abbreviation(&word) {
            // `UTC+2` and `GMT-5`: an offset from it.
            if matches!(word.as_str(), "utc" | "gmt")
                && let Some(offset) = self.numeric_offset()
            {
                self.close();
                return Zone::Offsets(vec![offset]);
            }
            self.close();
            return Zone::Offsets(hours.iter().map(|minutes| minutes * 60).collect());
        }
        self.at = start;
        Zone::Missing
    }

    fn close(&mut self) {
        self.eat(b')');
    }

    fn numeric_offset(&mut self) -> Option<i32> {
        let start = self.at;
        let sign = match self.peek() {
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        self.at += 1;
        let found = match self.number(4) {
            Some((value, 4)) => Some((value / 100, value % 100)),
            Some((hours, 1 | 2)) => {
                let minutes = if self.eat(b':') {
                    self.number(2).map_or(99, |m| m.0)
                } else {
                    0
                };
                Some((hours, minutes))
            }
            _ => None,
        };
        // `-11:00:00` is the end of a range of hours.
        let hour = self.peek() == b':';
        match found.filter(|_| !hour) {
            // RFC 5322, 3.3: `-0000` says that nothing is known of the zone.
            Some((0, 0)) if sign < 0 => None,
            Some((hours, minutes)) if hours <= 14 && minutes <= 59 => {
                Some(sign * (hours * 3_600 + minutes * 60))
            }
            _ => None,
        }
        .or_else(|| {
            self.at = start;
            None
        })
    }
}

fn date(year: i32, month: i32, day: i32) -> Option<Date> {
    Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
    )
    .ok()
}

fn full_year(year: i32, digits: usize) -> Option<i32> {
    match digits {
        4 => Some(year),
        // RFC 5322, 4.3.
        2 if year < 50 => Some(2_000 + year),
        2 => Some(1_900 + year),
        _ => None,
    }
}

fn is_weekday(word: &str) -> bool {
    const DAYS: [&str; 27] = [
        "mon",
        "tue",
        "wed",
        "thu",
        "fri",
        "sat",
        "sun",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "lundi",
        "mardi",
        "mercredi",
        "jeudi",
        "vendredi",
        "samedi",
        "dimanche",
        "lun",
        "mer",
        "jeu",
        "ven",
        "sam",
        "dim",
    ];
    DAYS.contains(&word)
}

fn month(word: &str) -> Option<i32> {
    const NAMES: [&[&str]; 12] = [
        &["jan", "january", "janvier", "janv"],
        &[
            "feb",
            "february",
            "f\u{e9}vrier",
            "fevrier",
            "f\u{e9}v",
            "fev",
        ],
        &["mar", "march", "mars"],
        &["apr", "april", "avril", "avr"],
        &["may", "mai"],
        &["jun", "june", "juin"],
        &["jul", "july", "juillet", "juil"],
        &["aug", "august", "ao\u{fb}t", "aout"],
        &["sep", "september", "sept", "septembre"],
        &["oct", "october", "octobre"],
        &["nov", "november", "novembre"],
        &["dec", "december", "d\u{e9}cembre", "decembre", "d\u{e9}c"],
    ];
    let index = NAMES.iter().position(|names| names.contains(&word))?;
    i32::try_from(index).ok().map(|index| index + 1)
}

/// Offsets in minutes that an abbreviation may mean.
///
/// Writers mix up summer and winter names, so each stands for both; some are used on several continents.
fn abbreviation(word: &str) -> Option<&'static [i32]> {
    Some(match word {
        "utc" | "gmt" | "ut" => &[0],
        "wet" | "west" => &[0, 60],
        "cet" | "cest" | "met" | "mest" | "mez" | "mesz" => &[60, 120],
        "eet" | "eest" => &[120, 180],
        "msk" => &[180],
        "bst" => &[0, 60, 360],
        "ist" => &[0, 60, 120, 180, 330],
        "est" | "edt" | "et" => &[-300, -240, 600, 660],
        "cst" | "cdt" => &[-360, -300, -240, 480],
        "mst" | "mdt" => &[-420, -360],
        "pst" | "pdt" | "pt" => &[-480, -420, 480],
        "jst" | "kst" => &[540],
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::show;

    fn only(text: &str) -> String {
        let (when, taken) = read(text).unwrap_or_else(|| panic!("{text} is a time"));
        assert_eq!(taken, text.len(), "{text}");
        show(
            when.only_meaning()
                .unwrap_or_else(|| panic!("{text}: {when:?}"))
                .from,
        )
    }

    #[test]
    fn ranges_and_numbers_give_no_zone_no_hour_and_no_year() {
        for text in [
            "2026-03-02 10:00:00-11:00:00",
            "2026-03-02 10:00-11:00",
            "2026-03-02 10:00:00 2001 packets",
        ] {
            let (when, _) = read(text).unwrap();
            assert!(when.lacks_zone(), "{text}: {when:?}");
            assert_eq!(when.readings[0].year(), 2026, "{text}");
        }
        assert_eq!(
            read("2026-03-02 12.5 GB").unwrap().0.precision,
            Precision::Day
        );
        let (stated, _) = read("2026-03-02T10:00-05:00").unwrap();
        assert!(!stated.lacks_zone());
    }

    #[test]
    fn usual_forms_are_read() {
        for text in [
            "2026-03-02T14:05:33Z",
            "2026-03-02T14:05:33.123Z",
            "2026-03-02 15:05:33 +0100",
            "2026-03-02 14:05:33 UTC",
            "Mon, 2 Mar 2026 14:05:33 +0000",
            "Mon, 02 Mar 2026 14:05:33 GMT",
            "March 2, 2026 14:05:33 GMT",
            "Mon Mar  2 14:05:33 2026 UTC",
            "Mon Mar  2 14:05:33 UTC 2026",
            "2 mars 2026 \u{e0} 15h05:33 (heure de Paris)",
            "2 mars 2026 \u{e0} 15:05:33 (heure de Paris)",
            "02.03.2026 15:05:33 GMT+1",
            "March 2, 2026 at 2:05:33 PM UTC",
        ] {
            assert_eq!(only(text), "2026-03-02T14:05:33Z", "{text}");
        }
    }

    #[test]
    fn what_a_text_leaves_open_stays_open() {
        let (when, _) = read("03/04/2026 14:05").unwrap();
        assert_eq!(when.readings.len(), 2);
        assert_eq!(when.precision, Precision::Minute);
        assert!(when.lacks_zone());
        let (when, _) = read("Thu, 8 Mar 2005 17:40:36 EDT").unwrap();
        assert!(when.meanings().len() > 1);
        assert!(
            read("Mon, 2 Mar 2026 14:05:33 -0000")
                .unwrap()
                .0
                .lacks_zone()
        );
        assert_eq!(read("2 mars 2026").unwrap().0.precision, Precision::Day);
    }

    #[test]
    fn numbers_that_are_no_times_are_left_alone() {
        for text in [
            "192.0.2.1",
            "1.2.3",
            "version 2.10.4",
            "2026-13-01 10:00:00",
            "12345678",
        ] {
            assert_eq!(find(text, 9), [], "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in ".{0,120}") {
            for (range, when) in find(&text, 50) {
                prop_assert!(text.get(range).is_some());
                prop_assert!(!when.readings.is_empty());
                let _all = when.meanings();
            }
        }

        #[test]
        fn every_second_is_read_as_written(second in 0_i64..4_000_000_000) {
            let (when, _) = read(&show(second)).unwrap();
            prop_assert_eq!(when.only_meaning().unwrap().from, second);
        }
    }
}
