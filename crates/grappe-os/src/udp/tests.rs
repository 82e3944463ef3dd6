//! Both sockets together, on the loopback interface of a real kernel.
//!
//! Loopback carries trains whole, so what is tested here is the plumbing; links that cut, reorder and
//! lose belong to the namespace lab.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use super::*;

const SEGMENT: usize = 1_433;
const PATIENCE: Wait = Wait::UpTo(Duration::from_secs(2));
const SILENCE: Wait = Wait::UpTo(Duration::from_millis(50));

fn loopback() -> Interface {
    Interface::named("lo").unwrap()
}

/// A group of this test alone: the process and a counter choose address and port.
fn fresh_group() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [high, low] = (std::process::id() as u16).to_be_bytes();
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    SocketAddr::new(Ipv4Addr::new(239, 255, high, low).into(), 20_000 + next)
}

/// The same of IPv6, and an interface for it; `None` where there is none. The loopback interface has no
/// route for groups of IPv6. With a TTL of 0 nothing leaves this host all the same.
fn fresh_group_v6(scope: u16) -> Option<(Interface, SocketAddr)> {
    let is_fit = |interface: &Interface| interface.family() == Family::V6 && !interface.is_loopback;
    let Some(interface) = Interface::all().unwrap().into_iter().find(is_fit) else {
        println!("skipped: no IPv6 but on the loopback interface");
        return None;
    };
    let group = fresh_group();
    let id = u16::try_from(std::process::id() & 0xffff).unwrap();
    let address = Ipv6Addr::new(0xff10 | scope, 0, 0, 0, 0, 0, id, group.port());
    Some((interface, SocketAddr::new(address.into(), group.port())))
}

fn sender_on(interface: &Interface, group: SocketAddr) -> std::io::Result<MulticastSender> {
    MulticastSender::open(SenderOptions {
        interface,
        local_port: 0,
        group,
        ttl: 0,
        loopback: true,
        send_buffer: 1 << 20,
    })
}

fn sender_to(group: SocketAddr) -> MulticastSender {
    sender_on(&loopback(), group).unwrap()
}

fn receiver_of(group: SocketAddr, receive_buffer: usize) -> MulticastReceiver {
    MulticastReceiver::join(ReceiverOptions {
        interface: &loopback(),
        group,
        receive_buffer,
    })
    .unwrap()
}

/// Packets that each carry their own number, so that order and loss show.
fn numbered(packets: usize, last: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..packets)
        .flat_map(|packet| [packet as u8; SEGMENT])
        .collect();
    bytes.truncate((packets - 1) * SEGMENT + last);
    bytes
}

/// Reads until `length` bytes are there, asserting that every read is well formed.
fn read_all(receiver: &MulticastReceiver, length: usize) -> Vec<u8> {
    let mut buffer = vec![0; TRAIN_BYTES_MAX];
    let mut all = Vec::new();
    while all.len() < length {
        let train = receiver
            .receive_train(&mut buffer, PATIENCE)
            .unwrap()
            .expect("a train");
        assert!(!train.truncated);
        assert!(train.segment_size == SEGMENT || train.len == train.segment_size);
        all.extend_from_slice(&buffer[..train.len]);
    }
    all
}

#[test]
fn a_train_arrives_whole_and_in_order() {
    let group = fresh_group();
    let (receiver, sender) = (receiver_of(group, 1 << 20), sender_to(group));
    let bytes = numbered(44, 100);
    assert_eq!(
        sender.send_train(&bytes, SEGMENT).unwrap(),
        SendOutcome::Sent { packets: 44 }
    );

    let mut buffer = vec![0; TRAIN_BYTES_MAX];
    let train = receiver
        .receive_train(&mut buffer, PATIENCE)
        .unwrap()
        .unwrap();
    assert_eq!(buffer[..train.len], bytes);
    assert_eq!(train.segment_size, SEGMENT);
    assert_eq!(
        train.source,
        SocketAddr::new(Ipv4Addr::LOCALHOST.into(), sender.local_port())
    );
    assert_eq!((train.truncated, train.dropped_total), (false, 0));
    assert!(receiver.gro_active() && sender.gso_active());
}

#[test]
fn without_segmentation_the_same_packets_arrive_one_by_one() {
    let group = fresh_group();
    let (receiver, sender) = (receiver_of(group, 1 << 20), sender_to(group));
    sender.disable_gso();
    let bytes = numbered(44, 7);
    assert_eq!(
        sender.send_train(&bytes, SEGMENT).unwrap(),
        SendOutcome::Sent { packets: 44 }
    );
    assert_eq!(read_all(&receiver, bytes.len()), bytes);
    assert!(!sender.gso_active());
}

#[test]
fn trains_travel_over_ipv6_whatever_the_scope_of_the_group() {
    /// Fits the least MTU that IPv6 allows.
    const SEGMENT_V6: usize = 1_232;

    for scope in [1, 2, 5] {
        let Some((interface, group)) = fresh_group_v6(scope) else {
            return;
        };
        let sender = sender_on(&interface, group).unwrap();
        let receiver = MulticastReceiver::join(ReceiverOptions {
            interface: &interface,
            group,
            receive_buffer: 1 << 20,
        })
        .unwrap();
        let bytes = vec![7; 40 * SEGMENT_V6];
        let mut buffer = vec![0; TRAIN_BYTES_MAX];
        for by in ["trains", "packets"] {
            let _ = sender.send_train(&bytes, SEGMENT_V6).unwrap();
            let mut arrived = 0;
            while arrived < bytes.len() {
                let train = receiver.receive_train(&mut buffer, PATIENCE).unwrap();
                let train = train.unwrap_or_else(|| panic!("{by} of scope {scope} arrive"));
                assert_eq!(train.segment_size, SEGMENT_V6);
                assert_eq!(train.source.ip(), interface.address);
                assert_eq!(train.source.port(), sender.local_port());
                arrived += train.len;
            }
            receiver.rejoin().unwrap();
            sender.disable_gso();
        }
        let peer = UdpSocket::bind(interface.socket_address(0)).unwrap();
        peer.send_to(b"report", interface.socket_address(sender.local_port()))
            .unwrap();
        let reply = sender.recv_from(&mut [0; 100], Duration::from_secs(2));
        assert_eq!(
            reply.unwrap().unwrap().1.port(),
            peer.local_addr().unwrap().port()
        );
    }
}

#[test]
fn a_group_of_the_other_version_is_refused() {
    let Some((six, group)) = fresh_group_v6(5) else {
        return;
    };
    for (interface, group) in [(loopback(), group), (six, fresh_group())] {
        let error = sender_on(&interface, group).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}

#[test]
fn a_short_buffer_says_that_it_cut() {
    let group = fresh_group();
    let (receiver, sender) = (receiver_of(group, 1 << 20), sender_to(group));
    let _ = sender.send_train(&[7; 1_000], SEGMENT).unwrap();
    let train = receiver
        .receive_train(&mut [0; 999], PATIENCE)
        .unwrap()
        .unwrap();
    assert_eq!((train.len, train.truncated), (999, true));
}

#[test]
fn two_receivers_on_one_port_both_hear_everything() {
    let group = fresh_group();
    let receivers = [receiver_of(group, 1 << 20), receiver_of(group, 1 << 20)];
    let bytes = numbered(20, SEGMENT);
    let _ = sender_to(group).send_train(&bytes, SEGMENT).unwrap();
    for receiver in &receivers {
        assert_eq!(read_all(receiver, bytes.len()), bytes);
    }
}

#[test]
fn another_group_on_the_same_port_hears_nothing() {
    let group = fresh_group();
    let other = SocketAddr::new(Ipv4Addr::new(239, 254, 1, 1).into(), group.port());
    let (receiver, stranger) = (receiver_of(group, 1 << 20), receiver_of(other, 1 << 20));
    let _ = sender_to(group).send_train(&[1; 10], 10).unwrap();
    let mut buffer = [0; 100];
    assert!(
        receiver
            .receive_train(&mut buffer, PATIENCE)
            .unwrap()
            .is_some()
    );
    assert_eq!(stranger.receive_train(&mut buffer, SILENCE).unwrap(), None);
    assert_eq!(
        stranger.receive_train(&mut buffer, Wait::Now).unwrap(),
        None
    );
}

#[test]
fn rejoining_keeps_the_group() {
    let group = fresh_group();
    let (receiver, sender) = (receiver_of(group, 1 << 20), sender_to(group));
    receiver.rejoin().unwrap();
    let _ = sender.send_train(&[2; 20], 20).unwrap();
    assert!(
        receiver
            .receive_train(&mut [0; 100], PATIENCE)
            .unwrap()
            .is_some()
    );
}

#[test]
fn a_unicast_reply_reaches_the_sender_while_another_thread_sends() {
    let group = fresh_group();
    let sender = sender_to(group);
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut buffer = [0; 100];
            let reply = sender
                .recv_from(&mut buffer, Duration::from_secs(2))
                .unwrap();
            reply.map(|(length, source)| (buffer[..length].to_vec(), source.port()))
        });
        let _ = sender.send_train(&[1; 10], 10).unwrap();
        peer.send_to(b"report", (Ipv4Addr::LOCALHOST, sender.local_port()))
            .unwrap();
        let port = peer.local_addr().unwrap().port();
        assert_eq!(waiting.join().unwrap(), Some((b"report".to_vec(), port)));
    });
    assert_eq!(
        sender
            .recv_from(&mut [0; 10], Duration::from_millis(20))
            .unwrap(),
        None
    );
}

#[test]
fn drops_are_counted_when_nobody_reads() {
    let group = fresh_group();
    let (receiver, sender) = (receiver_of(group, 16 << 10), sender_to(group));
    assert!(receiver.receive_buffer_bytes().unwrap() <= 64 << 10);
    for _ in 0..200 {
        let _ = sender.send_train(&[1; 1_000], 1_000).unwrap();
    }
    let mut buffer = [0; 2_000];
    while receiver
        .receive_train(&mut buffer, Wait::Now)
        .unwrap()
        .is_some()
    {}
    let _ = sender.send_train(&[2; 10], 10).unwrap();
    let train = receiver
        .receive_train(&mut buffer, PATIENCE)
        .unwrap()
        .unwrap();
    assert!(
        train.dropped_total > 0 && train.dropped_total < 200,
        "{train:?}"
    );
}

#[test]
fn a_dead_port_breaks_neither_sending_nor_hearing() {
    let group = fresh_group();
    let (receiver, sender) = (receiver_of(group, 1 << 20), sender_to(group));
    let dead = {
        let gone = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        SocketAddr::new(
            Ipv4Addr::LOCALHOST.into(),
            gone.local_addr().unwrap().port(),
        )
    };
    let bytes = numbered(30, SEGMENT);
    let live = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    for _ in 0..20 {
        // Each of these provokes an ICMP error that the next call on the socket is handed.
        assert_eq!(
            sender.send_to(b"?", dead).unwrap(),
            SendOutcome::Sent { packets: 1 }
        );
        assert_eq!(
            sender.send_train(&bytes, SEGMENT).unwrap(),
            SendOutcome::Sent { packets: 30 }
        );
        assert_eq!(read_all(&receiver, bytes.len()), bytes);

        let _ = sender.send_to(b"?", dead).unwrap();
        live.send_to(b"ok", (Ipv4Addr::LOCALHOST, sender.local_port()))
            .unwrap();
        let reply = sender
            .recv_from(&mut [0; 10], Duration::from_secs(2))
            .unwrap();
        assert_eq!(reply.map(|(length, _)| length), Some(2));
    }
    let _ = sender.send_to(b"?", dead).unwrap();
    assert_eq!(
        sender
            .recv_from(&mut [0; 10], Duration::from_millis(20))
            .unwrap(),
        None
    );
    assert!(sender.gso_active());
}

#[test]
fn what_cannot_be_sent_is_refused_before_the_kernel_sees_it() {
    let group = fresh_group();
    let sender = sender_to(group);
    for (bytes, segment) in [
        (10, 0),
        (65, 1),
        (TRAIN_BYTES_MAX + 1, 2_000),
        (66_000, 66_000),
    ] {
        let error = sender.send_train(&vec![0; bytes], segment).unwrap_err();
        assert_eq!(
            error.kind(),
            std::io::ErrorKind::InvalidInput,
            "{bytes} by {segment}"
        );
    }
    assert_eq!(
        sender.send_train(&[], 10).unwrap(),
        SendOutcome::Sent { packets: 0 }
    );
    assert!(sender.gso_active());

    let unicast = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9);
    let options = ReceiverOptions {
        interface: &loopback(),
        group: unicast,
        receive_buffer: 1 << 16,
    };
    assert!(MulticastReceiver::join(options).is_err());
}

#[test]
fn the_largest_trains_arrive() {
    let group = fresh_group();
    let (receiver, sender) = (receiver_of(group, 1 << 20), sender_to(group));
    let mut buffer = vec![0; TRAIN_BYTES_MAX];
    // Joined, the second would be larger than `gso_max_size` with its headers, so the kernel cuts it.
    for (length, segment, first) in [
        (64 * 1_000, 1_000, 64 * 1_000),
        (TRAIN_BYTES_MAX, 1_433, 1_433),
        (TRAIN_BYTES_MAX, TRAIN_BYTES_MAX, TRAIN_BYTES_MAX),
    ] {
        let sent = sender.send_train(&vec![5; length], segment).unwrap();
        assert!(matches!(sent, SendOutcome::Sent { .. }));
        let mut total = 0;
        while total < length {
            let train = receiver
                .receive_train(&mut buffer, PATIENCE)
                .unwrap()
                .unwrap();
            assert!(total > 0 || train.len == first);
            total += train.len;
        }
        assert_eq!(total, length);
    }
}

#[test]
fn a_queue_that_never_has_room_refuses_and_does_not_hold_the_caller() {
    let sender = sender_to(fresh_group());
    let wait = sender.room_wait().expect("a deadline for one call");
    assert!(!wait.is_zero() && wait <= Duration::from_millis(200));

    let calls = AtomicU16::new(0);
    let outcome = sender.attempt_against(|| {
        calls.fetch_add(1, Ordering::Relaxed);
        rustix::io::Errno::AGAIN
    });
    assert_eq!(outcome.unwrap(), None);
    assert!(calls.load(Ordering::Relaxed) <= 8);
}

#[test]
fn replies_come_to_the_port_that_was_asked_for() {
    let free = sender_to(fresh_group()).local_port();
    let (interface, group) = (loopback(), fresh_group());
    let options = SenderOptions {
        interface: &interface,
        local_port: free,
        group,
        ttl: 0,
        loopback: true,
        send_buffer: 1 << 20,
    };
    let sender = MulticastSender::open(options).unwrap();
    assert_eq!(sender.local_port(), free);
    let taken = MulticastSender::open(options).unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);
}
