//! The field on 64-bit Arm: nibbles looked up by `TBL`, 16 bytes at a time.
//!
//! Only `kernel` calls this, after it has asked the processor. There is no `add` here: the compiler
//! already makes NEON of the scalar one, as every 64-bit Arm has it.

use std::arch::aarch64::{
    vandq_u8, vdupq_n_u8, veorq_u8, vld1q_u8, vqtbl1q_u8, vshrq_n_u8, vst1q_u8,
};

use super::scalar::NIBBLE_PRODUCTS;

/// Bytes in a NEON register.
const LANES: usize = 16;

/// `dst += factor * src`. The rest, shorter than a vector, is padded on the stack.
#[target_feature(enable = "neon")]
#[expect(unsafe_code, reason = "loads and stores whole vectors")]
pub(super) fn mul_add(dst: &mut [u8], src: &[u8], factor: u8) {
    let products = &NIBBLE_PRODUCTS[usize::from(factor)];
    // SAFETY: both tables are 16 bytes long.
    let (low, high) = unsafe {
        (
            vld1q_u8(products.low.as_ptr()),
            vld1q_u8(products.high.as_ptr()),
        )
    };
    let nibble = vdupq_n_u8(0x0F);
    let step = |to: &mut [u8; LANES], from: &[u8; LANES]| {
        // SAFETY: both arrays are 16 bytes long, and the instructions accept any alignment.
        unsafe {
            let from = vld1q_u8(from.as_ptr());
            let low_products = vqtbl1q_u8(low, vandq_u8(from, nibble));
            let high_products = vqtbl1q_u8(high, vshrq_n_u8::<4>(from));
            let sum = veorq_u8(vld1q_u8(to.as_ptr()), veorq_u8(low_products, high_products));
            vst1q_u8(to.as_mut_ptr(), sum);
        }
    };

    let (dst_vectors, dst_rest) = dst.as_chunks_mut::<LANES>();
    let (src_vectors, src_rest) = src.as_chunks::<LANES>();
    for (to, from) in dst_vectors.iter_mut().zip(src_vectors) {
        step(to, from);
    }
    if !dst_rest.is_empty() {
        let (mut to, mut from) = ([0; LANES], [0; LANES]);
        to[..dst_rest.len()].copy_from_slice(dst_rest);
        from[..src_rest.len()].copy_from_slice(src_rest);
        step(&mut to, &from);
        dst_rest.copy_from_slice(&to[..dst_rest.len()]);
    }
}
