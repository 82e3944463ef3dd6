//! Which cipher suite is the faster one on this machine: both are tried. What a suite does is in
//! `grappe_proto::seal`.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use grappe_proto::limits::SYMBOL_SIZE;
use grappe_proto::seal::{KEY_LEN, SealKey, Suite};
use grappe_proto::units::Sequence;
use grappe_proto::wire::data::{HEADER_LEN, TAG_LEN};

/// Packets that each suite seals in one try, more than a processor's own cache holds: in a copy each packet comes
/// from somewhere else, too. Of the tries the fastest counts, as others may have had the processor meanwhile. All
/// of it takes a few milliseconds.
const PACKETS: usize = 1_024;
const TRIES: usize = 4;

const BODY: usize = SYMBOL_SIZE as usize;
const PACKET: usize = HEADER_LEN + BODY + TAG_LEN;

/// AEGIS is used where it takes less than this share of the other's time. It opens packets in place, so that they
/// are copied first, and a busy machine pays more for that than a trial shows: with 0.58 here, whole copies were
/// as fast with either; with 0.42, a seventh faster.
const WORTHWHILE: f64 = 0.5;

/// The suite that seals packets fastest here. Receivers are taken to be machines of the same kind; any can open
/// both.
pub(super) fn fastest() -> Suite {
    // Once for all turns of a gather.
    static FASTEST: OnceLock<Suite> = OnceLock::new();
    *FASTEST.get_or_init(try_both)
}

fn try_both() -> Suite {
    let symbols = vec![0; PACKETS * BODY];
    let mut packets = vec![0; PACKETS * PACKET];
    let mut shortest = |suite| {
        let tries = (0..TRIES).map(|_| seal_all(suite, &symbols, &mut packets));
        tries.min().unwrap_or(Duration::MAX)
    };
    faster(shortest(Suite::Aes128Gcm), shortest(Suite::Aegis128L))
}

/// Which to use when they took so long.
fn faster(gcm: Duration, aegis: Duration) -> Suite {
    if aegis < gcm.mul_f64(WORTHWHILE) {
        Suite::Aegis128L
    } else {
        Suite::Aes128Gcm
    }
}

fn seal_all(suite: Suite, symbols: &[u8], packets: &mut [u8]) -> Duration {
    let key = SealKey::new(suite, &[0; KEY_LEN]);
    let begun = Instant::now();
    let packets = packets.chunks_exact_mut(PACKET);
    for (number, (symbol, packet)) in symbols.chunks_exact(BODY).zip(packets).enumerate() {
        key.seal(&[0; HEADER_LEN], Sequence(number as u64), symbol, packet);
    }
    begun.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aegis_must_be_twice_as_fast() {
        let micros = Duration::from_micros;
        assert_eq!(faster(micros(300), micros(140)), Suite::Aegis128L);
        assert_eq!(faster(micros(300), micros(160)), Suite::Aes128Gcm);
        assert_eq!(faster(micros(300), micros(400)), Suite::Aes128Gcm);
    }

    #[test]
    fn every_suite_seals_what_it_is_timed_with() {
        let symbols = vec![7; 2 * BODY];
        for suite in Suite::ALL {
            let mut packets = vec![0; 2 * PACKET];
            assert!(seal_all(suite, &symbols, &mut packets) > Duration::ZERO);
            for (number, packet) in packets.chunks_exact(PACKET).enumerate() {
                let mut body = [0; BODY];
                let key = SealKey::new(suite, &[0; KEY_LEN]);
                let opened = key.open(Sequence(number as u64), packet, &mut body);
                assert_eq!((opened, body), (Ok(()), [7; BODY]));
            }
        }
    }
}
