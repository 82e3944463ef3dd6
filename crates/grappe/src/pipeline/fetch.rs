//! The fetching end of a link: connects to the source, proves the session's key, asks for blocks, opens
//! what comes and puts it on this node's shelf for the next one.
//!
//! The machine says which blocks, and from where.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use grappe_proto::content::block_set::{BlockSet, RUNS_MAX};
use grappe_proto::units::BlockIndex;
use grappe_proto::wire::data::TAG_LEN;
use grappe_proto::wire::link::{
    CHALLENGE_LEN, RECORD_HEADER_LEN, RecordHeader, RecordKind, preamble,
};

use super::shelf::Shelf;
use super::{HANDSHAKE_MAX, tune};

/// Blocks opened and not stored yet, 4 MiB; more wait in the socket, and so at the source.
const BUFFERS: usize = 16;

/// What a link brings.
pub(crate) enum Fetched {
    /// A block from the link with this number, opened, padded with zeros to whole symbols; its length without them.
    Block(u32, BlockIndex, u32, Vec<u8>),
    /// Memory that was not used.
    Spare(Vec<u8>),
    /// The link with this number ended.
    Ended(u32, String),
}

/// Where what is fetched goes.
pub(crate) type Deliver = Arc<dyn Fn(Fetched) + Send + Sync>;

/// Fetches blocks, over one link at a time.
pub(crate) struct Fetcher {
    shelf: Arc<Shelf>,
    symbol_size: u16,
    deliver: Deliver,
    /// Memory for blocks: who has none waits for the store.
    spare: Option<Sender<Vec<u8>>>,
    buffers: Receiver<Vec<u8>>,
    link: Option<Link>,
    threads: Vec<JoinHandle<()>>,
}

struct Link {
    number: u32,
    requests: Sender<BlockSet>,
    /// The connection, once there is one; closed with the link.
    stream: Arc<Mutex<Closing>>,
}

#[derive(Default)]
struct Closing {
    stream: Option<TcpStream>,
    is_closed: bool,
}

impl Fetcher {
    pub(crate) fn new(shelf: Arc<Shelf>, symbol_size: u16, deliver: Deliver) -> Self {
        let (spare, buffers) = bounded(BUFFERS);
        for _ in 0..BUFFERS {
            let _held = spare.try_send(Vec::new());
        }
        Self {
            shelf,
            symbol_size,
            deliver,
            spare: Some(spare),
            buffers,
            link: None,
            threads: Vec::new(),
        }
    }

    /// Takes the memory of a block back that was stored or not wanted.
    pub(crate) fn give_back(&self, buffer: Vec<u8>) {
        if let Some(spare) = &self.spare {
            // Blocks that came by multicast bring memory of their own, which may be too much.
            let _full = spare.try_send(buffer);
        }
    }

    /// Asks the source `number` at `address` for `blocks`; another number ends the link before.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(crate) fn ask(
        &mut self,
        number: u32,
        address: SocketAddr,
        blocks: BlockSet,
    ) -> io::Result<()> {
        if let Some(link) = &self.link
            && link.number == number
        {
            // When it has ended, that was told.
            let _ended = link.requests.send(blocks);
            return Ok(());
        }
        self.close();
        let (requests, asked) = unbounded();
        let _first = requests.send(blocks);
        let stream = Arc::default();
        let work = Work {
            shelf: Arc::clone(&self.shelf),
            symbol_size: self.symbol_size,
            deliver: Arc::clone(&self.deliver),
            buffers: self.buffers.clone(),
            closing: Arc::clone(&stream),
        };
        self.threads.push(
            thread::Builder::new()
                .name("fetch".into())
                .spawn(move || work.run(number, address, &asked))?,
        );
        self.link = Some(Link {
            number,
            requests,
            stream,
        });
        Ok(())
    }

    /// Ends the link `number`, if it is still in use, as what it gave of `block` is of no use.
    pub(crate) fn refuse(&mut self, number: u32, block: BlockIndex) {
        self.shelf.forget(block);
        if self.link.as_ref().is_some_and(|link| link.number == number) {
            self.close();
        }
    }

    /// Ends the link; answers the threads, which end soon.
    pub(crate) fn stop(&mut self) -> Vec<JoinHandle<()>> {
        self.close();
        // Wakes who waits for memory.
        self.spare = None;
        std::mem::take(&mut self.threads)
    }

    fn close(&mut self) {
        if let Some(link) = self.link.take() {
            let mut closing = link.stream.lock().unwrap_or_else(PoisonError::into_inner);
            closing.is_closed = true;
            if let Some(stream) = &closing.stream {
                let _gone = stream.shutdown(Shutdown::Both);
            }
        }
        self.threads.retain(|thread| !thread.is_finished());
    }
}

/// What a link's thread works with.
struct Work {
    shelf: Arc<Shelf>,
    symbol_size: u16,
    deliver: Deliver,
    buffers: Receiver<Vec<u8>>,
    closing: Arc<Mutex<Closing>>,
}

impl Work {
    fn run(self, number: u32, address: SocketAddr, asked: &Receiver<BlockSet>) {
        let ended = match self.connect(address) {
            Ok(stream) => self.fetch(number, stream, asked),
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            (self.deliver)(Fetched::Ended(number, format!("{address}: {error}")));
        }
    }

    /// The link, both ends of which know the session's key as far as this one can tell.
    fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect_timeout(&address, HANDSHAKE_MAX)?;
        {
            let mut closing = self.closing.lock().unwrap_or_else(PoisonError::into_inner);
            if closing.is_closed {
                return Err(io::ErrorKind::Interrupted.into());
            }
            closing.stream = Some(stream.try_clone()?);
        }
        tune(&stream)?;
        stream.set_read_timeout(Some(HANDSHAKE_MAX))?;
        stream.write_all(&preamble(self.shelf.tag()))?;
        let mut challenge = [0; CHALLENGE_LEN];
        stream.read_exact(&mut challenge)?;
        self.send(&mut stream, RecordKind::Proof, &challenge)?;
        // A source that has nothing yet is silent; whether it is worth waiting for, the sender decides.
        stream.set_read_timeout(None)?;
        Ok(stream)
    }

    fn send(&self, stream: &mut TcpStream, kind: RecordKind, body: &[u8]) -> io::Result<()> {
        let mut record = Vec::new();
        self.shelf.seal(kind, BlockIndex(0), body, &mut record);
        stream.write_all(&record)
    }

    /// Asks and fetches until nothing more will be asked.
    fn fetch(
        &self,
        number: u32,
        mut stream: TcpStream,
        asked: &Receiver<BlockSet>,
    ) -> io::Result<()> {
        for blocks in asked {
            let runs: Vec<_> = blocks.runs().collect();
            // More runs do not fit one request.
            for runs in runs.chunks(RUNS_MAX) {
                let mut part = BlockSet::new();
                for run in runs {
                    part.insert_range(run.clone());
                }
                self.send(&mut stream, RecordKind::Request, &encode(&part))?;
                for block in runs.iter().flat_map(|run| run.start.0..run.end.0) {
                    let Ok(mut buffer) = self.buffers.recv() else {
                        return Ok(());
                    };
                    match self.block(&mut stream, BlockIndex(block), &mut buffer) {
                        Ok(len) => {
                            let block = BlockIndex(block);
                            (self.deliver)(Fetched::Block(number, block, len, buffer));
                        }
                        Err(error) => {
                            (self.deliver)(Fetched::Spare(buffer));
                            return Err(error);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Opens the next record, which must be that of `block`, into `buffer`; answers its length.
    fn block(
        &self,
        stream: &mut TcpStream,
        block: BlockIndex,
        buffer: &mut Vec<u8>,
    ) -> io::Result<u32> {
        let mut front = [0; RECORD_HEADER_LEN];
        stream.read_exact(&mut front).map_err(ended)?;
        let header = RecordHeader::read(&front).map_err(broken)?;
        if header.kind != RecordKind::Block || header.block != block {
            return Err(broken("it gives what was not asked for"));
        }
        let len = header.len as usize;
        let mut record = self.shelf.memory();
        record.resize(RECORD_HEADER_LEN + len + TAG_LEN, 0);
        let (start, sealed) = record.split_at_mut(RECORD_HEADER_LEN);
        start.copy_from_slice(&front);
        stream.read_exact(sealed).map_err(ended)?;
        // Once sized for a full block, memory is not cleared again.
        buffer.resize(len.next_multiple_of(self.symbol_size.into()), 0);
        let (body, padding) = buffer.split_at_mut(len);
        padding.fill(0);
        self.shelf.open(&header, &record, body).map_err(broken)?;
        self.shelf.put(block, Arc::new(record));
        Ok(header.len)
    }
}

fn encode(blocks: &BlockSet) -> Vec<u8> {
    minicbor::to_vec(blocks).unwrap_or_else(
        |error: minicbor::encode::Error<std::convert::Infallible>| {
            unreachable!("writing CBOR to memory cannot fail: {error}")
        },
    )
}

fn ended(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::other("the source closed the connection"),
        _ => error,
    }
}

fn broken(reason: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_string())
}
