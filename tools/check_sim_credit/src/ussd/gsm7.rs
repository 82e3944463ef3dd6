//! The GSM 7-bit alphabet, and its packing into octets as USSD does it.
//!
//! 3GPP TS 23.038 clauses 6.1.2.3 (packing, with the rule for CR) and 6.2.1 (alphabet and extension).

/// The basic character set; 0x1b leads to the extension.
const ALPHABET: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', 'Δ', '_',
    'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\u{1b}', 'Æ', 'æ', 'ß', 'É', ' ', '!', '"', '#',
    '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', '0', '1', '2', '3', '4', '5', '6',
    '7', '8', '9', ':', ';', '<', '=', '>', '?', '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I',
    'J', 'K', 'L', 'M', 'N', 'O', 'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö',
    'Ñ', 'Ü', '§', '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o',
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

const EXTENSION: [(u8, char); 10] = [
    (0x0a, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2f, '\\'),
    (0x3c, '['),
    (0x3d, '~'),
    (0x3e, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

const ESCAPE: u8 = 0x1b;
const CARRIAGE_RETURN: u8 = 0x0d;

/// The text of septets, one in each byte. A septet above 127 becomes U+FFFD.
#[must_use]
pub fn text(septets: &[u8]) -> String {
    let mut text = String::with_capacity(septets.len());
    let mut septets = septets.iter().copied();
    while let Some(septet) = septets.next() {
        if septet != ESCAPE {
            text.push(
                ALPHABET
                    .get(usize::from(septet))
                    .copied()
                    .unwrap_or('\u{fffd}'),
            );
            continue;
        }
        let Some(second) = septets.next() else {
            break;
        };
        // A character unknown here is shown as the one of the basic set (clause 6.2.1.1).
        let known = EXTENSION
            .iter()
            .find(|(code, _)| *code == second)
            .map(|(_, character)| *character);
        text.push(
            known
                .or_else(|| ALPHABET.get(usize::from(second)).copied())
                .unwrap_or('\u{fffd}'),
        );
    }
    text
}

/// The septets of a text; `None` where a character is not in the alphabet.
#[must_use]
pub fn septets(text: &str) -> Option<Vec<u8>> {
    let mut septets = Vec::with_capacity(text.len());
    for character in text.chars() {
        if character != '\u{1b}'
            && let Some(code) = ALPHABET.iter().position(|&known| known == character)
        {
            septets.push(u8::try_from(code).ok()?);
        } else {
            let (code, _) = EXTENSION.iter().find(|(_, known)| *known == character)?;
            septets.extend([ESCAPE, *code]);
        }
    }
    Some(septets)
}

/// Packs septets into octets. Seven bits left over in the last octet are filled with CR, and a text
/// that ends with CR on an octet's boundary gets another (clause 6.1.2.3.1).
#[must_use]
pub fn pack(septets: &[u8]) -> Vec<u8> {
    let mut septets = septets.to_vec();
    let ends_with_return = septets.last() == Some(&CARRIAGE_RETURN);
    if septets.len() % 8 == 7 || (septets.len().is_multiple_of(8) && ends_with_return) {
        septets.push(CARRIAGE_RETURN);
    }
    let mut octets = Vec::with_capacity(septets.len() * 7 / 8 + 1);
    let (mut bits, mut count) = (0_u32, 0);
    for septet in septets {
        bits |= u32::from(septet & 0x7f) << count;
        count += 7;
        if count >= 8 {
            octets.push((bits & 0xff) as u8);
            bits >>= 8;
            count -= 8;
        }
    }
    if count > 0 {
        octets.push((bits & 0xff) as u8);
    }
    octets
}

/// Unpacks octets into septets, and drops a CR that only fills the last octet.
#[must_use]
pub fn unpack(octets: &[u8]) -> Vec<u8> {
    let mut septets = Vec::with_capacity(octets.len() * 8 / 7);
    let (mut bits, mut count) = (0_u32, 0);
    for &octet in octets {
        bits |= u32::from(octet) << count;
        count += 8;
        while count >= 7 {
            septets.push((bits & 0x7f) as u8);
            bits >>= 7;
            count -= 7;
        }
    }
    if septets.len().is_multiple_of(8) && septets.last() == Some(&CARRIAGE_RETURN) {
        septets.pop();
    }
    septets
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{pack, septets, text, unpack};

    fn hex(octets: &[u8]) -> String {
        octets.iter().map(|octet| format!("{octet:02x}")).collect()
    }

    #[test]
    fn packing_follows_the_rule_for_carriage_returns() {
        let packed = |text: &str| hex(&pack(&septets(text).unwrap()));
        assert_eq!(packed("0123456"), "b0986c46abd91a");
        assert_eq!(packed("01234567"), "b0986c46abd96e");
        assert_eq!(packed("01234567\r"), "b0986c46abd96e0d");
        assert_eq!(packed("forty-two"), "e6b79c9e6fd1ef6f");
        assert_eq!(packed("*100#"), "aa180c3602");
        assert_eq!(packed("*111#"), "aa582c3602");
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_again(codes in proptest::collection::vec(0u8..128, 0..200)) {
            let unpacked = unpack(&pack(&codes));
            // Zero bits at the end may look like one more '@'; a final CR may be taken for filling.
            let trimmed = |codes: &[u8]| {
                let mut codes = codes.to_vec();
                while matches!(codes.last(), Some(&(0 | 13))) { codes.pop(); }
                codes
            };
            prop_assert_eq!(trimmed(&unpacked), trimmed(&codes));
        }

        #[test]
        fn any_octets_have_a_text(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = text(&unpack(&octets));
            let _ = text(&octets);
        }
    }
}
