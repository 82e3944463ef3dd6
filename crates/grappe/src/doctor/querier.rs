//! Whether somebody on the link asks for members of groups, as a switch that snoops needs it.
//!
//! General questions come every 125 s, which is too long to wait. But a querier asks at once whether
//! anybody is left when a node leaves a group (RFC 3376, section 6.4.2; RFC 2236, section 3): so this
//! node leaves one, joins it again, and listens.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use grappe_os::udp::{Interface, MulticastReceiver, ReceiverOptions};
use socket2::{Domain, Protocol, Socket, Type};

/// What was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Querier {
    /// A question, from this address.
    Heard(Ipv4Addr),
    /// None, though one should have come.
    Silent,
    /// It could not be found out, for this reason.
    Unknown(String),
}

/// IGMP's number (IANA, protocol numbers) and its type of a question (RFC 2236, section 2.1).
const IGMP: i32 = 2;
const QUERY: u8 = 0x11;

/// How long the report of the leave may take to be out.
const LEAVE: Duration = Duration::from_millis(100);

/// The question comes at once, and again after the last member query interval of a second.
const LISTEN: Duration = Duration::from_millis(1500);

/// Leaves a group on `interface` and listens for the question that follows.
pub(super) fn find(interface: &Interface, group: SocketAddr) -> Querier {
    if group.is_ipv6() {
        return Querier::Unknown("only IGMP is known here, and IPv6 has MLD in its place".into());
    }
    if interface.is_loopback {
        return Querier::Unknown("the loopback interface has none".into());
    }
    match listen(interface, group) {
        Ok(Some(querier)) => Querier::Heard(querier),
        Ok(None) => Querier::Silent,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Querier::Unknown("only root may listen for IGMP".into())
        }
        Err(error) => Querier::Unknown(error.to_string()),
    }
}

fn listen(interface: &Interface, group: SocketAddr) -> std::io::Result<Option<Ipv4Addr>> {
    let mut socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(IGMP)))?;
    socket.bind_device(Some(interface.name.as_bytes()))?;
    let member = MulticastReceiver::join(ReceiverOptions {
        interface,
        group,
        receive_buffer: 4096,
    })?;
    thread::sleep(LEAVE);
    member.leave()?;
    thread::sleep(LEAVE);
    member.rejoin()?;
    let deadline = Instant::now() + LISTEN;
    let mut packet = [0; 1500];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(&mut packet) {
            Ok(len) => {
                if let Some(source) = asked_by(&packet[..len]) {
                    return Ok(Some(source));
                }
            }
            Err(error) if is_timeout(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// Who asks in this IPv4 packet, if it is a question of IGMP's.
fn asked_by(packet: &[u8]) -> Option<Ipv4Addr> {
    let header_len = usize::from(packet.first()? & 0x0f) * 4;
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let kind = packet.get(header_len)?;
    (*packet.get(9)? == IGMP as u8 && *kind == QUERY).then(|| source.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_told_from_other_packets() {
        let mut packet = vec![0; 32];
        (packet[0], packet[9], packet[24]) = (0x46, 2, QUERY);
        packet[12..16].copy_from_slice(&[10, 0, 0, 1]);
        assert_eq!(asked_by(&packet), Some(Ipv4Addr::new(10, 0, 0, 1)));
        packet[24] = 0x22; // a report
        assert_eq!(asked_by(&packet), None);
        for len in 0..packet.len() {
            let _no_panic = asked_by(&packet[..len]);
        }
    }
}
