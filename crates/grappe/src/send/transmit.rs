//! The last steps of a packet at the sender: its symbol out of memory or out of the parity code,
//! sealed into a train, handed to the kernel.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use grappe_os::udp::{MulticastSender, SendOutcome, TRAIN_BYTES_MAX, TRAIN_SEGMENTS_MAX};
use grappe_proto::fec::Code;
use grappe_proto::limits::IP_UDP_HEADERS;
use grappe_proto::seal::SealKey;
use grappe_proto::sender::in_packets;
use grappe_proto::units::{BlockIndex, Sequence, SymbolIndex};
use grappe_proto::wire::data::{BEAT_BODY_LEN, Beat, HEADER_LEN, Header, Kind, TAG_LEN};

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

/// Seals and sends.
pub(super) struct Transmitter {
    socket: std::sync::Arc<MulticastSender>,
    key: SealKey,
    tag: u32,
    symbol_size: u16,
    train: Vec<u8>,
    /// Symbols that do not stand side by side in memory.
    body: Vec<u8>,
    /// Packets that never left this host.
    refused: u64,
}

impl Transmitter {
    pub(super) fn new(
        socket: std::sync::Arc<MulticastSender>,
        key: SealKey,
        tag: u32,
        symbol_size: u16,
    ) -> Self {
        let train = vec![0; train_packets_max(symbol_size) * packet_len(symbol_size)];
        Self {
            socket,
            key,
            tag,
            symbol_size,
            train,
            body: Vec::new(),
            refused: 0,
        }
    }

    /// Sends `symbols` of `blocks`, numbered from `first` on, up to `together` in a packet. All packets of a
    /// train but the last are of one length, so what shares packets may leave in several trains.
    ///
    /// # Errors
    ///
    /// What the kernel says, when it is more than a full queue. The trains before have left then.
    pub(super) fn burst(
        &mut self,
        blocks: &Blocks,
        first: Sequence,
        symbols: &[(BlockIndex, SymbolIndex)],
        together: u8,
    ) -> io::Result<SendOutcome> {
        let mut all = SendOutcome::Sent { packets: 0 };
        // Bytes in the train, and in each of its packets.
        let (mut len, mut segment) = (0, 0);
        let mut number = first;
        for packet in in_packets(symbols, together) {
            let (sequence, after) = (number, number.0 + packet.len() as u64);
            number = Sequence(after);
            let size = self.packet_len(packet.len());
            if len > 0 && size > segment || len + size > self.train.len() {
                all = followed_by(all, self.send(len, segment)?);
                len = 0;
            }
            if !self.seal(blocks, sequence, packet, len..len + size) {
                continue;
            }
            if len == 0 {
                segment = size;
            }
            len += size;
            if size < segment {
                all = followed_by(all, self.send(len, segment)?);
                len = 0;
            }
        }
        if len > 0 {
            all = followed_by(all, self.send(len, segment)?);
        }
        Ok(all)
    }

    /// Bytes of a sealed packet with so many symbols.
    fn packet_len(&self, symbols: usize) -> usize {
        HEADER_LEN + symbols * usize::from(self.symbol_size) + TAG_LEN
    }

    /// Packets that never left this host: its own queue or a firewall refused them, or the interface
    /// was down.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Seals a packet of `symbols`, which follow each other, into this place of the train. Says whether their
    /// block is there.
    fn seal(
        &mut self,
        blocks: &Blocks,
        sequence: Sequence,
        symbols: &[(BlockIndex, SymbolIndex)],
        place: Range<usize>,
    ) -> bool {
        let Some((block, symbol)) = symbols.first().copied() else {
            return false;
        };
        let Some(data) = blocks.get(&block) else {
            debug_assert!(false, "block {block} was forgotten too early");
            return false;
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
        true
    }

    /// Sends a beat.
    ///
    /// # Errors
    ///
    /// What the kernel says, when it is more than a full queue. None of the train has left then.
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
        self.send(len, len)
    }

    /// Sends zeros that make an IP packet of `bytes`.
    ///
    /// # Errors
    ///
    /// What the kernel says, when it is more than a full queue. The packet has not left then.
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
        self.send(len, len)
    }

    fn send(&mut self, len: usize, segment: usize) -> io::Result<SendOutcome> {
        let outcome = self.socket.send_train(&self.train[..len], segment);
        self.refused += match &outcome {
            Ok(SendOutcome::Sent { .. }) => 0,
            Ok(SendOutcome::Refused { refused, .. }) => *refused as u64,
            Err(_) => len.div_ceil(segment) as u64,
        };
        outcome
    }
}

/// What became of two trains, of which the second left after the first.
fn followed_by(first: SendOutcome, second: SendOutcome) -> SendOutcome {
    let counts = |outcome| match outcome {
        SendOutcome::Sent { packets } => (packets, 0),
        SendOutcome::Refused { sent, refused } => (sent, refused),
    };
    let ((sent, refused), (sent_next, refused_next)) = (counts(first), counts(second));
    match (sent + sent_next, refused + refused_next) {
        (packets, 0) => SendOutcome::Sent { packets },
        (sent, refused) => SendOutcome::Refused { sent, refused },
    }
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
