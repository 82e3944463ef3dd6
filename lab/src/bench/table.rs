//! The benchmark's page: one Markdown table for each case, ready for `docs/performance.md`.
//!
//! Medians, with the range beside them, then the case beside it and the goals. No figure is formed here.

use std::fmt::Write;

use super::goal::OURS;
use super::result::{CaseResult, ToolResult, ratio};
use crate::peers::Run;

const HEAD: &str = "\
| tool | MB/s to each (range) | ours is | of the limit | processor s per GB | receiver's peak MB | whole | runs | |
|---|---|---|---|---|---|---|---|---|
";

/// All cases as Markdown.
#[must_use]
pub fn markdown(results: &[CaseResult]) -> String {
    let tables = results.iter().map(|result| {
        let mut text = table(result);
        let beside = result.beside.as_ref().and_then(|name| {
            let other = results.iter().find(|other| other.case == *name)?;
            held_against(result, other)
        });
        let others = others(result);
        let goals = result.goals.iter().map(ToString::to_string);
        for line in beside.into_iter().chain(others).chain(goals) {
            text.push_str(&format!("\n{line}\n"));
        }
        text
    });
    tables.collect::<Vec<_>>().join("\n")
}

/// One run as a line of progress.
pub(super) fn run_line(case: &str, round: usize, tool: &str, run: &Run) -> String {
    format!(
        "{case} round {}: {tool} {}/{} whole, {:.2} s, {:.1} MB/s, {:.1} s of processor{}",
        round + 1,
        run.whole,
        run.of,
        run.seconds,
        run.megabytes_per_second,
        run.cpu_seconds,
        run.note
            .as_ref()
            .map(|note| format!(" ({note})"))
            .unwrap_or_default(),
    )
}

fn table(result: &CaseResult) -> String {
    let size = result.bytes as f64 / f64::from(1 << 20);
    let files = match result.files {
        1 => String::new(),
        count => format!(" in {count} files"),
    };
    let mut table = format!("### {}, {size:.0} MiB{files}\n\n{HEAD}", result.case);
    for tool in &result.tools {
        table.push_str(&row(tool, result));
    }
    table
}

fn row(tool: &ToolResult, result: &CaseResult) -> String {
    let name = &tool.tool;
    let (Some(rate), Some((low, high))) = (tool.rate(), tool.range()) else {
        let reason = tool.skipped.as_deref().unwrap_or("no run");
        return format!("| {name} | - | - | - | - | - | - | 0 | skipped: {reason} |\n");
    };
    let times = (name != OURS)
        .then(|| ratio(result.median_rate(OURS), Some(rate)))
        .flatten();
    let share = ratio(Some(rate), result.median_rate("limit"));
    let whole: usize = tool.runs.iter().map(|run| run.whole).sum();
    let of: usize = tool.runs.iter().map(|run| run.of).sum();
    let mut row = format!("| {name} | {rate:.1} ({low:.1}-{high:.1})");
    // Writing to a string cannot fail.
    let _ = writeln!(
        row,
        " | {} | {} | {} | {} | {whole}/{of} | {} | {} |",
        known(times, |times| format!("{times:.2} x")),
        known(share, |share| format!("{:.0} %", share * 100.0)),
        known(tool.cpu_seconds_per_gigabyte(result.bytes), |cpu| format!(
            "{cpu:.2}"
        )),
        known(tool.receiver_peak_bytes(), |peak| format!(
            "{:.0}",
            peak as f64 / 1e6
        )),
        tool.runs.len(),
        // A cell must hold no bar and no line break.
        tool.notes().join("; ").replace('|', "/").replace('\n', " "),
    );
    row
}

/// What each tool brought to all but the node that is killed or slow.
fn others(result: &CaseResult) -> Option<String> {
    let figure = |tool: &ToolResult| {
        let (rate, seconds) = (tool.others_rate(result.bytes)?, tool.others_seconds()?);
        Some(format!("{} {rate:.1} MB/s, {seconds:.2} s", tool.tool))
    };
    let figures: Vec<_> = result.tools.iter().filter_map(figure).collect();
    (!figures.is_empty()).then(|| format!("to the others: {}", figures.join("; ")))
}

/// How each tool did here compared with another case, as rates and as seconds that a user waits longer.
fn held_against(result: &CaseResult, other: &CaseResult) -> Option<String> {
    let figures = result.tools.iter().filter_map(|tool| {
        let before = other.tool(&tool.tool)?;
        let times = ratio(tool.rate(), before.rate())?;
        let delay = tool.seconds().zip(before.seconds());
        let delay = delay.map_or(String::new(), |(here, there)| {
            format!(", {:+.2} s", here - there)
        });
        Some(format!("{} {times:.2} x{delay}", tool.tool))
    });
    let figures: Vec<_> = figures.collect();
    (!figures.is_empty()).then(|| format!("beside {}: {}", other.case, figures.join("; ")))
}

fn known<T>(figure: Option<T>, words: impl FnOnce(T) -> String) -> String {
    figure.map_or_else(|| "-".into(), words)
}

#[cfg(test)]
mod tests {
    use super::super::goal::Goal;
    use super::super::result::tests::{case, tool};
    use super::*;

    #[test]
    fn a_table_has_medians_ranges_ratios_and_costs() {
        let mut scp = tool("scp", &[]);
        scp.skipped = Some("not installed".into());
        let tools = vec![
            tool("ours", &[90.0, 100.0, 80.0]),
            tool("limit", &[120.0]),
            tool("uftp", &[40.0, 50.0]),
            scp,
        ];
        let page = markdown(&[case(tools)]);
        assert!(
            page.contains("| ours | 90.0 (80.0-100.0) | - | 75 % | 2.00 | 20 | 9/9 | 3 |"),
            "{page}"
        );
        assert!(
            page.contains("| uftp | 45.0 (40.0-50.0) | 2.00 x | 38 % |"),
            "{page}"
        );
        assert!(page.contains("skipped: not installed"), "{page}");
    }

    #[test]
    fn failed_runs_divide_nothing() {
        let tools = vec![tool("ours", &[0.0]), tool("uftp", &[0.0])];
        let page = markdown(&[case(tools)]);
        assert!(
            page.contains("| uftp | 0.0 (0.0-0.0) | - | - | - |"),
            "{page}"
        );
        assert!(page.contains("| 2/3 | 1 |"), "{page}");
    }

    #[test]
    fn notes_break_no_table() {
        let mut ours = tool("ours", &[90.0, 0.0]);
        ours.runs[1].note = Some("first | second\nthird".into());
        let page = markdown(&[case(vec![ours])]);
        assert!(
            page.contains("| 2 | round 2: first / second third |"),
            "{page}"
        );
    }

    #[test]
    fn goals_and_the_case_beside_come_after_the_table() {
        let before = case(vec![tool("ours", &[100.0])]);
        let mut result = case(vec![tool("ours", &[90.0])]);
        result.case = "killed".into();
        result.beside = Some("3x1g".into());
        result.tools[0].runs[0].seconds = 1.5;
        result.goals = vec![Goal::Rate(95.0).judge(&result, None)];
        let page = markdown(&[before, result]);
        let (_, after) = page.split_once("### killed").unwrap();
        assert!(
            after.contains("\nbeside 3x1g: ours 0.90 x, +0.50 s\n"),
            "{page}"
        );
        assert!(
            after.ends_with("\ngoal: ours >= 95 MB/s: 90.0 MB/s, MISSED\n"),
            "{page}"
        );
    }
}
