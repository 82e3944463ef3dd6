//! The messages between the coordinator of a gather and its members: CBOR with numbered fields, inside
//! TLS, as on the control channel of a copy.
//!
//! What they make the two sides do is in `gather` here and in `grappe`; the copies of the turns speak the
//! ordinary protocol of `control`. A set of entries is a set of numbers of manifest entries, in the form
//! of a set of blocks.

use std::net::IpAddr;

use minicbor::{Decode, Encode};

use super::WireError;
use super::control::{decode_whole, shorten};
use crate::content::block_set::BlockSet;
use crate::limits::PROTOCOL_VERSION;

/// Bytes of a listing, or of hashes, in one message: half of the longest.
pub const PIECE_BYTES_MAX: usize = super::control::CONTROL_BYTES_MAX / 2;

/// From a member to the coordinator.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToCoordinator {
    /// First message: who is there.
    #[n(0)]
    Hello {
        /// The protocol version spoken.
        #[n(0)]
        version: u16,
        /// The node's name, by which senders will know it as a receiver.
        #[n(1)]
        name: String,
        /// The gather it was called to.
        #[cbor(n(2), with = "minicbor::bytes")]
        gather: [u8; 16],
    },
    /// The next bytes of the encoded manifest of the member's part.
    #[n(1)]
    Listing {
        /// At most [`PIECE_BYTES_MAX`].
        #[cbor(n(0), with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
    /// The listing is whole.
    #[n(2)]
    Listed {
        /// Entries of the part that cannot be read, and are not in the listing.
        #[n(0)]
        skipped: u64,
    },
    /// Hashes of files that were asked for, in the order of their entries.
    #[n(3)]
    Hashes {
        /// 32 bytes for each file; zeros for one that could not be read.
        #[cbor(n(0), with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
    /// The member's own files are under its directory.
    #[n(4)]
    Placed {
        /// Bytes in them.
        #[n(0)]
        bytes: u64,
        /// Files that were left out, as they changed or went before they were copied there; 0 where a node of
        /// an earlier version does not say.
        #[cbor(n(1), default)]
        skipped: u64,
    },
    /// All receivers of a turn are ready for its content.
    #[n(5)]
    Prepared {
        /// The turn.
        #[n(0)]
        turn: u32,
    },
    /// How far a turn is.
    #[n(6)]
    Progress {
        /// The turn.
        #[n(0)]
        turn: u32,
        /// How far.
        #[n(1)]
        progress: TurnProgress,
    },
    /// All content of a turn was sent once.
    #[n(7)]
    SentOnce {
        /// The turn.
        #[n(0)]
        turn: u32,
    },
    /// What became of one receiver of a turn.
    #[n(8)]
    Result {
        /// The turn.
        #[n(0)]
        turn: u32,
        /// The receiver and its end.
        #[n(1)]
        result: TurnResult,
    },
    /// A turn is over, and its results were told.
    #[n(9)]
    Ended {
        /// The turn.
        #[n(0)]
        turn: u32,
        /// Why it did not come about or was broken off, when it was.
        #[n(1)]
        reason: Option<String>,
        /// Files that were not sent whole.
        #[n(2)]
        skipped: u64,
    },
    /// This member cannot take part any more.
    #[n(10)]
    Failed {
        /// What, where and what to do, for a human.
        #[n(0)]
        reason: String,
    },
    /// The member is there.
    #[n(11)]
    Alive,
}

/// How far a turn is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct TurnProgress {
    /// Bytes of content still to be sent once.
    #[n(0)]
    pub left: u64,
    /// Bytes of packets that leave each second.
    #[n(1)]
    pub rate: u64,
    /// Bytes of packets that may leave each second, as losses and the cap have it.
    #[n(2)]
    pub allowed: u64,
    /// The rate at which packets got lost last; 0 when none was met yet.
    #[n(3)]
    pub knee: u64,
    /// Packets sent so far.
    #[n(4)]
    pub packets: u64,
    /// Those among them that were repairs.
    #[n(5)]
    pub repairs: u64,
}

/// What became of one receiver of a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct TurnResult {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// 0 complete, 1 failed, 2 lost, 3 refused.
    #[n(1)]
    pub state: u8,
    /// Why it did not end well.
    #[n(2)]
    pub reason: Option<String>,
    /// Bytes of files placed there.
    #[n(3)]
    pub bytes: u64,
    /// Symbols that reached it by repair.
    #[n(4)]
    pub repaired: u64,
    /// What held it back: 0 network, 1 host, 2 disk, 3 sender, 4 rate cap.
    #[n(5)]
    pub limited_by: u8,
}

/// From the coordinator to a member.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToMember {
    /// The member takes part: its listing is wanted.
    #[n(0)]
    Welcome {
        /// The protocol version spoken.
        #[n(0)]
        version: u16,
    },
    /// This member is not wanted.
    #[n(1)]
    Refused {
        /// Why, for a human.
        #[n(0)]
        reason: String,
    },
    /// Entries of the member's listing that the next `Hash`, `Place` or `Prepare` is about; comes as often
    /// as there are more than fit.
    #[n(2)]
    Entries {
        /// Their numbers.
        #[n(0)]
        numbers: BlockSet,
    },
    /// The hashes of the files among the entries are wanted.
    #[n(3)]
    Hash,
    /// The member's own files are to go under its directory, but for the entries.
    #[n(4)]
    Place,
    /// The entries are to be sent: announce a copy and let its receivers prepare.
    #[n(5)]
    Prepare {
        /// The turn's number.
        #[n(0)]
        turn: u32,
        /// The copy's name.
        #[cbor(n(1), with = "minicbor::bytes")]
        session: [u8; 16],
        /// Who must get it.
        #[n(2)]
        receivers: Vec<TurnReceiver>,
    },
    /// The content of a turn may flow.
    #[n(6)]
    Start {
        /// The turn.
        #[n(0)]
        turn: u32,
        /// The rate to begin at, in bytes of packets a second, where it is known.
        #[n(1)]
        rate: Option<u64>,
    },
    /// The most that a turn may send from now on.
    #[n(7)]
    Cap {
        /// The turn.
        #[n(0)]
        turn: u32,
        /// Bytes of packets a second.
        #[n(1)]
        rate: u64,
    },
    /// The gather is over.
    #[n(8)]
    End,
    /// The gather is broken off.
    #[n(9)]
    Abort {
        /// Why, for a human.
        #[n(0)]
        reason: String,
    },
    /// The coordinator is there.
    #[n(10)]
    Alive,
}

/// A receiver of a turn.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TurnReceiver {
    /// Its name.
    #[n(0)]
    pub name: String,
    /// Where it is called besides the group.
    #[cbor(n(1), with = "super::address")]
    pub address: IpAddr,
}

/// Decodes what a member sent.
///
/// # Errors
///
/// When the bytes are not such a message, or a greeting speaks another version.
pub fn decode_to_coordinator(bytes: &[u8]) -> Result<ToCoordinator, WireError> {
    let mut message = decode_whole(bytes)?;
    match &mut message {
        ToCoordinator::Hello { version, .. } if *version != PROTOCOL_VERSION => {
            return Err(WireError::Version(*version));
        }
        ToCoordinator::Failed { reason }
        | ToCoordinator::Ended {
            reason: Some(reason),
            ..
        }
        | ToCoordinator::Result {
            result:
                TurnResult {
                    reason: Some(reason),
                    ..
                },
            ..
        } => shorten(reason),
        _ => {}
    }
    Ok(message)
}

/// Decodes what a coordinator sent.
///
/// # Errors
///
/// As [`decode_to_coordinator`].
pub fn decode_to_member(bytes: &[u8]) -> Result<ToMember, WireError> {
    let mut message = decode_whole(bytes)?;
    match &mut message {
        ToMember::Welcome { version } if *version != PROTOCOL_VERSION => {
            return Err(WireError::Version(*version));
        }
        ToMember::Refused { reason } | ToMember::Abort { reason } => shorten(reason),
        _ => {}
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::super::control::encode;
    use super::*;
    use crate::units::BlockIndex;
    use proptest::prelude::*;

    #[test]
    fn messages_survive_the_wire() {
        let hello = ToCoordinator::Hello {
            version: PROTOCOL_VERSION,
            name: "node07".into(),
            gather: [3; 16],
        };
        assert_eq!(decode_to_coordinator(&encode(&hello)), Ok(hello));
        let result = ToCoordinator::Result {
            turn: 4,
            result: TurnResult {
                name: "node02".into(),
                state: 2,
                reason: Some("silent for 5 s".into()),
                ..TurnResult::default()
            },
        };
        assert_eq!(decode_to_coordinator(&encode(&result)), Ok(result));
        let mut numbers = BlockSet::new();
        numbers.insert_range(BlockIndex(3)..BlockIndex(70_000));
        let entries = ToMember::Entries { numbers };
        assert_eq!(decode_to_member(&encode(&entries)), Ok(entries));
        let prepare = ToMember::Prepare {
            turn: 1,
            session: [9; 16],
            receivers: vec![TurnReceiver {
                name: "node03".into(),
                address: [10, 0, 0, 3].into(),
            }],
        };
        assert_eq!(decode_to_member(&encode(&prepare)), Ok(prepare));
        let start = ToMember::Start {
            turn: 1,
            rate: Some(5),
        };
        assert_eq!(decode_to_member(&encode(&start)), Ok(start));
    }

    #[test]
    fn a_node_that_does_not_say_how_many_files_it_left_out_left_out_none() {
        // `[4, [5]]`, RFC 8949 section 3.
        let placed = decode_to_coordinator(&[0x82, 4, 0x81, 5]);
        let none = ToCoordinator::Placed {
            bytes: 5,
            skipped: 0,
        };
        assert_eq!(placed, Ok(none));
    }

    #[test]
    fn another_version_is_named() {
        let welcome = ToMember::Welcome { version: 99 };
        assert_eq!(
            decode_to_member(&encode(&welcome)),
            Err(WireError::Version(99))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_to_coordinator(&bytes);
            let _ = decode_to_member(&bytes);
        }
    }
}
