//! Names of benchmark cases and the clusters they stand for: `7x200m-1%` is one sender, seven receivers,
//! links of 200 Mbit/s, 1 % of packets lost at each receiver.

use std::str::FromStr;

use anyhow::{Context, Error, Result, bail};

use crate::net::Plan;

/// One cluster to measure on.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    name: String,
    receivers: u8,
    link_mbit: Option<u32>,
    loss_percent: f64,
}

impl Case {
    /// The cases that the published figures are from.
    #[must_use]
    pub fn published() -> Vec<&'static str> {
        vec!["3x1g", "7x1g", "7x200m-1%", "7xfree"]
    }

    /// The name it was made from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster, with the sender as one more node.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let is_lossy = self.loss_percent > 0.0;
        Plan {
            link_mbit: self.link_mbit,
            loss_percent: self.loss_percent,
            split: is_lossy, // a train must not be lost as a whole
            ..Plan::of(self.receivers + 1)
        }
    }
}

impl FromStr for Case {
    type Err = Error;

    /// Reads `RECEIVERSxRATE[-LOSS%]`; the rate is `free`, or a number with `g` or `m` for Gbit/s or Mbit/s.
    fn from_str(name: &str) -> Result<Self> {
        parse(name).with_context(|| {
            format!("{name:?} is no case: it takes RECEIVERSxRATE[-LOSS%], as in 7x200m-1%")
        })
    }
}

fn parse(name: &str) -> Result<Case> {
    let (receivers, link) = name.split_once('x').context("no `x`")?;
    let (rate, loss) = match link.split_once('-') {
        Some((rate, loss)) => (rate, loss.strip_suffix('%').context("no `%`")?.parse()?),
        None => (link, 0.0),
    };
    let receivers = receivers.parse()?;
    if !(1..=200).contains(&receivers) || !(0.0..100.0).contains(&loss) {
        bail!("1 to 200 receivers, a loss of 0 to 100 %");
    }
    Ok(Case {
        name: name.into(),
        receivers,
        link_mbit: link_mbit(rate)?,
        loss_percent: loss,
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

    #[test]
    fn the_published_cases_are_what_they_say() {
        let plans: Vec<_> = Case::published()
            .iter()
            .map(|name| name.parse::<Case>().unwrap().plan())
            .collect();
        assert_eq!(
            plans[0],
            Plan {
                link_mbit: Some(1000),
                ..Plan::of(4)
            }
        );
        assert_eq!(
            plans[1],
            Plan {
                link_mbit: Some(1000),
                ..Plan::of(8)
            }
        );
        let lossy = Plan {
            link_mbit: Some(200),
            loss_percent: 1.0,
            split: true,
            ..Plan::of(8)
        };
        assert_eq!(plans[2], lossy);
        assert_eq!(plans[3], Plan::of(8));
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
