//! The giving end of links: takes connections of other nodes, has them prove the session's key, and
//! gives them the blocks that they ask for, in order.
//!
//! A link that cannot be served is closed; the other end then gets another source.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use grappe_proto::content::block_set::BlockSet;
use grappe_proto::units::BlockIndex;
use grappe_proto::wire::data::TAG_LEN;
use grappe_proto::wire::link::{
    CHALLENGE_LEN, PREAMBLE_LEN, RECORD_HEADER_LEN, RecordHeader, RecordKind, preamble,
};
use socket2::SockRef;

use super::shelf::{Found, Shelf};
use super::{HANDSHAKE_MAX, tune};

/// Links at one time. One is the rule; changes of source and strangers make more for a moment.
const LINKS_MAX: usize = 16;

/// Gives blocks to others until it is dropped.
pub(crate) struct Server {
    shelf: Arc<Shelf>,
    links: Arc<Links>,
    listening: Option<(TcpListener, JoinHandle<()>)>,
}

/// The links that are open.
#[derive(Default)]
struct Links {
    open: Mutex<Vec<(u64, TcpStream)>>,
}

impl Server {
    /// A server that takes the connections it is handed.
    pub(crate) fn new(shelf: Arc<Shelf>) -> Self {
        Self {
            shelf,
            links: Arc::default(),
            listening: None,
        }
    }

    /// Listens at `port` of the address `any`, or at another port when that is taken; answers which.
    ///
    /// # Errors
    ///
    /// When the system has no port or no thread left.
    pub(crate) fn listen(&mut self, any: IpAddr, port: u16) -> io::Result<u16> {
        if let Some((listener, _)) = &self.listening {
            return Ok(listener.local_addr()?.port());
        }
        let listener = TcpListener::bind((any, port)).or_else(|_| TcpListener::bind((any, 0)))?;
        let port = listener.local_addr()?.port();
        let accepting = listener.try_clone()?;
        let (shelf, links) = (Arc::clone(&self.shelf), Arc::clone(&self.links));
        let thread = thread::Builder::new().name("links".into()).spawn(move || {
            loop {
                match accepting.accept() {
                    _ if shelf.is_over() => return,
                    Ok((stream, _)) => links.start(&shelf, stream),
                    // Out of descriptors, most likely: waiting helps, spinning does not.
                    Err(_) => thread::sleep(std::time::Duration::from_millis(50)),
                }
            }
        })?;
        self.listening = Some((listener, thread));
        Ok(port)
    }

    /// Whether any link is open.
    pub(crate) fn has_links(&self) -> bool {
        !self.links.lock().is_empty()
    }

    /// Takes a connection whose beginning was not read yet.
    pub(crate) fn take(&self, stream: TcpStream) {
        self.links.start(&self.shelf, stream);
    }
}

impl Drop for Server {
    /// Ends all links. Their threads end by themselves.
    fn drop(&mut self) {
        self.shelf.close();
        for (_, stream) in self.links.lock().iter() {
            let _gone = stream.shutdown(Shutdown::Both);
        }
        if let Some((listener, thread)) = self.listening.take() {
            let _closed = SockRef::from(&listener).shutdown(Shutdown::Both);
            let _ended = thread.join();
        }
    }
}

impl Links {
    fn lock(&self) -> MutexGuard<'_, Vec<(u64, TcpStream)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a link in a thread of its own; one too many is closed at once.
    fn start(self: &Arc<Self>, shelf: &Arc<Shelf>, stream: TcpStream) {
        let Some((number, closing)) = self.note(&stream) else {
            return;
        };
        let (links, shelf) = (Arc::clone(self), Arc::clone(shelf));
        let started = thread::Builder::new().name("link".into()).spawn(move || {
            // The other end says why it lost its source.
            let _ended = serve(&shelf, stream);
            links.forget(number);
        });
        if started.is_err() {
            self.forget(number);
            let _gone = closing.shutdown(Shutdown::Both);
        }
    }

    fn note(&self, stream: &TcpStream) -> Option<(u64, TcpStream)> {
        let closing = stream.try_clone().ok()?;
        let kept = stream.try_clone().ok()?;
        let mut open = self.lock();
        if open.len() >= LINKS_MAX {
            return None;
        }
        let number = open.last().map_or(0, |(last, _)| last + 1);
        open.push((number, kept));
        Some((number, closing))
    }

    fn forget(&self, number: u64) {
        self.lock().retain(|(open, _)| *open != number);
    }
}

/// The whole life of a link.
fn serve(shelf: &Shelf, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    tune(&stream)?;
    stream.set_read_timeout(Some(HANDSHAKE_MAX))?;
    let mut begins = [0; PREAMBLE_LEN];
    stream.read_exact(&mut begins)?;
    if begins != preamble(shelf.tag()) {
        return Err(refused("another session"));
    }
    let mut challenge = [0; CHALLENGE_LEN];
    aws_lc_rs::rand::fill(&mut challenge).map_err(|_| refused("no random numbers"))?;
    stream.write_all(&challenge)?;
    let (header, proof) = read_record(shelf, &mut stream)?;
    if header.kind != RecordKind::Proof || proof != challenge {
        return Err(refused("no proof"));
    }
    // Between requests there may be any time; the session's end shuts the socket.
    stream.set_read_timeout(None)?;
    let mut buffer = Vec::new();
    loop {
        let (header, request) = read_record(shelf, &mut stream)?;
        if header.kind != RecordKind::Request {
            return Err(refused("not a request"));
        }
        let blocks: BlockSet = minicbor::decode(&request).map_err(|_| refused("not a set"))?;
        for block in blocks.runs().flat_map(|run| run.start.0..run.end.0) {
            if !give(shelf, &mut stream, BlockIndex(block), &mut buffer)? {
                return Ok(());
            }
        }
    }
}

/// Gives one block; says whether there may be more.
fn give(
    shelf: &Shelf,
    stream: &mut TcpStream,
    block: BlockIndex,
    buffer: &mut Vec<u8>,
) -> io::Result<bool> {
    loop {
        match shelf
            .find(block, buffer)
            .map_err(|reason| refused(&reason))?
        {
            Found::Record(record) => {
                stream.write_all(&record)?;
                shelf.give_back(record);
                return Ok(true);
            }
            Found::NotYet if has_left(stream)? => return Ok(false),
            Found::NotYet => {}
            Found::Over => return Ok(false),
        }
    }
}

/// Whether the other end closed the link, which says nothing else while it waits.
fn has_left(stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    match peeked {
        Ok(0) => Ok(true),
        Ok(_) => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

fn read_record(shelf: &Shelf, stream: &mut TcpStream) -> io::Result<(RecordHeader, Vec<u8>)> {
    let mut front = [0; RECORD_HEADER_LEN];
    stream.read_exact(&mut front)?;
    let header = RecordHeader::read(&front).map_err(|error| refused(&error.to_string()))?;
    if header.kind == RecordKind::Block {
        return Err(refused("a block where a request belongs"));
    }
    let mut record = vec![0; RECORD_HEADER_LEN + header.len as usize + TAG_LEN];
    let (start, sealed) = record.split_at_mut(RECORD_HEADER_LEN);
    start.copy_from_slice(&front);
    stream.read_exact(sealed)?;
    let mut body = vec![0; header.len as usize];
    shelf
        .open(&header, &record, &mut body)
        .map_err(|error| refused(&error.to_string()))?;
    Ok((header, body))
}

fn refused(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
