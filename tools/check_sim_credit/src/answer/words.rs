//! Words of operators, folded: what names a credit, what names something else, what units there are.
//!
//! Lists, not rules; the rules are in `generic.rs`. A pattern is compared with words joined by single
//! blanks: `balance` is that word, `balan*` any word that begins so, `you have` two words in a row,
//! `~余额` these letters anywhere, for scripts without blanks.

/// What the money left is called.
pub(crate) const CREDIT: &[&str] = &[
    "balance", "balances", "bal", "credit", "credits", "crdit", "cr dit", "kredit", "kredits", "credito", "airtime",
    "guthaben", "gutha*", "prepaidguthaben", "restguthaben", "gesprachsguthaben", "kontostand", "kontoguthaben",
    "guthabenkonto", "prepaid guthaben", "aktuelles guthaben", "solde", "sold", "saldo", "saldot", "saldosi", "saldu",
    "saldos", "beltegoed", "tegoed", "prepaidtegoed", "stan konta", "stan konta glownego", "konta glownego", "na koncie",
    "srodki", "zustatek", "zostatok", "kredit je", "egyenleg", "egyenlege*", "stanje", "balans*", "ostatok", "ostatk*",
    "schet", "schete", "schetu", "schyot*", "schote", "rahunku", "rahunok", "zalishok", "zalyshok", "dostupno", "pulsa",
    "pulsamu", "tk goc", "tk chinh", "tai khoan", "tai khoan goc", "tai khoan chinh", "so du", "etebar", "mojoodi",
    "mojudi", "bakiye", "bakiyeniz", "bakiyen", "kontor", "liittymasi saldo", "saadaval", "konto seis", "likutis",
    "saskaitos likutis", "atlikums", "hesabinizda", "balansiniz", "nalichnost", "salio", "account balance",
    "residual credit", "credito residuo", "credit restant", "credit actuel", "~υπολοιπ", "~余额", "~餘額", "~残高",
    "~잔액", "~رصيد", "~موجودی", "~اعتبار", "~יתרה", "~คงเหลือ", "~คุณมี", "~ยอดเงิน",
];

/// What is said directly before or after an amount that is left, without naming it.
pub(crate) const LEFT: &[&str] = &[
    "left", "remaining", "remains", "available", "restant", "restants", "restante", "residuo", "ubrig", "verfugbar",
    "verbleibend", "ostalos", "osталось", "pozostalo", "zbyva", "jaljella", "kvar", "igjen", "tilbage",
];

/// Words that make the figure beside them something other than the money left.
pub(crate) const OTHER: &[&str] = &[
    // Given, not owned.
    "bonus*", "bonu", "promo*", "free", "gift*", "geschenk*", "gratuit*", "gratis", "offert*", "cadeau*", "bezplatn*",
    "besplatn*", "start", "startguthaben", "kaufguthaben", "bonusguthaben", "aktionsguthaben", "reward*", "cashback",
    "points", "punkte", "loyalty",
    // Spent, or to be spent.
    "last", "letzte*", "dernier*", "ultim*", "poslednego", "charge*", "charged", "cost", "costs", "cout*", "kost*",
    "price*", "prix", "preis*", "prezzo", "precio*", "cena", "tsena", "stoimost", "fee", "fees", "gebuhr*", "tarif*",
    "rate", "per", "pro", "je", "used", "spent", "consum*", "verbraucht*", "utilis*", "usado", "consumido", "debited",
    "deducted", "abgebucht", "abgezogen", "debite*", "spisano", "izraskhodovano", "potracheno", "call", "cdr",
    // Owed, or lent.
    "loan*", "advance*", "debt*", "owe*", "owing", "borrow*", "lend*", "schuld*", "dette*", "deuda*", "debito", "dolg*",
    "zadolzhennost*", "zadluzenie", "credit limit", "limit*", "lim", "overdraft", "kreditlimit*", "obeschann*", "sos",
    "emergency", "outstanding", "unpaid", "due", "invoice", "bill", "rechnung*", "facture*", "factura*", "postpaid",
    // To be paid in.
    "recharge*", "rechargez", "recarga*", "ricaric*", "top", "topup", "topped", "refill*", "reload*", "auflad*",
    "auflad", "aufgeladen", "lade", "popoln*", "doladu*", "doladow*", "dobij*", "voucher*", "buy", "kauf*", "kaufen",
    "achet*", "compra*", "kup", "kupi*", "pay", "payment*", "paid", "zahl*", "paiement*", "pago", "platezh*", "get",
    "win", "won", "gewinn*", "gagne*", "transfer*", "sent", "received", "recu", "receive", "minimum", "min", "mindest*",
    "at least", "mindestens", "au moins", "minimal*", "activate*", "activez", "aktivier*", "podkl*", "subscribe*", "offer*",
    "angebot*", "offre*", "oferta", "deal*", "discount*", "rabatt*", "remise", "plan", "pack", "packs", "package*",
    "paket*", "paquet*", "pacote*", "bundle*", "forfait*", "flat*", "option*", "abonn*", "aylik", "weekly", "monthly",
    "daily", "monatlich*", "mensuel*", "credited", "gutgeschrieben", "credite", "added", "from", "for", "fur", "pour",
    "za", "por", "to", "of", "po", "only", "just", "nur", "reserved", "reserviert",
    // Earlier, or for something else than any use.
    "old", "previous", "prior", "alt*", "ancien*", "anterior", "precedent*", "predyduschii", "before", "vorher*",
    "data", "daten*", "internet", "donnees", "datos", "dati", "sms", "mms", "voice", "keret", "havi", "allowance*",
    "monthly", "minute*", "national", "international", "roaming", "onnet", "offnet", "family", "friends", "night",
    "weekend", "mix", "sub", "secondary", "second", "other", "savings", "wallet", "deposit*", "kaution", "locked",
    "pending", "expired", "lost", "ablauf*", "forfeited", "will be", "wird", "sera", "would", "if", "wenn", "si",
    "when", "until", "unless", "threshold", "schwelle", "alert", "notification", "free of", "welcome",
];

/// Words that make a figure a bound: `less than 1 EUR`.
pub(crate) const BOUND: &[&str] = &[
    "less", "below", "under", "weniger", "unter", "moins", "inferieur*", "menos", "meno", "menee", "menshe", "nizhe",
    "mniej", "ponizej", "more", "mehr", "above", "over", "uber", "plus de", "mas de", "bolee", "bolshe", "about", "ca",
    "circa", "approx*", "around", "environ", "etwa", "okolo", "primerno", "almost", "fast", "presque", "casi", "up to",
    "bis zu", "maximum", "max", "not", "no", "nicht", "kein*", "pas", "ne", "insufficient", "low", "n est",
];

/// Words of an answer that is none: the network could not say.
pub(crate) const FAILURE: &[&str] = &[
    "try again", "try later", "again later", "please try", "retry", "spater", "spaeter", "erneut", "plus tard", "reessay*",
    "veuillez reessay*", "mas tarde", "intente", "intentelo", "piu tardi", "riprov*", "tarde", "temporar*", "voruber*",
    "maintenance", "wartung*", "mantenimiento", "manutenzione", "cannot", "can not", "can t", "unable", "konnen wir",
    "wir konnen", "tidak dapat", "maaf", "sorry", "leider", "desole*", "malheureusement", "lo sentimos", "spiacenti",
    "invalid*", "ungultig*", "invalide", "inval*", "error", "fehler*", "erreur", "errore", "oshibk*", "blad", "failed",
    "fail", "failure", "echec", "nedostup*", "nevozmozh*", "popyt*", "poprobu*", "pozzhe", "pozniej", "przepraszamy",
    "sprobuj", "unavailable", "not available", "indisponible*", "no disponible", "nicht verfugbar", "non disponibile",
    "unknown", "unbekannt*", "inconnu*", "incorrect", "wrong", "falsch*", "not supported", "not allowed", "denied", "rejected",
    "refused", "timeout", "timed out", "busy", "uberlastet", "mmi", "in progress", "will be sent", "vous sera envoye",
    "will receive", "erhalten sie", "sms folgt", "per sms", "recevrez", "recibira", "ricevera", "budet otpravlen*",
    "vam otpravlen*", "otrzymasz", "request has been", "prise en charge", "anfrage wird", "zapros prinyat", "bar*d",
    "blocked", "gesperrt", "suspended", "bloque*", "deactivated", "zablokowan*", "zablokirovan*", "nehmo*",
];

/// Words that begin a list of things on offer: figures after it are prices.
pub(crate) const OFFER_LIST: &[&str] = &[
    "reply", "wahl*", "waehl*", "choose", "select", "choisissez", "choisir", "elige", "elija", "elegir", "seleccione",
    "scegli", "vyberite", "vybery*", "wybierz", "pilih", "to activate", "press", "tapez", "drucke*", "menu", "servicemenu",
    "secin*", "chon",
];

/// Words that say until when something is valid.
pub(crate) const UNTIL: &[&str] = &[
    "until", "till", "valid*", "exp", "expire*", "expir*", "expiry", "bis", "gultig*", "gueltig*", "ablauf*", "jusqu au",
    "jusqu", "jusque", "valable*", "valide*", "validite", "val", "valido", "valida", "valid until", "scade*", "scadenza",
    "hasta", "vence*", "vigencia", "vigente", "caduca*", "ate", "s d", "sd", "aktif*", "berlaku", "masa", "do", "dnya",
    "wazn*", "waznosc*", "voimassa*", "paattyy", "diisn*", "diysn*", "deistv*", "deystv*", "srok", "platnost*", "platn*",
    "plati", "ervenyes*", "lejar*", "vazi", "vrijedi", "valabil*", "expira", "geldig*", "tot", "gecerli*", "son", "ta",
    "giltig*", "t o m", "gyldig*", "udlober", "kehtib", "galioja", "deriga*", "han su dung", "hsd", "den", "het han",
    "~ถึง", "~有效", "~صالح", "~ינו",
];

/// Of these, words that speak of validity by themselves, in whichever sentence they stand.
pub(crate) const VALIDITY: &[&str] = &[
    "valid*", "exp", "expire*", "expir*", "expiry", "gultig*", "gueltig*", "ablauf*", "valable*", "valide*", "val", "scade*",
    "scadenza", "vence*", "vigencia", "caduca*", "aktif*", "berlaku", "masa", "wazn*", "voimassa*", "diisn*", "diysn*",
    "deistv*", "deystv*", "srok", "platnost*", "ervenyes*", "lejar*", "vrijedi", "valabil*", "geldig*", "gecerli*",
    "giltig*", "gyldig*", "hsd", "han su dung", "~ถึง", "~有效", "~صالح",
];

/// Words that make a date one of something else than the figure before it.
pub(crate) const OTHER_DATE: &[&str] = &[
    "recharge*", "top", "topup", "auflad*", "lade", "buy", "kauf*", "get", "win", "bonus*", "promo*", "offer*", "free",
    "gratuit*", "gratis", "angebot*", "offre*", "activate*", "aktivier*", "action", "aktion", "since", "seit", "depuis",
    "from", "ab", "am", "on", "le", "last", "letzte*", "updated", "stand", "as of", "au", "activated", "used", "tarif*",
    "plan", "pack*", "paket*", "package*", "bundle*", "forfait*", "option*", "internet", "data", "sms", "tot en met",
    "popoln*", "doladu*", "recarg*", "ricaric*", "refill*", "reload*", "call", "bill", "renew*", "next",
];

/// Messages.
pub(crate) const MESSAGES: &[&str] = &["sms", "smss", "texts", "messages", "mensajes", "smsov", "sms es", "смс", "sms i"];
/// Minutes of calls.
pub(crate) const MINUTES: &[&str] = &[
    "min", "mins", "minutes", "minute", "minuten", "minuti", "minutos", "minut", "minuty", "hv", "hvilin", "hvylyn", "khv",
    "dakika", "dk", "perc", "minuta", "minuter", "minuutit", "phut",
];
/// Data, with the number of kB of 1,024 bytes in each.
pub(crate) const DATA: &[(&str, u64)] = &[
    ("kb", 1), ("ko", 1), ("kib", 1), ("kbytes", 1), ("kbyte", 1),
    ("mb", 1024), ("mo", 1024), ("mib", 1024), ("mbytes", 1024), ("mbyte", 1024), ("megabytes", 1024), ("megas", 1024),
    ("gb", 1_048_576), ("go", 1_048_576), ("gib", 1_048_576), ("gbytes", 1_048_576), ("gbyte", 1_048_576),
];
/// Coins: a hundredth of the currency before them, or some other part.
pub(crate) const COINS: &[&str] = &[
    "kop", "kopek", "kopeek", "kopiyok", "cent", "cents", "ct", "cts", "cent.", "gr", "groszy", "pence", "bani", "stotinki",
    "ore", "ose", "para", "paise", "paisa", "ps", "centimes", "centimos", "rappen", "rp.", "fils", "halala", "piastres", "tiyin",
    "tiyn", "tetri", "qepik", "kurus", "krs", "heller", "haleru", "halierov", "senti", "santim", "c", "¢", "millimes", "sen",
];
/// Multipliers: the figure before them is a part of the number only.
pub(crate) const MULTIPLIERS: &[&str] = &[
    "k", "rb", "ribu", "jt", "juta", "mln", "mio", "million*", "mrd", "tr", "trieu", "nghin", "lakh", "lac", "crore", "cr",
    "bin", "milyon", "tys", "tis", "tys.", "thousand", "tausend", "mille", "mil", "million", "m", "hundred",
];
/// Words that make minutes, messages or data a time to wait, a price or a speed.
pub(crate) const NOT_LEFT: &[&str] = &[
    "in", "within", "after", "every", "each", "wait", "nach", "warte*", "attend*", "per", "pro", "par", "je", "jede*", "alle",
    "chaque", "cada", "ogni", "during", "updated", "takes", "take", "send", "sende*", "envoy*", "envia*", "otprav*", "to",
    "used", "spent", "consum*", "verbraucht*", "utilis*", "usado*", "izraskhodovano", "ispolzovano", "get", "buy", "win",
    "kauf*", "achet*", "activate*", "aktivier*", "extra", "bonus of", "offer*", "angebot*", "for", "fur", "pour", "cost*",
    "price", "charged", "rate", "tarif", "up to", "bis zu", "from", "ab", "call", "last", "duration", "bestellen", "kostet",
    "unlimited", "podkl*", "kup", "of", "von", "sur", "limit", "speed", "offre*", "recharge*", "auflad*", "buchen", "order",
];
/// Words that say that minutes, messages or data are left, needed where no money is named.
pub(crate) const REMAINDER: &[&str] = &[
    "remaining", "left", "balance", "balances", "available", "rest", "restant*", "restante*", "reste", "ubrig", "verfugbar*",
    "verbleibend*", "noch", "zalyshok", "zalishok", "ostatok", "ostalos", "saldo", "solde", "guthaben", "you have",
    "vous avez", "il vous reste", "te quedan", "sie haben", "du hast", "sisa", "kalan", "pozostalo", "zbyva", "residu*",
    "jaljella", "con lai", "dostupno", "quedan",
];
/// The word for a minus.
pub(crate) const MINUS: &[&str] = &["minus", "negative", "negativ", "moins", "menos", "meno"];
/// Words that end with a full stop without ending a sentence.
pub(crate) const ABBREVIATED: &[&str] = &[
    "nr", "no", "tel", "s", "d", "exp", "bal", "val", "ca", "z", "b", "approx", "max", "min", "st", "rs", "rp", "podkl",
    "kl", "pls", "incl", "inkl", "t", "o", "m", "u", "cust", "acc", "acct",
];

/// Whether any pattern of `list` occurs in `text`: folded words joined by single blanks.
#[must_use]
pub(crate) fn any(list: &[&str], text: &str) -> bool {
    list.iter().any(|pattern| occurs(pattern, text))
}

fn occurs(pattern: &str, text: &str) -> bool {
    if let Some(letters) = pattern.strip_prefix('~') {
        return text.contains(letters);
    }
    let (stem, open_end) = match pattern.strip_suffix('*') {
        Some(stem) => (stem, true),
        None => (pattern, false),
    };
    text.match_indices(stem).any(|(start, _)| {
        let end = start + stem.len();
        let begins = start == 0 || text.as_bytes().get(start - 1) == Some(&b' ');
        begins && (open_end || end == text.len() || text.as_bytes().get(end) == Some(&b' '))
    })
}

#[cfg(test)]
mod tests {
    use super::any;

    #[test]
    fn a_pattern_is_a_word_a_stem_or_letters() {
        assert!(any(&["balance"], "your balance is"));
        assert!(!any(&["credit"], "has been credited with"));
        assert!(any(&["gutha*"], "dein guthaben"));
        assert!(any(&["you have"], "now you have"));
        assert!(any(&["~余额"], "您的余额为"));
        assert!(!any(&["bal"], "global"));
    }
}
