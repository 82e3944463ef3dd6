//! The messages on the control channel: CBOR (RFC 8949) with numbered fields, inside TLS.
//!
//! A receiver of another minor version skips fields that it does not know. Framing and encryption of
//! the channel are the driver's.
//!
//! A receiver takes part in turns, numbered by the sender: the first is turn 0, from the first block on.
//! One that was sent apart ([`ToReceiver::Pause`]), or came late, is given another turn later.

use std::net::IpAddr;

use minicbor::{Decode, Encode};

use super::WireError;
use super::examine::{Examine, Here, Measured};
use crate::content::block_set::BlockSet;
use crate::limits::{PROTOCOL_VERSION, SYMBOL_SIZE_MAX, SYMBOL_SIZE_MIN};
use crate::seal::Suite;
use crate::units::BlockIndex;

/// Bytes of the longest control message.
pub const CONTROL_BYTES_MAX: usize = 1 << 20;

/// Bytes of a reason that are kept.
pub const REASON_BYTES_MAX: usize = 1024;

/// From a receiver to the sender.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToSender {
    /// First message: who is there.
    #[n(0)]
    Hello {
        /// The protocol version spoken.
        #[n(0)]
        version: u16,
        /// The node's name for the table.
        #[n(1)]
        name: String,
        /// The session it was called to.
        #[cbor(n(2), with = "minicbor::bytes")]
        session: [u8; 16],
    },
    /// The group is joined and the socket listens.
    #[n(1)]
    Joined {
        /// Bytes of packets that may be on the way to this receiver unprocessed.
        #[n(0)]
        buffer_bytes: u64,
    },
    /// The manifest is there and can be stored, or a turn has begun.
    #[n(2)]
    Ready {
        /// The turn that this receiver takes part in.
        #[n(0)]
        turn: u32,
        /// The blocks that it has stored already.
        #[n(1)]
        have: BlockSet,
    },
    /// This node does not take part, for a reason known before content flowed.
    #[n(3)]
    Refused {
        /// What, where and what to do, for a human.
        #[n(0)]
        reason: String,
    },
    /// Everything is verified and stands under its final name.
    #[n(4)]
    Done(#[n(0)] Done),
    /// This node gave up.
    #[n(5)]
    Failed {
        /// What, where and what to do, for a human.
        #[n(0)]
        reason: String,
    },
    /// A sounding arrived, larger than any before.
    #[n(6)]
    Heard {
        /// Bytes of its IP packet.
        #[n(0)]
        bytes: u16,
    },
    /// Other receivers can connect here and get blocks.
    #[n(7)]
    Serving {
        /// The TCP port.
        #[n(0)]
        port: u16,
    },
    /// The source named by [`ToReceiver::Pull`] is of no use.
    #[n(8)]
    Unfed {
        /// The number of that message.
        #[n(0)]
        number: u32,
        /// Why, for a human.
        #[n(1)]
        reason: String,
    },
    /// Part of a survey of what is there already (`content::survey`).
    #[n(30)]
    Part {
        /// At most `PART_BYTES_MAX` of it.
        #[cbor(n(0), with = "minicbor::bytes")]
        bytes: Vec<u8>,
        /// Whether it was the last.
        #[n(1)]
        is_last: bool,
    },
    /// An answer to [`ToReceiver::Ended`]: from here on, the blocks of the hashes are told from content.
    #[n(31)]
    EndKnown,
    /// An answer to [`ToReceiver::Examine`]: the group is joined.
    #[n(20)]
    Here(#[n(0)] Here),
    /// An answer to [`ToReceiver::Measure`].
    #[n(21)]
    Measured(#[n(0)] Measured),
}

/// What a receiver says at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Done {
    /// Bytes of files under their final names.
    #[n(0)]
    pub bytes: u64,
    /// Files under their final names.
    #[n(1)]
    pub files: u64,
    /// Symbols that came by repair.
    #[n(2)]
    pub repaired: u64,
    /// Packets that the socket dropped.
    #[n(3)]
    pub dropped: u64,
    /// Hash over all files, as the sender must have computed it.
    #[cbor(n(4), with = "minicbor::bytes")]
    pub digest: [u8; 32],
}

/// From the sender to a receiver.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToReceiver {
    /// What the session is and how to hear it.
    #[n(0)]
    Welcome(#[n(0)] Welcome),
    /// This receiver is not wanted.
    #[n(1)]
    Refused {
        /// Why, for a human.
        #[n(0)]
        reason: String,
    },
    /// Everything was sent once; the digests object has this BLAKE3 hash.
    #[n(2)]
    Finish {
        /// The hash of the digests object.
        #[cbor(n(0), with = "minicbor::bytes")]
        digests_hash: [u8; 32],
    },
    /// The session is over for this receiver and its result was heard.
    #[n(3)]
    End,
    /// The sender gives up.
    #[n(4)]
    Abort {
        /// Why, for a human.
        #[n(0)]
        reason: String,
    },
    /// A turn begins: listen to the group, and say what is there.
    #[n(5)]
    Turn {
        /// Its number; never used before.
        #[n(0)]
        number: u32,
        /// What came before this block is not sent in this turn.
        #[n(1)]
        from: BlockIndex,
        /// The number of the last packet sent before it: packets up to this one, which may still be on
        /// the way, say nothing of what went by in this turn.
        #[n(2)]
        base: u64,
    },
    /// The others go on without this receiver: leave the group and wait for a turn.
    #[n(6)]
    Pause,
    /// The sender is there, for a receiver that does not hear the group.
    #[n(7)]
    Alive,
    /// The whole encoded manifest, for a receiver that came late; at most [`MANIFEST_BY_CONTROL_MAX`].
    #[n(8)]
    Manifest {
        /// It hashes to what the welcome said.
        #[cbor(n(0), with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
    /// Let other receivers connect and get blocks, and say where.
    #[n(9)]
    Serve,
    /// From now on get blocks from this source, over TCP, and leave the group.
    #[n(10)]
    Pull {
        /// Tells this source from those before.
        #[n(0)]
        number: u32,
        /// Its address; the unspecified one is the sender's own, at which this connection ends.
        #[cbor(n(1), with = "super::address")]
        address: IpAddr,
        /// Its TCP port; zero is that of this connection.
        #[n(2)]
        port: u16,
    },
    /// Part of the selection of what is sent (`content::survey`).
    #[n(30)]
    Part {
        /// At most `PART_BYTES_MAX` of it.
        #[cbor(n(0), with = "minicbor::bytes")]
        bytes: Vec<u8>,
        /// Whether it was the last.
        #[n(1)]
        is_last: bool,
    },
    /// The end of a stream from a pipe was read. The blocks of its hashes, which follow its last, are sent
    /// once every receiver said [`ToSender::EndKnown`]: before, they would be taken for content.
    #[n(31)]
    Ended {
        /// Bytes in it.
        #[n(0)]
        bytes: u64,
    },
    /// Instead of a welcome: there is no copy, the network is to be looked at.
    #[n(20)]
    Examine(#[n(0)] Examine),
    /// What has arrived by now?
    #[n(21)]
    Measure,
}

/// Bytes of the longest manifest that travels on the control channel; longer ones are multicast.
pub const MANIFEST_BY_CONTROL_MAX: u64 = CONTROL_BYTES_MAX as u64 / 2;

/// What a receiver must know to take part.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Welcome {
    /// The protocol version spoken.
    #[n(0)]
    pub version: u16,
    /// The sender's number for this receiver.
    #[n(1)]
    pub peer: u16,
    /// Tells this session's packets from others'.
    #[n(2)]
    pub tag: u32,
    /// The multicast group of the data.
    #[cbor(n(3), with = "super::address")]
    pub group: IpAddr,
    /// The UDP port of the data.
    #[n(4)]
    pub port: u16,
    /// The UDP port at the sender's address that hears reports.
    #[n(5)]
    pub report_port: u16,
    /// Key of the data packets.
    #[cbor(n(6), with = "minicbor::bytes")]
    pub data_key: [u8; 16],
    /// Key of this receiver's reports.
    #[cbor(n(7), with = "minicbor::bytes")]
    pub report_key: [u8; 16],
    /// Bytes in a symbol.
    #[n(8)]
    pub symbol_size: u16,
    /// Bytes of the encoded manifest.
    #[n(9)]
    pub manifest_len: u64,
    /// BLAKE3 of the encoded manifest.
    #[cbor(n(10), with = "minicbor::bytes")]
    pub manifest_hash: [u8; 32],
    /// Bytes of content, for the progress display and an early look at free space.
    #[n(11)]
    pub content_bytes: u64,
    /// What packets, reports and records of the pipeline are sealed with.
    #[n(12)]
    pub suite: Suite,
}

/// Encodes `message`, which is at most [`CONTROL_BYTES_MAX`] long.
pub fn encode<M: Encode<()>>(message: &M) -> Vec<u8> {
    minicbor::to_vec(message).unwrap_or_else(
        |error: minicbor::encode::Error<std::convert::Infallible>| {
            unreachable!("writing CBOR to memory cannot fail: {error}")
        },
    )
}

/// Decodes the one message that is all of a frame.
pub(super) fn decode_whole<'b, Message: minicbor::Decode<'b, ()>>(
    bytes: &'b [u8],
) -> Result<Message, WireError> {
    let mut decoder = minicbor::Decoder::new(bytes);
    let message = decoder.decode().map_err(|_| WireError::Control)?;
    match decoder.position() == bytes.len() {
        true => Ok(message),
        false => Err(WireError::Control),
    }
}

/// Decodes what a receiver sent.
///
/// # Errors
///
/// When the bytes are not such a message, or a greeting speaks another version.
pub fn decode_to_sender(bytes: &[u8]) -> Result<ToSender, WireError> {
    let mut message = decode_whole(bytes)?;
    match &mut message {
        ToSender::Hello { version, .. } if *version != PROTOCOL_VERSION => {
            return Err(WireError::Version(*version));
        }
        ToSender::Refused { reason }
        | ToSender::Failed { reason }
        | ToSender::Unfed { reason, .. } => shorten(reason),
        _ => {}
    }
    Ok(message)
}

/// Decodes what a sender sent, and checks its bounds.
///
/// # Errors
///
/// When the bytes are not such a message, speak another version, or announce an impossible geometry.
pub fn decode_to_receiver(bytes: &[u8]) -> Result<ToReceiver, WireError> {
    let mut message = decode_whole(bytes)?;
    if let ToReceiver::Refused { reason } | ToReceiver::Abort { reason } = &mut message {
        shorten(reason);
    }
    if let ToReceiver::Welcome(welcome) = &message {
        if welcome.version != PROTOCOL_VERSION {
            return Err(WireError::Version(welcome.version));
        }
        if !(SYMBOL_SIZE_MIN..=SYMBOL_SIZE_MAX).contains(&welcome.symbol_size) {
            return Err(WireError::Field("symbol_size"));
        }
        if welcome.manifest_len > crate::limits::MANIFEST_BYTES_MAX {
            return Err(WireError::Field("manifest_len"));
        }
    }
    Ok(message)
}

/// Cuts a reason to [`REASON_BYTES_MAX`]: it is kept, shown and logged on a peer's word.
pub(super) fn shorten(reason: &mut String) {
    reason.truncate(reason.floor_char_boundary(REASON_BYTES_MAX));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_one_message_and_nothing_else() {
        let mut frame = encode(&ToSender::Failed {
            reason: "why".into(),
        });
        assert!(decode_to_sender(&frame).is_ok());
        frame.push(0xf6);
        assert_eq!(decode_to_sender(&frame), Err(WireError::Control));
        let mut frame = encode(&ToReceiver::Pause);
        assert!(decode_to_receiver(&frame).is_ok());
        frame.extend(encode(&ToReceiver::Pause));
        assert_eq!(decode_to_receiver(&frame), Err(WireError::Control));
    }

    #[test]
    fn messages_survive_the_wire() {
        let hello = ToSender::Hello {
            version: PROTOCOL_VERSION,
            name: "node07".into(),
            session: [3; 16],
        };
        assert_eq!(decode_to_sender(&encode(&hello)), Ok(hello));
        let done = ToSender::Done(Done {
            bytes: 7,
            files: 2,
            repaired: 3,
            dropped: 4,
            digest: [9; 32],
        });
        assert_eq!(decode_to_sender(&encode(&done)), Ok(done));
        let finish = ToReceiver::Finish {
            digests_hash: [1; 32],
        };
        assert_eq!(decode_to_receiver(&encode(&finish)), Ok(finish));
        let turn = ToReceiver::Turn {
            number: 3,
            from: BlockIndex(70_000),
            base: 1 << 40,
        };
        assert_eq!(decode_to_receiver(&encode(&turn)), Ok(turn));
        let manifest = ToReceiver::Manifest {
            bytes: vec![1, 2, 3],
        };
        assert_eq!(decode_to_receiver(&encode(&manifest)), Ok(manifest));
        let mut have = BlockSet::new();
        have.insert_range(BlockIndex(2)..BlockIndex(900));
        let pull = ToReceiver::Pull {
            number: 9,
            address: [10, 0, 0, 7].into(),
            port: 7171,
        };
        assert_eq!(decode_to_receiver(&encode(&pull)), Ok(pull));
        let unfed = ToSender::Unfed {
            number: 9,
            reason: "connection refused".into(),
        };
        assert_eq!(decode_to_sender(&encode(&unfed)), Ok(unfed));
        let ready = ToSender::Ready { turn: 1, have };
        assert_eq!(decode_to_sender(&encode(&ready)), Ok(ready));
    }

    #[test]
    fn a_reason_without_end_is_cut() {
        let failed = ToSender::Failed {
            reason: "é".repeat(CONTROL_BYTES_MAX / 4),
        };
        let Ok(ToSender::Failed { reason }) = decode_to_sender(&encode(&failed)) else {
            panic!("another message")
        };
        assert!(reason.len() <= REASON_BYTES_MAX && !reason.is_empty());
    }

    #[test]
    fn another_version_is_named() {
        let hello = ToSender::Hello {
            version: 99,
            name: String::new(),
            session: [0; 16],
        };
        assert_eq!(
            decode_to_sender(&encode(&hello)),
            Err(WireError::Version(99))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_to_sender(&bytes);
            let _ = decode_to_receiver(&bytes);
        }
    }
}
