//! The choice between the implementations of the field: which exist on this processor, which is best.
//!
//! Holds the one promise that makes the vector code sound: a [`Kernel`] is only made after the
//! processor was asked for every feature that the kernel's functions were compiled with.

use super::scalar;

/// `dst += factor * src`, over strings whose equal length the caller checked.
///
/// Unsafe to call: the processor must have the features that the function was compiled with.
type MulAdd = unsafe fn(dst: &mut [u8], src: &[u8], factor: u8);

/// `dst += src`, under the same conditions as [`MulAdd`].
type Add = unsafe fn(dst: &mut [u8], src: &[u8]);

/// One implementation of the field that this processor can run.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    name: &'static str,
    mul_add: MulAdd,
    add: Add,
}

impl Kernel {
    /// The best kernel of this processor.
    pub(super) fn fastest() -> Self {
        Self::available().next().unwrap_or(SCALAR)
    }

    /// Every kernel of this processor, fastest first; the last is the scalar one.
    pub(super) fn available() -> impl Iterator<Item = Self> {
        vector_kernels().into_iter().flatten().chain([SCALAR])
    }

    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// `dst += factor * src`; panics when the lengths differ.
    #[inline]
    #[expect(unsafe_code, reason = "calls code compiled for processor features")]
    pub(super) fn mul_add(&self, dst: &mut [u8], src: &[u8], factor: u8) {
        assert_eq!(
            dst.len(),
            src.len(),
            "mul_add needs two strings of one length"
        );
        // SAFETY: a kernel is only made once its processor features were detected, and the lengths
        // were just compared.
        unsafe { (self.mul_add)(dst, src, factor) }
    }

    /// `dst += src`; panics when the lengths differ.
    #[inline]
    #[expect(unsafe_code, reason = "calls code compiled for processor features")]
    pub(super) fn add(&self, dst: &mut [u8], src: &[u8]) {
        assert_eq!(dst.len(), src.len(), "add needs two strings of one length");
        // SAFETY: as in `mul_add`.
        unsafe { (self.add)(dst, src) }
    }
}

const SCALAR: Kernel = Kernel {
    name: "scalar",
    mul_add: scalar::mul_add,
    add: scalar::add,
};

/// The vector kernels, fastest first, with a hole where the processor lacks a feature.
#[cfg(target_arch = "x86_64")]
fn vector_kernels() -> [Option<Kernel>; 3] {
    use std::arch::is_x86_feature_detected as detected;

    use super::x86;

    let avx2 = detected!("avx2");
    let gfni = avx2 && detected!("gfni");
    let avx512 = gfni && detected!("avx512f") && detected!("avx512bw");
    [
        avx512.then_some(Kernel {
            name: "gfni-avx512",
            mul_add: x86::mul_add_gfni_avx512,
            add: x86::add_avx512,
        }),
        gfni.then_some(Kernel {
            name: "gfni-avx2",
            mul_add: x86::mul_add_gfni_avx2,
            add: x86::add_avx2,
        }),
        avx2.then_some(Kernel {
            name: "avx2",
            mul_add: x86::mul_add_avx2,
            add: x86::add_avx2,
        }),
    ]
}

/// The vector kernels. NEON is part of every 64-bit Arm, but the promise above asks all the same.
#[cfg(target_arch = "aarch64")]
fn vector_kernels() -> [Option<Kernel>; 1] {
    use super::neon;

    let neon = std::arch::is_aarch64_feature_detected!("neon");
    [neon.then_some(Kernel {
        name: "neon",
        mul_add: neon::mul_add,
        add: scalar::add,
    })]
}

/// The vector kernels: none were written for this processor.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn vector_kernels() -> [Option<Kernel>; 0] {
    []
}
