//! Dividing the links' rate among those who send at one time.
//!
//! A node does not receive what it sends. So senders one after the other leave each one's link idle in its
//! own turn, and all of it takes S / B. When all send at once, each in proportion to what it has left, every
//! node receives at B all the time but the one with the least to send, and all end together, after
//! (S - min S_i) / B, which nothing can beat.

use crate::units::Rate;

/// No sender gets less than this share of the links: it would never end.
const SHARE_MIN: f64 = 0.01;

/// How much each sender may send, of links that carry `capacity`. `left` is what each has still to send;
/// `does_anybody_listen` says whether a node takes part that sends nothing now.
pub fn divide(capacity: Rate, left: &[u64], does_anybody_listen: bool) -> Vec<Rate> {
    let total: u64 = left.iter().fold(0, |sum, bytes| sum.saturating_add(*bytes));
    let least = if does_anybody_listen || left.len() < 2 {
        0
    } else {
        left.iter().min().copied().unwrap_or(0)
    };
    // What the node that sends least must receive.
    let received = total.saturating_sub(least).max(1);
    let share = |bytes: &u64| (*bytes as f64 / received as f64).clamp(SHARE_MIN, 1.0);
    let shares = left.iter().map(share);
    shares.map(|share| capacity.scaled(share)).collect()
}
