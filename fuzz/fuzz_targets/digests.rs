//! Digest objects of a hostile sender.
#![no_main]

use grappe_fuzz::Script;
use grappe_proto::content::digest::Digests;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut script = Script::new(bytes);
    let (pieces, entries) = (script.near(), script.near());
    let bytes = script.bytes(usize::MAX);
    if let Ok(digests) = Digests::decode(bytes, pieces, entries) {
        assert_eq!(
            (digests.pieces.len(), digests.states.len()),
            (pieces as usize, entries as usize)
        );
        assert_eq!(digests.encode(), bytes);
    }
});
