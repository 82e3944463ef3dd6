//! Control connections: TLS 1.3 over TCP, both sides known by their Ed25519 keys, carrying frames.
//!
//! No certificates, names or authorities: a key is compared with the one that was announced or
//! looked up in the trust file (raw public keys, RFC 7250). This room does not know what the
//! frames say, whom to trust, or when to try again; the session driver does.

mod channel;
mod endpoint;
mod error;
mod raw_key;
mod tcp;

pub use channel::{Channel, ChannelReader, ChannelWriter};
pub use endpoint::{Endpoint, Limits};
pub use error::ControlError;

#[cfg(test)]
mod tests;
