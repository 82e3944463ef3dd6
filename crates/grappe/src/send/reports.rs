//! The thread that takes receivers' reports off the data socket. It does not read them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use flume::Sender;
use grappe_os::udp::MulticastSender;
use grappe_proto::wire::report::REPORT_LEN_MAX;

use super::Happening;
use super::outage::{Outage, Verdict};

/// Happenings that may wait; beyond, reports are dropped.
const HAPPENINGS_MAX: usize = 65_536;

/// How often the listener looks whether it is still wanted.
const LISTEN: Duration = Duration::from_millis(20);

/// Starts the thread; it ends when `wanted` is false or nobody takes happenings any more.
///
/// # Errors
///
/// When the system has no thread left.
pub(super) fn listen(
    socket: Arc<MulticastSender>,
    happened: Sender<Happening>,
    wanted: Arc<AtomicBool>,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new()
        .name("reports".into())
        .spawn(move || {
            let mut packet = [0; REPORT_LEN_MAX + 1];
            let mut outage = Outage::new("cannot hear reports");
            while wanted.load(Ordering::Relaxed) {
                let happenings = match socket.recv_from(&mut packet, LISTEN) {
                    Ok(received) => {
                        let report = |(len, _)| report(&packet[..len], &happened);
                        let over = outage.passed(Instant::now()).map(Happening::Note);
                        [over, received.and_then(report)]
                    }
                    Err(error) => {
                        thread::sleep(LISTEN);
                        match outage.failed(Instant::now(), &error) {
                            Verdict::Bear => [None, None],
                            Verdict::Tell(text) => [Some(Happening::Note(text)), None],
                            Verdict::GiveUp(reason) => {
                                let _over = happened.send(Happening::Broken(reason));
                                return;
                            }
                        }
                    }
                };
                for happening in happenings.into_iter().flatten() {
                    if happened.send(happening).is_err() {
                        return;
                    }
                }
            }
        })
}

/// A report to hand on. A flood at this port must not fill the memory; reports repeat themselves.
fn report(packet: &[u8], happened: &Sender<Happening>) -> Option<Happening> {
    (happened.len() <= HAPPENINGS_MAX).then(|| Happening::Report(packet.into()))
}
