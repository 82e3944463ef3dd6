//! A captured multicast datagram that can be sent again with changes: IPv4 and UDP headers, no more.
//!
//! Sent packets carry a mark in the IPv4 identification, by which captures of them are told from the
//! true ones; otherwise the injector would answer itself.

use std::net::Ipv4Addr;

const ETHERNET_BYTES: usize = 14;
const IP_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
const PAYLOAD_AT: usize = IP_BYTES + UDP_BYTES;

/// Larger ones are offloaded trains, which could not be sent again as they are.
const PACKET_BYTES_MAX: usize = 1500;

const ETHERTYPE_IPV4: [u8; 2] = [0x08, 0x00];
const VERSION_4_NO_OPTIONS: u8 = 0x45;
const PROTOCOL_UDP: u8 = 17;
const IDENTIFICATION: std::ops::Range<usize> = 4..6;
const UDP_CHECKSUM: std::ops::Range<usize> = 26..28;
const MARK: [u8; 2] = *b"!!";

/// An IPv4 packet with a UDP datagram to a multicast group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    bytes: Vec<u8>,
}

impl Packet {
    /// Takes a packet out of an Ethernet frame; `None` for anything but a datagram worth attacking.
    #[must_use]
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let (ethernet, ip) = frame.split_at_checked(ETHERNET_BYTES)?;
        if ethernet[12..] != ETHERTYPE_IPV4
            || ip.len() <= PAYLOAD_AT
            || ip[0] != VERSION_4_NO_OPTIONS
        {
            return None;
        }
        // Short frames are padded by some cards: the header knows the true length.
        let length = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
        let is_attackable = (PAYLOAD_AT + 1..=PACKET_BYTES_MAX).contains(&length)
            && ip[9] == PROTOCOL_UDP
            && ip[IDENTIFICATION] != MARK;
        let mut packet = Self {
            bytes: ip.get(..length)?.to_vec(),
        };
        if !is_attackable || !packet.destination().is_multicast() {
            return None;
        }
        packet.bytes[IDENTIFICATION].copy_from_slice(&MARK);
        // No checksum, which IPv4 permits: the kernel must not sort the damaged ones out.
        packet.bytes[UDP_CHECKSUM].fill(0);
        Some(packet)
    }

    /// The group it was sent to.
    #[must_use]
    pub fn destination(&self) -> Ipv4Addr {
        Ipv4Addr::new(
            self.bytes[16],
            self.bytes[17],
            self.bytes[18],
            self.bytes[19],
        )
    }

    /// Everything from the IPv4 header on.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same with one bit of the payload turned over; `choice` says which.
    #[must_use]
    pub fn with_bit_turned(mut self, choice: u64) -> Self {
        let noise = blake3::hash(&choice.to_le_bytes());
        let payload = &mut self.bytes[PAYLOAD_AT..];
        let place = u16::from_le_bytes([noise.as_bytes()[0], noise.as_bytes()[1]]);
        let place = usize::from(place) % payload.len();
        payload[place] ^= 1 << (choice % 8);
        self
    }

    /// The same length and headers, the payload all noise.
    #[must_use]
    pub fn with_noise(mut self, seed: u64) -> Self {
        let mut noise = blake3::Hasher::new()
            .update(&seed.to_le_bytes())
            .finalize_xof();
        noise.fill(&mut self.bytes[PAYLOAD_AT..]);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(destination: [u8; 4], payload: &[u8]) -> Vec<u8> {
        let length = (PAYLOAD_AT + payload.len()) as u16;
        let mut frame = vec![0; 12];
        frame.extend(ETHERTYPE_IPV4);
        frame.extend([VERSION_4_NO_OPTIONS, 0]);
        frame.extend(length.to_be_bytes());
        frame.extend([0, 1, 0, 0, 64, PROTOCOL_UDP, 0, 0, 10, 77, 0, 1]);
        frame.extend(destination);
        frame.extend([0x12, 0x34, 0x56, 0x78, 0, 0, 0xaa, 0xbb]);
        frame.extend(payload);
        frame.extend([0; 9]); // padding
        frame
    }

    #[test]
    fn takes_multicast_datagrams_only() {
        assert!(Packet::parse(&frame([239, 1, 2, 3], b"payload")).is_some());
        assert_eq!(Packet::parse(&frame([10, 77, 0, 2], b"payload")), None);
        assert_eq!(Packet::parse(&frame([239, 1, 2, 3], &[0; 1500])), None);
        assert_eq!(Packet::parse(b"short"), None);
    }

    #[test]
    fn its_own_packets_are_not_attacked_again() {
        let packet = Packet::parse(&frame([239, 1, 2, 3], b"payload")).unwrap();
        let mut again = frame([239, 1, 2, 3], b"payload");
        again.splice(ETHERNET_BYTES.., packet.bytes().iter().copied());
        assert_eq!(Packet::parse(&again), None);
    }

    #[test]
    fn exactly_one_bit_differs() {
        let packet = Packet::parse(&frame([239, 1, 2, 3], b"payload")).unwrap();
        let damaged = packet.clone().with_bit_turned(12345);
        let bits: u32 = packet
            .bytes()
            .iter()
            .zip(damaged.bytes())
            .map(|(one, other)| (one ^ other).count_ones())
            .sum();
        assert_eq!(bits, 1);
        assert_ne!(packet.clone().with_noise(1), packet);
    }
}
