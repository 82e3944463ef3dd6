//! Chunks that are opened ahead, or not, or just now.

use super::*;
use crate::receive::ring::Packet;
use grappe_proto::seal::{SealKey, Suite};
use grappe_proto::units::{BlockIndex, Sequence, SymbolIndex};
use grappe_proto::wire::data::{HEADER_LEN, Header, Kind, TAG_LEN};
use std::time::{Duration, Instant};

const TAG: u32 = 5;
const SYMBOL_SIZE: u16 = 16;

fn key() -> SealKey {
    SealKey::new(Suite::Aes128Gcm, &[3; 16])
}

fn opener() -> Opener {
    Opener::new(key(), TAG, SYMBOL_SIZE)
}

fn header(kind: Kind, number: u64) -> Header {
    Header {
        kind,
        symbol: SymbolIndex(0),
        tag: TAG,
        block: BlockIndex(1),
        sequence: Sequence(number),
    }
}

fn packet(kind: Kind, number: u64) -> Vec<u8> {
    let body = [number as u8; SYMBOL_SIZE as usize];
    let mut packet = vec![0; HEADER_LEN + body.len() + TAG_LEN];
    let header = header(kind, number).emit();
    key().seal(&header, Sequence(number), &body, &mut packet);
    packet
}

/// The numbers of the data packets in a chunk that were opened, which hold what was sealed.
fn opened(chunk: &Chunk) -> Vec<u64> {
    let opened = chunk.packets().filter_map(|(packet, _)| match packet {
        Packet::Opened(header, symbols) => {
            let number = header.sequence.0;
            assert_eq!(symbols, [number as u8; SYMBOL_SIZE as usize]);
            Some(number)
        }
        Packet::Sealed(_) => None,
    });
    opened.collect()
}

/// The parcel's chunk, once a helper is done with it.
fn after_help(parcel: &Parcel) -> Chunk {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let is_opened = |chunk: &Chunk| !opened(chunk).is_empty();
        if parcel.lock().as_ref().is_some_and(is_opened) {
            return parcel.take().unwrap();
        }
        assert!(Instant::now() < deadline, "nobody helped");
        thread::yield_now();
    }
}

#[test]
fn data_packets_are_opened_and_forged_ones_are_gone_and_others_stay_in_their_order() {
    let mut forged = packet(Kind::Data, 2);
    forged[HEADER_LEN + 1] ^= 1;
    let (beat, foreign) = (packet(Kind::Beat, 3), vec![1; 50]);
    let packets = [
        packet(Kind::Data, 1),
        forged,
        beat.clone(),
        foreign.clone(),
        packet(Kind::Data, 4),
    ];
    let mut chunk = Chunk::of(&packets);
    let before: Vec<_> = chunk.packets().map(|(packet, _)| packet).collect();
    let sealed: Vec<_> = packets.iter().map(|it| Packet::Sealed(it)).collect();
    assert_eq!(before, sealed);
    chunk.open(&opener(), &AtomicBool::new(false));
    let after: Vec<_> = chunk.packets().map(|(packet, _)| packet).collect();
    let first = [1; SYMBOL_SIZE as usize];
    let last = [4; SYMBOL_SIZE as usize];
    let wanted = [
        Packet::Opened(header(Kind::Data, 1), &first),
        Packet::Sealed(&beat),
        Packet::Sealed(&foreign),
        Packet::Opened(header(Kind::Data, 4), &last),
    ];
    assert_eq!(after, wanted);
    chunk.open(&opener(), &AtomicBool::new(false));
    let again: Vec<_> = chunk.packets().map(|(packet, _)| packet).collect();
    assert_eq!(again, wanted, "what is open stays open");
}

#[test]
fn a_chunk_that_is_waited_for_is_left_as_far_as_it_was_opened() {
    let packets: Vec<_> = (1..=3).map(|number| packet(Kind::Data, number)).collect();
    let mut chunk = Chunk::of(&packets);
    chunk.open(&opener(), &AtomicBool::new(true));
    assert!(opened(&chunk).is_empty());
    let parcel = Parcel::new(chunk, &opener());
    parcel.open();
    let chunk = parcel.take().unwrap();
    assert_eq!(opened(&chunk), [1, 2, 3]);
    parcel.open();
    assert!(parcel.take().is_none());
}

#[test]
fn several_symbols_of_a_packet_are_opened_together() {
    let body = [7; 3 * SYMBOL_SIZE as usize];
    let mut packet = vec![0; HEADER_LEN + body.len() + TAG_LEN];
    let header = header(Kind::Data, 9);
    key().seal(&header.emit(), Sequence(9), &body, &mut packet);
    let mut chunk = Chunk::of(&[packet]);
    chunk.open(&opener(), &AtomicBool::new(false));
    let opened: Vec<_> = chunk.packets().map(|(packet, _)| packet).collect();
    assert_eq!(opened, [Packet::Opened(header, &body)]);
}

#[test]
fn helpers_open_what_waits_and_nothing_that_is_taken_in_at_once() {
    let ahead = Ahead::start(8).unwrap();
    let opener = opener();
    let chunk = |number| Chunk::of(&[packet(Kind::Data, number)]);
    let waits: Vec<_> = (1..=20)
        .map(|number| ahead.wrap(chunk(number), &opener, WAITING_MIN))
        .collect();
    for (number, parcel) in (1..).zip(&waits) {
        assert_eq!(opened(&after_help(parcel)), [number]);
        assert!(parcel.take().is_none(), "it is taken once");
    }
    let at_once = ahead.wrap(chunk(1), &opener, WAITING_MIN - 1);
    assert!(ahead.offers.lock().parcels.is_empty(), "nobody was called");
    assert!(opened(&at_once.take().unwrap()).is_empty());
    let offers = Arc::downgrade(&ahead.offers);
    drop(ahead);
    let deadline = Instant::now() + Duration::from_secs(60);
    while offers.strong_count() > 0 {
        assert!(Instant::now() < deadline, "helpers end");
        thread::yield_now();
    }
}

#[test]
fn without_helpers_nothing_is_kept_for_them() {
    let ahead = Ahead::start(2).unwrap();
    let parcel = ahead.wrap(Chunk::of(&[packet(Kind::Data, 1)]), &opener(), CHUNKS);
    assert!(ahead.offers.lock().parcels.is_empty());
    assert!(opened(&parcel.take().unwrap()).is_empty());
}

#[test]
fn helpers_that_lag_do_not_pile_up_what_was_taken_without_them() {
    let offers = Offers::default();
    for _ in 0..2 * CHUNKS {
        offers.offer(Arc::new(Parcel::new(Chunk::of(&[]), &opener())));
    }
    assert_eq!(offers.lock().parcels.len(), CHUNKS);
}

#[test]
fn few_processors_are_not_shared_out() {
    assert_eq!([1, 2, 3].map(helpers), [0; 3]);
    assert_eq!([4, 8, 16, 128].map(helpers), [1, 2, 4, 4]);
}
