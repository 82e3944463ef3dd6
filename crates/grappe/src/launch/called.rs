//! The started side: says hello on standard output, takes its call from standard input, and watches
//! that input from then on. Its end, or its silence, is the end of whoever launched this.
//!
//! Not here: what a receiver does with its call (`receive`, and the program's `launched`).

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use tokio::sync::mpsc;

use super::words::{Call, Down, Hello, LINE_BYTES_MAX, Up};
use crate::announce::Heard;

/// A launcher that is silent for so long is gone; it says that it is there every five seconds.
pub const ORPHANED_AFTER: Duration = Duration::from_secs(30);

/// Sessions that wait to be taken part in.
const SESSIONS_MAX: usize = 64;

/// Why no call came.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Whoever started this is gone, or is no launcher.
    #[error("{0}: this is started by `grappe send --launch`, not by hand")]
    NoLauncher(String),
    /// A pipe or a thread was refused by the kernel.
    #[error("cannot talk to the launcher: {0}")]
    System(#[from] io::Error),
}

/// A call, and what comes after it.
#[derive(Debug)]
pub struct Called {
    /// What to be and do.
    pub call: Call,
    /// The sessions to take part in.
    pub sessions: mpsc::Receiver<Heard>,
}

/// Says hello to the launcher and waits for its call. From then on a thread reads `input`, and calls
/// `orphaned` once with the reason when the launcher is gone.
///
/// # Errors
///
/// When there is none.
pub fn answer(
    hello: Hello,
    input: impl Read + AsFd + Send + 'static,
    output: &mut impl Write,
    orphaned: impl FnOnce(&str) + Send + 'static,
) -> Result<Called, CallError> {
    output.write_all(Up::Hello(hello).line().as_bytes())?;
    output.flush()?;
    let mut input = Input {
        input,
        buffer: Vec::new(),
    };
    let Down::Call(call) = input.next().map_err(CallError::NoLauncher)? else {
        return Err(CallError::NoLauncher("the first line is no call".into()));
    };
    let (calling, sessions) = mpsc::channel(SESSIONS_MAX);
    thread::Builder::new().name("input".into()).spawn(move || {
        let reason = loop {
            match input.next() {
                Ok(Down::Session(session)) => {
                    let _full = calling.try_send(session.heard());
                }
                Ok(Down::Alive) => {}
                Ok(Down::Call(_)) => break "it calls twice".to_owned(),
                Err(reason) => break reason,
            }
        };
        orphaned(&reason);
    })?;
    Ok(Called { call, sessions })
}

/// Lines down, each within [`ORPHANED_AFTER`].
struct Input<R> {
    input: R,
    buffer: Vec<u8>,
}

impl<R: Read + AsFd> Input<R> {
    /// The next line, or why there is none.
    fn next(&mut self) -> Result<Down, String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Down::read(&line).map_err(String::from);
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err("a line without end".into());
            }
            self.wait()?;
            let mut bytes = [0; 4096];
            match self.input.read(&mut bytes) {
                Ok(0) => return Err("the launcher ended its connection".into()),
                Ok(read) => self.buffer.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("the connection to the launcher broke: {error}")),
            }
        }
    }

    fn wait(&self) -> Result<(), String> {
        let timeout = Timespec::try_from(ORPHANED_AFTER).map_err(|error| error.to_string())?;
        let mut waiting = [PollFd::new(&self.input, PollFlags::IN)];
        match poll(&mut waiting, Some(&timeout)) {
            Ok(0) => Err("the launcher fell silent".into()),
            // A signal only cuts the silence short that is measured.
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(format!("cannot wait for the launcher: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::network::{ANNOUNCE_GROUP, Network, PORT, TTL};
    use crate::trust::Identity;
    use grappe_os::udp::Interface;

    fn a_call() -> Call {
        let network = Network {
            interface: Interface::named("lo").unwrap(),
            group: ANNOUNCE_GROUP.into(),
            port: PORT,
            ttl: TTL,
        };
        let identity = Identity::generate("").unwrap();
        let trust = identity.public().to_string();
        Call::new(&identity, trust, "/data".into(), &network).unwrap()
    }

    #[test]
    fn the_end_of_the_connection_is_told_once() {
        let (mut launcher, input) = UnixStream::pair().unwrap();
        launcher
            .write_all(Down::Call(a_call()).line().as_bytes())
            .unwrap();
        launcher.write_all(Down::Alive.line().as_bytes()).unwrap();
        let (told, orphaned) = std::sync::mpsc::channel();
        let mut output = Vec::new();
        let called = answer(
            Hello::of_this_program(None),
            input,
            &mut output,
            move |reason| {
                told.send(reason.to_owned()).unwrap();
            },
        );
        assert_eq!(called.unwrap().call.into, "/data");
        assert!(String::from_utf8(output).unwrap().contains("hello"));
        assert!(orphaned.try_recv().is_err());
        drop(launcher);
        let reason = orphaned.recv_timeout(ORPHANED_AFTER).unwrap();
        assert!(reason.contains("ended"), "{reason}");
    }

    #[test]
    fn who_says_something_else_is_no_launcher() {
        for said in ["", "hello\n", "{\"alive\":null}\n", &Down::Alive.line()] {
            let (mut stranger, input) = UnixStream::pair().unwrap();
            stranger.write_all(said.as_bytes()).unwrap();
            drop(stranger);
            let refused = answer(Hello::of_this_program(None), input, &mut Vec::new(), |_| {});
            let message = refused.unwrap_err().to_string();
            assert!(message.contains("not by hand"), "{message}");
        }
    }
}
