//! Manifests of a hostile sender, and the geometry that follows from them.
#![no_main]

use grappe_fuzz::{Script, whole_stream};
use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::Manifest;
use grappe_proto::limits::BLOCK_SIZE;
use grappe_proto::units::BlockIndex;
use libfuzzer_sys::fuzz_target;

/// Blocks looked at; more are the same again.
const LOOKS: u32 = 200;

fuzz_target!(|bytes: &[u8]| {
    let Ok(manifest) = Manifest::decode(bytes) else {
        return;
    };
    assert_eq!(Manifest::decode(&manifest.encode()).as_ref(), Ok(&manifest));
    let layout = Layout::new(&manifest);
    let blocks = layout.block_count();
    let looks = (0..blocks.min(LOOKS)).chain(blocks.saturating_sub(LOOKS)..blocks);
    for block in looks {
        let len: u64 = layout.pieces(block).map(|piece| u64::from(piece.len)).sum();
        assert_eq!(len, u64::from(layout.block_len(block)));
        assert!((1..=u64::from(BLOCK_SIZE)).contains(&len));
    }
    for number in layout.piece_count().saturating_sub(LOOKS)..layout.piece_count() {
        let piece = layout.piece(number).expect("it is counted");
        assert!(layout.pieces(piece.block).any(|other| other == piece));
    }
    assert_eq!(layout.piece(layout.piece_count()), None);
    let Some(stream) = whole_stream(bytes.len() as u64, &manifest) else {
        return;
    };
    let mut script = Script::new(bytes);
    while !script.is_over() {
        let block = BlockIndex(script.near());
        assert_eq!(
            stream.place(block).is_some(),
            block.0 < stream.block_count()
        );
        assert!(
            stream
                .block_len(block)
                .is_none_or(|len| (1..=BLOCK_SIZE).contains(&len))
        );
    }
});
