//! The sector on real firmware and the program on real disks: QEMU, OVMF, loop devices, partitioning tools.
//! A test that cannot run here says so and passes. Processes are started here and end with the test.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod console;
mod devices;
mod guest;
mod killed;
mod machines;
mod network;
mod parts;
mod skip;
mod tables;
mod uefi;
