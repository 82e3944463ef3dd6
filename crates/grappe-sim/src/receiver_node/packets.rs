//! Packets at one receiver: what waits in the socket of a process that stands still, what is admitted,
//! opened and counted, and broken packets, which must be survived.

use grappe_proto::limits::{IP_UDP_HEADERS, SYMBOL_SIZE, WINDOW_BLOCKS};
use grappe_proto::receiver::{Admission, Input};
use grappe_proto::units::Time;
use grappe_proto::wire::data::Header;

use super::ReceiverNode;
use crate::outside::Outside;
use crate::train::{Arrival, Train};

impl ReceiverNode {
    /// Packets reach the socket while the process stands still. Says whether they wait there.
    pub(crate) fn buffer(&mut self, train: &Train, arrival: Arrival) -> bool {
        let bytes = train.packet_bytes * u64::from(arrival.count());
        if self.waiting_bytes + bytes > self.buffer_bytes {
            self.dropped += arrival.count();
            return false;
        }
        self.waiting_bytes += bytes;
        true
    }

    /// Packets, which arrived before or just now, reach the process.
    pub(crate) fn packets(
        &mut self,
        now: Time,
        arrived: Time,
        train: &Train,
        arrival: Arrival,
        outside: &mut Outside,
    ) {
        self.waiting_bytes = 0;
        if !self.hears {
            return;
        }
        let ring_permille = self.ring_permille(now);
        if (self.dropped, ring_permille) != (self.told_dropped, self.told_permille) {
            (self.told_dropped, self.told_permille) = (self.dropped, ring_permille);
            self.input(
                now,
                Input::Facts {
                    ring_permille,
                    dropped: self.dropped,
                },
                outside,
            );
        }
        for index in 0..train.len() {
            if arrival.broken >> index & 1 == 1 {
                self.broken_packet(now, train, index, outside);
            }
            if arrival.whole >> index & 1 == 1 {
                self.packet(now, arrived, train, index, outside);
            }
        }
        self.run(now, outside);
    }

    fn packet(
        &mut self,
        now: Time,
        arrived: Time,
        train: &Train,
        index: usize,
        outside: &mut Outside,
    ) {
        let header = train.header(index);
        let (mine, arrived) = (now + self.ahead, arrived + self.ahead);
        let Some(machine) = &mut self.machine else {
            return;
        };
        let admission = machine.admit(&header);
        if let Admission::Place(block, _) = admission
            && block.0 >= machine.progress().0 + WINDOW_BLOCKS
        {
            outside.violation(now, || {
                format!("receiver {} would hold block {block}", self.node)
            });
        }
        match (admission, train.sealed.get(index)) {
            (Admission::Foreign, _) => {}
            (Admission::Sounding, _) => {
                let len = train.ip_bytes() as usize - IP_UDP_HEADERS;
                machine.accept_sounding(&header, len, mine);
            }
            (Admission::Beat, None) => {
                if let Some(beat) = train.beat() {
                    machine.accept_beat(&header, beat, arrived, mine);
                }
            }
            (Admission::Beat, Some(packet)) => {
                if machine.open_beat(&header, packet, arrived, mine).is_err() {
                    outside.violation(now, || {
                        format!("receiver {} cannot open a whole beat", self.node)
                    });
                }
            }
            (Admission::Place(..) | Admission::Surplus, None) => {
                for symbol in 0..train.symbols(index) {
                    if machine.accept(&header.of_symbol(symbol), mine) {
                        self.got.note(now, SYMBOL_SIZE.into());
                    }
                }
            }
            (Admission::Place(..) | Admission::Surplus, Some(packet)) => {
                let count = machine.opener().symbols_carried(&header, packet.len());
                let mut body = vec![0; usize::from(count.unwrap_or(0)) * usize::from(SYMBOL_SIZE)];
                if machine.opener().open(&header, packet, &mut body).is_err() {
                    return outside.violation(now, || {
                        format!("receiver {} cannot open a whole packet", self.node)
                    });
                }
                for (symbol, number) in body.as_chunks().0.iter().zip(0..) {
                    let header = header.of_symbol(number);
                    if machine.accept(&header, mine) {
                        self.got.note(now, SYMBOL_SIZE.into());
                        if let Some(store) = &mut self.store {
                            store.insert(header.block, header.symbol, symbol);
                        }
                    }
                }
            }
        }
    }

    /// A packet with one bit flipped must be survived and must not open.
    fn broken_packet(&mut self, now: Time, train: &Train, index: usize, outside: &mut Outside) {
        let Some(machine) = &mut self.machine else {
            return;
        };
        let mut packet = match train.sealed.get(index) {
            Some(packet) => packet.clone(),
            None => [&train.header(index).emit()[..], &[0; 64]].concat(),
        };
        let bit = self.random.below(packet.len() as u64 * 8) as usize;
        packet[bit / 8] ^= 1 << (bit % 8);
        let Ok(header) = Header::read(&packet) else {
            return;
        };
        let mine = now + self.ahead;
        let opened = match machine.admit(&header) {
            Admission::Foreign => false,
            Admission::Sounding => machine.open_sounding(&header, &packet, mine).is_ok(),
            Admission::Beat => machine.open_beat(&header, &packet, mine, mine).is_ok(),
            Admission::Place(..) | Admission::Surplus => {
                let count = machine.opener().symbols_carried(&header, packet.len());
                let mut body = vec![0; usize::from(count.unwrap_or(0)) * usize::from(SYMBOL_SIZE)];
                machine.opener().open(&header, &packet, &mut body).is_ok()
            }
        };
        if opened {
            outside.violation(now, || {
                format!("receiver {} opened a broken packet", self.node)
            });
        }
    }
}
