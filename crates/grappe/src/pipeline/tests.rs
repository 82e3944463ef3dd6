//! Links over real TCP on the loopback: honest ones, strangers, and ends that go.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, unbounded};
use grappe_proto::content::block_set::BlockSet;
use grappe_proto::limits::SYMBOL_SIZE;
use grappe_proto::seal::{SealKey, Suite};
use grappe_proto::units::BlockIndex;
use grappe_proto::wire::link::preamble;

use super::*;

const KEY: [u8; 16] = [7; 16];
const TAG: u32 = 9;
const PATIENCE: Duration = Duration::from_secs(60);

/// Blocks made of their number; counts how many were read.
struct Made(Arc<AtomicU32>);

fn content(block: u32) -> Vec<u8> {
    let len = 1_000 + block as usize * 10;
    (0..len).map(|at| (at as u32 ^ block) as u8).collect()
}

impl Backing for Made {
    fn reached(&self, _block: BlockIndex) {}

    fn read(&self, block: BlockIndex, buffer: &mut Vec<u8>) -> Result<(), String> {
        self.0.fetch_add(1, Ordering::Relaxed);
        if block == BlockIndex(13) {
            return Err("spoilt".into());
        }
        *buffer = content(block.0);
        Ok(())
    }
}

/// A node with a shelf, its server and its fetcher.
struct Node {
    shelf: Arc<Shelf>,
    _server: Server,
    at: SocketAddr,
    fetcher: Fetcher,
    fetched: Receiver<Fetched>,
    read: Arc<AtomicU32>,
}

fn node(sealer: u32, key: &[u8; 16]) -> Node {
    let read = Arc::new(AtomicU32::new(0));
    let backing = Box::new(Made(Arc::clone(&read)));
    let shelf = Arc::new(Shelf::new(
        TAG,
        SealKey::new(Suite::Aegis128L, key),
        sealer,
        backing,
    ));
    let mut server = Server::new(Arc::clone(&shelf));
    let port = server.listen(Ipv4Addr::UNSPECIFIED.into(), 0).unwrap();
    let (out, fetched) = unbounded();
    let deliver = Arc::new(move |fetched| {
        let _over = out.send(fetched);
    });
    Node {
        fetcher: Fetcher::new(Arc::clone(&shelf), SYMBOL_SIZE, deliver),
        shelf,
        _server: server,
        at: (Ipv4Addr::LOCALHOST, port).into(),
        fetched,
        read,
    }
}

fn blocks(numbers: &[u32]) -> BlockSet {
    let mut set = BlockSet::new();
    for number in numbers {
        set.insert(BlockIndex(*number));
    }
    set
}

fn range(from: u32, to: u32) -> std::ops::Range<BlockIndex> {
    BlockIndex(from)..BlockIndex(to)
}

impl Node {
    /// The numbers of the next blocks, each compared with what it must be.
    fn take(&self, count: usize) -> Vec<u32> {
        (0..count)
            .map(|_| match self.fetched.recv_timeout(PATIENCE).unwrap() {
                Fetched::Block(_, block, len, buffer) => {
                    let expected = content(block.0);
                    assert_eq!(&buffer[..len as usize], &expected[..]);
                    assert!(buffer[len as usize..].iter().all(|byte| *byte == 0));
                    self.fetcher.give_back(buffer);
                    block.0
                }
                Fetched::Spare(_) => panic!("memory comes back"),
                Fetched::Ended(_, reason) => panic!("{reason}"),
            })
            .collect()
    }

    fn end(&self) -> (u32, String) {
        loop {
            match self.fetched.recv_timeout(PATIENCE).unwrap() {
                Fetched::Ended(number, reason) => return (number, reason),
                Fetched::Spare(_) | Fetched::Block(..) => {}
            }
        }
    }
}

#[test]
fn blocks_go_from_node_to_node_as_they_were_sealed() {
    let (first, mut second, mut third) = (node(1, &KEY), node(2, &KEY), node(3, &KEY));
    // Fewer than memory holds, and the node in the middle stores nothing: only memory can pass them on.
    let all: Vec<u32> = (20..40).collect();
    third.fetcher.ask(1, second.at, blocks(&all)).unwrap();
    second.fetcher.ask(1, first.at, blocks(&all)).unwrap();
    first.shelf.stored(range(20, 40));
    assert_eq!(second.take(20), all);
    assert_eq!(third.take(20), all);
    assert_eq!(second.read.load(Ordering::Relaxed), 0);
}

#[test]
fn a_node_that_lags_gets_from_the_store_what_left_memory() {
    let (first, mut second, mut third) = (node(1, &KEY), node(2, &KEY), node(3, &KEY));
    // More than any memory here, so that the store must give its buffers back.
    let all: Vec<u32> = (20..100).collect();
    third.fetcher.ask(1, second.at, blocks(&all)).unwrap();
    second.fetcher.ask(1, first.at, blocks(&all)).unwrap();
    first.shelf.stored(range(20, 60));
    let (one, other) = std::thread::scope(|scope| {
        let one = scope.spawn(|| {
            let take = |_| {
                let block = second.take(1)[0];
                second.shelf.stored(range(block, block + 1));
                block
            };
            (0..80).map(take).collect::<Vec<u32>>()
        });
        let other = scope.spawn(|| third.take(80));
        first.shelf.stored(range(60, 100));
        (one.join().unwrap(), other.join().unwrap())
    });
    assert_eq!((one, other), (all.clone(), all));
}

#[test]
fn who_comes_later_gets_what_left_memory_from_the_store() {
    let (first, mut second) = (node(1, &KEY), node(2, &KEY));
    first.shelf.stored(range(0, 10));
    second.fetcher.ask(1, first.at, blocks(&[2, 5, 9])).unwrap();
    assert_eq!(second.take(3), [2, 5, 9]);
    // The same link, another wish.
    second.fetcher.ask(1, first.at, blocks(&[0])).unwrap();
    assert_eq!(second.take(1), [0]);
    assert_eq!(first.read.load(Ordering::Relaxed), 4);
}

#[test]
fn a_block_that_cannot_be_given_ends_the_link() {
    let (first, mut second) = (node(1, &KEY), node(2, &KEY));
    first.shelf.stored(range(12, 15));
    second
        .fetcher
        .ask(4, first.at, blocks(&[12, 13, 14]))
        .unwrap();
    assert_eq!(second.take(1), [12]);
    assert_eq!(second.end().0, 4);
}

#[test]
fn a_source_that_goes_away_is_told_of_and_another_goes_on() {
    let (first, mut second) = (node(1, &KEY), node(2, &KEY));
    first.shelf.stored(range(0, 1));
    second.fetcher.ask(1, first.at, blocks(&[0, 1])).unwrap();
    assert_eq!(second.take(1), [0]);
    drop(first);
    let (number, reason) = second.end();
    assert_eq!(number, 1, "{reason}");
    let other = node(3, &KEY);
    other.shelf.stored(range(0, 2));
    second.fetcher.ask(2, other.at, blocks(&[1])).unwrap();
    assert_eq!(second.take(1), [1]);
}

#[test]
fn nobody_listening_is_told_of() {
    let mut node = node(1, &KEY);
    let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    node.fetcher.ask(1, nobody, blocks(&[0])).unwrap();
    assert_eq!(node.end().0, 1);
}

#[test]
fn who_does_not_know_the_key_gets_nothing_and_gives_nothing() {
    let (first, mut stranger) = (node(1, &KEY), node(2, &[8; 16]));
    first.shelf.stored(range(0, 10));
    stranger.fetcher.ask(1, first.at, blocks(&[0])).unwrap();
    assert_eq!(stranger.end().0, 1);
    assert_eq!(first.read.load(Ordering::Relaxed), 0);

    // A proof heard before is worth nothing: the challenge is another.
    let mut replay = TcpStream::connect(first.at).unwrap();
    replay.write_all(&preamble(TAG)).unwrap();
    replay.write_all(&[0; 80]).unwrap();
    let mut answer = Vec::new();
    let _cut = replay.read_to_end(&mut answer);
    assert!(answer.len() <= 16, "a challenge and no more");
    assert_eq!(first.read.load(Ordering::Relaxed), 0);
}

#[test]
fn a_mute_connection_is_closed_in_time() {
    let first = node(1, &KEY);
    let began = Instant::now();
    let mut mute = TcpStream::connect(first.at).unwrap();
    let mut answer = Vec::new();
    let _cut = mute.read_to_end(&mut answer);
    assert!(answer.is_empty() && began.elapsed() >= HANDSHAKE_MAX / 2);
}

#[test]
fn who_drips_bytes_instead_of_a_proof_is_closed_in_time() {
    let first = node(1, &KEY);
    let began = Instant::now();
    let mut slow = TcpStream::connect(first.at).unwrap();
    let mut begins = preamble(TAG).to_vec();
    begins.extend_from_slice(&[0; 200]);
    for byte in begins {
        // Once closed, it cannot be written to.
        if slow.write_all(&[byte]).is_err() || began.elapsed() > PATIENCE {
            break;
        }
        std::thread::sleep(HANDSHAKE_MAX / 10);
    }
    let took = began.elapsed();
    assert!(
        (HANDSHAKE_MAX / 2..PATIENCE / 3).contains(&took),
        "{took:?}"
    );
}

#[test]
fn strangers_that_say_nothing_keep_nobody_out() {
    let (first, mut second) = (node(1, &KEY), node(2, &KEY));
    let mut strangers = Vec::new();
    for _ in 0..100 {
        let mut stranger = TcpStream::connect(first.at).unwrap();
        stranger.write_all(&preamble(TAG)).unwrap();
        // Served in the order in which they came.
        let mut challenge = [0; 16];
        stranger.read_exact(&mut challenge).unwrap();
        strangers.push(stranger);
    }
    first.shelf.stored(range(0, 1));
    second.fetcher.ask(1, first.at, blocks(&[0])).unwrap();
    assert_eq!(second.take(1), [0]);
}

#[test]
fn a_link_that_gave_what_is_of_no_use_ends_and_so_does_what_it_gave() {
    let (first, mut second, mut third) = (node(1, &KEY), node(2, &KEY), node(3, &KEY));
    first.shelf.stored(range(0, 2));
    second.fetcher.ask(4, first.at, blocks(&[0])).unwrap();
    assert_eq!(second.take(1), [0]);
    second.fetcher.refuse(3, BlockIndex(9));
    second.fetcher.ask(4, first.at, blocks(&[1])).unwrap();
    assert_eq!(second.take(1), [1], "another link's");
    second.fetcher.refuse(4, BlockIndex(0));
    // Of two blocks that came it gives one.
    third.fetcher.ask(1, second.at, blocks(&[1])).unwrap();
    assert_eq!(third.take(1), [1]);
    third.fetcher.ask(1, second.at, blocks(&[0])).unwrap();
    let waited = third.fetched.recv_timeout(Duration::from_secs(1));
    assert!(waited.is_err(), "it has block 0 no more");
}

#[test]
fn the_end_of_a_session_ends_its_threads() {
    let (first, mut second) = (node(1, &KEY), node(2, &KEY));
    second.fetcher.ask(1, first.at, blocks(&[0])).unwrap();
    second.shelf.close();
    for thread in second.fetcher.stop() {
        thread.join().unwrap();
    }
}
