//! Assembles `boot.S` and compares it with the template that ships; tests only, so that no assembler is
//! needed to build the program. With GRAPPE_BLESS=1 the template is written anew instead.

use std::slice;

use super::layout::CODE_LEN;
use super::settings::TEMPLATE;

std::arch::global_asm!(
    ".pushsection .rodata.reboot_sector_boot, \"a\"",
    ".globl reboot_sector_boot",
    "reboot_sector_boot:",
    ".set start_offset, 0",
    ".code16",
    include_str!("boot.S"),
    ".code64",
    ".popsection",
    options(att_syntax)
);

unsafe extern "C" {
    static reboot_sector_boot: u8;
}

fn assembled() -> &'static [u8] {
    // SAFETY: the assembly ends with `.org 424` from this label, in read-only data that is never freed.
    unsafe { slice::from_raw_parts(&raw const reboot_sector_boot, CODE_LEN) }
}

#[test]
fn the_template_is_what_the_source_assembles_to() {
    if std::env::var_os("GRAPPE_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sector/template.bin");
        std::fs::write(path, assembled()).expect("the template can be written");
        return;
    }
    assert!(
        assembled() == TEMPLATE,
        "boot.S changed: run this test with GRAPPE_BLESS=1"
    );
}
