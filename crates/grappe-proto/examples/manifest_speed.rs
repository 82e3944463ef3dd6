//! How long the manifest of a million entries takes to encode, decode and lay out in blocks.
//!
//! Run it as `cargo run --release --example manifest_speed -p grappe-proto`. Not a test: it judges no
//! figure. Names are in order in one round and far from it in the other, as prefixes are shared.

use std::time::Instant;

use grappe_proto::content::layout::Layout;
use grappe_proto::content::manifest::{Entry, Kind, Manifest, ManifestError};

const FOLDERS: u64 = 1000;
const FILES_PER_FOLDER: u64 = 999;

fn main() -> Result<(), ManifestError> {
    let entries = entries();
    let mut shuffled = entries.clone();
    // Directories first, then files in an order far from that of names.
    shuffled.sort_by_key(|entry| match entry.kind {
        Kind::Directory => 0,
        _ => 1 + u32::from(blake3::hash(&entry.path).as_bytes()[0]),
    });
    measure(
        "by name",
        Manifest {
            entries,
            ..Manifest::default()
        },
    )?;
    measure(
        "shuffled",
        Manifest {
            entries: shuffled,
            ..Manifest::default()
        },
    )
}

fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    for folder in 0..FOLDERS {
        let folder = format!("results-{folder:04}");
        entries.push(entry(folder.clone(), Kind::Directory));
        for number in 0..FILES_PER_FOLDER {
            let path = format!("{folder}/simulation-output-{number:06}.dat");
            let size = 4096 + number;
            entries.push(entry(path, Kind::File { size }));
        }
    }
    entries
}

fn entry(path: String, kind: Kind) -> Entry {
    Entry {
        path: path.into_bytes(),
        kind,
        mode: 0o644,
        mtime: (1_700_000_000, 5),
        ..Entry::default()
    }
}

fn measure(order: &str, manifest: Manifest) -> Result<(), ManifestError> {
    let start = now();
    let bytes = manifest.encode();
    let encoding = start.elapsed();
    let start = now();
    let decoded = Manifest::decode(&bytes)?;
    let decoding = start.elapsed();
    assert!(decoded == manifest, "the way back leads elsewhere");
    let start = now();
    let blocks = Layout::new(&manifest).block_count();
    println!(
        "{order}: {} bytes, encode {encoding:?}, decode {decoding:?}, layout of {blocks} blocks {:?}",
        bytes.len(),
        start.elapsed(),
    );
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a measurement needs the clock; the code has none"
)]
fn now() -> Instant {
    Instant::now()
}
