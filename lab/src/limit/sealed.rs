//! Bare multicast of which each packet is also sealed and opened, and each byte hashed at both ends: a plain program
//! that does what every encrypted and verified copy must.
//!
//! No protocol, and no security: everybody knows the key, and nobody compares the hashes. It shares no code with the
//! copy that it is held against.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use anyhow::{Result, anyhow};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::{Header, Intake, Missing, SEGMENT_BYTES, SEGMENTS_PER_TRAIN};

const TAG_BYTES: usize = 16;

pub(super) const PAYLOAD_BYTES: usize = SEGMENT_BYTES - Header::BYTES - TAG_BYTES;

/// About as many bytes as a block of grappe has: they are hashed and written together.
const SEGMENTS_PER_BLOCK: u32 = 181;
const BLOCK_BYTES: usize = SEGMENTS_PER_BLOCK as usize * PAYLOAD_BYTES;

/// Blocks that may lack segments: more do only where those got lost.
const OPEN_MAX: usize = 64;

/// What everybody knows.
fn key() -> Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_128_GCM, &[0; 16]);
    Ok(LessSafeKey::new(
        key.map_err(|_| anyhow!("no AES-128-GCM"))?,
    ))
}

fn nonce(index: u32) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[..4].copy_from_slice(&index.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// The sender's half: cuts a file into sealed segments.
pub(super) struct Sealer {
    key: LessSafeKey,
    plain: Vec<u8>,
    hasher: blake3::Hasher,
}

impl Sealer {
    pub(super) fn new() -> Result<Self> {
        Ok(Self {
            key: key()?,
            plain: vec![0; PAYLOAD_BYTES * SEGMENTS_PER_TRAIN],
            hasher: blake3::Hasher::new(),
        })
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
            let segment = &mut train[length..length + Header::BYTES + payload.len() + TAG_BYTES];
            let (header, sealed) = segment.split_at_mut(Header::BYTES);
            header.copy_from_slice(&Header { index, count }.emit());
            let (ciphertext, tag) = sealed.split_at_mut(payload.len());
            let aad = Aad::from(&*header);
            self.key
                .seal_out_of_place_scatter(nonce(index), aad, payload, ciphertext, &[], tag)
                .map_err(|_| anyhow!("segment {index} cannot be sealed"))?;
            length += segment.len();
        }
        Ok(length)
    }
}

/// The receiver's half: opens segments into blocks, hashes and writes whole blocks.
pub(super) struct Opener {
    key: LessSafeKey,
    file: File,
    received: Vec<bool>,
    blocks: BTreeMap<u32, Block>,
    /// Memory of blocks that were written.
    spare: Vec<Box<[u8]>>,
    hashes: Vec<blake3::Hash>,
}

/// A block that is not whole yet.
struct Block {
    memory: Box<[u8]>,
    /// Bytes up to the end of the last segment in it.
    len: usize,
    segments: u32,
}

impl Opener {
    pub(super) fn new(file: File) -> Result<Self> {
        Ok(Self {
            key: key()?,
            file,
            received: Vec::new(),
            blocks: BTreeMap::new(),
            spare: Vec::new(),
            hashes: Vec::new(),
        })
    }

    fn take_segment(&mut self, header: Header, segment: &[u8]) -> Result<()> {
        let index = header.index;
        let number = index / SEGMENTS_PER_BLOCK;
        let Some(false) = self.received.get(index as usize) else {
            return Ok(()); // not of this copy, or again
        };
        let (header_bytes, sealed) = segment.split_at(Header::BYTES);
        let Some((ciphertext, tag)) = sealed.split_last_chunk::<TAG_BYTES>() else {
            return Ok(());
        };
        if self.blocks.len() > OPEN_MAX {
            // This try loses packets, and is over as it is.
            self.blocks.pop_first();
        }
        let spare = &mut self.spare;
        let block = self.blocks.entry(number).or_insert_with(|| Block {
            memory: (spare.pop()).unwrap_or_else(|| vec![0; BLOCK_BYTES].into_boxed_slice()),
            len: 0,
            segments: 0,
        });
        let start = (index % SEGMENTS_PER_BLOCK) as usize * PAYLOAD_BYTES;
        let end = start + ciphertext.len();
        let Some(body) = block.memory.get_mut(start..end) else {
            return Ok(()); // longer than a segment
        };
        let (aad, key) = (Aad::from(header_bytes), &self.key);
        if (key.open_separate_gather(nonce(index), aad, ciphertext, tag, body)).is_err() {
            return Ok(());
        }
        self.received[index as usize] = true;
        block.len = block.len.max(end);
        block.segments += 1;
        let first = number * SEGMENTS_PER_BLOCK;
        if block.segments < SEGMENTS_PER_BLOCK.min(header.count - first) {
            return Ok(());
        }
        if let Some(whole) = self.blocks.remove(&number) {
            let bytes = &whole.memory[..whole.len];
            self.hashes.push(blake3::hash(bytes));
            let offset = u64::from(first) * PAYLOAD_BYTES as u64;
            self.file.write_all_at(bytes, offset)?;
            self.spare.push(whole.memory);
        }
        Ok(())
    }
}

impl Intake for Opener {
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
        let (mut sealer, mut file) = (Sealer::new().unwrap(), File::open(&path).unwrap());
        let mut segments = Vec::new();
        while segments.len() < count as usize {
            let mut train = vec![0; SEGMENT_BYTES * SEGMENTS_PER_TRAIN];
            let first = segments.len() as u32;
            let length = sealer.fill(&mut train, &mut file, first, count).unwrap();
            segments.extend(train[..length].chunks(SEGMENT_BYTES).map(<[u8]>::to_vec));
        }
        let copy = folder.path().join("copy");
        let mut opener = Opener::new(File::create(&copy).unwrap()).unwrap();
        let mut forged = segments[7].clone();
        forged[100] ^= 1;
        opener.take(&forged, SEGMENT_BYTES).unwrap();
        assert_eq!(opener.missing().missing, u64::from(count));
        for segment in segments.iter().rev().chain(&segments[..2]) {
            assert!(!opener.take(segment, SEGMENT_BYTES).unwrap());
        }
        assert_eq!(opener.missing().missing, 0);
        let original = std::fs::read(&path).unwrap();
        // The blocks were whole from the last to the first.
        let blocks = original.chunks(BLOCK_BYTES).rev();
        assert_eq!(opener.hashes, blocks.map(blake3::hash).collect::<Vec<_>>());
        assert_eq!(sealer.hasher.finalize(), blake3::hash(&original));
        assert!(std::fs::read(&copy).unwrap() == original);
    }
}
