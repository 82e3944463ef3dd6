//! The last steps of a packet at the sender: its symbol out of memory or out of the parity code,
//! sealed into a train, handed to the kernel.

use std::collections::BTreeMap;
use std::io;

use grappe_os::udp::{MulticastSender, SendOutcome, TRAIN_BYTES_MAX, TRAIN_SEGMENTS_MAX};
use grappe_proto::fec::Code;
use grappe_proto::limits::IP_UDP_HEADERS;
use grappe_proto::seal::SealKey;
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
    parity: Vec<u8>,
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
            parity: vec![0; symbol_size.into()],
            refused: 0,
        }
    }

    /// Sends `symbols` of `blocks` as one train, numbered from `first` on.
    ///
    /// # Errors
    ///
    /// What the kernel says, when it is more than a full queue.
    pub(super) fn burst(
        &mut self,
        blocks: &Blocks,
        first: Sequence,
        symbols: &[(BlockIndex, SymbolIndex)],
    ) -> io::Result<SendOutcome> {
        let len = self.fill_train(blocks, first, symbols);
        if len == 0 {
            return Ok(SendOutcome::Sent { packets: 0 });
        }
        self.send(len, packet_len(self.symbol_size))
    }

    /// Packets that never left this host: its own queue or a firewall refused them, or the interface
    /// was down.
    pub(super) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Seals `symbols` into the train, one after the other; answers how many bytes they take.
    fn fill_train(
        &mut self,
        blocks: &Blocks,
        first: Sequence,
        symbols: &[(BlockIndex, SymbolIndex)],
    ) -> usize {
        let (size, packet_len) = (usize::from(self.symbol_size), packet_len(self.symbol_size));
        let mut packets = self.train.chunks_exact_mut(packet_len);
        let mut len = 0;
        for ((block, symbol), number) in symbols.iter().zip(first.0..) {
            let Some(data) = blocks.get(block) else {
                debug_assert!(false, "block {block} was forgotten too early");
                continue;
            };
            let Some(packet) = packets.next() else { break };
            let start = usize::from(symbol.0) * size;
            let body = match data.get(start..start + size) {
                Some(body) => body,
                None => {
                    make_parity(data, *symbol, &mut self.parity);
                    &self.parity
                }
            };
            let sequence = Sequence(number);
            let header = Header {
                kind: Kind::Data,
                symbol: *symbol,
                tag: self.tag,
                block: *block,
                sequence,
            };
            self.key.seal(&header.emit(), sequence, body, packet);
            len += packet_len;
        }
        len
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
