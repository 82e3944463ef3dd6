//! Where a copy is to go, as one word of the command line: `node[01-16]:/data`, `root@n1:`, `:/scratch`.
//!
//! The rule by which such a word is told from a path is that of `scp` and `rsync`: a colon before any
//! slash.

use crate::nodeset::{NodeSet, NodeSetError};

/// Nodes and the directory on them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The account to log in to, where one is named.
    pub user: Option<String>,
    /// The nodes; none means all of the allocation.
    pub nodes: Option<NodeSet>,
    /// The directory there; `.` where none is named.
    pub directory: String,
}

/// Why a word with a colon is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// The part before the colon does not name nodes.
    #[error("{0}")]
    Nodes(#[from] NodeSetError),
    /// The part before the `@` is no account.
    #[error("`{0}` is no name of an account")]
    User(String),
}

impl Target {
    /// Reads a word; `None` when it is a path.
    ///
    /// # Errors
    ///
    /// When it has the form of a target and is none.
    pub fn parse(word: &str) -> Result<Option<Self>, TargetError> {
        let Some((before, directory)) = word.split_once(':') else {
            return Ok(None);
        };
        if before.contains('/') {
            return Ok(None);
        }
        let (user, nodes) = match before.split_once('@') {
            None => (None, before),
            Some((user, nodes)) => (Some(account(user)?), nodes),
        };
        let nodes = match nodes {
            "" if user.is_none() => None,
            nodes => Some(NodeSet::parse(nodes)?),
        };
        let directory = if directory.is_empty() { "." } else { directory };
        Ok(Some(Self {
            user,
            nodes,
            directory: directory.to_owned(),
        }))
    }
}

/// An account's name, which cannot be mistaken for an option of `ssh`.
fn account(name: &str) -> Result<String, TargetError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    if name.is_empty() || name.starts_with('-') || !name.chars().all(is_plain) {
        return Err(TargetError::User(name.to_owned()));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(word: &str) -> Target {
        Target::parse(word).unwrap().expect("a target")
    }

    #[test]
    fn nodes_and_directory_are_told_from_paths() {
        let both = target("node[01-03]:/data");
        assert_eq!(both.nodes.unwrap().len(), 3);
        assert_eq!((both.user, &*both.directory), (None, "/data"));
        assert_eq!(target("n1:").directory, ".");
        assert_eq!(target("n1:a:b").directory, "a:b");
        assert_eq!(target("ann@n1:x").user.as_deref(), Some("ann"));
        assert_eq!(target(":/scratch").nodes, None);
        for path in ["file", "./a:b", "dir/a:b", "/x:y", ""] {
            assert_eq!(Target::parse(path).unwrap(), None);
        }
    }

    #[test]
    fn what_could_be_an_option_is_refused() {
        for word in [
            "-oProxyCommand=x:",
            "-l@n1:",
            "a b@n1:",
            "@n1:",
            "n1,,n2:",
            "n[1-:x",
            "ann@:x",
        ] {
            assert!(Target::parse(word).is_err(), "{word}");
        }
    }
}
