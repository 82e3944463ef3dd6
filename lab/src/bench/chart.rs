//! The benchmark's picture: horizontal bars of the medians, one group for each case, as an SVG file.
//!
//! Made of the same results as the table, or of the table itself (`published`). Colours follow the reader's
//! light or dark page.

use std::fmt::Write;

use super::goal::OURS;
use super::result::{CaseResult, ToolResult};

const WIDTH: f64 = 720.0;
const LABELS_WIDTH: f64 = 96.0;
const FIGURES_WIDTH: f64 = 150.0;
const BARS_WIDTH: f64 = WIDTH - LABELS_WIDTH - FIGURES_WIDTH;
const TITLE_HEIGHT: f64 = 34.0;
const ROW_HEIGHT: f64 = 22.0;
const BAR_HEIGHT: f64 = 14.0;
const GROUP_GAP: f64 = 12.0;

const STYLE: &str = "\
text{font:13px sans-serif;fill:#222}.case{font-weight:bold}.ours{fill:#1a7f5a}.limit{fill:#b8b8b8}
.peer{fill:#5b7fb5}.range{stroke:#222;stroke-width:1.5}
@media(prefers-color-scheme:dark){text{fill:#ddd}.ours{fill:#3fbf8f}.limit{fill:#666}.peer{fill:#7ea1d6}
.range{stroke:#ddd}}";

/// The tools of one case.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What is above the bars.
    pub title: String,
    /// From the top down.
    pub bars: Vec<Bar>,
}

/// One tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// Its name.
    pub tool: String,
    /// The median, in MB/s to each receiver.
    pub rate: f64,
    /// The slowest run.
    pub low: f64,
    /// The fastest run.
    pub high: f64,
}

impl From<&CaseResult> for Group {
    fn from(result: &CaseResult) -> Self {
        let bar = |tool: &ToolResult| {
            let (low, high) = tool.range()?;
            Some(Bar {
                tool: tool.tool.clone(),
                rate: tool.rate()?,
                low,
                high,
            })
        };
        Self {
            title: result.case.clone(),
            bars: result.tools.iter().filter_map(bar).collect(),
        }
    }
}

/// All cases as one SVG document. Each case has a scale of its own, as their rates are far apart.
#[must_use]
pub fn svg(groups: &[Group]) -> String {
    let mut body = String::new();
    let mut top = 0.0;
    for group in groups {
        top = draw(&mut body, group, top);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" role=\"img\">\n\
         <title>MB/s to each receiver, median of all runs with the range</title>\n\
         <style>{STYLE}</style>\n{body}</svg>\n"
    )
}

/// Draws a case at `top` and answers where the next begins.
fn draw(body: &mut String, group: &Group, top: f64) -> f64 {
    // Writing to a string cannot fail; so everywhere below.
    let _ = writeln!(
        body,
        "<text class=\"case\" x=\"0\" y=\"{}\">{}: MB/s to each receiver</text>",
        top + TITLE_HEIGHT - 12.0,
        escaped(&group.title),
    );
    let most = group.bars.iter().map(|bar| bar.high).fold(1.0, f64::max);
    let mut row_top = top + TITLE_HEIGHT;
    for bar in &group.bars {
        row(body, bar, row_top, BARS_WIDTH / most);
        row_top += ROW_HEIGHT;
    }
    row_top + GROUP_GAP
}

/// A bar for the median, a line from the slowest to the fastest run, and the figures.
fn row(body: &mut String, bar: &Bar, top: f64, width_per_megabyte: f64) {
    let Bar {
        tool,
        rate,
        low,
        high,
    } = bar;
    let class = match tool.as_str() {
        OURS => "ours",
        "limit" | "limit-sealed" => "limit",
        _ => "peer",
    };
    let at = |rate: f64| LABELS_WIDTH + rate * width_per_megabyte;
    let (middle, baseline) = (top + BAR_HEIGHT / 2.0, top + BAR_HEIGHT - 2.0);
    let _ = writeln!(
        body,
        "<text x=\"0\" y=\"{baseline}\">{}</text>\
         <rect class=\"{class}\" x=\"{LABELS_WIDTH}\" y=\"{top}\" width=\"{:.1}\" height=\"{BAR_HEIGHT}\"/>\
         <line class=\"range\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{middle}\" y2=\"{middle}\"/>\
         <text x=\"{:.1}\" y=\"{baseline}\">{rate:.1} ({low:.1}-{high:.1})</text>",
        escaped(tool),
        rate * width_per_megabyte,
        at(*low),
        at(*high),
        at(*high) + 6.0,
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::super::result::tests::{case, tool};
    use super::*;

    #[test]
    fn bars_are_as_long_as_their_medians_and_groups_do_not_overlap() {
        let first = case(vec![
            tool("ours", &[50.0, 100.0, 75.0]),
            tool("limit", &[100.0]),
            tool("scp", &[]),
        ]);
        let picture = svg(&[
            Group::from(&first),
            Group::from(&case(vec![tool("ours", &[1.0])])),
        ]);
        let full = format!("width=\"{BARS_WIDTH:.1}\"");
        let three_quarters = format!("width=\"{:.1}\"", BARS_WIDTH * 0.75);
        assert!(picture.contains(&full) && picture.contains(&three_quarters));
        assert!(picture.contains("75.0 (50.0-100.0)"), "{picture}");
        assert!(!picture.contains("scp"), "no bar without runs");
        let height = 2.0 * (TITLE_HEIGHT + GROUP_GAP) + 3.0 * ROW_HEIGHT;
        assert!(picture.contains(&format!("viewBox=\"0 0 {WIDTH} {height}\"")));
        assert_eq!(picture.matches("<rect").count(), 3);
    }

    #[test]
    fn nothing_divides_by_zero() {
        let picture = svg(&[Group::from(&case(vec![tool("ours", &[0.0])]))]);
        assert!(
            !picture.contains("NaN") && !picture.contains("inf"),
            "{picture}"
        );
    }
}
