//! Transcripts of the command line: help, and the errors whose text does not depend on the machine.
//!
//! `TRYCMD=overwrite cargo test --test cli` writes what the program says now into the transcripts.

#[test]
fn the_program_says_what_the_transcripts_say() {
    let transcripts = trycmd::TestCases::new();
    transcripts.register_bin("grappe", std::path::Path::new(env!("CARGO_BIN_EXE_grappe")));
    transcripts
        .env("HOME", "/nonexistent")
        .case("tests/cli/*.trycmd");
}
