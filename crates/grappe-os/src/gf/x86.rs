//! The field on x86-64: `GFNI` multiplies in it directly, `AVX2` alone looks nibbles up by shuffles.
//!
//! The functions are safe code compiled for features that the processor may lack; only `kernel` calls
//! them, after it has asked. The unsafe blocks here are loads and stores of whole vectors.

use std::arch::x86_64::{
    __m128i, __m256i, __m512i, __mmask64, _mm_loadu_si128, _mm256_and_si256,
    _mm256_broadcastsi128_si256, _mm256_gf2p8mul_epi8, _mm256_loadu_si256, _mm256_set1_epi8,
    _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_storeu_si256, _mm256_xor_si256,
    _mm512_gf2p8mul_epi8, _mm512_loadu_si512, _mm512_mask_storeu_epi8, _mm512_maskz_loadu_epi8,
    _mm512_set1_epi8, _mm512_storeu_si512, _mm512_xor_si512,
};

use super::scalar::{self, NIBBLE_PRODUCTS};

/// Bytes in an `AVX2` register.
const LANES_256: usize = 32;

/// Bytes in an `AVX-512` register.
const LANES_512: usize = 64;

/// `dst += factor * src`, 64 bytes at a time; the rest goes through a mask, without a scalar tail.
#[target_feature(enable = "gfni,avx512f,avx512bw")]
#[expect(unsafe_code, reason = "loads and stores whole vectors")]
pub(super) fn mul_add_gfni_avx512(dst: &mut [u8], src: &[u8], factor: u8) {
    let factors = _mm512_set1_epi8(factor.cast_signed());
    let (dst_vectors, dst_rest) = dst.as_chunks_mut::<LANES_512>();
    let (src_vectors, src_rest) = src.as_chunks::<LANES_512>();
    for (to, from) in dst_vectors.iter_mut().zip(src_vectors) {
        let to: *mut __m512i = to.as_mut_ptr().cast();
        // SAFETY: both point to arrays of 64 bytes, and the instructions accept any alignment.
        unsafe {
            let products = _mm512_gf2p8mul_epi8(_mm512_loadu_si512(from.as_ptr().cast()), factors);
            _mm512_storeu_si512(to, _mm512_xor_si512(_mm512_loadu_si512(to), products));
        }
    }

    let rest = dst_rest.len().min(src_rest.len());
    if rest > 0 {
        let mask: __mmask64 = u64::MAX >> (LANES_512 - rest);
        let to: *mut i8 = dst_rest.as_mut_ptr().cast();
        // SAFETY: the mask lets through `rest` bytes, which both slices have; masked bytes are
        // neither read nor written.
        unsafe {
            let from = _mm512_maskz_loadu_epi8(mask, src_rest.as_ptr().cast());
            let sum = _mm512_xor_si512(
                _mm512_maskz_loadu_epi8(mask, to),
                _mm512_gf2p8mul_epi8(from, factors),
            );
            _mm512_mask_storeu_epi8(to, mask, sum);
        }
    }
}

/// `dst += factor * src`, 32 bytes at a time.
#[target_feature(enable = "gfni,avx2")]
pub(super) fn mul_add_gfni_avx2(dst: &mut [u8], src: &[u8], factor: u8) {
    let factors = _mm256_set1_epi8(factor.cast_signed());
    // A closure here is compiled with the features of the function that it stands in.
    add_products(dst, src, |from| _mm256_gf2p8mul_epi8(from, factors));
}

/// `dst += factor * src`, 32 bytes at a time, by shuffling the table of nibble products.
///
/// Method: J. S. Plank, K. M. Greenan, E. L. Miller, "Screaming Fast Galois Field Arithmetic Using
/// Intel SIMD Instructions", FAST 2013.
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads whole vectors")]
pub(super) fn mul_add_avx2(dst: &mut [u8], src: &[u8], factor: u8) {
    let products = &NIBBLE_PRODUCTS[usize::from(factor)];
    // SAFETY: both tables are 16 bytes long.
    let (low, high): (__m128i, __m128i) = unsafe {
        (
            _mm_loadu_si128(products.low.as_ptr().cast()),
            _mm_loadu_si128(products.high.as_ptr().cast()),
        )
    };
    let (low, high) = (
        _mm256_broadcastsi128_si256(low),
        _mm256_broadcastsi128_si256(high),
    );
    let nibble = _mm256_set1_epi8(0x0F);
    add_products(dst, src, |from| {
        let low_products = _mm256_shuffle_epi8(low, _mm256_and_si256(from, nibble));
        let high_nibbles = _mm256_and_si256(_mm256_srli_epi16::<4>(from), nibble);
        _mm256_xor_si256(low_products, _mm256_shuffle_epi8(high, high_nibbles))
    });
}

/// `dst += src`, as wide as `AVX2` goes.
#[target_feature(enable = "avx2")]
pub(super) fn add_avx2(dst: &mut [u8], src: &[u8]) {
    scalar::add(dst, src);
}

/// `dst += src`, as wide as `AVX-512` goes.
#[target_feature(enable = "avx512f,avx512bw")]
pub(super) fn add_avx512(dst: &mut [u8], src: &[u8]) {
    scalar::add(dst, src);
}

/// Adds `product` of each vector of `src` to `dst`. The rest, shorter than a vector, is padded on the
/// stack: a scalar tail would cost more than all the vectors of a short symbol.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(unsafe_code, reason = "loads and stores whole vectors")]
fn add_products(dst: &mut [u8], src: &[u8], product: impl Fn(__m256i) -> __m256i) {
    let step = |to: &mut [u8; LANES_256], from: &[u8; LANES_256]| {
        let to: *mut __m256i = to.as_mut_ptr().cast();
        // SAFETY: both point to arrays of 32 bytes, and the instructions accept any alignment.
        unsafe {
            let products = product(_mm256_loadu_si256(from.as_ptr().cast()));
            _mm256_storeu_si256(to, _mm256_xor_si256(_mm256_loadu_si256(to), products));
        }
    };

    let (dst_vectors, dst_rest) = dst.as_chunks_mut::<LANES_256>();
    let (src_vectors, src_rest) = src.as_chunks::<LANES_256>();
    for (to, from) in dst_vectors.iter_mut().zip(src_vectors) {
        step(to, from);
    }
    if !dst_rest.is_empty() {
        let (mut to, mut from) = ([0; LANES_256], [0; LANES_256]);
        to[..dst_rest.len()].copy_from_slice(dst_rest);
        from[..src_rest.len()].copy_from_slice(src_rest);
        step(&mut to, &from);
        dst_rest.copy_from_slice(&to[..dst_rest.len()]);
    }
}
