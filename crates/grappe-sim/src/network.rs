//! What becomes of packets: the sender's uplink, which queues and pushes back, each receiver's downlink, which
//! queues, drops, loses, delays, doubles and breaks, and the link on which the sender hears.
//!
//! Times are exact for each packet in the queues; a train is handed over when its last packet is
//! there, as a kernel that joins packets (GRO) does.

use std::time::Duration;

use grappe_proto::units::{Rate, Time};

use crate::marks::{Marks, Waits};
use crate::random::{Random, Trials};
use crate::rival::{RivalFlow, SEGMENT_BYTES};
use crate::scenario::Link;
use crate::train::{Arrival, Train};

/// The sender's socket and link.
#[derive(Clone, Debug)]
pub(crate) struct Uplink {
    rate: Rate,
    queue_bytes: u64,
    free_at: Time,
}

/// When the packets of a train leave the uplink.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Departure {
    first: Time,
    spacing: Duration,
}

impl Uplink {
    pub(crate) const fn new(rate: Rate, queue_bytes: u64) -> Self {
        Self {
            rate,
            queue_bytes,
            free_at: Time::ZERO,
        }
    }

    /// Takes a train, full or not: a socket that accepted one byte accepts the call.
    pub(crate) fn send(&mut self, now: Time, train: &Train) -> Departure {
        let spacing = self.rate.time_for(train.packet_bytes);
        let begin = self.free_at.max(now);
        self.free_at = begin + spacing * train.len() as u32;
        Departure {
            first: begin + spacing,
            spacing,
        }
    }

    /// When the socket has room, if it has none `now`.
    pub(crate) fn full_until(&self, now: Time) -> Option<Time> {
        let drained = self.free_at - self.rate.time_for(self.queue_bytes);
        (drained > now).then_some(drained)
    }
}

/// The link on which the reports of all receivers reach the sender, in the order in which they left: the ways to it must be
/// about as long.
#[derive(Clone, Debug)]
pub(crate) struct Inlink {
    rate: Rate,
    free_at: Time,
}

/// Of reports, such a queue holds thousands.
const INLINK_QUEUE: u64 = 512 << 10;

impl Inlink {
    pub(crate) const fn new(rate: Rate) -> Self {
        Self {
            rate,
            free_at: Time::ZERO,
        }
    }

    /// When a packet of `bytes` that comes to the link at `at` reaches the sender; never, where its queue is full.
    pub(crate) fn carry(&mut self, at: Time, bytes: u64) -> Option<Time> {
        let begin = self.free_at.max(at);
        if self.rate.bytes_in(begin.since(at)) > INLINK_QUEUE {
            return None;
        }
        self.free_at = begin + self.rate.time_for(bytes);
        Some(self.free_at)
    }
}

/// The way to one receiver and its state.
#[derive(Clone, Debug)]
pub(crate) struct Downlink {
    link: Link,
    random: Random,
    losses: Trials,
    doublings: Trials,
    breakages: Trials,
    bad: bool,
    /// When what was taken has passed at the link's rate: so far ahead of the present as tokens are spent.
    free_at: Time,
    /// When the last packet leaves.
    left_at: Time,
    /// When the last train arrived.
    arrived_at: Time,
    rival: Option<RivalFlow>,
    waits: Waits,
}

/// Packets of one train that arrive together.
pub(crate) type Delivery = (Time, Arrival);

impl Downlink {
    pub(crate) fn new(link: Link, mut random: Random) -> Self {
        Self {
            losses: Trials::new(link.loss, &mut random),
            doublings: Trials::new(link.duplication, &mut random),
            breakages: Trials::new(link.corruption, &mut random),
            rival: link.rival.as_ref().map(RivalFlow::new),
            link,
            random,
            bad: false,
            free_at: Time::ZERO,
            left_at: Time::ZERO,
            arrived_at: Time::ZERO,
            waits: Waits::default(),
        }
    }

    /// What reaches the receiver of `train`, and when: nothing, or up to three parts of it.
    pub(crate) fn carry(
        &mut self,
        train: &Train,
        departure: Departure,
        mut deliver: impl FnMut(Delivery),
    ) {
        let (mut early, mut late, mut doubled) = (Arrival::default(), Arrival::default(), 0_u64);
        let mut at = departure.first;
        for index in 0..train.len() {
            let bit = 1 << index;
            self.let_rival_send(at);
            let fits = train.ip_bytes() <= self.link.mtu.into();
            let has_room = fits && self.queue(at, train.packet_bytes);
            if has_room {
                self.waits.note(at, self.left_at.since(at));
            }
            if has_room && !self.lost() {
                let part = if self.is_late() {
                    &mut late
                } else {
                    &mut early
                };
                if self.breakages.happens(&mut self.random) {
                    part.broken |= bit;
                } else {
                    part.whole |= bit;
                }
                if self.doublings.happens(&mut self.random) {
                    doubled |= bit;
                }
            }
            at = at + departure.spacing;
        }
        for part in [
            early,
            late,
            Arrival {
                whole: doubled,
                broken: 0,
            },
        ] {
            if !part.is_empty() {
                let mut at = self.left_at + self.latency();
                if self.link.keeps_order {
                    at = at.max(self.arrived_at);
                    self.arrived_at = at;
                }
                deliver((at, part));
            }
        }
    }

    /// When a report or control message sent `now` from the other end arrives.
    pub(crate) fn latency(&mut self) -> Duration {
        let jitter = if self.link.jitter.is_zero() {
            Duration::ZERO
        } else {
            self.random.duration(self.link.jitter)
        };
        self.link.delay + jitter
    }

    /// From now on, larger IP packets than `mtu` do not pass.
    pub(crate) const fn narrow(&mut self, mtu: u16) {
        self.link.mtu = mtu;
    }

    /// From `now` on, packets leave at `rate`. None of those that wait leaves earlier for that: they would overtake
    /// those that were handed over.
    pub(crate) fn set_rate(&mut self, now: Time, rate: Rate) {
        let before = std::mem::replace(&mut self.link.rate, rate);
        let waiting = before.bytes_in(self.left_at.since(now));
        let spent = before.bytes_in(self.free_at.since(self.left_at.max(now)));
        self.left_at = self.left_at.max(now + rate.time_for(waiting));
        self.free_at = self.left_at.max(now) + rate.time_for(spent);
    }

    /// One way, without jitter: what a connection that keeps order takes.
    pub(crate) const fn delay(&self) -> Duration {
        self.link.delay
    }

    /// Whether a datagram on the way back is lost.
    pub(crate) fn loses_datagram(&mut self) -> bool {
        self.random.chance(self.link.loss)
    }

    /// What else came until `at`.
    fn let_rival_send(&mut self, at: Time) {
        let Some(mut rival) = self.rival.take() else {
            return;
        };
        let way = self.link.delay * 2;
        while let Some(sends_at) = rival.next_until(at) {
            let has_room = self.queue(sends_at, SEGMENT_BYTES);
            let turnaround = way + self.left_at.since(sends_at);
            rival.sent(has_room.then_some(self.left_at), way, turnaround);
        }
        self.rival = Some(rival);
    }

    /// Bytes of the rival that passed the link.
    pub(crate) fn rival_passed(&self) -> Marks {
        let rival = self.rival.as_ref();
        rival.map(|rival| rival.passed.clone()).unwrap_or_default()
    }

    /// How long packets of the copy waited.
    pub(crate) fn waits(&self) -> &Waits {
        &self.waits
    }

    /// Takes one packet into the queue if there is room for it.
    fn queue(&mut self, at: Time, bytes: u64) -> bool {
        let (rate, link) = (self.link.rate, &self.link);
        let waiting = self.left_at.since(at);
        if !waiting.is_zero() && rate.bytes_in(waiting) + bytes > link.queue_bytes {
            return false;
        }
        self.free_at = self.free_at.max(at) + rate.time_for(bytes);
        let conforms_at = self.free_at - rate.time_for(link.burst_bytes);
        self.left_at = self.left_at.max(at).max(conforms_at);
        true
    }

    fn lost(&mut self) -> bool {
        let lost_in_burst = match self.link.burst_loss {
            None => false,
            Some(bursts) => {
                let turn = if self.bad { bursts.leave } else { bursts.enter };
                self.bad ^= self.random.chance(turn);
                self.bad && self.random.chance(bursts.loss)
            }
        };
        lost_in_burst || self.losses.happens(&mut self.random)
    }

    /// With jitter, some packets of a train come apart from the others.
    fn is_late(&mut self) -> bool {
        let is_steady = self.link.jitter.is_zero() || self.link.keeps_order;
        !is_steady && self.random.chance(0.1)
    }
}
