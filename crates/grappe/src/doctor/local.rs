//! This node's own settings: what the kernel and its files say, and whether a packet to a group comes
//! back through the firewall.
//!
//! Facts only; what they mean is in `judge`.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use grappe_os::udp::{
    Interface, MulticastReceiver, MulticastSender, ReceiverOptions, SendOutcome, SenderOptions,
    Wait,
};
use grappe_proto::units::SessionId;

use super::{LocalFacts, RECEIVE_BUFFER, querier};
use crate::network::Network;

/// `IFF_MULTICAST` of `netdevice(7)`.
const IFF_MULTICAST: u32 = 0x1000;

/// How long an echo may take; it never leaves this host.
const ECHO: Duration = Duration::from_millis(200);

/// Looks at this node; takes two seconds at most, most of it for the querier.
pub fn look(network: Network) -> LocalFacts {
    let interface = &network.interface;
    let group = network.data_address(SessionId(random_id()));
    // Another group: the test of the firewall must not answer for this one.
    let left = network.data_address(SessionId(random_id()));
    let listening = {
        let interface = interface.clone();
        std::thread::spawn(move || querier::find(&interface, left))
    };
    let device = interface.name.split(':').next().unwrap_or_default();
    let route = Interface::for_destination(network.group)
        .map(|chosen| chosen.name)
        .map_err(|error| error.to_string());
    let flags = system_file(device, "flags")
        .and_then(|text| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok());
    let speed = system_file(device, "speed").and_then(|text| text.parse().ok());
    LocalFacts {
        is_multicast: flags.map(|flags| flags & IFF_MULTICAST != 0),
        is_wireless: fs::exists(format!("/sys/class/net/{device}/wireless")).unwrap_or(false),
        speed_mbit: speed,
        route,
        qdisc: qdisc(device),
        receive_buffer: receive_buffer(interface, group).ok(),
        echo: echo(&network, group).map_err(|error| error.to_string()),
        querier: listening.join().unwrap_or_else(|_| {
            super::Querier::Unknown("internal error: the listening thread panicked".into())
        }),
        network,
    }
}

fn random_id() -> [u8; 16] {
    let mut id = [0; 16];
    // Any group will do.
    let _same_group = aws_lc_rs::rand::fill(&mut id);
    id
}

fn system_file(device: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/sys/class/net/{device}/{name}")).ok()?;
    Some(text.trim().to_owned())
}

/// The root discipline as `tc` names it; the kernel tells it to netlink only.
fn qdisc(device: &str) -> Option<String> {
    let output = Command::new("tc")
        .args(["qdisc", "show", "dev", device])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    root_discipline(&text)
}

fn root_discipline(text: &str) -> Option<String> {
    let root = text
        .lines()
        .find(|line| line.split_whitespace().any(|word| word == "root"))?;
    let mut words = root.split_whitespace().skip_while(|word| *word != "qdisc");
    Some(words.nth(1)?.to_owned())
}

fn receive_buffer(interface: &Interface, group: SocketAddr) -> io::Result<(u64, u64)> {
    let socket = MulticastReceiver::join(ReceiverOptions {
        interface,
        group,
        receive_buffer: RECEIVE_BUFFER,
    })?;
    Ok((
        socket.receive_buffer_bytes()? as u64,
        2 * RECEIVE_BUFFER as u64,
    ))
}

/// Whether a packet to `group` comes back to this host. On its way it passes the rules for packets that
/// leave by the interface, and those for packets that come in by it.
fn echo(network: &Network, group: SocketAddr) -> io::Result<bool> {
    let receiver = MulticastReceiver::join(ReceiverOptions {
        interface: &network.interface,
        group,
        receive_buffer: RECEIVE_BUFFER,
    })?;
    let sender = MulticastSender::open(SenderOptions {
        interface: &network.interface,
        local_port: 0,
        group,
        ttl: network.ttl,
        loopback: true,
        send_buffer: 64 * 1024,
    })?;
    let mut buffer = [0; 4096];
    for _ in 0..3 {
        if let SendOutcome::Refused { .. } = sender.send_train(b"grappe doctor", 13)? {
            return Err(io::Error::other("the queue of this node is full"));
        }
        if receiver
            .receive_train(&mut buffer, Wait::UpTo(ECHO))?
            .is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_discipline_is_found_among_others() {
        let text =
            "qdisc fq_codel 0: parent :1 limit 10240p\nqdisc tbf 8001: root refcnt 2 rate 1Gbit\n";
        assert_eq!(root_discipline(text).as_deref(), Some("tbf"));
        assert_eq!(root_discipline("Cannot find device\n"), None);
        assert_eq!(root_discipline(""), None);
    }
}
