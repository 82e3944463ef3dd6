//! The processor of a receiver where a fault makes it slow: packets wait for it in socket and ring, and what
//! these do not hold is dropped and counted.
//!
//! A receiver without that fault processes packets in no time.

use std::rc::Rc;

use grappe_proto::units::{Rate, Time};

use super::ReceiverNode;
use crate::event::Event;
use crate::outside::Outside;
use crate::train::{Arrival, Train};

/// A slow processor and what waits for it.
#[derive(Clone, Debug)]
pub(crate) struct Host {
    rate: Rate,
    holds_bytes: u64,
    free_at: Time,
}

impl Host {
    pub(crate) const fn new(rate: Rate, holds_bytes: u64) -> Self {
        Self {
            rate,
            holds_bytes,
            free_at: Time::ZERO,
        }
    }

    /// When packets that reach the socket `now` are processed; nothing when it has no room for them.
    fn take(&mut self, now: Time, bytes: u64) -> Option<Time> {
        if self.waiting_bytes(now) + bytes > self.holds_bytes {
            return None;
        }
        self.free_at = self.free_at.max(now) + self.rate.time_for(bytes);
        Some(self.free_at)
    }

    fn waiting_bytes(&self, now: Time) -> u64 {
        self.rate.bytes_in(self.free_at.since(now))
    }
}

impl ReceiverNode {
    /// Packets reach the socket of a slow processor.
    pub(crate) fn take(
        &mut self,
        now: Time,
        train: Rc<Train>,
        arrival: Arrival,
        outside: &mut Outside,
    ) {
        let bytes = train.packet_bytes * u64::from(arrival.count());
        let Some(read_at) = self.host.as_mut().and_then(|host| host.take(now, bytes)) else {
            self.dropped += arrival.count();
            outside.packets_lost += u64::from(arrival.count());
            return;
        };
        let read = Event::PacketsRead {
            node: self.node,
            train,
            arrival,
            arrived: now,
        };
        outside.agenda.plan(read_at, read);
    }

    /// How full socket and ring are, in thousandths.
    pub(super) fn ring_permille(&self, now: Time) -> u16 {
        self.host.as_ref().map_or(0, |host| {
            let permille = host.waiting_bytes(now) * 1_000 / host.holds_bytes.max(1);
            u16::try_from(permille.min(1_000)).unwrap_or(1_000)
        })
    }
}
