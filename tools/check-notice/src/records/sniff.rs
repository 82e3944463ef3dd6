//! Tells from its first bytes which kind of record a file holds.

use super::Kind;

/// The kind of a file, from its name and its first few thousand bytes; nothing if it is none known.
#[must_use]
pub fn kind_of(name: &str, start: &[u8]) -> Option<Kind> {
    let text = String::from_utf8_lossy(start);
    let first = text
        .lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with('#'))?;
    let head = first.to_ascii_lowercase();
    let has = |names: &[&str]| {
        names
            .iter()
            .all(|name| head.split(',').any(|cell| cell.trim() == *name))
    };
    if has(&["address", "valid_lifetime", "expire"]) {
        return Some(Kind::Kea);
    }
    if has(&["sa", "da", "sp", "dp"]) || has(&["srcaddr", "dstaddr"]) {
        return Some(Kind::Nfdump);
    }
    if has(&["outside_ip", "inside_ip"])
        || has(&["nat_ip", "src_ip"])
        || has(&["reply_dst", "orig_src"])
    {
        return Some(Kind::Nat);
    }
    let lines = || text.lines().take(200);
    if lines().any(|line| line.starts_with("lease ") && line.trim_end().ends_with('{')) {
        return Some(Kind::Dhcpd);
    }
    if lines().any(|line| line.contains("DHCPACK(")) {
        return Some(Kind::DnsmasqLog);
    }
    if lines().any(|line| line.starts_with([' ', '\t']) && line.contains("Acct-Status-Type")) {
        return Some(Kind::Radius);
    }
    let words: Vec<&str> = first.split_whitespace().collect();
    let leases = words.len() >= 4
        && words[0].parse::<u64>().is_ok()
        && words[2].parse::<std::net::IpAddr>().is_ok();
    (leases || (name.contains("dnsmasq") && words.first() == Some(&"duid")))
        .then_some(Kind::DnsmasqLeases)
}
