//! The port that a sender is told to use, so that a firewall can be opened for it.

use std::net::{TcpListener, TcpStream, UdpSocket};

use crate::program::{Running, node};
use crate::stage::Stage;

/// A port that is free for TCP and UDP, most likely still when it is used.
fn free_port() -> u16 {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

#[test]
fn a_copy_goes_by_the_port_that_was_asked_for_and_another_cannot_have_it() {
    let stage = Stage::new();
    let file = stage.file("data", vec![7; 3 << 20]);
    let port = free_port().to_string();
    let send = |count: usize| {
        let mut command = stage.send_to(count, &[&file]);
        command.args(["--control-port", &port]);
        command
    };
    let sending = Running::start(&mut send(1));
    sending.wait_for("waiting up to");
    TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
    let taken = UdpSocket::bind(("127.0.0.1", port.parse().unwrap())).unwrap_err();
    assert_eq!(taken.kind(), std::io::ErrorKind::AddrInUse);

    Running::start(&mut send(1))
        .end()
        .with_code(2)
        .saying(&format!("port {port} of 127.0.0.1 is in use"));

    let _receiver = stage.receiver("node");
    let report = sending.end().with_code(0).report();
    assert_eq!(node(&report, "node")["state"], "complete");

    // At once again, although connections of the first copy may linger.
    let report = Running::start(&mut send(1)).end().with_code(0).report();
    assert_eq!(node(&report, "node")["state"], "complete");
}
