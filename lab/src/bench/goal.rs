//! What the figures of a case should come to: a goal, and whether the medians of a table meet it.
//!
//! The goals themselves are in `catalog`.

use serde::Serialize;

use super::result::{CaseResult, ToolResult, ratio};

/// The tool that all goals are about.
pub const OURS: &str = "ours";

/// Something that our median should be. A rival is another tool of the same case, or `limit`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// At least so many MB/s to each receiver.
    Rate(f64),
    /// At least so many MB/s to each receiver but the one that is slow or killed.
    OthersRate(f64),
    /// At least such a share of a rival's rate, in percent.
    Share(&'static str, f64),
    /// At least such a multiple of a rival's rate.
    Times(&'static str, f64),
    /// Faster than a rival.
    Beyond(&'static str),
    /// At least such a share of our rate in the case beside, in percent.
    OfBeside(f64),
    /// All but the one that is slow or killed end less than so many seconds later than in the case beside.
    OthersDelay(f64),
    /// At most such a share of the processor time that a rival takes for a GB, in percent.
    Processor(&'static str, f64),
    /// At most so many MB of memory at a receiver.
    Memory(f64),
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
    /// The tool that it compares with.
    #[must_use]
    pub fn rival(&self) -> Option<&'static str> {
        match self {
            Self::Share(rival, _)
            | Self::Times(rival, _)
            | Self::Beyond(rival)
            | Self::Processor(rival, _) => Some(rival),
            _ => None,
        }
    }

    /// Holds the medians of a case, and of the one beside it, against it.
    #[must_use]
    pub fn judge(&self, result: &CaseResult, beside: Option<&CaseResult>) -> Verdict {
        let figure = self.figure(result, beside);
        Verdict {
            goal: self.words(beside.map_or("the case beside", |other| &other.case)),
            measured: figure.map(|figure| self.figure_words(figure)),
            met: figure.is_some_and(|figure| self.is_met_by(figure)),
        }
    }

    fn figure(&self, result: &CaseResult, beside: Option<&CaseResult>) -> Option<f64> {
        let ours = result.tool(OURS)?;
        let rival = self.rival().and_then(|rival| result.tool(rival));
        let cost = |tool: &ToolResult| tool.cpu_seconds_per_gigabyte(result.bytes);
        match self {
            Self::Rate(_) => ours.rate(),
            Self::OthersRate(_) => ours.others_rate(result.bytes),
            Self::Share(..) => ratio(ours.rate(), rival?.rate()).map(|share| share * 100.0),
            Self::Times(..) | Self::Beyond(_) => ratio(ours.rate(), rival?.rate()),
            Self::OfBeside(_) => {
                ratio(ours.rate(), beside?.median_rate(OURS)).map(|share| share * 100.0)
            }
            Self::OthersDelay(_) => Some(ours.others_seconds()? - beside?.tool(OURS)?.seconds()?),
            Self::Processor(..) => ratio(cost(ours), cost(rival?)).map(|share| share * 100.0),
            Self::Memory(_) => Some(ours.receiver_peak_bytes()? as f64 / 1e6),
        }
    }

    fn is_met_by(&self, figure: f64) -> bool {
        match *self {
            Self::Rate(least)
            | Self::OthersRate(least)
            | Self::Share(_, least)
            | Self::Times(_, least)
            | Self::OfBeside(least) => figure >= least,
            Self::Beyond(_) => figure > 1.0,
            Self::OthersDelay(most) => figure < most,
            Self::Processor(_, most) | Self::Memory(most) => figure <= most,
        }
    }

    fn words(&self, beside: &str) -> String {
        match self {
            Self::Rate(rate) => format!("{OURS} >= {rate} MB/s"),
            Self::OthersRate(rate) => format!("{OURS} >= {rate} MB/s to the others"),
            Self::Share(rival, share) => format!("{OURS} >= {share} % of {rival}"),
            Self::Times(rival, factor) => format!("{OURS} >= {factor}x {rival}"),
            Self::Beyond(rival) => format!("{OURS} > {rival}"),
            Self::OfBeside(share) => format!("{OURS} >= {share} % of {beside}"),
            Self::OthersDelay(seconds) => {
                format!("{OURS}: the others < {seconds} s later than in {beside}")
            }
            Self::Processor(rival, share) => {
                format!("{OURS} <= {share} % of the processor time of {rival} per GB")
            }
            Self::Memory(most) => format!("{OURS} <= {most} MB at a receiver"),
        }
    }

    /// With a digit more than the goal needs, so that a narrow miss does not read as met.
    fn figure_words(&self, figure: f64) -> String {
        match self {
            Self::Rate(_) | Self::OthersRate(_) => format!("{figure:.1} MB/s"),
            Self::Share(..) | Self::OfBeside(_) | Self::Processor(..) => format!("{figure:.1} %"),
            Self::Times(..) | Self::Beyond(_) => format!("{figure:.2}x"),
            Self::OthersDelay(_) => format!("{figure:+.2} s"),
            Self::Memory(_) => format!("{figure:.0} MB"),
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
        let judged = |goal: Goal| goal.judge(&result, None).to_string();
        assert_eq!(
            judged(Goal::Rate(80.0)),
            "goal: ours >= 80 MB/s: 80.0 MB/s, met"
        );
        assert_eq!(
            judged(Goal::Share("limit", 90.0)),
            "goal: ours >= 90 % of limit: 80.0 %, MISSED"
        );
        assert_eq!(
            judged(Goal::Times("uftp", 3.0)),
            "goal: ours >= 3x uftp: 4.00x, met"
        );
        assert_eq!(
            judged(Goal::Beyond("chain")),
            "goal: ours > chain: 1.00x, MISSED"
        );
        assert_eq!(
            judged(Goal::Memory(300.0)),
            "goal: ours <= 300 MB at a receiver: 20 MB, met"
        );
    }

    #[test]
    fn processor_time_is_compared_per_gigabyte() {
        let mut result = case(vec![tool("ours", &[80.0]), tool("uftp", &[20.0])]);
        result.tools[1].runs[0].cpu_seconds = 24.0;
        let verdict = Goal::Processor("uftp", 20.0).judge(&result, None);
        assert!(verdict.to_string().ends_with("25.0 %, MISSED"), "{verdict}");
    }

    #[test]
    fn the_case_beside_is_a_measure_of_its_own() {
        let mut result = case(vec![tool("ours", &[50.0])]);
        let mut beside = case(vec![tool("ours", &[100.0])]);
        (result.tools[0].runs[0].others_seconds, beside.case) = (Some(1.4), "7x200m".into());
        let judged = |goal: Goal| goal.judge(&result, Some(&beside)).to_string();
        assert_eq!(
            judged(Goal::OfBeside(95.0)),
            "goal: ours >= 95 % of 7x200m: 50.0 %, MISSED"
        );
        assert_eq!(
            judged(Goal::OthersDelay(1.0)),
            "goal: ours: the others < 1 s later than in 7x200m: +0.40 s, met"
        );
        assert_eq!(
            judged(Goal::OthersRate(21.0)),
            "goal: ours >= 21 MB/s to the others: 714.3 MB/s, met"
        );
        let alone = Goal::OfBeside(95.0).judge(&result, None);
        assert!(!alone.met && alone.measured.is_none());
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        let result = case(vec![tool("ours", &[80.0]), tool("uftp", &[0.0])]);
        for rival in ["uftp", "udpcast"] {
            let verdict = Goal::Beyond(rival).judge(&result, None);
            assert!(!verdict.met);
            assert!(verdict.to_string().ends_with("not measured"), "{verdict}");
        }
        let failed = case(vec![tool("ours", &[0.0])]);
        let verdict = Goal::Rate(80.0).judge(&failed, None);
        assert!(!verdict.met && verdict.measured.is_some(), "ours was run");
        assert!(!Goal::OthersRate(1.0).judge(&result, None).met);
    }
}
