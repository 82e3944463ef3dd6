//! Every kernel of this processor against the definition of the field, over all factors, awkward
//! lengths and awkward alignments. On a machine without vector kernels only the scalar one is tried.

use proptest::prelude::*;

use super::{kernel::Kernel, *};

/// The definition, one byte at a time, sharing nothing with the kernels but `multiply`.
fn expected(dst: &[u8], src: &[u8], factor: u8) -> Vec<u8> {
    dst.iter()
        .zip(src)
        .map(|(to, from)| to ^ multiply(*from, factor))
        .collect()
}

/// Bytes that differ from their neighbours and go through all 256 values.
fn pattern(length: usize, seed: u8) -> Vec<u8> {
    (0..length)
        .map(|index| (index as u8).wrapping_mul(167).wrapping_add(seed))
        .collect()
}

#[test]
fn multiplies_as_the_aes_standard_says() {
    // FIPS 197, section 4.2.
    assert_eq!(multiply(0x57, 0x83), 0xC1);
    assert_eq!(multiply(0x57, 0x13), 0xFE);
    assert_eq!(multiply(1, 0xA5), 0xA5);
    assert_eq!(multiply(0, 0xA5), 0);
}

#[test]
fn every_element_but_zero_has_an_inverse() {
    for element in 1..=u8::MAX {
        assert_eq!(
            (1..=u8::MAX)
                .filter(|other| multiply(element, *other) == 1)
                .count(),
            1
        );
    }
}

#[test]
fn every_kernel_agrees_for_all_factors_and_all_short_lengths() {
    for kernel in Kernel::available() {
        for factor in 0..=u8::MAX {
            for length in (0..=131).chain([255, 256, 257, 1433]) {
                let (mut dst, src) = (pattern(length, 3), pattern(length, factor));
                let wanted = expected(&dst, &src, factor);
                kernel.mul_add(&mut dst, &src, factor);
                assert_eq!(dst, wanted, "{} x{factor} over {length}", kernel.name());
            }
        }
    }
}

#[test]
fn the_public_door_agrees_for_the_short_cut_factors() {
    for factor in [0, 1, 2, 255] {
        let (mut dst, src) = (pattern(100, 1), pattern(100, 2));
        let wanted = expected(&dst, &src, factor);
        mul_add(&mut dst, &src, factor);
        assert_eq!(dst, wanted);
    }
}

#[test]
fn the_fastest_kernel_comes_first_and_the_scalar_one_last() {
    assert_eq!(
        Kernel::available().next().map(|kernel| kernel.name()),
        Some(kernel_name())
    );
    assert_eq!(
        Kernel::available().last().map(|kernel| kernel.name()),
        Some("scalar")
    );
}

#[test]
#[should_panic(expected = "one length")]
fn unequal_lengths_are_refused_even_for_factor_zero() {
    mul_add(&mut [0; 3], &[0; 4], 0);
}

proptest! {
    #[test]
    fn every_kernel_agrees_at_any_alignment_and_touches_nothing_else(
        bytes in proptest::collection::vec(any::<u8>(), 0..3000),
        dst_offset in 0_usize..70,
        src_offset in 0_usize..70,
        factor: u8,
    ) {
        for kernel in Kernel::available() {
            let length = bytes.len().saturating_sub(dst_offset.max(src_offset) + 7);
            let Some(src) = bytes.get(src_offset..src_offset + length) else { continue };
            if dst_offset + length > bytes.len() { continue }
            let mut whole = bytes.clone();
            whole.reverse();
            let before = whole.clone();

            kernel.mul_add(&mut whole[dst_offset..dst_offset + length], src, factor);

            let (head, rest) = before.split_at(dst_offset);
            let (middle, tail) = rest.split_at(length);
            let wanted = [head, &expected(middle, src, factor), tail].concat();
            prop_assert_eq!(&whole, &wanted, "{}", kernel.name());

            kernel.add(&mut whole[dst_offset..dst_offset + length], src);
            let both = expected(&wanted[dst_offset..dst_offset + length], src, 1);
            prop_assert_eq!(&whole[dst_offset..dst_offset + length], &both[..]);
        }
    }
}
