//! Network interfaces that can carry IPv4: by name, by address, or as the routing table chooses.
//!
//! Multicast on the interface of the default route is the classic silent failure, so every socket of
//! this room is given an [`Interface`] by its caller. Nothing here changes an interface.

use std::{
    ffi::CStr,
    io,
    net::{IpAddr, Ipv4Addr, UdpSocket},
    ptr,
};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use thiserror::Error;

use super::options;

/// One IPv4 address of a network interface that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's name, such as `eth0`; the label where the address has one, such as `eth0:1`.
    pub name: String,
    /// The kernel's index, never zero; unlike the name, it is what the sockets are tied to.
    pub index: u32,
    /// The address that packets leave with.
    pub address: Ipv4Addr,
    /// Largest IP packet in bytes, headers included: a payload is [`super::HEADER_BYTES`] smaller.
    pub mtu: u32,
    /// Whether packets never leave this host.
    pub is_loopback: bool,
}

/// Why no interface was found. `existing` lists what there is, ready to be shown to a person.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InterfaceError {
    /// Nothing that is up has this name or address.
    #[error("no interface that is up has the name or IPv4 address `{asked}`; there is {existing}")]
    Unknown {
        /// What was asked for.
        asked: String,
        /// The interfaces that could have been asked for.
        existing: String,
    },
    /// There is no route, and not exactly one interface to fall back to.
    #[error("no route to {destination}, and no single interface to choose; there is {existing}")]
    NoRoute {
        /// Where the route should have led.
        destination: Ipv4Addr,
        /// The interfaces to choose from by name.
        existing: String,
    },
    /// The kernel would not list its interfaces.
    #[error("cannot list the network interfaces")]
    List(#[source] Errno),
}

impl Interface {
    /// Every IPv4 address of every interface that is up, in the kernel's order.
    ///
    /// # Errors
    ///
    /// [`InterfaceError::List`] when the kernel refuses, as in a process out of descriptors.
    pub fn all() -> Result<Vec<Self>, InterfaceError> {
        list().map_err(|error| {
            InterfaceError::List(Errno::from_io_error(&error).unwrap_or(Errno::IO))
        })
    }

    /// The interface with this name, or with this IPv4 address in dotted form.
    ///
    /// With several addresses on one interface, a name gives the first of them.
    ///
    /// # Errors
    ///
    /// [`InterfaceError::Unknown`] when there is none, or it is down, or it has no IPv4 address.
    pub fn named(name_or_address: &str) -> Result<Self, InterfaceError> {
        let all = Self::all()?;
        let address: Option<Ipv4Addr> = name_or_address.parse().ok();
        let found = all.iter().find(|interface| {
            interface.name == name_or_address || Some(interface.address) == address
        });
        found.cloned().ok_or_else(|| InterfaceError::Unknown {
            asked: name_or_address.to_owned(),
            existing: describe(&all),
        })
    }

    /// The interface that the routing table uses towards `destination`, a group or a host.
    ///
    /// A host without a route there, as in a netboot environment, gets its only interface that is not
    /// loopback, if it has exactly one. Sends nothing.
    ///
    /// # Errors
    ///
    /// [`InterfaceError::NoRoute`] when neither way leads to one interface.
    pub fn for_destination(destination: Ipv4Addr) -> Result<Self, InterfaceError> {
        let all = Self::all()?;
        let routed = source_towards(destination).ok();
        let mut outward = all.iter().filter(|interface| !interface.is_loopback);
        let found = match routed {
            Some(source) => all.iter().find(|interface| interface.address == source),
            None => None,
        };
        let only = match (outward.next(), outward.next()) {
            (Some(interface), None) => Some(interface),
            _ => None,
        };
        found
            .or(only)
            .cloned()
            .ok_or_else(|| InterfaceError::NoRoute {
                destination,
                existing: describe(&all),
            })
    }
}

/// The address that the kernel would send from; connecting a UDP socket looks the route up only.
fn source_towards(destination: Ipv4Addr) -> io::Result<Ipv4Addr> {
    // Connecting never touches the port; 9 is the discard service, should anything ever be sent.
    const DISCARD: u16 = 9;

    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.connect((destination, DISCARD))?;
    match socket.local_addr()?.ip() {
        IpAddr::V4(address) => Ok(address),
        IpAddr::V6(_) => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

/// The list as a person reads it: `eth0 (10.0.0.7), lo (127.0.0.1)`.
fn describe(interfaces: &[Interface]) -> String {
    if interfaces.is_empty() {
        return "none".to_owned();
    }
    let described: Vec<String> = interfaces
        .iter()
        .map(|interface| format!("{} ({})", interface.name, interface.address))
        .collect();
    described.join(", ")
}

#[expect(unsafe_code, reason = "walks the list that getifaddrs allocates")]
fn list() -> io::Result<Vec<Interface>> {
    // `SIOCGIFMTU` wants any socket; `/sys` would answer for another network namespace.
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    let mut head: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: the pointer is ours to fill.
    if unsafe { libc::getifaddrs(&raw mut head) } != 0 {
        return Err(io::Error::last_os_error());
    }

    let mut interfaces = Vec::new();
    let mut next = head;
    // SAFETY: each entry is a valid `ifaddrs` or null until `freeifaddrs` below.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ifa_next;
        // SAFETY: the entry comes from the list, unchanged.
        let Some((name, address)) = (unsafe { name_and_address(entry) }) else {
            continue;
        };
        let up = entry.ifa_flags & libc::IFF_UP.cast_unsigned() != 0;
        // An interface may vanish between the list and the questions: it is left out then.
        if up && let Ok((index, mtu)) = options::index_and_mtu(&socket, name) {
            interfaces.push(Interface {
                name: name.to_string_lossy().into_owned(),
                index,
                address,
                mtu,
                is_loopback: entry.ifa_flags & libc::IFF_LOOPBACK.cast_unsigned() != 0,
            });
        }
    }
    // SAFETY: the head comes from `getifaddrs`, and nothing borrowed from the list is left.
    unsafe { libc::freeifaddrs(head) };
    Ok(interfaces)
}

/// The name and IPv4 address of a list entry, or nothing when it has another kind of address.
///
/// # Safety
///
/// The entry is one of a list that `getifaddrs` made and that outlives the borrow.
#[expect(unsafe_code, reason = "reads what an entry of getifaddrs points to")]
unsafe fn name_and_address(entry: &libc::ifaddrs) -> Option<(&CStr, Ipv4Addr)> {
    // SAFETY: the address is null or a valid `sockaddr` as long as the entry lives.
    let family = unsafe { entry.ifa_addr.as_ref() }?.sa_family;
    if i32::from(family) != libc::AF_INET {
        return None;
    }
    // SAFETY: the family says that this is a `sockaddr_in`; nothing promises its alignment.
    let address = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned() };
    // SAFETY: the name is a C string as long as the entry lives.
    let name = unsafe { CStr::from_ptr(entry.ifa_name) };
    Some((name, Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_by_name_and_by_address() {
        let by_name = Interface::named("lo").unwrap();
        assert_eq!(Interface::named("127.0.0.1"), Ok(by_name.clone()));
        assert_eq!(
            Interface::for_destination(Ipv4Addr::LOCALHOST),
            Ok(by_name.clone())
        );
        assert!(by_name.is_loopback && by_name.index > 0 && by_name.mtu >= 1_500);
    }

    #[test]
    fn an_unknown_name_is_told_what_exists() {
        let error = Interface::named("grappe-nowhere").unwrap_err();
        assert!(matches!(&error, InterfaceError::Unknown { existing, .. }
            if existing.contains("lo (127.0.0.1)")));
        assert!(error.to_string().contains("grappe-nowhere"));
        assert!(Interface::named("").is_err());
    }
}
