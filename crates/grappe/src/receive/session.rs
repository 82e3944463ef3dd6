//! One session of the daemon: connecting to the sender, greeting, then carrying control messages
//! between the channel and the thread that drives the machine.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use grappe_os::udp::{MulticastReceiver, ReceiverOptions};
use grappe_proto::limits::PROTOCOL_VERSION;
use grappe_proto::receiver::Failure;
use grappe_proto::wire::control::{
    Done, ToReceiver, ToSender, Welcome, decode_to_receiver, encode,
};
use grappe_proto::wire::examine::Examine;
use tokio::sync::{mpsc, watch};

use super::RECEIVE_BUFFER;
use super::ahead::Ahead;
use super::carrier::{Carrier, Happening, Setup};
use super::destination::Destination;
use super::examined::be_examined;
use super::memory::Claim;
use super::notes::Notes;
use super::threads::LeftBehind;
use crate::announce::Heard;
use crate::control::{ChannelReader, ChannelWriter, Endpoint};
use crate::network::Network;
use crate::trust::{Identity, TrustFile};

/// The sender must welcome within this time.
const WELCOME_MAX: Duration = Duration::from_secs(5);

/// Threads of earlier sessions that may hang before no further copy is taken.
const LEFT_BEHIND_MAX: usize = 16;

/// What all sessions of a daemon share.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) network: Network,
    pub(super) endpoint: Endpoint,
    pub(super) destination: Arc<Destination>,
    /// For the turns of a gather, in which this node sends.
    pub(super) identity: Identity,
    pub(super) trust: TrustFile,
    /// What it shares in a gather.
    pub(super) share: Option<PathBuf>,
    /// The copies that it sends in one, which it hears announced as well.
    pub(super) own_copies: Mutex<Vec<[u8; 16]>>,
    pub(super) notes: Notes,
    pub(super) left_behind: Arc<LeftBehind>,
    /// How many processors a session makes use of.
    pub(super) processors: usize,
    /// Those that help where one of its threads cannot keep up.
    pub(super) ahead: Arc<Ahead>,
}

/// How a session ended for this node.
pub(super) struct Ended {
    pub(super) result: Result<Done, Failure>,
    /// Whether the peer proved to be the sender.
    pub(super) was_proved: bool,
    /// Whether the sender took this node in at all.
    pub(super) was_welcome: bool,
    /// Whether it was no copy, but an examination, and all of it was played.
    pub(super) was_examination: bool,
}

/// Takes part in the session that was heard of, from beginning to end, unless another attempt has
/// `claim`.
pub(super) async fn take_part(
    node: Arc<Node>,
    heard: Heard,
    claim: Claim,
    mut stop: watch::Receiver<Option<String>>,
) -> Ended {
    let mut was_proved = false;
    let greeted = tokio::select! {
        greeted = greet(&node, &heard, &claim, &mut was_proved) => greeted,
        // A sender that says nothing must not keep the daemon from its end.
        Ok(reason) = stop.wait_for(Option::is_some) => Err(Failure::Failed(reason.clone().unwrap_or_default())),
    };
    match greeted {
        Ok(Greeted::Welcome(greeted)) => Ended {
            result: play(&node, &heard, greeted, stop).await,
            was_proved,
            was_welcome: true,
            was_examination: false,
        },
        Ok(Greeted::Examine(examine, reader, writer)) => {
            let examined = be_examined(&node.network, &examine, reader, writer);
            let result = tokio::select! {
                result = examined => result,
                Ok(_) = stop.wait_for(Option::is_some) => Ok(()),
            };
            Ended {
                result: Err(Failure::SenderGone(result.err().unwrap_or_default())),
                was_proved,
                was_welcome: false,
                was_examination: true,
            }
        }
        Err(failure) => {
            if was_proved {
                claim.release();
            }
            Ended {
                result: Err(failure),
                was_proved,
                was_welcome: false,
                was_examination: false,
            }
        }
    }
}

/// The answer to a greeting.
enum Greeted {
    /// The copy begins.
    Welcome(Joined),
    /// There is no copy: the network is looked at.
    Examine(Examine, ChannelReader, ChannelWriter),
}

/// The control connection of a node that the sender welcomed.
struct Joined {
    reader: ChannelReader,
    writer: ChannelWriter,
    welcome: Welcome,
}

async fn greet(
    node: &Node,
    heard: &Heard,
    claim: &Claim,
    was_proved: &mut bool,
) -> Result<Greeted, Failure> {
    let gone = |reason: String| Failure::SenderGone(reason);
    let channel = node
        .endpoint
        .connect(heard.control, heard.sender)
        .await
        .map_err(|error| gone(error.to_string()))?;
    if !claim.take() {
        let text = "the copy is taken already, by way of another address";
        return Err(gone(text.into()));
    }
    *was_proved = true;
    node.notes.of(heard.session).joining(*heard);
    let (mut reader, mut writer) = channel.split();
    let greeting = ToSender::Hello {
        version: PROTOCOL_VERSION,
        name: node.name.clone(),
        session: heard.session.0,
    };
    writer
        .write_frame(&encode(&greeting))
        .await
        .map_err(|error| gone(error.to_string()))?;
    let welcome = tokio::time::timeout(WELCOME_MAX, read(&mut reader)).await;
    match welcome
        .map_err(|_| gone("the sender did not welcome this node".into()))?
        .map_err(gone)?
    {
        Some(ToReceiver::Welcome(welcome)) => Ok(Greeted::Welcome(Joined {
            reader,
            writer,
            welcome,
        })),
        Some(ToReceiver::Examine(examine)) => Ok(Greeted::Examine(examine, reader, writer)),
        Some(ToReceiver::Refused { reason }) => Err(Failure::Refused(reason)),
        Some(_) => Err(gone("the sender broke the protocol: no welcome".into())),
        None => Err(gone("the sender closed the connection".into())),
    }
}

async fn play(
    node: &Node,
    heard: &Heard,
    greeted: Joined,
    mut stop: watch::Receiver<Option<String>>,
) -> Result<Done, Failure> {
    let Joined {
        mut reader,
        mut writer,
        welcome,
    } = greeted;
    let (outbox, messages) = mpsc::unbounded_channel();
    let started = start(node, heard, welcome, outbox);
    let (carrier, happened) = match started {
        Ok(started) => started,
        Err(reason) => {
            let _gone = writer
                .write_frame(&encode(&ToSender::Failed {
                    reason: reason.clone(),
                }))
                .await;
            let _gone = writer.close().await;
            return Err(Failure::Failed(reason));
        }
    };
    let writing = tokio::spawn(write_all(writer, messages));
    let reading = {
        let happened = happened.clone();
        tokio::spawn(async move {
            loop {
                let happening = match read(&mut reader).await {
                    Ok(Some(message)) => Happening::Control(message),
                    Ok(None) => Happening::Closed("the sender closed the connection".into()),
                    Err(reason) => Happening::Closed(reason),
                };
                let ends = matches!(happening, Happening::Closed(_));
                if happened.send(happening).is_err() || ends {
                    return;
                }
            }
        })
    };
    let mut playing = tokio::task::spawn_blocking(move || carrier.run());
    let result = loop {
        tokio::select! {
            result = &mut playing => break result,
            Ok(()) = stop.changed() => {
                let reason = stop.borrow_and_update().clone();
                if let Some(reason) = reason {
                    let _over = happened.send(Happening::Stop(reason));
                }
            }
        }
    };
    reading.abort();
    let _last_words = tokio::time::timeout(WELCOME_MAX, writing).await;
    result.unwrap_or_else(|_| {
        Err(Failure::Failed(
            "the session's thread ended unexpectedly".into(),
        ))
    })
}

fn start(
    node: &Node,
    heard: &Heard,
    welcome: Welcome,
    outbox: mpsc::UnboundedSender<ToSender>,
) -> Result<(Carrier, flume::Sender<Happening>), String> {
    let hanging = node.left_behind.count();
    if hanging >= LEFT_BEHIND_MAX {
        let into = node.destination.path().display();
        return Err(format!(
            "{hanging} threads of earlier copies still hang; look at the file system of {into}"
        ));
    }
    let group = welcome.group;
    if !group.is_multicast() {
        return Err(format!(
            "the sender names {group} as its group, which is none"
        ));
    }
    let group = SocketAddr::new(group, welcome.port);
    let interface = &node.network.interface;
    let options = ReceiverOptions {
        interface,
        group,
        receive_buffer: RECEIVE_BUFFER,
    };
    let socket = MulticastReceiver::join(options).map_err(|error| {
        format!(
            "cannot join the group {group} on {}: {error}",
            interface.name
        )
    })?;
    Carrier::start(Setup {
        welcome,
        socket,
        sender: heard.control,
        local: interface.socket_address(0),
        destination: node.destination.as_named()?,
        link_port: node.network.port,
        outbox,
        notes: node.notes.of(heard.session),
        left_behind: Arc::clone(&node.left_behind),
        processors: node.processors,
        ahead: Arc::clone(&node.ahead),
    })
}

pub(super) async fn read(reader: &mut ChannelReader) -> Result<Option<ToReceiver>, String> {
    match reader
        .read_frame()
        .await
        .map_err(|error| error.to_string())?
    {
        Some(frame) => decode_to_receiver(&frame)
            .map(Some)
            .map_err(|error| error.to_string()),
        None => Ok(None),
    }
}

async fn write_all(mut writer: ChannelWriter, mut messages: mpsc::UnboundedReceiver<ToSender>) {
    while let Some(message) = messages.recv().await {
        if writer.write_frame(&encode(&message)).await.is_err() {
            return;
        }
    }
    let _gone = writer.close().await;
}
