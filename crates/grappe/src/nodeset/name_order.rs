//! The order of names as people count, and their division into text and numbers.
//!
//! Not here: what brackets mean (`parse`, `fold`).

use std::cmp::Ordering;

/// Compares names piece by piece: text as text, runs of digits as numbers of any length. Numbers
/// of the same value differ by padding, the shorter first; so only equal names are `Equal`.
pub(super) fn compare(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (pieces(left), pieces(right));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(left), Some(right)) => compare_pieces(left, right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// The longest runs of digits and of other characters, in turn.
pub(super) fn pieces(name: &str) -> impl Iterator<Item = &str> {
    let mut rest = name;
    std::iter::from_fn(move || {
        let digits = is_number(rest);
        let end = rest
            .find(|c: char| c.is_ascii_digit() != digits)
            .unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Whether a piece is a run of digits.
pub(super) fn is_number(piece: &str) -> bool {
    piece.starts_with(|c: char| c.is_ascii_digit())
}

fn compare_pieces(left: &str, right: &str) -> Ordering {
    if !is_number(left) || !is_number(right) {
        return left.cmp(right);
    }
    let (left_value, right_value) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
    // Without leading zeros the longer number is the greater one.
    (left_value.len().cmp(&right_value.len()))
        .then_with(|| left_value.cmp(right_value))
        .then_with(|| left.len().cmp(&right.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_in_the_order_people_count() {
        let ordered = [
            "1",
            "10",
            "a",
            "a1",
            "a01",
            "a2",
            "a10",
            "a10b",
            "a99999999999999999999999999",
            "b1",
        ];
        for (at, left) in ordered.iter().enumerate() {
            for (other, right) in ordered.iter().enumerate() {
                assert_eq!(compare(left, right), at.cmp(&other), "{left} {right}");
            }
        }
    }

    #[test]
    fn pieces_join_to_the_name() {
        let cut = |name| pieces(name).collect::<Vec<_>>();
        assert_eq!(cut("r01n2-ib"), ["r", "01", "n", "2", "-ib"]);
        assert_eq!(cut("7"), ["7"]);
        assert!(cut("").is_empty());
    }
}
