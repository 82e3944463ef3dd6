//! Both ends of a control connection: dial a known server, or accept whoever proves a key.
//!
//! Not here: listening, trying again, and whether an accepted key is trusted; all are the caller's.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::{AlwaysResolvesClientRawPublicKeys, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::ServerName;
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, ServerConfig};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::raw_key::{AnyClient, ExpectServer, UnexpectedServer, certified_key, peer_key};
use super::{Channel, ControlError, tcp};
use crate::trust::{Identity, PublicKey};

/// Bounds on what a peer may cost us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest frame, in bytes, in either direction.
    pub frame_bytes_max: u32,
    /// The most time that connecting and the TLS handshake may take together.
    pub handshake_deadline: Duration,
}

impl Default for Limits {
    /// Frames of 1 MiB, handshakes of 5 s.
    fn default() -> Self {
        Self {
            frame_bytes_max: 1024 * 1024,
            handshake_deadline: Duration::from_secs(5),
        }
    }
}

/// This node's end of control connections: its identity and its limits. Cheap to clone.
///
/// TLS 1.3 only, without session resumption or early data: handshakes are rare here, and each one
/// must prove both keys anew.
#[derive(Clone)]
pub struct Endpoint {
    provider: Arc<CryptoProvider>,
    own_key: Arc<CertifiedKey>,
    acceptor: TlsAcceptor,
    limits: Limits,
}

impl Endpoint {
    /// An endpoint with the default [`Limits`].
    ///
    /// # Errors
    /// [`ControlError::Setup`].
    pub fn new(identity: &Identity) -> Result<Self, ControlError> {
        Self::with_limits(identity, Limits::default())
    }

    /// An endpoint with other limits.
    ///
    /// # Errors
    /// [`ControlError::Setup`].
    pub fn with_limits(identity: &Identity, limits: Limits) -> Result<Self, ControlError> {
        Self::with_key(certified_key(identity), limits)
    }

    /// Takes over an accepted TCP connection as server; answers with the key that the client has
    /// proved to hold. **The caller decides whether that key is trusted.**
    ///
    /// Takes at most the handshake deadline; run it beside the accept loop, not inside.
    ///
    /// # Errors
    /// [`ControlError::Slow`], [`ControlError::Refused`] (the client expected another server),
    /// [`ControlError::NotOurProtocol`], [`ControlError::HandshakeCut`].
    pub async fn accept(&self, stream: TcpStream) -> Result<(PublicKey, Channel), ControlError> {
        let address = stream
            .peer_addr()
            .map_err(|source| ControlError::Lost { source })?;
        tcp::tune(&stream).map_err(|source| ControlError::HandshakeCut { address, source })?;
        self.in_time(address, async {
            let handshake = self.acceptor.accept(stream).await;
            let tls = handshake.map_err(|error| handshake_error(address, None, error))?;
            let shown = tls.get_ref().1.peer_certificates().unwrap_or_default();
            let Some(key) = peer_key(shown) else {
                let cause = "no Ed25519 key was shown".to_owned();
                return Err(ControlError::NotOurProtocol { address, cause });
            };
            Ok((key, Channel::new(tls.into(), self.limits.frame_bytes_max)))
        })
        .await
    }

    /// Connects to the server at `address`, which must hold exactly the key `expected`.
    ///
    /// The server has not yet judged our key when this returns: a server that does not trust us
    /// closes the channel.
    ///
    /// # Errors
    /// [`ControlError::Unreachable`], [`ControlError::Slow`], [`ControlError::WrongServerKey`],
    /// [`ControlError::Refused`], [`ControlError::NotOurProtocol`],
    /// [`ControlError::HandshakeCut`], [`ControlError::Setup`].
    pub async fn connect(
        &self,
        address: SocketAddr,
        expected: PublicKey,
    ) -> Result<Channel, ControlError> {
        let connector = TlsConnector::from(Arc::new(self.client_config(expected)?));
        self.in_time(address, async {
            let stream = tcp::open(address)
                .await
                .map_err(|source| ControlError::Unreachable { address, source })?;
            tcp::tune(&stream).map_err(|source| ControlError::HandshakeCut { address, source })?;
            let tls = connector
                .connect(ServerName::from(address.ip()), stream)
                .await
                .map_err(|error| handshake_error(address, Some(expected), error))?;
            Ok(Channel::new(tls.into(), self.limits.frame_bytes_max))
        })
        .await
    }

    pub(super) fn with_key(
        own_key: Arc<CertifiedKey>,
        limits: Limits,
    ) -> Result<Self, ControlError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let server = server_config(&provider, &own_key)?;
        Ok(Self {
            provider,
            own_key,
            acceptor: TlsAcceptor::from(Arc::new(server)),
            limits,
        })
    }

    fn client_config(&self, expected: PublicKey) -> Result<ClientConfig, ControlError> {
        let resolver = AlwaysResolvesClientRawPublicKeys::new(Arc::clone(&self.own_key));
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])
            .map_err(setup_error)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ExpectServer(expected)))
            .with_client_cert_resolver(Arc::new(resolver));
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        // Nodes are known by key; a name in the clear would only tell on them.
        config.enable_sni = false;
        Ok(config)
    }

    async fn in_time<T>(
        &self,
        address: SocketAddr,
        handshake: impl Future<Output = Result<T, ControlError>>,
    ) -> Result<T, ControlError> {
        let deadline = self.limits.handshake_deadline;
        match timeout(deadline, handshake).await {
            Ok(result) => result,
            Err(_elapsed) => Err(ControlError::Slow { address, deadline }),
        }
    }
}

fn server_config(
    provider: &Arc<CryptoProvider>,
    own_key: &Arc<CertifiedKey>,
) -> Result<ServerConfig, ControlError> {
    let resolver = AlwaysResolvesServerRawPublicKeys::new(Arc::clone(own_key));
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(setup_error)?
        .with_client_cert_verifier(Arc::new(AnyClient))
        .with_cert_resolver(Arc::new(resolver));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(config)
}

fn setup_error(error: rustls::Error) -> ControlError {
    ControlError::Setup {
        cause: error.to_string(),
    }
}

/// Sorts a failed handshake by who is at fault. `expected` is the server key, on the client.
fn handshake_error(
    address: SocketAddr,
    expected: Option<PublicKey>,
    error: io::Error,
) -> ControlError {
    let tls = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match (tls, expected) {
        (None, _) => ControlError::HandshakeCut {
            address,
            source: error,
        },
        (Some(rustls::Error::AlertReceived(alert)), _) => ControlError::Refused {
            address,
            alert: format!("{alert:?}"),
        },
        (
            Some(rustls::Error::InvalidCertificate(CertificateError::Other(other))),
            Some(expected),
        ) if let Some(unexpected) = other.0.downcast_ref::<UnexpectedServer>() => {
            ControlError::WrongServerKey {
                address,
                expected,
                found: unexpected.found,
            }
        }
        (Some(tls), _) => ControlError::NotOurProtocol {
            address,
            cause: tls.to_string(),
        },
    }
}
