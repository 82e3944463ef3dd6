//! Single numbers of GF(2^8) modulo x^8 + x^4 + x^3 + x + 1 (0x11B), the field of AES.
//!
//! This polynomial, and not the 0x11D of most erasure codes, because the GFNI instructions of x86
//! multiply in it. Multiplying whole symbols is the work of a `kernel`.

/// The polynomial without its x^8, which falls off a byte.
const POLYNOMIAL: u8 = 0x1B;

/// The smallest number whose powers are all numbers but zero; two is not one in this field.
const GENERATOR: u8 = 3;

/// `POWERS[n]` is the generator to the power n, for n up to twice the order of the group so that two
/// logarithms can be added without a remainder.
static POWERS: [u8; 510] = powers();

/// `LOGARITHMS[POWERS[n]] == n` for n below 255; the entry of zero means nothing.
static LOGARITHMS: [u8; 256] = logarithms();

/// The sum, which is also the difference.
pub const fn add(left: u8, right: u8) -> u8 {
    left ^ right
}

/// The product.
pub fn multiply(left: u8, right: u8) -> u8 {
    if left == 0 || right == 0 {
        return 0;
    }
    POWERS[usize::from(logarithm(left)) + usize::from(logarithm(right))]
}

/// The number that gives one when multiplied with `number`; zero for zero, which has no inverse.
pub fn inverse(number: u8) -> u8 {
    if number == 0 {
        return 0;
    }
    POWERS[255 - usize::from(logarithm(number))]
}

fn logarithm(number: u8) -> u8 {
    LOGARITHMS[usize::from(number)]
}

const fn powers() -> [u8; 510] {
    let mut powers = [0; 510];
    let mut power = 1;
    let mut exponent = 0;
    while exponent < powers.len() {
        powers[exponent] = power;
        power = multiply_slowly(power, GENERATOR);
        exponent += 1;
    }
    powers
}

const fn logarithms() -> [u8; 256] {
    let powers = powers();
    let mut logarithms = [0; 256];
    let mut exponent = 0;
    while exponent < 255 {
        logarithms[powers[exponent] as usize] = exponent as u8;
        exponent += 1;
    }
    logarithms
}

/// The product by the definition: add the shifted left number for each bit of the right one.
const fn multiply_slowly(mut left: u8, mut right: u8) -> u8 {
    let mut product = 0;
    while right != 0 {
        if right & 1 != 0 {
            product ^= left;
        }
        left = (left << 1) ^ if left & 0x80 != 0 { POLYNOMIAL } else { 0 };
        right >>= 1;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_agree_with_the_definition() {
        for left in 0..=255 {
            for right in 0..=255 {
                assert_eq!(
                    multiply(left, right),
                    multiply_slowly(left, right),
                    "{left} * {right}"
                );
            }
        }
    }

    #[test]
    fn example_of_the_aes_standard_holds() {
        // FIPS 197, section 4.2.
        assert_eq!(multiply(0x57, 0x83), 0xC1);
        assert_eq!(multiply(0x57, 0x13), 0xFE);
    }

    #[test]
    fn every_number_but_zero_has_an_inverse() {
        assert!((1..=255).all(|number| multiply(number, inverse(number)) == 1));
        assert_eq!(inverse(0), 0);
    }
}
