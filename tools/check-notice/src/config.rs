//! The configuration file, TOML: the own network, who is trusted, how records are to be read.
//!
//! Unknown keys are errors: a misspelt rule must not be silently absent. An example is beside the
//! documentation, `docs/check-notice.toml`.

use std::path::PathBuf;

use jiff::tz::TimeZone;
use serde::Deserialize;
use thiserror::Error;

use crate::net::Prefix;
use crate::policy::{LOG_TOLERANCE_S, Network, TOLERANCE_S};
use crate::records::{Kind, SourceRules};
use crate::sender::Trust;
use crate::time::Seconds;

/// Why a configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// Not TOML, or keys that are not known.
    #[error("{0}")]
    Format(String),
    /// A zone that does not exist.
    #[error("`{0}` is no time zone: write a name as Europe/Paris")]
    Zone(String),
    /// A dnsmasq log that serves addresses, and nobody said for how long.
    #[error(
        "source `{0}`: dnsmasq writes down no length of leases: set `lease_s` to that of its dhcp-range"
    )]
    LeaseLength(String),
    /// An authority, and nobody said for whom of those to whom it gives certificates.
    #[error(
        "complainant `{0}`: `smime_ca` may give certificates to others too: set `addresses` or `domains`"
    )]
    AnySigner(String),
}

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    network: NetworkTable,
    trust: TrustTable,
    /// Rules for files of records; the longest `file` that is the beginning of a name counts.
    source: Vec<SourceTable>,
    /// Those who complain, with what is known of them.
    complainant: Vec<Complainant>,
    /// The ledger, a SQLite file.
    pub ledger: Option<PathBuf>,
    /// A file `holder,kind,value` of private facts, for the leak test.
    pub people: Option<PathBuf>,
    /// A file of DKIM keys, lines `NAME RECORD`.
    pub dkim_keys: Option<PathBuf>,
    /// `ADDRESS:PORT` of the name server that `--online` asks.
    pub name_server: Option<std::net::SocketAddr>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct NetworkTable {
    own: Vec<Prefix>,
    never_used: Vec<Prefix>,
    incapable: Vec<Prefix>,
    shared: Vec<Prefix>,
    tolerance_s: Option<Seconds>,
    log_tolerance_s: Option<Seconds>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct TrustTable {
    authserv_ids: Vec<String>,
    border: Vec<String>,
    recipients: Vec<String>,
    arc_sealers: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceTable {
    file: String,
    kind: Option<Kind>,
    zone: Option<String>,
    complete: Option<bool>,
    #[serde(default)]
    serves: Vec<Prefix>,
    gap_s: Option<Seconds>,
    lease_s: Option<Seconds>,
    longest_s: Option<Seconds>,
    year: Option<i16>,
    /// The files whose names begin so are parts of one log.
    #[serde(default)]
    rotated: bool,
    #[serde(default)]
    sampled: bool,
}

/// Somebody who complains, pinned by the operator.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complainant {
    /// The name to show.
    pub name: String,
    /// Its domains.
    #[serde(default)]
    pub domains: Vec<String>,
    /// Domains that sign for these.
    #[serde(default)]
    pub signers: Vec<String>,
    /// How far its clock may be off, in seconds; used only where it is proven to be the sender.
    pub tolerance_s: Option<Seconds>,
    /// Fingerprint of its PGP key.
    pub pgp: Option<String>,
    /// Key ring with that key, for `gpgv`.
    pub pgp_keyring: Option<PathBuf>,
    /// Certificates to which its S/MIME signature must lead, PEM: its own, or those of an authority. The
    /// signer's has to be for one of `addresses`, or for an address in one of `domains`.
    pub smime_ca: Option<PathBuf>,
    /// Addresses in `From` for which these keys may speak.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// How to reach it: from here, never from a mail.
    pub contact: Option<String>,
}

impl Complainant {
    /// Whether a certificate for an address is that of this complainant.
    #[must_use]
    pub fn speaks_for(&self, address: &str) -> bool {
        let same = |own: &String, other: &str| own.eq_ignore_ascii_case(other);
        let Some((_, domain)) = address.rsplit_once('@') else {
            return false;
        };
        self.addresses.iter().any(|own| same(own, address))
            || self.domains.iter().any(|own| same(own, domain))
    }
}

impl Config {
    /// Reads a file's text.
    ///
    /// # Errors
    ///
    /// What is not TOML, unknown keys and wrong values; the message has line and column.
    pub fn read(text: &str) -> Result<Self, ConfigError> {
        let config: Self =
            toml::from_str(text).map_err(|error| ConfigError::Format(error.to_string()))?;
        for source in &config.source {
            if let Some(zone) = &source.zone {
                TimeZone::get(zone).map_err(|_| ConfigError::Zone(zone.clone()))?;
            }
            let dnsmasq = matches!(source.kind, Some(Kind::DnsmasqLog | Kind::DnsmasqLeases));
            if dnsmasq && !source.serves.is_empty() && source.lease_s.is_none() {
                return Err(ConfigError::LeaseLength(source.file.clone()));
            }
        }
        for one in &config.complainant {
            if one.smime_ca.is_some() && one.addresses.is_empty() && one.domains.is_empty() {
                return Err(ConfigError::AnySigner(one.name.clone()));
            }
        }
        Ok(config)
    }

    /// The network; `sender` is the proven one, whose clock may be known better.
    #[must_use]
    pub fn network(&self, sender: Option<&str>) -> Network {
        let table = &self.network;
        let pinned = sender
            .and_then(|name| self.complainant(name))
            .and_then(|one| one.tolerance_s);
        Network {
            own: table.own.clone(),
            never_used: table.never_used.clone(),
            incapable: table.incapable.clone(),
            shared: table.shared.clone(),
            tolerance_s: pinned
                .or(table.tolerance_s)
                .unwrap_or(TOLERANCE_S)
                .clamp(0, 86_400),
            log_tolerance_s: table
                .log_tolerance_s
                .unwrap_or(LOG_TOLERANCE_S)
                .clamp(0, 3_600),
        }
    }

    /// Whom to believe.
    #[must_use]
    pub fn trust(&self) -> Trust {
        let pairs = self.complainants().iter().flat_map(|one| {
            one.signers.iter().flat_map(|signer| {
                one.domains
                    .iter()
                    .map(move |domain| (lower(signer), lower(domain)))
            })
        });
        Trust {
            authserv_ids: self.trust.authserv_ids.clone(),
            border: self.trust.border.clone(),
            recipients: self.trust.recipients.clone(),
            arc_sealers: self.trust.arc_sealers.clone(),
            aligned: pairs.collect(),
        }
    }

    /// All that complain and are known.
    #[must_use]
    pub fn complainants(&self) -> &[Complainant] {
        &self.complainant
    }

    /// The one with this name or domain.
    #[must_use]
    pub fn complainant(&self, identity: &str) -> Option<&Complainant> {
        let same = |text: &String| text.eq_ignore_ascii_case(identity);
        self.complainant
            .iter()
            .find(|one| same(&one.name) || one.domains.iter().chain(&one.signers).any(same))
    }

    /// How to read a file of records, if its kind is known or configured.
    #[must_use]
    pub fn rules(&self, name: &str, sniffed: Option<Kind>) -> Option<SourceRules> {
        let table = self
            .source
            .iter()
            .filter(|source| name.starts_with(&source.file))
            .max_by_key(|source| source.file.len());
        let mut rules = SourceRules::of(table.and_then(|table| table.kind).or(sniffed)?);
        rules.zone_stated = table.is_some_and(|table| table.zone.is_some());
        if let Some(table) = table {
            rules.zone = table
                .zone
                .as_ref()
                .and_then(|zone| TimeZone::get(zone).ok())
                .unwrap_or(rules.zone);
            rules.complete = table.complete.unwrap_or(rules.complete);
            rules.serves.clone_from(&table.serves);
            rules.gap_s = table.gap_s.filter(|gap| *gap > 0);
            rules.lease_s = table.lease_s.map(|length| length.clamp(1, 366 * 86_400));
            rules.longest_s = table.longest_s.map(|length| length.clamp(0, 366 * 86_400));
            rules.year = table.year;
            rules.sampled = table.sampled;
            rules.log = table.rotated.then(|| table.file.clone());
            let dnsmasq = matches!(rules.kind, Kind::DnsmasqLog | Kind::DnsmasqLeases);
            if dnsmasq && rules.lease_s.is_none() {
                // Its kind was seen only now: then its silence counts for nothing.
                rules.serves.clear();
            }
        }
        Some(rules)
    }
}

fn lower(text: &str) -> String {
    text.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_read_and_a_misspelt_key_is_not() {
        let config = Config::read(include_str!("../../../docs/check-notice.toml")).unwrap();
        assert_eq!(config.network(Some("rights.example")).tolerance_s, 5);
        assert_eq!(config.network(None).tolerance_s, 7_200);
        assert!(Config::read("[network]\nowned = []\n").is_err());
    }
}
