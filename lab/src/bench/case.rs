//! Names of benchmark cases and the clusters they stand for: `7x200m-1%` is one sender, seven receivers,
//! links of 200 Mbit/s, 1 % of packets lost at each receiver.
//!
//! Any such name is a case; `catalog` has those with a purpose, some with a name of their own.

use std::str::FromStr;

use anyhow::{Context, Error, Result, bail};

use super::catalog::{self, Content, Spec};
use super::goal::Goal;
use crate::net::Plan;
use crate::peers::Task;

/// One cluster to measure on, and what to copy there.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    name: String,
    cluster: Cluster,
    spec: Spec,
}

/// What a name of the form `RECEIVERSxRATE[-LOSS%][-jumbo]` says.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cluster {
    receivers: u8,
    link_mbit: Option<u32>,
    loss_percent: f64,
    is_jumbo: bool,
}

impl Case {
    /// The name it was made from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster, with the sender as one more node.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let is_lossy = self.cluster.loss_percent > 0.0;
        Plan {
            link_mbit: self.cluster.link_mbit,
            slow_mbit: self.spec.slow_mbit,
            deaf: self.spec.deaf,
            // A switch that floods fills the links of those who do not hear as well.
            snooping: (1..self.cluster.receivers).contains(&self.spec.deaf),
            loss_percent: self.cluster.loss_percent,
            split: is_lossy, // a train must not be lost as a whole
            mtu: if self.cluster.is_jumbo { 9000 } else { 1500 },
            ..Plan::of(self.cluster.receivers + 1)
        }
    }

    /// What to copy; one file of `size` bytes unless the case is about something else.
    #[must_use]
    pub fn content(&self, size: u64) -> Content {
        self.spec.content.unwrap_or(Content::File { bytes: size })
    }

    /// What peers must be able to do.
    #[must_use]
    pub fn task(&self) -> Task {
        Task {
            receivers: self.cluster.receivers,
            is_folder: matches!(self.spec.content, Some(Content::Files { .. })),
            kills_one: self.spec.kills_one,
            is_deaf: self.spec.deaf > 0,
            is_lossy: self.cluster.loss_percent > 0.0,
        }
    }

    /// The node that is killed at half of the copy: the last, or one in the middle where content goes from
    /// node to node.
    #[must_use]
    pub fn victim(&self) -> Option<u8> {
        let middle = 2 + self.cluster.receivers / 2;
        let last = self.cluster.receivers + 1;
        let victim = if self.spec.deaf > 0 { middle } else { last };
        (self.spec.kills_one).then_some(victim)
    }

    /// The node that the case is about, killed or slow; what comes of the others is another question.
    #[must_use]
    pub fn odd(&self) -> Option<u8> {
        let is_odd = self.spec.kills_one || self.spec.slow_mbit.is_some();
        is_odd.then_some(self.cluster.receivers + 1)
    }

    /// The case that this one is held against.
    #[must_use]
    pub fn beside(&self) -> Option<&'static str> {
        self.spec.beside
    }

    /// What its figures should come to.
    #[must_use]
    pub fn goals(&self) -> &'static [Goal] {
        self.spec.goals
    }
}

impl FromStr for Case {
    type Err = Error;

    /// Reads a name of the catalog or `RECEIVERSxRATE[-LOSS%][-jumbo]`; the rate is `free`, or a number with
    /// `g` or `m` for Gbit/s or Mbit/s. With `jumbo` links take frames of 9000 bytes.
    fn from_str(name: &str) -> Result<Self> {
        let spec = catalog::find(name).unwrap_or(catalog::PLAIN);
        let cluster = if spec.cluster.is_empty() {
            name
        } else {
            spec.cluster
        };
        let cluster = parse(cluster).with_context(|| {
            format!(
                "{name:?} is no case: it takes RECEIVERSxRATE[-LOSS%][-jumbo], as in 7x200m-1%, or one of {}",
                catalog::names().join(", ")
            )
        })?;
        Ok(Self {
            name: name.into(),
            cluster,
            spec,
        })
    }
}

fn parse(name: &str) -> Result<Cluster> {
    let jumbo = name.strip_suffix("-jumbo");
    let (receivers, link) = jumbo.unwrap_or(name).split_once('x').context("no `x`")?;
    let (rate, loss) = match link.split_once('-') {
        Some((rate, loss)) => (rate, loss.strip_suffix('%').context("no `%`")?.parse()?),
        None => (link, 0.0),
    };
    let receivers = receivers.parse()?;
    if !(1..=200).contains(&receivers) || !(0.0..100.0).contains(&loss) {
        bail!("1 to 200 receivers, a loss of 0 to 100 %");
    }
    Ok(Cluster {
        receivers,
        link_mbit: link_mbit(rate)?,
        loss_percent: loss,
        is_jumbo: jumbo.is_some(),
    })
}

fn link_mbit(rate: &str) -> Result<Option<u32>> {
    if rate == "free" {
        return Ok(None);
    }
    let mbit = match rate.strip_suffix('g') {
        Some(gbit) => gbit.parse::<u32>()?.checked_mul(1000).context("too fast")?,
        None => rate.strip_suffix('m').context("no unit")?.parse()?,
    };
    if mbit == 0 {
        bail!("a link of no rate");
    }
    Ok(Some(mbit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(name: &str) -> Plan {
        name.parse::<Case>().unwrap().plan()
    }

    #[test]
    fn cases_are_what_their_names_say() {
        let shaped = Plan {
            link_mbit: Some(1000),
            ..Plan::of(4)
        };
        assert_eq!(plan("3x1g"), shaped);
        assert_eq!(plan("7xfree"), Plan::of(8));
        let lossy = Plan {
            link_mbit: Some(200),
            loss_percent: 1.0,
            split: true,
            ..Plan::of(8)
        };
        assert_eq!(plan("7x200m-1%"), lossy);
        let jumbo = Plan { mtu: 9000, ..lossy };
        assert_eq!(plan("7x200m-1%-jumbo"), jumbo);
        let slow = Plan {
            link_mbit: Some(200),
            slow_mbit: Some(20),
            ..Plan::of(8)
        };
        assert_eq!(plan("one-slow"), slow);
        assert!(plan("mixed").is_deaf(8) && !plan("mixed").is_deaf(5));
        assert!(plan("mixed").snooping && !plan("no-multicast").snooping);
    }

    #[test]
    fn the_last_receiver_is_the_one_that_is_killed() {
        let case: Case = "killed".parse().unwrap();
        assert_eq!(case.victim(), Some(case.plan().nodes));
        assert!(case.task().kills_one);
        assert_eq!("7x1g".parse::<Case>().unwrap().victim(), None);
    }

    #[test]
    fn small_files_are_as_many_bytes_as_the_one_file_beside_them() {
        let many: Case = "small-files".parse().unwrap();
        let one: Case = many.beside().unwrap().parse().unwrap();
        assert_eq!(many.content(1).bytes(), one.content(1).bytes());
        assert_eq!(many.plan(), one.plan());
        assert!(many.task().is_folder && !one.task().is_folder);
    }

    #[test]
    fn nonsense_is_refused() {
        for name in [
            "",
            "7",
            "7x",
            "0x1g",
            "7x1",
            "7x0m",
            "7x1g-1",
            "7x1g-100%",
            "999x1g",
            "7x9999999g",
        ] {
            assert!(name.parse::<Case>().is_err(), "{name}");
        }
    }
}
