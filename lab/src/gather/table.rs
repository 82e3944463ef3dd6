//! The page of the gathers: one Markdown table for each case. Medians, and the bound beside them.

use std::fmt::Write;

use super::{CaseResult, Run, TOOLS};

const HEAD: &str = "\
| tool | seconds (range) | of the bound | ours is | processor s | runs | |
|---|---|---|---|---|---|---|
";

/// All cases as Markdown.
#[must_use]
pub fn markdown(results: &[CaseResult]) -> String {
    let tables: Vec<String> = results.iter().map(table).collect();
    tables.join("\n")
}

/// One run as a line of progress.
pub(super) fn run_line(case: &str, round: usize, run: &Run) -> String {
    let seconds = run
        .seconds
        .map_or_else(|| "failed".into(), |it| format!("{it:.2} s"));
    format!(
        "{case} round {}: {} {seconds}, {:.1} s of processor ({})",
        round + 1,
        run.tool,
        run.cpu_seconds,
        run.note
    )
}

fn table(result: &CaseResult) -> String {
    let mut text = format!(
        "### {}, {:.0} MiB at each node in the end, bound {:.2} s\n\n{HEAD}",
        result.case,
        result.bytes as f64 / f64::from(1 << 20),
        result.bound_seconds
    );
    let ours = median(result, "ours");
    for tool in TOOLS {
        let runs: Vec<&Run> = result.runs.iter().filter(|run| run.tool == tool).collect();
        let Some(last) = runs.last() else { continue };
        let Some(seconds) = median(result, tool) else {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "| {tool} | failed | - | - | - | {} | {} |",
                runs.len(),
                last.note
            );
            continue;
        };
        let whole = || runs.iter().filter_map(|run| run.seconds);
        let range = (
            whole().fold(f64::MAX, f64::min),
            whole().fold(0.0, f64::max),
        );
        let times = match ours {
            Some(ours) if tool != "ours" => format!("{:.2} x", seconds / ours),
            _ => "-".into(),
        };
        let cpu = runs.iter().map(|run| run.cpu_seconds).sum::<f64>() / runs.len() as f64;
        let _ = writeln!(
            text,
            "| {tool} | {seconds:.2} ({:.2}-{:.2}) | {:.0} % | {times} | {cpu:.1} | {} | {} |",
            range.0,
            range.1,
            100.0 * result.bound_seconds / seconds,
            runs.len(),
            last.note
        );
    }
    text.push_str(&goals(result, ours));
    text
}

fn goals(result: &CaseResult, ours: Option<f64>) -> String {
    let Some(ours) = ours else {
        return "\ngoal: grappe completes: MISSED\n".into();
    };
    let Some(goals) = result.goals else {
        return "\ngoal: grappe completes: met\n".into();
    };
    let word = |is_met: bool| if is_met { "met" } else { "MISSED" };
    let percent = 100.0 * result.bound_seconds / ours;
    let mut text = format!(
        "\ngoal: ours >= {:.0} % of the bound, the whole command: {percent:.1} %, {}\n",
        goals.percent,
        word(percent >= goals.percent)
    );
    let rivals = TOOLS.iter().filter(|tool| **tool != "ours");
    if let Some(best) = rivals
        .filter_map(|tool| median(result, tool))
        .reduce(f64::min)
    {
        let times = best / ours;
        let _ = write!(
            text,
            "\ngoal: ours >= {} x the best of the others: {times:.2} x, {}\n",
            goals.times,
            word(times >= goals.times)
        );
    }
    text
}

/// The median of the runs of a tool; none when one of them failed.
fn median(result: &CaseResult, tool: &str) -> Option<f64> {
    let runs = result.runs.iter().filter(|run| run.tool == tool);
    let mut seconds: Vec<f64> = runs.map(|run| run.seconds).collect::<Option<_>>()?;
    seconds.sort_by(f64::total_cmp);
    let middle = seconds.len() / 2;
    match seconds.len() {
        0 => None,
        length if length % 2 == 1 => Some(seconds[middle]),
        _ => Some(f64::midpoint(seconds[middle - 1], seconds[middle])),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Goals;
    use super::*;

    fn run(tool: &'static str, seconds: Option<f64>) -> Run {
        Run {
            tool,
            seconds,
            cpu_seconds: 1.0,
            note: "a note".into(),
        }
    }

    #[test]
    fn without_goals_it_only_has_to_complete() {
        let result = CaseResult {
            case: "smoke".into(),
            bytes: 1,
            bound_seconds: 1.0,
            runs: Vec::new(),
            goals: None,
        };
        assert!(goals(&result, Some(2.0)).contains("completes: met"));
        assert!(goals(&result, None).contains("completes: MISSED"));
    }

    #[test]
    fn the_bound_the_rivals_and_the_goals_are_on_the_page() {
        let mut result = CaseResult {
            case: "4x256m".into(),
            bytes: 1 << 30,
            bound_seconds: 9.0,
            runs: vec![
                run("ours", Some(10.0)),
                run("uftp", Some(50.0)),
                run("rsync", None),
            ],
            goals: Some(Goals {
                percent: 90.0,
                times: 6.0,
            }),
        };
        let page = table(&result);
        assert!(
            page.contains("| ours | 10.00 (10.00-10.00) | 90 %"),
            "{page}"
        );
        assert!(page.contains("5.00 x, MISSED"), "{page}");
        assert!(page.contains("90.0 %, met"), "{page}");
        assert!(page.contains("| rsync | failed"), "{page}");
        result.runs.push(run("ours", None));
        assert!(
            table(&result).contains("MISSED"),
            "one failure is no success"
        );
    }
}
