//! Sealing of packets: AES-128-GCM (RFC 5116) with the packet's number as nonce and its header as
//! associated data.
//!
//! A key seals for one sender in one session and is handed out over the control channel. Content
//! truth does not rest on it (any member knows it) but on the hashes that the sender vouches for.

mod replay;

use std::fmt;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use thiserror::Error;

pub use self::replay::ReplayWindow;
use crate::units::Sequence;
use crate::wire::data::{HEADER_LEN, TAG_LEN};

/// Bytes of a key.
pub const KEY_LEN: usize = 16;

/// A packet is not what the holder of the key sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("packet does not open: corrupted, forged or of another session")]
pub struct Unsealed;

/// A key of the data plane.
pub struct SealKey {
    key: LessSafeKey,
}

impl SealKey {
    /// The key with these bytes.
    pub fn new(bytes: &[u8; KEY_LEN]) -> Self {
        let key = UnboundKey::new(&AES_128_GCM, bytes)
            .unwrap_or_else(|_| unreachable!("a key of {KEY_LEN} bytes fits AES-128"));
        Self {
            key: LessSafeKey::new(key),
        }
    }

    /// Writes the sealed packet (header, ciphertext, tag) of `body` to `packet`.
    ///
    /// `sequence` must never have been used with this key before.
    ///
    /// # Panics
    ///
    /// When `packet` is not exactly as long as header, body and tag.
    pub fn seal(
        &self,
        header: &[u8; HEADER_LEN],
        sequence: Sequence,
        body: &[u8],
        packet: &mut [u8],
    ) {
        assert_eq!(
            packet.len(),
            HEADER_LEN + body.len() + TAG_LEN,
            "room for the sealed packet"
        );
        packet[..HEADER_LEN].copy_from_slice(header);
        let (ciphertext, tag) = packet[HEADER_LEN..].split_at_mut(body.len());
        self.key
            .seal_out_of_place_scatter(
                nonce(sequence),
                Aad::from(header),
                body,
                ciphertext,
                &[],
                tag,
            )
            .unwrap_or_else(|_| unreachable!("lengths are checked and far below the bound of GCM"));
    }

    /// Seals `body` as that of a record of the pipeline: ciphertext and tag go to `sealed`.
    ///
    /// `sealer`, which is not zero, and `number` must never have been used with this key together.
    ///
    /// # Panics
    ///
    /// When `sealed` is not exactly as long as body and tag.
    pub fn seal_record(
        &self,
        (sealer, number): (u32, u64),
        header: &[u8],
        body: &[u8],
        sealed: &mut [u8],
    ) {
        assert_eq!(
            sealed.len(),
            body.len() + TAG_LEN,
            "room for the sealed body"
        );
        let (ciphertext, tag) = sealed.split_at_mut(body.len());
        self.key
            .seal_out_of_place_scatter(
                record_nonce(sealer, number),
                Aad::from(header),
                body,
                ciphertext,
                &[],
                tag,
            )
            .unwrap_or_else(|_| unreachable!("lengths are checked and far below the bound of GCM"));
    }

    /// Opens the body of a record, ciphertext and tag, into `body`.
    ///
    /// # Errors
    ///
    /// [`Unsealed`] when it is not what a holder of the key sealed, or `body` has another length.
    pub fn open_record(
        &self,
        (sealer, number): (u32, u64),
        header: &[u8],
        sealed: &[u8],
        body: &mut [u8],
    ) -> Result<(), Unsealed> {
        if sealed.len() != body.len() + TAG_LEN {
            return Err(Unsealed);
        }
        let (ciphertext, tag) = sealed.split_at(body.len());
        self.key
            .open_separate_gather(
                record_nonce(sealer, number),
                Aad::from(header),
                ciphertext,
                tag,
                body,
            )
            .map_err(|_| Unsealed)
    }

    /// Opens `packet` (header, ciphertext, tag) into `body`.
    ///
    /// # Errors
    ///
    /// [`Unsealed`] when the tag does not fit or `body` does not have the length of the ciphertext;
    /// `body` then holds no meaning.
    pub fn open(&self, sequence: Sequence, packet: &[u8], body: &mut [u8]) -> Result<(), Unsealed> {
        if packet.len() != HEADER_LEN + body.len() + TAG_LEN {
            return Err(Unsealed);
        }
        let (header, sealed) = packet.split_at(HEADER_LEN);
        let (ciphertext, tag) = sealed.split_at(body.len());
        self.key
            .open_separate_gather(nonce(sequence), Aad::from(header), ciphertext, tag, body)
            .map_err(|_| Unsealed)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SealKey(..)")
    }
}

fn nonce(sequence: Sequence) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&sequence.0.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

/// The four bytes that are zero with packets name the one who sealed a record.
fn record_nonce(sealer: u32, number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&sealer.to_be_bytes());
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; HEADER_LEN + body.len() + TAG_LEN];
        SealKey::new(&[5; 16]).seal(&[1; HEADER_LEN], Sequence(9), body, &mut packet);
        packet
    }

    #[test]
    fn what_was_sealed_opens() {
        let packet = sealed(b"symbol");
        let mut body = [0; 6];
        assert_eq!(
            SealKey::new(&[5; 16]).open(Sequence(9), &packet, &mut body),
            Ok(())
        );
        assert_eq!(&body, b"symbol");
        assert_ne!(
            &packet[HEADER_LEN..HEADER_LEN + 6],
            b"symbol",
            "the body travels encrypted"
        );
    }

    #[test]
    fn a_record_opens_with_its_sealer_number_and_header_only() {
        let key = SealKey::new(&[5; 16]);
        let mut sealed = [0; 5 + TAG_LEN];
        key.seal_record((3, 9), b"header", b"block", &mut sealed);
        let opens = |sealer, header: &[u8], sealed: &[u8]| {
            let mut body = [0; 5];
            let opened = key.open_record(sealer, header, sealed, &mut body);
            opened.map(|()| body)
        };
        assert_eq!(opens((3, 9), b"header", &sealed), Ok(*b"block"));
        assert_eq!(opens((4, 9), b"header", &sealed), Err(Unsealed));
        assert_eq!(opens((3, 8), b"header", &sealed), Err(Unsealed));
        assert_eq!(opens((3, 9), b"heaDer", &sealed), Err(Unsealed));
        assert_eq!(opens((3, 9), b"header", &sealed[1..]), Err(Unsealed));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let packet = sealed(b"symbol");
        for bit in 0..packet.len() * 8 {
            let mut forged = packet.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                SealKey::new(&[5; 16]).open(Sequence(9), &forged, &mut [0; 6]),
                Err(Unsealed)
            );
        }
    }

    #[test]
    fn another_key_number_or_length_is_refused() {
        let packet = sealed(b"symbol");
        assert_eq!(
            SealKey::new(&[6; 16]).open(Sequence(9), &packet, &mut [0; 6]),
            Err(Unsealed)
        );
        assert_eq!(
            SealKey::new(&[5; 16]).open(Sequence(8), &packet, &mut [0; 6]),
            Err(Unsealed)
        );
        assert_eq!(
            SealKey::new(&[5; 16]).open(Sequence(9), &packet, &mut [0; 5]),
            Err(Unsealed)
        );
    }
}
