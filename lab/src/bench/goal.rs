//! What the figures of a case should come to: a goal, and whether the medians of a table meet it.
//!
//! The goals themselves are in `catalog`.

use serde::Serialize;

use super::result::CaseResult;

/// The tool that all goals are about.
pub const OURS: &str = "ours";

/// Something that our median should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// The tool whose median it is measured by; `None` for MB/s.
    pub(super) rival: Option<&'static str>,
    pub(super) at_least: AtLeast,
}

/// How much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AtLeast {
    /// MB/s to each receiver.
    Megabytes(f64),
    /// A share of the other's rate, in percent.
    Percent(f64),
    /// A multiple of the other's rate.
    Times(f64),
    /// Faster than the other.
    More,
}

/// How a goal was met.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The goal in words.
    pub goal: String,
    /// The figure that was measured; `None` when a tool is missing or delivered nothing to compare with.
    pub measured: Option<String>,
    /// Whether it was met; not, when it was not measured.
    pub met: bool,
}

impl Goal {
    /// So many MB/s to each receiver.
    pub(super) const fn megabytes(rate: f64) -> Self {
        Self {
            rival: None,
            at_least: AtLeast::Megabytes(rate),
        }
    }

    /// So much compared with another tool, or with `limit`.
    pub(super) const fn against(rival: &'static str, at_least: AtLeast) -> Self {
        Self {
            rival: Some(rival),
            at_least,
        }
    }

    /// Holds the medians of a case against it.
    #[must_use]
    pub fn judge(&self, result: &CaseResult) -> Verdict {
        let ours = result.median_rate(OURS);
        let figure = match self.rival {
            None => ours,
            // Nothing is a multiple of a rival that failed.
            Some(rival) => result
                .median_rate(rival)
                .filter(|rate| *rate > 0.0)
                .and_then(|rival| Some(ours? / rival)),
        };
        Verdict {
            goal: self.words(),
            measured: figure.map(|figure| self.figure_words(figure)),
            met: figure.is_some_and(|figure| self.is_met_by(figure)),
        }
    }

    fn is_met_by(&self, figure: f64) -> bool {
        match self.at_least {
            AtLeast::Megabytes(least) | AtLeast::Times(least) => figure >= least,
            AtLeast::Percent(least) => figure * 100.0 >= least,
            AtLeast::More => figure > 1.0,
        }
    }

    fn words(&self) -> String {
        let rival = self.rival.unwrap_or_default();
        match self.at_least {
            AtLeast::Megabytes(rate) => format!("{OURS} >= {rate} MB/s"),
            AtLeast::Percent(share) => format!("{OURS} >= {share} % of {rival}"),
            AtLeast::Times(factor) => format!("{OURS} >= {factor}x {rival}"),
            AtLeast::More => format!("{OURS} > {rival}"),
        }
    }

    /// With a digit more than the goal needs, so that a narrow miss does not read as met.
    fn figure_words(&self, figure: f64) -> String {
        match self.at_least {
            AtLeast::Megabytes(_) => format!("{figure:.1} MB/s"),
            AtLeast::Percent(_) => format!("{:.1} %", figure * 100.0),
            AtLeast::Times(_) | AtLeast::More => format!("{figure:.2}x"),
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.measured {
            None => write!(formatter, "goal: {}: not measured", self.goal),
            Some(measured) => {
                let verdict = if self.met { "met" } else { "MISSED" };
                write!(formatter, "goal: {}: {measured}, {verdict}", self.goal)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::{case, tool};
    use super::*;

    #[test]
    fn goals_are_met_or_missed_by_medians() {
        let result = case(vec![
            tool("ours", &[78.0, 80.0, 400.0]),
            tool("limit", &[100.0]),
            tool("uftp", &[20.0]),
            tool("chain", &[80.0]),
        ]);
        let judged = |goal: Goal| goal.judge(&result).to_string();
        assert_eq!(
            judged(Goal::megabytes(80.0)),
            "goal: ours >= 80 MB/s: 80.0 MB/s, met"
        );
        assert_eq!(
            judged(Goal::against("limit", AtLeast::Percent(90.0))),
            "goal: ours >= 90 % of limit: 80.0 %, MISSED"
        );
        assert_eq!(
            judged(Goal::against("uftp", AtLeast::Times(3.0))),
            "goal: ours >= 3x uftp: 4.00x, met"
        );
        assert_eq!(
            judged(Goal::against("chain", AtLeast::More)),
            "goal: ours > chain: 1.00x, MISSED"
        );
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        let result = case(vec![tool("ours", &[80.0]), tool("uftp", &[0.0])]);
        for rival in ["uftp", "udpcast"] {
            let verdict = Goal::against(rival, AtLeast::More).judge(&result);
            assert!(!verdict.met);
            assert!(verdict.to_string().ends_with("not measured"), "{verdict}");
        }
        let failed = case(vec![tool("ours", &[0.0])]);
        assert!(!Goal::megabytes(80.0).judge(&failed).met);
        assert!(
            Goal::megabytes(80.0).judge(&failed).measured.is_some(),
            "ours was run"
        );
    }
}
