//! What `grappe` asks of the kernel and of the processor: multicast sockets that move trains of
//! packets, files placed safely below a trusted directory, a precise clock, and GF(2^8) arithmetic.
//!
//! Every `unsafe` block of the product is in this crate. It knows nothing of the copy protocol: it
//! carries bytes, and never looks inside a packet. Linux only.

pub mod clock;
pub mod file;
pub mod gf;
pub mod signal;
pub mod udp;
