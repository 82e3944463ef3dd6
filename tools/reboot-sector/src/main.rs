//! The program `reboot-sector`.

fn main() {}
