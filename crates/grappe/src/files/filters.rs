//! Which paths belong to a copy: include and exclude rules, in the manner of rsync.
//!
//! The first rule that fits decides; what none fits belongs to it. What is in a directory that does not
//! belong to it does not either, since nobody looks there.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{Candidate, GlobBuilder, GlobMatcher};
use grappe_proto::content::manifest::Filter;

/// Rules, ready to be asked.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    rules: Vec<Rule>,
    filters: Vec<Filter>,
}

#[derive(Clone, Debug)]
struct Rule {
    include: bool,
    directories_only: bool,
    /// Looked for in the whole path; otherwise in the last name alone.
    whole_path: bool,
    matcher: GlobMatcher,
}

/// Why a pattern cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is not a pattern: {reason}")]
pub struct PatternError {
    /// The pattern as typed.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Filters {
    /// Rules as typed, the first the strongest.
    ///
    /// `*` and `?` fit no `/`, `**` does. A pattern with a `/` at its beginning is of the whole path, one
    /// with a `/` inside of the end of a path, one without of a name; with a `/` at its end it fits
    /// directories only.
    ///
    /// # Errors
    ///
    /// The first pattern that is none.
    pub fn new(filters: Vec<Filter>) -> Result<Self, PatternError> {
        let rules = filters.iter().map(rule).collect::<Result<_, _>>()?;
        Ok(Self { rules, filters })
    }

    /// The rules as typed.
    pub fn typed(&self) -> &[Filter] {
        &self.filters
    }

    /// Whether `path`, as the manifest has it, belongs to the copy.
    pub(super) fn allow(&self, path: &[u8], is_directory: bool) -> bool {
        if self.rules.is_empty() {
            return true;
        }
        let (_, name) = super::metadata::split(path);
        let candidate = |bytes| Candidate::new(Path::new(OsStr::from_bytes(bytes)));
        let (whole, last) = (candidate(path), candidate(name));
        let fitting = self.rules.iter().find(|rule| {
            let asked = if rule.whole_path { &whole } else { &last };
            (is_directory || !rule.directories_only) && rule.matcher.is_match_candidate(asked)
        });
        fitting.is_none_or(|rule| rule.include)
    }
}

fn rule(filter: &Filter) -> Result<Rule, PatternError> {
    let error = |reason: String| PatternError {
        pattern: String::from_utf8_lossy(&filter.pattern).into_owned(),
        reason,
    };
    let typed = str::from_utf8(&filter.pattern).map_err(|_| error("it is not UTF-8".into()))?;
    let directories_only = typed.ends_with('/');
    let pattern = typed.trim_end_matches('/');
    let whole_path = pattern.contains('/');
    let pattern = match pattern.strip_prefix('/') {
        Some(anchored) => anchored.to_owned(),
        None if whole_path => format!("**/{pattern}"),
        None => pattern.to_owned(),
    };
    if pattern.is_empty() {
        return Err(error("it is empty".into()));
    }
    let glob = GlobBuilder::new(&pattern)
        .literal_separator(true)
        .backslash_escape(true)
        .build()
        .map_err(|refused| error(refused.kind().to_string()))?;
    Ok(Rule {
        include: filter.include,
        directories_only,
        whole_path,
        matcher: glob.compile_matcher(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters(typed: &[&str]) -> Filters {
        let filter = |typed: &&str| Filter {
            include: typed.starts_with('+'),
            pattern: typed.as_bytes()[1..].to_vec(),
        };
        Filters::new(typed.iter().map(filter).collect()).unwrap()
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let filters = filters(&["+keep.o", "-*.o", "-/tree/cache/", "-sub/*.tmp"]);
        for (path, is_directory, belongs) in [
            (&b"tree/a.o"[..], false, false),
            (b"tree/keep.o", false, true),
            (b"tree/a.c", false, true),
            (b"tree/cache", true, false),
            (b"tree/cache", false, true),
            (b"tree/deep/tree/cache", true, true),
            (b"tree/sub/x.tmp", false, false),
            (b"tree/sub/y/x.tmp", false, true),
            (b"tree/\xFF\n.o", false, false),
        ] {
            assert_eq!(filters.allow(path, is_directory), belongs, "{path:?}");
        }
        assert!(Filters::default().allow(b"anything", false));
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        for typed in ["[a", "", "/", "{a"] {
            let filter = Filter {
                include: false,
                pattern: typed.as_bytes().to_vec(),
            };
            let error = Filters::new(vec![filter]).unwrap_err();
            assert_eq!(error.pattern, typed);
        }
    }
}
