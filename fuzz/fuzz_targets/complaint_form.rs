//! Bare forms: ACNS XML and XARF JSON, whose places must lie in the text.
#![no_main]

use check_notice::extract;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for claim in extract::claims_of_document(text) {
        for fault in &claim.faults {
            assert!(fault.place.from <= fault.place.to && fault.place.to as usize <= text.len());
        }
        for event in &claim.events {
            if let Some(time) = &event.time {
                assert!(time.value.hull().is_some_and(|hull| hull.from <= hull.to));
            }
        }
    }
});
