//! The field without vector instructions: the oracle that the other kernels are tested against, the
//! fallback of machines without them, and the tables that the shuffling kernels look up.

/// What is left of 0x11B once its top bit has left the byte.
const REDUCTION: u8 = 0x1B;

/// For each factor, its products with the 16 low nibbles and then with the 16 high nibbles.
///
/// A product is the sum of the products of the two nibbles, so 32 bytes per factor, two shuffles and
/// one exclusive or multiply a whole vector. 8 KiB in all, of which one factor touches one line.
pub(super) static NIBBLE_PRODUCTS: [NibbleProducts; 256] = nibble_products();

/// The products of one factor with each low nibble and with each high nibble.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct NibbleProducts {
    pub(super) low: [u8; 16],
    pub(super) high: [u8; 16],
}

/// Multiplies two field elements, bit by bit: the definition, not the fast way.
pub(super) const fn multiply(left: u8, right: u8) -> u8 {
    let (mut product, mut shifted, mut rest) = (0, left, right);
    while rest != 0 {
        if rest & 1 == 1 {
            product ^= shifted;
        }
        let overflows = shifted & 0x80 != 0;
        shifted <<= 1;
        if overflows {
            shifted ^= REDUCTION;
        }
        rest >>= 1;
    }
    product
}

/// `dst += factor * src` by two table look-ups a byte.
pub(super) fn mul_add(dst: &mut [u8], src: &[u8], factor: u8) {
    let products = &NIBBLE_PRODUCTS[usize::from(factor)];
    for (to, from) in dst.iter_mut().zip(src) {
        *to ^= products.low[usize::from(from & 0x0F)] ^ products.high[usize::from(from >> 4)];
    }
}

/// `dst += src`. Inlined into the vector kernels, where the compiler makes it as wide as they are.
#[inline(always)]
pub(super) fn add(dst: &mut [u8], src: &[u8]) {
    for (to, from) in dst.iter_mut().zip(src) {
        *to ^= from;
    }
}

const fn nibble_products() -> [NibbleProducts; 256] {
    let mut table = [NibbleProducts {
        low: [0; 16],
        high: [0; 16],
    }; 256];
    // The counters are bytes so that no cast can cut one: `while`, as `for` is not const.
    let mut factor: u8 = 0;
    loop {
        let mut nibble: u8 = 0;
        while nibble < 16 {
            table[factor as usize].low[nibble as usize] = multiply(factor, nibble);
            table[factor as usize].high[nibble as usize] = multiply(factor, nibble << 4);
            nibble += 1;
        }
        if factor == u8::MAX {
            return table;
        }
        factor += 1;
    }
}
