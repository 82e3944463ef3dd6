//! Money: which words are currencies, and what a written number is worth.
//!
//! Whoever writes `1.234` may mean one or a thousand. [`worth`] answers only where the currency's
//! custom or the digits themselves decide it.

use rust_decimal::Decimal;

/// How a currency may be written beside a number, and what is known of its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Currency {
    /// ISO 4217; `None` where several currencies share the sign.
    pub(crate) code: Option<&'static str>,
    /// The sign is a letter or two that mean other things as well: it counts only beside a number, in
    /// the place and case that are usual, and where the words before the number speak of credit.
    pub(crate) weak: bool,
}

/// Where a sign stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Before,
    After,
}

/// Signs that mean one currency wherever they stand.
/// First column folded, as `fold` leaves it; a sign in capitals here is compared as it is written.
const STRONG: &[(&str, Option<&str>)] = &[
    ("$", None),
    ("us$", Some("USD")),
    ("$us", Some("USD")),
    ("a$", Some("AUD")),
    ("au$", Some("AUD")),
    ("nz$", Some("NZD")),
    ("hk$", Some("HKD")),
    ("s$", Some("SGD")),
    ("c$", None),
    ("ca$", Some("CAD")),
    ("cad$", Some("CAD")),
    ("nt$", Some("TWD")),
    ("r$", Some("BRL")),
    ("rd$", Some("DOP")),
    ("j$", Some("JMD")),
    ("tt$", Some("TTD")),
    ("n$", Some("NAD")),
    ("z$", Some("ZWL")),
    ("mx$", Some("MXN")),
    ("€", Some("EUR")),
    ("eur", Some("EUR")),
    ("euro", Some("EUR")),
    ("euros", Some("EUR")),
    ("eura", Some("EUR")),
    ("eurot", Some("EUR")),
    ("evro", Some("EUR")),
    ("ευρω", Some("EUR")),
    ("£", Some("GBP")),
    ("dollar", None),
    ("dollars", None),
    ("franken", Some("CHF")),
    ("fr", None),
    ("sfr", Some("CHF")),
    ("fs", Some("CHF")),
    ("fcfa", None),
    ("cfa", None),
    ("francs", None),
    ("zl", Some("PLN")),
    ("zlotych", Some("PLN")),
    ("kc", Some("CZK")),
    ("ft", Some("HUF")),
    ("forint", Some("HUF")),
    ("lei", None),
    ("leva", Some("BGN")),
    ("lv", Some("BGN")),
    ("kn", Some("HRK")),
    ("din", None),
    ("dinara", None),
    ("km", Some("BAM")),
    ("rub", Some("RUB")),
    ("rubl", Some("RUB")),
    ("rublya", Some("RUB")),
    ("rublei", Some("RUB")),
    ("rublej", Some("RUB")),
    ("rubley", Some("RUB")),
    ("₽", Some("RUB")),
    ("grn", Some("UAH")),
    ("hrn", Some("UAH")),
    ("griven", Some("UAH")),
    ("hryven", Some("UAH")),
    ("₴", Some("UAH")),
    ("tenge", Some("KZT")),
    ("tg", Some("KZT")),
    ("₸", Some("KZT")),
    ("som", None),
    ("sum", Some("UZS")),
    ("lari", Some("GEL")),
    ("gel", Some("GEL")),
    ("₾", Some("GEL")),
    ("dram", Some("AMD")),
    ("֏", Some("AMD")),
    ("manat", None),
    ("₼", Some("AZN")),
    ("tl", Some("TRY")),
    ("₺", Some("TRY")),
    ("₪", Some("ILS")),
    ("nis", Some("ILS")),
    ("dh", None),
    ("dhs", None),
    ("dirhams", None),
    ("da", Some("DZD")),
    ("dt", Some("TND")),
    ("rial", None),
    ("rials", None),
    ("irr", Some("IRR")),
    ("toman", None),
    ("sr", Some("SAR")),
    ("kd", Some("KWD")),
    ("bd", Some("BHD")),
    ("egp", Some("EGP")),
    ("le", None),
    ("rs", None),
    ("inr", Some("INR")),
    ("₹", Some("INR")),
    ("tk", Some("BDT")),
    ("taka", Some("BDT")),
    ("৳", Some("BDT")),
    ("rp", Some("IDR")),
    ("rm", Some("MYR")),
    ("php", Some("PHP")),
    ("₱", Some("PHP")),
    ("peso", None),
    ("pesos", None),
    ("baht", Some("THB")),
    ("bath", Some("THB")),
    ("฿", Some("THB")),
    ("บ", Some("THB")),
    ("บาท", Some("THB")),
    ("vnd", Some("VND")),
    ("dong", Some("VND")),
    ("₫", Some("VND")),
    ("kyat", Some("MMK")),
    ("kip", Some("LAK")),
    ("riel", Some("KHR")),
    ("yuan", Some("CNY")),
    ("元", Some("CNY")),
    ("rmb", Some("CNY")),
    ("円", Some("JPY")),
    ("¥", None),
    ("₩", Some("KRW")),
    ("원", Some("KRW")),
    ("ksh", Some("KES")),
    ("kshs", Some("KES")),
    ("kes", Some("KES")),
    ("tsh", Some("TZS")),
    ("tshs", Some("TZS")),
    ("ush", Some("UGX")),
    ("ushs", Some("UGX")),
    ("shs", None),
    ("₦", Some("NGN")),
    ("naira", Some("NGN")),
    ("gh₵", Some("GHS")),
    ("gh¢", Some("GHS")),
    ("ghc", Some("GHS")),
    ("₵", Some("GHS")),
    ("cedis", Some("GHS")),
    ("birr", Some("ETB")),
    ("br", None),
    ("rwf", Some("RWF")),
    ("frw", Some("RWF")),
    ("fbu", Some("BIF")),
    ("kz", Some("AOA")),
    ("ariary", Some("MGA")),
    ("reais", Some("BRL")),
    ("kr", None),
    ("eek", Some("EEK")),
    ("bs", None),
    ("soles", Some("PEN")),
    ("lek", Some("ALL")),
    ("leke", Some("ALL")),
    ("denari", Some("MKD")),
    ("den", Some("MKD")),
];

/// Signs that are letters with other meanings: written so, and in this place only.
const WEAK: &[(&str, Place, Option<&str>)] = &[
    ("R", Place::Before, Some("ZAR")),
    ("r", Place::After, Some("RUB")),
    ("р", Place::After, Some("RUB")),
    ("Р", Place::After, Some("RUB")),
    ("p", Place::After, Some("RUB")),
    ("d", Place::After, Some("VND")),
    ("đ", Place::After, Some("VND")),
    ("N", Place::Before, Some("NGN")),
    ("P", Place::Before, Some("PHP")),
    ("K", Place::Before, None),
    ("F", Place::After, None),
    ("Q", Place::Before, Some("GTQ")),
    ("L", Place::Before, Some("HNL")),
];

/// Active codes of ISO 4217, which stand for themselves.
const CODES: &str = "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN \
BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP \
GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT \
LAK LBP LKR LRD LSL LTL LVL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR \
NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RUR RWF SAR SBD SCR SDG SEK SGD SHP SLE SLL SOS SRD SSP \
STN SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR \
ZMW ZWL";

/// ISO codes that are words of some language and therefore count in capitals only.
const CODES_THAT_ARE_WORDS: &[&str] = &[
    "ALL", "TOP", "TRY", "CUP", "MAD", "COP", "LAK", "PEN", "DOP", "SOS", "BAM",
];

/// Whether `character` is a currency sign of its own.
#[must_use]
pub(crate) fn is_sign(character: char) -> bool {
    matches!(character, '$' | '€' | '£' | '¥' | '¢' | '฿' | '৳' | '֏')
        || ('\u{20a0}'..='\u{20cf}').contains(&character)
}

/// The currency that a word beside a number means; `folded` is the same word folded.
#[must_use]
pub(crate) fn currency(written: &str, folded: &str, place: Place) -> Option<Currency> {
    for (sign, wanted, code) in WEAK {
        if *sign == written && *wanted == place {
            return Some(Currency {
                code: *code,
                weak: true,
            });
        }
    }
    if let Some((_, code)) = STRONG.iter().find(|(sign, _)| *sign == folded) {
        return Some(Currency {
            code: *code,
            weak: false,
        });
    }
    let upper = folded.to_uppercase();
    let code = (upper.len() == 3)
        .then(|| CODES.split(' ').find(|code| *code == upper))
        .flatten()?;
    if CODES_THAT_ARE_WORDS.contains(&code) && written != code {
        return None;
    }
    Some(Currency {
        code: Some(code),
        weak: false,
    })
}

/// Whether these letters, glued to digits that follow, are a currency and not a part of a name.
#[must_use]
pub(crate) fn may_stand_before(letters: &str) -> bool {
    currency(letters, &super::fold::fold(letters), Place::Before).is_some()
}

/// The value of a number as it was written, with the decimals that were written.
///
/// `code` is the number's currency. `dot_is_decimal` says that another number of the same text proves
/// that `.` separates decimals there. `None` where it cannot be told.
#[must_use]
pub(crate) fn worth(written: &str, code: Option<&str>, dot_is_decimal: bool) -> Option<Decimal> {
    let separators: Vec<char> = written.chars().filter(|c| !c.is_ascii_digit()).collect();
    let parts: Vec<&str> = written.split(|c: char| !c.is_ascii_digit()).collect();
    let Some((&last_separator, earlier)) = separators.split_last() else {
        return written.parse().ok();
    };
    let (last, whole) = parts.split_last()?;
    if earlier.is_empty() {
        let first = whole.first()?;
        let decimal = match last_separator {
            '\'' => false,
            _ if last.len() != 3 => true,
            // 0.030 and 1234.567 cannot be groups of three digits.
            _ if first.len() > 3 || first.starts_with('0') => true,
            '.' if dot_is_decimal => true,
            separator => separates_decimals(separator, code)?,
        };
        return if decimal {
            if last.len() > 6 {
                None
            } else {
                format!("{first}.{last}").parse().ok()
            }
        } else {
            grouped(&parts).and_then(|digits| digits.parse().ok())
        };
    }
    let group_separator = *earlier.first()?;
    if earlier
        .iter()
        .any(|&separator| separator != group_separator)
    {
        return None;
    }
    if last_separator == group_separator {
        return grouped(&parts)?.parse().ok();
    }
    if last_separator == '\'' || last.len() > 4 {
        return None;
    }
    format!("{}.{last}", grouped(whole)?).parse().ok()
}

/// Groups of three digits after one to three; or, as in India, groups of two before the last three.
fn grouped(parts: &[&str]) -> Option<String> {
    let (first, rest) = parts.split_first()?;
    let (last, middle) = rest.split_last()?;
    let western = middle.iter().all(|part| part.len() == 3) && (1..=3).contains(&first.len());
    let indian = !middle.is_empty()
        && middle.iter().all(|part| part.len() == 2)
        && (1..=2).contains(&first.len());
    let sound = last.len() == 3 && (western || indian) && !first.starts_with('0');
    sound.then(|| parts.concat())
}

/// What a single separator before three digits means, where the currency has one custom everywhere.
fn separates_decimals(separator: char, code: Option<&str>) -> Option<bool> {
    match (code?, separator) {
        // No coins worth naming, groups by dots.
        ("IDR" | "VND" | "COP" | "CLP" | "PYG", '.') => Some(false),
        (
            "JPY" | "KRW" | "UGX" | "TZS" | "RWF" | "IRR" | "MMK" | "NGN" | "KES" | "PHP" | "THB"
            | "INR" | "BDT" | "PKR" | "LKR" | "NPR" | "GBP" | "GHS",
            ',',
        ) => Some(false),
        ("KWD" | "BHD" | "OMR" | "JOD", '.') => Some(true),
        ("INR" | "BDT" | "PKR" | "LKR" | "NPR" | "GBP", '.') => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::worth;

    fn told(written: &str, code: &str) -> Option<String> {
        worth(written, Some(code), false).map(|value| value.to_string())
    }

    #[test]
    fn written_numbers_keep_their_decimals() {
        assert_eq!(told("24.50", "CHF").as_deref(), Some("24.50"));
        assert_eq!(told("0,44", "CHF").as_deref(), Some("0.44"));
        assert_eq!(told("1'234.50", "CHF").as_deref(), Some("1234.50"));
        assert_eq!(told("1.234,50", "EUR").as_deref(), Some("1234.50"));
        assert_eq!(told("1,23,456.50", "INR").as_deref(), Some("123456.50"));
        assert_eq!(told("24.025", "IDR").as_deref(), Some("24025"));
        assert_eq!(told("1.234.567", "EUR").as_deref(), Some("1234567"));
        assert_eq!(told("0.030", "EUR").as_deref(), Some("0.030"));
    }

    #[test]
    fn what_may_be_one_or_a_thousand_is_not_told() {
        assert_eq!(told("1.234", "EUR"), None);
        assert_eq!(told("633,100", "RUB"), None);
        assert_eq!(told("1.23.4", "EUR"), None);
        assert_eq!(told("01.234.567", "EUR"), None);
    }
}
