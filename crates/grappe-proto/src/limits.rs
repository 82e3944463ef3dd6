//! Every bound of the protocol, with the reason for each and the relations between them proved at
//! compile time.

use std::time::Duration;

/// The version that announcements and greetings carry; both sides must agree.
pub const PROTOCOL_VERSION: u16 = 7;

/// Bytes of content in a full block. A power of two and a multiple of BLAKE3's 1,024-byte chunk, so
/// that a block of a file is a subtree of the file's ordinary hash.
pub const BLOCK_SIZE: u32 = 256 * 1024;

/// Data symbols in a full block of the smallest symbols.
pub const SYMBOLS_PER_BLOCK_MAX: u16 = 186;

/// Bytes in a symbol over IPv4 at MTU 1500: 183 symbols hold 262,239 bytes, which wastes 95 bytes for a
/// block.
pub const SYMBOL_SIZE: u16 = 1433;

/// Bytes in a symbol over IPv6 at MTU 1500, where headers are 20 bytes longer: 186 symbols to a block.
pub const SYMBOL_SIZE_V6: u16 = 1413;

/// Bytes in the smallest symbol that a sender may choose.
pub const SYMBOL_SIZE_MIN: u16 = SYMBOL_SIZE_V6;

/// Bytes in the largest symbol, at MTU 9000 over IPv4.
pub const SYMBOL_SIZE_MAX: u16 = 8936;

/// Points of GF(2^8): data and parity symbols of a block together cannot be more.
pub const SYMBOLS_WITH_PARITY_MAX: u16 = 256;

/// A path inside the tree, in bytes; Linux's own bound (`PATH_MAX`).
pub const PATH_BYTES_MAX: usize = 4096;

/// A single name in a path, in bytes; Linux's own bound (`NAME_MAX`).
pub const NAME_BYTES_MAX: usize = 255;

/// Entries in a manifest: ten times the million files that must work.
pub const ENTRIES_MAX: usize = 10_000_000;

/// Bytes of an encoded manifest: about 100 for each of the entries, and a bound on what a receiver
/// keeps in memory on a sender's word.
pub const MANIFEST_BYTES_MAX: u64 = 1 << 30;

/// Blocks in one stream (manifest, content and digests together): 1 PiB.
pub const BLOCKS_MAX: u32 = u32::MAX - 1;

/// Bytes of the headers of UDP and IPv4, which count with a packet when its rate or size is spoken of. Those
/// of IPv6 are 20 longer; a difference that no rate control sees.
pub const IP_UDP_HEADERS: usize = 28;

/// How far the sender may be ahead of the slowest receiver, in blocks: 128 MiB kept in the sender's
/// memory for repairs, and at most as much in a receiver that lacks the first of them.
pub const WINDOW_BLOCKS: u32 = 512;

/// Receivers in one session.
pub const PEERS_MAX: usize = 16_384;

/// A receiver whose ring is filled by so much, in thousandths, says so out of turn: up to 4 MiB that wait for
/// its processor.
pub const RING_FILLING_PERMILLE: u16 = 125;

/// And it says so again once less than this is filled.
pub const RING_EMPTY_PERMILLE: u16 = 60;

/// Reports that come so often are fresh: a receiver is sent no more than its buffer takes.
pub const REPORT_PROMPT: Duration = Duration::from_millis(25);

/// Reports that are wanted more rarely than that come after half the interval to one and a half (RFC 3550, section 6.3.1).
pub fn longest_between_reports(interval: Duration) -> Duration {
    if interval <= REPORT_PROMPT {
        interval
    } else {
        interval * 3 / 2
    }
}

/// A receiver that has sent no report for so long is lost.
pub const PEER_SILENCE_MAX: Duration = Duration::from_secs(5);

/// A sender that has sent nothing for so long is lost.
pub const SENDER_SILENCE_MAX: Duration = Duration::from_secs(10);

const _: () = {
    assert!(BLOCK_SIZE.is_power_of_two() && BLOCK_SIZE.is_multiple_of(1024));
    assert!(SYMBOLS_PER_BLOCK_MAX as u32 == BLOCK_SIZE.div_ceil(SYMBOL_SIZE_MIN as u32));
    assert!(SYMBOL_SIZE_MIN <= SYMBOL_SIZE_V6 && SYMBOL_SIZE_V6 < SYMBOL_SIZE);
    assert!(SYMBOL_SIZE < SYMBOL_SIZE_MAX);
    assert!(SYMBOLS_PER_BLOCK_MAX < SYMBOLS_WITH_PARITY_MAX);
    assert!(MANIFEST_BYTES_MAX / (BLOCK_SIZE as u64) < BLOCKS_MAX as u64);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_the_protocol_tells_this_version() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
        let page = std::fs::read_to_string(page).unwrap();
        let version = PROTOCOL_VERSION;
        use crate::wire::announce::ANNOUNCEMENT_LEN;
        for (line, times) in [
            (format!("# The protocol of grappe, version {version}\n"), 1),
            (format!("\n{ANNOUNCEMENT_LEN} bytes. Sent every "), 1),
            (format!("| 4 | 2 | version | {version} |"), 1),
            (format!("| 0 | version | uint | {version}, or"), 1),
            (format!(" 0 version: uint, {version}"), 3),
            (format!("`Hello` of version {version} "), 1),
            (format!("| `PROTOCOL_VERSION` | {version} |"), 1),
        ] {
            assert_eq!(page.matches(&line).count(), times, "{line}");
        }
    }
}
