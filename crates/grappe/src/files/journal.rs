//! The journal of a staging folder: which blocks are stored, with the hashes of their pieces, so that a
//! receiver that was killed, or lost its sender, goes on where it was.
//!
//! A record is appended after its block was written. What a killed process wrote stays in the kernel's
//! memory, so that records are true as long as the machine runs; after a start of the machine nothing
//! is believed that does not hash to what its record says. No record decides what is placed: the
//! sender's hashes do.
//!
//! The file: [`MAGIC`], the manifest's hash (32 bytes), the identifier of the machine's start (36 bytes,
//! `/proc/sys/kernel/random/boot_id`, proc(5)); then records, each of a block (4 bytes, little-endian),
//! a number of pieces (2 bytes, little-endian), as many hashes (32 bytes) and the first 4 bytes of the
//! BLAKE3 hash of all before in the record. A record without hashes takes back those before it of its
//! block, which is about to be written again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use grappe_os::file::{Access, Directory};
use grappe_proto::content::block_set::BlockSet;
use grappe_proto::content::layout::Layout;
use grappe_proto::units::{BlockIndex, Digest};

pub(super) const NAME: &[u8] = b"journal";

/// Written whole beside the old one, then renamed.
const NEW_NAME: &[u8] = b"journal.new";

const MAGIC: &[u8] = b"grappe journal 1\n";
const BOOT_LEN: usize = 36;
const HEAD_LEN: usize = MAGIC.len() + 32 + BOOT_LEN;
const CHECK_LEN: usize = 4;

/// What a journal says: for each stored block the hashes of its pieces, in their order in the block.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) blocks: BTreeMap<u32, Vec<Digest>>,
    /// Whether the machine has run since they were written.
    pub(super) same_boot: bool,
}

/// A journal that is being written.
#[derive(Debug)]
pub(super) struct Journal {
    written: Mutex<Written>,
}

#[derive(Debug)]
struct Written {
    /// None once the copy is being placed.
    file: Option<File>,
    end: u64,
    /// The blocks that have a record.
    blocks: BlockSet,
}

impl Journal {
    /// Begins a journal with `blocks`, in place of the one that is there.
    pub(super) fn begin(
        staging: &Directory,
        manifest_hash: Digest,
        blocks: &BTreeMap<u32, Vec<Digest>>,
    ) -> io::Result<Self> {
        let mut bytes = head(manifest_hash, boot());
        for (block, digests) in blocks {
            bytes.extend(record(*block, digests));
        }
        match staging.remove_file(NEW_NAME) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let file = staging.create_exclusive(NEW_NAME, 0o600)?;
        file.write_all_at(&bytes, 0)?;
        staging.rename_into(NEW_NAME, staging, NAME)?;
        let mut recorded = BlockSet::new();
        for block in blocks.keys() {
            recorded.insert(BlockIndex(*block));
        }
        Ok(Self {
            written: Mutex::new(Written {
                file: Some(file),
                end: bytes.len() as u64,
                blocks: recorded,
            }),
        })
    }

    /// To be called before `block` is written: what is said of its bytes is not true any more.
    pub(super) fn take_back(&self, block: u32) -> io::Result<()> {
        let mut written = self.lock();
        if !written.blocks.contains(BlockIndex(block)) {
            return Ok(());
        }
        written.append(&record(block, &[]))?;
        written.blocks.remove(BlockIndex(block));
        Ok(())
    }

    /// Notes that `block` is stored.
    pub(super) fn add(&self, block: u32, digests: &[(u32, Digest)]) -> io::Result<()> {
        let digests: Vec<Digest> = digests.iter().map(|(_, digest)| *digest).collect();
        let mut written = self.lock();
        written.append(&record(block, &digests))?;
        written.blocks.insert(BlockIndex(block));
        Ok(())
    }

    /// Writes no more, so that the file can go: where a removed file keeps a name while it is open (NFS, FUSE),
    /// its folder could not.
    pub(super) fn close(&self) {
        self.lock().file = None;
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Written {
    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let Some(file) = &self.file else {
            return Err(io::Error::other("the copy is being placed already"));
        };
        file.write_all_at(record, self.end)?;
        self.end += record.len() as u64;
        Ok(())
    }
}

/// Reads the journal of `staging`, if it is of a copy of that manifest.
pub(super) fn read(
    staging: &Directory,
    manifest_hash: Digest,
    layout: &Layout,
) -> io::Result<Option<Records>> {
    let mut bytes = Vec::new();
    match staging.open_file(NAME, Access::Read) {
        Ok(mut file) => file.read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    Ok(parse(&bytes, manifest_hash, layout, boot()))
}

/// Reads records up to the first that is torn or does not fit the copy.
fn parse(
    bytes: &[u8],
    manifest_hash: Digest,
    layout: &Layout,
    boot: [u8; BOOT_LEN],
) -> Option<Records> {
    let (head_found, mut rest) = bytes.split_at_checked(HEAD_LEN)?;
    let (copy_found, boot_found) = head_found.split_at(HEAD_LEN - BOOT_LEN);
    let head_wanted = head(manifest_hash, boot);
    if !head_wanted.starts_with(copy_found) {
        return None;
    }
    let mut records = Records {
        blocks: BTreeMap::new(),
        same_boot: boot_found == boot && boot != [0; BOOT_LEN],
    };
    while let Some((block, digests, after)) = read_record(rest) {
        rest = after;
        if digests.is_empty() {
            records.blocks.remove(&block);
            continue;
        }
        if digests.len() != layout.pieces(block).count() {
            break;
        }
        // A block that was stored again counts as it was last.
        records.blocks.insert(block, digests);
    }
    Some(records)
}

fn read_record(bytes: &[u8]) -> Option<(u32, Vec<Digest>, &[u8])> {
    let (block, rest) = bytes.split_first_chunk::<4>()?;
    let (count, rest) = rest.split_first_chunk::<2>()?;
    let count = usize::from(u16::from_le_bytes(*count));
    let (digests, rest) = rest.split_at_checked(32 * count)?;
    let (check, rest) = rest.split_first_chunk::<CHECK_LEN>()?;
    let body = bytes.get(..4 + 2 + 32 * count)?;
    if check_of(body) != *check {
        return None;
    }
    let digests = digests.as_chunks::<32>().0.iter();
    let digests = digests.map(|digest| Digest(*digest)).collect();
    Some((u32::from_le_bytes(*block), digests, rest))
}

fn record(block: u32, digests: &[Digest]) -> Vec<u8> {
    let count = u16::try_from(digests.len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::with_capacity(4 + 2 + 32 * digests.len() + CHECK_LEN);
    bytes.extend(block.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    for digest in digests.iter().take(count.into()) {
        bytes.extend(digest.0);
    }
    let check = check_of(&bytes);
    bytes.extend(check);
    bytes
}

fn check_of(bytes: &[u8]) -> [u8; CHECK_LEN] {
    let hash = blake3::hash(bytes);
    *hash.as_bytes().first_chunk().unwrap_or(&[0; CHECK_LEN])
}

fn head(manifest_hash: Digest, boot: [u8; BOOT_LEN]) -> Vec<u8> {
    [MAGIC, &manifest_hash.0, &boot].concat()
}

/// This start of the machine; zeros when the kernel does not say, which are equal to nothing.
fn boot() -> [u8; BOOT_LEN] {
    let text = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    *text.first_chunk().unwrap_or(&[0; BOOT_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;
    use grappe_proto::content::manifest::{Entry, Kind, Manifest};
    use proptest::prelude::*;

    const HASH: Digest = Digest([3; 32]);
    const BOOT: [u8; BOOT_LEN] = [b'a'; BOOT_LEN];

    /// Five full blocks of one piece each.
    fn layout() -> Layout {
        let size = 5 * u64::from(grappe_proto::limits::BLOCK_SIZE);
        Layout::new(&Manifest {
            entries: vec![Entry {
                path: b"file".to_vec(),
                kind: Kind::File { size },
                mode: 0o644,
                mtime: (0, 0),
                ..Entry::default()
            }],
            ..Manifest::default()
        })
    }

    fn written(blocks: &[u32]) -> Vec<u8> {
        let records = blocks
            .iter()
            .flat_map(|block| record(*block, &[Digest([*block as u8; 32])]));
        head(HASH, BOOT).into_iter().chain(records).collect()
    }

    fn blocks(records: &Records) -> Vec<u32> {
        records.blocks.keys().copied().collect()
    }

    #[test]
    fn what_was_written_is_read_and_another_copy_is_not() {
        let bytes = written(&[4, 0, 2]);
        let records = parse(&bytes, HASH, &layout(), BOOT).unwrap();
        assert_eq!(blocks(&records), [0, 2, 4]);
        assert_eq!(records.blocks[&4], [Digest([4; 32])]);
        assert!(records.same_boot);
        let other_boot = parse(&bytes, HASH, &layout(), [b'b'; BOOT_LEN]).unwrap();
        assert!(!other_boot.same_boot);
        assert_eq!(parse(&bytes, Digest([4; 32]), &layout(), BOOT), None);
        let unknown = head(HASH, [0; BOOT_LEN]);
        let unknown = parse(&unknown, HASH, &layout(), [0; BOOT_LEN]).unwrap();
        assert!(!unknown.same_boot);
    }

    #[test]
    fn what_was_taken_back_is_not_there_until_it_is_written_again() {
        let mut bytes = written(&[1, 2]);
        bytes.extend(record(1, &[]));
        let records = parse(&bytes, HASH, &layout(), BOOT).unwrap();
        assert_eq!(blocks(&records), [2]);
        bytes.extend(record(1, &[Digest([9; 32])]));
        let records = parse(&bytes, HASH, &layout(), BOOT).unwrap();
        assert_eq!(records.blocks[&1], [Digest([9; 32])]);
    }

    #[test]
    fn a_block_beyond_the_copy_ends_the_reading() {
        let records = parse(&written(&[1, 5, 2]), HASH, &layout(), BOOT).unwrap();
        assert_eq!(blocks(&records), [1]);
    }

    proptest! {
        #[test]
        fn what_is_torn_or_damaged_is_left_out(cut in 0_usize..400, at in 0_usize..400, flip: u8) {
            let whole = written(&[0, 1, 2, 3]);
            let mut bytes = whole.clone();
            bytes.truncate(cut.max(HEAD_LEN));
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= flip;
            }
            if let Some(records) = parse(&bytes, HASH, &layout(), BOOT) {
                let read = blocks(&records);
                prop_assert!(read.iter().copied().eq(0..read.len() as u32));
                for (block, digests) in &records.blocks {
                    prop_assert_eq!(&digests[..], &[Digest([*block as u8; 32])]);
                }
            }
        }
    }
}
