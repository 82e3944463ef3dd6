//! Frames over an authenticated connection: a length in four bytes, big-endian, then the bytes.
//!
//! Not here: what the frames mean. Reading and writing are separate halves, so that a slow reader
//! never keeps a writer waiting.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::ControlError;

/// Bytes of the length in front of each frame.
const LENGTH_BYTES: usize = size_of::<u32>();
/// How much is asked of TLS at once: one record (RFC 8446, section 5.1).
const READ_BYTES: usize = 16 * 1024;
/// Above this an emptied buffer is given back; a thousand idle peers must not hold 1 MiB each.
const IDLE_BUFFER_BYTES_MAX: usize = 2 * READ_BYTES;

/// A control connection to a peer whose key is known.
pub struct Channel {
    reader: ChannelReader,
    writer: ChannelWriter,
}

/// The receiving half of a [`Channel`].
pub struct ChannelReader {
    stream: ReadHalf<TlsStream<TcpStream>>,
    /// Bytes received and not yet handed out; at most one frame and one read.
    buffer: Vec<u8>,
    frame_bytes_max: u32,
}

/// The sending half of a [`Channel`].
pub struct ChannelWriter {
    stream: WriteHalf<TlsStream<TcpStream>>,
    frame_bytes_max: u32,
}

impl Channel {
    pub(super) fn new(stream: TlsStream<TcpStream>, frame_bytes_max: u32) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self {
            reader: ChannelReader {
                stream: reader,
                buffer: Vec::new(),
                frame_bytes_max,
            },
            writer: ChannelWriter {
                stream: writer,
                frame_bytes_max,
            },
        }
    }

    /// The two halves, for two tasks.
    pub fn split(self) -> (ChannelReader, ChannelWriter) {
        (self.reader, self.writer)
    }

    /// See [`ChannelReader::read_frame`].
    ///
    /// # Errors
    /// As there.
    pub async fn read_frame(&mut self) -> Result<Option<Vec<u8>>, ControlError> {
        self.reader.read_frame().await
    }

    /// See [`ChannelWriter::write_frame`].
    ///
    /// # Errors
    /// As there.
    pub async fn write_frame(&mut self, frame: &[u8]) -> Result<(), ControlError> {
        self.writer.write_frame(frame).await
    }

    /// See [`ChannelWriter::close`].
    ///
    /// # Errors
    /// As there.
    pub async fn close(self) -> Result<(), ControlError> {
        self.writer.close().await
    }
}

impl ChannelReader {
    /// The next frame; `None` when the peer has closed properly, between frames.
    ///
    /// Cancel safe: a call dropped half way (by `select!`) loses nothing. Memory grows with the
    /// bytes that arrive, not with the length that is announced.
    ///
    /// # Errors
    /// [`ControlError::FrameTooLong`], [`ControlError::FrameCut`], [`ControlError::BrokenTls`] and
    /// [`ControlError::Lost`]. The connection is of no further use after any of them.
    pub async fn read_frame(&mut self) -> Result<Option<Vec<u8>>, ControlError> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return Ok(Some(frame));
            }
            self.buffer.reserve(READ_BYTES);
            let read = self
                .stream
                .read_buf(&mut self.buffer)
                .await
                .map_err(stream_error)?;
            if read == 0 {
                return match self.buffer.len() {
                    0 => Ok(None),
                    bytes => Err(ControlError::FrameCut { bytes }),
                };
            }
        }
    }

    /// The first frame of the buffer, if all of it has arrived.
    fn take_frame(&mut self) -> Result<Option<Vec<u8>>, ControlError> {
        let Some((length, rest)) = self.buffer.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let bytes = u32::from_be_bytes(*length);
        let bytes_max = self.frame_bytes_max;
        if bytes > bytes_max {
            return Err(ControlError::FrameTooLong { bytes, bytes_max });
        }
        let Some(frame) = rest.get(..bytes as usize) else {
            return Ok(None);
        };
        let frame = frame.to_vec();
        self.buffer.drain(..LENGTH_BYTES + frame.len());
        if self.buffer.is_empty() && self.buffer.capacity() > IDLE_BUFFER_BYTES_MAX {
            self.buffer = Vec::new();
        }
        Ok(Some(frame))
    }
}

impl ChannelWriter {
    /// Sends one frame and hands it to the kernel.
    ///
    /// Not cancel safe: after a call dropped half way, the connection is of no further use. A peer
    /// that reads nothing for 10 s is given up by the kernel (TCP_USER_TIMEOUT).
    ///
    /// # Errors
    /// [`ControlError::CannotSend`] (nothing was sent, the connection stays usable),
    /// [`ControlError::BrokenTls`], [`ControlError::Lost`].
    pub async fn write_frame(&mut self, frame: &[u8]) -> Result<(), ControlError> {
        let length = match u32::try_from(frame.len()) {
            Ok(length) if length <= self.frame_bytes_max => length,
            _ => {
                let bytes_max = self.frame_bytes_max;
                return Err(ControlError::CannotSend {
                    bytes: frame.len(),
                    bytes_max,
                });
            }
        };
        // In one piece, so that a short frame is one TLS record and one packet.
        let mut bytes = Vec::with_capacity(LENGTH_BYTES + frame.len());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(frame);
        self.stream.write_all(&bytes).await.map_err(stream_error)?;
        self.stream.flush().await.map_err(stream_error)
    }

    /// Closes properly (close_notify, RFC 8446, section 6.1): the peer reads `None`. A channel
    /// merely dropped looks to the peer like a crash.
    ///
    /// # Errors
    /// [`ControlError::Lost`] if the peer is gone already.
    pub async fn close(mut self) -> Result<(), ControlError> {
        self.stream.shutdown().await.map_err(stream_error)
    }
}

fn stream_error(error: io::Error) -> ControlError {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(tls) => ControlError::BrokenTls {
            cause: tls.to_string(),
        },
        None => ControlError::Lost { source: error },
    }
}

#[cfg(test)]
impl Channel {
    /// Bytes that no honest writer would send.
    pub(super) async fn raw_write(&mut self, bytes: &[u8]) {
        self.writer.stream.write_all(bytes).await.unwrap();
        self.writer.stream.flush().await.unwrap();
    }
}
