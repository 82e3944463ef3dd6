//! The receiving end of the limit: take a train, write its payloads where they belong, count.
//!
//! Verifies nothing and asks for nothing again; a train goes to the file in one call. `sealed` does more.

use std::fs::File;
use std::io::IoSlice;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use grappe_os::udp::{Interface, MulticastReceiver, ReceiverOptions, TRAIN_BYTES_MAX, Wait};
use rustix::io::pwritev;

use super::{GROUP, Header, Intake, Missing, PAYLOAD_BYTES, sealed};

/// As large as a kernel grants to root; the file system may stall for a while.
const RECEIVE_BUFFER_BYTES: usize = 64 << 20;

/// How long to wait for a sender.
const START_MAX: Duration = Duration::from_secs(30);

/// A sender silent for this long has gone, and all its end marks are lost.
const SILENCE_MAX: Duration = Duration::from_secs(2);

/// Receives one file, sealed or not, and says what is missing in it.
///
/// # Errors
///
/// When the interface, the socket or the file fails, or no sender comes.
pub fn receive(interface: &str, path: &Path, is_sealed: bool) -> Result<Missing> {
    let interface = Interface::named(interface)?;
    let socket = MulticastReceiver::join(ReceiverOptions {
        interface: &interface,
        group: GROUP,
        receive_buffer: RECEIVE_BUFFER_BYTES,
    })?;
    let file = File::create(path)?;
    let mut copy: Box<dyn Intake> = if is_sealed {
        Box::new(sealed::Opener::new(file)?)
    } else {
        let received = Vec::new();
        Box::new(Copy { file, received })
    };
    let mut buffer = vec![0; TRAIN_BYTES_MAX];
    let mut wait = Wait::UpTo(START_MAX);
    while let Some(train) = socket.receive_train(&mut buffer, wait)? {
        wait = Wait::UpTo(SILENCE_MAX);
        let is_end = copy.take(&buffer[..train.len], train.segment_size.max(1))?;
        if is_end {
            break;
        }
    }
    let missing = copy.missing();
    if missing.of == 0 {
        bail!("no sender came within {START_MAX:?}");
    }
    Ok(missing)
}

#[derive(Debug)]
struct Copy {
    file: File,
    /// One entry for each segment, once their number is known.
    received: Vec<bool>,
}

impl Intake for Copy {
    fn take(&mut self, train: &[u8], segment_size: usize) -> Result<bool> {
        let mut run: Vec<IoSlice> = Vec::with_capacity(train.len().div_ceil(segment_size));
        let mut run_first = 0;
        let mut is_end = false;
        for (header, payload) in train.chunks(segment_size).filter_map(Header::parse) {
            if self.received.is_empty() {
                self.received.resize(header.count as usize, false);
            }
            if header.index == Header::END {
                is_end = true;
                continue;
            }
            let Some(received) = self.received.get_mut(header.index as usize) else {
                continue; // not of this copy
            };
            *received = true;
            // Mostly the whole train is one run; a lost or late segment cuts it.
            if run_first + run.len() as u64 != u64::from(header.index) {
                self.write(run_first, &run)?;
                run.clear();
            }
            if run.is_empty() {
                run_first = header.index.into();
            }
            run.push(IoSlice::new(payload));
        }
        self.write(run_first, &run)?;
        Ok(is_end)
    }

    fn missing(&self) -> Missing {
        Missing::of(&self.received)
    }
}

impl Copy {
    fn write(&self, first: u64, run: &[IoSlice]) -> Result<()> {
        if run.is_empty() {
            return Ok(());
        }
        let length: usize = run.iter().map(|payload| payload.len()).sum();
        if pwritev(&self.file, run, first * PAYLOAD_BYTES as u64)? != length {
            bail!("the file system took a part of a train");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::SEGMENT_BYTES;
    use super::*;

    fn segment(index: u32, fill: u8, payload_bytes: usize) -> Vec<u8> {
        let mut segment = Header { index, count: 4 }.emit().to_vec();
        segment.resize(Header::BYTES + payload_bytes, fill);
        segment
    }

    #[test]
    fn payloads_land_in_place_and_gaps_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        let file = File::create(&path).unwrap();
        let mut copy = Copy {
            file,
            received: Vec::new(),
        };
        let train = [
            segment(0, 10, PAYLOAD_BYTES),
            segment(3, 13, PAYLOAD_BYTES),
            segment(1, 11, PAYLOAD_BYTES),
        ];
        assert!(!copy.take(&train.concat(), SEGMENT_BYTES).unwrap());
        assert_eq!(copy.missing(), Missing { missing: 1, of: 4 });
        let end = Header {
            index: Header::END,
            count: 4,
        };
        let train = [segment(2, 12, PAYLOAD_BYTES), end.emit().to_vec()].concat();
        assert!(copy.take(&train, SEGMENT_BYTES).unwrap());
        assert_eq!(copy.missing().missing, 0);

        let bytes = std::fs::read(&path).unwrap();
        let expected: Vec<_> = (10..14)
            .flat_map(|fill| vec![fill; PAYLOAD_BYTES])
            .collect();
        assert!(bytes == expected);
    }
}
