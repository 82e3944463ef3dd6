//! The gathers that are measured: clusters, parts, and what is wanted of each.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Error, Result, bail};
use serde::Serialize;

use crate::content;
use crate::net::Plan;

/// Bytes of a frame that are its Ethernet header, as the lab's links count them, and those of the headers of IPv4
/// and UDP in a packet: what remains for the content of the largest datagram no tool can beat.
const ETHERNET_BYTES: f64 = 14.0;
const HEADER_BYTES: f64 = 28.0;

const MIB: u64 = 1 << 20;

/// A gather.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    name: &'static str,
    link_mbit: u32,
    /// Bytes that each node alone has.
    parts: Vec<u64>,
    /// Bytes that all nodes have.
    common: u64,
    goals: Option<Goals>,
    /// Links take frames of 9000 bytes.
    is_jumbo: bool,
}

/// What is wanted of a gather.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Goals {
    /// The least share of the bound, in percent.
    pub percent: f64,
    /// How many times faster than the best other tool it shall be.
    pub times: f64,
}

const NAMES: [&str; 7] = [
    "4x256m",
    "8x128m",
    "unequal",
    "common",
    "4x256m-jumbo",
    "4x1g-10g",
    "smoke",
];

/// The names of all cases.
#[must_use]
pub fn names() -> &'static [&'static str] {
    &NAMES
}

impl FromStr for Case {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let case = |name, link_mbit, parts: Vec<u64>, common, goals: Option<(f64, f64)>| Self {
            name,
            link_mbit,
            parts: parts.into_iter().map(|mib| mib * MIB).collect(),
            common: common * MIB,
            goals: goals.map(|(percent, times)| Goals { percent, times }),
            is_jumbo: false,
        };
        Ok(match name {
            "4x256m" => case("4x256m", 1000, vec![256; 4], 0, Some((90.0, 4.0))),
            "8x128m" => case("8x128m", 500, vec![128; 8], 0, Some((90.0, 4.0))),
            "unequal" => {
                let parts = (0..8).map(|exponent| 1 << exponent).collect();
                case("unequal", 1000, parts, 0, Some((85.0, 1.0)))
            }
            "common" => case("common", 1000, vec![128; 4], 128, Some((85.0, 1.0))),
            "4x256m-jumbo" => Self {
                is_jumbo: true,
                ..case("4x256m-jumbo", 1000, vec![256; 4], 0, Some((90.0, 4.0)))
            },
            "4x1g-10g" => case("4x1g-10g", 10_000, vec![1024; 4], 0, None),
            "smoke" => case("smoke", 500, vec![8; 3], 0, None),
            _ => bail!("{name:?} is no gather; there are {}", NAMES.join(", ")),
        })
    }
}

impl Case {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.name
    }

    /// How many nodes.
    #[must_use]
    pub fn nodes(&self) -> u8 {
        self.parts.len() as u8
    }

    /// The cluster.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan {
            link_mbit: Some(self.link_mbit),
            mtu: self.mtu(),
            ..Plan::of(self.nodes())
        }
    }

    fn mtu(&self) -> u32 {
        if self.is_jumbo { 9000 } else { 1500 }
    }

    /// The rate for tools that must be told one: a tenth below the link.
    #[must_use]
    pub fn told_rate_kbit(&self) -> u32 {
        self.link_mbit * 900
    }

    /// Bytes that every node has in the end.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.parts.iter().sum::<u64>() + self.common
    }

    /// Each file: the node that has it, its name, its size.
    pub fn nodes_files(&self) -> impl Iterator<Item = (u8, String, u64)> {
        let own = (1_u8..).zip(&self.parts);
        let own = own.map(|(node, bytes)| (node, format!("part{node}"), *bytes));
        let common = (1..=self.nodes()).filter(|_| self.common > 0);
        own.chain(common.map(|node| (node, "common".into(), self.common)))
    }

    /// Makes the parts: a folder `nK` for each node.
    ///
    /// # Errors
    ///
    /// When they cannot be written.
    pub fn create(&self, parts: &Path) -> Result<()> {
        for (node, name, bytes) in self.nodes_files() {
            let folder = parts.join(format!("n{node}"));
            fs::create_dir_all(&folder)?;
            // The common file is the same everywhere.
            let seed = if name == "common" {
                99
            } else {
                u64::from(node)
            };
            content::create(&folder.join(&name), bytes, seed)?;
        }
        Ok(())
    }

    /// The time that nothing can beat: what the node with the smallest part lacks, at the rate at which
    /// its link carries the largest datagrams.
    #[must_use]
    pub fn bound_seconds(&self) -> f64 {
        let least = self.parts.iter().min().copied().unwrap_or(0);
        let lacks = self.parts.iter().sum::<u64>() - least;
        let mtu = f64::from(self.mtu());
        let payload = (mtu - HEADER_BYTES) / (mtu + ETHERNET_BYTES);
        let rate = f64::from(self.link_mbit) * 1e6 / 8.0 * payload;
        lacks as f64 / rate
    }

    /// What is wanted, where anything is but that it completes.
    #[must_use]
    pub fn goals(&self) -> Option<Goals> {
        self.goals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_can_be_read_and_its_bound_is_what_the_smallest_part_lacks() {
        for name in names() {
            let case: Case = name.parse().unwrap();
            assert_eq!(case.name(), *name);
            assert!(case.bound_seconds() > 0.0);
        }
        let case: Case = "4x256m".parse().unwrap();
        assert!((case.bound_seconds() - 805_306_368.0 / 121_532_364.0).abs() < 1e-4);
        let jumbo: Case = "4x256m-jumbo".parse().unwrap();
        assert!((jumbo.bound_seconds() - 805_306_368.0 / 124_418_654.0).abs() < 1e-4);
        assert_eq!(jumbo.plan().mtu, 9000);
        assert!("7x1g".parse::<Case>().is_err());
    }
}
