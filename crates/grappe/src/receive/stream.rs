//! What comes from a sender's pipe: written as it comes, to a file, a device or standard output.
//!
//! Its end is not known before it is there: the block that may be the last is kept back, so that nothing is
//! written beyond the end. What is written to a device or a pipe cannot be taken back; whether it was right
//! is known at the end.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use grappe_proto::content::digest::piece_digest;
use grappe_proto::limits::BLOCK_SIZE;
use grappe_proto::units::Digest;

const BLOCK: u64 = BLOCK_SIZE as u64;

/// What is written to a device reaches it after so many bytes at the latest, so that a slow one is slow
/// now, and not at the end.
const SYNC_BYTES: u64 = 64 << 20;

/// Where a stream goes.
#[derive(Debug)]
pub(super) enum Outlet {
    /// Somewhere that takes bytes anywhere: a file or a device.
    File(File),
    /// Somewhere that takes bytes in their order.
    Pipe(File),
}

/// A stream on its way.
#[derive(Debug)]
pub(super) struct Incoming {
    outlet: Outlet,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The highest block so far, which may be the last.
    tail: Option<(u32, Vec<u8>)>,
    pieces: Vec<Digest>,
    /// Blocks that wait for one before them, where order matters; at most a window of them.
    waiting: BTreeMap<u32, Vec<u8>>,
    /// The block that is written next, where order matters.
    next: u32,
    size: Option<u64>,
    unsynced: u64,
}

impl Incoming {
    pub(super) fn new(outlet: Outlet) -> Self {
        Self {
            outlet,
            state: Mutex::default(),
        }
    }

    /// Takes a whole block in, with the zeros that fill up the last one.
    pub(super) fn write(&self, block: u32, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        if let Some(size) = state.size {
            return self.put(&mut state, block, bytes, Some(size));
        }
        match state.tail.take() {
            Some((tail, kept)) if block < tail => {
                state.tail = Some((tail, kept));
                self.put(&mut state, block, bytes, None)
            }
            earlier => {
                state.tail = Some((block, bytes.to_vec()));
                let Some((tail, kept)) = earlier.filter(|(tail, _)| *tail != block) else {
                    return Ok(());
                };
                self.put(&mut state, tail, &kept, None)
            }
        }
    }

    /// So many bytes there are.
    pub(super) fn end(&self, size: u64) -> io::Result<()> {
        let mut state = self.lock();
        state.size = Some(size);
        match state.tail.take() {
            Some((block, bytes)) => self.put(&mut state, block, &bytes, Some(size)),
            None => Ok(()),
        }
    }

    /// Bytes in all, once that is known.
    pub(super) fn size(&self) -> Option<u64> {
        self.lock().size
    }

    /// The hashes of all blocks.
    pub(super) fn pieces(&self) -> Vec<Digest> {
        self.lock().pieces.clone()
    }

    /// Waits until everything is where it was written to. A file that was longer ends where the stream does.
    pub(super) fn finish(&self) -> io::Result<()> {
        match &self.outlet {
            Outlet::File(file) => {
                if let Some(size) = self.size()
                    && file.metadata()?.is_file()
                {
                    file.set_len(size)?;
                }
                file.sync_all()
            }
            Outlet::Pipe(file) => (&*file).flush(),
        }
    }

    fn put(
        &self,
        state: &mut State,
        block: u32,
        bytes: &[u8],
        size: Option<u64>,
    ) -> io::Result<()> {
        let offset = u64::from(block) * BLOCK;
        let len = size.map_or(BLOCK, |size| size.saturating_sub(offset).min(BLOCK));
        let Some(bytes) = bytes.get(..len as usize).filter(|bytes| !bytes.is_empty()) else {
            return Ok(());
        };
        let digest = piece_digest(size.unwrap_or(u64::MAX), offset, bytes);
        let index = block as usize;
        if state.pieces.len() <= index {
            state.pieces.resize(index + 1, Digest::default());
        }
        state.pieces[index] = digest;
        match &self.outlet {
            Outlet::File(file) => {
                file.write_all_at(bytes, offset)?;
                state.unsynced += len;
                if state.unsynced >= SYNC_BYTES {
                    state.unsynced = 0;
                    file.sync_data()?;
                }
                Ok(())
            }
            Outlet::Pipe(file) => {
                if block < state.next {
                    return Ok(());
                }
                state.waiting.insert(block, bytes.to_vec());
                let mut file = file;
                while let Some(bytes) = state.waiting.remove(&state.next) {
                    file.write_all(&bytes)?;
                    state.next += 1;
                }
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grappe_proto::content::digest::file_digest;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        /// Blocks in any order, the end told at any time: the same bytes, and none beyond.
        #[test]
        fn what_comes_is_written_as_it_was(
            len in 1_usize..5 * BLOCK as usize,
            order in Just(vec![0_u32, 1, 2, 3, 4]).prop_shuffle(),
            end_after in 0_usize..6,
            in_order: bool,
        ) {
            let len = match len % 7 { 0 => len.next_multiple_of(BLOCK as usize), _ => len };
            let bytes: Vec<u8> = (0..len).map(|index| (index / 251 + index) as u8).collect();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("out");
            let file = File::create(&path).unwrap();
            let outlet = if in_order { Outlet::Pipe(file) } else { Outlet::File(file) };
            let incoming = Incoming::new(outlet);
            let count = len.div_ceil(BLOCK as usize) as u32;
            let order: Vec<u32> = order.into_iter().filter(|block| *block < count).collect();
            for (number, block) in order.iter().enumerate() {
                if number == end_after {
                    incoming.end(len as u64).unwrap();
                }
                let start = *block as usize * BLOCK as usize;
                let mut part = bytes[start..len.min(start + BLOCK as usize)].to_vec();
                part.resize(BLOCK as usize, 0);
                incoming.write(*block, &part).unwrap();
            }
            incoming.end(len as u64).unwrap();
            // A device has more bytes, which are not to be touched.
            prop_assert_eq!(std::fs::read(&path).unwrap(), bytes.clone());
            incoming.finish().unwrap();
            prop_assert_eq!(std::fs::read(path).unwrap(), bytes.clone());
            let hash = file_digest(len as u64, incoming.pieces());
            prop_assert_eq!(hash.0, *blake3::hash(&bytes).as_bytes());
        }
    }
}
