//! The receiving side of one lane: joins a group on one interface and reads whole trains.
//!
//! Reads and nothing else, so that a thread of its own can empty the socket as fast as the kernel
//! fills it. Does not look inside packets, and never sends.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use socket2::{Domain, InterfaceIndexOrAddress, Socket, Type};

use super::{
    interface::{Family, Interface},
    message, options,
    sender::require_group,
};
use crate::clock;

/// Longest wait of one call, so that no timeout overflows the clock.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How to open a [`MulticastReceiver`].
#[derive(Debug, Clone, Copy)]
pub struct ReceiverOptions<'a> {
    /// Where the group is joined, whatever the routing table says.
    pub interface: &'a Interface,
    /// The group and port to hear.
    pub group: SocketAddr,
    /// Receive buffer to ask for, in bytes; see [`MulticastReceiver::receive_buffer_bytes`].
    pub receive_buffer: usize,
}

/// How long a read may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    Now,
    /// At most this long, and at most a day.
    UpTo(Duration),
}

/// What one read brought: packets of one source, back to back in the caller's buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Train {
    /// Bytes of the buffer that were filled.
    pub len: usize,
    /// Bytes in each packet but the last, which may be shorter; `len` when it came alone. Zero only
    /// for an empty packet.
    pub segment_size: usize,
    /// Where the packets claim to come from.
    pub source: SocketAddr,
    /// Whether the buffer was too small and the end is lost.
    pub truncated: bool,
    /// Entries that this socket has lost to a full buffer so far, where a train counts as one; wraps.
    pub dropped_total: u32,
    /// How long the train waited in the socket before it was read; zero when the kernel does not tell.
    pub waited: Duration,
}

/// A socket that hears one group on one interface.
#[derive(Debug)]
pub struct MulticastReceiver {
    socket: Socket,
    group: SocketAddr,
    interface_index: u32,
    gro_active: bool,
}

impl AsFd for MulticastReceiver {
    /// To wait for, beside other descriptors.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl MulticastReceiver {
    /// Joins the group. Several sockets of this host may join the same, and all hear it.
    ///
    /// Hears nothing but this group and port. The buffer may end smaller than asked: compare
    /// [`Self::receive_buffer_bytes`].
    ///
    /// # Errors
    ///
    /// `InvalidInput` when the address is not of a multicast group, else what the kernel says:
    /// `ENOBUFS` when `net.ipv4.igmp_max_memberships` is used up, `ENODEV` when the interface is gone, or
    /// that the address is of another version than the interface's.
    pub fn join(options: ReceiverOptions<'_>) -> io::Result<Self> {
        let ReceiverOptions {
            interface,
            group,
            receive_buffer,
        } = options;
        require_group(group)?;
        let socket = Socket::new(Domain::for_address(group), Type::DGRAM, None)?;
        socket.set_reuse_address(true)?;
        // Both, as either alone still lets in what another process has joined: other ports' groups
        // without the first, other interfaces' packets without the second.
        socket.bind(&interface.on_this_link(group.ip(), group.port()).into())?;
        options::set_hear_own_groups_only(&socket, Family::of(group.ip()))?;
        // Buffer and options first: packets arrive from the moment of joining.
        if options::force_receive_buffer(socket.as_fd(), receive_buffer).is_err() {
            socket.set_recv_buffer_size(receive_buffer)?;
        }
        let gro_active = options::set_receive_trains(socket.as_fd()).is_ok();
        options::set_count_drops(socket.as_fd())?;
        options::set_tell_arrival(socket.as_fd())?;
        let receiver = Self {
            socket,
            group,
            interface_index: interface.index,
            gro_active,
        };
        receiver.join_group()?;
        Ok(receiver)
    }

    /// Reads one packet or one joined train into `buffer`; `None` when nothing came in time.
    ///
    /// Loses nothing when the buffer has [`super::TRAIN_BYTES_MAX`] bytes. Costs one system call
    /// while packets are waiting, and allocates nothing.
    ///
    /// # Errors
    ///
    /// What the kernel says, such as `ENETDOWN` when the interface goes down.
    pub fn receive_train(&self, buffer: &mut [u8], block: Wait) -> io::Result<Option<Train>> {
        let mut deadline = None;
        loop {
            let error = match message::receive(self.socket.as_fd(), buffer) {
                Ok(received) => {
                    return Ok(Some(Train {
                        len: received.length,
                        segment_size: received.segment_size.unwrap_or(received.length),
                        source: received.source,
                        truncated: received.truncated,
                        dropped_total: received.dropped_total,
                        waited: received
                            .arrived
                            .map_or(Duration::ZERO, clock::since_realtime),
                    }));
                }
                Err(error) => error,
            };
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => {
                    let Wait::UpTo(timeout) = block else {
                        return Ok(None);
                    };
                    // The clock is only read once there is nothing better to do.
                    let now = Instant::now();
                    let deadline = *deadline.get_or_insert(now + timeout.min(WAIT_MAX));
                    let left = deadline.saturating_duration_since(now);
                    if left.is_zero() || !wait_readable(self.socket.as_fd(), left)? {
                        return Ok(None);
                    }
                }
                _ => return Err(error),
            }
        }
    }

    /// Leaves the group and joins it again, which makes the kernel report the membership unasked.
    ///
    /// A switch that snoops on a link without a querier forgets members after 260 s (RFC 3376, section
    /// 8.4): do this every minute there. Packets of the moment between are lost.
    ///
    /// # Errors
    ///
    /// What the kernel says to joining; the socket then hears nothing.
    pub fn rejoin(&self) -> io::Result<()> {
        // Not a member any more, after the interface went down and up: joining is all that is left.
        let _ = self.leave();
        self.join_group()
    }

    /// Leaves the group; [`Self::rejoin`] comes back. What has arrived already can still be read.
    ///
    /// # Errors
    ///
    /// What the kernel says, such as `EADDRNOTAVAIL` when the socket is no member.
    pub fn leave(&self) -> io::Result<()> {
        match self.group.ip() {
            IpAddr::V4(group) => self.socket.leave_multicast_v4_n(
                &group,
                &InterfaceIndexOrAddress::Index(self.interface_index),
            ),
            IpAddr::V6(group) => self.socket.leave_multicast_v6(&group, self.interface_index),
        }
    }

    fn join_group(&self) -> io::Result<()> {
        match self.group.ip() {
            IpAddr::V4(group) => self.socket.join_multicast_v4_n(
                &group,
                &InterfaceIndexOrAddress::Index(self.interface_index),
            ),
            IpAddr::V6(group) => self.socket.join_multicast_v6(&group, self.interface_index),
        }
    }

    /// The receive buffer that the kernel granted, in bytes of its own bookkeeping.
    ///
    /// The kernel doubles what is asked for, as it counts its overhead too (`SO_RCVBUF` of
    /// `socket(7)`). Less than twice the wish means that `net.core.rmem_max` is too small and that this
    /// process may not exceed it.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn receive_buffer_bytes(&self) -> io::Result<usize> {
        self.socket.recv_buffer_size()
    }

    /// Whether the kernel joins packets to trains for this socket (Linux 5.0 and later).
    pub fn gro_active(&self) -> bool {
        self.gro_active
    }
}

/// Waits until the socket has a packet or an error to read; false when `timeout` passed.
pub(super) fn wait_readable(socket: BorrowedFd<'_>, timeout: Duration) -> io::Result<bool> {
    let timeout = Timespec::try_from(timeout).map_err(|_| io::ErrorKind::InvalidInput)?;
    match poll(
        &mut [PollFd::from_borrowed_fd(socket, PollFlags::IN)],
        Some(&timeout),
    ) {
        Ok(ready) => Ok(ready > 0),
        // The caller knows its deadline, and comes back with what is left of it.
        Err(Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
