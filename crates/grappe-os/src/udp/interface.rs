//! Network interfaces with their IPv4 and IPv6 addresses: by name, by address, or as the routing table
//! chooses.
//!
//! Multicast on the interface of the default route is the classic silent failure, so every socket of
//! this room is given an [`Interface`] by its caller. Nothing here changes an interface.

use std::{
    ffi::CStr,
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    ptr,
};

use rustix::io::Errno;
use socket2::{Domain, Socket, Type};
use thiserror::Error;

use super::options;

/// A version of the internet protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

impl Family {
    /// That of an address.
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }

    /// Bytes of the IP and UDP headers in front of every payload; options and extension headers are never
    /// sent.
    pub const fn header_bytes(self) -> usize {
        match self {
            Self::V4 => 28,
            Self::V6 => 48,
        }
    }
}

/// One address of a network interface that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The kernel's name, such as `eth0`; the label where the address has one, such as `eth0:1`.
    pub name: String,
    /// The kernel's index, never zero; unlike the name, it is what the sockets are tied to.
    pub index: u32,
    /// The address that packets leave with.
    pub address: IpAddr,
    /// Largest IP packet in bytes, headers included: a payload is [`Family::header_bytes`] smaller.
    pub mtu: u32,
    /// Whether packets never leave this host.
    pub is_loopback: bool,
}

/// Why no interface was found. `existing` lists what there is, ready to be shown to a person.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InterfaceError {
    /// Nothing that is up has this name or address.
    #[error("no interface that is up has the name or address `{asked}`; there is {existing}")]
    Unknown {
        /// What was asked for.
        asked: String,
        /// The interfaces that could have been asked for.
        existing: String,
    },
    /// It is up, but copies of this version of IP cannot travel by it.
    #[error("{name} is up, but has no {family} address; there is {existing}")]
    NoAddress {
        /// The interface, by its name.
        name: String,
        /// What was looked for.
        family: Family,
        /// The interfaces that could have been asked for.
        existing: String,
    },
    /// An address of the other version of IP was asked for.
    #[error("{address} is no {family} address, as the group demands; there is {existing}")]
    OtherFamily {
        /// What was asked for.
        address: IpAddr,
        /// What was looked for.
        family: Family,
        /// The interfaces that could have been asked for.
        existing: String,
    },
    /// There is no route, and not exactly one interface to fall back to.
    #[error("no route to {destination}, and no single interface to choose; there is {existing}")]
    NoRoute {
        /// Where the route should have led.
        destination: IpAddr,
        /// The interfaces to choose from by name.
        existing: String,
    },
    /// The kernel would not list its interfaces.
    #[error("cannot list the network interfaces")]
    List(#[source] Errno),
}

impl Interface {
    /// Every address of every interface that is up, in the kernel's order.
    ///
    /// # Errors
    ///
    /// [`InterfaceError::List`] when the kernel refuses, as in a process out of descriptors.
    pub fn all() -> Result<Vec<Self>, InterfaceError> {
        Ok(Listed::now()?.addresses)
    }

    /// The interface with this name, or with this address.
    ///
    /// A name gives its first IPv4 address, or one of [`Self::named_in`] IPv6 where it has none.
    ///
    /// # Errors
    ///
    /// As for [`Self::named_in`] with IPv4.
    pub fn named(name_or_address: &str) -> Result<Self, InterfaceError> {
        Self::named_in(name_or_address, Family::V4).or_else(|error| {
            let six = Self::named_in(name_or_address, Family::V6);
            six.map_err(|_| error)
        })
    }

    /// The interface with this name, or with this address, and its address of this family.
    ///
    /// With several addresses on one interface, a name gives the first of them; for IPv6, the first that
    /// is not only valid on the link (RFC 4291, section 2.5.6), if there is one.
    ///
    /// # Errors
    ///
    /// [`InterfaceError::Unknown`] when there is none, or it is down; [`InterfaceError::NoAddress`] and
    /// [`InterfaceError::OtherFamily`] when there is one that does not do.
    pub fn named_in(name_or_address: &str, family: Family) -> Result<Self, InterfaceError> {
        let listed = Listed::now()?;
        let all = &listed.addresses;
        let address: Option<IpAddr> = name_or_address.parse().ok();
        let mut found: Vec<&Self> = all
            .iter()
            .filter(|interface| interface.family() == family)
            .filter(|interface| {
                interface.name == name_or_address || Some(interface.address) == address
            })
            .collect();
        found.sort_by_key(|interface| interface.is_link_local());
        found
            .first()
            .map(|interface| (*interface).clone())
            .ok_or_else(|| listed.lack_of(name_or_address, family))
    }

    /// The interface that the routing table uses towards `destination`, a group or a host.
    ///
    /// A host without a route there, as in a netboot environment, gets its only interface that is not
    /// loopback and has an address of that family, if there is exactly one. Sends nothing.
    ///
    /// # Errors
    ///
    /// [`InterfaceError::NoRoute`] when neither way leads to one interface.
    pub fn for_destination(destination: IpAddr) -> Result<Self, InterfaceError> {
        if let Some(routed) = Self::routed_to(destination)? {
            return Ok(routed);
        }
        let all = Self::all()?;
        let family = Family::of(destination);
        let mut outward: Vec<&Self> = all
            .iter()
            .filter(|interface| !interface.is_loopback && interface.family() == family)
            .collect();
        outward.sort_by_key(|interface| interface.is_link_local());
        let only = outward
            .first()
            .filter(|first| outward.iter().all(|other| other.index == first.index));
        only.copied()
            .cloned()
            .ok_or_else(|| InterfaceError::NoRoute {
                destination,
                existing: describe(&all),
            })
    }

    /// The interface that the routing table uses towards `destination`, if there is a route. Sends nothing.
    ///
    /// # Errors
    ///
    /// As for [`Self::all`].
    pub fn routed_to(destination: IpAddr) -> Result<Option<Self>, InterfaceError> {
        let Ok(source) = source_towards(destination) else {
            return Ok(None);
        };
        // An address that is valid on each link may be that of several interfaces.
        let all = Self::all()?;
        Ok(all.into_iter().find(|interface| interface.is_at(&source)))
    }

    /// All addresses of this interface that are of the same family, its own first.
    ///
    /// # Errors
    ///
    /// As for [`Self::all`].
    pub fn siblings(&self) -> Result<Vec<Self>, InterfaceError> {
        let others = Self::all()?.into_iter().filter(|other| {
            other.index == self.index
                && other.family() == self.family()
                && other.address != self.address
        });
        Ok(std::iter::once(self.clone()).chain(others).collect())
    }

    /// The version of its address.
    pub const fn family(&self) -> Family {
        Family::of(self.address)
    }

    /// Its address with a port, and with the link that it is valid on, where it needs one.
    pub fn socket_address(&self, port: u16) -> SocketAddr {
        self.on_this_link(self.address, port)
    }

    /// An address as it is reached through this interface: those valid on one link only get its number.
    pub fn on_this_link(&self, address: IpAddr, port: u16) -> SocketAddr {
        match address {
            IpAddr::V6(address) if needs_scope(&address) => {
                SocketAddrV6::new(address, port, 0, self.index).into()
            }
            other => SocketAddr::new(other, port),
        }
    }

    /// Whether its address is valid on its link only (RFC 4291, section 2.5.6); of IPv4 none counts as such.
    pub fn is_link_local(&self) -> bool {
        matches!(self.address, IpAddr::V6(address) if address.is_unicast_link_local())
    }

    fn is_at(&self, source: &SocketAddr) -> bool {
        let scope = match source {
            SocketAddr::V6(source) => source.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        self.address == source.ip() && (scope == 0 || scope == self.index)
    }
}

/// What is up, at one moment.
struct Listed {
    /// Every address of every interface.
    addresses: Vec<Interface>,
    /// The names of all interfaces, those without an address as well.
    names: Vec<String>,
}

impl Listed {
    fn now() -> Result<Self, InterfaceError> {
        list().map_err(|error| {
            InterfaceError::List(Errno::from_io_error(&error).unwrap_or(Errno::IO))
        })
    }

    /// Why nothing here is `asked`, a name or an address, with an address of `family`.
    fn lack_of(&self, asked: &str, family: Family) -> InterfaceError {
        let existing = describe(&self.addresses);
        let address = asked.parse().ok();
        let mut others = self.addresses.iter();
        if let Some(other) = others.find(|other| Some(other.address) == address) {
            return InterfaceError::OtherFamily {
                address: other.address,
                family,
                existing,
            };
        }
        match self.names.iter().any(|name| name == asked) {
            true => InterfaceError::NoAddress {
                name: asked.to_owned(),
                family,
                existing,
            },
            false => InterfaceError::Unknown {
                asked: asked.to_owned(),
                existing,
            },
        }
    }
}

/// Whether an address means something on one link or host only (RFC 4007): unicast, or a group of the
/// scopes 1 and 2.
fn needs_scope(address: &Ipv6Addr) -> bool {
    address.is_unicast_link_local()
        || address.is_multicast() && matches!(address.octets()[1] & 0x0f, 1 | 2)
}

/// The address that the kernel would send from; connecting a UDP socket looks the route up only.
fn source_towards(destination: IpAddr) -> io::Result<SocketAddr> {
    // Connecting never touches the port; 9 is the discard service, should anything ever be sent.
    const DISCARD: u16 = 9;

    let any: IpAddr = match destination {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect((destination, DISCARD))?;
    socket.local_addr()
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
fn list() -> io::Result<Listed> {
    // `SIOCGIFMTU` wants any socket; `/sys` would answer for another network namespace.
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    let mut head: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: the pointer is ours to fill.
    if unsafe { libc::getifaddrs(&raw mut head) } != 0 {
        return Err(io::Error::last_os_error());
    }

    let (mut addresses, mut names) = (Vec::new(), Vec::new());
    let mut next = head;
    // SAFETY: each entry is a valid `ifaddrs` or null until `freeifaddrs` below.
    while let Some(entry) = unsafe { next.as_ref() } {
        next = entry.ifa_next;
        if entry.ifa_flags & libc::IFF_UP.cast_unsigned() == 0 {
            continue;
        }
        // SAFETY: the name is a C string as long as the entry lives.
        let name = unsafe { CStr::from_ptr(entry.ifa_name) };
        names.push(name.to_string_lossy().into_owned());
        // SAFETY: the entry comes from the list, unchanged.
        let Some(address) = (unsafe { address_of(entry) }) else {
            continue;
        };
        // An interface may vanish between the list and the questions: it is left out then.
        if let Ok((index, mtu)) = options::index_and_mtu(&socket, name) {
            addresses.push(Interface {
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
    Ok(Listed { addresses, names })
}

/// The address of a list entry, or nothing when it has another kind of address.
///
/// # Safety
///
/// The entry is one of a list that `getifaddrs` made and that outlives the borrow.
#[expect(unsafe_code, reason = "reads what an entry of getifaddrs points to")]
unsafe fn address_of(entry: &libc::ifaddrs) -> Option<IpAddr> {
    // SAFETY: the address is null or a valid `sockaddr` as long as the entry lives.
    let family = unsafe { entry.ifa_addr.as_ref() }?.sa_family;
    let address = match i32::from(family) {
        libc::AF_INET => {
            // SAFETY: the family says that this is a `sockaddr_in`; nothing promises its alignment.
            let address = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned() };
            Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into()
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that this is a `sockaddr_in6`; nothing promises its alignment.
            let address = unsafe { entry.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned() };
            Ipv6Addr::from(address.sin6_addr.s6_addr).into()
        }
        _ => return None,
    };
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_found_by_name_and_by_address() {
        let by_name = Interface::named("lo").unwrap();
        assert_eq!(Interface::named("127.0.0.1"), Ok(by_name.clone()));
        assert_eq!(
            Interface::for_destination(Ipv4Addr::LOCALHOST.into()),
            Ok(by_name.clone())
        );
        assert!(by_name.is_loopback && by_name.index > 0 && by_name.mtu >= 1_500);
    }

    #[test]
    fn the_loopback_interface_has_an_address_of_each_family() {
        let Ok(six) = Interface::named_in("lo", Family::V6) else {
            return println!("skipped: no IPv6 on the loopback interface");
        };
        assert_eq!(six.address, IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert_eq!(Interface::named("::1"), Ok(six.clone()));
        assert_eq!(
            Interface::for_destination(Ipv6Addr::LOCALHOST.into()),
            Ok(six.clone())
        );
        let four = Interface::named("lo").unwrap();
        assert_eq!(four.family(), Family::V4, "IPv4 comes first");
        assert_eq!((four.index, four.mtu), (six.index, six.mtu));
        assert_eq!(six.siblings().unwrap()[0], six);
    }

    #[test]
    fn what_is_valid_on_one_link_gets_its_number() {
        let interface = Interface::named("lo").unwrap();
        let scope = |address: &str| match interface.on_this_link(address.parse().unwrap(), 7) {
            SocketAddr::V6(address) => address.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        for address in ["fe80::1", "ff02::1", "ff12::1"] {
            assert_eq!(scope(address), interface.index, "{address}");
        }
        for address in ["fd00::1", "ff15::1", "2001:db8::1", "10.0.0.1"] {
            assert_eq!(scope(address), 0, "{address}");
        }
    }

    #[test]
    fn an_interface_without_such_an_address_is_told_from_one_that_is_not_there() {
        let interface = |name: &str, address| Interface {
            name: name.into(),
            index: 2,
            address,
            mtu: 1_500,
            is_loopback: false,
        };
        let listed = Listed {
            addresses: vec![interface("eth0", [10, 0, 0, 1].into())],
            names: vec!["eth0".into(), "eth1".into()],
        };
        for (asked, family, words) in [
            ("eth0", Family::V6, "eth0 is up, but has no IPv6 address"),
            ("eth1", Family::V4, "eth1 is up, but has no IPv4 address"),
            ("10.0.0.1", Family::V6, "10.0.0.1 is no IPv6 address"),
            ("eth2", Family::V4, "no interface that is up has"),
            ("10.0.0.2", Family::V6, "no interface that is up has"),
        ] {
            let error = listed.lack_of(asked, family).to_string();
            assert!(error.starts_with(words), "{error}");
            assert!(error.ends_with("there is eth0 (10.0.0.1)"), "{error}");
        }
        if let Err(error) = Interface::named_in("127.0.0.1", Family::V6) {
            assert!(
                matches!(error, InterfaceError::OtherFamily { .. }),
                "{error}"
            );
        }
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
