//! An enemy on the wire: captures a copy's packets and sends them again, damaged, late or invented.
//!
//! Knows nothing of the protocol under attack. Addresses and ports of the true sender are forged, so
//! that only what is in a packet can tell it from a true one.

mod packet;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::num::NonZero;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketAddrV4, SocketType, ipproto, recv, sendto,
    socket,
};
use serde::{Deserialize, Serialize};

pub use packet::Packet;

/// One packet in this many is answered with each kind of attack: the links must bear the sum.
const EVERY: u64 = 6;

/// How far behind the true packets the replayed ones are.
const REPLAY_DELAY_PACKETS: usize = 500;

/// How often the deadline is looked at when nothing comes in.
const RECEIVE_TIMEOUT: Duration = Duration::from_millis(100);

/// `ETH_P_ALL` of `linux/if_ether.h`, in network order as packet(7) wants it.
const EVERY_PROTOCOL: u32 = 0x0003_u16.to_be() as u32;

/// What was sent.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injected {
    /// True packets with one bit turned over.
    pub damaged: u64,
    /// True packets, again.
    pub replayed: u64,
    /// Packets of nothing but noise.
    pub invented: u64,
}

/// Attacks every multicast group heard on this machine's interfaces for `duration`.
///
/// # Errors
///
/// When the raw sockets are refused; they need root.
pub fn run(duration: Duration) -> Result<Injected> {
    let capture = socket(
        AddressFamily::PACKET,
        SocketType::RAW,
        NonZero::new(EVERY_PROTOCOL).map(Protocol::from_raw),
    )
    .context("capturing needs root")?;
    set_socket_timeout(&capture, Timeout::Recv, Some(RECEIVE_TIMEOUT))?;
    let forge = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::RAW))?;

    let mut attack = Attack::default();
    let mut frame = vec![0; 1 << 16];
    let deadline = Instant::now() + duration;
    while Instant::now() < deadline {
        let length = match recv(&capture, &mut frame[..], RecvFlags::empty()) {
            Ok((length, _)) => length,
            Err(error) if is_timeout(error) => continue,
            Err(error) => return Err(error).context("capturing failed"),
        };
        let Some(packet) = Packet::parse(&frame[..length]) else {
            continue;
        };
        if let Some(forged) = attack.answer(packet) {
            let to = SocketAddrV4::new(forged.destination(), 0);
            // A full queue costs one forged packet, of which there are many.
            let _ = sendto(&forge, forged.bytes(), SendFlags::empty(), &to);
        }
    }
    Ok(attack.injected)
}

fn is_timeout(error: rustix::io::Errno) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// What is made of the packets that come by.
#[derive(Debug, Default)]
struct Attack {
    seen: u64,
    earlier: VecDeque<Packet>,
    injected: Injected,
}

impl Attack {
    fn answer(&mut self, packet: Packet) -> Option<Packet> {
        self.seen += 1;
        self.earlier.push_back(packet.clone());
        let old = if self.earlier.len() > REPLAY_DELAY_PACKETS {
            self.earlier.pop_front()
        } else {
            None
        };
        match self.seen % EVERY {
            1 => {
                self.injected.damaged += 1;
                Some(packet.with_bit_turned(self.seen))
            }
            2 => {
                self.injected.invented += 1;
                Some(packet.with_noise(self.seen))
            }
            3 => {
                let old = old?;
                self.injected.replayed += 1;
                Some(old)
            }
            _ => None,
        }
    }
}
