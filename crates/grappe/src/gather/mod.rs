//! Leading a gather: what the program's `gather` does once its flags are understood.
//!
//! [`gather`] calls the nodes, then carries messages between them and the machine of `grappe-proto` until
//! its summary. The copies themselves are sent and received by the members, of which this process can be
//! one.

mod own;
mod server;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, unbounded};
use grappe_os::clock::MonotonicClock;
use grappe_proto::gather::coordinator::{Coordinator, CoordinatorSetup, Input, Output};
pub use grappe_proto::gather::coordinator::{Event, MemberOutcome, MemberState, Summary, by_name};
pub use grappe_proto::gather::plan::ConflictRule;
use grappe_proto::session::Expectation;
use grappe_proto::units::{Rate, SessionId, Time};
use grappe_proto::wire::gather::ToCoordinator;
use tokio::sync::mpsc;

use self::own::OwnMember;
use self::server::{Connection, Outbox, Server, Setup};
use crate::announce::{Announcer, Call, Heard};
use crate::control::{ControlError, Endpoint};
use crate::network::Network;
use crate::receive::{self, ReceiveError};
use crate::send::Absence;
use crate::trust::{Identity, TrustFile};

/// Between two looks at the progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// This node as a member.
#[derive(Clone, Debug)]
pub struct OwnNode {
    /// The directory whose content it shares.
    pub share: PathBuf,
    /// The directory that everything arrives in.
    pub into: PathBuf,
    /// Its name.
    pub name: String,
}

/// What to gather, from whom, and how.
#[derive(Debug)]
pub struct GatherOptions {
    /// This node's key.
    pub identity: Identity,
    /// Whose nodes may take part.
    pub trust: TrustFile,
    /// Where calls and copies travel.
    pub network: Network,
    /// The other nodes that are waited for.
    pub expectation: Expectation,
    /// How long to wait for them.
    pub wait: Duration,
    /// What becomes of paths that differ.
    pub rule: ConflictRule,
    /// The most that may reach a node, in bytes per second.
    pub rate: Option<Rate>,
    /// Port of this node for control connections; 0 leaves it to the kernel.
    pub control_port: u16,
    /// This node as a member.
    pub own: Option<OwnNode>,
    /// Whether to announce the gather; nodes that are called by other means need no announcement.
    pub announce: bool,
    /// Who of those expected by name will not come, as it becomes known to whoever called them.
    pub absences: Option<Receiver<Absence>>,
    /// How many processors to make use of.
    pub processors: usize,
}

/// What the user is told while it happens.
#[derive(Debug)]
pub enum Notice<'a> {
    /// The nodes are called.
    Announced {
        /// The gather's name.
        gather: SessionId,
        /// Where nodes connect.
        control: SocketAddr,
    },
    /// Something happened.
    Event(&'a Event),
    /// A connection came to nothing before it was a node: from where, and why.
    Stranger(SocketAddr, &'a str),
    /// Bytes still to be sent once, and all of them; several times a second.
    Progress(u64, u64),
    /// What this node tells as a member.
    Member(receive::Notice),
    /// Something that does not stop the gather.
    Note(&'a str),
}

/// The result of a gather.
#[derive(Clone, Debug)]
pub struct GatherReport {
    /// Its name.
    pub gather: SessionId,
    /// What became of it.
    pub summary: Summary,
}

/// Why a gather could not begin.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// TLS cannot be set up with this key.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// This node cannot be a member.
    #[error(transparent)]
    Member(#[from] ReceiveError),
    /// A socket or a thread was refused by the kernel.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// No source of randomness.
    #[error("the system gives no random numbers")]
    Random,
}

/// What other threads tell the one that drives the machine.
enum Happening {
    Hello {
        connection: Connection,
        name: String,
        address: IpAddr,
        outbox: Outbox,
    },
    Message(Connection, ToCoordinator),
    Left(Connection, SocketAddr, String),
    Note(String),
    Member(receive::Notice),
    MemberEnded(Option<String>),
}

/// Leads a gather and reports what became of it.
///
/// `notice` is called from this thread; `cancel` ends the gather with the reason that comes in.
///
/// # Errors
///
/// When it cannot begin. Whatever happens later is in the report.
pub fn gather(
    options: GatherOptions,
    cancel: &Receiver<String>,
    notice: &mut dyn FnMut(Notice<'_>),
) -> Result<GatherReport, GatherError> {
    let mut gather = [0; 16];
    aws_lc_rs::rand::fill(&mut gather).map_err(|_| GatherError::Random)?;
    let gather = SessionId(gather);
    let system = |action| move |source| GatherError::System { action, source };
    let address = options.network.interface.address;
    let listening = options
        .network
        .interface
        .socket_address(options.control_port);
    let listener = TcpListener::bind(listening).map_err(system("open the control port"))?;
    let port = listener
        .local_addr()
        .map_err(system("open the control port"))?
        .port();
    let control = options.network.interface.socket_address(port);
    let (happened, happenings) = unbounded();
    let own = match &options.own {
        Some(own) => {
            let heard = Heard {
                call: Call::Gather,
                session: gather,
                sender: options.identity.public(),
                control,
            };
            let called = (!options.announce).then(|| called_once(heard));
            let own = OwnMember::start(own, &options, gather, called, happened.clone())?;
            Some(own)
        }
        None => None,
    };
    let announcer = options
        .announce
        .then(|| {
            let (network, key) = (&options.network, &options.identity);
            Announcer::new(network, key, Call::Gather, gather, port)
        })
        .transpose()
        .map_err(system("open the announcement socket"))?;
    let mut nodes = match &options.expectation {
        Expectation::Names(names) => names.iter().cloned().collect(),
        _ => Vec::new(),
    };
    if own.is_some() {
        nodes.push(address.to_string());
    }
    let server = Server::start(
        Setup {
            listener,
            endpoint: Endpoint::new(&options.identity)?,
            trust: options.trust.clone(),
            gather: gather.0,
            announcer,
            nodes,
            port: options.network.port,
        },
        happened,
    )
    .map_err(system("start the control plane"))?;
    notice(Notice::Announced { gather, control });
    let setup = CoordinatorSetup {
        gather: gather.0,
        expectation: with_own(options.expectation, options.own.as_ref()),
        wait: options.wait,
        rule: options.rule,
        rate: options.rate,
    };
    let mut leader = Leader::new(setup, happenings, server, options.absences);
    let summary = leader.run(cancel, notice);
    leader.wind_up(own, notice);
    Ok(GatherReport { gather, summary })
}

/// A channel that brings `heard` and ends.
fn called_once(heard: Heard) -> mpsc::Receiver<Heard> {
    let (calling, called) = mpsc::channel(1);
    let sent = calling.try_send(heard);
    debug_assert!(sent.is_ok(), "a new channel has a place");
    called
}

/// The expectation of the others, and this node besides.
fn with_own(others: Expectation, own: Option<&OwnNode>) -> Expectation {
    match (others, own) {
        (Expectation::Count(count), Some(_)) => Expectation::Count(count + 1),
        (Expectation::Names(mut names), Some(own)) => {
            names.insert(own.name.clone());
            Expectation::Names(names)
        }
        (others, _) => others,
    }
}

/// Drives the machine.
struct Leader {
    clock: MonotonicClock,
    machine: Coordinator,
    happenings: Receiver<Happening>,
    server: Option<Server>,
    outboxes: Vec<Option<Outbox>>,
    numbers: BTreeMap<Connection, usize>,
    absences: Option<Receiver<Absence>>,
    noticed_at: Instant,
    /// Why this node ended as a member, once it has.
    member_ended: bool,
}

impl Leader {
    fn new(
        setup: CoordinatorSetup,
        happenings: Receiver<Happening>,
        server: Server,
        absences: Option<Receiver<Absence>>,
    ) -> Self {
        let clock = MonotonicClock::new();
        let now = Time::from_nanos(clock.now_nanos());
        Self {
            clock,
            machine: Coordinator::new(setup, now),
            happenings,
            server: Some(server),
            outboxes: Vec::new(),
            numbers: BTreeMap::new(),
            absences,
            noticed_at: Instant::now(),
            member_ended: false,
        }
    }

    fn now(&self) -> Time {
        Time::from_nanos(self.clock.now_nanos())
    }

    fn run(&mut self, cancel: &Receiver<String>, notice: &mut dyn FnMut(Notice<'_>)) -> Summary {
        loop {
            if let Ok(reason) = cancel.try_recv() {
                let now = self.now();
                self.machine.handle(Input::Cancel(reason), now);
            }
            self.note_absences();
            if self.noticed_at.elapsed() >= PROGRESS_INTERVAL {
                self.noticed_at = Instant::now();
                let (left, total) = self.machine.progress();
                notice(Notice::Progress(left, total));
            }
            let now = self.now();
            match self.machine.poll(now) {
                Output::Wait(until) => {
                    let until = until.min(now + PROGRESS_INTERVAL);
                    match self.happenings.recv_timeout(until.since(now)) {
                        Ok(happening) => self.take_in(happening, notice),
                        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
                    }
                }
                Output::Tell(node, message) => {
                    if let Some(Some(outbox)) = self.outboxes.get(node) {
                        // A closed connection is reported by its reader.
                        let _closed = outbox.send(message);
                    }
                }
                Output::Close(node) => {
                    if let Some(outbox) = self.outboxes.get_mut(node) {
                        *outbox = None;
                    }
                }
                Output::Event(event) => {
                    if let (Event::Began(_), Some(server)) = (&event, &mut self.server) {
                        server.stop_announcing();
                    }
                    notice(Notice::Event(&event));
                }
                Output::Finished(summary) => return summary,
            }
        }
    }

    fn note_absences(&mut self) {
        let Some(absences) = &self.absences else {
            return;
        };
        let now = self.now();
        for Absence { name, reason } in absences.try_iter() {
            self.machine.handle(Input::Absent { name, reason }, now);
        }
    }

    fn take_in(&mut self, happening: Happening, notice: &mut dyn FnMut(Notice<'_>)) {
        let now = self.now();
        match happening {
            Happening::Hello {
                connection,
                name,
                address,
                outbox,
            } => {
                let node = self.outboxes.len();
                self.numbers.insert(connection, node);
                self.outboxes.push(Some(outbox));
                self.machine.handle(
                    Input::Hello {
                        node,
                        name,
                        address,
                    },
                    now,
                );
            }
            Happening::Message(connection, message) => {
                if let Some(node) = self.numbers.get(&connection) {
                    self.machine.handle(Input::Message(*node, message), now);
                }
            }
            Happening::Left(connection, address, reason) => match self.numbers.get(&connection) {
                Some(node) => self.machine.handle(Input::Left(*node, reason), now),
                None => notice(Notice::Stranger(address, &reason)),
            },
            Happening::Note(text) => notice(Notice::Note(&text)),
            Happening::Member(told) => notice(Notice::Member(told)),
            Happening::MemberEnded(reason) => {
                self.member_ended = true;
                // Once turns are planned the others go on without this node, as without any other: its
                // connection tells.
                if let Some(reason) = reason
                    && !self.machine.is_exchanging()
                {
                    let reason = format!("this node cannot take part: {reason}");
                    self.machine.handle(Input::Cancel(reason), now);
                }
            }
        }
    }

    /// Lets the last messages leave, and this node as a member end.
    fn wind_up(mut self, own: Option<OwnMember>, notice: &mut dyn FnMut(Notice<'_>)) {
        self.outboxes.clear();
        if let Some(server) = self.server.take() {
            server.stop();
        }
        let Some(own) = own else { return };
        let deadline = Instant::now() + own::END_MAX;
        while !self.member_ended {
            match self.happenings.recv_deadline(deadline) {
                Ok(happening) => self.take_in(happening, notice),
                Err(_) => break,
            }
        }
        own.stop();
        while let Ok(Happening::Member(told)) = self.happenings.try_recv() {
            notice(Notice::Member(told));
        }
    }
}

/// Where messages to one member go.
type Messages = mpsc::UnboundedReceiver<grappe_proto::wire::gather::ToMember>;
