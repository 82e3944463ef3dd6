//! What receivers of the pipeline fetch from the sender: every block, read when it is asked for and
//! hashed on the way.

use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flume::Sender;
use grappe_proto::seal::SealKey;
use grappe_proto::units::{BlockIndex, Rate};

use super::Happening;
use super::readers::Content;
use super::threads::guarded;
use crate::pipeline::{Backing, Server, Shelf};

/// The number under which a sender seals records; no receiver has it.
const SEALER: u32 = u32::MAX;

/// The sender's end of links.
pub(super) struct Piping {
    content: Arc<Content>,
    shelf: Arc<Shelf>,
    server: Option<Server>,
}

impl Piping {
    pub(super) fn new(
        tag: u32,
        key: SealKey,
        content: &Arc<Content>,
        rate: Option<Rate>,
        happened: Sender<Happening>,
    ) -> Self {
        let backing = Box::new(ContentBacking {
            content: Arc::clone(content),
            happened,
            rate,
            free_at: Mutex::new(Instant::now()),
        });
        let shelf = Arc::new(Shelf::new(tag, key, SEALER, backing));
        shelf.stored(content.laid().stream.manifest_blocks());
        Self {
            content: Arc::clone(content),
            server: Some(Server::new(Arc::clone(&shelf))),
            shelf,
        }
    }

    /// It is settled where the content stands in the stream.
    pub(super) fn has_content(&self) {
        self.shelf
            .stored(self.content.laid().stream.content_blocks());
    }

    /// The digests are formed.
    pub(super) fn has_digests(&self) {
        self.shelf
            .stored(self.content.laid().stream.digests_blocks());
    }

    /// Takes the connection of a receiver.
    pub(super) fn take(&self, stream: TcpStream) {
        if let Some(server) = &self.server {
            server.take(stream);
        }
    }

    /// Ends all links.
    pub(super) fn stop(&mut self) {
        self.server = None;
    }
}

/// The files.
struct ContentBacking {
    content: Arc<Content>,
    happened: Sender<Happening>,
    /// The most that all links may take together.
    rate: Option<Rate>,
    /// When the next block may be read at that rate.
    free_at: Mutex<Instant>,
}

impl ContentBacking {
    /// Waits until a block of so many bytes may leave.
    fn pace(&self, bytes: usize) {
        let Some(rate) = self.rate else { return };
        let taken = Duration::from_secs_f64(bytes as f64 / rate.bytes_per_second() as f64);
        let now = Instant::now();
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = (*free_at).max(now);
        *free_at = begins + taken;
        drop(free_at);
        thread::sleep(begins.saturating_duration_since(now));
    }
}

impl Backing for ContentBacking {
    fn reached(&self, block: BlockIndex) {
        let _over = self.happened.send(Happening::Reached(block));
    }

    fn read(&self, block: BlockIndex, buffer: &mut Vec<u8>) -> Result<(), String> {
        if let Err(panic) = guarded(|| self.content.read_plain(block, buffer)) {
            let text = format!("reading block {block} failed by a defect of this program: {panic}");
            let _over = self.happened.send(Happening::Broken(text.clone()));
            return Err(text);
        }
        self.pace(buffer.len());
        if self.content.laid().stream.content_blocks().contains(&block) {
            let _over = self.happened.send(Happening::Hashed(block));
        }
        Ok(())
    }
}
