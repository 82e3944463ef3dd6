//! Where a copy travels: interface, groups, port, TTL, and why nobody may have answered.
//!
//! Sockets themselves are in `grappe-os`.

use std::net::{Ipv4Addr, SocketAddrV4};

use grappe_os::udp::{Interface, InterfaceError};
use grappe_proto::units::SessionId;

/// Group on which sessions are announced, in the organization-local scope (RFC 2365).
pub const ANNOUNCE_GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 71, 1);

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
    pub group: Ipv4Addr,
    /// UDP port of announcements and data.
    pub port: u16,
    /// 1 stays on the link, 0 on this host.
    pub ttl: u8,
}

impl Network {
    /// The network by the interface's name or address, or by the route to `group` when none is given.
    ///
    /// # Errors
    ///
    /// When there is no such interface, or none can be chosen.
    pub fn new(
        interface: Option<&str>,
        group: Ipv4Addr,
        port: u16,
        ttl: u8,
    ) -> Result<Self, InterfaceError> {
        let interface = match interface {
            Some(name) => Interface::named(name)?,
            None => Interface::for_destination(group)?,
        };
        Ok(Self {
            interface,
            group,
            port,
            ttl,
        })
    }

    /// Where sessions are announced.
    pub const fn announce_address(&self) -> SocketAddrV4 {
        SocketAddrV4::new(self.group, self.port)
    }

    /// Where the data of `session` goes: a group of its own beside the announcement group, so that no
    /// node hears what it has not joined.
    pub const fn data_address(&self, session: SessionId) -> SocketAddrV4 {
        let [first, second, third, _] = self.group.octets();
        let [high, low, ..] = session.0;
        // Neither the announcement's third octet nor a last octet of 0 or 255.
        let third = third ^ (1 + high % 127);
        SocketAddrV4::new(
            Ipv4Addr::new(first, second, third, 1 + low % 254),
            self.port,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_never_goes_to_the_announcement_group() {
        let interface = Interface::named("lo").expect("every host has a loopback interface");
        let network = Network {
            interface,
            group: ANNOUNCE_GROUP,
            port: PORT,
            ttl: TTL,
        };
        for high in 0..=255u8 {
            let mut id = [high; 16];
            id[1] = high.wrapping_mul(31);
            let address = network.data_address(SessionId(id));
            assert!(address.ip().is_multicast());
            assert_ne!(address.ip(), &ANNOUNCE_GROUP);
        }
    }
}
