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

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use grappe_os::file::{Access, Directory};
use grappe_proto::content::block_set::BlockSet;
use grappe_proto::content::layout::Layout;
use grappe_proto::units::{BlockIndex, Digest};

use super::spill::PieceHashes;

pub(super) const NAME: &[u8] = b"journal";

/// Written whole beside the old one, then renamed.
const NEW_NAME: &[u8] = b"journal.new";

const MAGIC: &[u8] = b"grappe journal 1\n";
const BOOT_LEN: usize = 36;
const HEAD_LEN: usize = MAGIC.len() + 32 + BOOT_LEN;
const CHECK_LEN: usize = 4;

/// The block and the number of pieces.
const RECORD_HEAD_LEN: usize = 4 + 2;

/// What a journal says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    /// The blocks that are stored.
    pub(super) blocks: BlockSet,
    /// Whether the machine has run since they were written.
    pub(super) same_boot: bool,
}

/// A block, and the hashes of its pieces.
type Record<'a> = (u32, &'a [[u8; 32]]);

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
    /// Begins a journal with `blocks`, whose pieces have these `hashes`, in place of the one that is there.
    pub(super) fn begin(
        staging: &Directory,
        manifest_hash: Digest,
        layout: &Layout,
        blocks: BlockSet,
        hashes: &PieceHashes,
    ) -> io::Result<Self> {
        match staging.remove_file(NEW_NAME) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut file = BufWriter::new(staging.create_exclusive(NEW_NAME, 0o600)?);
        file.write_all(&head(manifest_hash, boot()))?;
        let mut reader = hashes.reader();
        for block in blocks.runs().flat_map(|run| run.start.0..run.end.0) {
            let numbers = layout.pieces(block).map(|piece| piece.number);
            let digests: Vec<Digest> = numbers.map(|number| reader.get(number)).collect();
            file.write_all(&record(block, &digests))?;
        }
        reader.done()?;
        let mut file = file.into_inner()?;
        let end = file.stream_position()?;
        staging.rename_into(NEW_NAME, staging, NAME)?;
        Ok(Self {
            written: Mutex::new(Written {
                file: Some(file),
                end,
                blocks,
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

    /// Notes that `block` is stored. One of more pieces than a record can count is not noted, and comes again after a
    /// break.
    pub(super) fn add(&self, block: u32, digests: &[(u32, Digest)]) -> io::Result<()> {
        if digests.len() > usize::from(u16::MAX) {
            return Ok(());
        }
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

/// The blocks that the journal of `staging` says are stored, if it is of a copy of that manifest.
pub(super) fn blocks(
    staging: &Directory,
    manifest_hash: Digest,
    layout: &Layout,
) -> io::Result<BlockSet> {
    let records = read(staging, manifest_hash, layout, None)?;
    Ok(records.unwrap_or_default().blocks)
}

/// Reads the journal of `staging`, if it is of a copy of that manifest; the hashes it tells go to `hashes`.
pub(super) fn read(
    staging: &Directory,
    manifest_hash: Digest,
    layout: &Layout,
    hashes: Option<&PieceHashes>,
) -> io::Result<Option<Records>> {
    match staging.open_file(NAME, Access::Read) {
        Ok(file) => parse(BufReader::new(file), manifest_hash, layout, boot(), hashes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Reads records up to the first that is torn or does not fit the copy.
fn parse(
    mut journal: impl Read,
    manifest_hash: Digest,
    layout: &Layout,
    boot: [u8; BOOT_LEN],
    hashes: Option<&PieceHashes>,
) -> io::Result<Option<Records>> {
    let mut found = [0; HEAD_LEN];
    let head_wanted = head(manifest_hash, boot);
    let (copy_wanted, _) = head_wanted.split_at(HEAD_LEN - BOOT_LEN);
    if !is_filled(&mut journal, &mut found)? || !found.starts_with(copy_wanted) {
        return Ok(None);
    }
    let mut records = Records {
        blocks: BlockSet::new(),
        same_boot: found.ends_with(&boot) && boot != [0; BOOT_LEN],
    };
    let mut bytes = Vec::new();
    while let Some((block, digests)) = read_record(&mut journal, &mut bytes)? {
        let numbers = layout.pieces(block).map(|piece| piece.number);
        let is_taken_back = digests.is_empty();
        if is_taken_back {
            records.blocks.remove(BlockIndex(block));
        } else if digests.len() == layout.pieces(block).count() {
            records.blocks.insert(BlockIndex(block));
        } else {
            break;
        }
        // A block that was stored again counts as it was last.
        if let Some(hashes) = hashes {
            let digests = digests.iter().map(|digest| Digest(*digest));
            let unknown = std::iter::repeat(Digest::default()).take_while(|_| is_taken_back);
            hashes.set(numbers.zip(digests.chain(unknown)))?;
        }
    }
    Ok(Some(records))
}

/// The next record, whose bytes fill `bytes`; none at the end, or where it is torn.
fn read_record<'a>(
    journal: &mut impl Read,
    bytes: &'a mut Vec<u8>,
) -> io::Result<Option<Record<'a>>> {
    bytes.resize(RECORD_HEAD_LEN, 0);
    if !is_filled(journal, bytes)? {
        return Ok(None);
    }
    let count = usize::from(u16::from_le_bytes([bytes[4], bytes[5]]));
    let body_len = RECORD_HEAD_LEN + 32 * count;
    bytes.resize(body_len + CHECK_LEN, 0);
    if !is_filled(journal, &mut bytes[RECORD_HEAD_LEN..])? {
        return Ok(None);
    }
    let (body, check) = bytes.split_at(body_len);
    if check_of(body) != check {
        return Ok(None);
    }
    let (block, digests) = (&body[..4], &body[RECORD_HEAD_LEN..]);
    let block = u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
    Ok(Some((block, digests.as_chunks().0)))
}

/// Fills `buffer`; says whether there was enough.
fn is_filled(journal: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match journal.read_exact(buffer) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        filled => filled.map(|()| true),
    }
}

fn record(block: u32, digests: &[Digest]) -> Vec<u8> {
    let count = u16::try_from(digests.len()).unwrap_or(u16::MAX);
    let mut bytes = Vec::with_capacity(RECORD_HEAD_LEN + 32 * digests.len() + CHECK_LEN);
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

    /// What is read from `bytes`: the blocks with their hashes, and whether the machine has run since.
    fn read_by(hash: Digest, boot: [u8; BOOT_LEN], bytes: &[u8]) -> Option<(Vec<(u32, u8)>, bool)> {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::open(folder.path()).unwrap();
        let (layout, hashes) = (layout(), PieceHashes::new(&directory, 5).unwrap());
        let records = parse(bytes, hash, &layout, boot, Some(&hashes)).unwrap()?;
        let mut reader = hashes.reader();
        let blocks = records.blocks.runs().flat_map(|run| run.start.0..run.end.0);
        let read = blocks.map(|block| {
            let Digest(hash) = reader.get(block);
            assert_eq!(hash, [hash[0]; 32]);
            (block, hash[0])
        });
        Some((read.collect(), records.same_boot))
    }

    fn read(bytes: &[u8]) -> Vec<(u32, u8)> {
        read_by(HASH, BOOT, bytes).unwrap().0
    }

    #[test]
    fn what_was_written_is_read_and_another_copy_is_not() {
        let bytes = written(&[4, 0, 2]);
        let all = vec![(0, 0), (2, 2), (4, 4)];
        assert_eq!(read_by(HASH, BOOT, &bytes), Some((all.clone(), true)));
        let other_boot = [b'b'; BOOT_LEN];
        assert_eq!(read_by(HASH, other_boot, &bytes), Some((all, false)));
        assert_eq!(read_by(Digest([4; 32]), BOOT, &bytes), None);
        let unknown = head(HASH, [0; BOOT_LEN]);
        assert_eq!(
            read_by(HASH, [0; BOOT_LEN], &unknown),
            Some((Vec::new(), false))
        );
    }

    #[test]
    fn what_was_taken_back_is_not_there_until_it_is_written_again() {
        let mut bytes = written(&[1, 2]);
        bytes.extend(record(1, &[]));
        assert_eq!(read(&bytes), [(2, 2)]);
        bytes.extend(record(1, &[Digest([9; 32])]));
        assert_eq!(read(&bytes), [(1, 9), (2, 2)]);
    }

    #[test]
    fn a_block_beyond_the_copy_ends_the_reading() {
        assert_eq!(read(&written(&[1, 5, 2])), [(1, 1)]);
    }

    #[test]
    fn a_journal_that_is_begun_anew_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Directory::open(folder.path()).unwrap();
        let (layout, hashes) = (layout(), PieceHashes::new(&staging, 5).unwrap());
        std::fs::write(folder.path().join("journal"), written(&[3, 1, 4])).unwrap();
        let again =
            |hashes: &PieceHashes| super::read(&staging, HASH, &layout, Some(hashes)).unwrap();
        let blocks = again(&hashes).unwrap().blocks;
        let journal = Journal::begin(&staging, HASH, &layout, blocks, &hashes).unwrap();
        journal.take_back(4).unwrap();
        journal.add(2, &[(2, Digest([7; 32]))]).unwrap();
        let bytes = std::fs::read(folder.path().join("journal")).unwrap();
        assert_eq!(
            read_by(HASH, boot(), &bytes),
            Some((vec![(1, 1), (2, 7), (3, 3)], boot() != [0; BOOT_LEN]))
        );
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
            if let Some((read, _)) = read_by(HASH, BOOT, &bytes) {
                let expected = (0..read.len() as u32).map(|block| (block, block as u8));
                prop_assert!(read.iter().copied().eq(expected));
            }
        }
    }
}
