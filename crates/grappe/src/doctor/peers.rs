//! The examination of the nodes that listen: they are called by an announcement, as to a copy, and asked
//! what arrives of what is sent.
//!
//! Facts only; what they mean is in `judge`.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use grappe_os::udp::Family;
use grappe_proto::units::SessionId;
use grappe_proto::wire::control::{ToReceiver, ToSender, decode_to_sender, encode};
use grappe_proto::wire::examine::{Examine, Here, Measured};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::traffic::{FLOOD_TIME, Traffic};
use super::{Absent, DoctorOptions, Examination, NodeFacts, Why};
use crate::announce::{ANNOUNCE_INTERVAL, Announcer, Call};
use crate::control::{ChannelReader, ChannelWriter, ControlError, Endpoint};
use crate::network::Network;
use crate::nodeset::NAME_BYTES_MAX;
use crate::trust::TrustFile;

/// How long all names together may take to be looked up: where DNS is down, one takes longer alone.
const LOOKUP: Duration = Duration::from_millis(2500);

/// Lookups at one time. Each has a thread that nothing can end, and other work needs threads as well.
const LOOKUPS_MAX: usize = 64;

/// How long nodes may take to come.
const GATHER: Duration = Duration::from_millis(1500);

/// How long a node may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

/// After the last packet of a part, before nodes are asked: what is queued on the way still counts.
const SETTLE: Duration = Duration::from_millis(150);

/// How long an answer by ICMP may take.
const KNOCK: Duration = Duration::from_millis(250);

/// Nodes that are examined at one time.
const NODES_MAX: usize = 1024;

/// Why there was no examination.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// TLS cannot be set up with this key.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// A socket or a thread was refused by the kernel.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}

fn system(action: &'static str) -> impl FnOnce(io::Error) -> ExamineError {
    move |source| ExamineError::System { action, source }
}

/// Examines the nodes; takes three to five seconds, and longer where names cannot be looked up.
///
/// # Errors
///
/// When this node itself cannot do it. What is wrong with others is in the result.
pub fn examine(options: &DoctorOptions) -> Result<Examination, ExamineError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start the control plane"))?;
    let examination = runtime.block_on(conduct(options));
    runtime.shutdown_background();
    examination
}

async fn conduct(options: &DoctorOptions) -> Result<Examination, ExamineError> {
    let network = &options.network;
    let mut session = [0; 16];
    aws_lc_rs::rand::fill(&mut session)
        .map_err(|_| system("draw random numbers")(io::ErrorKind::Other.into()))?;
    let session = SessionId(session);
    let [.., a, b, c, d] = session.0;
    let tag = u32::from_be_bytes([a, b, c, d]);
    let group = network.data_address(session);
    let listener = TcpListener::bind(network.interface.socket_address(options.control_port))
        .await
        .map_err(system("open the control port"))?;
    let port = listener
        .local_addr()
        .map_err(system("open the control port"))?
        .port();
    let mut traffic = Traffic::open(network, group, tag).map_err(system("open a socket"))?;
    let lookup = |node: String| async move {
        let found = tokio::net::lookup_host((node, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    };
    let mut addresses = addresses(&options.nodes, network.interface.family(), lookup, LOOKUP).await;
    knock(network, &mut addresses).await;
    let announcing = announce(options, session, port, &addresses)?;
    let examine = Examine {
        group: group.ip(),
        port: group.port(),
        tag,
    };
    let mut examination = Examination::default();
    let mut patients = gather(options, listener, &examine, &mut examination).await?;
    announcing.store(false, Ordering::Relaxed);
    examination.absent = absent(&patients, &addresses);
    if !patients.is_empty() {
        // As a copy does: packets come back to this host only where somebody on it waits for them.
        if patients.iter().any(|patient| patient.facts.is_own) {
            traffic.reach_this_host().map_err(system("open a socket"))?;
        }
        measure(&mut patients).await;
        sleep(FLOOD_TIME + SETTLE).await;
        measure(&mut patients).await;
        traffic = aside(traffic, |traffic| traffic.knock()).await?;
        measure(&mut patients).await;
        examination.flood_bytes = traffic.flood().map_err(system("send to a group"))?;
        sleep(SETTLE).await;
        measure(&mut patients).await;
        traffic = aside(traffic, |traffic| traffic.hurry()).await?;
        measure(&mut patients).await;
    }
    examination.phases = traffic.sent();
    for patient in patients {
        let _gone = patient.writer.close().await;
        examination.nodes.push(patient.facts);
    }
    examination
        .nodes
        .sort_by(|left, right| left.name.cmp(&right.name));
    Ok(examination)
}

/// Sends in a thread, as the runtime must stay awake, and waits until what was sent has settled.
async fn aside(
    mut traffic: Traffic,
    send: impl FnOnce(&mut Traffic) -> io::Result<()> + Send + 'static,
) -> Result<Traffic, ExamineError> {
    let sent = tokio::task::spawn_blocking(move || send(&mut traffic).map(|()| traffic)).await;
    let sent = sent.map_err(|_| system("send")(io::Error::other("the sending thread panicked")))?;
    let traffic = sent.map_err(system("send to a group"))?;
    sleep(SETTLE).await;
    Ok(traffic)
}

/// A node that was named.
struct Address {
    name: String,
    /// Its addresses.
    found: Vec<IpAddr>,
    /// Whether the lookup of its name came to an end.
    is_resolved: bool,
    /// Whether it said that nothing listens there.
    is_closed: bool,
}

/// The addresses of the named nodes that are of this version of IP, as far as `lookup` finds them within
/// `patience`.
async fn addresses<Lookup>(
    nodes: &[String],
    family: Family,
    lookup: impl Fn(String) -> Lookup,
    patience: Duration,
) -> Vec<Address>
where
    Lookup: Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static,
{
    let unknown = |node: &String| Address {
        name: node.clone(),
        found: Vec::new(),
        is_resolved: false,
        is_closed: false,
    };
    let mut addresses: Vec<Address> = nodes.iter().map(unknown).collect();
    let turns = Arc::new(Semaphore::new(LOOKUPS_MAX));
    let mut lookups = JoinSet::new();
    for (number, node) in nodes.iter().enumerate() {
        let (turns, lookup) = (Arc::clone(&turns), lookup(node.clone()));
        lookups.spawn(async move {
            let _turn = turns.acquire().await;
            (number, lookup.await)
        });
    }
    let resolving = async {
        while let Some(resolved) = lookups.join_next().await {
            let Ok((number, found)) = resolved else {
                continue;
            };
            if let Some(address) = addresses.get_mut(number) {
                let found = found.into_iter().flatten();
                address.found = found.filter(|found| Family::of(*found) == family).collect();
                address.is_resolved = true;
            }
        }
    };
    let _time_is_up = timeout(patience, resolving).await;
    addresses
}

/// Announces until the flag that is returned is lowered.
fn announce(
    options: &DoctorOptions,
    session: SessionId,
    port: u16,
    addresses: &[Address],
) -> Result<Arc<AtomicBool>, ExamineError> {
    let announcer = Announcer::new(
        &options.network,
        &options.identity,
        Call::Copy,
        session,
        port,
    )
    .map_err(system("open the announcement socket"))?;
    let nodes: Vec<IpAddr> = addresses
        .iter()
        .flat_map(|node| node.found.clone())
        .collect();
    let wanted = Arc::new(AtomicBool::new(true));
    let announcing = Arc::clone(&wanted);
    thread::Builder::new()
        .name("announce".into())
        .spawn(move || {
            while announcing.load(Ordering::Relaxed) {
                // What this node cannot send is found by the look at itself.
                let _refused = announcer.announce(&nodes);
                thread::sleep(ANNOUNCE_INTERVAL);
            }
        })
        .map_err(system("start a thread"))?;
    Ok(wanted)
}

/// A node that takes part.
struct Patient {
    facts: NodeFacts,
    reader: ChannelReader,
    writer: ChannelWriter,
}

/// Who came and was heard, or whose key is not trusted.
enum Came {
    Patient(Box<Patient>),
    Untrusted(IpAddr, String),
}

async fn gather(
    options: &DoctorOptions,
    listener: TcpListener,
    examine: &Examine,
    examination: &mut Examination,
) -> Result<Vec<Patient>, ExamineError> {
    let endpoint = Endpoint::new(&options.identity)?;
    let deadline = Instant::now() + GATHER;
    let (coming, mut came) = mpsc::unbounded_channel();
    let mut patients: Vec<Patient> = Vec::new();
    let is_complete = |patients: &[Patient]| {
        let is_there = |node: &String| patients.iter().any(|patient| patient.facts.name == *node);
        !options.nodes.is_empty() && options.nodes.iter().all(is_there)
    };
    let gathering = async {
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    let (endpoint, trust) = (endpoint.clone(), options.trust.clone());
                    let (examine, coming) = (examine.clone(), coming.clone());
                    let own = options.network.interface.address;
                    tokio::spawn(async move {
                        if let Some(who) = greet(stream, own, &endpoint, &trust, &examine).await {
                            let _over = coming.send(who);
                        }
                    });
                }
                Some(who) = came.recv() => match who {
                    Came::Patient(patient) => {
                        if patients.len() < NODES_MAX {
                            patients.push(*patient);
                        }
                        if is_complete(&patients) {
                            return;
                        }
                    }
                    Came::Untrusted(address, key) => {
                        let who = (address, key);
                        if !examination.untrusted.contains(&who) {
                            examination.untrusted.push(who);
                        }
                    }
                },
            }
        }
    };
    let _time_is_up = timeout_at(deadline, gathering).await;
    Ok(patients)
}

/// Hears who connected to this node, whose address is `own`.
async fn greet(
    stream: TcpStream,
    own: IpAddr,
    endpoint: &Endpoint,
    trust: &TrustFile,
    examine: &Examine,
) -> Option<Came> {
    let address = stream.peer_addr().ok()?.ip();
    let (key, channel) = endpoint.accept(stream).await.ok()?;
    let (mut reader, mut writer) = channel.split();
    if !trust.role_of(&key).is_some_and(|role| role.may_receive()) {
        let reason = "this node's key is not trusted to receive".into();
        let _gone = writer
            .write_frame(&encode(&ToReceiver::Refused { reason }))
            .await;
        return Some(Came::Untrusted(address, key.fingerprint()));
    }
    let ToSender::Hello { name, .. } = hear(&mut reader).await? else {
        return None;
    };
    let asked = unix_micros();
    let message = ToReceiver::Examine(examine.clone());
    writer.write_frame(&encode(&message)).await.ok()?;
    let ToSender::Here(here) = hear(&mut reader).await? else {
        return None;
    };
    let between = asked.midpoint(unix_micros());
    let clock_ahead_us = here
        .unix_micros
        .cast_signed()
        .saturating_sub(between.cast_signed());
    let name = name
        .chars()
        .filter(|letter| !letter.is_control())
        .take(NAME_BYTES_MAX)
        .collect();
    Some(Came::Patient(Box::new(Patient {
        facts: NodeFacts {
            name,
            is_own: address == own || address.is_loopback(),
            here: Here {
                interface: here.interface.chars().take(64).collect(),
                ..here
            },
            clock_ahead_us,
            measured: Vec::new(),
        },
        reader,
        writer,
    })))
}

async fn hear(reader: &mut ChannelReader) -> Option<ToSender> {
    let frame = timeout(ANSWER, reader.read_frame()).await.ok()?.ok()??;
    decode_to_sender(&frame).ok()
}

/// Asks all for what has arrived. One that does not answer has nothing new.
async fn measure(patients: &mut [Patient]) {
    let question = encode(&ToReceiver::Measure);
    for patient in &mut *patients {
        let _gone = patient.writer.write_frame(&question).await;
    }
    for patient in patients {
        let measured = match hear(&mut patient.reader).await {
            Some(ToSender::Measured(measured)) => measured,
            _ => patient
                .facts
                .measured
                .last()
                .cloned()
                .unwrap_or_else(Measured::default),
        };
        patient.facts.measured.push(measured);
    }
}

fn absent(patients: &[Patient], addresses: &[Address]) -> Vec<Absent> {
    let is_there = |name: &str| patients.iter().any(|patient| patient.facts.name == name);
    let missing = addresses.iter().filter(|node| !is_there(&node.name));
    missing
        .map(|node| Absent {
            name: node.name.clone(),
            why: match node.found.first() {
                None if !node.is_resolved => Why::Unresolved,
                None => Why::Nameless,
                Some(_) if node.is_closed => Why::NotListening,
                Some(_) => Why::Silent,
            },
        })
        .collect()
}

/// Finds out at which nodes nothing listens: their kernels say so by ICMP. Comes before everything
/// else, since they say it once a second only.
async fn knock(network: &Network, nodes: &mut [Address]) {
    let open = |node: &Address| -> Option<UdpSocket> {
        let socket = UdpSocket::bind(network.interface.socket_address(0)).ok()?;
        let interface = &network.interface;
        let address = interface.on_this_link(*node.found.first()?, network.port);
        socket.connect(address).ok()?;
        socket.set_nonblocking(true).ok()?;
        socket.send(&[]).ok()?;
        Some(socket)
    };
    let sockets: Vec<Option<UdpSocket>> = nodes.iter().take(NODES_MAX).map(open).collect();
    sleep(KNOCK).await;
    for (node, socket) in nodes.iter_mut().zip(sockets) {
        let answer = socket.map(|socket| socket.recv(&mut [0]));
        let refused = io::ErrorKind::ConnectionRefused;
        node.is_closed = matches!(answer, Some(Err(error)) if error.kind() == refused);
    }
}

fn unix_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_whose_lookup_does_not_end_holds_nobody_up() {
        let lookup = |node: String| async move {
            match &*node {
                "n1" | "n3" => Ok(vec![[10, 0, 0, 1].into(), [0; 16].into()]),
                "n2" => std::future::pending().await,
                _ => Err(io::ErrorKind::NotFound.into()),
            }
        };
        let nodes = ["n1", "n2", "n3", "n4"].map(String::from);
        let patience = Duration::from_millis(50);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().build().unwrap();
        let found = runtime.block_on(addresses(&nodes, Family::V4, lookup, patience));
        let known = [IpAddr::from([10, 0, 0, 1])];
        for (node, found_of, is_resolved) in [
            (0, &known[..], true),
            (1, &[], false),
            (2, &known[..], true),
            (3, &[], true),
        ] {
            assert_eq!(found[node].found, found_of, "{}", found[node].name);
            assert_eq!(found[node].is_resolved, is_resolved);
        }
        let why: Vec<Why> = absent(&[], &found).iter().map(|node| node.why).collect();
        let expected = [Why::Silent, Why::Unresolved, Why::Silent, Why::Nameless];
        assert_eq!(why, expected);
    }
}
