//! Bytes from a modem: lines, decoding and reading end well, and what is told is within its bounds.
#![no_main]

use check_sim_credit::answer::{Options, Understanding, understand};
use check_sim_credit::ussd::{best_answer, gsm7, parse_cusd};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let lines = parse_cusd(bytes);
    assert!(lines.len() <= bytes.len());
    if let Ok((_, decoded)) = best_answer(bytes) {
        // The reader takes figures from the text alone: a text without a digit has none.
        let read = understand(&decoded.text, decoded.terminated, &Options::default());
        if matches!(read, Understanding::Certain(..)) {
            assert!(decoded.text.chars().any(char::is_numeric));
        }
    }
    let septets: Vec<u8> = bytes.iter().map(|byte| byte & 0x7f).collect();
    let unpacked = gsm7::unpack(&gsm7::pack(&septets));
    // Padding with a carriage return may add one, and a final one may go (3GPP TS 23.038, 6.1.2.3.1).
    assert!(unpacked.len() + 1 >= septets.len() && unpacked.len() <= septets.len() + 1);
});
