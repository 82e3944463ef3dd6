//! The ring with an ear that answers as a test wants.

use super::*;
use crate::receive::Notice;
use crate::receive::notes;
use flume::unbounded;
use grappe_proto::units::SessionId;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::sync::mpsc::error::TryRecvError;

/// Answers these, and then that there is nothing; ends the ring when all are given.
struct Script<'a> {
    ring: &'a Ring,
    answers: Mutex<VecDeque<io::Result<&'static [u8]>>>,
    rejoined: AtomicUsize,
}

impl Ear for Script<'_> {
    fn receive_train(&self, buffer: &mut [u8], _wait: Wait) -> io::Result<Option<Train>> {
        let Some(answer) = self.answers.lock().unwrap().pop_front() else {
            self.ring.stop();
            return Ok(None);
        };
        let packet = answer?;
        buffer[..packet.len()].copy_from_slice(packet);
        Ok(Some(Train {
            len: packet.len(),
            segment_size: packet.len(),
            source: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 1),
            truncated: false,
            dropped_total: 0,
            waited: Duration::ZERO,
        }))
    }

    fn leave(&self) -> io::Result<()> {
        Ok(())
    }

    fn rejoin(&self) -> io::Result<()> {
        self.rejoined.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn an_interface_that_is_down_for_a_moment_ends_nothing_and_is_told_once() {
    let ring = Ring::new();
    let down = || Err(Errno::NETDOWN.into());
    let answers = [Ok(&b"one"[..]), down(), down(), down(), Ok(b"two")];
    let script = Script {
        ring: &ring,
        answers: Mutex::new(answers.into()),
        rejoined: AtomicUsize::new(0),
    };
    let (teller, mut told) = notes::channel();
    let (out, chunks) = unbounded();
    let notes = teller.of(SessionId([1; 16]));
    fill(&ring, &script, false, &notes, &out, &|chunk| chunk).unwrap();
    drop(out);
    let mut packets = Vec::new();
    for chunk in chunks {
        packets.extend(chunk.unwrap().packets().map(|(packet, _)| sealed(&packet)));
    }
    assert_eq!(packets, [b"one", b"two"]);
    assert_eq!(script.rejoined.load(Ordering::Relaxed), 3);
    let Ok(Notice::Note(text)) = told.try_recv() else {
        panic!("it was told");
    };
    assert!(text.contains("cannot hear the group"), "{text}");
    assert_eq!(told.try_recv().err(), Some(TryRecvError::Empty));
}

/// A socket that never hears anything again.
struct Deaf;

impl Ear for Deaf {
    fn receive_train(&self, _buffer: &mut [u8], _wait: Wait) -> io::Result<Option<Train>> {
        Err(Errno::NETDOWN.into())
    }

    fn leave(&self) -> io::Result<()> {
        Ok(())
    }

    fn rejoin(&self) -> io::Result<()> {
        Err(Errno::NODEV.into())
    }
}

#[test]
fn an_interface_that_stays_away_ends_the_ring_with_the_reason() {
    let (teller, _told) = notes::channel();
    let (out, _chunks) = unbounded();
    let notes = teller.of(SessionId([1; 16]));
    let began = Instant::now();
    let error = fill(&Ring::new(), &Deaf, false, &notes, &out, &|chunk| chunk).unwrap_err();
    assert_eq!(Errno::from_io_error(&error), Some(Errno::NODEV));
    assert!(began.elapsed() >= OUTAGE_MAX);
}

/// A socket to which nothing comes; it ends the ring when its group is left.
struct Silent<'a>(&'a Ring);

impl Ear for Silent<'_> {
    fn receive_train(&self, _buffer: &mut [u8], _wait: Wait) -> io::Result<Option<Train>> {
        // As if the sender's word came by the control connection meanwhile.
        self.0.hear(false);
        Ok(None)
    }

    fn leave(&self) -> io::Result<()> {
        self.0.stop();
        Ok(())
    }

    fn rejoin(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_group_is_left_of_which_nothing_is_heard() {
    let (teller, _told) = notes::channel();
    let (out, _chunks) = unbounded();
    let notes = teller.of(SessionId([1; 16]));
    let ring = Ring::new();
    // Ends, or the test does not.
    fill(&ring, &Silent(&ring), false, &notes, &out, &|chunk| chunk).unwrap();
}

#[test]
fn packets_gather_for_longer_where_they_come_slowly() {
    let began = Instant::now();
    let mut pace = Pace::new(began);
    let mut pauses = Vec::new();
    for (millis, bytes) in [
        (1, 20_000),
        (3, 20_000),
        (7, 20_000),
        (8, 20_000),
        (9, 200_000),
    ] {
        let now = began + Duration::from_millis(millis);
        pauses.push(pace.pause(bytes, false, now, GATHER_MOST));
    }
    assert!(pauses[..3].is_sorted(), "they come slowly: {pauses:?}");
    assert!(pauses[2] > GATHER, "{pauses:?}");
    assert!(
        pauses[2..].is_sorted_by(|one, next| one >= next),
        "and then faster: {pauses:?}"
    );
    assert!(pauses[4] < pauses[2], "{pauses:?}");
    // One packet in 16 ms, again and again.
    let mut now = began + Duration::from_millis(9);
    let slow = (0..8).map(|_| {
        now += Duration::from_millis(16);
        pace.pause(1_500, false, now, GATHER_MOST)
    });
    assert_eq!(slow.last(), Some(GATHER_MOST));
    let more_waits = pace.pause(200_000, true, now + Duration::from_millis(1), GATHER_MOST);
    assert_eq!(more_waits, Duration::ZERO);
}

fn sealed(packet: &Packet<'_>) -> Vec<u8> {
    match packet {
        Packet::Sealed(packet) => packet.to_vec(),
        Packet::Opened(..) => panic!("nobody opened it"),
    }
}
