//! Sealing of packets and records: AES-128-GCM (RFC 5116) or AEGIS-128L (draft-irtf-cfrg-aegis-aead), with
//! their number as nonce and their header as associated data.
//!
//! A key seals for one sender in one session and is handed out over the control channel. Content
//! truth does not rest on it (any member knows it) but on the hashes that the sender vouches for. Which
//! suite is faster on a machine is not measured here.

mod replay;

use std::fmt;

use aegis::aegis128l::Aegis128L;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use minicbor::{Decode, Encode};
use thiserror::Error;

pub use self::replay::ReplayWindow;
use crate::units::Sequence;
use crate::wire::data::{HEADER_LEN, TAG_LEN};

/// Bytes of a key, with either suite.
pub const KEY_LEN: usize = 16;

/// Bytes of a nonce: of AES-128-GCM all, of AEGIS-128L the first ones, before zeros.
const NONCE_LEN: usize = 12;
const NONCE_LEN_AEGIS: usize = 16;

/// What seals a session's packets and records. Both suites have keys and tags of 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Suite {
    /// AES-128 in Galois counter mode (NIST SP 800-38D).
    #[n(0)]
    Aes128Gcm,
    /// Rounds of AES alone: about half of the work where the processor has instructions for them.
    #[n(1)]
    Aegis128L,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Self; 2] = [Self::Aes128Gcm, Self::Aegis128L];

    /// Its name, as in reports and options.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "aes-128-gcm",
            Self::Aegis128L => "aegis-128l",
        }
    }
}

/// A packet is not what the holder of the key sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("packet does not open: corrupted, forged or of another session")]
pub struct Unsealed;

/// A key of the data plane.
pub struct SealKey(Cipher);

enum Cipher {
    Gcm(LessSafeKey),
    Aegis([u8; KEY_LEN]),
}

impl SealKey {
    /// The key of `suite` with these bytes.
    pub fn new(suite: Suite, bytes: &[u8; KEY_LEN]) -> Self {
        Self(match suite {
            Suite::Aes128Gcm => {
                let key = UnboundKey::new(&AES_128_GCM, bytes)
                    .unwrap_or_else(|_| unreachable!("a key of {KEY_LEN} bytes fits AES-128"));
                Cipher::Gcm(LessSafeKey::new(key))
            }
            Suite::Aegis128L => Cipher::Aegis(*bytes),
        })
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
        let (head, sealed) = packet.split_at_mut(HEADER_LEN);
        head.copy_from_slice(header);
        self.0.seal(nonce(0, sequence.0), header, body, sealed);
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
        self.0.seal(nonce(sealer, number), header, body, sealed);
    }

    /// Opens the body of a record, ciphertext and tag, into `body`.
    ///
    /// # Errors
    ///
    /// [`Unsealed`] when it is not what a holder of the key sealed, or `body` has another length; `body`
    /// then holds no meaning.
    pub fn open_record(
        &self,
        (sealer, number): (u32, u64),
        header: &[u8],
        sealed: &[u8],
        body: &mut [u8],
    ) -> Result<(), Unsealed> {
        self.0.open(nonce(sealer, number), header, sealed, body)
    }

    /// Opens `packet` (header, ciphertext, tag) into `body`.
    ///
    /// # Errors
    ///
    /// [`Unsealed`] when the tag does not fit or `body` does not have the length of the ciphertext;
    /// `body` then holds no meaning.
    pub fn open(&self, sequence: Sequence, packet: &[u8], body: &mut [u8]) -> Result<(), Unsealed> {
        let (header, sealed) = packet.split_at_checked(HEADER_LEN).ok_or(Unsealed)?;
        self.0.open(nonce(0, sequence.0), header, sealed, body)
    }

    /// Opens `packet` where it is: its body then stands between header and tag.
    ///
    /// # Errors
    ///
    /// [`Unsealed`] when the tag does not fit; the body then holds no meaning.
    pub fn open_in_place(&self, sequence: Sequence, packet: &mut [u8]) -> Result<(), Unsealed> {
        let (header, sealed) = packet.split_at_mut_checked(HEADER_LEN).ok_or(Unsealed)?;
        self.0.open_in_place(nonce(0, sequence.0), header, sealed)
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SealKey(..)")
    }
}

impl Cipher {
    /// Writes ciphertext and tag of `body` to `sealed`, which has room for exactly both.
    fn seal(&self, nonce: [u8; NONCE_LEN], header: &[u8], body: &[u8], sealed: &mut [u8]) {
        let room = sealed.len();
        assert_eq!(room, body.len() + TAG_LEN, "room for the sealed body");
        let (ciphertext, tag) = sealed.split_at_mut(body.len());
        match self {
            Self::Gcm(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.seal_out_of_place_scatter(nonce, Aad::from(header), body, ciphertext, &[], tag)
                    .unwrap_or_else(|_| {
                        unreachable!("lengths are checked and far below the bound of GCM")
                    });
            }
            Self::Aegis(key) => {
                ciphertext.copy_from_slice(body);
                let state = Aegis128L::<TAG_LEN>::new(key, &with_zeros(nonce));
                tag.copy_from_slice(&state.encrypt_in_place(ciphertext, header));
            }
        }
    }

    /// Opens ciphertext and tag into `body`.
    fn open(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        sealed: &[u8],
        body: &mut [u8],
    ) -> Result<(), Unsealed> {
        if sealed.len() != body.len() + TAG_LEN {
            return Err(Unsealed);
        }
        let (ciphertext, tag) = sealed.split_at(body.len());
        match self {
            Self::Gcm(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.open_separate_gather(nonce, Aad::from(header), ciphertext, tag, body)
                    .map_err(|_| Unsealed)
            }
            Self::Aegis(key) => {
                let tag = tag.try_into().map_err(|_| Unsealed)?;
                body.copy_from_slice(ciphertext);
                Aegis128L::<TAG_LEN>::new(key, &with_zeros(nonce))
                    .decrypt_in_place(body, tag, header)
                    .map_err(|_| Unsealed)
            }
        }
    }

    /// Opens ciphertext and tag where they are; the tag stays behind the body.
    fn open_in_place(
        &self,
        nonce: [u8; NONCE_LEN],
        header: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), Unsealed> {
        match self {
            Self::Gcm(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.open_in_place(nonce, Aad::from(header), sealed)
                    .map(drop)
                    .map_err(|_| Unsealed)
            }
            Self::Aegis(key) => {
                let len = sealed.len().checked_sub(TAG_LEN).ok_or(Unsealed)?;
                let (body, tag) = sealed.split_at_mut(len);
                let tag = (&*tag).try_into().map_err(|_| Unsealed)?;
                Aegis128L::<TAG_LEN>::new(key, &with_zeros(nonce))
                    .decrypt_in_place(body, tag, header)
                    .map_err(|_| Unsealed)
            }
        }
    }
}

/// The nonce of what `sealer` seals as `number`: packets have the sealer zero, records never.
fn nonce(sealer: u32, number: u64) -> [u8; NONCE_LEN] {
    let mut bytes = [0; NONCE_LEN];
    bytes[..4].copy_from_slice(&sealer.to_be_bytes());
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn with_zeros(nonce: [u8; NONCE_LEN]) -> [u8; NONCE_LEN_AEGIS] {
    let mut bytes = [0; NONCE_LEN_AEGIS];
    bytes[..NONCE_LEN].copy_from_slice(&nonce);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(suite: Suite) -> SealKey {
        SealKey::new(suite, &[5; 16])
    }

    fn sealed(suite: Suite, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; HEADER_LEN + body.len() + TAG_LEN];
        key(suite).seal(&[1; HEADER_LEN], Sequence(9), body, &mut packet);
        packet
    }

    #[test]
    fn what_was_sealed_opens() {
        for suite in Suite::ALL {
            let packet = sealed(suite, b"symbol");
            let mut body = [0; 6];
            assert_eq!(key(suite).open(Sequence(9), &packet, &mut body), Ok(()));
            assert_eq!(&body, b"symbol");
            let mut opened = packet.clone();
            let outcome = key(suite).open_in_place(Sequence(9), &mut opened);
            assert_eq!(outcome, Ok(()));
            assert_eq!(&opened[HEADER_LEN..HEADER_LEN + 6], b"symbol", "in place");
            let travels = &packet[HEADER_LEN..HEADER_LEN + 6];
            assert_ne!(travels, b"symbol", "the body travels encrypted");
        }
    }

    #[test]
    fn what_is_sealed_stays_the_same_from_version_to_version() {
        let hex = |suite| -> String {
            let packet = sealed(suite, b"symbol");
            let sealed = packet[HEADER_LEN..].iter();
            sealed.map(|byte| format!("{byte:02x}")).collect()
        };
        assert_eq!(
            hex(Suite::Aes128Gcm),
            "5ff0fddbf9201af28aa24f861a63a3107448f7f50ab8"
        );
        assert_eq!(
            hex(Suite::Aegis128L),
            "9985cf2f85153a9662f85d3010437899f6a6ed89b5fa"
        );
    }

    #[test]
    fn aegis_is_what_its_specification_says() {
        // draft-irtf-cfrg-aegis-aead, test vectors of AEGIS-128L, 1: the nonce there ends otherwise than ours.
        let mut key = [0; KEY_LEN];
        key[..2].copy_from_slice(&[0x10, 0x01]);
        let mut nonce = [0; NONCE_LEN_AEGIS];
        nonce[..3].copy_from_slice(&[0x10, 0, 0x02]);
        let mut body = [0; 16];
        let tag = Aegis128L::<TAG_LEN>::new(&key, &nonce).encrypt_in_place(&mut body, &[]);
        assert_eq!(
            u128::from_be_bytes(body),
            0xc1c0_e58b_d913_006f_eba0_0f4b_3cc3_594e
        );
        assert_eq!(
            u128::from_be_bytes(tag),
            0xabe0_ece8_0c24_868a_226a_35d1_6bda_e37a
        );
    }

    #[test]
    fn a_record_opens_with_its_sealer_number_and_header_only() {
        for suite in Suite::ALL {
            let key = key(suite);
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
    }

    #[test]
    fn every_flipped_bit_is_found() {
        for suite in Suite::ALL {
            let packet = sealed(suite, b"symbol");
            for bit in 0..packet.len() * 8 {
                let mut forged = packet.clone();
                forged[bit / 8] ^= 1 << (bit % 8);
                let opened = key(suite).open(Sequence(9), &forged, &mut [0; 6]);
                assert_eq!(opened, Err(Unsealed), "{suite:?}, bit {bit}");
                let opened = key(suite).open_in_place(Sequence(9), &mut forged);
                assert_eq!(opened, Err(Unsealed), "{suite:?}, bit {bit}, in place");
            }
        }
    }

    #[test]
    fn another_key_number_length_or_suite_is_refused() {
        for (suite, other) in [
            (Suite::Aes128Gcm, Suite::Aegis128L),
            (Suite::Aegis128L, Suite::Aes128Gcm),
        ] {
            let packet = sealed(suite, b"symbol");
            let opens = |key: SealKey, number, packet: &[u8], body: &mut [u8]| {
                key.open(Sequence(number), packet, body)
            };
            let mut body = [0; 6];
            let stranger = SealKey::new(suite, &[6; 16]);
            assert_eq!(opens(stranger, 9, &packet, &mut body), Err(Unsealed));
            assert_eq!(opens(key(suite), 8, &packet, &mut body), Err(Unsealed));
            assert_eq!(opens(key(suite), 9, &packet, &mut [0; 5]), Err(Unsealed));
            assert_eq!(opens(key(other), 9, &packet, &mut body), Err(Unsealed));
            let short = &packet[..HEADER_LEN - 1];
            assert_eq!(opens(key(suite), 9, short, &mut body), Err(Unsealed));
            for len in [0, HEADER_LEN - 1, HEADER_LEN, HEADER_LEN + TAG_LEN - 1] {
                let mut short = packet[..len].to_vec();
                let opened = key(suite).open_in_place(Sequence(9), &mut short);
                assert_eq!(opened, Err(Unsealed), "{len} bytes");
            }
        }
    }
}
