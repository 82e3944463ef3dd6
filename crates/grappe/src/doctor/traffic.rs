//! The packets of an examination: a few small ones, a few as large as a copy's, then more and more a
//! second; and some to a group that nobody has joined.
//!
//! Sends and counts what left. What arrived is asked for in `peers`.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use grappe_os::udp::{MulticastSender, SendOutcome, SenderOptions};
use grappe_proto::units::SessionId;
use grappe_proto::wire::examine::header;

use super::{Purpose, SentPhase};
use crate::network::{Network, packet_bytes};

/// Bytes of a small packet, which passes wherever anything does.
const SMALL: usize = 64;

/// Packets of a phase that only asks whether anything arrives, and the pause between them.
const FEW: u32 = 20;
const FEW_PAUSE: Duration = Duration::from_millis(1);

/// Packets that are not sent faster than any link takes them, and the pause between them.
const CALM: u32 = 400;
const CALM_PAUSE: Duration = Duration::from_micros(300);

/// Rates to try, in bits of goodput per second, and for how long each.
const RATES: [u64; 7] = [
    100_000_000,
    300_000_000,
    600_000_000,
    940_000_000,
    2_350_000_000,
    4_700_000_000,
    9_400_000_000,
];
const RATE_TIME: Duration = Duration::from_millis(60);

/// Bytes to a group that nobody has joined, and the longest that sending them may take.
const FLOOD_BYTES: usize = 1 << 20;
pub(super) const FLOOD_TIME: Duration = Duration::from_millis(100);

/// Packets in one train, as in a copy.
const TRAIN: usize = 44;

/// A link whose queue is full takes this many trains less.
const REFUSALS_MAX: u32 = 3;

/// A sender for one examination.
pub(super) struct Traffic {
    socket: MulticastSender,
    unjoined: MulticastSender,
    tag: u32,
    mtu: u32,
    /// Bytes of the headers of IP and UDP, and of a copy's packet without them.
    headers: usize,
    full: usize,
    phases: Vec<SentPhase>,
}

impl Traffic {
    /// Opens the sockets: one to `group`, one to a group that nobody has joined.
    pub(super) fn open(network: &Network, group: SocketAddr, tag: u32) -> io::Result<Self> {
        let open = |group| {
            MulticastSender::open(SenderOptions {
                interface: &network.interface,
                local_port: 0,
                group,
                ttl: network.ttl,
                loopback: network.interface.is_loopback,
                send_buffer: 1 << 20,
            })
        };
        let family = network.interface.family();
        let headers = family.header_bytes();
        let other = tag.to_be_bytes();
        let mut unjoined = network.data_address(SessionId([other[0]; 16]));
        if unjoined == group {
            unjoined = network.data_address(SessionId([!other[0]; 16]));
        }
        Ok(Self {
            socket: open(group)?,
            unjoined: open(unjoined)?,
            tag,
            mtu: network.interface.mtu,
            headers,
            full: packet_bytes(family) as usize - headers,
            phases: Vec::new(),
        })
    }

    /// Lets a receiver on this host hear the group as well.
    pub(super) fn reach_this_host(&self) -> io::Result<()> {
        self.socket.set_loopback(true)
    }

    /// What was sent so far.
    pub(super) fn sent(&self) -> Vec<SentPhase> {
        self.phases.clone()
    }

    /// The phases that ask what arrives at all.
    pub(super) fn knock(&mut self) -> io::Result<()> {
        self.one_by_one(Purpose::Small, SMALL, FEW, FEW_PAUSE)?;
        let largest = (self.mtu as usize).saturating_sub(self.headers);
        if largest < self.full {
            return Ok(());
        }
        self.one_by_one(Purpose::Full, self.full, FEW, FEW_PAUSE)?;
        if largest > self.full + 100 {
            // Loopback has an MTU of 64 KiB, Ethernet 9,000 at most.
            self.one_by_one(
                Purpose::Jumbo,
                largest.min(9000 - self.headers),
                FEW,
                FEW_PAUSE,
            )?;
        }
        self.one_by_one(Purpose::Calm, self.full, CALM, CALM_PAUSE)
    }

    /// Sends to the group that nobody has joined; answers the bytes that left, headers included.
    pub(super) fn flood(&self) -> io::Result<u64> {
        let packet = self.packet(u16::MAX, self.full.min(self.largest()));
        let train = packet.repeat(TRAIN);
        let deadline = Instant::now() + FLOOD_TIME;
        let mut sent = 0;
        while sent < FLOOD_BYTES && Instant::now() < deadline {
            match self.unjoined.send_train(&train, packet.len())? {
                SendOutcome::Sent { packets } => sent += packets * (packet.len() + self.headers),
                SendOutcome::Refused { .. } => break,
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(sent as u64)
    }

    /// Faster and faster, as long as this node keeps up itself.
    pub(super) fn hurry(&mut self) -> io::Result<()> {
        if self.largest() < self.full {
            return Ok(());
        }
        for rate in RATES {
            if !self.at_rate(rate)? {
                return Ok(());
            }
            // What is queued on the way belongs to this rate.
            thread::sleep(RATE_TIME / 2);
        }
        Ok(())
    }

    fn largest(&self) -> usize {
        (self.mtu as usize).saturating_sub(self.headers)
    }

    fn packet(&self, phase: u16, len: usize) -> Vec<u8> {
        let mut packet = header(self.tag, phase).to_vec();
        packet.resize(len, 0);
        packet
    }

    fn next_phase(&self) -> u16 {
        u16::try_from(self.phases.len()).unwrap_or(u16::MAX)
    }

    fn note(&mut self, purpose: Purpose, packet_len: usize, packets: u32) {
        self.phases.push(SentPhase {
            purpose,
            packet_bytes: (packet_len + self.headers) as u32,
            packets,
        });
    }

    fn one_by_one(
        &mut self,
        purpose: Purpose,
        len: usize,
        count: u32,
        pause: Duration,
    ) -> io::Result<()> {
        let packet = self.packet(self.next_phase(), len);
        let mut sent = 0;
        for _ in 0..count {
            if let SendOutcome::Sent { .. } = self.socket.send_train(&packet, packet.len())? {
                sent += 1;
            }
            thread::sleep(pause);
        }
        self.note(purpose, len, sent);
        Ok(())
    }

    /// Sends at `rate` for a while. Answers whether it was reached.
    fn at_rate(&mut self, rate: u64) -> io::Result<bool> {
        let packet = self.packet(self.next_phase(), self.full);
        let train = packet.repeat(TRAIN);
        let train_time = Duration::from_secs_f64(train.len() as f64 * 8.0 / rate as f64);
        let trains = (RATE_TIME.as_secs_f64() / train_time.as_secs_f64()).ceil() as u32;
        let start = Instant::now();
        let (mut sent, mut refusals) = (0, 0);
        for number in 0..trains {
            let due = train_time * number;
            if let Some(early) = due.checked_sub(start.elapsed()) {
                thread::sleep(early);
            }
            if start.elapsed() > RATE_TIME * 3 || refusals > REFUSALS_MAX {
                break;
            }
            match self.socket.send_train(&train, packet.len())? {
                SendOutcome::Sent { packets } => sent += packets,
                SendOutcome::Refused { sent: some, .. } => {
                    sent += some;
                    refusals += 1;
                }
            }
        }
        let is_reached = start.elapsed() < RATE_TIME * 3 / 2 && refusals == 0;
        self.note(
            Purpose::Rate(rate),
            self.full,
            u32::try_from(sent).unwrap_or(u32::MAX),
        );
        Ok(is_reached)
    }
}
