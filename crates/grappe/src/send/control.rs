//! The sender's control plane: one thread that announces the session, accepts receivers' connections,
//! judges their keys, and carries messages between them and the machine.
//!
//! It decides nothing about the session itself.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use flume::Sender;
use grappe_os::udp::SendOutcome;
use grappe_proto::wire::control::{ToReceiver, ToSender, decode_to_sender, encode};
use grappe_proto::wire::link::LINK_MAGIC;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::MissedTickBehavior;

use super::Happening;
use super::outage::{Outage, QUEUE_FULL, Verdict};
use crate::announce::{ANNOUNCE_INTERVAL, ANNOUNCE_INTERVAL_LATE, Announcer};
use crate::control::{ChannelReader, ChannelWriter, ControlError, Endpoint};
use crate::nodeset::NAME_BYTES_MAX;
use crate::trust::{PublicKey, TrustFile};

/// A receiver that connected must greet within this time.
const GREETING_MAX: Duration = Duration::from_secs(5);

/// Connections that wait for their last message to leave when the session is over.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// Connections at one time; beyond, newcomers wait in the kernel's queue.
const CONNECTIONS_MAX: usize = grappe_proto::limits::PEERS_MAX + 64;

/// Descriptors that connections leave to the files being read and to everything else.
const DESCRIPTORS_RESERVED: u64 = 256;

/// Where the machine's messages to one receiver go; dropping it closes the connection.
pub(super) type Outbox = mpsc::UnboundedSender<Word>;

/// Messages that are encoded already, one in each frame, and that many receivers get.
pub(super) type Frames = Arc<[Vec<u8>]>;

/// What a receiver is told.
#[derive(Debug)]
pub(super) enum Word {
    Message(ToReceiver),
    Frames(Frames),
}

/// The number of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Connection(u64);

/// The running control plane.
pub(super) struct ControlPlane {
    thread: JoinHandle<()>,
    flow_begins: Option<oneshot::Sender<()>>,
    stop: Option<oneshot::Sender<()>>,
}

/// What the control plane works with.
pub(super) struct Setup {
    pub(super) listener: std::net::TcpListener,
    pub(super) endpoint: Endpoint,
    pub(super) trust: TrustFile,
    pub(super) session: [u8; 16],
    /// None when receivers are called by other means.
    pub(super) announcer: Option<Announcer>,
    /// Names to announce to by unicast besides the group.
    pub(super) nodes: Vec<String>,
    pub(super) port: u16,
}

impl ControlPlane {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When no thread or no runtime can be made.
    pub(super) fn start(setup: Setup, happenings: Sender<Happening>) -> io::Result<Self> {
        setup.listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (flow_begins, flow_began) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("control".into())
            .spawn(move || {
                runtime.block_on(serve(setup, happenings, flow_began, stopped));
                // A name server that does not answer must not hold the copy's end.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            thread,
            flow_begins: Some(flow_begins),
            stop: Some(stop),
        })
    }

    /// Who comes now comes late, and is not waited for.
    pub(super) fn announce_rarely(&mut self) {
        self.flow_begins = None;
    }

    /// Ends the thread once the last messages have left.
    pub(super) fn stop(mut self) {
        self.stop = None;
        if self.thread.join().is_err() {
            debug_assert!(false, "the control thread panicked");
        }
    }
}

async fn serve(
    setup: Setup,
    happenings: Sender<Happening>,
    flow_began: oneshot::Receiver<()>,
    mut stopped: oneshot::Receiver<()>,
) {
    let Setup {
        listener,
        endpoint,
        trust,
        session,
        announcer,
        nodes,
        port,
    } = setup;
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            let _over = happenings.send(Happening::Broken(format!("control port: {error}")));
            return;
        }
    };
    let (closing, closed) = watch::channel(false);
    let gate = Arc::new(Gate {
        endpoint,
        trust,
        session,
        happenings: happenings.clone(),
        next: AtomicU64::new(0),
        closed,
    });
    let mut announcing = tokio::spawn(async move {
        if let Some(announcer) = announcer {
            announce(announcer, nodes, port, happenings, flow_began).await;
        }
    });
    let mut connections = JoinSet::new();
    let connections_max = connections_max();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < connections_max => match accepted {
                Ok((stream, address)) => { connections.spawn(Arc::clone(&gate).receive(stream, address)); }
                // Out of descriptors, most likely: waiting helps, spinning does not.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
    announcing.abort();
    // Those who never greeted have nothing to be told.
    let _nobody = closing.send(true);
    let _aborted = (&mut announcing).await;
    let farewell = async { while connections.join_next().await.is_some() {} };
    let _in_time = tokio::time::timeout(FAREWELL_MAX, farewell).await;
}

async fn announce(
    announcer: Announcer,
    nodes: Vec<String>,
    port: u16,
    happenings: Sender<Happening>,
    mut flow_began: oneshot::Receiver<()>,
) {
    let (found, mut lookups) = mpsc::unbounded_channel();
    for node in nodes {
        let found = found.clone();
        // A name that does not resolve is no error: its node may hear the group.
        tokio::spawn(async move {
            if let Ok(addresses) = tokio::net::lookup_host((node, port)).await {
                for address in addresses {
                    let _over = found.send(address.ip());
                }
            }
        });
    }
    drop(found);
    let mut addresses: Vec<IpAddr> = Vec::new();
    let mut ticks = tokio::time::interval(ANNOUNCE_INTERVAL);
    // What was missed is not made up for: nobody would be reached sooner.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut flows = false;
    let announcer = Arc::new(announcer);
    let mut outage = Outage::without_end("cannot announce to the group");
    loop {
        tokio::select! {
            _ = &mut flow_began, if !flows => {
                flows = true;
                ticks = tokio::time::interval(ANNOUNCE_INTERVAL_LATE);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            }
            Some(address) = lookups.recv() => addresses.push(address),
            _ = ticks.tick() => {
                // A full queue blocks for a while, and connections must not wait for it.
                let (announcer, addresses) = (Arc::clone(&announcer), addresses.clone());
                let announced = spawn_blocking(move || announcer.announce(&addresses)).await;
                if let Some(text) = announced.ok().and_then(|announced| judge(&announced, &mut outage)) {
                    let _over = happenings.send(Happening::Note(text));
                }
            }
        }
    }
}

/// What to tell the user about an announcement.
fn judge(announced: &io::Result<SendOutcome>, outage: &mut Outage) -> Option<String> {
    let now = Instant::now();
    let verdict = match announced {
        Ok(SendOutcome::Sent { .. }) => return outage.passed(now),
        Ok(SendOutcome::Refused { .. }) => outage.failed_for(now, QUEUE_FULL.into()),
        Err(error) => outage.failed(now, error),
    };
    match verdict {
        Verdict::Bear => None,
        Verdict::Tell(text) | Verdict::GiveUp(text) => Some(text),
    }
}

/// As many connections as the process has descriptors for, beside those of files still to be opened.
fn connections_max() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.map_or(CONNECTIONS_MAX, |limit| {
        usize::try_from(limit.saturating_sub(DESCRIPTORS_RESERVED)).unwrap_or(usize::MAX)
    });
    limit.clamp(16, CONNECTIONS_MAX)
}

/// A receiver whose key is trusted and that has said its name.
struct Greeted {
    name: String,
    reader: ChannelReader,
    writer: ChannelWriter,
}

/// Who may pass, and where what they say goes.
struct Gate {
    endpoint: Endpoint,
    trust: TrustFile,
    session: [u8; 16],
    happenings: Sender<Happening>,
    next: AtomicU64,
    /// Becomes true when the session is over.
    closed: watch::Receiver<bool>,
}

impl Gate {
    async fn receive(self: Arc<Self>, stream: TcpStream, address: SocketAddr) {
        let connection = Connection(self.next.fetch_add(1, Ordering::Relaxed));
        if let Err(reason) = self.converse(connection, stream, address).await {
            let _over = self
                .happenings
                .send(Happening::Left(connection, address, reason));
        }
    }

    /// The whole life of a connection; ends with the reason for its end.
    async fn converse(
        &self,
        connection: Connection,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<(), String> {
        let mut closed = self.closed.clone();
        let is_link = tokio::select! {
            is_link = is_link(&stream) => is_link?,
            _ = closed.wait_for(|closed| *closed) => return Ok(()),
        };
        if is_link {
            let stream = stream.into_std().map_err(|error| error.to_string())?;
            let _over = self.happenings.send(Happening::Link(stream));
            return Ok(());
        }
        let greeted = tokio::select! {
            greeted = self.greet(stream) => greeted?,
            _ = closed.wait_for(|closed| *closed) => return Ok(()),
        };
        let Greeted {
            name,
            mut reader,
            writer,
        } = greeted;
        let (outbox, messages) = mpsc::unbounded_channel();
        let hello = Happening::Hello {
            connection,
            name,
            address,
            outbox,
        };
        if self.happenings.send(hello).is_err() {
            return Ok(());
        }
        let writing = tokio::spawn(write_all(writer, messages));
        let end = self.read_all(connection, &mut reader).await;
        let _over = self
            .happenings
            .send(Happening::Left(connection, address, end));
        let _ended = writing.await;
        Ok(())
    }

    /// Proves the key at the other end and hears who is there.
    async fn greet(&self, stream: TcpStream) -> Result<Greeted, String> {
        let (key, channel) = self
            .endpoint
            .accept(stream)
            .await
            .map_err(|error| error.to_string())?;
        let (mut reader, mut writer) = channel.split();
        if !self
            .trust
            .role_of(&key)
            .is_some_and(|role| role.may_receive())
        {
            let reason = untrusted(&key);
            let told = encode(&ToReceiver::Refused {
                reason: reason.clone(),
            });
            let _gone = writer.write_frame(&told).await;
            let _gone = writer.close().await;
            return Err(reason);
        }
        let greeting = tokio::time::timeout(GREETING_MAX, reader.read_frame()).await;
        let greeting = greeting.map_err(|_| "connected but did not greet".to_owned())?;
        let name = self.check_greeting(greeting)?;
        Ok(Greeted {
            name,
            reader,
            writer,
        })
    }

    fn check_greeting(
        &self,
        greeting: Result<Option<Vec<u8>>, ControlError>,
    ) -> Result<String, String> {
        let frame = greeting
            .map_err(|error| error.to_string())?
            .ok_or("closed before greeting")?;
        match decode_to_sender(&frame).map_err(|error| error.to_string())? {
            ToSender::Hello { name, session, .. } if session == self.session => {
                let clean: String = name
                    .chars()
                    .filter(|character| !character.is_control())
                    .take(NAME_BYTES_MAX)
                    .collect();
                Ok(if clean.is_empty() {
                    "unnamed".into()
                } else {
                    clean
                })
            }
            ToSender::Hello { .. } => Err("came for another session".into()),
            _ => Err("did not greet first".into()),
        }
    }

    async fn read_all(&self, connection: Connection, reader: &mut ChannelReader) -> String {
        loop {
            let frame = match reader.read_frame().await {
                Ok(Some(frame)) => frame,
                Ok(None) => return "closed its connection".into(),
                Err(error) => return error.to_string(),
            };
            match decode_to_sender(&frame) {
                Ok(message) => {
                    if self
                        .happenings
                        .send(Happening::Message(connection, message))
                        .is_err()
                    {
                        return "the session is over".into();
                    }
                }
                Err(error) => return error.to_string(),
            }
        }
    }
}

/// Whether a connection begins as a link of the pipeline does, rather than as TLS. Nothing is taken from it.
async fn is_link(stream: &TcpStream) -> Result<bool, String> {
    let mut begins = [0; LINK_MAGIC.len()];
    let peeked = tokio::time::timeout(GREETING_MAX, stream.peek(&mut begins)).await;
    let count = peeked
        .map_err(|_| "connected but said nothing".to_owned())?
        .map_err(|error| error.to_string())?;
    // The first byte decides; the link itself looks at the others.
    Ok(count > 0 && begins.first() == LINK_MAGIC.first())
}

async fn write_all(mut writer: ChannelWriter, mut words: mpsc::UnboundedReceiver<Word>) {
    while let Some(word) = words.recv().await {
        let frames = match word {
            Word::Message(message) => Arc::from([encode(&message)]),
            Word::Frames(frames) => frames,
        };
        for frame in &*frames {
            if writer.write_frame(frame).await.is_err() {
                return;
            }
        }
    }
    let _gone = writer.close().await;
}

fn untrusted(key: &PublicKey) -> String {
    format!(
        "the key {} is not trusted to receive; add it to the sender's trust file",
        key.fingerprint()
    )
}
