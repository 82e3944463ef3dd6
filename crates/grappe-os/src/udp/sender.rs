//! The sending side of one lane: trains out to a group, unicast replies in, on one socket.
//!
//! Survives what networks do to senders: an interface without segmentation offload, a full queue, and
//! receivers that died and answer with ICMP. Does not pace, and never resends.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rustix::{io::Errno, net::sockopt};
use socket2::{Domain, Socket, Type};

use super::{
    TRAIN_BYTES_MAX, TRAIN_SEGMENTS_MAX,
    interface::{Family, Interface},
    message, options,
    receiver::{WAIT_MAX, wait_readable},
};

/// Attempts at one send. Each failed one consumes at least one pending ICMP error, of which the kernel
/// produces a thousand a second at most, so a second attempt nearly always decides.
const ATTEMPTS: usize = 8;

/// How long the kernel waits for room in the send buffer in one call. It wakes the caller only once
/// half the buffer is free; on a slow link a new call finds room long before.
const ROOM_WAIT: Duration = Duration::from_millis(50);

/// Calls without any room after which a train is given up: together 200 ms. A queue that does not move
/// for so long is parked, and the caller has other things to look after.
const ROOM_WAITS: usize = 4;

/// How to open a [`MulticastSender`].
#[derive(Debug, Clone, Copy)]
pub struct SenderOptions<'a> {
    /// Where packets leave, whatever the routing table says; replies arrive at its address.
    pub interface: &'a Interface,
    /// UDP port that packets come from and replies go to; 0 leaves the choice to the kernel.
    pub local_port: u16,
    /// The group and port that trains go to.
    pub group: SocketAddr,
    /// Routers that a packet may pass, plus one: 1 stays on the link, 0 on this host.
    pub ttl: u8,
    /// Whether receivers on this host hear the trains; costs a copy of every packet.
    pub loopback: bool,
    /// Send buffer to ask for, in bytes; the kernel caps it at `net.core.wmem_max`. Keep it moderate:
    /// what waits in it can no longer be slowed down.
    pub send_buffer: usize,
}

/// What became of a train.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum SendOutcome {
    /// The kernel took every packet.
    Sent {
        /// Packets in the train.
        packets: usize,
    },
    /// This host's own queue was full, at once (`ENOBUFS`) or for 200 ms (`EAGAIN`): the rate is
    /// above what the link takes, or the link takes nothing.
    Refused {
        /// Packets from the start of the train that were taken.
        sent: usize,
        /// Packets that are lost, as the network could have lost them.
        refused: usize,
    },
}

/// A socket that sends trains to one group and hears the unicast replies.
///
/// One thread may send while another receives.
#[derive(Debug)]
pub struct MulticastSender {
    socket: Socket,
    group: SocketAddr,
    local_port: u16,
    segment_bytes_max: usize,
    gso_active: AtomicBool,
}

impl MulticastSender {
    /// Opens the socket, bound to the interface's address.
    ///
    /// Packets carry "don't fragment": one larger than the interface's MTU is an error here, one
    /// larger than the path's is lost.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the address is not of a multicast group, or of another version than the
    /// interface's, else what the kernel says, such as
    /// `AddrNotAvailable` when the interface has lost its address, or `AddrInUse` when another program
    /// has the port.
    pub fn open(options: SenderOptions<'_>) -> io::Result<Self> {
        let SenderOptions {
            interface, group, ..
        } = options;
        require_group(group)?;
        let family = Family::of(group.ip());
        if family != interface.family() {
            return Err(invalid(
                "group and interface address are of different versions of IP",
            ));
        }
        let socket = Socket::new(Domain::for_address(group), Type::DGRAM, None)?;
        socket.bind(&interface.socket_address(options.local_port).into())?;
        // By index, as two interfaces may share an address and a name may move.
        match interface.address {
            IpAddr::V4(address) => {
                sockopt::set_ip_multicast_if_with_ifindex(
                    &socket,
                    &Ipv4Addr::UNSPECIFIED,
                    &address,
                    interface.index,
                )?;
                socket.set_multicast_ttl_v4(options.ttl.into())?;
            }
            IpAddr::V6(_) => {
                socket.set_multicast_if_v6(interface.index)?;
                socket.set_multicast_hops_v6(options.ttl.into())?;
            }
        }
        socket.set_send_buffer_size(options.send_buffer)?;
        socket.set_write_timeout(Some(ROOM_WAIT))?;
        options::set_receive_errors(socket.as_fd(), family)?;
        options::set_never_fragment(socket.as_fd(), family)?;
        let local = socket.local_addr()?.as_socket();
        let local_port = local.ok_or(io::ErrorKind::AddrNotAvailable)?.port();
        let packet_bytes = usize::try_from(interface.mtu).unwrap_or(usize::MAX);
        let sender = Self {
            socket,
            group: interface.on_this_link(group.ip(), group.port()),
            local_port,
            segment_bytes_max: packet_bytes
                .saturating_sub(family.header_bytes())
                .min(TRAIN_BYTES_MAX),
            gso_active: AtomicBool::new(true),
        };
        sender.set_loopback(options.loopback)?;
        Ok(sender)
    }

    /// Sends `bytes` to the group as packets of `segment_size` bytes, of which the last may be shorter.
    ///
    /// One system call while [`Self::gso_active`]; blocks while the send buffer is full, but for 200 ms
    /// at most. When the kernel or the interface cannot cut trains, packets are sent one by one from then
    /// on.
    ///
    /// # Errors
    ///
    /// `InvalidInput` when `segment_size` is zero or does not fit the interface's MTU, or the train is
    /// above [`TRAIN_SEGMENTS_MAX`] or [`TRAIN_BYTES_MAX`]; else what the kernel says, such as
    /// `NetworkUnreachable` when the interface is down. A full queue is no error, see [`SendOutcome`].
    pub fn send_train(&self, bytes: &[u8], segment_size: usize) -> io::Result<SendOutcome> {
        if segment_size == 0 || segment_size.min(bytes.len()) > self.segment_bytes_max {
            return Err(invalid(
                "a segment is empty or larger than the interface's MTU allows",
            ));
        }
        let packets = bytes.len().div_ceil(segment_size);
        if packets > TRAIN_SEGMENTS_MAX || bytes.len() > TRAIN_BYTES_MAX {
            return Err(invalid("a train has too many segments or bytes"));
        }
        // A lone packet needs no cutting, and tells nothing about whether the kernel can cut.
        let is_cut = self.gso_active();
        if packets > 1
            && is_cut
            && let Some(outcome) = self.send_segmented(bytes, segment_size, packets)?
        {
            return Ok(outcome);
        }
        let outcome = self.send_packets(bytes, segment_size, packets);
        if let Err(error) = &outcome
            && Errno::from_io_error(error) == Some(Errno::MSGSIZE)
        {
            // Not the cutting was refused, but packets above what the interface takes by now.
            self.gso_active.store(is_cut, Ordering::Relaxed);
        }
        outcome
    }

    /// Sends one packet to any address; [`SendOutcome`] counts it as a train of one.
    ///
    /// # Errors
    ///
    /// As for [`Self::send_train`].
    pub fn send_to(&self, bytes: &[u8], destination: SocketAddr) -> io::Result<SendOutcome> {
        if bytes.len() > self.segment_bytes_max {
            return Err(invalid(
                "a packet is larger than the interface's MTU allows",
            ));
        }
        let sent = self.attempt(|socket| message::send_packet(socket, destination, bytes))?;
        Ok(match sent {
            Some(()) => SendOutcome::Sent { packets: 1 },
            None => SendOutcome::Refused {
                sent: 0,
                refused: 1,
            },
        })
    }

    /// Waits at most `timeout`, or a day, for a unicast packet to this socket.
    ///
    /// Answers its length and source, or `None` when nothing came in time. A packet longer than `buffer` is cut to it. The source is
    /// what the packet claims.
    ///
    /// # Errors
    ///
    /// What the kernel says; never the ICMP errors that past packets provoked.
    pub fn recv_from(
        &self,
        buffer: &mut [u8],
        timeout: Duration,
    ) -> io::Result<Option<(usize, SocketAddr)>> {
        let deadline = Instant::now() + timeout.min(WAIT_MAX);
        loop {
            match message::receive(self.socket.as_fd(), buffer) {
                Ok(received) => return Ok(Some((received.length, received.source))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    // The error queue also ends a wait, and keeps ending it until it is drained.
                    message::drain_errors(self.socket.as_fd());
                    if left.is_zero() || !wait_readable(self.socket.as_fd(), left)? {
                        return Ok(None);
                    }
                }
                Err(error) if is_passing(&error) => message::drain_errors(self.socket.as_fd()),
                Err(error) => return Err(error),
            }
        }
    }

    /// The UDP port of this socket, where replies are awaited.
    pub fn local_port(&self) -> u16 {
        self.local_port
    }

    /// Whether trains leave in one call. Starts true, and stays false once the kernel has refused.
    pub fn gso_active(&self) -> bool {
        self.gso_active.load(Ordering::Relaxed)
    }

    /// Sends packet by packet from now on, for links that choke on trains and for tests.
    pub fn disable_gso(&self) {
        self.gso_active.store(false, Ordering::Relaxed);
    }

    /// Chooses anew whether receivers on this host hear the trains.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn set_loopback(&self, loopback: bool) -> io::Result<()> {
        match self.group {
            SocketAddr::V4(_) => self.socket.set_multicast_loop_v4(loopback),
            SocketAddr::V6(_) => self.socket.set_multicast_loop_v6(loopback),
        }
    }

    /// Sends with one call, or answers `None` after switching this off because the kernel cannot.
    fn send_segmented(
        &self,
        bytes: &[u8],
        segment_size: usize,
        packets: usize,
    ) -> io::Result<Option<SendOutcome>> {
        let Ok(size) = u16::try_from(segment_size) else {
            return Ok(None);
        };
        match self.attempt(|socket| message::send_segmented(socket, self.group, bytes, size)) {
            Ok(Some(())) => Ok(Some(SendOutcome::Sent { packets })),
            Ok(None) => Ok(Some(SendOutcome::Refused {
                sent: 0,
                refused: packets,
            })),
            Err(error) if refuses_gso(&error) => {
                self.disable_gso();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends packet by packet, in as few calls as the kernel allows.
    fn send_packets(
        &self,
        bytes: &[u8],
        segment_size: usize,
        packets: usize,
    ) -> io::Result<SendOutcome> {
        let mut sent = 0;
        while sent < packets {
            let rest = bytes.get(sent * segment_size..).unwrap_or_default();
            let taken = self
                .attempt(|socket| message::send_packets(socket, self.group, rest, segment_size))?;
            match taken {
                Some(taken) => sent += taken,
                None => {
                    return Ok(SendOutcome::Refused {
                        sent,
                        refused: packets - sent,
                    });
                }
            }
        }
        Ok(SendOutcome::Sent { packets })
    }

    /// Tries `send` until it succeeds (`Some`), the queue is full (`None`) or it fails by itself.
    ///
    /// With `IP_RECVERR` the kernel hands the ICMP answer to an earlier packet to the next call, which
    /// then has sent nothing. Only an error that stays is about this packet.
    fn attempt<T>(&self, send: impl Fn(BorrowedFd<'_>) -> io::Result<T>) -> io::Result<Option<T>> {
        let (mut failed, mut waited) = (0, 0);
        loop {
            let error = match send(self.socket.as_fd()) {
                Ok(sent) => return Ok(Some(sent)),
                Err(error) => error,
            };
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            message::drain_errors(self.socket.as_fd());
            match Errno::from_io_error(&error) {
                Some(Errno::NOBUFS) => return Ok(None),
                Some(Errno::AGAIN) => {
                    waited += 1;
                    if waited == ROOM_WAITS {
                        return Ok(None);
                    }
                    continue;
                }
                _ => {}
            }
            failed += 1;
            if failed == ATTEMPTS {
                return Err(error);
            }
        }
    }
}

/// Refuses an address that is not of a multicast group, before the kernel does so less clearly.
pub(super) fn require_group(group: SocketAddr) -> io::Result<()> {
    if group.ip().is_multicast() {
        Ok(())
    } else {
        Err(invalid("not a multicast group"))
    }
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

#[cfg(test)]
impl MulticastSender {
    /// Sends to a queue that answers every call as `answer` does.
    pub(super) fn attempt_against(&self, answer: impl Fn() -> Errno) -> io::Result<Option<()>> {
        self.attempt(|_| Err(answer().into()))
    }

    /// How long one call waits for room.
    pub(super) fn room_wait(&self) -> Option<Duration> {
        self.socket.write_timeout().ok().flatten()
    }
}

/// What `udp_send_skb` answers without checksum offload, under IPsec, or before Linux 4.18.
fn refuses_gso(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::IO | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOPROTOOPT)
    )
}

/// What ICMP can become (`icmp_err_convert` in net/ipv4/icmp.c), or a signal.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::CONNREFUSED
                | Errno::HOSTUNREACH
                | Errno::NETUNREACH
                | Errno::HOSTDOWN
                | Errno::NONET
                | Errno::NOPROTOOPT
                | Errno::OPNOTSUPP
                | Errno::PROTO
                | Errno::MSGSIZE
                | Errno::INTR
        )
    )
}
