//! What travels from where: paths that several nodes have, conflicts, and the turns of the senders.
//!
//! Pure functions of the nodes' listings. What several nodes have alike travels once, from the node that
//! has least to send. When turns run, and how fast, is decided in `flow` and `shares`.

use std::collections::{BTreeMap, BTreeSet};

use crate::content::block_set::BlockSet;
use crate::content::manifest::{Entry, Kind};
use crate::units::{BlockIndex, Digest};

/// Numbers of manifest entries.
pub type EntrySet = BlockSet;

/// A node's number, and an entry of its listing.
type Holder = (usize, u32);

/// Who wins when nodes have different things under one path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConflictRule {
    /// Nobody: the gather ends before anything travels.
    #[default]
    Fail,
    /// The one that was modified last; of equals, that of the node that comes first.
    Newest,
    /// That of the node that comes first.
    ByNode,
}

/// Different things under one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The path.
    pub path: Vec<u8>,
    /// The numbers of the nodes that have something there.
    pub nodes: Vec<usize>,
    /// Whose thing is taken; none when no rule decides.
    pub winner: Option<usize>,
}

/// The same thing at several nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Bytes of it.
    pub bytes: u64,
    /// Who has it.
    pub holders: Vec<Holder>,
}

impl Shared {
    fn entry_at(&self, node: usize) -> Option<u32> {
        let holder = self.holders.iter().find(|(holder, _)| *holder == node);
        holder.map(|(_, entry)| *entry)
    }
}

/// Paths that several nodes have.
#[derive(Clone, Debug, Default)]
pub struct Twins {
    groups: Vec<Vec<Holder>>,
}

impl Twins {
    /// Finds them in the nodes' listings.
    pub fn find(parts: &[&[Entry]]) -> Self {
        let mut by_path: BTreeMap<&[u8], Vec<Holder>> = BTreeMap::new();
        for (node, entries) in parts.iter().enumerate() {
            for (number, entry) in (0_u32..).zip(entries.iter()) {
                by_path.entry(&entry.path).or_default().push((node, number));
            }
        }
        let groups = by_path.into_values().filter(|holders| holders.len() > 1);
        Self {
            groups: groups.collect(),
        }
    }

    /// The files of `node` whose hashes tell whether they are the same: another node has one of the same
    /// path and size.
    pub fn to_hash(&self, parts: &[&[Entry]], node: usize) -> EntrySet {
        let mut wanted = EntrySet::new();
        for group in &self.groups {
            let Some((_, number)) = group.iter().find(|(holder, _)| *holder == node) else {
                continue;
            };
            let own = size(parts, (node, *number));
            let is_alike = |holder: &Holder| holder.0 != node && size(parts, *holder) == own;
            if own.is_some_and(|bytes| bytes > 0) && group.iter().any(is_alike) {
                wanted.insert(BlockIndex(*number));
            }
        }
        wanted
    }
}

/// What is to become of the parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// What differs, by path.
    pub conflicts: Vec<Conflict>,
    /// For each node the entries that lost a conflict: they are neither placed nor sent.
    pub dropped: Vec<EntrySet>,
    /// What several nodes have alike.
    pub shared: Vec<Shared>,
    /// For each node the entries that are in `shared`.
    pub is_shared: Vec<EntrySet>,
    /// Bytes of all files that every node is to have.
    pub bytes: u64,
    /// Number of these files.
    pub files: u64,
    /// Bytes of them that each node has.
    pub held: Vec<u64>,
}

impl Settled {
    /// Decides every path that several nodes have. `hashes` holds what each node answered for
    /// [`Twins::to_hash`]; a file without a hash is like no other.
    pub fn new(
        parts: &[&[Entry]],
        twins: &Twins,
        hashes: &[BTreeMap<u32, Digest>],
        rule: ConflictRule,
    ) -> Self {
        let nothing = vec![EntrySet::new(); parts.len()];
        let mut settled = Self {
            dropped: nothing.clone(),
            is_shared: nothing,
            held: vec![0; parts.len()],
            ..Self::default()
        };
        for group in &twins.groups {
            settled.decide(parts, hashes, group, rule);
        }
        settled.count(parts);
        settled
    }

    /// Conflicts that no rule decides.
    pub fn open_conflicts(&self) -> impl Iterator<Item = &Conflict> {
        let conflicts = self.conflicts.iter();
        conflicts.filter(|conflict| conflict.winner.is_none())
    }

    /// The bytes that lack at the node with the smallest part, of those of which `is_present` holds: no
    /// gather can take less time than these take on its link.
    pub fn bound_bytes(&self, is_present: &[bool]) -> u64 {
        let held = self.held.iter().zip(is_present);
        let least = held
            .filter(|(_, is_there)| **is_there)
            .map(|(held, _)| *held);
        self.bytes.saturating_sub(least.min().unwrap_or(0))
    }

    fn decide(
        &mut self,
        parts: &[&[Entry]],
        hashes: &[BTreeMap<u32, Digest>],
        group: &[Holder],
        rule: ConflictRule,
    ) {
        let is_alike = |one: Holder, other: Holder| {
            let (left, right) = (entry(parts, one), entry(parts, other));
            match (
                left.map(|entry| &entry.kind),
                right.map(|entry| &entry.kind),
            ) {
                (Some(Kind::File { size: left }), Some(Kind::File { size: right })) => {
                    let hash = |(node, number): Holder| hashes.get(node)?.get(&number);
                    left == right && (*left == 0 || hash(one).is_some() && hash(one) == hash(other))
                }
                (left, right) => left == right,
            }
        };
        let Some(first) = group.first() else { return };
        if group.iter().all(|holder| is_alike(*first, *holder)) {
            return self.share(parts, group.to_vec());
        }
        let path = entry(parts, *first).map_or_else(Vec::new, |entry| entry.path.clone());
        let mtime = |holder: &Holder| entry(parts, *holder).map(|entry| entry.mtime);
        let is_directory =
            |holder: &Holder| entry(parts, *holder).is_some_and(|it| it.kind == Kind::Directory);
        let winner = match rule {
            // What is below a directory cannot be had together with a file in its place.
            _ if group.iter().any(is_directory) => None,
            ConflictRule::Fail => None,
            ConflictRule::ByNode => Some(*first),
            ConflictRule::Newest => {
                // The last of equals would win: go through them backwards.
                group
                    .iter()
                    .rev()
                    .max_by_key(|holder| mtime(holder))
                    .copied()
            }
        };
        self.conflicts.push(Conflict {
            path,
            nodes: group.iter().map(|(node, _)| *node).collect(),
            winner: winner.map(|(node, _)| node),
        });
        let Some(winner) = winner else { return };
        let (same, other): (Vec<Holder>, Vec<Holder>) =
            group.iter().partition(|holder| is_alike(winner, **holder));
        for (node, number) in other {
            if let Some(dropped) = self.dropped.get_mut(node) {
                dropped.insert(BlockIndex(number));
            }
        }
        if same.len() > 1 {
            self.share(parts, same);
        }
    }

    fn share(&mut self, parts: &[&[Entry]], holders: Vec<Holder>) {
        for (node, number) in &holders {
            if let Some(set) = self.is_shared.get_mut(*node) {
                set.insert(BlockIndex(*number));
            }
        }
        let bytes = holders.first().and_then(|holder| size(parts, *holder));
        self.shared.push(Shared {
            bytes: bytes.unwrap_or(0),
            holders,
        });
    }

    fn count(&mut self, parts: &[&[Entry]]) {
        for (node, entries) in parts.iter().enumerate() {
            for (number, entry) in (0_u32..).zip(entries.iter()) {
                let Kind::File { size } = entry.kind else {
                    continue;
                };
                let has = |sets: &[EntrySet]| {
                    sets.get(node)
                        .is_some_and(|set| set.contains(BlockIndex(number)))
                };
                if has(&self.dropped) {
                    continue;
                }
                if let Some(held) = self.held.get_mut(node) {
                    *held += size;
                }
                if !has(&self.is_shared) {
                    self.bytes += size;
                    self.files += 1;
                }
            }
        }
        for shared in &self.shared {
            let first = shared.holders.first();
            if first.is_some_and(|holder| size(parts, *holder).is_some()) {
                self.bytes += shared.bytes;
                self.files += 1;
            }
        }
    }
}

/// What one node sends to which others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The node that sends.
    pub sender: usize,
    /// The entries that it sends, without the directories that lead to them.
    pub entries: EntrySet,
    /// Bytes of the files among them.
    pub bytes: u64,
    /// Who lacks any of it.
    pub receivers: BTreeSet<usize>,
}

/// The turns by which all nodes of which `is_present` holds get what the present ones have, the longest
/// first.
pub fn turns(parts: &[&[Entry]], settled: &Settled, is_present: &[bool]) -> Vec<Turn> {
    let present = |node: usize| is_present.get(node).copied().unwrap_or(false);
    let everybody: BTreeSet<usize> = (0..parts.len()).filter(|node| present(*node)).collect();
    let mut turns: Vec<Turn> = (0..parts.len())
        .map(|sender| own_turn(parts, settled, sender, &everybody))
        .collect();
    let mut shared: Vec<&Shared> = settled.shared.iter().collect();
    // The largest first, so that small ones even out what is left.
    shared.sort_by_key(|shared| std::cmp::Reverse(shared.bytes));
    for shared in shared {
        let has = |node: &usize| shared.entry_at(*node).is_some();
        let lacking: BTreeSet<usize> = everybody.iter().copied().filter(|it| !has(it)).collect();
        let holders = shared.holders.iter().filter(|(node, _)| present(*node));
        let least = holders.min_by_key(|(node, _)| turns.get(*node).map(|turn| turn.bytes));
        if let (Some((node, number)), false) = (least, lacking.is_empty())
            && let Some(turn) = turns.get_mut(*node)
        {
            turn.entries.insert(BlockIndex(*number));
            turn.bytes += shared.bytes;
            turn.receivers.extend(lacking);
        }
    }
    turns.retain(|turn| present(turn.sender) && !turn.entries.is_empty());
    turns.retain(|turn| !turn.receivers.is_empty());
    turns.sort_by_key(|turn| std::cmp::Reverse(turn.bytes));
    turns
}

/// What `sender` alone has, to everybody else.
fn own_turn(
    parts: &[&[Entry]],
    settled: &Settled,
    sender: usize,
    everybody: &BTreeSet<usize>,
) -> Turn {
    let mut turn = Turn {
        sender,
        entries: EntrySet::new(),
        bytes: 0,
        receivers: BTreeSet::new(),
    };
    let has = |sets: &[EntrySet], number| {
        let set = sets.get(sender);
        set.is_some_and(|set| set.contains(BlockIndex(number)))
    };
    for (number, entry) in (0_u32..).zip(parts.get(sender).copied().unwrap_or_default()) {
        if has(&settled.dropped, number) || has(&settled.is_shared, number) {
            continue;
        }
        turn.entries.insert(BlockIndex(number));
        if let Kind::File { size } = entry.kind {
            turn.bytes += size;
        }
    }
    if !turn.entries.is_empty() {
        let others = everybody.iter().filter(|node| **node != sender);
        turn.receivers = others.copied().collect();
    }
    turn
}

/// The entries to send so that `wanted` can be placed: these and the directories on the way to them.
pub fn with_parents(entries: &[Entry], wanted: &EntrySet) -> EntrySet {
    let (mut parents, mut all) = (BTreeSet::new(), EntrySet::new());
    // Parents stand before their children.
    for (number, entry) in (0_u32..).zip(entries).collect::<Vec<_>>().into_iter().rev() {
        if wanted.contains(BlockIndex(number)) || parents.contains(&entry.path[..]) {
            all.insert(BlockIndex(number));
            if let Some(slash) = entry.path.iter().rposition(|byte| *byte == b'/') {
                parents.insert(&entry.path[..slash]);
            }
        }
    }
    all
}

fn entry<'a>(parts: &[&'a [Entry]], (node, number): Holder) -> Option<&'a Entry> {
    parts.get(node)?.get(number as usize)
}

fn size(parts: &[&[Entry]], holder: Holder) -> Option<u64> {
    match entry(parts, holder)?.kind {
        Kind::File { size } => Some(size),
        _ => None,
    }
}
