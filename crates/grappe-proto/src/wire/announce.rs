//! The announcement: a small signed datagram by which a sender makes its session known.
//!
//! It asks a receiver to do one thing: connect to the control port at the datagram's source address
//! and expect there the key that signed. Signing and verifying is the driver's; this file lays out
//! the bytes.

use super::{Fields, WireError};
use crate::limits::PROTOCOL_VERSION;
use crate::units::SessionId;

/// The first four bytes of the announcement of a copy.
pub const MAGIC: [u8; 4] = *b"grpA";

/// The first four bytes of the announcement of a gather.
pub const MAGIC_GATHER: [u8; 4] = *b"grpG";

/// What nodes are called to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// To receive a copy.
    Copy,
    /// To take part in a gather.
    Gather,
}

impl Call {
    const fn magic(self) -> [u8; 4] {
        match self {
            Self::Copy => MAGIC,
            Self::Gather => MAGIC_GATHER,
        }
    }
}

/// Bytes of the part that is signed.
pub const SIGNED_LEN: usize = 4 + 2 + 2 + 16 + 32 + 8;

/// Bytes of a whole announcement: the signed part and an Ed25519 signature (RFC 8032).
pub const ANNOUNCEMENT_LEN: usize = SIGNED_LEN + 64;

/// What is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// What it calls to.
    pub call: Call,
    /// The session.
    pub session: SessionId,
    /// The sender's Ed25519 public key.
    pub sender: [u8; 32],
    /// TCP port of the sender's control channel.
    pub control_port: u16,
    /// Seconds since 1970 by the sender's clock, for the reader of a log; no decision rests on it.
    pub unix_seconds: u64,
}

impl Announcement {
    /// Reads an announcement: the value, the bytes that were signed, and the signature over them.
    ///
    /// # Errors
    ///
    /// When it has another length, another magic or another protocol version; the version comes first, as
    /// the length is that of this one.
    pub fn read(packet: &[u8]) -> Result<(Self, &[u8], [u8; 64]), WireError> {
        let mut fields = Fields::of(packet);
        let magic: [u8; 4] = fields.array()?;
        let call = match magic {
            MAGIC => Call::Copy,
            MAGIC_GATHER => Call::Gather,
            _ => return Err(WireError::Kind(magic[0])),
        };
        let version = fields.u16()?;
        if version != PROTOCOL_VERSION {
            return Err(WireError::Version(version));
        }
        if packet.len() != ANNOUNCEMENT_LEN {
            return Err(WireError::Length(packet.len()));
        }
        let control_port = fields.u16()?;
        let session = SessionId(fields.array()?);
        let sender = fields.array()?;
        let unix_seconds = fields.u64()?;
        let signature = fields.array()?;
        let announcement = Self {
            call,
            session,
            sender,
            control_port,
            unix_seconds,
        };
        Ok((announcement, &packet[..SIGNED_LEN], signature))
    }

    /// The bytes to sign; the datagram is these and the signature.
    pub fn emit_signed_part(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ANNOUNCEMENT_LEN);
        bytes.extend_from_slice(&self.call.magic());
        bytes.extend_from_slice(&PROTOCOL_VERSION.to_be_bytes());
        bytes.extend_from_slice(&self.control_port.to_be_bytes());
        bytes.extend_from_slice(&self.session.0);
        bytes.extend_from_slice(&self.sender);
        bytes.extend_from_slice(&self.unix_seconds.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn announcement_survives_the_wire(is_gather: bool, session: [u8; 16], sender: [u8; 32], control_port: u16, unix_seconds: u64) {
            let call = if is_gather { Call::Gather } else { Call::Copy };
            let announcement = Announcement { call, session: SessionId(session), sender, control_port, unix_seconds };
            let mut packet = announcement.emit_signed_part();
            packet.extend_from_slice(&[7; 64]);
            let (read, signed, signature) = Announcement::read(&packet).unwrap();
            prop_assert_eq!(read, announcement);
            prop_assert_eq!(signed, &packet[..SIGNED_LEN]);
            prop_assert_eq!(signature, [7; 64]);
        }

        #[test]
        fn another_version_is_known_as_one_at_any_length(version: u16, rest in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assume!(version != PROTOCOL_VERSION);
            let packet = [&MAGIC[..], &version.to_be_bytes(), &rest].concat();
            prop_assert_eq!(Announcement::read(&packet).map(drop), Err(WireError::Version(version)));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Announcement::read(&bytes);
        }
    }
}
