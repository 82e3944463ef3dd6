//! The gathers that are measured: clusters, parts, and what is wanted of each.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use anyhow::{Error, Result, bail};

use crate::content;
use crate::net::Plan;

/// Bytes of a frame as the lab's links count them, and of content in it, for the largest UDP datagram at
/// MTU 1500: what no tool can beat.
const FRAME_BYTES: f64 = 1514.0;
const PAYLOAD_BYTES: f64 = 1472.0;

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
    goal_percent: f64,
    goal_times: f64,
}

const NAMES: [&str; 5] = ["4x256m", "8x128m", "unequal", "common", "smoke"];

/// The names of all cases.
#[must_use]
pub fn names() -> &'static [&'static str] {
    &NAMES
}

impl FromStr for Case {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let case = |name, link_mbit, parts: Vec<u64>, common, goal_percent, goal_times| Self {
            name,
            link_mbit,
            parts: parts.into_iter().map(|mib| mib * MIB).collect(),
            common: common * MIB,
            goal_percent,
            goal_times,
        };
        Ok(match name {
            "4x256m" => case("4x256m", 1000, vec![256; 4], 0, 90.0, 4.0),
            "8x128m" => case("8x128m", 500, vec![128; 8], 0, 90.0, 4.0),
            "unequal" => {
                let parts = (0..8).map(|exponent| 1 << exponent).collect();
                case("unequal", 1000, parts, 0, 85.0, 1.0)
            }
            "common" => case("common", 1000, vec![128; 4], 128, 85.0, 1.0),
            "smoke" => case("smoke", 500, vec![8; 3], 0, 1.0, 0.1),
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
            ..Plan::of(self.nodes())
        }
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
        let rate = f64::from(self.link_mbit) * 1e6 / 8.0 * PAYLOAD_BYTES / FRAME_BYTES;
        lacks as f64 / rate
    }

    /// The least share of the bound that grappe shall reach, in percent, as it says itself.
    #[must_use]
    pub fn goal_percent(&self) -> f64 {
        self.goal_percent
    }

    /// How many times faster than the best other tool it shall be.
    #[must_use]
    pub fn goal_times(&self) -> f64 {
        self.goal_times
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
        assert!("7x1g".parse::<Case>().is_err());
    }
}
