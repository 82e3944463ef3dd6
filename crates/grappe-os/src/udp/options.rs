//! The socket options and interface questions that neither `socket2` nor `rustix` offers.
//!
//! Thin and total: one function per option, each says where the kernel documents it. Which options a
//! socket gets, and why, is decided in `sender` and `receiver`.

use std::{
    ffi::CStr,
    io, mem,
    os::fd::{AsRawFd, BorrowedFd},
};

use libc::{c_int, socklen_t};
use socket2::Socket;

use super::interface::Family;

/// Asks for local and ICMP errors to be told: `IP_RECVERR` of `ip(7)`, `IPV6_RECVERR` of `ipv6(7)`.
///
/// Without it, `udp_send_skb` of the kernel turns a queueing discipline's refusal into success.
pub(super) fn set_receive_errors(socket: BorrowedFd<'_>, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => set(socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1),
        Family::V6 => set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1),
    }
}

/// Forbids fragments and trusts no ICMP about the path: `IP_PMTUDISC_PROBE` of `ip(7)` and the same of
/// `ipv6(7)`.
///
/// A lost fragment loses the whole packet, and a forged "fragmentation needed" would shrink a path.
pub(super) fn set_never_fragment(socket: BorrowedFd<'_>, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => set(
            socket,
            libc::IPPROTO_IP,
            libc::IP_MTU_DISCOVER,
            libc::IP_PMTUDISC_PROBE,
        ),
        Family::V6 => set(
            socket,
            libc::IPPROTO_IPV6,
            libc::IPV6_MTU_DISCOVER,
            libc::IPV6_PMTUDISC_PROBE,
        ),
    }
}

/// Whether a socket hears groups that only others joined: `IP_MULTICAST_ALL` of `ip(7)`,
/// `IPV6_MULTICAST_ALL` since Linux 4.20.
pub(super) fn set_hear_own_groups_only(socket: &Socket, family: Family) -> io::Result<()> {
    match family {
        Family::V4 => socket.set_multicast_all_v4(false),
        Family::V6 => socket.set_multicast_all_v6(false),
    }
}

/// Asks for joined trains: `UDP_GRO` of `udp(7)`, since Linux 5.0.
pub(super) fn set_receive_trains(socket: BorrowedFd<'_>) -> io::Result<()> {
    set(socket, libc::IPPROTO_UDP, libc::UDP_GRO, 1)
}

/// Asks for the count of dropped entries with each train: `SO_RXQ_OVFL` of `socket(7)`.
pub(super) fn set_count_drops(socket: BorrowedFd<'_>) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1)
}

/// Asks for the time of each train's arrival: `SO_TIMESTAMPNS` of `socket(7)`.
pub(super) fn set_tell_arrival(socket: BorrowedFd<'_>) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

/// Sets the receive buffer beyond `rmem_max`: `SO_RCVBUFFORCE` of `socket(7)`, with `CAP_NET_ADMIN`.
pub(super) fn force_receive_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    set(
        socket,
        libc::SOL_SOCKET,
        libc::SO_RCVBUFFORCE,
        c_int::try_from(bytes).unwrap_or(c_int::MAX),
    )
}

#[expect(unsafe_code, reason = "calls setsockopt")]
fn set(socket: BorrowedFd<'_>, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: the value is a whole integer of the length that is given with it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            mem::size_of::<c_int>() as socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The index and the MTU of an interface: `SIOCGIFINDEX` and `SIOCGIFMTU` of `netdevice(7)`.
///
/// `name` may be the label of an address (`eth0:1`); the kernel cuts it at the colon.
#[expect(unsafe_code, reason = "calls ioctl and reads the union that it fills")]
pub(super) fn index_and_mtu(socket: &Socket, name: &CStr) -> io::Result<(u32, u32)> {
    // SAFETY: `ifreq` is plain data, for which all zeros is a value.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    let name = name.to_bytes();
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name) {
        *to = *from as libc::c_char;
    }

    // SAFETY: the request is a whole `ifreq` with a terminated name, which these two calls fill in.
    if unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCGIFINDEX as _,
            &raw mut request,
        )
    } != 0
    {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call above has filled this member.
    let index = unsafe { request.ifr_ifru.ifru_ifindex };
    // SAFETY: as above.
    if unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU as _, &raw mut request) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    match (u32::try_from(index), u32::try_from(mtu)) {
        (Ok(index), Ok(mtu)) => Ok((index, mtu)),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
