//! Packets of strangers, and trusted announcements that lead nowhere: the receiver outlives them all.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use grappe::network::ANNOUNCE_GROUP;
use grappe::trust::Identity;
use grappe_proto::units::SessionId;
use grappe_proto::wire::announce::Announcement;
use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::program::{PATIENCE, Running};
use crate::stage::Stage;
use crate::tree::{assert_same, noise};

/// A stranger on the loopback interface.
struct Stranger {
    socket: UdpSocket,
    port: u16,
}

impl Stranger {
    fn new(stage: &Stage) -> Self {
        Self::at(Ipv4Addr::LOCALHOST, stage)
    }

    /// One that sends from `address`.
    fn at(address: Ipv4Addr, stage: &Stage) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        socket
            .bind(&SocketAddrV4::new(address, 0).into())
            .expect("an address of this host");
        socket
            .set_multicast_if_v4(&Ipv4Addr::LOCALHOST)
            .expect("loopback has multicast");
        socket
            .set_multicast_ttl_v4(0)
            .expect("packets may stay here");
        Self {
            socket: socket.into(),
            port: stage.port,
        }
    }

    /// Sends `packet` to the group of announcements and to the node itself.
    fn send(&self, packet: &[u8]) {
        for address in [ANNOUNCE_GROUP, Ipv4Addr::LOCALHOST] {
            self.socket
                .send_to(packet, (address, self.port))
                .expect("it leaves");
        }
    }
}

/// An announcement that `identity` signed.
fn announcement(identity: &Identity, session: u8, control_port: u16) -> Vec<u8> {
    let sender = *identity.public().as_bytes();
    let session = SessionId([session; 16]);
    let mut packet = Announcement {
        call: grappe_proto::wire::announce::Call::Copy,
        session,
        sender,
        control_port,
        unix_seconds: 0,
    }
    .emit_signed_part();
    let signature = identity.sign(&packet);
    packet.extend_from_slice(&signature);
    packet
}

#[test]
fn an_announcement_of_another_version_is_told_once() {
    let stage = Stage::new();
    let receiver = Running::start(stage.receive("node").arg("--events"));
    receiver.wait_for("receiving into");
    let stranger = Stranger::new(&stage);
    let version = grappe_proto::limits::PROTOCOL_VERSION + 1;
    let identity = Identity::load(&stage.path("key")).unwrap();
    let mut packet = announcement(&identity, 1, 4_000);
    packet[4..6].copy_from_slice(&version.to_be_bytes());
    for _ in 0..10 {
        stranger.send(&packet);
    }
    receiver.wait_for(&format!(
        "ignored: 127.0.0.1 announces with version {version} of the protocol"
    ));
    receiver.signal(Signal::TERM);
    let ended = receiver.end().with_code(0);
    assert_eq!(
        ended.errors.matches("ignored").count(),
        1,
        "{}",
        ended.errors
    );
    assert_eq!(ended.output.matches(r#""other-version""#).count(), 1);
}

#[test]
fn a_receiver_outlives_the_packets_of_strangers() {
    let stage = Stage::new();
    let file = stage.file("data", noise(1, 400_000));
    let receiver = stage.receiver("node");
    let stranger = Stranger::new(&stage);
    let identity = Identity::load(&stage.path("key")).unwrap();
    let genuine = announcement(&identity, 1, 9);
    for number in 0..200 {
        stranger.send(&noise(number, number as usize * 37 % 1400));
    }
    for len in [8_000, 20_000, 65_000] {
        stranger.send(&noise(len, len as usize));
    }
    for len in 0..genuine.len() {
        stranger.send(&genuine[..len]);
    }
    for byte in 0..genuine.len() {
        let mut forged = genuine.clone();
        forged[byte] ^= 0x10;
        stranger.send(&forged);
    }
    let longer = [&genuine[..], &[0]].concat();
    stranger.send(&longer);
    Running::start(&mut stage.send_to(1, &[&file]))
        .end()
        .with_code(0);
    assert_same(&file, &stage.path("node/data"));
    let said = receiver.said();
    assert_eq!(
        said.matches("joining").count(),
        1,
        "only the true copy was joined:\n{said}"
    );
}

#[test]
fn an_untrusted_announcement_is_told_once() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let receiver = stage.receiver("node");
    let stranger = Stranger::new(&stage);
    let identity = Identity::generate("stranger").unwrap();
    for session in 0..20 {
        stranger.send(&announcement(&identity, session, 9));
    }
    Running::start(&mut stage.send_to(1, &[&file]))
        .end()
        .with_code(0);
    let said = receiver.said();
    assert_eq!(said.matches("is not trusted to send").count(), 1, "{said}");
}

#[test]
fn announcements_of_copies_that_are_not_there_do_no_harm() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let receiver = stage.receiver("node");
    let identity = Identity::load(&stage.path("key")).unwrap();
    let stranger = Stranger::new(&stage);
    for session in 0..40 {
        // Nobody listens at this port; a replayed announcement looks like this.
        stranger.send(&announcement(&identity, session, 9));
    }
    receiver.wait_for("the copy ended at the sender");
    Running::start(&mut stage.send_to(1, &[&file]))
        .end()
        .with_code(0);
    assert_same(&file, &stage.path("node/data"));
}

#[test]
fn a_receiver_that_waits_for_a_mute_sender_still_ends_promptly() {
    let stage = Stage::new();
    let receiver = stage.receiver("node");
    let identity = Identity::load(&stage.path("key")).unwrap();
    let mute = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    Stranger::new(&stage).send(&announcement(
        &identity,
        1,
        mute.local_addr().unwrap().port(),
    ));
    let (_connection, _address) = mute.accept().unwrap();
    receiver.signal(Signal::TERM);
    receiver.end_within(Duration::from_secs(3)).with_code(0);
}

#[test]
fn a_repeated_announcement_does_not_keep_a_receiver_from_the_true_sender() {
    let stage = Stage::new();
    let elsewhere = Ipv4Addr::new(127, 0, 0, 2);
    let mute = TcpListener::bind((elsewhere, 0)).unwrap();
    let port = mute.local_addr().unwrap().port();
    let sender = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    sender.set_nonblocking(true).unwrap();
    let identity = Identity::load(&stage.path("key")).unwrap();
    let packet = announcement(&identity, 1, port);
    let _receiver = stage.receiver("node");
    Stranger::at(elsewhere, &stage).send(&packet);
    let _hanging = mute.accept().unwrap();
    Stranger::new(&stage).send(&packet);
    let deadline = Instant::now() + PATIENCE;
    while sender.accept().is_err() {
        assert!(
            Instant::now() < deadline,
            "the receiver comes to the sender"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn mute_connections_do_not_keep_a_sender_from_its_receivers() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, stage.port)).unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    let sender =
        Running::start(
            stage
                .send(&[&file])
                .args(["--to", "localhost,node", "--wait", "8s"]),
        );
    // The sender also announces to the nodes themselves, where this test listens.
    let mut packet = [0; 256];
    let (len, address) = stranger.recv_from(&mut packet).unwrap();
    let (heard, _, _) = Announcement::read(&packet[..len]).unwrap();
    drop(stranger);
    let connect = || std::net::TcpStream::connect((address.ip(), heard.control_port)).unwrap();
    let _mute: Vec<std::net::TcpStream> = (0..50).map(|_| connect()).collect();
    let _receiver = stage.receiver("node");
    sender.wait_for("complete: node");
    sender.end().with_code(1);
}
