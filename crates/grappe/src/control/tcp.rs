//! The TCP options of a control connection: small messages at once, dead peers noticed in 10 s.
//!
//! Not here: connecting and accepting (`endpoint`).

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// Silence after which the kernel asks whether the peer is alive.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
/// Time between questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// Unanswered questions after which the connection is given up.
const KEEPALIVE_PROBES: u32 = 3;
/// The longest time that sent bytes may stay unacknowledged, or the peer's window shut. Keepalive
/// probes only an idle connection; this bounds the busy one (tcp(7), TCP_USER_TIMEOUT), where
/// retransmission alone would take a quarter of an hour to give up.
const USER_TIMEOUT: Duration = Duration::from_secs(10);

/// Sets the options on a connected socket.
pub(super) fn tune(tcp: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(tcp);
    // Control messages are short and waited for; Nagle's algorithm would hold them back.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE_IDLE)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_PROBES),
    )?;
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_takes_every_option() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        tune(&tcp).unwrap();
        let socket = SockRef::from(&tcp);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_IDLE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }
}
