//! Multicast sockets, of IPv4 and IPv6, that move trains of equal packets in one system call.
//!
//! A train is one buffer that the kernel cuts into packets on the way out (`UDP_SEGMENT`) and joins
//! again on the way in (`UDP_GRO`), so that a 10 Gbit/s stream costs thousands of system calls a
//! second and not a million. No pacing, no sealing and no meaning of a packet here.

mod interface;
mod message;
mod options;
mod receiver;
mod sender;
#[cfg(test)]
mod tests;

pub use self::{
    interface::{Family, Interface, InterfaceError},
    receiver::{MulticastReceiver, ReceiverOptions, Train, Wait},
    sender::{MulticastSender, SendOutcome, SenderOptions},
};

/// Most packets in one train: `UDP_MAX_SEGMENTS` of Linux before 6.9, when it became 128.
pub const TRAIN_SEGMENTS_MAX: usize = 64;

/// Most bytes in one train: the largest UDP payload over IPv4, which also bounds a whole train. Over IPv6
/// a few more would fit.
///
/// Above about 65,480 the train with its headers no longer fits the usual `gso_max_size` of 65,536
/// bytes: the kernel then cuts it before the interface, which is right but slow.
pub const TRAIN_BYTES_MAX: usize = 65_507;
