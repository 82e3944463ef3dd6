//! Words of operators: what names a credit, what names something else, what units there are.
//!
//! Lists, not rules; the rules are in `generic`. Most lists are in `words.txt`, one section for
//! each [`List`]. A pattern is compared with folded words joined by single blanks: `balance` is
//! that word, `balan*` any word that begins so, `*saldo` any that ends so, `you have` two words in
//! a row, `~余额` these letters anywhere, for scripts without blanks.

use std::sync::LazyLock;

use super::fold::fold;

/// A list of `words.txt`; what each means stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum List {
    Credit,
    Left,
    Owner,
    Other,
    Bound,
    Debt,
    Failure,
    Offers,
    Until,
    Validity,
    OtherDate,
    NotLeft,
    Remainder,
    Spent,
    Action,
    Lapsed,
    Gone,
    Act,
    Future,
}

/// The sections of `words.txt`, in the order of [`List`].
const SECTIONS: [&str; 19] = [
    "credit",
    "left",
    "owner",
    "other",
    "bound",
    "debt",
    "failure",
    "offers",
    "until",
    "validity",
    "other-date",
    "not-left",
    "remainder",
    "spent",
    "action",
    "lapsed",
    "gone",
    "act",
    "future",
];

/// How a word must stand in a text.
#[derive(Debug)]
enum Pattern {
    /// These letters, anywhere.
    Letters(String),
    /// Whole words; the first may begin with, the last end with anything.
    Words {
        letters: String,
        open_start: bool,
        open_end: bool,
    },
}

static LISTS: LazyLock<Vec<Vec<Pattern>>> = LazyLock::new(|| {
    SECTIONS
        .iter()
        .map(|section| patterns(include_str!("words.txt"), section))
        .collect()
});

/// The patterns of a section: items with commas between, after the language that a line begins with.
fn patterns(file: &str, section: &str) -> Vec<Pattern> {
    let wanted = format!("[{section}]");
    file.lines()
        .skip_while(|line| *line != wanted)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| {
            let items = line.split_once(": ").map_or(line, |(_, items)| items);
            items.split(',')
        })
        .filter_map(|item| pattern(item.trim()))
        .collect()
}

fn pattern(written: &str) -> Option<Pattern> {
    if written.is_empty() {
        return None;
    }
    if let Some(letters) = written.strip_prefix('~') {
        return Some(Pattern::Letters(fold(letters)));
    }
    let (rest, open_start) = match written.strip_prefix('*') {
        Some(rest) => (rest, true),
        None => (written, false),
    };
    let (stem, open_end) = match rest.strip_suffix('*') {
        Some(stem) => (stem, true),
        None => (rest, false),
    };
    let words: Vec<String> = stem.split(' ').map(fold).collect();
    Some(Pattern::Words {
        letters: words.join(" "),
        open_start,
        open_end,
    })
}

/// Messages.
pub(crate) const MESSAGES: &[&str] = &[
    "sms",
    "smss",
    "texts",
    "messages",
    "message",
    "mensajes",
    "mensagens",
    "messaggi",
    "smsov",
    "smsy",
    "smsek",
    "esemes",
    "wiadomosci",
    "soobschenii",
    "soobscheniya",
    "zprav",
    "sporocil",
    "poruka",
    "mesaje",
    "mesaj",
    "berichten",
    "رساله",
    "رسائل",
    "پیامک",
    "短信",
    "メッセージ",
];
/// Minutes of calls.
pub(crate) const MINUTES: &[&str] = &[
    "min",
    "mins",
    "minutter",
    "minuutteja",
    "λεπτα",
    "menit",
    "minit",
    "دقیقه",
    "دقائق",
    "دقیقه",
    "分钟",
    "分鐘",
    "분",
    "นาที",
    "mn",
    "minutes",
    "minute",
    "minuten",
    "minuti",
    "minutos",
    "minut",
    "minuty",
    "hv",
    "hvilin",
    "hvylyn",
    "khv",
    "dakika",
    "dk",
    "perc",
    "minuta",
    "minuter",
    "minuutit",
    "phut",
];
/// Data, with the number of kB of 1,024 bytes in each.
pub(crate) const DATA: &[(&str, u64)] = &[
    ("kb", 1),
    ("ko", 1),
    ("kib", 1),
    ("kbytes", 1),
    ("kbyte", 1),
    ("mb", 1024),
    ("mo", 1024),
    ("mib", 1024),
    ("mbytes", 1024),
    ("mbyte", 1024),
    ("megabytes", 1024),
    ("megas", 1024),
    ("megabyte", 1024),
    ("megabytov", 1024),
    ("میجا", 1024),
    ("میجابایت", 1024),
    ("مگابایت", 1024),
    ("giga", 1_048_576),
    ("gigas", 1_048_576),
    ("gigabyte", 1_048_576),
    ("gigabytes", 1_048_576),
    ("جیجا", 1_048_576),
    ("جیجابایت", 1_048_576),
    ("گیگابایت", 1_048_576),
    ("kilobytes", 1),
    ("gb", 1_048_576),
    ("go", 1_048_576),
    ("gib", 1_048_576),
    ("gbytes", 1_048_576),
    ("gbyte", 1_048_576),
];
/// Coins: a hundredth of the currency before them, or some other part.
pub(crate) const COINS: &[&str] = &[
    "kop",
    "kopek",
    "kopeek",
    "kopiyok",
    "cent",
    "cents",
    "ct",
    "cts",
    "cent.",
    "gr",
    "groszy",
    "pence",
    "bani",
    "stotinki",
    "ore",
    "ose",
    "para",
    "paise",
    "paisa",
    "ps",
    "centimes",
    "centimos",
    "rappen",
    "rp.",
    "fils",
    "halala",
    "piastres",
    "tiyin",
    "tiyn",
    "tetri",
    "qepik",
    "kurus",
    "krs",
    "heller",
    "haleru",
    "halierov",
    "senti",
    "santim",
    "c",
    "¢",
    "millimes",
    "sen",
    "centavos",
    "centesimi",
    "centi",
    "pesewas",
    "baisa",
    "st",
    "pf",
    "satang",
];

/// Words between an amount and its coins.
pub(crate) const JOINS_COINS: &[&str] = &[
    "and", "et", "y", "con", "e", "i", "si", "og", "och", "und", "va", "ve", "ja", "dan", "en", "و",
];
/// Multipliers: the figure before them is a part of the number only.
const MULTIPLIERS: &[&str] = &[
    "k",
    "rb",
    "ribu",
    "jt",
    "juta",
    "mln",
    "mio",
    "mrd",
    "tr",
    "trieu",
    "nghin",
    "ngan",
    "lakh",
    "lac",
    "lacs",
    "crore",
    "cr",
    "bin",
    "milyon",
    "tys",
    "tis",
    "thousand",
    "thousands",
    "tausend",
    "mille",
    "mil",
    "million",
    "millions",
    "millionen",
    "millones",
    "milhoes",
    "milioni",
    "m",
    "hundred",
    "elfu",
    "laki",
    "ezer",
    "hiljaa",
    "tuh",
    "ribuan",
    "man",
    "万",
    "萬",
    "千",
    "만",
    "천",
    "الف",
    "الاف",
    "ملیون",
    "هزار",
    "میلیون",
    "ہزار",
    "พัน",
    "หมื่น",
    "แสน",
    "ล้าน",
    "हजार",
    "लाख",
    "হাজার",
    "লাখ",
    "אלף",
];
/// What has a number of any length behind its name: the figure behind them may be that.
pub(crate) const NUMBERED: &[&str] = &[
    "kontonummer",
    "number",
    "nummer",
    "numero",
    "numer",
    "nomer",
    "num",
    "no",
    "nr",
    "user",
    "id",
    "phone",
    "tel",
];
/// What one has a few of, with a digit behind its name: "SIM 2", "Konto 1".
pub(crate) const COUNTED: &[&str] = &[
    "sim", "sims", "simcard", "simkarte", "konto", "karte", "card", "carte", "carta", "tarjeta",
    "cartao", "kart", "karta", "kaart", "line", "linea", "ligne", "linha", "linie", "liniya",
    "lijn", "leitung", "hat", "account", "acct", "acc", "accnt", "compte", "cuenta", "conto",
    "conta", "rekening", "schet", "rahunok", "racun", "hesap", "wallet", "slot",
];
/// Units that are none of the program's: the number before them is not the end of an amount.
pub(crate) const OTHER_UNITS: &[&str] = &[
    "nachricht",
    "nachrichten",
    "beskeder",
    "meddelanden",
    "meldinger",
    "viestia",
    "zpravy",
    "spravy",
    "sprav",
    "text",
    "msg",
    "msgs",
    "mms",
    "points",
    "point",
    "punkte",
    "punkten",
    "puntos",
    "punti",
    "pontos",
    "punktov",
    "balls",
    "ballov",
    "units",
    "unit",
    "einheiten",
    "unites",
    "unidades",
    "unidad",
    "jednotek",
    "jednostek",
    "edinits",
    "hours",
    "hour",
    "hrs",
    "hr",
    "h",
    "stunden",
    "std",
    "heures",
    "horas",
    "godzin",
    "hodin",
    "chasov",
    "weeks",
    "week",
    "wochen",
    "woche",
    "semaines",
    "semanas",
    "tygodni",
    "nedel",
    "months",
    "month",
    "monate",
    "monat",
    "mois",
    "meses",
    "mesi",
    "miesiecy",
    "mesyatsev",
    "seconds",
    "second",
    "secs",
    "sec",
    "sek",
    "sekunden",
    "secondes",
    "segundos",
    "secondi",
    "calls",
    "call",
    "anrufe",
    "appels",
    "llamadas",
    "chiamate",
    "chamadas",
    "zvonkov",
    "times",
    "percent",
    "prozent",
    "procent",
    "mbit",
    "tb",
];
/// Words behind an amount that cannot be a unit: "EUR 1 250 on your account".
pub(crate) const PREPOSITIONS: &[&str] = &[
    "on", "in", "at", "as", "auf", "am", "sur", "au", "dans", "en", "al", "na", "su", "sul", "di",
    "op", "pa", "v",
];
/// Days of a validity.
pub(crate) const DAYS: &[&str] = &[
    "day", "days", "tag", "tage", "tagen", "jour", "jours", "dia", "dias", "giorno", "giorni",
    "dag", "dagen", "dagar", "dage", "dni", "dnu", "dnei", "dniv", "dana", "dan", "zile", "nap",
    "paivaa", "gun", "hari", "ngay", "siku", "kun", "یوم", "ایام", "روز", "天", "日",
];
/// Coins behind a currency's name: "50 Euro Cent".
pub(crate) const CENTS: &[&str] = &[
    "cent",
    "cents",
    "ct",
    "cts",
    "centimes",
    "centimos",
    "centavos",
    "centesimi",
    "kop",
    "kopek",
    "kopeek",
    "kopiyok",
    "kopiok",
    "pence",
    "paise",
    "paisa",
    "groszy",
    "bani",
    "stotinki",
    "kurus",
    "halala",
    "fils",
    "piastres",
    "rappen",
];
/// Words between what is left and what there was: "0.00 of 5.00 EUR".
pub(crate) const OF: &[&str] = &[
    "of", "from", "von", "sur", "de", "di", "van", "av", "af", "z", "ze", "iz", "out", "su", "din",
    "dari", "daripada",
];
/// Words before a name that say that there is none of it: "no SMS left".
pub(crate) const NONE: &[&str] = &[
    "no", "zero", "kein", "keine", "aucun", "aucuns", "nessun", "ningun", "sin", "sem", "geen",
    "inga", "ingen", "nema", "brak", "zadne", "nincs", "hakuna", "tidak", "tiada", "khong",
];
/// How words begin that call a thing expired: the name of a figure, or what has come over the credit.
pub(crate) const OVER: &[&str] = &["caducad", "vencid", "expirad", "scadut"];
/// The word for a minus.
pub(crate) const MINUS: &[&str] = &["minus", "negative", "negativ", "moins", "menos", "meno"];
/// Words that end with a full stop without ending a sentence.
pub(crate) const ABBREVIATED: &[&str] = &[
    "nr", "no", "tel", "s", "d", "exp", "bal", "val", "ca", "z", "b", "approx", "max", "min", "st",
    "rs", "rp", "podkl", "kl", "pls", "incl", "inkl", "t", "o", "m", "u", "cust", "acc", "acct",
];

/// Whether a word makes the figure before it a part of the number.
#[must_use]
pub(crate) fn multiplies(word: &str) -> bool {
    let beginning = |multiplier: &&&str| word.starts_with(**multiplier);
    MULTIPLIERS.contains(&word)
        // Scripts without blanks go on right behind.
        || MULTIPLIERS
            .iter()
            .filter(|multiplier| !multiplier.is_ascii())
            .any(|multiplier| beginning(&multiplier))
}

/// Whether any pattern of `list` occurs in `text`: folded words joined by single blanks.
#[must_use]
pub(crate) fn any(list: List, text: &str) -> bool {
    LISTS
        .get(list as usize)
        .is_some_and(|patterns| patterns.iter().any(|pattern| occurs(pattern, text)))
}

/// Whether a pattern of `list` occurs, of those that say what has been.
///
/// A word alone may be of the past or the future, and is looked for in `past`: the words of `text` that
/// are not of the future. Several words, as `has expired`, say it by themselves.
#[must_use]
pub(crate) fn has_been(list: List, text: &str, past: &str) -> bool {
    let says = |pattern: &Pattern| {
        let alone = matches!(pattern, Pattern::Words { letters, .. } if !letters.contains(' '));
        occurs(pattern, if alone { past } else { text })
    };
    LISTS
        .get(list as usize)
        .is_some_and(|patterns| patterns.iter().any(says))
}

/// Whether `text` ends with a pattern of `list`.
#[must_use]
pub(crate) fn ends(list: List, text: &str) -> bool {
    let ended = |pattern: &Pattern| match pattern {
        Pattern::Letters(letters) => text.ends_with(letters.as_str()),
        Pattern::Words { letters, .. } => text
            .strip_suffix(letters.as_str())
            .is_some_and(|before| before.is_empty() || before.ends_with(' ')),
    };
    LISTS
        .get(list as usize)
        .is_some_and(|patterns| patterns.iter().any(ended))
}

fn occurs(pattern: &Pattern, text: &str) -> bool {
    let (letters, open_start, open_end) = match pattern {
        Pattern::Letters(letters) => return text.contains(letters.as_str()),
        Pattern::Words {
            letters,
            open_start,
            open_end,
        } => (letters.as_str(), *open_start, *open_end),
    };
    text.match_indices(letters).any(|(start, _)| {
        let end = start + letters.len();
        let begins = open_start || start == 0 || text.as_bytes().get(start - 1) == Some(&b' ');
        begins && (open_end || end == text.len() || text.as_bytes().get(end) == Some(&b' '))
    })
}

#[cfg(test)]
mod tests {
    use super::{LISTS, List, SECTIONS, any, ends};

    #[test]
    fn a_pattern_is_a_word_a_stem_or_letters() {
        assert!(any(List::Credit, "your balance is"));
        assert!(!any(List::Credit, "has been credited with"));
        assert!(any(List::Credit, "dein hauptguthaben"));
        assert!(any(List::Credit, "您的余额为"));
        assert!(!any(List::Credit, "global"));
        assert!(ends(List::Owner, "now you have"));
        assert!(!ends(List::Owner, "you have to pay"));
    }

    #[test]
    fn every_section_of_the_file_is_a_list() {
        let file = include_str!("words.txt");
        let sections: Vec<String> = file
            .lines()
            .filter_map(|line| Some(line.strip_prefix('[')?.strip_suffix(']')?.to_owned()))
            .collect();
        assert_eq!(sections, SECTIONS);
        assert_eq!(List::Future as usize + 1, SECTIONS.len());
        for (section, patterns) in SECTIONS.iter().zip(LISTS.iter()) {
            assert!(patterns.len() >= 10, "{section}");
        }
    }
}
