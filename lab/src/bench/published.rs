//! The figures of a page of published tables, such as `docs/performance.md`, for its chart.
//!
//! Reads what `table` writes; anything else on the page is passed over.

use super::chart::{Bar, Group};

/// How the head of a table of tools begins.
const HEAD: &str = "| tool | MB/s to each (range) |";

/// One group for each section with tables of tools, subsections apart. A tool that stands in several tables of
/// a section is taken from the first.
#[must_use]
pub fn groups(page: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut is_of_tools = false;
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ").or(line.strip_prefix("### ")) {
            groups.push(Group {
                title: title.into(),
                bars: Vec::new(),
            });
        }
        is_of_tools = line.starts_with(HEAD) || is_of_tools && line.starts_with('|');
        if is_of_tools && let (Some(group), Some(bar)) = (groups.last_mut(), bar(line)) {
            let is_known = group.bars.iter().any(|known| known.tool == bar.tool);
            if !is_known {
                group.bars.push(bar);
            }
        }
    }
    groups.retain(|group| !group.bars.is_empty());
    groups
}

/// A row such as `| ours | 113.2 (111.2-115.1) | ...`.
fn bar(line: &str) -> Option<Bar> {
    let mut cells = line.strip_prefix("| ")?.split(" | ");
    let (tool, figures) = (cells.next()?, cells.next()?);
    let (rate, range) = figures.strip_suffix(')')?.split_once(" (")?;
    let (low, high) = range.split_once('-')?;
    Some(Bar {
        tool: tool.into(),
        rate: rate.parse().ok()?,
        low: low.parse().ok()?,
        high: high.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::chart::svg;
    use super::*;

    #[test]
    fn tables_of_tools_are_read_and_nothing_else() {
        let page = "\
# Page\n| ours | 9.0 (1.0-2.0) | before any section |\n\
## One\n| tool | MB/s to each (range) | x |\n|---|---|---|\n| ours | 10.5 (9.0-11.0) | x |\n\
| uftp | - | skipped |\n\nand\n| tool | MB/s to each (range) | x |\n|---|---|---|\n\
| ours | 1.0 (1.0-1.0) | x |\n| scp | 2.0 (2.0-2.0) | x |\n\
## Two\n| receivers | MB/s |\n| 100 | 105.3 |\n\
| tool | seconds (range) | x |\n|---|---|---|\n| ours | 7.1 (7.0-7.2) | x |\n\
### Three\n| tool | MB/s to each (range) | x |\n|---|---|---|\n| ours | 3.0 (3.0-3.0) | x |\n";
        let groups = groups(page);
        assert_eq!(groups.len(), 2, "{groups:?}");
        assert_eq!((&*groups[1].title, groups[1].bars.len()), ("Three", 1));
        assert_eq!(groups[0].title, "One");
        let bars: Vec<_> = (groups[0].bars.iter())
            .map(|bar| (&*bar.tool, bar.rate, bar.low, bar.high))
            .collect();
        assert_eq!(bars, [("ours", 10.5, 9.0, 11.0), ("scp", 2.0, 2.0, 2.0)]);
    }

    #[test]
    fn the_chart_in_the_documentation_is_that_of_its_tables() {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let [page, chart] = ["performance.md", "performance.svg"]
            .map(|name| fs::read_to_string(docs.join(name)).unwrap());
        assert!(
            svg(&groups(&page)) == chart,
            "draw it anew: cargo run -p lab -- chart docs/performance.md --out docs/performance.svg"
        );
    }
}
