//! What a service manager hears of the daemon (`sd_notify(3)`), and the end with whoever started it.

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::program::{PATIENCE, Running};
use crate::stage::{Stage, by_shell, listening};

#[test]
fn a_service_manager_hears_when_the_receiver_is_ready_and_when_it_stops() {
    let stage = Stage::new();
    let socket = UnixDatagram::bind(stage.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut message = [0; 256];
        let len = socket.recv(&mut message).unwrap();
        String::from_utf8_lossy(&message[..len]).into_owned()
    };
    let receiver = listening(
        stage
            .receive("node")
            .env("NOTIFY_SOCKET", stage.path("notify")),
    );
    assert!(hear().lines().any(|line| line == "READY=1"));
    receiver.signal(Signal::TERM);
    assert!(hear().lines().any(|line| line == "STOPPING=1"));
    receiver.end().with_code(0);
}

#[test]
fn a_receiver_that_cannot_start_does_not_say_that_it_is_ready() {
    let stage = Stage::new();
    let socket = UnixDatagram::bind(stage.path("notify")).unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut command = stage.receive_into(&stage.path("missing"), "node", &stage.path("key"));
    Running::start(command.env("NOTIFY_SOCKET", stage.path("notify")))
        .end()
        .with_code(2);
    assert_eq!(
        socket.recv(&mut [0; 256]).map_err(|error| error.kind()),
        Err(ErrorKind::WouldBlock)
    );
}

#[test]
fn a_terminal_that_goes_away_asks_for_an_orderly_end() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    let receiver = listening(&mut stage.receive("node"));
    let sender = Running::start(stage.send(&[&file]).args(["--wait", "1h", "--expect", "9"]));
    sender.wait_for("joined: node");
    sender.signal(Signal::HUP);
    sender.end().with_code(1).saying("stopped by SIGHUP");
    // The shell and the kernel both tell of it: a second time means no haste.
    receiver.signal(Signal::HUP);
    receiver.signal(Signal::HUP);
    receiver.end().with_code(0);
}

#[test]
fn what_is_to_outlive_its_terminal_does() {
    let stage = Stage::new();
    let ignoring = r#"trap "" HUP; exec "$0" "$@""#;
    let mut receiver = listening(&mut by_shell(ignoring, &stage.receive("node")));
    receiver.signal(Signal::HUP);
    thread::sleep(Duration::from_millis(300));
    assert!(receiver.is_running(), "{}", receiver.said());
    receiver.signal(Signal::TERM);
    receiver.end().with_code(0);
}

#[test]
fn the_end_of_standard_input_ends_those_that_hold_on_to_it() {
    let stage = Stage::new();
    let file = stage.file("data", b"content");
    // Tests start programs with an input that is at its end.
    Running::start(stage.receive("node").arg("--until-eof"))
        .end()
        .with_code(0);
    Running::start(stage.send(&[&file]).args(["--until-eof", "--wait", "1h"]))
        .end()
        .with_code(1)
        .saying("stopped by the end of standard input");
}
