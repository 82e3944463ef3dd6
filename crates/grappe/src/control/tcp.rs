//! The TCP side of a control connection: opened soon though packets get lost, small messages at once, dead
//! peers noticed in 10 s.
//!
//! Not here: TLS, and accepting (`endpoint`).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// An answer that takes longer may have got lost, or the question. The kernel asks again after a second, and
/// then after two (RFC 6298, section 2.1), which is longer than a sender waits for receivers.
const IMPATIENCE: Duration = Duration::from_millis(200);
/// So many connections are tried beside each other at most; the first that is there counts.
const ATTEMPTS_MAX: usize = 5;

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

/// Connects to `address`, asking again sooner than the kernel does.
pub(super) async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let mut attempts = JoinSet::new();
    for _ in 0..ATTEMPTS_MAX {
        attempts.spawn(TcpStream::connect(address));
        let opened = tokio::time::timeout(IMPATIENCE, attempts.join_next()).await;
        if let Ok(Some(opened)) = opened {
            return opened?;
        }
    }
    match attempts.join_next().await {
        Some(opened) => opened?,
        None => Err(io::ErrorKind::TimedOut.into()),
    }
}

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

    /// Whether ours is there before a plain connection that was begun before it, when both questions got lost.
    async fn comes_first() -> bool {
        use socket2::{Domain, Socket, Type};

        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        socket.bind(&any.into()).unwrap();
        // Whoever comes after the first is not answered until that one is taken.
        socket.listen(0).unwrap();
        let listener: std::net::TcpListener = socket.into();
        let address = listener.local_addr().unwrap();
        let _first = TcpStream::connect(address).await.unwrap();
        let plain = tokio::spawn(TcpStream::connect(address));
        tokio::time::sleep(IMPATIENCE / 4).await;
        let ours = tokio::spawn(open(address));
        tokio::time::sleep(IMPATIENCE / 4).await;
        assert!(!plain.is_finished(), "the kernel answers whoever comes");
        // Takes whoever comes, until the test's process ends.
        std::thread::spawn(move || listener.incoming().collect::<Vec<_>>());
        let ours = tokio::time::timeout(Duration::from_secs(20), ours).await;
        ours.expect("it is answered").unwrap().unwrap();
        !plain.is_finished()
    }

    #[tokio::test]
    async fn a_question_that_got_lost_is_asked_again_sooner_than_the_kernel_does() {
        // On a machine that stands still for most of a second, the kernel may be first.
        for _ in 0..3 {
            if comes_first().await {
                return;
            }
        }
        panic!("asked again no sooner than by the kernel");
    }

    #[tokio::test]
    async fn who_refuses_is_believed_at_once() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = open(address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
