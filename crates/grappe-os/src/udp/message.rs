//! The calls that move packets: `sendto`, `sendmsg` with `UDP_SEGMENT`, `sendmmsg`, `recvmsg` with its
//! ancillary data, and `recvmsg` on the error queue.
//!
//! Each function is one attempt: retries, fallbacks and waiting are decided in `sender` and
//! `receiver`. Nothing is allocated.

use std::{
    io, mem,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

use libc::{c_int, c_uint, c_void};
use socket2::{SockAddr, SockAddrStorage};

use super::TRAIN_SEGMENTS_MAX;

/// Room for ancillary data: a `UDP_GRO` and an `SO_RXQ_OVFL` of 24 bytes each and an `SCM_TIMESTAMPNS`
/// of 32, aligned as `cmsghdr` wants, or the largest error report with the address of its origin.
#[repr(C, align(8))]
struct Control([u8; 128]);

/// What one `recvmsg` brought.
pub(super) struct Received {
    pub(super) length: usize,
    pub(super) source: SocketAddr,
    /// What `UDP_GRO` said, if anything.
    pub(super) segment_size: Option<usize>,
    /// What `SO_RXQ_OVFL` said; it is silent as long as nothing was dropped.
    pub(super) dropped_total: u32,
    /// What `SCM_TIMESTAMPNS` said: when the train reached this host, by `CLOCK_REALTIME`.
    pub(super) arrived: Option<libc::timespec>,
    pub(super) truncated: bool,
}

/// Sends `bytes` to `destination` as one packet, which may be empty.
pub(super) fn send_packet(
    socket: BorrowedFd<'_>,
    destination: SocketAddr,
    bytes: &[u8],
) -> io::Result<()> {
    rustix::net::sendto(socket, bytes, rustix::net::SendFlags::empty(), &destination)?;
    Ok(())
}

/// Sends `bytes` to `destination`, cut by the kernel into packets of `segment_size`.
#[expect(unsafe_code, reason = "builds ancillary data and calls sendmsg")]
pub(super) fn send_segmented(
    socket: BorrowedFd<'_>,
    destination: SocketAddr,
    bytes: &[u8],
    segment_size: u16,
) -> io::Result<()> {
    let address = SockAddr::from(destination);
    let mut vector = vector_of(bytes);
    let mut control = Control([0; 128]);
    let mut message = message_to(&address, &mut vector);
    message.msg_control = control.0.as_mut_ptr().cast();
    let payload = mem::size_of::<u16>() as c_uint;
    // SAFETY: the arithmetic of `CMSG_SPACE` and `CMSG_LEN` touches no memory.
    let (space, length) = unsafe { (libc::CMSG_SPACE(payload), libc::CMSG_LEN(payload)) };
    message.msg_controllen = space as _;
    // SAFETY: the control buffer is aligned and holds 128 bytes, more than one header and a `u16`, so
    // the first header exists and its data lies inside.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_UDP;
        (*header).cmsg_type = libc::UDP_SEGMENT;
        (*header).cmsg_len = length as _;
        libc::CMSG_DATA(header)
            .cast::<u16>()
            .write_unaligned(segment_size);
    }
    // SAFETY: everything the message points to lives in this function; the kernel only reads it.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) };
    if sent < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Sends `bytes` to `destination` as packets of `segment_size`; answers how many the kernel took.
///
/// Takes at most [`TRAIN_SEGMENTS_MAX`] packets; the error of a later packet shows in the next call.
#[expect(unsafe_code, reason = "builds an array of messages and calls sendmmsg")]
pub(super) fn send_packets(
    socket: BorrowedFd<'_>,
    destination: SocketAddr,
    bytes: &[u8],
    segment_size: usize,
) -> io::Result<usize> {
    let address = SockAddr::from(destination);
    let mut vectors = [vector_of(&[]); TRAIN_SEGMENTS_MAX];
    // SAFETY: `mmsghdr` is plain data, for which all zeros is a value.
    let mut messages: [libc::mmsghdr; TRAIN_SEGMENTS_MAX] = unsafe { mem::zeroed() };
    let mut count: c_uint = 0;
    for ((message, vector), packet) in messages
        .iter_mut()
        .zip(&mut vectors)
        .zip(bytes.chunks(segment_size))
    {
        *vector = vector_of(packet);
        message.msg_hdr = message_to(&address, vector);
        count += 1;
    }
    // SAFETY: the first `count` messages are filled, and point to what lives in this function.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), messages.as_mut_ptr(), count, 0) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Receives one packet or one joined train, without waiting.
#[expect(unsafe_code, reason = "calls recvmsg and walks its ancillary data")]
pub(super) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut address = SockAddrStorage::zeroed();
    let mut vector = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    let mut control = Control([0; 128]);
    let mut message = message_of(&mut vector);
    message.msg_name = ptr::from_mut(&mut address).cast();
    message.msg_namelen = address.size_of();
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    // SAFETY: the buffer is borrowed for writing, all else lives in this function.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;

    // SAFETY: the kernel has filled so many bytes of the address, which is one of the socket's family.
    let source = unsafe { SockAddr::new(address, message.msg_namelen) };
    // Sockets of this room have an IP address, and so have those who send to them.
    let source = source
        .as_socket()
        .unwrap_or_else(|| SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into());
    let mut received = Received {
        length,
        source,
        segment_size: None,
        dropped_total: 0,
        arrived: None,
        truncated: message.msg_flags & libc::MSG_TRUNC != 0,
    };
    // SAFETY: the kernel has filled the control buffer and set its length; the macros stay inside it.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(&raw const message) };
    // SAFETY: a header that the macros give is null or whole and aligned.
    while let Some(item) = unsafe { header.as_ref() } {
        // SAFETY: computes an address after the header, inside the control buffer.
        let data = unsafe { libc::CMSG_DATA(header) };
        match (item.cmsg_level, item.cmsg_type) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                // SAFETY: the kernel puts an `int` here, `udp_cmsg_recv` in include/linux/udp.h.
                let size = unsafe { data.cast::<c_int>().read_unaligned() };
                received.segment_size = usize::try_from(size).ok().filter(|size| *size > 0);
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => {
                // SAFETY: the kernel puts a `u32` here, `sock_recv_cmsgs` in include/net/sock.h.
                received.dropped_total = unsafe { data.cast::<u32>().read_unaligned() };
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                // SAFETY: the kernel puts a `timespec` here, `__sock_recv_timestamp` in net/socket.c.
                let arrived = unsafe { data.cast::<libc::timespec>().read_unaligned() };
                received.arrived = Some(arrived);
            }
            _ => {}
        }
        // SAFETY: as for the first header.
        header = unsafe { libc::CMSG_NXTHDR(&raw const message, header) };
    }
    Ok(received)
}

/// Throws away what waits on the error queue, at most a thousand reports.
///
/// Their content is not worth reading: an ICMP message can be forged by anyone, and a receiver that
/// went away is noticed by its silence.
#[expect(unsafe_code, reason = "calls recvmsg on the error queue")]
pub(super) fn drain_errors(socket: BorrowedFd<'_>) {
    // A bound, so that a storm of ICMP cannot hold the sender here.
    const REPORTS_MAX: usize = 1_000;

    for _ in 0..REPORTS_MAX {
        let mut control = Control([0; 128]);
        // SAFETY: `msghdr` is plain data, for which all zeros is a value.
        let mut message: libc::msghdr = unsafe { mem::zeroed() };
        message.msg_control = control.0.as_mut_ptr().cast();
        message.msg_controllen = control.0.len() as _;
        let flags = libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT;
        // SAFETY: the message has no buffers but the control one, which lives in this function.
        if unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) } < 0 {
            return;
        }
    }
}

/// A vector over bytes that the kernel will only read.
fn vector_of(bytes: &[u8]) -> libc::iovec {
    libc::iovec {
        iov_base: bytes.as_ptr().cast::<c_void>().cast_mut(),
        iov_len: bytes.len(),
    }
}

/// A message of one vector to an address. The pointers are only as good as the borrows; the kernel only
/// reads the address.
fn message_to(address: &SockAddr, vector: &mut libc::iovec) -> libc::msghdr {
    let mut message = message_of(vector);
    message.msg_name = address.as_ptr().cast::<c_void>().cast_mut();
    message.msg_namelen = address.len();
    message
}

/// A message of one vector, without address and ancillary data.
#[expect(
    unsafe_code,
    reason = "msghdr has padding on some systems, so it starts as zeros"
)]
fn message_of(vector: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: `msghdr` is plain data, for which all zeros is a value.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = vector;
    message.msg_iovlen = 1;
    message
}
