//! Making a session known and hearing of one: signed announcements by multicast and unicast.
//!
//! What follows an announcement, the control connection, is in `send` and `receive`.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use grappe_os::udp::{
    Family, Interface, MulticastReceiver, MulticastSender, ReceiverOptions, SendOutcome,
    SenderOptions, Wait,
};
use grappe_proto::units::SessionId;
use grappe_proto::wire::WireError;
pub use grappe_proto::wire::announce::Call;
use grappe_proto::wire::announce::{ANNOUNCEMENT_LEN, Announcement};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use crate::network::Network;
use crate::trust::{Identity, PublicKey};

/// Between two announcements of one session.
pub const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(100);

/// The same once content flows, for receivers that come late.
pub const ANNOUNCE_INTERVAL_LATE: Duration = Duration::from_millis(500);

const SOCKET_BUFFER: usize = 256 * 1024;
const UNICAST_PACKETS_AT_ONCE: usize = 64;

/// Announces one session, again and again.
#[derive(Debug)]
pub struct Announcer {
    socket: MulticastSender,
    packet: Vec<u8>,
    interface: Interface,
    port: u16,
}

impl Announcer {
    /// Signs the announcement of `session`, which calls to `call` and whose control channel listens on `control_port`.
    ///
    /// # Errors
    ///
    /// When no socket can be opened on the interface.
    pub fn new(
        network: &Network,
        identity: &Identity,
        call: Call,
        session: SessionId,
        control_port: u16,
    ) -> io::Result<Self> {
        let socket = MulticastSender::open(SenderOptions {
            interface: &network.interface,
            local_port: 0,
            group: network.announce_address(),
            ttl: network.ttl,
            loopback: true,
            send_buffer: SOCKET_BUFFER,
        })?;
        let unix_seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs();
        let sender = *identity.public().as_bytes();
        let mut packet = Announcement {
            call,
            session,
            sender,
            control_port,
            unix_seconds,
        }
        .emit_signed_part();
        let signature = identity.sign(&packet);
        packet.extend_from_slice(&signature);
        Ok(Self {
            socket,
            packet,
            interface: network.interface.clone(),
            port: network.port,
        })
    }

    /// Sends the announcement to the group and to each of `nodes` whose address is of the same version.
    ///
    /// # Errors
    ///
    /// What the kernel says of the group; a node that cannot be reached is passed over.
    pub fn announce(&self, nodes: &[IpAddr]) -> io::Result<SendOutcome> {
        let outcome = self.socket.send_train(&self.packet, self.packet.len());
        let family = self.interface.family();
        for node in nodes.iter().filter(|node| Family::of(**node) == family) {
            let address = self.interface.on_this_link(*node, self.port);
            // Each attempt at a full queue takes a while, and the others would fare no better.
            if let Ok(SendOutcome::Refused { .. }) = self.socket.send_to(&self.packet, address) {
                break;
            }
        }
        outcome
    }
}

/// An announcement whose signature is right; whether its key is trusted is another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// What it calls to.
    pub call: Call,
    /// The session.
    pub session: SessionId,
    /// Who announces it.
    pub sender: PublicKey,
    /// Its control channel.
    pub control: SocketAddr,
}

/// Told of an announcement of another version of the protocol: the address that it came from, and the
/// version. Nothing of it is verified, and anybody can send many.
pub type OnOtherVersion<'a> = &'a mut dyn FnMut(IpAddr, u16);

/// Hears announcements by multicast and by unicast.
#[derive(Debug)]
pub struct Listener {
    multicast: MulticastReceiver,
    /// One for each address of the interface: with IPv6 there are several, and names may mean any.
    unicast: Vec<UdpSocket>,
}

impl Listener {
    /// Joins the announcement group.
    ///
    /// # Errors
    ///
    /// When the group cannot be joined or the port is taken by another program.
    pub fn join(network: &Network) -> io::Result<Self> {
        let multicast = MulticastReceiver::join(ReceiverOptions {
            interface: &network.interface,
            group: network.announce_address(),
            receive_buffer: SOCKET_BUFFER,
        })?;
        let unicast = (network.interface.siblings())
            .map_err(io::Error::other)?
            .into_iter()
            .enumerate()
            .filter_map(|(number, interface)| {
                let socket = listen_at(interface.socket_address(network.port));
                // An address that is not valid yet, or not any more, is not the one that matters.
                (number == 0 || socket.is_ok()).then_some(socket)
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { multicast, unicast })
    }

    /// The next announcement that is well formed and truly signed, or `None` after `patience`. Those of
    /// another version that come before it are told on the way.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn hear(&self, patience: Duration, other: OnOtherVersion<'_>) -> io::Result<Option<Heard>> {
        if let Some(heard) = self.heard_by_unicast(other) {
            return Ok(Some(heard));
        }
        let mut waiting = vec![PollFd::new(&self.multicast, PollFlags::IN)];
        let unicast = self.unicast.iter();
        waiting.extend(unicast.map(|socket| PollFd::new(socket, PollFlags::IN)));
        let timeout = Timespec::try_from(patience).ok();
        match rustix::event::poll(&mut waiting, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut train = [0; 4096];
        if let Some(arrived) = self.multicast.receive_train(&mut train, Wait::Now)? {
            let mut packets = train[..arrived.len].chunks(arrived.segment_size.max(1));
            if let Some(heard) = packets.find_map(|packet| verify(packet, arrived.source, other)) {
                return Ok(Some(heard));
            }
        }
        Ok(self.heard_by_unicast(other))
    }

    /// The first good announcement that came by unicast.
    fn heard_by_unicast(&self, other: OnOtherVersion<'_>) -> Option<Heard> {
        let mut sockets = self.unicast.iter();
        sockets.find_map(|socket| heard_at(socket, other))
    }

    /// Tells the switches again that this node listens.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn rejoin(&self) -> io::Result<()> {
        self.multicast.rejoin()
    }
}

fn listen_at(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// The first good announcement among the next few packets: whoever floods the port delays others by
/// little, and does not keep the caller here.
fn heard_at(socket: &UdpSocket, other: OnOtherVersion<'_>) -> Option<Heard> {
    // Longer than an announcement, so that a longer packet is not mistaken for one.
    let mut packet = [0; ANNOUNCEMENT_LEN + 1];
    for _ in 0..UNICAST_PACKETS_AT_ONCE {
        // Errors are of one packet, as an answer that a port is closed.
        match socket.recv_from(&mut packet) {
            Ok((len, source)) => {
                if let Some(heard) = verify(&packet[..len], source, other) {
                    return Some(heard);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(_) => {}
        }
    }
    None
}

fn verify(packet: &[u8], mut source: SocketAddr, other: OnOtherVersion<'_>) -> Option<Heard> {
    let (announcement, signed, signature) = match Announcement::read(packet) {
        Ok(read) => read,
        Err(WireError::Version(version)) => {
            other(source.ip(), version);
            return None;
        }
        Err(_) => return None,
    };
    let sender = PublicKey::from_bytes(announcement.sender);
    // Of an IPv6 address that is valid on one link, the link stays.
    source.set_port(announcement.control_port);
    sender.verify(signed, &signature).then_some(Heard {
        call: announcement.call,
        session: announcement.session,
        sender,
        control: source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{ANNOUNCE_GROUP, TTL};
    use grappe_proto::limits::PROTOCOL_VERSION;
    use std::net::Ipv4Addr;

    fn hear(listener: &Listener, patience: Duration) -> Option<Heard> {
        listener.hear(patience, &mut |_, _| {}).unwrap()
    }

    #[test]
    fn the_page_of_the_protocol_tells_how_often_it_is_sent() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
        let page = std::fs::read_to_string(page).unwrap();
        let [early, late] = [ANNOUNCE_INTERVAL, ANNOUNCE_INTERVAL_LATE].map(|it| it.as_millis());
        let line = format!("every {early} ms until content flows, then every {late} ms ");
        assert!(page.contains(&line), "{line}");
    }

    #[test]
    fn an_announcement_is_heard_and_a_forged_one_is_not() {
        let interface = Interface::named("lo").unwrap();
        let network = Network {
            interface,
            group: ANNOUNCE_GROUP.into(),
            port: 17_171,
            ttl: TTL,
        };
        let identity = Identity::generate("test").unwrap();
        let listener = Listener::join(&network).unwrap();
        let mut announcer =
            Announcer::new(&network, &identity, Call::Copy, SessionId([7; 16]), 4_000).unwrap();
        let _sent = announcer.announce(&[]).unwrap();
        let heard = hear(&listener, Duration::from_secs(2)).unwrap();
        assert_eq!(heard.session, SessionId([7; 16]));
        assert_eq!(heard.sender, identity.public());
        assert_eq!(heard.control.port(), 4_000);
        announcer.packet[7] ^= 1;
        let _sent = announcer.announce(&[]).unwrap();
        assert_eq!(hear(&listener, Duration::from_millis(200)), None);
        announcer.packet[5] ^= 0x80;
        let _sent = announcer.announce(&[]).unwrap();
        let mut others = Vec::new();
        let other = &mut |address: IpAddr, version| others.push((address, version));
        assert_eq!(listener.hear(Duration::from_secs(2), other).unwrap(), None);
        let version = PROTOCOL_VERSION ^ 0x80;
        assert_eq!(others, [(Ipv4Addr::LOCALHOST.into(), version)]);
    }

    #[test]
    fn an_announcement_by_unicast_over_ipv6_needs_no_group() {
        let Ok(interface) = Interface::named("::1") else {
            return println!("skipped: no IPv6 on the loopback interface");
        };
        let network = |group: &str| Network {
            interface: interface.clone(),
            group: group.parse().unwrap(),
            port: 17_173,
            ttl: TTL,
        };
        let identity = Identity::generate("test").unwrap();
        let listener = Listener::join(&network("ff15::1:1")).unwrap();
        let elsewhere = network("ff15::1:2");
        let announcer =
            Announcer::new(&elsewhere, &identity, Call::Copy, SessionId([9; 16]), 4_000).unwrap();
        let nodes = ["127.0.0.1", "::1"].map(|node| node.parse().unwrap());
        // The loopback interface has no route for groups of IPv6; that does not keep the rest from leaving.
        let _unreachable = announcer.announce(&nodes[..1]);
        assert_eq!(hear(&listener, Duration::from_millis(200)), None);
        let _unreachable = announcer.announce(&nodes);
        let heard = hear(&listener, Duration::from_secs(2)).unwrap();
        assert_eq!(heard.session, SessionId([9; 16]));
        assert_eq!(heard.control, "[::1]:4000".parse().unwrap());
    }

    #[test]
    fn an_announcement_by_unicast_is_heard_behind_a_flood_of_other_packets() {
        let network = Network {
            interface: Interface::named("lo").unwrap(),
            group: ANNOUNCE_GROUP.into(),
            port: 17_172,
            ttl: TTL,
        };
        let identity = Identity::generate("test").unwrap();
        let listener = Listener::join(&network).unwrap();
        let announcer =
            Announcer::new(&network, &identity, Call::Copy, SessionId([8; 16]), 4_000).unwrap();
        let here = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), network.port);
        let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        for _ in 0..UNICAST_PACKETS_AT_ONCE + 9 {
            stranger.send_to(b"junk", here).unwrap();
        }
        let _sent = announcer.socket.send_to(&announcer.packet, here).unwrap();
        let mut heard = (0..2).filter_map(|_| hear(&listener, Duration::from_secs(2)));
        assert_eq!(heard.next().unwrap().session, SessionId([8; 16]));
    }
}
