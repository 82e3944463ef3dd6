//! The giving end of links: takes connections of other nodes, has them prove the session's key, and
//! gives them the blocks that they ask for, in order.
//!
//! A link that cannot be served is closed; the other end then gets another source.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use grappe_proto::content::block_set::BlockSet;
use grappe_proto::units::BlockIndex;
use grappe_proto::wire::data::TAG_LEN;
use grappe_proto::wire::link::{
    CHALLENGE_LEN, PREAMBLE_LEN, RECORD_HEADER_LEN, RecordHeader, RecordKind, preamble,
};
use socket2::SockRef;

use super::shelf::{Found, Shelf};
use super::{HANDSHAKE_MAX, tune};

/// Links at one time whose other ends have proven the session's key. One is the rule; changes of source make more
/// for a moment, and nodes that reach no other one all fetch from the sender.
const LINKS_MAX: usize = 64;

/// Links at one time that may still prove it. One more ends the oldest of them: an honest end answers at once.
const UNPROVEN_MAX: usize = 16;

/// Gives blocks to others until it is dropped.
pub(crate) struct Server {
    shelf: Arc<Shelf>,
    links: Arc<Links>,
    listening: Option<(TcpListener, JoinHandle<()>)>,
}

/// The links that are open.
#[derive(Default)]
struct Links {
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    /// As they came.
    links: Vec<Link>,
    numbers: u64,
}

struct Link {
    number: u64,
    stream: TcpStream,
    is_proven: bool,
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
                    Err(_) => thread::sleep(Duration::from_millis(50)),
                }
            }
        })?;
        self.listening = Some((listener, thread));
        Ok(port)
    }

    /// Whether any link is open.
    pub(crate) fn has_links(&self) -> bool {
        !self.links.lock().links.is_empty()
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
        for link in &self.links.lock().links {
            let _gone = link.stream.shutdown(Shutdown::Both);
        }
        if let Some((listener, thread)) = self.listening.take() {
            let _closed = SockRef::from(&listener).shutdown(Shutdown::Both);
            let _ended = thread.join();
        }
    }
}

impl Links {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a link in a thread of its own.
    fn start(self: &Arc<Self>, shelf: &Arc<Shelf>, stream: TcpStream) {
        let Some((number, closing)) = self.note(&stream) else {
            return;
        };
        let (links, shelf) = (Arc::clone(self), Arc::clone(shelf));
        let started = thread::Builder::new().name("link".into()).spawn(move || {
            // The other end says why it lost its source.
            let _ended = serve(&shelf, stream, || links.prove(number));
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
        let mut unproven = open.links.iter().filter(|link| !link.is_proven);
        if let Some(oldest) = unproven.next()
            && unproven.count() + 1 >= UNPROVEN_MAX
        {
            let number = oldest.number;
            let _gone = oldest.stream.shutdown(Shutdown::Both);
            open.links.retain(|link| link.number != number);
        }
        let number = open.numbers;
        open.numbers += 1;
        open.links.push(Link {
            number,
            stream: kept,
            is_proven: false,
        });
        Some((number, closing))
    }

    /// The other end of a link knows the key; says whether there is room for it.
    fn prove(&self, number: u64) -> bool {
        let mut open = self.lock();
        let proven = open.links.iter().filter(|link| link.is_proven).count();
        let mut links = open.links.iter_mut();
        match links.find(|link| link.number == number) {
            Some(link) if proven < LINKS_MAX => link.is_proven = true,
            _ => return false,
        }
        true
    }

    fn forget(&self, number: u64) {
        self.lock().links.retain(|link| link.number != number);
    }
}

/// The whole life of a link. Calls `prove` once the other end has proven the key, which says whether it may stay.
fn serve(shelf: &Shelf, mut stream: TcpStream, prove: impl FnOnce() -> bool) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    tune(&stream)?;
    let deadline = Instant::now() + HANDSHAKE_MAX;
    let mut begins = [0; PREAMBLE_LEN];
    read_before(deadline, &mut stream, &mut begins)?;
    if begins != preamble(shelf.tag()) {
        return Err(refused("another session"));
    }
    let mut challenge = [0; CHALLENGE_LEN];
    aws_lc_rs::rand::fill(&mut challenge).map_err(|_| refused("no random numbers"))?;
    stream.write_all(&challenge)?;
    // A stranger gets no memory and no time beyond what a proof takes.
    let mut record = [0; RECORD_HEADER_LEN + CHALLENGE_LEN + TAG_LEN];
    read_before(deadline, &mut stream, &mut record)?;
    let front = record.first_chunk().ok_or_else(|| refused("no proof"))?;
    let header = RecordHeader::read(front).map_err(|error| refused(&error.to_string()))?;
    let mut proof = [0; CHALLENGE_LEN];
    if header.kind != RecordKind::Proof || header.len as usize != CHALLENGE_LEN {
        return Err(refused("no proof"));
    }
    let opened = shelf.open(&header, &record, &mut proof);
    opened.map_err(|error| refused(&error.to_string()))?;
    if proof != challenge {
        return Err(refused("the proof of another link"));
    }
    if !prove() {
        return Err(refused("too many links"));
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

/// Fills `bytes`, however slowly they come, before the `deadline`.
fn read_before(deadline: Instant, stream: &mut TcpStream, bytes: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
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
