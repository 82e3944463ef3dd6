//! What can go wrong on a control connection, told apart by who has to act.
//!
//! Not here: errors inside the frames, which belong to those who read them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::trust::PublicKey;

/// Why a control connection could not be made or has ended.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The TCP connection could not be made.
    #[error("cannot reach {address}: {source}")]
    Unreachable {
        /// Where the connection was to go.
        address: SocketAddr,
        /// The answer of the operating system.
        source: io::Error,
    },
    /// TCP and TLS handshakes together took longer than allowed.
    #[error("{address} did not complete the handshake within {deadline:?}")]
    Slow {
        /// The other end.
        address: SocketAddr,
        /// The time that was allowed.
        deadline: Duration,
    },
    /// The server holds another key than the one announced: a mistake, or someone in its place.
    #[error(
        "{address} is not the announced node: its key is {}, expected {}",
        .found.fingerprint(), .expected.fingerprint()
    )]
    WrongServerKey {
        /// Where the server answered.
        address: SocketAddr,
        /// The key that was announced.
        expected: PublicKey,
        /// The key it showed; whether it also holds the private half was not tested.
        found: PublicKey,
    },
    /// The peer ended the handshake with a TLS alert; most often it expected another key.
    #[error("{address} refused us: {alert}")]
    Refused {
        /// The other end.
        address: SocketAddr,
        /// The alert, as RFC 8446, section 6 names it.
        alert: String,
    },
    /// What arrived is not TLS 1.3 with an Ed25519 raw public key.
    #[error("{address} does not speak the control protocol: {cause}")]
    NotOurProtocol {
        /// The other end.
        address: SocketAddr,
        /// What TLS made of it.
        cause: String,
    },
    /// The connection ended during the handshake without a word.
    #[error("{address} closed the connection during the handshake: {source}")]
    HandshakeCut {
        /// The other end.
        address: SocketAddr,
        /// How it ended.
        source: io::Error,
    },
    /// The peer announced a frame above the limit.
    #[error("peer announced a frame of {bytes} bytes; at most {bytes_max} are accepted")]
    FrameTooLong {
        /// The announced length in bytes.
        bytes: u32,
        /// The limit in bytes.
        bytes_max: u32,
    },
    /// The peer closed properly, but in the middle of a frame.
    #[error("peer closed the connection inside a frame, after {bytes} bytes of it")]
    FrameCut {
        /// Bytes of the frame that had arrived, with those of its length.
        bytes: usize,
    },
    /// The peer broke TLS after the handshake: damaged records or an alert.
    #[error("peer broke the encrypted connection: {cause}")]
    BrokenTls {
        /// What TLS made of it.
        cause: String,
    },
    /// The connection is gone without a proper close: crash, reboot, cable, or time out.
    #[error("connection lost: {}", how_it_ended(source))]
    Lost {
        /// How it ended.
        source: io::Error,
    },
    /// The caller wants to send a frame above the limit.
    #[error("cannot send a frame of {bytes} bytes; at most {bytes_max} are allowed")]
    CannotSend {
        /// The length asked for, in bytes.
        bytes: usize,
        /// The limit in bytes.
        bytes_max: u32,
    },
    /// TLS does not accept our own configuration.
    #[error("cannot set up TLS: {cause}")]
    Setup {
        /// What TLS says.
        cause: String,
    },
}

/// In words for users: TLS explains an end without a farewell by an address of its manual.
fn how_it_ended(source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
            "it ended without a farewell; most likely the program there was killed or crashed"
                .to_owned()
        }
        _ => source.to_string(),
    }
}
