//! What the machine's firmware says: ACPI's reset register, the UEFI boot order. Parsers of bytes in one
//! file each; `live.rs` alone reads this machine's. Plans and the program call it.

pub mod boot_option;
pub mod boot_order;
pub mod fadt;
pub mod live;
