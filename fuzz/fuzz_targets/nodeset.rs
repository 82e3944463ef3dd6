//! Node sets as typed: what is understood is folded and understood alike.
#![no_main]

use grappe::nodeset::NodeSet;
use libfuzzer_sys::fuzz_target;

/// Names above which folding a set takes longer than the rest together.
const NAMES: usize = 10_000;

fuzz_target!(|text: &str| {
    let Ok(nodes) = NodeSet::parse(text) else {
        return;
    };
    assert!(!nodes.is_empty());
    if nodes.len() <= NAMES {
        assert_eq!(NodeSet::parse(&nodes.to_string()), Ok(nodes));
    }
});
