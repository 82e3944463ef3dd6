//! How things are printed: results on standard output, notes on standard error, and differences as hex and
//! disassembly. It decides nothing.

use std::fmt::Write as _;
use std::io::Write as _;

use iced_x86::{Decoder, DecoderOptions, Formatter as _, NasmFormatter};
use reboot_sector::plan::Plan;
use reboot_sector::sector::layout::{BASE, CODE_LEN, INSTRUCTIONS, SETTINGS};

/// Prints to standard output. A reader that went away is no failure.
pub(crate) fn out(text: &str) {
    let _reader_may_be_gone = std::io::stdout().write_all(text.as_bytes());
}

/// Prints a note to standard error.
pub(crate) fn note(text: &str) {
    let _reader_may_be_gone = writeln!(std::io::stderr(), "note: {text}");
}

/// What a plan changes: lines of 16 bytes, old and new, and the instructions, old and new.
pub(crate) fn difference(plan: &Plan) -> String {
    let mut text = String::new();
    let lines = plan.old.chunks(16).zip(plan.new.chunks(16)).enumerate();
    for (index, (old, new)) in lines.filter(|(_, (old, new))| old != new) {
        let at = index * 16;
        let _a_string_takes_all =
            writeln!(text, "{at:03x} - {}\n{at:03x} + {}", hex(old), hex(new));
    }
    if text.is_empty() {
        return "nothing would change\n".to_owned();
    }
    let is_code = |sector: &[u8]| sector.iter().take(CODE_LEN).any(|byte| *byte != 0);
    for (title, sector) in [("old", &plan.old), ("new", &plan.new)] {
        if plan.old[..CODE_LEN] != plan.new[..CODE_LEN] && is_code(sector) {
            text += &format!("\nthe {title} instructions:\n{}", disassembly(sector));
        }
    }
    text
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02x} "))
        .collect::<String>()
        .trim_end()
        .to_owned()
}

/// 16-bit instructions of our code, or of other code from its start.
pub(crate) fn disassembly(sector: &[u8]) -> String {
    let ours = sector.get(SETTINGS..SETTINGS + 4) == Some(b"RbSe");
    let range = if ours { INSTRUCTIONS..SETTINGS } else { 0..440 };
    let code = sector.get(range.clone()).unwrap_or_default();
    // Code of others: the zeros behind it are no instructions.
    let end = code.iter().rposition(|byte| *byte != 0);
    let code = &code[..end.map_or(0, |last| last + 1)];
    let from = u64::from(BASE) + range.start as u64;
    let mut decoder = Decoder::with_ip(16, code, from, DecoderOptions::NONE);
    let mut formatter = NasmFormatter::new();
    let mut text = String::new();
    while decoder.can_decode() {
        let instruction = decoder.decode();
        let at = usize::try_from(instruction.ip() - from).unwrap_or(0);
        let bytes = code.get(at..at + instruction.len()).unwrap_or_default();
        let mut words = String::new();
        formatter.format(&instruction, &mut words);
        let _a_string_takes_all =
            writeln!(text, "{:04x}  {:<20} {words}", instruction.ip(), hex(bytes));
    }
    text
}
