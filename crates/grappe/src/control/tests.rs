//! Two endpoints over real TCP on the loopback, honest and otherwise.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::trust::{Identity, PublicKey};

fn identity() -> Identity {
    Identity::generate("test").unwrap()
}

fn endpoint(limits: Limits) -> (PublicKey, Endpoint) {
    let identity = identity();
    (
        identity.public(),
        Endpoint::with_limits(&identity, limits).unwrap(),
    )
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A server and a client channel to each other, with these limits on both.
async fn pair(limits: Limits) -> (Channel, Channel) {
    let (server_key, server) = endpoint(limits);
    let (client_key, client) = endpoint(limits);
    let (listener, address) = listen().await;
    let accepting = async {
        server
            .accept(listener.accept().await.unwrap().0)
            .await
            .unwrap()
    };
    let (accepted, connected) = tokio::join!(accepting, client.connect(address, server_key));
    assert_eq!(accepted.0, client_key, "the server learns the client's key");
    (accepted.1, connected.unwrap())
}

#[tokio::test]
async fn frames_travel_both_ways_between_known_keys() {
    let (mut server, mut client) = pair(Limits::default()).await;
    let large = vec![7; 1024 * 1024];
    for frame in [&b"hello"[..], b"", &large] {
        let (written, read) = tokio::join!(client.write_frame(frame), server.read_frame());
        written.unwrap();
        assert_eq!(read.unwrap().unwrap(), frame);
    }
    server.write_frame(b"one").await.unwrap();
    server.write_frame(b"two").await.unwrap();
    assert_eq!(client.read_frame().await.unwrap().unwrap(), b"one");
    assert_eq!(client.read_frame().await.unwrap().unwrap(), b"two");

    client.close().await.unwrap();
    assert_eq!(server.read_frame().await.unwrap(), None);
}

#[tokio::test]
async fn one_key_on_all_nodes_is_enough() {
    let shared = identity();
    let endpoint = Endpoint::new(&shared).unwrap();
    let (listener, address) = listen().await;
    let accepting = async { endpoint.accept(listener.accept().await.unwrap().0).await };
    let connecting = endpoint.connect(address, shared.public());
    let (accepted, connected) = tokio::join!(accepting, connecting);
    assert_eq!(accepted.unwrap().0, shared.public());
    connected.unwrap();
}

#[tokio::test]
async fn a_server_with_another_key_is_refused_and_told() {
    let (server_key, server) = endpoint(Limits::default());
    let (_, client) = endpoint(Limits::default());
    let announced = identity().public();
    let (listener, at) = listen().await;
    let accepting = async { server.accept(listener.accept().await.unwrap().0).await };
    let (accepted, connected) = tokio::join!(accepting, client.connect(at, announced));

    let error = connected.err().unwrap();
    assert!(
        matches!(error, ControlError::WrongServerKey { address, expected, found }
        if address == at && expected == announced && found == server_key)
    );
    assert!(error.to_string().contains(&announced.fingerprint()));
    assert!(error.to_string().contains(&server_key.fingerprint()));
    let error = accepted.err().unwrap();
    assert!(matches!(error, ControlError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn showing_a_key_without_holding_it_is_not_enough() {
    let impostor = |victim| {
        let key = raw_key::claimed_key(victim, &identity());
        Endpoint::with_key(key, Limits::default()).unwrap()
    };
    let (server_key, server) = endpoint(Limits::default());
    let (client_key, client) = endpoint(Limits::default());
    let (listener, address) = listen().await;

    let false_server = impostor(server_key);
    let accepting = async {
        false_server
            .accept(listener.accept().await.unwrap().0)
            .await
    };
    let (_, connected) = tokio::join!(accepting, client.connect(address, server_key));
    let error = connected.err().unwrap();
    assert!(
        matches!(error, ControlError::NotOurProtocol { .. }),
        "{error}"
    );

    let false_client = impostor(client_key);
    let accepting = async { server.accept(listener.accept().await.unwrap().0).await };
    let (accepted, _) = tokio::join!(accepting, false_client.connect(address, server_key));
    let error = accepted.err().unwrap();
    assert!(
        matches!(error, ControlError::NotOurProtocol { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let (key, client) = endpoint(Limits::default());
    let (listener, address) = listen().await;
    drop(listener);
    let error = client.connect(address, key).await.err().unwrap();
    assert!(matches!(error, ControlError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn oversized_frames_are_refused_by_both_ends() {
    let small = Limits {
        frame_bytes_max: 16,
        ..Limits::default()
    };
    let (mut server, mut client) = pair(small).await;
    let error = client.write_frame(&[0; 17]).await.unwrap_err();
    assert!(matches!(
        error,
        ControlError::CannotSend {
            bytes: 17,
            bytes_max: 16
        }
    ));
    client.write_frame(&[0; 16]).await.unwrap();
    assert_eq!(server.read_frame().await.unwrap().unwrap(), [0; 16]);

    // Four bytes suffice to be found out, and asking again does not help.
    client.raw_write(&17_u32.to_be_bytes()).await;
    for _ in 0..2 {
        let error = server.read_frame().await.unwrap_err();
        assert!(matches!(
            error,
            ControlError::FrameTooLong {
                bytes: 17,
                bytes_max: 16
            }
        ));
    }
}

#[tokio::test]
async fn a_close_inside_a_frame_is_not_a_clean_one() {
    let (mut server, mut client) = pair(Limits::default()).await;
    client.raw_write(&[0, 0, 0, 5, b'h', b'e']).await;
    client.close().await.unwrap();
    let error = server.read_frame().await.unwrap_err();
    assert!(
        matches!(error, ControlError::FrameCut { bytes: 6 }),
        "{error}"
    );
}

#[tokio::test]
async fn a_crash_between_frames_is_not_a_clean_close() {
    let (mut server, client) = pair(Limits::default()).await;
    drop(client);
    let error = server.read_frame().await.unwrap_err();
    assert!(matches!(error, ControlError::Lost { .. }), "{error}");
    assert!(!error.to_string().contains("http"), "{error}");
}

#[tokio::test]
async fn a_read_given_up_half_way_loses_nothing() {
    let (mut server, mut client) = pair(Limits::default()).await;
    client.raw_write(&[0, 0, 0, 5, b'h', b'e']).await;
    let given_up = tokio::time::timeout(Duration::from_millis(50), server.read_frame()).await;
    assert!(given_up.is_err());
    client.raw_write(b"llo").await;
    assert_eq!(server.read_frame().await.unwrap().unwrap(), b"hello");
}

#[tokio::test]
async fn silence_during_the_handshake_has_an_end() {
    let deadline = Duration::from_millis(100);
    let (key, endpoint) = endpoint(Limits {
        handshake_deadline: deadline,
        ..Limits::default()
    });
    let (listener, address) = listen().await;

    let started = Instant::now();
    let mute_client = TcpStream::connect(address).await.unwrap();
    let error = endpoint
        .accept(listener.accept().await.unwrap().0)
        .await
        .err()
        .unwrap();
    assert!(matches!(error, ControlError::Slow { .. }), "{error}");
    drop(mute_client);

    // The mute server: the kernel completes TCP, nobody answers TLS.
    let error = endpoint.connect(address, key).await.err().unwrap();
    assert!(matches!(error, ControlError::Slow { .. }), "{error}");
    assert!(started.elapsed() >= 2 * deadline && started.elapsed() < 20 * deadline);
}

#[tokio::test]
async fn what_is_not_tls_is_refused_by_both_ends() {
    let (key, endpoint) = endpoint(Limits::default());
    let (listener, address) = listen().await;

    let mut browser = TcpStream::connect(address).await.unwrap();
    browser
        .write_all(b"GET / HTTP/1.1\r\nHost: node\r\n\r\n")
        .await
        .unwrap();
    let error = endpoint
        .accept(listener.accept().await.unwrap().0)
        .await
        .err()
        .unwrap();
    assert!(
        matches!(error, ControlError::NotOurProtocol { .. }),
        "{error}"
    );

    let ssh_server = async {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.unwrap();
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    };
    let (_, connected) = tokio::join!(ssh_server, endpoint.connect(address, key));
    let error = connected.err().unwrap();
    assert!(
        matches!(error, ControlError::NotOurProtocol { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_that_hangs_up_during_the_handshake_is_cut() {
    let (_, endpoint) = endpoint(Limits::default());
    let (listener, address) = listen().await;
    drop(TcpStream::connect(address).await.unwrap());
    let error = endpoint
        .accept(listener.accept().await.unwrap().0)
        .await
        .err()
        .unwrap();
    assert!(
        matches!(error, ControlError::HandshakeCut { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_client_without_a_key_gets_no_channel() {
    let (server_key, server) = endpoint(Limits::default());
    let (listener, address) = listen().await;
    let config = rustls::ClientConfig::builder_with_provider(
        rustls::crypto::aws_lc_rs::default_provider().into(),
    )
    .with_protocol_versions(&[&rustls::version::TLS13])
    .unwrap()
    .dangerous()
    .with_custom_certificate_verifier(std::sync::Arc::new(raw_key::ExpectServer(server_key)))
    .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let anonymous = async {
        let tcp = TcpStream::connect(address).await.unwrap();
        let _ = connector.connect(address.ip().into(), tcp).await;
    };
    let accepting = async { server.accept(listener.accept().await.unwrap().0).await };
    let (accepted, ()) = tokio::join!(accepting, anonymous);
    let error = accepted.err().unwrap();
    assert!(
        matches!(error, ControlError::NotOurProtocol { .. }),
        "{error}"
    );
}
