//! The flags by which a node is known and reached, shared by `send` and `receive`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use grappe::network::{Network, PORT, TTL};
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
    /// Interface of the cluster's network, by name or address [default: the route's choice]
    #[arg(long, value_name = "IF")]
    interface: Option<String>,
    /// Multicast group on which copies are announced; it decides between IPv4 and IPv6 [default:
    /// 239.255.71.1, or ff15::7171:1 where there is no IPv4 address]
    #[arg(long, value_name = "GROUP")]
    group: Option<IpAddr>,
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
        if let Some(group) = self.group
            && !is_local(group)
        {
            return Err(
                CommandError::usage(format_args!("{group} is no group of local scope")).with_hint(
                    "take one of 239.0.0.0/8 (RFC 2365), or of ff12::/16 to ff18::/16 (RFC 4291)",
                ),
            );
        }
        Ok(Network::new(
            self.interface.as_deref(),
            self.group,
            self.port,
            self.ttl,
        )?)
    }
}

/// Whether a group is meant for a site, or less, and was not assigned to anything else.
fn is_local(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(group) => group.octets()[0] == 239,
        IpAddr::V6(group) => {
            let [first, second, ..] = group.octets();
            first == 0xff && (0x11..=0x18).contains(&second)
        }
    }
}
