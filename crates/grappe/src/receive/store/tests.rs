//! What stays of a copy that ends while its store still prepares.

use std::net::IpAddr;
use std::path::Path;

use grappe_proto::content::manifest::Manifest;
use grappe_proto::limits::{PROTOCOL_VERSION, SYMBOL_SIZE};
use grappe_proto::seal::Suite;
use grappe_proto::units::SessionId;

use super::*;
use crate::files::{Allowed, Source};
use crate::receive::notes;

const BLOCK: u64 = BLOCK_SIZE as u64;

/// A file of three blocks as it is sent.
fn source(folder: &Path) -> Source {
    let file = folder.join("file");
    std::fs::write(&file, vec![7; 3 * BLOCK_SIZE as usize]).unwrap();
    Source::open(&[file]).unwrap()
}

fn store(into: &Path, manifest: &Manifest) -> Store {
    let bytes = manifest.encode();
    let welcome = Welcome {
        version: PROTOCOL_VERSION,
        peer: 0,
        tag: 1,
        group: IpAddr::from([239, 255, 71, 1]),
        port: 1,
        report_port: 1,
        data_key: [0; 16],
        report_key: [0; 16],
        symbol_size: SYMBOL_SIZE,
        manifest_len: bytes.len() as u64,
        manifest_hash: *blake3::hash(&bytes).as_bytes(),
        content_bytes: manifest.total_bytes(),
        suite: Suite::Aes128Gcm,
    };
    let sink = Sink::open(into).unwrap().allowing(Allowed::default());
    let (out, _told) = notes::channel();
    let (outbox, _gone) = tokio::sync::mpsc::unbounded_channel();
    let store = Store::new(
        Arc::new(Destination::Directory(sink)),
        &welcome,
        out.of(SessionId([0; 16])),
        Agreement::new(outbox),
        Arc::default(),
    );
    assert!(store.take_manifest(bytes));
    store
}

/// Bytes that the store found, once it has prepared.
fn prepare(store: &Store) -> u64 {
    store.prepare().unwrap();
    let prepared = store.prepared().unwrap();
    let stored = prepared.stored.lock().unwrap();
    prepared.bytes(&stored)
}

#[test]
fn what_an_earlier_attempt_left_outlives_one_that_ends_while_it_prepares() {
    let (from, into) = (tempfile::TempDir::new(), tempfile::TempDir::new());
    let (from, into) = (from.unwrap(), into.unwrap());
    let source = source(from.path());

    let first = store(into.path(), source.manifest());
    assert_eq!(prepare(&first), 0);
    let content = first.prepared().unwrap().stream.content_blocks().start;
    let symbols = BLOCK_SIZE.div_ceil(SYMBOL_SIZE.into());
    let mut block = BlockBuffer {
        data: vec![7; symbols as usize * usize::from(SYMBOL_SIZE)],
        parities: Vec::new(),
    };
    let all = SymbolSet::first(symbols as u16);
    first.store(content, &all, &mut block).unwrap();
    assert_eq!(first.keep_for_later(), BLOCK);
    drop(first);

    let second = store(into.path(), source.manifest());
    assert_eq!(second.keep_for_later(), 0, "nothing is known yet");
    assert_eq!(prepare(&second), BLOCK);
    drop(second);

    let third = store(into.path(), source.manifest());
    assert_eq!(prepare(&third), BLOCK, "it is still there");
    drop(third);
    let fourth = store(into.path(), source.manifest());
    assert_eq!(prepare(&fourth), 0, "the third did not ask to keep it");
}
