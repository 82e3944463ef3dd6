//! An operator's text, whatever it is: reading it ends well, and figures come only from digits.
#![no_main]

use check_sim_credit::answer::{Options, Profile, Understanding, understand};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for terminated in [false, true] {
        if let Understanding::Certain(figures, _) =
            understand(text, terminated, &Options::default())
        {
            assert!(text.chars().any(char::is_numeric), "{figures:?}");
        }
    }
    // A profile is a file of the user's.
    let _ = Profile::parse(text);
});
