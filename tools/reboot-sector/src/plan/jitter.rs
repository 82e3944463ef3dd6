//! Each node's own share of the jitter, so that after a power cut not all ask for an address at once. Pure
//! and the same every time: an audit can compare. `install` and `image` bake it into the sector.

/// Seconds from 0 to `most_seconds`, spread over all identities.
pub fn share(identity: &str, most_seconds: u32) -> u32 {
    // FNV-1a, then the mixing of SplitMix64, as names of nodes differ in their last digit only.
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in identity.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    let spread = u128::from(hash) * (u128::from(most_seconds) + 1);
    u32::try_from(spread >> 64).unwrap_or(most_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_nodes_spread_over_a_minute() {
        let mut nodes = [0; 61];
        for node in 0..200 {
            nodes[share(&format!("node{node:03}"), 60) as usize] += 1;
        }
        assert!(
            nodes.iter().filter(|count| **count > 0).count() > 50,
            "{nodes:?}"
        );
        assert!(nodes.iter().all(|count| *count < 12), "{nodes:?}");
    }

    #[test]
    fn no_jitter_is_none_and_a_node_keeps_its_own() {
        assert_eq!(share("node01", 0), 0);
        assert_eq!(share("node01", 60), share("node01", 60));
    }
}
