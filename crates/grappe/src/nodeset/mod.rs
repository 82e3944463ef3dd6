//! Sets of node names in the notation of ClusterShell and Slurm: `node[01-16,20]`, `n[1-3]r[1-2]`.
//!
//! Union by commas only; no groups, no other operators. Names are text here: nothing is resolved,
//! and names are chosen so that none can be mistaken for an option of `ssh` or `srun`.

mod error;
mod fold;
mod name_order;
mod parse;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

pub use error::NodeSetError;

/// The most names in one set: more than any cluster has, few enough to hold as text.
pub const NAMES_MAX: usize = 65_536;
/// The longest name, in bytes (RFC 1035, section 2.3.4, less the closing dot).
pub const NAME_BYTES_MAX: usize = 253;

/// Distinct node names, in the order a person counts: `n2` before `n10`.
///
/// The order in which they were written does not matter: equal sets compare equal and are shown
/// alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeSet {
    /// Sorted by [`name_order`], without repetition.
    names: Vec<String>,
}

impl NodeSet {
    /// Reads a comma separated list of names with ranges in brackets; blanks around the commas are
    /// ignored.
    ///
    /// - `n[1,3-5]` is `n1 n3 n4 n5`; `n[0-10/5]` is `n0 n5 n10`; `[1-2]x[1-2]` is the product.
    /// - A leading zero sets the width: `n[08-10]` is `n08 n09 n10`, `n[98-101]` has no padding.
    /// - A name begins with a letter, a digit or `_`, and holds these, `-` and `.`.
    ///
    /// # Errors
    /// [`NodeSetError`]: the position and what was expected there, or a bound ([`NAMES_MAX`] names
    /// counted before repetitions are dropped, [`NAME_BYTES_MAX`] bytes a name) exceeded.
    pub fn parse(text: &str) -> Result<Self, NodeSetError> {
        parse::names(text).map(|names| names.into_iter().collect())
    }

    /// The names in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> + DoubleEndedIterator {
        self.names.iter().map(String::as_str)
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is no name; never after a successful [`NodeSet::parse`].
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Whether exactly this name is in the set: `n1` and `n01` are two names.
    pub fn contains(&self, name: &str) -> bool {
        self.names
            .binary_search_by(|own| name_order::compare(own, name))
            .is_ok()
    }
}

impl FromStr for NodeSet {
    type Err = NodeSetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Of names known to be good: a subset of a parsed set.
impl<Name: Into<String>> FromIterator<Name> for NodeSet {
    fn from_iter<Names: IntoIterator<Item = Name>>(names: Names) -> Self {
        let mut names: Vec<String> = names.into_iter().map(Into::into).collect();
        names.sort_unstable_by(|left, right| name_order::compare(left, right));
        names.dedup_by(|left, right| name_order::compare(left, right) == Ordering::Equal);
        Self { names }
    }
}

/// The folded form, `node[01-16,20]`; reads back as the same set.
impl fmt::Display for NodeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fold::write(&self.names, f)
    }
}

#[cfg(test)]
mod tests;
