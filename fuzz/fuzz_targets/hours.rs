//! Points in time in text: what is found lies in the text and means something.
#![no_main]

use check_notice::time::{find, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for (range, when) in find(text, 50) {
        assert!(text.get(range).is_some());
        let meanings = when.meanings();
        assert!(meanings.windows(2).all(|pair| pair[0].to < pair[1].from));
    }
    if let Some((_, taken)) = read(text) {
        assert!(taken <= text.len());
    }
});
