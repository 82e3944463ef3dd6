//! Being examined: a trusted node asks what arrives here of the packets that it sends to a group.
//!
//! Nothing is stored, and nothing but counters are answered. What they mean is in the other node's
//! `doctor`.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use grappe_os::udp::{Interface, MulticastReceiver, ReceiverOptions, TRAIN_BYTES_MAX, Wait};
use grappe_proto::wire::control::{ToReceiver, ToSender, encode};
use grappe_proto::wire::examine::{Examine, Here, Measured, PHASES_MAX, Phase, phase_of};

use super::RECEIVE_BUFFER;
use super::session::read;
use crate::control::{ChannelReader, ChannelWriter};
use crate::network::Network;

/// An examination that takes longer is none.
const EXAMINATION_MAX: Duration = Duration::from_secs(60);

/// Between two looks whether it is over.
const LOOK: Duration = Duration::from_millis(100);

/// Takes part until the other node has enough.
///
/// # Errors
///
/// Why it came to nothing, in words.
pub(super) async fn be_examined(
    network: &Network,
    examine: &Examine,
    mut reader: ChannelReader,
    mut writer: ChannelWriter,
) -> Result<(), String> {
    let group = SocketAddr::new(examine.group, examine.port);
    let options = ReceiverOptions {
        interface: &network.interface,
        group,
        receive_buffer: RECEIVE_BUFFER,
    };
    let socket = MulticastReceiver::join(options)
        .map_err(|error| format!("cannot join the group {group}: {error}"))?;
    let here = Here {
        interface: network.interface.name.clone(),
        // It may have changed since this node began to listen.
        mtu: Interface::named(&network.interface.name).map_or(0, |interface| interface.mtu),
        receive_buffer: (
            socket.receive_buffer_bytes().unwrap_or_default() as u64,
            2 * RECEIVE_BUFFER as u64,
        ),
        unix_micros: unix_micros(),
        program: env!("CARGO_PKG_VERSION").into(),
    };
    let counting = Counting::start(socket, examine.tag)?;
    let answering = async {
        let told = writer.write_frame(&encode(&ToSender::Here(here))).await;
        told.map_err(|error| error.to_string())?;
        while let Some(ToReceiver::Measure) = read(&mut reader).await? {
            let mut measured = counting.measured();
            measured.interface_bytes = interface_bytes(&network.interface.name);
            let told = writer
                .write_frame(&encode(&ToSender::Measured(measured)))
                .await;
            told.map_err(|error| error.to_string())?;
        }
        Ok(())
    };
    match tokio::time::timeout(EXAMINATION_MAX, answering).await {
        Ok(result) => result,
        Err(_) => Err("the examination took too long".into()),
    }
}

fn unix_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    u64::try_from(now.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

fn interface_bytes(name: &str) -> Option<u64> {
    let device = name.split(':').next()?;
    let path = format!("/sys/class/net/{device}/statistics/rx_bytes");
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The thread that counts packets; it ends with this value.
struct Counting {
    counts: Arc<Mutex<Counts>>,
    is_over: Arc<AtomicBool>,
}

#[derive(Default)]
struct Counts {
    phases: Vec<(Phase, Option<Instant>)>,
    dropped: u32,
}

impl Counting {
    fn start(socket: MulticastReceiver, tag: u32) -> Result<Self, String> {
        let counts = Arc::new(Mutex::new(Counts::default()));
        let is_over = Arc::new(AtomicBool::new(false));
        let counting = Self {
            counts: Arc::clone(&counts),
            is_over: Arc::clone(&is_over),
        };
        thread::Builder::new()
            .name("examined".into())
            .spawn(move || {
                let mut buffer = vec![0; TRAIN_BYTES_MAX];
                while !is_over.load(Ordering::Relaxed) {
                    let Ok(train) = socket.receive_train(&mut buffer, Wait::UpTo(LOOK)) else {
                        return;
                    };
                    if let Some(train) = train {
                        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
                        counts.dropped = train.dropped_total;
                        let packets = buffer[..train.len].chunks(train.segment_size.max(1));
                        packets.for_each(|packet| counts.count(packet, tag));
                    }
                }
            })
            .map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(counting)
    }

    fn measured(&self) -> Measured {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        Measured {
            phases: counts.phases.iter().map(|(phase, _)| *phase).collect(),
            dropped: counts.dropped,
            interface_bytes: None,
        }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Counts {
    fn count(&mut self, packet: &[u8], tag: u32) {
        let Ok(phase) = phase_of(packet, tag) else {
            return;
        };
        let index = usize::from(phase);
        if self.phases.len() <= index {
            self.phases
                .resize(index.min(PHASES_MAX - 1) + 1, Default::default());
        }
        let Some((phase, first)) = self.phases.get_mut(index) else {
            return;
        };
        let now = Instant::now();
        let first = *first.get_or_insert(now);
        phase.packets = phase.packets.saturating_add(1);
        phase.bytes = phase.bytes.saturating_add(packet.len() as u64);
        phase.span_us = u64::try_from(now.duration_since(first).as_micros()).unwrap_or(u64::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grappe_proto::wire::examine::header;

    #[test]
    fn packets_are_counted_by_phase_and_others_are_not() {
        let mut counts = Counts::default();
        for phase in [0, 2, 2] {
            counts.count(&header(7, phase), 7);
        }
        counts.count(&header(8, 0), 7);
        counts.count(b"noise", 7);
        let packets: Vec<u32> = counts
            .phases
            .iter()
            .map(|(phase, _)| phase.packets)
            .collect();
        assert_eq!(packets, [1, 0, 2]);
    }
}
