//! What comes from a pipe: blocks in their order, each once, until the end. Shared by the threads that read.
//!
//! It cannot be read again: whoever lacks a block that left the sender's memory has lost the copy.

use std::io::{self, Read};
use std::sync::{Condvar, Mutex, PoisonError};

use grappe_proto::content::digest::piece_digest;
use grappe_proto::limits::BLOCK_SIZE;
use grappe_proto::units::Digest;

use super::readers::block_memory;

const BLOCK: usize = BLOCK_SIZE as usize;

/// An input that is read from beginning to end.
pub(super) struct Pipe {
    state: Mutex<State>,
    moved: Condvar,
}

struct State {
    input: Box<dyn Read + Send>,
    /// The block that is read next.
    next: u32,
    /// Its bytes, read before it is asked for: so the last block is known as such.
    ahead: Option<Vec<u8>>,
    /// Bytes in all, once the end was read.
    end: Option<u64>,
}

/// What came of asking for a block.
pub(super) enum Piped {
    /// It is there; its hash.
    Block(Digest),
    /// There is no such block, or none any more.
    Nothing,
}

impl Pipe {
    pub(super) fn new(input: impl Read + Send + 'static) -> Self {
        Self {
            state: Mutex::new(State {
                input: Box::new(input),
                next: 0,
                ahead: None,
                end: None,
            }),
            moved: Condvar::new(),
        }
    }

    /// Reads `block` into `buffer`, filled up with zeros, once those before it were read. `ended` is told
    /// how many bytes there are in all, before anybody else hears of the last block.
    ///
    /// # Errors
    ///
    /// When the input fails.
    pub(super) fn read(
        &self,
        block: u32,
        buffer: &mut Vec<u8>,
        ended: impl FnOnce(u64),
    ) -> io::Result<Piped> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.end.is_none() && block > state.next {
            state = self
                .moved
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.end.is_some() || block < state.next {
            return Ok(Piped::Nothing);
        }
        let result = state.read(buffer, ended);
        if result.is_err() {
            // Whoever waits must not wait for ever.
            state.end = Some(0);
        }
        drop(state);
        self.moved.notify_all();
        result
    }

    /// Bytes in all, once the end was read.
    pub(super) fn end(&self) -> Option<u64> {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .end
    }
}

impl State {
    fn read(&mut self, buffer: &mut Vec<u8>, ended: impl FnOnce(u64)) -> io::Result<Piped> {
        let bytes = match self.ahead.take() {
            Some(bytes) => bytes,
            None => fill(&mut self.input)?,
        };
        let offset = u64::from(self.next) * BLOCK as u64;
        let ahead = match bytes.len() {
            BLOCK => fill(&mut self.input)?,
            _ => Vec::new(),
        };
        let mut size = u64::MAX;
        if ahead.is_empty() {
            size = offset + bytes.len() as u64;
            self.end = Some(size);
            ended(size);
        }
        self.ahead = Some(ahead);
        self.next += 1;
        if bytes.is_empty() {
            return Ok(Piped::Nothing);
        }
        let digest = piece_digest(size, offset, &bytes);
        *buffer = bytes;
        buffer.resize(BLOCK, 0);
        Ok(Piped::Block(digest))
    }
}

/// The next block's worth of bytes; fewer at the end alone.
fn fill(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = block_memory();
    input.take(BLOCK as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use grappe_proto::limits::SYMBOL_SIZE_MAX;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn any_length_comes_in_order_with_the_ordinary_hash() {
        for len in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 9] {
            let bytes: Vec<u8> = (0..len).map(|index| (index / 7) as u8).collect();
            let pipe = Pipe::new(io::Cursor::new(bytes.clone()));
            let told = AtomicU64::new(u64::MAX);
            let mut digests = Vec::new();
            let (mut came, mut buffer) = (Vec::new(), Vec::new());
            for block in 0.. {
                let ended = |size| told.store(size, Ordering::Relaxed);
                match pipe.read(block, &mut buffer, ended).unwrap() {
                    Piped::Block(digest) => digests.push(digest),
                    Piped::Nothing => break,
                }
                came.extend_from_slice(&buffer);
                // The last symbol is filled up in the same memory.
                let room = buffer.capacity();
                buffer.resize(BLOCK + usize::from(SYMBOL_SIZE_MAX) - 1, 0);
                assert_eq!(buffer.capacity(), room);
            }
            came.truncate(len);
            assert_eq!(came, bytes);
            assert_eq!(told.load(Ordering::Relaxed), len as u64);
            let hash = grappe_proto::content::digest::file_digest(len as u64, digests);
            assert_eq!(hash.0, *blake3::hash(&bytes).as_bytes(), "{len}");
        }
    }
}
