//! The planner and the division of links, by example and by property.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::coordinator::by_name;
use super::plan::{ConflictRule, Settled, Turn, Twins, turns, with_parents};
use super::shares::divide;
use crate::content::manifest::{Entry, Kind};
use crate::units::{BlockIndex, Digest, Rate};

/// A file whose content is known by a number.
fn file(path: &str, size: u64, mtime: i64) -> Entry {
    Entry {
        path: path.into(),
        kind: Kind::File { size },
        mode: 0o644,
        mtime: (mtime, 0),
        ..Entry::default()
    }
}

fn directory(path: &str) -> Entry {
    Entry {
        path: path.into(),
        kind: Kind::Directory,
        mode: 0o755,
        mtime: (0, 0),
        ..Entry::default()
    }
}

/// Hashes of all files: the same number in `contents` means the same content.
fn hashes(parts: &[&[Entry]], contents: &[&[u8]]) -> Vec<BTreeMap<u32, Digest>> {
    let twins = Twins::find(parts);
    (0..parts.len())
        .map(|node| {
            let wanted = twins.to_hash(parts, node);
            let numbers = wanted.runs().flat_map(|run| run.start.0..run.end.0);
            numbers
                .map(|number| (number, Digest([contents[node][number as usize]; 32])))
                .collect()
        })
        .collect()
}

fn settle(parts: &[&[Entry]], contents: &[&[u8]], rule: ConflictRule) -> Settled {
    let hashes = hashes(parts, contents);
    Settled::new(parts, &Twins::find(parts), &hashes, rule)
}

fn plan(parts: &[&[Entry]], settled: &Settled) -> Vec<Turn> {
    turns(parts, settled, &vec![true; parts.len()])
}

#[test]
fn each_node_sends_what_it_alone_has_and_the_longest_turn_comes_first() {
    let parts: [&[Entry]; 3] = [
        &[file("a", 10, 0)],
        &[file("b", 30, 0)],
        &[file("c", 20, 0), file("d", 5, 0)],
    ];
    let settled = settle(&parts, &[&[1], &[2], &[3, 4]], ConflictRule::Fail);
    assert_eq!((settled.bytes, settled.files), (65, 4));
    assert_eq!(settled.held, [10, 30, 25]);
    assert_eq!(settled.bound_bytes(&[true; 3]), 55);
    let turns = plan(&parts, &settled);
    let order: Vec<(usize, u64)> = turns.iter().map(|turn| (turn.sender, turn.bytes)).collect();
    assert_eq!(order, [(1, 30), (2, 25), (0, 10)]);
    assert_eq!(turns[0].receivers, BTreeSet::from([0, 2]));
}

#[test]
fn what_several_nodes_have_alike_travels_once_from_the_one_with_least_to_send() {
    let shared = file("same", 100, 7);
    let parts: [&[Entry]; 3] = [
        &[file("a", 50, 0), shared.clone()],
        std::slice::from_ref(&shared),
        &[file("c", 1, 0)],
    ];
    let settled = settle(&parts, &[&[1, 9], &[9], &[3]], ConflictRule::Fail);
    assert!(settled.conflicts.is_empty());
    assert_eq!((settled.bytes, settled.files), (151, 3));
    let turns = plan(&parts, &settled);
    let of = |sender| turns.iter().find(|turn| turn.sender == sender).unwrap();
    assert_eq!((of(0).bytes, of(1).bytes, of(2).bytes), (50, 100, 1));
    assert_eq!(
        of(1).receivers,
        BTreeSet::from([2]),
        "the first node has it"
    );
}

#[test]
fn what_all_nodes_have_does_not_travel() {
    let parts: [&[Entry]; 2] = [&[file("same", 9, 1)], &[file("same", 9, 2)]];
    let settled = settle(&parts, &[&[5], &[5]], ConflictRule::Fail);
    assert!(settled.conflicts.is_empty(), "times may differ");
    assert_eq!(settled.bound_bytes(&[true; 2]), 0);
    assert_eq!(plan(&parts, &settled), []);
}

#[test]
fn a_conflict_is_named_and_nothing_is_decided_unless_asked_for() {
    let parts: [&[Entry]; 3] = [
        &[file("x", 9, 1)],
        &[file("x", 9, 3)],
        &[file("x", 9, 3), file("y", 1, 0)],
    ];
    let contents: [&[u8]; 3] = [&[1], &[2], &[3, 0]];
    let open = settle(&parts, &contents, ConflictRule::Fail);
    assert_eq!(open.open_conflicts().count(), 1);
    assert_eq!(open.conflicts[0].path, b"x");
    assert_eq!(open.conflicts[0].nodes, [0, 1, 2]);
    let winner = |rule| settle(&parts, &contents, rule).conflicts[0].winner;
    assert_eq!(winner(ConflictRule::ByNode), Some(0));
    assert_eq!(winner(ConflictRule::Newest), Some(1), "of equals the first");
    let newest = settle(&parts, &contents, ConflictRule::Newest);
    assert!(newest.dropped[0].contains(BlockIndex(0)));
    assert!(newest.dropped[1].is_empty());
    let turns = plan(&parts, &newest);
    let of_winner = turns.iter().find(|turn| turn.sender == 1).unwrap();
    assert_eq!(of_winner.receivers, BTreeSet::from([0, 2]));
    assert!(
        turns.iter().all(|turn| turn.sender != 0),
        "it has only the loser"
    );
}

#[test]
fn a_file_and_a_directory_under_one_path_are_never_decided() {
    let parts: [&[Entry]; 2] = [&[directory("x"), file("x/in", 1, 0)], &[file("x", 9, 1)]];
    for rule in [ConflictRule::Newest, ConflictRule::ByNode] {
        let settled = settle(&parts, &[&[0, 1], &[2]], rule);
        assert_eq!(settled.open_conflicts().count(), 1);
    }
}

#[test]
fn files_of_one_path_without_hashes_are_a_conflict_unless_they_are_empty() {
    let parts: [&[Entry]; 2] = [
        &[file("e", 0, 0), file("x", 4, 0)],
        &[file("e", 0, 5), file("x", 4, 0)],
    ];
    let unread = vec![BTreeMap::new(); 2];
    let settled = Settled::new(&parts, &Twins::find(&parts), &unread, ConflictRule::Fail);
    let paths: Vec<&[u8]> = settled.conflicts.iter().map(|it| &it.path[..]).collect();
    assert_eq!(paths, [b"x"]);
}

#[test]
fn empty_parts_and_empty_directories() {
    let parts: [&[Entry]; 3] = [&[], &[directory("d")], &[]];
    let settled = settle(&parts, &[&[], &[0], &[]], ConflictRule::Fail);
    let turns = plan(&parts, &settled);
    assert_eq!(turns.len(), 1);
    assert_eq!((turns[0].sender, turns[0].bytes), (1, 0));
    assert_eq!(turns[0].receivers, BTreeSet::from([0, 2]));
    let alone: [&[Entry]; 1] = [&[file("a", 1, 0)]];
    let settled = settle(&alone, &[&[1]], ConflictRule::Fail);
    assert_eq!(plan(&alone, &settled), [], "nobody else is there");
}

#[test]
fn directories_lead_to_what_is_sent() {
    let entries = [
        directory("a"),
        directory("a/b"),
        file("a/b/x", 1, 0),
        directory("c"),
        file("top", 1, 0),
    ];
    let mut wanted = super::plan::EntrySet::new();
    wanted.insert(BlockIndex(2));
    let all = with_parents(&entries, &wanted);
    let numbers: Vec<u32> = all.runs().flat_map(|run| run.start.0..run.end.0).collect();
    assert_eq!(numbers, [0, 1, 2]);
}

#[test]
fn names_are_ordered_as_people_count() {
    let mut names = ["n10", "n2", "b", "n02", "n2a", "n"];
    names.sort_by(|left, right| by_name(left, right));
    assert_eq!(names, ["b", "n", "n02", "n2", "n2a", "n10"]);
}

proptest! {
    /// Whatever the parts: after all turns every node has everything, and nothing travels twice.
    #[test]
    fn turns_bring_everything_to_everybody_once(
        has in proptest::collection::vec(proptest::collection::vec(0_u8..3, 12), 1..6),
        absent in 0_usize..8,
    ) {
        // Content of path p at a node: 0 is nothing, else the size; the same size is the same content.
        let parts: Vec<Vec<Entry>> = has
            .iter()
            .map(|node| {
                let paths = node.iter().enumerate().filter(|(_, size)| **size > 0);
                let entry = |(path, size): (usize, &u8)| file(&format!("p{path:02}"), u64::from(*size), 0);
                paths.map(entry).collect()
            })
            .collect();
        let parts: Vec<&[Entry]> = parts.iter().map(|part| &part[..]).collect();
        let contents: Vec<Vec<u8>> = parts
            .iter()
            .map(|part| part.iter().map(|entry| match entry.kind {
                Kind::File { size } => size as u8,
                _ => 0,
            }).collect())
            .collect();
        let contents: Vec<&[u8]> = contents.iter().map(|it| &it[..]).collect();
        let settled = settle(&parts, &contents, ConflictRule::ByNode);
        let present: Vec<bool> = (0..parts.len()).map(|node| node != absent).collect();
        let turns = turns(&parts, &settled, &present);
        // What each node has in the end, by path.
        let mut stock: Vec<BTreeMap<&[u8], u8>> = parts.iter().zip(&contents).enumerate()
            .map(|(node, (part, contents))| {
                let kept = part.iter().zip(*contents).enumerate().filter(|(number, _)| {
                    !settled.dropped[node].contains(BlockIndex(*number as u32))
                });
                kept.map(|(_, (entry, content))| (&entry.path[..], *content)).collect()
            })
            .collect();
        let mut sent = BTreeSet::new();
        for turn in &turns {
            prop_assert!(present[turn.sender]);
            prop_assert!(!turn.receivers.contains(&turn.sender));
            let mut bytes = 0;
            for number in turn.entries.runs().flat_map(|run| run.start.0..run.end.0) {
                let entry = &parts[turn.sender][number as usize];
                let content = contents[turn.sender][number as usize];
                prop_assert!(sent.insert(&entry.path), "{:?} travels twice", entry.path);
                bytes += u64::from(content);
                for receiver in &turn.receivers {
                    stock[*receiver].insert(&entry.path, content);
                }
            }
            prop_assert_eq!(bytes, turn.bytes);
        }
        prop_assert!(turns.windows(2).all(|pair| pair[0].bytes >= pair[1].bytes));
        let mut there = (0..parts.len()).filter(|node| present[*node]);
        let Some(first) = there.next() else { return Ok(()) };
        if absent >= parts.len() {
            let bytes: u64 = stock[first].values().map(|size| u64::from(*size)).sum();
            prop_assert_eq!(bytes, settled.bytes);
        }
        for other in there {
            prop_assert_eq!(&stock[first], &stock[other], "nodes {} and {}", first, other);
        }
    }

    /// No node is sent more than its link carries, and the fullest link is used whole.
    #[test]
    fn shares_fill_the_links_and_never_overfill_them(
        left in proptest::collection::vec(1_u64..1_000_000, 1..12),
        listens: bool,
    ) {
        let capacity = Rate::from_bytes_per_second(100_000_000);
        let shares = divide(capacity, &left, listens);
        let total: u64 = shares.iter().map(|share| share.bytes_per_second()).sum();
        let receives = |own: u64| total - own;
        let fullest = shares.iter().map(|share| receives(share.bytes_per_second())).max().unwrap();
        let fullest = if listens || left.len() == 1 { total } else { fullest };
        // Each sender has a least share, however little it has left.
        let most = 100_000_000 + 1_000_000 * left.len() as u64;
        prop_assert!(fullest <= most, "{} of {}", fullest, most);
        prop_assert!(fullest >= 99_000_000, "{}", fullest);
    }
}
