//! The last steps of a packet at the sender: its symbol out of memory or out of the parity code,
//! sealed into a train.
//!
//! Handing it to the kernel is the courier's part.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use grappe_os::udp::{SendOutcome, TRAIN_BYTES_MAX, TRAIN_SEGMENTS_MAX};
use grappe_proto::fec::Code;
use grappe_proto::limits::IP_UDP_HEADERS;
use grappe_proto::seal::SealKey;
use grappe_proto::sender::in_packets;
use grappe_proto::units::{BlockIndex, Sequence, SymbolIndex};
use grappe_proto::wire::data::{BEAT_BODY_LEN, Beat, HEADER_LEN, Header, Kind, TAG_LEN};

use super::courier::{Courier, Cut, Outlet, followed_by};
use crate::gf_kernel::MachineKernel;

/// Packets that fit one train of the kernel.
pub(super) fn train_packets_max(symbol_size: u16) -> usize {
    (TRAIN_BYTES_MAX / packet_len(symbol_size)).min(TRAIN_SEGMENTS_MAX)
}

/// Bytes of a sealed data packet.
const fn packet_len(symbol_size: u16) -> usize {
    HEADER_LEN + symbol_size as usize + TAG_LEN
}

/// Blocks in memory: each padded with zeros to whole symbols.
pub(super) type Blocks = BTreeMap<BlockIndex, Vec<u8>>;

/// Symbols that share a packet.
type Symbols<'a> = &'a [(BlockIndex, SymbolIndex)];

/// Seals, and has it sent.
pub(super) struct Transmitter {
    courier: Courier,
    key: SealKey,
    tag: u32,
    symbol_size: u16,
    train: Vec<u8>,
    /// The symbols of a packet, where some of them are made for it: parity.
    body: Vec<u8>,
}

impl Transmitter {
    /// A transmitter to `outlet` on a node with so many `processors`.
    ///
    /// # Errors
    ///
    /// When the system has no thread left.
    pub(super) fn start(
        outlet: Arc<dyn Outlet>,
        processors: usize,
        key: SealKey,
        tag: u32,
        symbol_size: u16,
    ) -> io::Result<Self> {
        let bytes_max = train_packets_max(symbol_size) * packet_len(symbol_size);
        Ok(Self {
            courier: Courier::start(outlet, processors, bytes_max)?,
            key,
            tag,
            symbol_size,
            train: vec![0; bytes_max],
            body: Vec::new(),
        })
    }

    /// Sends `symbols` of `blocks`, numbered from `first` on, up to `together` in a packet.
    ///
    /// # Errors
    ///
    /// What the kernel says, when it is more than a full queue, to these trains or to two before. Some of these may
    /// not have been tried then.
    pub(super) fn burst(
        &mut self,
        blocks: &Blocks,
        first: Sequence,
        symbols: &[(BlockIndex, SymbolIndex)],
        together: u8,
    ) -> io::Result<SendOutcome> {
        let mut number = first.0;
        let mut packets = Vec::with_capacity(symbols.len());
        for packet in in_packets(symbols, together) {
            packets.push((Sequence(number), packet));
            number += packet.len() as u64;
        }
        let is_there = |packet: Symbols<'_>| {
            let is_there = packet.iter().all(|(block, _)| blocks.contains_key(block));
            debug_assert!(is_there, "{packet:?} was forgotten too early");
            is_there
        };
        packets.retain(|(_, packet)| is_there(packet));
        let len_of = |(_, packet): &(Sequence, Symbols<'_>)| self.packet_len(packet.len());
        let lens: Vec<usize> = packets.iter().map(len_of).collect();
        let mut all = SendOutcome::Sent { packets: 0 };
        let mut left = symbols.len();
        for train in trains(&lens, self.train.len()) {
            let (segment, (_, first)) = (lens[train.start], packets[train.start]);
            let (mut len, mut count) = (0, 0);
            for ((number, packet), size) in packets[train.clone()].iter().zip(&lens[train]) {
                self.seal(blocks, *number, packet, len..len + size);
                len += size;
                count += packet.len();
            }
            let cut = Cut {
                len,
                segment,
                symbols: count,
                in_each: first.len(),
                may_fail: false,
            };
            let outcome = self.courier.send(&mut self.train, cut);
            left -= count;
            if outcome.is_err() {
                // Those that were not tried have not left either.
                self.courier.given_up(left);
            }
            all = followed_by(all, outcome?);
        }
        Ok(all)
    }

    /// Bytes of a sealed packet with so many symbols.
    fn packet_len(&self, symbols: usize) -> usize {
        HEADER_LEN + symbols * usize::from(self.symbol_size) + TAG_LEN
    }

    /// Takes note whether there is more to send than this thread has the time to.
    pub(super) const fn hurry(&mut self, in_hurry: bool) {
        self.courier.hurry(in_hurry);
    }

    /// Waits for what is under way, and answers as [`Courier::finish`].
    pub(super) fn finish(self) -> u64 {
        self.courier.finish()
    }

    /// Seals a packet of `symbols`, which follow each other, into this place of the train.
    fn seal(
        &mut self,
        blocks: &Blocks,
        sequence: Sequence,
        symbols: Symbols<'_>,
        place: Range<usize>,
    ) {
        let Some((block, symbol)) = symbols.first().copied() else {
            return;
        };
        let Some(data) = blocks.get(&block) else {
            return;
        };
        let size = usize::from(self.symbol_size);
        let start = usize::from(symbol.0) * size;
        let body = match data.get(start..start + symbols.len() * size) {
            Some(body) => body,
            None => {
                self.body.resize(symbols.len() * size, 0);
                let places = self.body.chunks_exact_mut(size);
                for ((_, symbol), place) in symbols.iter().zip(places) {
                    let start = usize::from(symbol.0) * size;
                    match data.get(start..start + size) {
                        Some(symbol) => place.copy_from_slice(symbol),
                        None => make_parity(data, *symbol, place),
                    }
                }
                &self.body
            }
        };
        let header = Header {
            kind: Kind::Data,
            symbol,
            tag: self.tag,
            block,
            sequence,
        };
        let packet = &mut self.train[place];
        self.key.seal(&header.emit(), sequence, body, packet);
    }

    /// Sends a beat.
    ///
    /// # Errors
    ///
    /// What the kernel says, when it is more than a full queue, to this packet or to one of the two trains before.
    pub(super) fn beat(
        &mut self,
        sequence: Sequence,
        block: BlockIndex,
        beat: &Beat,
    ) -> io::Result<SendOutcome> {
        let header = Header {
            kind: Kind::Beat,
            symbol: SymbolIndex(0),
            tag: self.tag,
            block,
            sequence,
        };
        let len = HEADER_LEN + BEAT_BODY_LEN + TAG_LEN;
        self.key.seal(
            &header.emit(),
            sequence,
            &beat.emit(),
            &mut self.train[..len],
        );
        self.courier.send(&mut self.train, Cut::one(len))
    }

    /// Sends zeros that make an IP packet of `bytes`.
    ///
    /// What the way does not take is lost, which is what is to be found out.
    ///
    /// # Errors
    ///
    /// As for [`Self::beat`], but for what the kernel says to this packet.
    pub(super) fn sounding(
        &mut self,
        sequence: Sequence,
        block: BlockIndex,
        bytes: u16,
    ) -> io::Result<SendOutcome> {
        let header = Header {
            kind: Kind::Sounding,
            symbol: SymbolIndex(0),
            tag: self.tag,
            block,
            sequence,
        };
        let len = usize::from(bytes).saturating_sub(IP_UDP_HEADERS);
        let body = vec![0; len.saturating_sub(HEADER_LEN + TAG_LEN)];
        let len = HEADER_LEN + body.len() + TAG_LEN;
        self.key
            .seal(&header.emit(), sequence, &body, &mut self.train[..len]);
        let cut = Cut {
            may_fail: true,
            ..Cut::one(len)
        };
        self.courier.send(&mut self.train, cut)
    }
}

/// Which packets of these lengths make a train each, for the kernel cuts it into equal parts: all are as long as
/// the first, but for the last, which may be shorter. No train is longer than `bytes_max`.
fn trains(lens: &[usize], bytes_max: usize) -> Vec<Range<usize>> {
    let mut trains: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, len) in lens.iter().enumerate() {
        let fits = |train: &Range<usize>| {
            let equal = lens[train.start];
            *len <= equal && lens[train.end - 1] == equal && bytes + len <= bytes_max
        };
        match trains.last_mut().filter(|train| fits(train)) {
            Some(train) => {
                train.end = index + 1;
                bytes += len;
            }
            None => {
                trains.push(index..index + 1);
                bytes = *len;
            }
        }
    }
    trains
}

fn make_parity(data: &[u8], symbol: SymbolIndex, parity: &mut [u8]) {
    let symbols = u16::try_from(data.len() / parity.len()).unwrap_or(u16::MAX);
    let made = Code::new(symbols).and_then(|code| {
        code.encode_parity(&MachineKernel, data, parity.len() as u16, symbol, parity)
    });
    debug_assert!(
        made.is_ok(),
        "the machine asks for symbols that exist: {made:?}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_train_ends_with_a_shorter_packet_before_a_longer_one_and_where_it_is_full() {
        let cut = |lens: &[usize]| trains(lens, 30);
        assert_eq!(cut(&[6, 6, 2, 6, 1, 1]), [0..3, 3..5, 5..6]);
        assert_eq!(cut(&[1, 1, 6]), [0..2, 2..3]);
        assert_eq!(cut(&[6; 7]), [0..5, 5..7]);
        assert_eq!(cut(&[40, 40]), [0..1, 1..2], "as good as it gets");
        assert_eq!(cut(&[]), Vec::<Range<usize>>::new());
    }

    proptest! {
        #[test]
        fn the_kernel_can_cut_every_train_and_no_packet_is_left_out(
            lens in proptest::collection::vec(1_usize..10, 0..50),
        ) {
            let cut = trains(&lens, 30);
            let all: Vec<usize> = cut.iter().cloned().flatten().collect();
            prop_assert_eq!(all, (0..lens.len()).collect::<Vec<_>>());
            for train in cut {
                let packets = &lens[train];
                let (last, others) = packets.split_last().unwrap();
                prop_assert!(others.iter().all(|len| *len == packets[0]));
                prop_assert!(*last <= packets[0]);
                prop_assert!(packets.iter().sum::<usize>() <= 30);
            }
        }
    }
}
