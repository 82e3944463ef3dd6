//! The coordinator's control plane: one thread that calls the nodes, accepts their connections, judges
//! their keys, and carries messages between them and the machine.
//!
//! It decides nothing about the gather itself.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::Sender;
use grappe_proto::limits::PEERS_MAX;
use grappe_proto::wire::control::encode;
use grappe_proto::wire::gather::{ToCoordinator, ToMember, decode_to_coordinator};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::MissedTickBehavior;

use super::{Happening, Messages};
use crate::announce::{ANNOUNCE_INTERVAL, Announcer};
use crate::control::{ChannelReader, ChannelWriter, Endpoint};
use crate::trust::TrustFile;

/// A node that connected must greet within this time.
const GREETING_MAX: Duration = Duration::from_secs(5);

/// Connections that wait for their last message to leave when the gather is over.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// Connections at one time; beyond, newcomers wait in the kernel's queue.
const CONNECTIONS_MAX: usize = PEERS_MAX + 64;

/// Characters of a name that are kept.
const NAME_CHARACTERS_MAX: usize = crate::nodeset::NAME_BYTES_MAX;

/// Where the machine's messages to one node go; dropping it closes the connection.
pub(super) type Outbox = mpsc::UnboundedSender<ToMember>;

/// The number of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Connection(u64);

/// What the control plane works with.
pub(super) struct Setup {
    pub(super) listener: std::net::TcpListener,
    pub(super) endpoint: Endpoint,
    pub(super) trust: TrustFile,
    pub(super) gather: [u8; 16],
    /// None where nodes are called by other means.
    pub(super) announcer: Option<Announcer>,
    /// Names to announce to by unicast besides the group.
    pub(super) nodes: Vec<String>,
    pub(super) port: u16,
}

/// The running control plane.
pub(super) struct Server {
    thread: JoinHandle<()>,
    announcing: Option<oneshot::Sender<()>>,
    stop: oneshot::Sender<()>,
}

impl Server {
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
        let (announcing, announced) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("control".into())
            .spawn(move || {
                runtime.block_on(serve(setup, happenings, announced, stopped));
                // A name server that does not answer must not hold the end.
                runtime.shutdown_background();
            })?;
        Ok(Self {
            thread,
            announcing: Some(announcing),
            stop,
        })
    }

    /// Who comes now comes too late.
    pub(super) fn stop_announcing(&mut self) {
        self.announcing = None;
    }

    /// Ends the thread once the last messages have left.
    pub(super) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            debug_assert!(false, "the control thread panicked");
        }
    }
}

async fn serve(
    setup: Setup,
    happenings: Sender<Happening>,
    announced: oneshot::Receiver<()>,
    mut stopped: oneshot::Receiver<()>,
) {
    let listener = match TcpListener::from_std(setup.listener) {
        Ok(listener) => listener,
        Err(error) => {
            let _over = happenings.send(Happening::Note(format!("control port: {error}")));
            return;
        }
    };
    let gate = Arc::new(Gate {
        endpoint: setup.endpoint,
        trust: setup.trust,
        gather: setup.gather,
        happenings: happenings.clone(),
        next: AtomicU64::new(0),
    });
    let announcing = setup
        .announcer
        .map(|announcer| tokio::spawn(announce(announcer, setup.nodes, setup.port, announced)));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, address)) => { connections.spawn(Arc::clone(&gate).receive(stream, address)); }
                // Out of descriptors, most likely: waiting helps, spinning does not.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
    if let Some(announcing) = announcing {
        announcing.abort();
    }
    let farewell = async { while connections.join_next().await.is_some() {} };
    let _in_time = tokio::time::timeout(FAREWELL_MAX, farewell).await;
}

async fn announce(
    announcer: Announcer,
    nodes: Vec<String>,
    port: u16,
    mut announced: oneshot::Receiver<()>,
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
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let announcer = Arc::new(announcer);
    loop {
        tokio::select! {
            _ = &mut announced => return,
            Some(address) = lookups.recv() => addresses.push(address),
            _ = ticks.tick() => {
                // A full queue blocks for a while, and connections must not wait for it.
                let (announcer, addresses) = (Arc::clone(&announcer), addresses.clone());
                let _again_soon = spawn_blocking(move || announcer.announce(&addresses)).await;
            }
        }
    }
}

/// A node whose key is trusted and that has said its name.
struct Greeted {
    name: String,
    reader: ChannelReader,
    writer: ChannelWriter,
}

/// Who may pass, and where what they say goes.
struct Gate {
    endpoint: Endpoint,
    trust: TrustFile,
    gather: [u8; 16],
    happenings: Sender<Happening>,
    next: AtomicU64,
}

impl Gate {
    async fn receive(self: Arc<Self>, stream: TcpStream, address: SocketAddr) {
        let connection = Connection(self.next.fetch_add(1, Ordering::Relaxed));
        if let Err(reason) = self.converse(connection, stream, address).await {
            let left = Happening::Left(connection, address, reason);
            let _over = self.happenings.send(left);
        }
    }

    /// The whole life of a connection; ends with the reason for its end.
    async fn converse(
        &self,
        connection: Connection,
        stream: TcpStream,
        address: SocketAddr,
    ) -> Result<(), String> {
        let Greeted {
            name,
            mut reader,
            writer,
        } = self.greet(stream).await?;
        let (outbox, messages) = mpsc::unbounded_channel();
        let hello = Happening::Hello {
            connection,
            name,
            address: address.ip(),
            outbox,
        };
        if self.happenings.send(hello).is_err() {
            return Ok(());
        }
        let writing = tokio::spawn(write_all(writer, messages));
        let end = self.read_all(connection, &mut reader).await;
        let left = Happening::Left(connection, address, end);
        let _over = self.happenings.send(left);
        let _ended = writing.await;
        Ok(())
    }

    /// Proves the key at the other end and hears who is there.
    async fn greet(&self, stream: TcpStream) -> Result<Greeted, String> {
        let accepted = self.endpoint.accept(stream).await;
        let (key, channel) = accepted.map_err(|error| error.to_string())?;
        let (mut reader, mut writer) = channel.split();
        let role = self.trust.role_of(&key);
        // A member sends its part as well.
        if !role.is_some_and(|role| role.may_receive() && role.may_send()) {
            let reason = format!(
                "the key {} is not trusted both to send and to receive; see the coordinator's trust file",
                key.fingerprint()
            );
            let told = encode(&ToMember::Refused {
                reason: reason.clone(),
            });
            let _gone = writer.write_frame(&told).await;
            let _gone = writer.close().await;
            return Err(reason);
        }
        let greeting = tokio::time::timeout(GREETING_MAX, reader.read_frame()).await;
        let greeting = greeting.map_err(|_| "connected but did not greet".to_owned())?;
        let frame = greeting
            .map_err(|error| error.to_string())?
            .ok_or("closed before greeting")?;
        let name = self.name_in(&frame)?;
        Ok(Greeted {
            name,
            reader,
            writer,
        })
    }

    fn name_in(&self, frame: &[u8]) -> Result<String, String> {
        match decode_to_coordinator(frame).map_err(|error| error.to_string())? {
            ToCoordinator::Hello { name, gather, .. } if gather == self.gather => {
                let clean: String = name
                    .chars()
                    .filter(|character| !character.is_control())
                    .take(NAME_CHARACTERS_MAX)
                    .collect();
                // As the senders of the turns will know it.
                if clean.is_empty() || clean != name {
                    return Err("its name is empty, too long or not printable".into());
                }
                Ok(clean)
            }
            ToCoordinator::Hello { .. } => Err("came for another gather".into()),
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
            match decode_to_coordinator(&frame) {
                Ok(message) => {
                    let said = Happening::Message(connection, message);
                    if self.happenings.send(said).is_err() {
                        return "the gather is over".into();
                    }
                }
                Err(error) => return error.to_string(),
            }
        }
    }
}

async fn write_all(mut writer: ChannelWriter, mut messages: Messages) {
    while let Some(message) = messages.recv().await {
        if writer.write_frame(&encode(&message)).await.is_err() {
            return;
        }
    }
    let _gone = writer.close().await;
}
