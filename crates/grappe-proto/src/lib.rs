//! The copy protocol of `grappe`, as pure state machines.
//!
//! This crate thinks and does nothing else: no clock, no socket, no file, no thread, no unseeded
//! randomness. Time, datagrams and finished jobs come in as arguments; what is to be done goes out
//! as values. It is driven by the `grappe` crate on real machines and by `grappe-sim` in a simulated
//! cluster.
//!
//! # The contract
//!
//! A machine ([`sender::Sender`], [`receiver::Receiver`]) has one door: call `handle(input, now)`,
//! then call `poll(now)` until it answers with the instant at which it wants to be polled again.
//! Payload bytes do not travel through the machines: they deal in coordinates (block, symbol), and
//! reading, sealing, hashing, parity and writing are jobs that the driver carries out.
#![forbid(unsafe_code)]

pub mod content;
pub mod fec;
pub mod gather;
pub mod limits;
pub mod rate;
pub mod receiver;
pub mod repair;
pub mod seal;
pub mod sender;
pub mod session;
pub mod units;
pub mod wire;
