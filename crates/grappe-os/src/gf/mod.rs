//! Arithmetic on byte strings over GF(2^8), the inner loop of the Reed-Solomon parity.
//!
//! The field is the one of AES, reduced by x^8 + x^4 + x^3 + x + 1 (0x11B), because the `GFNI`
//! instructions multiply in exactly that field. This room does not know of matrices, rows or blocks:
//! parity is built elsewhere, out of [`mul_add`] and [`add`].

mod kernel;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::LazyLock;

use self::kernel::Kernel;

/// The fastest kernel of this processor, chosen at the first use and kept.
static FASTEST: LazyLock<Kernel> = LazyLock::new(Kernel::fastest);

/// Adds `factor` times `src` to `dst`, byte by byte in GF(2^8) with polynomial 0x11B.
///
/// A factor of 0 changes nothing; a factor of 1 is [`add`]. Any length and alignment is right; lengths
/// of a few hundred bytes or more are fast.
///
/// # Panics
///
/// When the two lengths differ: parity over unequal symbols is an error of the caller.
#[inline]
pub fn mul_add(dst: &mut [u8], src: &[u8], factor: u8) {
    match factor {
        0 => assert_eq!(
            dst.len(),
            src.len(),
            "mul_add needs two strings of one length"
        ),
        1 => FASTEST.add(dst, src),
        _ => FASTEST.mul_add(dst, src, factor),
    }
}

/// Adds `src` to `dst` in GF(2^8), which is an exclusive or.
///
/// # Panics
///
/// When the two lengths differ.
#[inline]
pub fn add(dst: &mut [u8], src: &[u8]) {
    FASTEST.add(dst, src);
}

/// Multiplies two field elements. For building matrices; byte strings go through [`mul_add`].
pub const fn multiply(left: u8, right: u8) -> u8 {
    scalar::multiply(left, right)
}

/// Names the kernel that [`mul_add`] uses on this machine, for logs and bug reports.
///
/// One of `gfni-avx512`, `gfni-avx2`, `avx2`, `neon` and `scalar`.
pub fn kernel_name() -> &'static str {
    FASTEST.name()
}
