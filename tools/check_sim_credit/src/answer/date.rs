//! Dates of an answer: until when a credit or a bundle is valid.
//!
//! `04/03/16` is three different days in three countries: a date is told only where its form, its
//! digits or the place decide the order.

use jiff::civil::Date;

use super::token::{Kind, Token};

/// The order in which a place writes day, month and year.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DateOrder {
    /// 31/12/2026
    DayFirst,
    /// 12/31/2026
    MonthFirst,
    /// 2026/12/31
    YearFirst,
}

/// The years that a validity can name. Operators write 2099 or 9378 for "never".
const YEARS: std::ops::RangeInclusive<u32> = 2000..=2060;
/// Years of the Buddhist era are ahead by this much (Thailand).
const BUDDHIST_ERA: u32 = 543;

/// The day that three numbers name, if that is certain.
///
/// `order` is what is known of the place. The currency tells of another calendar.
#[must_use]
pub(crate) fn date(
    parts: [u32; 3],
    separator: char,
    order: Option<DateOrder>,
    currency: Option<&str>,
) -> Option<Date> {
    let [first, second, third] = parts;
    let gregorian = |year: u32| match (currency, year) {
        (Some("THB"), 2500..=2700) => Some(year - BUDDHIST_ERA),
        // 1404 is a year of the Persian calendar, whose months are others.
        _ => YEARS.contains(&year).then_some(year),
    };
    if first > 99 {
        // Nobody writes year, day, month.
        return day(gregorian(first)?, second, third);
    }
    if third > 99 {
        let year = gregorian(third)?;
        if first == second || (first > 12 && order != Some(DateOrder::MonthFirst)) {
            return day(year, second, first);
        }
        if second > 12 && order != Some(DateOrder::DayFirst) {
            return day(year, first, second);
        }
        return match order {
            Some(DateOrder::MonthFirst) => day(year, first, second),
            Some(DateOrder::DayFirst) => day(year, second, first),
            _ if separator == '.' => day(year, second, first),
            _ => None,
        };
    }
    if matches!(currency, Some("THB" | "IRR")) {
        return None;
    }
    match order {
        Some(DateOrder::DayFirst) => day(2000 + third, second, first),
        Some(DateOrder::MonthFirst) => day(2000 + third, first, second),
        Some(DateOrder::YearFirst) => day(2000 + first, second, third),
        None if third > 31 || first == third => {
            day(2000 + third, second, first).filter(|_| first > 12)
        }
        None => None,
    }
}

/// The month that a folded word names, in the languages of the operators known.
#[must_use]
pub(crate) fn month(word: &str) -> Option<u32> {
    const STEMS: [&[&str]; 12] = [
        &[
            "jan", "janv", "ene", "gen", "yanv", "styc", "sich", "led", "oca",
        ],
        &["feb", "febr", "fev", "fevr", "fevral", "lut", "unor", "sub"],
        &["mar", "mars", "marz", "maerz", "mart", "berez", "brez"],
        &[
            "apr", "april", "avr", "avril", "abr", "kwie", "kvit", "dub", "nis",
        ],
        &[
            "may", "mai", "mei", "mag", "maj", "mayo", "maya", "trav", "kvet",
        ],
        &[
            "jun", "june", "juni", "juin", "giu", "cerv", "czer", "cherv", "haz", "iyun",
        ],
        &["jul", "july", "juli", "juil", "lug", "lip", "iyul", "tem"],
        &["aug", "aout", "ago", "sier", "serp", "srp", "avg"],
        &["sep", "sept", "set", "sent", "wrz", "ver", "zari", "eyl"],
        &["oct", "okt", "ott", "out", "paz", "zhovt", "rij", "eki"],
        &["nov", "noy", "lis", "kas"],
        &["dec", "dez", "dic", "dek", "grud", "pros", "ara"],
    ];
    const WHOLE: [&[&str]; 12] = [
        &[
            "january", "januar", "janvier", "enero", "gennaio", "yanvarya", "stycznia", "sichnya",
            "ledna", "janeiro", "ocak",
        ],
        &[
            "february",
            "februar",
            "fevrier",
            "febrero",
            "febbraio",
            "fevralya",
            "lutego",
            "unora",
            "fevereiro",
            "subat",
        ],
        &[
            "march", "marts", "marzo", "marta", "marca", "bereznya", "brezna", "marco", "maart",
        ],
        &[
            "aprile", "abril", "aprilya", "kwietnia", "kvitnya", "dubna", "nisan",
        ],
        &["maggio", "maja", "travnya", "kvetna", "maio", "mayis"],
        &[
            "giugno", "junio", "iyunya", "czerwca", "chervnya", "cervna", "junho", "haziran",
        ],
        &[
            "juillet", "luglio", "julio", "iyulya", "lipca", "lipnya", "cervence", "julho",
            "temmuz",
        ],
        &[
            "august", "agosto", "avgusta", "sierpnia", "serpnya", "srpna", "agustus", "augustus",
            "agustos",
        ],
        &[
            "september",
            "septembre",
            "septiembre",
            "settembre",
            "sentyabrya",
            "wrzesnia",
            "veresnya",
            "setembro",
            "eylul",
        ],
        &[
            "october",
            "oktober",
            "octobre",
            "octubre",
            "ottobre",
            "oktyabrya",
            "pazdziernika",
            "zhovtnya",
            "outubro",
            "ekim",
        ],
        &[
            "november",
            "novembre",
            "noviembre",
            "noyabrya",
            "listopada",
            "novembro",
            "kasim",
        ],
        &[
            "december",
            "dezember",
            "decembre",
            "diciembre",
            "dicembre",
            "dekabrya",
            "grudnia",
            "dezembro",
            "desember",
            "aralik",
        ],
    ];
    let index =
        (0..12).find(|&index| STEMS[index].contains(&word) || WHOLE[index].contains(&word))?;
    u32::try_from(index + 1).ok()
}

/// A day of the years that a validity can name.
#[must_use]
pub(crate) fn day(year: u32, month: u32, day: u32) -> Option<Date> {
    if !YEARS.contains(&year) {
        return None;
    }
    Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
    )
    .ok()
}

/// `01 Jan 2013`, `Aug 28, 2021`, `1 октября 2009`.
#[must_use]
pub(crate) fn worded(
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
        return Some((start, self::day(year_of(year), month, day)));
    }
    let day = number(at + 1)?;
    let year = number(skip(at + 2))?;
    Some((
        at,
        if year >= 2000 {
            self::day(year_of(year), month, day)
        } else {
            None
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::{DateOrder, date};

    fn told(parts: [u32; 3], separator: char) -> Option<String> {
        date(parts, separator, None, None).map(|day| day.to_string())
    }

    #[test]
    fn a_date_is_told_where_its_order_is_certain() {
        assert_eq!(told([1, 10, 2009], '.').as_deref(), Some("2009-10-01"));
        assert_eq!(told([25, 1, 2018], '-').as_deref(), Some("2018-01-25"));
        assert_eq!(told([12, 31, 2026], '/').as_deref(), Some("2026-12-31"));
        assert_eq!(told([2026, 4, 3], '/').as_deref(), Some("2026-04-03"));
        assert_eq!(told([1, 1, 2022], '-').as_deref(), Some("2022-01-01"));
        let thai = date([15, 6, 2569], '/', None, Some("THB"));
        assert_eq!(
            thai.map(|day| day.to_string()).as_deref(),
            Some("2026-06-15")
        );
    }

    #[test]
    fn a_date_of_two_meanings_or_none_is_not_told() {
        assert_eq!(told([4, 3, 2026], '/'), None);
        assert_eq!(told([4, 3, 16], '/'), None);
        assert_eq!(told([9378, 10, 12], '/'), None);
        assert_eq!(told([31, 2, 2026], '.'), None);
        assert_eq!(told([1, 12, 2099], '.'), None);
        let known = date([4, 3, 16], '/', Some(DateOrder::DayFirst), None);
        assert_eq!(
            known.map(|day| day.to_string()).as_deref(),
            Some("2016-03-04")
        );
    }
}
