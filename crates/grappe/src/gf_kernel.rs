//! Lends the processor's fastest GF(2^8) multiplication to the parity code of `grappe-proto`, which
//! may not contain unsafe code itself.

use grappe_os::gf;
use grappe_proto::fec::Kernel;

/// The kernel of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MachineKernel;

impl Kernel for MachineKernel {
    fn mul_add(&self, dst: &mut [u8], src: &[u8], factor: u8) {
        let len = dst.len().min(src.len());
        gf::mul_add(&mut dst[..len], &src[..len], factor);
    }

    fn add(&self, dst: &mut [u8], src: &[u8]) {
        let len = dst.len().min(src.len());
        gf::add(&mut dst[..len], &src[..len]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grappe_proto::fec::ScalarKernel;

    #[test]
    fn agrees_with_the_field_of_the_protocol() {
        let src: Vec<u8> = (0..=255).collect();
        for factor in 0..=255 {
            let (mut left, mut right) = (vec![7; 256], vec![7; 256]);
            MachineKernel.mul_add(&mut left, &src, factor);
            ScalarKernel.mul_add(&mut right, &src, factor);
            assert_eq!(left, right, "factor {factor}");
        }
    }
}
