//! Ed25519 raw public keys in TLS (RFC 7250): showing ours, checking theirs.
//!
//! The only trust decision here is the client's: is this the announced server? Whether a client is
//! trusted is decided by the caller of `Endpoint::accept`, who knows the trust file.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerMisbehaved,
    SignatureAlgorithm, SignatureScheme,
};

use crate::trust::{Identity, PublicKey};

/// Our own key in the form that TLS shows to peers and signs with.
pub(super) fn certified_key(identity: &Identity) -> Arc<CertifiedKey> {
    claimed_key(identity.public(), identity)
}

/// Shows `claimed` but signs as `signer`: one and the same, except in tests of impostors.
pub(super) fn claimed_key(claimed: PublicKey, signer: &Identity) -> Arc<CertifiedKey> {
    let shown = CertificateDer::from(claimed.to_spki_der().to_vec());
    Arc::new(CertifiedKey::new(
        vec![shown],
        Arc::new(IdentitySigner(signer.clone())),
    ))
}

/// The key that a peer showed; the "certificate" of a raw public key is its bare
/// SubjectPublicKeyInfo (RFC 7250, section 3).
pub(super) fn peer_key(shown: &[CertificateDer<'_>]) -> Option<PublicKey> {
    match shown {
        [only] => PublicKey::from_spki_der(only),
        _ => None,
    }
}

/// Signs handshakes with the identity, so that the private key never leaves `trust`.
#[derive(Clone, Debug)]
struct IdentitySigner(Identity);

impl SigningKey for IdentitySigner {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ED25519)
            .then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(self.0.public().to_spki_der().to_vec().into())
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ED25519
    }
}

impl Signer for IdentitySigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(self.0.sign(message).to_vec())
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// What `ServerCertVerifier` and `ClientCertVerifier` ask alike: TLS 1.3 only, raw keys only, and the
/// proof that the peer holds the private half.
macro_rules! proves_an_ed25519_key {
    () => {
        fn verify_tls12_signature(
            &self,
            _message: &[u8],
            _cert: &CertificateDer<'_>,
            _signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(tls12())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_signature(message, cert, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            vec![SignatureScheme::ED25519]
        }

        fn requires_raw_public_keys(&self) -> bool {
            true
        }
    };
}

/// The client's view: exactly the announced server, nobody else.
#[derive(Debug)]
pub(super) struct ExpectServer(pub(super) PublicKey);

/// The server showed another key. Travels through TLS as its error, to be found again by `endpoint`.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnexpectedServer {
    pub(super) found: PublicKey,
}

impl fmt::Display for UnexpectedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unexpected server key {}", self.found.fingerprint())
    }
}

impl std::error::Error for UnexpectedServer {}

impl ServerCertVerifier for ExpectServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = sole_key(end_entity, intermediates)?;
        if found != self.0 {
            let unexpected = OtherError(Arc::new(UnexpectedServer { found }));
            return Err(CertificateError::Other(unexpected).into());
        }
        Ok(ServerCertVerified::assertion())
    }

    proves_an_ed25519_key!();
}

/// The server's view: any client that proves to hold an Ed25519 key.
#[derive(Debug)]
pub(super) struct AnyClient;

impl ClientCertVerifier for AnyClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        sole_key(end_entity, intermediates)?;
        Ok(ClientCertVerified::assertion())
    }

    proves_an_ed25519_key!();
}

fn sole_key(
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
) -> Result<PublicKey, Error> {
    match PublicKey::from_spki_der(end_entity) {
        Some(key) if intermediates.is_empty() => Ok(key),
        _ => Err(CertificateError::BadEncoding.into()),
    }
}

/// The proof that the peer holds the private half (RFC 8446, section 4.4.3).
fn verify_signature(
    message: &[u8],
    cert: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    if signed.scheme != SignatureScheme::ED25519 {
        return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
    }
    if !sole_key(cert, &[])?.verify(message, signed.signature()) {
        return Err(CertificateError::BadSignature.into());
    }
    Ok(HandshakeSignatureValid::assertion())
}

/// Never reached: only TLS 1.3 is configured.
fn tls12() -> Error {
    Error::General("only TLS 1.3 is spoken".to_owned())
}
