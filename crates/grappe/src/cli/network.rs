//! The flags by which a node is known and reached, shared by `send` and `receive`.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::Args;
use grappe::network::{ANNOUNCE_GROUP, Network, PORT, TTL};
use grappe::trust::{Identity, TrustFile, key_candidates};

use super::error::CommandError;

/// Keys and network.
#[derive(Debug, Args)]
pub(crate) struct NodeArguments {
    /// This node's private key (OpenSSH, Ed25519) [default: $GRAPPE_KEY, ~/.config/grappe/key,
    /// /etc/grappe/key]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Whose keys are trusted, in the form of ssh's authorized_keys [default: only this node's own]
    #[arg(long, value_name = "FILE")]
    trust: Option<PathBuf>,
    /// Interface of the cluster's network, by name or IPv4 address [default: the route's choice]
    #[arg(long, value_name = "IF")]
    interface: Option<String>,
    /// Multicast group on which copies are announced
    #[arg(long, value_name = "GROUP", default_value_t = ANNOUNCE_GROUP)]
    group: Ipv4Addr,
    /// UDP port of announcements and data
    #[arg(long, default_value_t = PORT, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Routers that packets may pass, plus one: 1 stays on the link
    #[arg(long, default_value_t = TTL)]
    ttl: u8,
    /// End in order when standard input ends: whoever started this holds it open while it lives
    #[arg(long, hide = true)]
    pub(crate) until_eof: bool,
}

impl NodeArguments {
    /// This node's key and whom it trusts.
    pub(crate) fn identity(&self) -> Result<(Identity, TrustFile), CommandError> {
        let candidates = key_candidates(
            self.key.clone(),
            std::env::var_os("GRAPPE_KEY"),
            std::env::home_dir(),
        );
        let identity = Identity::find(&candidates)?;
        let trust = match &self.trust {
            Some(path) => TrustFile::load(path)?,
            None => TrustFile::only(identity.public()),
        };
        Ok((identity, trust))
    }

    /// Whether a key or a trust file was named.
    pub(crate) const fn names_keys(&self) -> bool {
        self.key.is_some() || self.trust.is_some()
    }

    /// The network to use.
    pub(crate) fn network(&self) -> Result<Network, CommandError> {
        if self.group.octets()[0] != 239 {
            return Err(CommandError::usage(format_args!(
                "{} is no group of local scope",
                self.group
            ))
            .with_hint("take one of 239.0.0.0/8 (RFC 2365)"));
        }
        Ok(Network::new(
            self.interface.as_deref(),
            self.group,
            self.port,
            self.ttl,
        )?)
    }
}
