//! The benchmark's page: one Markdown table for each case, ready for `docs/performance.md`.
//!
//! Medians, with the range beside them; a failed run counts as 0 MB/s and shows in the range.

use std::fmt::Write;

use super::{CaseResult, ToolResult};
use crate::peers::Run;

const OURS: &str = "ours";

/// All cases as Markdown.
#[must_use]
pub fn markdown(results: &[CaseResult]) -> String {
    let mut page = String::new();
    for result in results {
        page.push_str(&case(result));
        page.push('\n');
    }
    page
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

fn case(result: &CaseResult) -> String {
    let mut table = format!("### {}, {} MiB\n\n", result.case, result.size >> 20);
    table.push_str(
        "| tool | MB/s to each (range) | ours is | of the limit | processor s | whole | runs | |\n",
    );
    table.push_str("|---|---|---|---|---|---|---|---|\n");
    let rate_of = |name| {
        result
            .tools
            .iter()
            .find(|tool| tool.tool == name)
            .and_then(rate)
    };
    let (ours, limit) = (rate_of(OURS), rate_of("limit"));
    for tool in &result.tools {
        table.push_str(&row(tool, ours, limit));
    }
    table
}

fn row(tool: &ToolResult, ours: Option<f64>, limit: Option<f64>) -> String {
    let mut row = format!("| {} |", tool.tool);
    let Some(own) = rate(tool) else {
        let reason = tool.skipped.as_deref().unwrap_or("no run");
        return format!("{row} - | - | - | - | - | 0 | skipped: {reason} |\n");
    };
    let rates = || tool.runs.iter().map(|run| run.megabytes_per_second);
    let low = rates().fold(f64::INFINITY, f64::min);
    let high = rates().fold(0.0, f64::max);
    let cpu = median(tool.runs.iter().map(|run| run.cpu_seconds).collect()).unwrap_or(0.0);
    let whole: usize = tool.runs.iter().map(|run| run.whole).sum();
    let of: usize = tool.runs.iter().map(|run| run.of).sum();
    let times = if tool.tool == OURS {
        None
    } else {
        ratio(ours, Some(own))
    };
    let times = times.map_or("-".into(), |times| format!("{times:.2} x"));
    let share =
        ratio(Some(own), limit).map_or("-".into(), |share| format!("{:.0} %", share * 100.0));
    // Writing to a string cannot fail.
    let _ = writeln!(
        row,
        " {own:.1} ({low:.1}-{high:.1}) | {times} | {share} | {cpu:.1} | {whole}/{of} | {} | {} |",
        tool.runs.len(),
        notes(&tool.runs),
    );
    row
}

fn rate(tool: &ToolResult) -> Option<f64> {
    median(
        tool.runs
            .iter()
            .map(|run| run.megabytes_per_second)
            .collect(),
    )
}

fn ratio(numerator: Option<f64>, denominator: Option<f64>) -> Option<f64> {
    let (numerator, denominator) = (numerator?, denominator?);
    (denominator > 0.0).then(|| numerator / denominator)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// The last run speaks for all; a table cell must hold no bar and no line break.
fn notes(runs: &[Run]) -> String {
    let note = runs
        .last()
        .and_then(|run| run.note.as_deref())
        .unwrap_or_default();
    note.replace('|', "/").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(name: &str, rates: &[f64]) -> ToolResult {
        let runs = rates.iter().map(|&megabytes_per_second| Run {
            whole: 3,
            of: 3,
            seconds: 1.0,
            megabytes_per_second,
            cpu_seconds: 2.0,
            note: None,
        });
        ToolResult {
            tool: name.into(),
            runs: runs.collect(),
            skipped: None,
        }
    }

    #[test]
    fn a_table_has_medians_ranges_and_ratios() {
        let mut scp = tool("scp", &[]);
        scp.skipped = Some("not installed".into());
        let tools = vec![
            tool("ours", &[90.0, 100.0, 80.0]),
            tool("limit", &[120.0]),
            tool("uftp", &[40.0, 50.0]),
            scp,
        ];
        let page = markdown(&[CaseResult {
            case: "3x1g".into(),
            size: 1 << 20,
            tools,
        }]);
        assert!(
            page.contains("| ours | 90.0 (80.0-100.0) | - | 75 % | 2.0 | 9/9 | 3 |"),
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
        let page = markdown(&[CaseResult {
            case: "3x1g".into(),
            size: 1 << 20,
            tools,
        }]);
        assert!(page.contains("| uftp | 0.0 (0.0-0.0) | - | - |"), "{page}");
    }
}
