//! Multiplying whole symbols by one number of GF(2^8): where all the time of parity goes.
//!
//! The fast ways need instructions that only unsafe code may name, so they live outside of this
//! crate and come in through [`Kernel`]; [`ScalarKernel`] is the portable one.

use super::field;

/// Arithmetic on runs of bytes, each byte a number of GF(2^8) modulo 0x11B.
///
/// `dst` and `src` are equally long. With unequal lengths an implementation works on the shorter
/// length and leaves the rest of `dst` as it is.
pub trait Kernel {
    /// Adds `factor` times `src` to `dst`, byte by byte.
    fn mul_add(&self, dst: &mut [u8], src: &[u8], factor: u8);

    /// Adds `src` to `dst`, byte by byte: an exclusive or.
    fn add(&self, dst: &mut [u8], src: &[u8]);
}

/// The portable kernel: plain Rust in a form that the compiler turns into vector instructions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScalarKernel;

impl Kernel for ScalarKernel {
    /// A product is the sum of `factor * 2^bit` over the bits of the source byte. Eight masked
    /// additions without a table vectorize, which a look-up for each byte does not: about three
    /// times as fast with SSE2 alone.
    fn mul_add(&self, dst: &mut [u8], src: &[u8], factor: u8) {
        let products: [u8; 8] = std::array::from_fn(|bit| field::multiply(factor, 1 << bit));
        for (sum, byte) in dst.iter_mut().zip(src) {
            for (bit, product) in products.iter().enumerate() {
                // The sign bit spread over the byte: all ones where the bit is set.
                let mask = ((byte << (7 - bit)) as i8 >> 7) as u8;
                *sum ^= product & mask;
            }
        }
    }

    fn add(&self, dst: &mut [u8], src: &[u8]) {
        for (sum, byte) in dst.iter_mut().zip(src) {
            *sum ^= byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_product_is_right() {
        let bytes: Vec<u8> = (0..=255).collect();
        for factor in 0..=255 {
            let mut sums = vec![0xA5; 256];
            ScalarKernel.mul_add(&mut sums, &bytes, factor);
            for byte in 0..=255 {
                assert_eq!(
                    sums[usize::from(byte)],
                    0xA5 ^ field::multiply(byte, factor)
                );
            }
        }
    }

    #[test]
    fn adding_is_multiplying_by_one() {
        let bytes: Vec<u8> = (0..=255).rev().collect();
        let (mut added, mut multiplied) = ([7; 256], [7; 256]);
        ScalarKernel.add(&mut added, &bytes);
        ScalarKernel.mul_add(&mut multiplied, &bytes, 1);
        assert_eq!(added, multiplied);
    }
}
