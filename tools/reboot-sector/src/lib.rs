//! `reboot-sector`: a node that fails to boot from the network tries again, for ever. A tiny program in
//! the boot sector of the unused local disk, last in the boot order, resets the machine.
//!
//! This library decides: bytes and facts in, plans and findings out. Only `device` and `firmware::live`
//! touch the world, and only the program's `cli` prints.

pub mod backup;
pub mod checksum;
pub mod device;
pub mod efi;
pub mod emulator;
pub mod firmware;
pub mod image;
pub mod loader;
pub mod plan;
pub mod report;
pub mod sector;
pub mod table;
