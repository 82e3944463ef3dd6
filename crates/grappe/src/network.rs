//! Where a copy travels: interface, groups, port, TTL, and why nobody may have answered.
//!
//! Sockets themselves are in `grappe-os`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use grappe_os::udp::{Family, Interface, InterfaceError};
use grappe_proto::limits::{SYMBOL_SIZE, SYMBOL_SIZE_V6};
use grappe_proto::units::SessionId;
use grappe_proto::wire::data::{HEADER_LEN, TAG_LEN};

/// Group on which sessions are announced, in the organization-local scope (RFC 2365).
pub const ANNOUNCE_GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 71, 1);

/// The same of IPv6: not assigned by IANA, in the site-local scope (RFC 4291, section 2.7).
pub const ANNOUNCE_GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff15, 0, 0, 0, 0, 0, 0x7171, 1);

/// Bytes in a symbol over this version of IP.
pub const fn symbol_size(family: Family) -> u16 {
    match family {
        Family::V4 => SYMBOL_SIZE,
        Family::V6 => SYMBOL_SIZE_V6,
    }
}

/// Bytes of a data packet with the headers of IP and UDP: the least MTU that takes one.
pub const fn packet_bytes(family: Family) -> u32 {
    let packet = HEADER_LEN + symbol_size(family) as usize + TAG_LEN;
    (packet + family.header_bytes()) as u32
}

/// UDP port of announcements and of data.
pub const PORT: u16 = 7171;

/// Routers that multicast packets may pass, plus one.
pub const TTL: u8 = 1;

/// The network settings of a node.
#[derive(Clone, Debug)]
pub struct Network {
    /// The interface that packets leave and arrive by.
    pub interface: Interface,
    /// The group on which sessions are announced.
    pub group: IpAddr,
    /// UDP port of announcements and data.
    pub port: u16,
    /// 1 stays on the link, 0 on this host.
    pub ttl: u8,
}

impl Network {
    /// The network by the interface's name or address, or by the route to the group when none is given.
    ///
    /// Without a group it is that of IPv4, or of IPv6 where the interface, or this host, has no other; or
    /// where this host has a way out by IPv6 alone, and IPv4 only at a bridge, as those of containers.
    ///
    /// # Errors
    ///
    /// When there is no such interface, or none can be chosen.
    pub fn new(
        interface: Option<&str>,
        group: Option<IpAddr>,
        port: u16,
        ttl: u8,
    ) -> Result<Self, InterfaceError> {
        let choose = |group: IpAddr| match interface {
            Some(name) => Interface::named_in(name, Family::of(group)),
            None => Interface::for_destination(group),
        };
        let (interface, group) = match group {
            Some(group) => (choose(group)?, group),
            None => {
                let (four, six) = (ANNOUNCE_GROUP.into(), ANNOUNCE_GROUP_V6.into());
                match choose(four) {
                    Ok(found) if interface.is_none() => match way_out_by_six(&found, four)? {
                        Some(way_out) => (way_out, six),
                        None => (found, four),
                    },
                    Ok(interface) => (interface, four),
                    // What IPv4 lacks is what its user expects to read.
                    Err(error) => (choose(six).map_err(|_| error)?, six),
                }
            }
        };
        Ok(Self {
            interface,
            group,
            port,
            ttl,
        })
    }

    /// Where sessions are announced.
    pub const fn announce_address(&self) -> SocketAddr {
        SocketAddr::new(self.group, self.port)
    }

    /// Where the data of `session` goes: a group of its own beside the announcement group, so that no
    /// node hears what it has not joined.
    pub fn data_address(&self, session: SessionId) -> SocketAddr {
        let [high, low, rest @ ..] = session.0;
        let group = match self.group {
            IpAddr::V4(group) => {
                let [first, second, third, _] = group.octets();
                // Neither the announcement's third octet nor a last octet of 0 or 255.
                let third = third ^ (1 + high % 127);
                IpAddr::from([first, second, third, 1 + low % 254])
            }
            IpAddr::V6(group) => {
                let mut octets = group.octets();
                // Switches know a group by its last 32 bits (RFC 2464, section 7).
                octets[12] ^= 0x80 | high;
                (octets[13], octets[14], octets[15]) = (low, rest[0], rest[1]);
                octets.into()
            }
        };
        SocketAddr::new(group, self.port)
    }
}

/// The interface of the way out by IPv6, where that says more of the cluster's network than `found`, which
/// has an address of IPv4.
fn way_out_by_six(found: &Interface, group: IpAddr) -> Result<Option<Interface>, InterfaceError> {
    // Of the documentation (RFC 3849): only a default route leads there. A route to groups, the kernel gives
    // to every interface that has IPv6 at all.
    const AWAY: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

    if !is_bridge(&found.name) || Interface::routed_to(group)?.is_some() {
        return Ok(None);
    }
    let way_out = Interface::routed_to(AWAY.into())?;
    Ok(way_out.filter(|way_out| is_elsewhere(way_out, found)))
}

/// Whether a way out is worth more than a bridge, which has the only address of IPv4, and no route to it.
fn is_elsewhere(way_out: &Interface, bridge: &Interface) -> bool {
    way_out.index != bridge.index && !way_out.is_loopback && !way_out.is_link_local()
}

/// Whether an interface joins others, or virtual machines and containers; not known without `/sys`.
fn is_bridge(name: &str) -> bool {
    std::fs::exists(format!("/sys/class/net/{name}/bridge")).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_never_goes_to_the_announcement_group() {
        let interface = Interface::named("lo").expect("every host has a loopback interface");
        for group in [ANNOUNCE_GROUP.into(), ANNOUNCE_GROUP_V6.into()] {
            let network = Network {
                interface: interface.clone(),
                group,
                port: PORT,
                ttl: TTL,
            };
            for high in 0..=255u8 {
                let mut id = [high; 16];
                id[1] = high.wrapping_mul(31);
                let address = network.data_address(SessionId(id));
                assert!(address.ip().is_multicast());
                assert_ne!(address.ip(), group);
            }
        }
    }

    #[test]
    fn a_way_out_by_ipv6_counts_for_more_than_a_bridge_of_containers() {
        let interface = |index, address: &str| Interface {
            name: format!("e{index}"),
            index,
            address: address.parse().expect("an address"),
            mtu: 1500,
            is_loopback: false,
        };
        let bridge = interface(3, "172.17.0.1");
        assert!(is_elsewhere(&interface(2, "2001:db8::2"), &bridge));
        // One network with both versions, or a link that has no more than what each link has.
        assert!(!is_elsewhere(&interface(3, "2001:db8::2"), &bridge));
        assert!(!is_elsewhere(&interface(2, "fe80::2"), &bridge));
    }

    #[test]
    fn the_group_decides_the_version_and_the_interface_the_group() {
        let network = |interface, group: Option<&str>| {
            let group = group.map(|group| group.parse().expect("an address"));
            Network::new(Some(interface), group, PORT, TTL)
        };
        let four = network("lo", None).expect("a loopback interface");
        assert_eq!(four.group, IpAddr::from(ANNOUNCE_GROUP));
        let Ok(six) = network("::1", None) else {
            return println!("skipped: no IPv6 on the loopback interface");
        };
        assert_eq!(six.group, IpAddr::from(ANNOUNCE_GROUP_V6));
        assert_eq!(
            network("lo", Some("ff15::7")).map(|it| it.interface),
            Ok(six.interface)
        );
        assert!(network("127.0.0.1", Some("ff15::7")).is_err());
    }
}
