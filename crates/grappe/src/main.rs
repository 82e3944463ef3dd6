//! The `grappe` program.
fn main() {}
