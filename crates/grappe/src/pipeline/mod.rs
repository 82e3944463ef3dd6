//! The pipeline: blocks that go from node to node over TCP, each node fetching what it lacks from the
//! one before it, and giving what it has to the one after it. Plain threads and blocking sockets.
//!
//! Who fetches from whom the sender's machine decides. Blocks are sealed once, where they are read, and
//! passed on as they came; every node opens them and hashes what it stores.

mod fetch;
mod serve;
mod shelf;

pub(crate) use self::fetch::{Fetched, Fetcher};
pub(crate) use self::serve::Server;
pub(crate) use self::shelf::{Backing, Shelf};

#[cfg(test)]
mod tests;

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use socket2::SockRef;

/// A link must be there, and each end prove the session's key, within this time.
const HANDSHAKE_MAX: Duration = Duration::from_secs(2);

/// Bytes that were sent stay unacknowledged for so long at most (tcp(7), TCP_USER_TIMEOUT).
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// Sets the options of a link.
fn tune(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    // Requests are short and waited for.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}
