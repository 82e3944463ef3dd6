//! Sending a copy: what the program's `send` does once its flags are understood.
//!
//! [`send`] opens the source and the sockets, starts the threads (control plane, readers, report
//! listener) and then drives the machine of `grappe-proto` until its summary.

mod carrier;
mod cipher;
mod control;
mod courier;
mod leader;
mod leisure;
mod opening;
mod outage;
mod pipe;
mod piping;
mod readers;
mod reports;
mod standstill;
mod survey;
mod threads;
mod transmit;

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use grappe_os::udp::{InterfaceError, MulticastSender, SenderOptions};
use grappe_proto::content::stream::StreamError;
use grappe_proto::content::survey::Survey;
use grappe_proto::rate::RateLimits;
use grappe_proto::seal::Suite;
use grappe_proto::sender::Sender as Machine;
pub use grappe_proto::sender::{Event, Progress, Reception};
use grappe_proto::session::{Expectation, NodeOutcome};
pub use grappe_proto::session::{Straggler, Transport, Way};
use grappe_proto::units::{BlockIndex, Digest, Rate, SessionId};
use grappe_proto::wire::control::ToSender;

use self::carrier::Carrier;
use self::control::{Connection, Outbox};
use self::leader::Leader;
use crate::control::ControlError;
use crate::files::{Skipped, Source, SourceError, SourceOptions};
use crate::network::{Network, packet_bytes, symbol_size};
use crate::trust::{Identity, TrustFile};

/// Bytes in the send buffer: enough to keep the link busy over a scheduling gap; what waits there can
/// no longer be slowed down.
const SEND_BUFFER: usize = 1 << 20;

/// What to send, to whom, and how.
#[derive(Debug)]
pub struct SendOptions {
    /// Files and directories.
    pub paths: Vec<PathBuf>,
    /// Sends standard input instead, to arrive as a file of this name.
    pub stream: Option<OsString>,
    /// What of them is sent, and what receivers are asked to do.
    pub source: SourceOptions,
    /// This node's key.
    pub identity: Identity,
    /// Whose receivers may take part.
    pub trust: TrustFile,
    /// Where the copy travels.
    pub network: Network,
    /// Whom to wait for.
    pub expectation: Expectation,
    /// How long to wait for them.
    pub wait: Duration,
    /// What becomes of receivers that are far slower than the others.
    pub straggler: Straggler,
    /// How content gets to receivers.
    pub transport: Transport,
    /// What packets are sealed with; the faster suite, if none is given.
    pub cipher: Option<Suite>,
    /// The most to send, in bytes per second.
    pub rate: Option<Rate>,
    /// Port of this node for control connections (TCP) and for reports (UDP); 0 leaves both to the
    /// kernel.
    pub control_port: u16,
    /// Whether to announce the session; receivers that are called by other means need no announcement.
    pub announce: bool,
    /// Who of those expected by name will not come, as it becomes known to whoever called them.
    pub absences: Option<Receiver<Absence>>,
    /// How many processors to make use of.
    pub processors: usize,
}

/// An expected node that will not come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absence {
    /// Its name.
    pub name: String,
    /// Why, for a human.
    pub reason: String,
}

/// A copy that is led while it runs, as it shares the links with others: a turn of a gather.
#[derive(Debug)]
pub struct Led {
    /// What is sent.
    pub source: Source,
    /// The copy's name.
    pub session: SessionId,
    /// Nodes to which it is announced besides the group.
    pub call: Vec<IpAddr>,
    /// What to do when.
    pub steer: Receiver<Steer>,
}

/// A word of the one who leads a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steer {
    /// Content may flow, at this rate if one is known to be right.
    Start(Option<Rate>),
    /// The most to send from now on.
    Cap(Rate),
}

/// What the user is told while it happens.
#[derive(Debug)]
pub enum Notice<'a> {
    /// The session is announced.
    Announced {
        /// Its name.
        session: SessionId,
        /// Where receivers connect.
        control: SocketAddr,
        /// Bytes of files.
        bytes: u64,
        /// Number of files.
        files: u64,
    },
    /// Something happened to a node.
    Event(&'a Event),
    /// A connection came to nothing before it was a node: from where, and why.
    Stranger(SocketAddr, &'a str),
    /// How far the copy is; several times a second.
    Progress(Progress),
    /// What reached each node; with each [`Notice::Progress`].
    Receptions(Receptions<'a>),
    /// What is waited for; when nothing has moved for some seconds.
    Waiting(&'a str),
    /// Something that does not stop the copy.
    Note(&'a str),
}

/// What reached each node so far: formed only when it is asked for.
#[derive(Debug)]
pub struct Receptions<'a>(&'a Machine);

impl<'a> Receptions<'a> {
    /// One for each node that came, in that order. Times are those of the sender's clock.
    pub fn iter(&self) -> impl Iterator<Item = Reception<'a>> {
        self.0.receptions()
    }
}

/// The result of a copy.
#[derive(Clone, Debug)]
pub struct SendReport {
    /// The session's name.
    pub session: SessionId,
    /// Bytes of files.
    pub bytes: u64,
    /// Number of files.
    pub files: u64,
    /// From the start of the content's flow to the end.
    pub elapsed: Duration,
    /// Hash over all files; none when the copy ended before everything was read.
    pub hash: Option<Digest>,
    /// What each receiver has and lacks, in a copy that keeps what is there.
    pub surveys: Vec<(String, Survey)>,
    /// Bytes of the content that was to be sent to anybody.
    pub selected_bytes: u64,
    /// A line for each node.
    pub nodes: Vec<NodeOutcome>,
    /// Receivers expected by number that never came.
    pub missing: usize,
    /// What was not sent, or not whole, and why.
    pub skipped: Vec<Skipped>,
    /// Why the copy was broken off, when it was.
    pub cancelled: Option<String>,
    /// Packets sent, and those among them that were repairs.
    pub packets: (u64, u64),
    /// What they were sealed with.
    pub cipher: Suite,
    /// Bytes of content in each of them; several share a jumbo frame.
    pub symbol_size: u16,
    /// Packets among them that never left this host: its own queue or a firewall refused them, or the
    /// interface was down.
    pub packets_refused: u64,
}

impl SendReport {
    /// The receivers that let no copy remove anything, and how many entries stay there that are not in the
    /// tree.
    pub fn spared(&self) -> impl Iterator<Item = (&str, u64)> {
        let surveys = self.surveys.iter();
        surveys.filter_map(|(name, survey)| Some((&name[..], survey.spared?)))
    }
}

/// Why a copy could not begin.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The paths cannot be sent.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The copy is larger than the protocol can number.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The interface is not there.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// TLS cannot be set up with this key.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Packets do not fit the interface.
    #[error("interface {name} has an MTU of {mtu}, and packets need {needed}")]
    Mtu {
        /// The interface.
        name: String,
        /// Its MTU, in bytes.
        mtu: u32,
        /// Bytes of a packet with its IP header.
        needed: u32,
    },
    /// Another program, or another copy, has the port that was asked for.
    #[error(
        "port {} of {} is in use, for TCP or UDP; each copy that runs needs a control port of its own",
        .0.port(),
        .0.ip()
    )]
    PortInUse(SocketAddr),
    /// The caller ended it before receivers could join.
    #[error("the copy was broken off before it began: {0}")]
    Cancelled(String),
    /// This program failed where it must not.
    #[error("a defect of this program: {0}")]
    Defect(String),
    /// A socket or a thread was refused by the kernel.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Standard input can be read once only.
    #[error(
        "standard input goes by multicast alone, as it can be read once only: send a file through the \
         pipeline"
    )]
    StreamInPipeline,
    /// No source of randomness.
    #[error("the system gives no random numbers")]
    Random,
}

impl SendError {
    pub(crate) fn system(action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { action, source }
    }
}

/// What the other threads tell the one that drives the machine.
enum Happening {
    Hello {
        connection: Connection,
        name: String,
        address: SocketAddr,
        outbox: Outbox,
    },
    Message(Connection, ToSender),
    Left(Connection, SocketAddr, String),
    Report(Box<[u8]>),
    Block(BlockIndex, Vec<u8>),
    Hashed(BlockIndex),
    Digests {
        hash: Digest,
        copy: Digest,
    },
    /// The end of standard input was read, after so many bytes.
    StreamEnded(u64),
    /// The hashes of the files of which receivers have another version.
    Compared(Vec<u8>),
    /// A connection that is to be a link of the pipeline.
    Link(TcpStream),
    /// A link has got as far as this block.
    Reached(BlockIndex),
    Note(String),
    Broken(String),
    Steer(Steer),
}

/// Sends a copy and reports what became of it.
///
/// `notice` is called from this thread; `cancel` ends the copy with the reason that comes in.
///
/// # Errors
///
/// When the copy cannot begin. Whatever happens later is in the report.
pub fn send(
    options: SendOptions,
    cancel: &Receiver<String>,
    notice: &mut dyn FnMut(Notice<'_>),
) -> Result<SendReport, SendError> {
    let session = SessionId(random()?);
    // Before the tree is read, which may take long: a port in use is better told at once.
    let (listener, socket) = open_sockets(&options, session)?;
    let content = opening::open(
        options.paths.clone(),
        options.source.clone(),
        options.stream.as_deref(),
        symbol_size(options.network.interface.family()),
        cancel,
        notice,
    )?;
    Carrier::start(
        options,
        Arc::new(content),
        session,
        listener,
        Arc::new(socket),
        None,
    )?
    .run(cancel, notice)
}

/// Sends a copy as [`send`], but waits for [`Steer::Start`] before any content flows.
///
/// # Errors
///
/// As [`send`].
pub fn send_led(
    options: SendOptions,
    led: Led,
    cancel: &Receiver<String>,
    notice: &mut dyn FnMut(Notice<'_>),
) -> Result<SendReport, SendError> {
    let (listener, socket) = open_sockets(&options, led.session)?;
    let size = symbol_size(options.network.interface.family());
    let content = opening::lay_out(led.source, size)?;
    let leader = Leader {
        call: led.call,
        steer: led.steer,
    };
    Carrier::start(
        options,
        Arc::new(content),
        led.session,
        listener,
        Arc::new(socket),
        Some(leader),
    )?
    .run(cancel, notice)
}

fn open_sockets(
    options: &SendOptions,
    session: SessionId,
) -> Result<(TcpListener, MulticastSender), SendError> {
    let interface = &options.network.interface;
    let family = interface.family();
    if interface.mtu < packet_bytes(family) {
        return Err(SendError::Mtu {
            name: interface.name.clone(),
            mtu: interface.mtu,
            needed: packet_bytes(family),
        });
    }
    let port = options.control_port;
    let address = interface.socket_address(port);
    let listener = TcpListener::bind(address)
        .map_err(|error| port_error("open the control port", address, error))?;
    let socket = MulticastSender::open(SenderOptions {
        interface: &options.network.interface,
        local_port: port,
        group: options.network.data_address(session),
        ttl: options.network.ttl,
        loopback: options.network.interface.is_loopback,
        send_buffer: SEND_BUFFER,
    })
    .map_err(|error| port_error("open the multicast socket", address, error))?;
    Ok((listener, socket))
}

fn port_error(action: &'static str, address: SocketAddr, error: io::Error) -> SendError {
    if address.port() != 0 && error.kind() == io::ErrorKind::AddrInUse {
        SendError::PortInUse(address)
    } else {
        SendError::system(action)(error)
    }
}

fn random<const N: usize>() -> Result<[u8; N], SendError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| SendError::Random)?;
    Ok(bytes)
}

fn limits(rate: Option<Rate>) -> RateLimits {
    RateLimits {
        cap: rate,
        ..RateLimits::default()
    }
}
