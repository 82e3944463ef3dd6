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
    /// The sign as it stands in the lists below.
    pub(crate) sign: &'static str,
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
    ("euroa", Some("EUR")),
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
    ("lej", None),
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
    ("u$s", Some("USD")),
    ("ec$", Some("XCD")),
    ("bds$", Some("BBD")),
    ("bz$", Some("BZD")),
    ("b$", None),
    ("bd$", None),
    ("g$", Some("GYD")),
    ("l$", Some("LRD")),
    ("fj$", Some("FJD")),
    ("si$", Some("SBD")),
    ("ci$", Some("KYD")),
    ("ar$", Some("ARS")),
    ("cop$", Some("COP")),
    ("col$", Some("COP")),
    ("clp$", Some("CLP")),
    ("mop$", Some("MOP")),
    ("sr$", Some("SRD")),
    ("srd$", Some("SRD")),
    ("t$", Some("TOP")),
    ("ws$", Some("WST")),
    ("rupee", None),
    ("rupees", None),
    ("₨", None),
    ("रु", None),
    ("रुपये", None),
    ("रुपए", None),
    ("টাকা", Some("BDT")),
    ("රු", None),
    ("ரூ", None),
    ("روپے", None),
    ("روپیه", None),
    ("ks", Some("MMK")),
    ("mt", Some("MZN")),
    ("mts", Some("MZN")),
    ("meticais", Some("MZN")),
    ("metical", Some("MZN")),
    ("gs", Some("PYG")),
    ("guaranies", Some("PYG")),
    ("₲", Some("PYG")),
    ("₡", Some("CRC")),
    ("colones", None),
    ("quetzales", Some("GTQ")),
    ("lempiras", Some("HNL")),
    ("cordobas", Some("NIO")),
    ("bolivares", Some("VES")),
    ("bolivianos", Some("BOB")),
    ("balboas", Some("PAB")),
    ("gourde", Some("HTG")),
    ("gourdes", Some("HTG")),
    ("gdes", Some("HTG")),
    ("gde", Some("HTG")),
    ("₮", Some("MNT")),
    ("tugrik", Some("MNT")),
    ("togrog", Some("MNT")),
    ("tng", Some("KZT")),
    ("somoni", Some("TJS")),
    ("smn", Some("TJS")),
    ("afn", Some("AFN")),
    ("afs", Some("AFN")),
    ("afghani", Some("AFN")),
    ("افغانی", Some("AFN")),
    ("؋", Some("AFN")),
    ("﷼", None),
    ("ریال", None),
    ("ریالا", None),
    ("تومان", None),
    ("riyal", None),
    ("riyals", None),
    ("جنیه", None),
    ("جنیها", None),
    ("دینار", None),
    ("دینارا", None),
    ("dinar", None),
    ("dinars", None),
    ("درهم", None),
    ("درهما", None),
    ("dirham", None),
    ("لیره", None),
    ("اوقیه", Some("MRU")),
    ("دج", Some("DZD")),
    ("lariya", Some("GEL")),
    ("ብር", Some("ETB")),
    ("שח", Some("ILS")),
    ("שקל", Some("ILS")),
    ("שקלים", Some("ILS")),
    ("shekels", Some("ILS")),
    ("ils", Some("ILS")),
    ("៛", Some("KHR")),
    ("₭", Some("LAK")),
    ("pounds", None),
    ("pula", Some("BWP")),
    ("maloti", Some("LSL")),
    ("emalangeni", Some("SZL")),
    ("kwacha", None),
    ("dalasi", Some("GMD")),
    ("fg", Some("GNF")),
    ("fc", None),
    ("kwanzas", Some("AOA")),
    ("shillings", None),
    ("shilingi", None),
    ("sh", None),
    ("cedi", Some("GHS")),
    ("franc", None),
    ("nu", Some("BTN")),
    ("rf", None),
    ("vatu", Some("VUV")),
    ("vt", Some("VUV")),
    ("kina", Some("PGK")),
    ("grivna", Some("UAH")),
    ("hryvnia", Some("UAH")),
    ("rubles", Some("RUB")),
    ("korun", None),
    ("korona", None),
    ("kronor", None),
    ("kroner", None),
    ("kronur", Some("ISK")),
    ("zlote", Some("PLN")),
    ("zloty", Some("PLN")),
    ("forintot", Some("HUF")),
    ("lire", None),
    ("lira", None),
    ("lirasi", Some("TRY")),
];

/// Of these, those that are words of some language: a currency only behind a number.
const BEHIND_ONLY: &[&str] = &[
    "da", "den", "le", "kn", "lei", "din", "dram", "sum", "som", "kip", "sh", "mt", "vt", "nu",
    "rf", "lek", "manat", "baht",
];

/// Currencies in scripts that write on without a blank, or decline: how their words begin.
const BEGINNINGS: &[(&str, Option<&str>)] = &[
    ("元", Some("CNY")),
    ("人民币", Some("CNY")),
    ("美元", Some("USD")),
    ("港元", Some("HKD")),
    ("港币", Some("HKD")),
    ("圓", None),
    ("円", Some("JPY")),
    ("원", Some("KRW")),
    ("บาท", Some("THB")),
    ("ກີບ", Some("LAK")),
    ("រៀល", Some("KHR")),
    ("ကျပ်", Some("MMK")),
    ("ლარ", Some("GEL")),
    ("դրամ", Some("AMD")),
    ("ريال", None),
];

/// Signs of several characters, letters and marks mixed, and the code to read instead.
const MIXED: &[(&str, &str)] = &[
    ("S/.", "PEN"),
    ("S/", "PEN"),
    ("B/.", "PAB"),
    ("US $", "USD"),
    ("R $", "BRL"),
    ("F CFA", "FCFA"),
    ("F.CFA", "FCFA"),
    ("FR CFA", "FCFA"),
    ("FRS CFA", "FCFA"),
    ("FRANCS CFA", "FCFA"),
    ("F CFP", "XPF"),
    ("SO'M", "UZS"),
    ("SOʻM", "UZS"),
    ("ש\"ח", "ILS"),
    ("ج.م", "EGP"),
    ("ر.س", "SAR"),
    ("د.إ", "AED"),
    ("د.ج", "DZD"),
    ("د.ت", "TND"),
    ("د.م", "MAD"),
    ("د.ك", "KWD"),
    ("د.ع", "IQD"),
    ("د.ب", "BHD"),
    ("ر.ع", "OMR"),
    ("ر.ق", "QAR"),
    ("د.أ", "JOD"),
    ("د.ا", "JOD"),
    ("د.ل", "LYD"),
    ("ل.ل", "LBP"),
    ("ل.س", "SYP"),
    ("ر.ي", "YER"),
];

/// Words behind a sign that say whose it is, folded.
const NATIONALITIES: &[(&str, &str)] = &[
    ("مصری", "EGP"),
    ("سودانی", "SDG"),
    ("سعودی", "SAR"),
    ("قطری", "QAR"),
    ("عمانی", "OMR"),
    ("یمنی", "YER"),
    ("کویتی", "KWD"),
    ("عراقی", "IQD"),
    ("اردنی", "JOD"),
    ("جزائری", "DZD"),
    ("تونسی", "TND"),
    ("لیبی", "LYD"),
    ("بحرینی", "BHD"),
    ("مغربی", "MAD"),
    ("اماراتی", "AED"),
    ("لبنانیه", "LBP"),
    ("سوریه", "SYP"),
    ("mexicanos", "MXN"),
    ("argentinos", "ARS"),
    ("colombianos", "COP"),
    ("chilenos", "CLP"),
    ("dominicanos", "DOP"),
    ("uruguayos", "UYU"),
    ("marocains", "MAD"),
    ("algeriens", "DZD"),
    ("tunisiens", "TND"),
    ("suisses", "CHF"),
    ("guineens", "GNF"),
    ("rwandais", "RWF"),
    ("congolais", "CDF"),
];

/// The currencies that share a sign.
const SHARED: &[(&[&str], &str)] = &[
    (
        &["$", "dollar", "dollars", "c$", "b$", "bd$"],
        "USD CAD AUD NZD HKD SGD TWD MXN ARS CLP COP UYU DOP CUP NIO JMD TTD BBD BSD BZD BMD BND FJD GYD KYD LRD NAD SBD SRD XCD ZWL TOP WST CVE MOP",
    ),
    (
        &["peso", "pesos", "P"],
        "MXN ARS CLP COP UYU DOP CUP PHP BWP",
    ),
    (
        &["fr", "franc", "francs", "F"],
        "CHF XOF XAF GNF RWF BIF DJF KMF CDF XPF",
    ),
    (&["fcfa", "cfa"], "XOF XAF"),
    (&["fc"], "CDF KMF"),
    (&["rf"], "RWF MVR"),
    (&["lei", "lej"], "RON MDL"),
    (
        &["din", "dinara", "dinar", "dinars", "دینار", "دینارا"],
        "RSD KWD IQD JOD DZD TND LYD BHD MKD",
    ),
    (&["som"], "KGS UZS"),
    (&["manat"], "AZN TMT"),
    (
        &["dh", "dhs", "dirham", "dirhams", "درهم", "درهما"],
        "MAD AED",
    ),
    (
        &["rial", "rials", "riyal", "riyals", "ریال", "ریالا", "﷼"],
        "IRR OMR YER SAR QAR",
    ),
    (&["toman", "تومان"], "IRR"),
    (&["le"], "SLE SLL EGP"),
    (
        &[
            "rs",
            "rupee",
            "rupees",
            "₨",
            "रु",
            "रुपये",
            "रुपए",
            "රු",
            "ரூ",
            "روپے",
            "روپیه",
        ],
        "INR PKR LKR NPR MUR SCR",
    ),
    (&["¥"], "JPY CNY"),
    (&["元", "圓"], "CNY HKD TWD MOP"),
    (&["shs", "sh", "shillings", "shilingi"], "KES TZS UGX SOS"),
    (&["br"], "ETB BYN"),
    (
        &["kr", "kronor", "kroner", "korun", "korona"],
        "SEK NOK DKK ISK CZK",
    ),
    (&["bs"], "BOB VES"),
    (&["K", "kwacha"], "ZMW PGK MMK MWK"),
    (&["جنیه", "جنیها", "pounds"], "EGP SDG GBP SSP SYP LBP"),
    (&["لیره", "lira", "lire"], "LBP SYP TRY"),
    (&["colones"], "CRC SVC"),
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
    ("P", Place::Before, None),
    ("Ar", Place::After, Some("MGA")),
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
    matches!(
        character,
        '$' | '€' | '£' | '¥' | '¢' | '฿' | '৳' | '֏' | '؋' | '﷼' | '៛'
    ) || ('\u{20a0}'..='\u{20cf}').contains(&character)
}

/// The currency that a word beside a number means; `folded` is the same word folded.
#[must_use]
pub(crate) fn currency(written: &str, folded: &str, place: Place) -> Option<Currency> {
    for (sign, wanted, code) in WEAK {
        if *sign == written && *wanted == place {
            return Some(Currency {
                code: *code,
                sign,
                weak: true,
            });
        }
    }
    let strong = |(sign, code): &(&'static str, Option<&'static str>)| Currency {
        code: *code,
        sign,
        weak: false,
    };
    if let Some(found) = STRONG.iter().find(|(sign, _)| *sign == folded) {
        let here = place == Place::After || !BEHIND_ONLY.contains(&found.0);
        return here.then(|| strong(found));
    }
    if place == Place::After
        && let Some(found) = BEGINNINGS
            .iter()
            .find(|(sign, _)| folded.starts_with(*sign))
    {
        return Some(strong(found));
    }
    let code = iso(folded)?;
    if CODES_THAT_ARE_WORDS.contains(&code) && written != code {
        return None;
    }
    Some(Currency {
        code: Some(code),
        sign: code,
        weak: false,
    })
}

/// The code of ISO 4217 that a folded word is.
fn iso(folded: &str) -> Option<&'static str> {
    let upper = folded.to_uppercase();
    (upper.len() == 3)
        .then(|| CODES.split(' ').find(|code| *code == upper))
        .flatten()
}

/// Whether a sign that several currencies share may mean `code`.
#[must_use]
pub(crate) fn may_mean(sign: &str, code: &str) -> bool {
    SHARED
        .iter()
        .find(|(signs, _)| signs.contains(&sign))
        .is_none_or(|(_, codes)| codes.split(' ').any(|one| one.eq_ignore_ascii_case(code)))
}

/// The currency where the word behind its sign says which of several it is.
#[must_use]
pub(crate) fn nationality(sign: Currency, written: &str, folded: &str) -> Option<Currency> {
    if sign.code.is_some() {
        return None;
    }
    let adjective = NATIONALITIES
        .iter()
        .find(|(word, _)| *word == folded)
        .map(|(_, code)| *code);
    let code = adjective.or_else(|| iso(folded).filter(|code| *code == written))?;
    may_mean(sign.sign, code).then_some(Currency {
        code: Some(code),
        ..sign
    })
}

/// `text` with the codes of currencies in place of signs that are letters and marks mixed.
#[must_use]
pub(crate) fn plain_signs(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(character) = rest.chars().next() {
        let found = MIXED.iter().find(|(sign, _)| {
            let begins = rest
                .get(..sign.len())
                .is_some_and(|start| start.to_uppercase() == *sign);
            let after = begins.then(|| rest[sign.len()..].chars().next());
            begins && !after.flatten().is_some_and(char::is_alphabetic)
        });
        match found {
            Some((sign, code)) if !previous.is_alphabetic() => {
                plain.push_str(code);
                rest = &rest[sign.len()..];
                previous = 'x';
            }
            _ => {
                plain.push(character);
                rest = &rest[character.len_utf8()..];
                previous = character;
            }
        }
    }
    plain
}

/// Whether these letters, glued to digits that follow, are a currency and not a part of a name.
#[must_use]
pub(crate) fn may_stand_before(letters: &str) -> bool {
    currency(letters, &super::fold::fold(letters), Place::Before).is_some()
}

impl Currency {
    /// Whether a letter that means other things as well is a currency in this text: `12d` is money in
    /// Vietnamese and days in English, `85p` pence, or roubles beside Russian words.
    #[must_use]
    pub(crate) fn fits(&self, words: &[&str], written: &str) -> bool {
        let fraction = written.contains(['.', ',']);
        match self.sign {
            "d" => words
                .iter()
                .any(|word| matches!(*word, "tk" | "tkc" | "goc" | "khoan" | "du" | "chinh")),
            "p" => words.iter().any(russian),
            "r" => fraction || words.iter().any(russian),
            _ => true,
        }
    }
}

/// Whether a folded word is Russian for credit or account.
fn russian(word: &&str) -> bool {
    ["balans", "ostat", "schet", "schot", "schyot", "sredstv"]
        .iter()
        .any(|beginning| word.starts_with(beginning))
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
