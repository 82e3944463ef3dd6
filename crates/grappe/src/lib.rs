//! `grappe` as a library: sending a copy, receiving copies, and what both need.
//!
//! It acts on the decisions of `grappe-proto` with the kernel access of `grappe-os`. It never prints,
//! reads the environment or exits: values, events and errors go to the caller, which is the program
//! in `main.rs` and `cli`.

// Its tests say what they skip.
#![cfg_attr(
    not(test),
    deny(clippy::print_stdout, clippy::print_stderr, clippy::exit)
)]

pub mod announce;
pub mod control;
mod copy_hash;
pub mod doctor;
pub mod files;
pub mod gather;
mod gf_kernel;
pub mod launch;
pub mod network;
pub mod nodeset;
mod pipeline;
pub mod receive;
pub mod send;
pub mod trust;
