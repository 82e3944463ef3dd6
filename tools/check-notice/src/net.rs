//! Prefixes of addresses, as operators write them: `192.0.2.0/24`, `2001:db8::/32`, one address.

use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;
use thiserror::Error;

/// A prefix of IPv4 or IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Prefix {
    bits: u128,
    length: u8,
    v6: bool,
}

/// A text that is no prefix.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no prefix: write 192.0.2.0/24, 2001:db8::/32 or one address")]
pub struct BadPrefix(String);

impl Prefix {
    /// The prefix that holds one address alone.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let (bits, v6) = key(address);
        let length = if v6 { 128 } else { 32 };
        Self { bits, length, v6 }
    }

    /// Whether an address is in it.
    #[must_use]
    pub fn holds(self, address: IpAddr) -> bool {
        let (bits, v6) = key(address);
        v6 == self.v6 && (bits ^ self.bits) & mask(self.length, v6) == 0
    }

    /// The prefix of a length around an address; nothing if addresses of its family are shorter.
    #[must_use]
    pub fn around(address: IpAddr, length: u8) -> Option<Self> {
        let whole = Self::of(address);
        (length <= whole.length).then(|| Self {
            bits: whole.bits & mask(length, whole.v6),
            length,
            v6: whole.v6,
        })
    }

    /// Its length in bits.
    #[must_use]
    pub fn length(self) -> u8 {
        self.length
    }

    /// Its first address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        if self.v6 {
            IpAddr::V6(self.bits.into())
        } else {
            IpAddr::V4(std::net::Ipv4Addr::from(
                u32::try_from(self.bits).unwrap_or(0),
            ))
        }
    }
}

fn key(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), false),
        IpAddr::V6(v6) => (u128::from(v6), true),
    }
}

fn mask(length: u8, v6: bool) -> u128 {
    let width = if v6 { 128 } else { 32 };
    let host = width - u32::from(length).min(width);
    if host >= 128 { 0 } else { u128::MAX << host }
}

impl FromStr for Prefix {
    type Err = BadPrefix;

    fn from_str(text: &str) -> Result<Self, BadPrefix> {
        let bad = || BadPrefix(text.to_owned());
        let (address, length) = text
            .trim()
            .split_once('/')
            .map_or((text.trim(), None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address.parse().map_err(|_| bad())?;
        let length = match length {
            None => Self::of(address).length,
            Some(length) => length.parse().map_err(|_| bad())?,
        };
        Self::around(address, length).ok_or_else(bad)
    }
}

impl TryFrom<String> for Prefix {
    type Error = BadPrefix;

    fn try_from(text: String) -> Result<Self, BadPrefix> {
        text.parse()
    }
}

/// Whether an address says where in the Internet it is (RFC 6890). One behind somebody's translator does not.
///
/// Ranges for documentation count as public: examples use them as such.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                // RFC 6598: between a provider and its translator.
                || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64))
        }
        IpAddr::V6(v6) => {
            !(v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_loopback()
                || v6.is_unspecified())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_its_own_and_no_other() {
        let prefix: Prefix = "192.0.2.77/24".parse().unwrap();
        assert!(prefix.holds("192.0.2.1".parse().unwrap()));
        assert!(prefix.holds("::ffff:192.0.2.1".parse().unwrap()));
        assert!(!prefix.holds("192.0.3.1".parse().unwrap()));
        assert!(!prefix.holds("::c000:201".parse().unwrap()));
        let all: Prefix = "::/0".parse().unwrap();
        assert!(all.holds("2001:db8::1".parse().unwrap()));
        assert!("192.0.2.0/33".parse::<Prefix>().is_err());
        assert!("192.0.2".parse::<Prefix>().is_err());
    }
}
