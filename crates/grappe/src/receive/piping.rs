//! This node's part in the pipeline, once the sender gives it one: what it fetches, and what others fetch
//! from it. Made when it is first needed; most copies never do.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;

use grappe_proto::content::block_set::BlockSet;
use grappe_proto::receiver::Source;
use grappe_proto::seal::{KEY_LEN, SealKey, Suite};
use grappe_proto::units::BlockIndex;
use grappe_proto::wire::control::Welcome;

use super::store::Store;
use crate::pipeline::{Backing, Fetched, Fetcher, Server, Shelf};

/// What a node must know to take part.
pub(super) struct Setup {
    tag: u32,
    suite: Suite,
    key: [u8; KEY_LEN],
    /// The number under which it seals records.
    sealer: u32,
    symbol_size: u16,
    /// Where the sender takes control connections, and links.
    sender: SocketAddr,
    /// The port to listen at, if it is free.
    port: u16,
}

impl Setup {
    pub(super) fn new(welcome: &Welcome, sender: SocketAddr, port: u16) -> Self {
        Self {
            tag: welcome.tag,
            suite: welcome.suite,
            key: welcome.data_key,
            sealer: u32::from(welcome.peer) + 1,
            symbol_size: welcome.symbol_size,
            sender,
            port,
        }
    }
}

/// A node's part in the pipeline.
pub(super) struct Piping {
    sender: SocketAddr,
    port: u16,
    shelf: Arc<Shelf>,
    server: Server,
    fetcher: Fetcher,
}

impl Piping {
    /// The part of a node that has stored `have`.
    pub(super) fn new(
        setup: &Setup,
        store: &Arc<Store>,
        have: &BlockSet,
        deliver: impl Fn(Fetched) + Send + Sync + 'static,
    ) -> Self {
        let backing = Box::new(StoreBacking(Arc::clone(store)));
        let key = SealKey::new(setup.suite, &setup.key);
        let shelf = Arc::new(Shelf::new(setup.tag, key, setup.sealer, backing));
        let piping = Self {
            sender: setup.sender,
            port: setup.port,
            server: Server::new(Arc::clone(&shelf)),
            fetcher: Fetcher::new(Arc::clone(&shelf), setup.symbol_size, Arc::new(deliver)),
            shelf,
        };
        piping.has(have);
        piping
    }

    /// Takes others' connections; answers at which port.
    ///
    /// # Errors
    ///
    /// When the system has no port or no thread left.
    pub(super) fn serve(&mut self) -> io::Result<u16> {
        let any = match self.sender {
            SocketAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        self.server.listen(any, self.port)
    }

    /// Fetches blocks from a source.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(super) fn fetch(&mut self, source: Source, blocks: BlockSet) -> io::Result<()> {
        let address = match (source.address, source.port, self.sender) {
            (address, 0, sender) if address.is_unspecified() => sender,
            (address, port, mut sender) if address.is_unspecified() => {
                sender.set_port(port);
                sender
            }
            // An address of the link alone is reached by the interface that reaches the sender.
            (IpAddr::V6(address), port, SocketAddr::V6(sender)) => {
                SocketAddrV6::new(address, port, 0, sender.scope_id()).into()
            }
            (address, port, _) => SocketAddr::new(address, port),
        };
        self.fetcher.ask(source.number, address, blocks)
    }

    /// These blocks are stored.
    pub(super) fn has(&self, blocks: &BlockSet) {
        for run in blocks.runs() {
            self.stored(run);
        }
    }

    pub(super) fn stored(&self, blocks: Range<BlockIndex>) {
        self.shelf.stored(blocks);
    }

    /// A block that came by multicast is stored: keeps it at hand if somebody fetches here.
    pub(super) fn keep(&self, block: BlockIndex, bytes: &[u8]) {
        if self.server.has_links() {
            self.shelf.keep(block, bytes);
        }
        self.stored(block..block.next());
    }

    /// What the link `number` gave of `block` is of no use: ends the link.
    pub(super) fn refuse(&mut self, number: u32, block: BlockIndex) {
        self.fetcher.refuse(number, block);
    }

    /// Takes the memory of a block back.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        self.fetcher.give_back(buffer);
    }

    /// Ends it; answers the threads, which end soon.
    pub(super) fn stop(mut self) -> Vec<JoinHandle<()>> {
        self.shelf.close();
        self.fetcher.stop()
    }
}

/// What is stored, for nodes that are far behind this one.
struct StoreBacking(Arc<Store>);

impl Backing for StoreBacking {
    fn reached(&self, _block: BlockIndex) {}

    fn read(&self, block: BlockIndex, buffer: &mut Vec<u8>) -> Result<(), String> {
        self.0.read_back(block, buffer)
    }
}
