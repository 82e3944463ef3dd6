//! What a sender asks of all its receivers alike, beside the tree itself.
//!
//! A receiver follows them or declines; which ones it may follow is its user's choice, not decided here.

/// How a copy treats what is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Everything is sent.
    #[default]
    None,
    /// Files of equal size and time of modification are taken to be equal.
    Times,
    /// Files are compared by their hashes.
    Checksum,
}

/// One rule for what belongs to the copy; the first that fits a path decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Whether what fits belongs to it.
    pub include: bool,
    /// The pattern, as typed by the sender's user.
    pub pattern: Vec<u8>,
}

/// What is agreed for the whole copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How it treats what is there already.
    pub sync: Sync,
    /// Whether receivers remove what is not in the tree.
    pub delete: bool,
    /// How many entries at most a receiver may remove; none leaves the bound to it.
    pub delete_max: Option<u64>,
    /// Nothing is to be changed: receivers only tell what they would do.
    pub dry_run: bool,
    /// What was left out of the tree on purpose, and is not removed.
    pub filters: Vec<Filter>,
    /// Extended attributes travel: entries without any have none.
    pub attributes: bool,
    /// The one file of the copy is a stream, whose end is not known yet.
    pub stream: bool,
}

impl Terms {
    /// Filters of one copy at most: a person types them.
    pub const FILTERS_MAX: usize = 1000;

    /// Bytes of a filter's pattern at most.
    pub const PATTERN_BYTES_MAX: usize = 4096;

    /// Whether they are those of a plain copy.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}
