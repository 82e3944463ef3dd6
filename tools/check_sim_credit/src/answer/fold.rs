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
    if let Some(&zero) = ZEROS
        .iter()
        .find(|zero| (**zero..**zero + 10).contains(&u32::from(character)))
    {
        return digit(character, zero);
    }
    match character {
        '\u{202f}' | '\u{2007}' | '\u{2009}' => '\u{a0}',
        '\u{2212}' | '\u{2010}' | '\u{2011}' => '-',
        '\u{2013}' | '\u{2014}' => '\u{2014}',
        '\u{05f3}' | '\u{02bb}' | '\u{2018}' | '\u{2019}' | '\u{02bc}' | '`' | '\u{b4}' => '\'',
        '\u{05f4}' | '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{ab}' | '\u{bb}' => '"',
        '\u{066b}' => '.',
        '\u{066c}' => ',',
        '\u{ff1a}' => ':',
        '\u{ff1b}' | '\u{061b}' => ';',
        '\u{ff0c}' | '\u{060c}' | '\u{3001}' => ',',
        '\u{ff01}' => '!',
        '\u{ff1f}' | '\u{061f}' => '?',
        '\u{ff08}' => '(',
        '\u{ff09}' => ')',
        '\u{ff04}' => '$',
        '\u{ffe5}' => '¥',
        '\u{ff0d}' => '-',
        // Full stops: Chinese, full width, Urdu, Indian, Armenian, Ethiopian.
        '\u{3002}' | '\u{ff0e}' | '\u{06d4}' | '\u{0964}' | '\u{0589}' | '\u{1362}' => '.',
        '\t' => ' ',
        other => other,
    }
}

/// Whether a character shows nothing: marks of direction, joiners, a byte order mark.
#[must_use]
pub(crate) fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{061c}'
            | '\u{feff}'
            | '\u{ad}'
    )
}

/// The zeros of scripts with ten digits of their own.
const ZEROS: [u32; 22] = [
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66,
    0x0de6, 0x0e50, 0x0ed0, 0x0f20, 0x1040, 0x17e0, 0x1810, 0x1946, 0xa9d0, 0xff10,
];

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
        // Letters of other scripts that are written in several ways.
        'أ' | 'إ' | 'آ' => "ا",
        'ي' | 'ى' => "ی",
        'ك' => "ک",
        'ة' => "ه",
        '\u{064b}'..='\u{0652}' => "",
        '\u{0591}'..='\u{05c7}' => "",
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
        'ә' => "a",
        'ғ' => "g",
        'қ' | 'ҡ' => "k",
        'ң' => "n",
        'ө' => "o",
        'ү' | 'ұ' => "u",
        'һ' | 'ҳ' => "h",
        'ҷ' => "j",
        'ӣ' => "i",
        'ӯ' => "u",
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
