//! The limit of a copy that is sealed and hashed: what bare multicast reaches when each packet is also sealed and
//! opened, and each block hashed at both ends.
//!
//! No protocol, and no security: everybody knows the key, and nobody compares the hashes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use anyhow::Result;
use grappe_proto::seal::{KEY_LEN, SealKey, Suite};
use grappe_proto::wire::data::TAG_LEN;

use super::{Header, Missing, SEGMENT_BYTES, SEGMENTS_PER_TRAIN, Taker};

pub(super) const PAYLOAD_BYTES: usize = SEGMENT_BYTES - Header::BYTES - TAG_LEN;

/// About as many bytes as a block of grappe has: they are hashed and written together.
const SEGMENTS_PER_BLOCK: u32 = 181;

const SEALER: u32 = 1;

fn key() -> SealKey {
    SealKey::new(Suite::Aes128Gcm, &[0; KEY_LEN])
}

/// The sender's half: cuts a file into sealed segments.
pub(super) struct Sealer {
    key: SealKey,
    plain: Vec<u8>,
    hasher: blake3::Hasher,
}

impl Sealer {
    pub(super) fn new() -> Self {
        Self {
            key: key(),
            plain: vec![0; PAYLOAD_BYTES * SEGMENTS_PER_TRAIN],
            hasher: blake3::Hasher::new(),
        }
    }

    /// Fills `train` with what is left of `file`, from segment `first` of `count` on; answers its bytes.
    pub(super) fn fill(
        &mut self,
        train: &mut [u8],
        file: &mut File,
        first: u32,
        count: u32,
    ) -> Result<usize> {
        let mut read = 0;
        while read < self.plain.len() {
            match file.read(&mut self.plain[read..])? {
                0 => break,
                more => read += more,
            }
        }
        let plain = &self.plain[..read];
        self.hasher.update(plain);
        let mut length = 0;
        for (index, payload) in (first..count).zip(plain.chunks(PAYLOAD_BYTES)) {
            let segment = &mut train[length..length + Header::BYTES + payload.len() + TAG_LEN];
            let (header, sealed) = segment.split_at_mut(Header::BYTES);
            header.copy_from_slice(&Header { index, count }.emit());
            self.key
                .seal_record((SEALER, index.into()), header, payload, sealed);
            length += segment.len();
        }
        Ok(length)
    }
}

/// The receiver's half: opens segments into blocks, hashes and writes whole blocks.
pub(super) struct Opener {
    key: SealKey,
    file: File,
    received: Vec<bool>,
    blocks: BTreeMap<u32, Block>,
    spare: Vec<Vec<u8>>,
    hashes: Vec<blake3::Hash>,
}

/// A block that is not whole yet.
struct Block {
    bytes: Vec<u8>,
    segments: u32,
}

impl Opener {
    pub(super) fn new(file: File) -> Self {
        Self {
            key: key(),
            file,
            received: Vec::new(),
            blocks: BTreeMap::new(),
            spare: Vec::new(),
            hashes: Vec::new(),
        }
    }

    fn take_segment(&mut self, header: Header, segment: &[u8]) -> Result<()> {
        let index = header.index;
        let number = index / SEGMENTS_PER_BLOCK;
        let Some(false) = self.received.get(index as usize) else {
            return Ok(()); // not of this copy, or again
        };
        let spare = &mut self.spare;
        let block = self.blocks.entry(number).or_insert_with(|| Block {
            bytes: spare.pop().unwrap_or_default(),
            segments: 0,
        });
        let (header_bytes, sealed) = segment.split_at(Header::BYTES);
        let start = (index % SEGMENTS_PER_BLOCK) as usize * PAYLOAD_BYTES;
        let end = start + sealed.len().saturating_sub(TAG_LEN);
        if block.bytes.len() < end {
            block.bytes.resize(end, 0);
        }
        let body = &mut block.bytes[start..end];
        let opened = self
            .key
            .open_record((SEALER, index.into()), header_bytes, sealed, body);
        if opened.is_err() {
            return Ok(());
        }
        self.received[index as usize] = true;
        block.segments += 1;
        let first = number * SEGMENTS_PER_BLOCK;
        if block.segments < SEGMENTS_PER_BLOCK.min(header.count - first) {
            return Ok(());
        }
        if let Some(mut whole) = self.blocks.remove(&number) {
            self.hashes.push(blake3::hash(&whole.bytes));
            let offset = u64::from(first) * PAYLOAD_BYTES as u64;
            self.file.write_all_at(&whole.bytes, offset)?;
            whole.bytes.clear();
            self.spare.push(whole.bytes);
        }
        Ok(())
    }
}

impl Taker for Opener {
    fn take(&mut self, train: &[u8], segment_size: usize) -> Result<bool> {
        let mut is_end = false;
        for segment in train.chunks(segment_size) {
            let Some((header, _)) = Header::parse(segment) else {
                continue;
            };
            if self.received.is_empty() {
                self.received.resize(header.count as usize, false);
            }
            if header.index == Header::END {
                is_end = true;
            } else {
                self.take_segment(header, segment)?;
            }
        }
        Ok(is_end)
    }

    fn missing(&self) -> Missing {
        Missing::of(&self.received)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content;

    #[test]
    fn what_was_sealed_arrives_in_any_order_and_what_was_changed_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        // A whole block and a little, the last segment short.
        let count = SEGMENTS_PER_BLOCK + 3;
        let bytes = (count as usize - 1) * PAYLOAD_BYTES + 10;
        content::create(&path, bytes as u64, 1).unwrap();
        let (mut sealer, mut file) = (Sealer::new(), File::open(&path).unwrap());
        let mut segments = Vec::new();
        while segments.len() < count as usize {
            let mut train = vec![0; SEGMENT_BYTES * SEGMENTS_PER_TRAIN];
            let first = segments.len() as u32;
            let length = sealer.fill(&mut train, &mut file, first, count).unwrap();
            segments.extend(train[..length].chunks(SEGMENT_BYTES).map(<[u8]>::to_vec));
        }
        let copy = folder.path().join("copy");
        let mut opener = Opener::new(File::create(&copy).unwrap());
        let mut forged = segments[7].clone();
        forged[100] ^= 1;
        opener.take(&forged, SEGMENT_BYTES).unwrap();
        assert_eq!(opener.missing().missing, u64::from(count));
        for segment in segments.iter().rev().chain(&segments[..2]) {
            assert!(!opener.take(segment, SEGMENT_BYTES).unwrap());
        }
        assert_eq!(opener.missing().missing, 0);
        assert_eq!(opener.hashes.len(), 2);
        assert!(std::fs::read(&copy).unwrap() == std::fs::read(&path).unwrap());
    }
}
