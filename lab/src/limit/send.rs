//! The sending end of the limit: read a train, send it, nothing else.
//!
//! Payloads are read straight to their places between the headers, so each byte is copied once here. `sealed` does
//! more.

use std::fs::File;
use std::io::{IoSliceMut, Read};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use grappe_os::udp::{Interface, MulticastSender, SenderOptions};

use super::{GROUP, Header, PAYLOAD_BYTES, SEGMENT_BYTES, SEGMENTS_PER_TRAIN, sealed};

/// Small, so that a full queue of the link holds the sender back instead of dropping.
const SEND_BUFFER_BYTES: usize = 1 << 20;

/// A sleep shorter than this takes longer than asked for.
const SLEEP_MIN: Duration = Duration::from_micros(100);

/// A stall longer than this is not made up for: the burst would be lost in the first queue.
const LAG_MAX: Duration = Duration::from_millis(1);

const END_MARKS: usize = 20;
const END_MARK_INTERVAL: Duration = Duration::from_millis(10);

/// Sends a file once, at `rate` in MB/s, or as fast as the local queue takes it. Sealed, it is hashed as well.
///
/// # Errors
///
/// When the interface, the socket or the file fails.
pub fn send(interface: &str, path: &Path, rate: Option<f64>, is_sealed: bool) -> Result<()> {
    let interface = Interface::named(interface)?;
    let socket = MulticastSender::open(SenderOptions {
        interface: &interface,
        local_port: 0,
        group: GROUP,
        ttl: 1,
        loopback: false,
        send_buffer: SEND_BUFFER_BYTES,
    })?;
    let mut file = File::open(path)?;
    let mut sealer = is_sealed.then(sealed::Sealer::new).transpose()?;
    let payload = match is_sealed {
        true => sealed::PAYLOAD_BYTES,
        false => PAYLOAD_BYTES,
    };
    let segments = file.metadata()?.len().div_ceil(payload as u64);
    let count = u32::try_from(segments).context("the file is too large")?;

    let mut pace = rate.map(Pace::new);
    let mut train = vec![0; SEGMENT_BYTES * SEGMENTS_PER_TRAIN];
    let mut index = 0;
    while index < count {
        let length = match &mut sealer {
            Some(sealer) => sealer.fill(&mut train, &mut file, index, count)?,
            None => fill(&mut train, &mut file, index, count)?,
        };
        if length == 0 {
            break; // the file became shorter: its receivers will miss the rest
        }
        // What the queue refuses is missing at the receivers, who count it.
        let _ = socket.send_train(&train[..length], SEGMENT_BYTES)?;
        index += length.div_ceil(SEGMENT_BYTES) as u32;
        if let Some(pace) = &mut pace {
            pace.sent(length);
        }
    }
    let end = Header {
        index: Header::END,
        count,
    };
    for _ in 0..END_MARKS {
        let _ = socket.send_train(&end.emit(), Header::BYTES)?;
        thread::sleep(END_MARK_INTERVAL);
    }
    Ok(())
}

/// Reads as many segments as fit and are left, behind their headers; answers the bytes of the train.
fn fill(train: &mut [u8], file: &mut File, first: u32, count: u32) -> Result<usize> {
    let mut payloads = Vec::with_capacity(SEGMENTS_PER_TRAIN);
    for (segment, index) in train.chunks_exact_mut(SEGMENT_BYTES).zip(first..count) {
        let (header, payload) = segment.split_at_mut(Header::BYTES);
        header.copy_from_slice(&Header { index, count }.emit());
        payloads.push(IoSliceMut::new(payload));
    }
    let read = file.read_vectored(&mut payloads)?;
    Ok(read + read.div_ceil(PAYLOAD_BYTES) * Header::BYTES)
}

/// Holds a sender to a rate.
#[derive(Debug)]
struct Pace {
    bytes_per_second: f64,
    due: Instant,
}

impl Pace {
    fn new(megabytes_per_second: f64) -> Self {
        Self {
            bytes_per_second: megabytes_per_second * 1e6,
            due: Instant::now(),
        }
    }

    /// Sleeps until the next train may go.
    fn sent(&mut self, bytes: usize) {
        self.due += Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
        let now = Instant::now();
        let ahead = self.due.saturating_duration_since(now);
        if ahead >= SLEEP_MIN {
            thread::sleep(ahead);
        } else if now.saturating_duration_since(self.due) > LAG_MAX {
            self.due = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content;

    #[test]
    fn a_train_is_the_file_behind_headers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        content::create(&path, PAYLOAD_BYTES as u64 + 10, 1).unwrap();
        let mut train = vec![0; SEGMENT_BYTES * SEGMENTS_PER_TRAIN];
        let length = fill(&mut train, &mut File::open(&path).unwrap(), 0, 2).unwrap();
        assert_eq!(length, SEGMENT_BYTES + Header::BYTES + 10);
        let (header, payload) = Header::parse(&train[SEGMENT_BYTES..length]).unwrap();
        assert_eq!(header, Header { index: 1, count: 2 });
        assert_eq!(payload, &std::fs::read(&path).unwrap()[PAYLOAD_BYTES..]);
    }

    #[test]
    fn a_stall_is_not_made_up_for() {
        let mut pace = Pace::new(1000.0);
        pace.due -= Duration::from_secs(5);
        pace.sent(1000);
        assert!(pace.due.elapsed() < Duration::from_secs(1));
    }
}
