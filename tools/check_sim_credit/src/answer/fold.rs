//! Folding: one spelling for letters that operators write in many ways.
//!
//! Lower case, without accents, Cyrillic in Latin letters, look-alike letters of the wrong alphabet
//! taken for what they look like. Only words are compared in this form; what is shown stays as it came.

/// A word in the form in which it is compared: `Guthaben` and `GUTHABEN`, `crédit` and `credit`,
/// `баланс` and `balans` are equal.
#[must_use]
pub(crate) fn fold(word: &str) -> String {
    let cyrillic = word.chars().any(is_cyrillic);
    let mimicked = if cyrillic {
        // "pуб" begins with a Latin p.
        Some(word.chars().map(cyrillic_look_alike).collect::<String>())
    } else {
        latin_only_look_alike(word)
    };
    let mut folded = String::with_capacity(word.len());
    for letter in mimicked.as_deref().unwrap_or(word).chars() {
        for lower in letter.to_lowercase() {
            fold_letter(lower, &mut folded);
        }
    }
    folded
}

/// Digits of other scripts as ASCII, other blanks as a space, other minus signs and quotes as ASCII.
///
/// A no-break space stays, because between digits it separates thousands.
#[must_use]
pub(crate) fn plain_character(character: char) -> char {
    match character {
        '\u{0660}'..='\u{0669}' => digit(character, 0x0660),
        '\u{06f0}'..='\u{06f9}' => digit(character, 0x06f0),
        '\u{0966}'..='\u{096f}' => digit(character, 0x0966),
        '\u{09e6}'..='\u{09ef}' => digit(character, 0x09e6),
        '\u{0e50}'..='\u{0e59}' => digit(character, 0x0e50),
        '\u{ff10}'..='\u{ff19}' => digit(character, 0xff10),
        '\u{202f}' | '\u{2007}' | '\u{2009}' => '\u{a0}',
        '\u{2212}' | '\u{2010}' | '\u{2011}' => '-',
        '\u{2013}' | '\u{2014}' => '\u{2014}',
        '\u{2018}' | '\u{2019}' | '\u{02bc}' | '`' | '\u{b4}' => '\'',
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' | '\u{bb}' => '"',
        '\u{066b}' => '.',
        '\u{066c}' => ',',
        '\u{ff1a}' => ':',
        '\u{ff0c}' | '\u{060c}' => ',',
        '\u{3002}' => '.',
        '\t' => ' ',
        other => other,
    }
}

fn digit(character: char, zero: u32) -> char {
    char::from_digit(character as u32 - zero, 10).unwrap_or(character)
}

fn is_cyrillic(letter: char) -> bool {
    ('\u{0400}'..='\u{052f}').contains(&letter)
}

fn cyrillic_look_alike(letter: char) -> char {
    match letter {
        'a' => 'а',
        'c' => 'с',
        'e' => 'е',
        'o' => 'о',
        'p' => 'р',
        'x' => 'х',
        'y' => 'у',
        'A' => 'А',
        'B' => 'В',
        'C' => 'С',
        'E' => 'Е',
        'H' => 'Н',
        'K' => 'К',
        'M' => 'М',
        'O' => 'О',
        'P' => 'Р',
        'T' => 'Т',
        'X' => 'Х',
        'Y' => 'У',
        other => other,
    }
}

/// `OCTATOK`: a Russian word in Latin capitals that look alike. Only words known to be written so:
/// most words of such letters are what they seem.
fn latin_only_look_alike(word: &str) -> Option<String> {
    let cyrillic: String = word.chars().map(cyrillic_look_alike).collect();
    matches!(
        cyrillic.as_str(),
        "ОСТАТОК" | "СЧЕТ" | "СЧЁТ" | "НА СЧЕТЕ" | "СЧЕТЕ" | "РУВ"
    )
    .then_some(cyrillic)
}

fn fold_letter(letter: char, folded: &mut String) {
    if letter.is_ascii() {
        folded.push(letter);
        return;
    }
    let plain = match letter {
        'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' | 'ạ' | 'ả' | 'ầ' | 'ấ' | 'ậ' | 'ẩ'
        | 'ẫ' | 'ằ' | 'ắ' | 'ặ' | 'ẳ' | 'ẵ' => "a",
        'æ' => "ae",
        'ç' | 'ć' | 'č' | 'ĉ' | 'ċ' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' | 'ẹ' | 'ẻ' | 'ẽ' | 'ề' | 'ế' | 'ệ' | 'ể'
        | 'ễ' => "e",
        'ğ' | 'ģ' | 'ġ' => "g",
        'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ı' | 'ị' | 'ỉ' | 'ĩ' => "i",
        'ķ' => "k",
        'ł' | 'ļ' | 'ľ' | 'ĺ' => "l",
        'ñ' | 'ń' | 'ň' | 'ņ' => "n",
        'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' | 'ơ' | 'ọ' | 'ỏ' | 'ồ' | 'ố' | 'ộ' | 'ổ'
        | 'ỗ' | 'ờ' | 'ớ' | 'ợ' | 'ở' | 'ỡ' => "o",
        'ŕ' | 'ř' => "r",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ß' => "ss",
        'ť' | 'ţ' | 'ț' => "t",
        'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' | 'ű' | 'ų' | 'ư' | 'ụ' | 'ủ' | 'ũ' | 'ừ' | 'ứ' | 'ự'
        | 'ử' | 'ữ' => "u",
        'ý' | 'ÿ' | 'ỳ' | 'ỵ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        'ə' => "e",
        // Combining marks: the dot of a Turkish capital İ, accents written apart.
        '\u{0300}'..='\u{036f}' => "",
        'ά' => "α",
        'έ' => "ε",
        'ή' => "η",
        'ί' | 'ϊ' => "ι",
        'ό' => "ο",
        'ύ' | 'ϋ' => "υ",
        'ώ' => "ω",
        'ς' => "σ",
        _ => {
            fold_cyrillic(letter, folded);
            return;
        }
    };
    folded.push_str(plain);
}

fn fold_cyrillic(letter: char, folded: &mut String) {
    let latin = match letter {
        'а' => "a",
        'б' => "b",
        'в' => "v",
        'г' | 'ґ' => "g",
        'д' => "d",
        'е' | 'ё' | 'э' | 'є' => "e",
        'ж' => "zh",
        'з' => "z",
        'и' | 'й' | 'і' => "i",
        'ї' => "yi",
        'к' => "k",
        'л' => "l",
        'м' => "m",
        'н' => "n",
        'о' => "o",
        'п' => "p",
        'р' => "r",
        'с' => "s",
        'т' => "t",
        'у' | 'ў' => "u",
        'ф' => "f",
        'х' => "h",
        'ц' => "ts",
        'ч' => "ch",
        'ш' => "sh",
        'щ' => "sch",
        'ъ' | 'ь' => "",
        'ы' => "y",
        'ю' => "yu",
        'я' => "ya",
        'ј' => "j",
        'љ' => "lj",
        'њ' => "nj",
        'ћ' => "c",
        'ђ' => "dj",
        other => {
            folded.push(other);
            return;
        }
    };
    folded.push_str(latin);
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn spellings_of_one_word_become_equal() {
        assert_eq!(fold("Crédit"), "credit");
        assert_eq!(fold("БАЛАНС"), "balans");
        assert_eq!(fold("OCTATOK"), "ostatok");
        assert_eq!(fold("pуб"), "rub");
        assert_eq!(fold("Süd"), "sud");
        assert_eq!(fold("TEXT"), "text");
    }
}
