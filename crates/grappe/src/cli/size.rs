//! Sizes, rates and durations as people write and read them.

use std::time::Duration;

use grappe_proto::units::Rate;

/// Reads `900mbit`, `1.5Gbit/s`, `80MB/s`, `80MBps`: bits are written out, bytes have a capital `B`.
///
/// A small `b` is refused: it is bits to most, and bytes to `tc(8)`.
pub(crate) fn parse_rate(text: &str) -> Result<Rate, String> {
    let (number, unit) = split(text)?;
    let unit = ["/s", "ps"]
        .iter()
        .find_map(|suffix| unit.strip_suffix(suffix))
        .unwrap_or(unit);
    let unknown = || "expected a number and a unit, such as 900mbit, 1gbit or 80MB/s".to_owned();
    let prefix_len = usize::from(unit.starts_with(['k', 'K', 'm', 'M', 'g', 'G']));
    let (prefix, base) = unit.split_at(prefix_len);
    let prefix = prefix.to_ascii_lowercase();
    let factor = match &*prefix {
        "k" => 1e3,
        "m" => 1e6,
        "g" => 1e9,
        _ => 1.0,
    };
    let bytes = match base {
        "B" => number * factor,
        "b" => {
            // Units of bytes have small kilos and large others.
            let of_bytes = prefix.replace('m', "M").replace('g', "G");
            return Err(format!(
                "it may mean bits or bytes: write {number}{prefix}bit or {number}{of_bytes}B/s"
            ));
        }
        bits if bits.eq_ignore_ascii_case("bit") => number * factor / 8.0,
        _ => return Err(unknown()),
    };
    if !(1e3..1e12).contains(&bytes) {
        return Err("a rate is between 8kbit and 8000gbit".into());
    }
    Ok(Rate::from_bytes_per_second(bytes as u64))
}

/// Reads `256MiB`, `1G`, `4096`: binary with `i` or a bare letter, decimal with `B` alone.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let factor: f64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1_048_576.0,
        "g" | "gib" => 1_073_741_824.0,
        "t" | "tib" => 1_099_511_627_776.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        _ => return Err("expected a number and a unit, such as 256MiB or 1GB".into()),
    };
    Ok((number * factor) as u64)
}

/// Reads `2s`, `500ms`, `1.5m`, `2`: seconds when bare; at most a day.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "ms" => number / 1e3,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        _ => return Err("expected a number and a unit, such as 2s, 500ms or 5min".into()),
    };
    if seconds > 86_400.0 {
        return Err("at most a day".into());
    }
    Ok(Duration::from_secs_f64(seconds))
}

fn split(text: &str) -> Result<(f64, &str), String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number
        .parse()
        .map_err(|_| format!("`{text}` does not begin with a number"))?;
    Ok((number, unit.trim()))
}

/// `1.5 GB`, decimal.
pub(crate) fn show_bytes(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{value:.1} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_written_out_and_bytes_are_capital() {
        let rate = |text| parse_rate(text).map(Rate::bytes_per_second);
        assert_eq!(rate("900mbit"), Ok(112_500_000));
        assert_eq!(rate("900Mbit/s"), Ok(112_500_000));
        assert_eq!(rate("1.5gbit"), Ok(187_500_000));
        assert_eq!(rate("80MB/s"), Ok(80_000_000));
        assert_eq!(rate("80MBps"), Ok(80_000_000));
        assert_eq!(rate("80 MB"), Ok(80_000_000));
        assert_eq!(rate("5000B/s"), Ok(5_000));
        for text in [
            "900", "fast", "0mbit", "80MB/s/s", "80MB/sps", "80mibit", "1é",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rate_that_may_be_bits_or_bytes_is_refused_with_both_clear_spellings() {
        let refusal = |text| parse_rate(text).map(|_| ()).unwrap_err();
        for text in ["80mb", "80Mb/s", "80mbps", "80 Mbps", "80Mb"] {
            let refusal = refusal(text);
            assert!(refusal.contains("80mbit or 80MB/s"), "{text}: {refusal}");
        }
        assert!(refusal("1.5gb/s").contains("1.5gbit or 1.5GB/s"));
        assert!(refusal("9kbps").contains("9kbit or 9kB/s"));
        assert!(refusal("9000b").contains("9000bit or 9000B/s"));
    }

    #[test]
    fn sizes_and_durations() {
        assert_eq!(parse_size("256MiB"), Ok(256 << 20));
        assert_eq!(parse_size("1GB"), Ok(1_000_000_000));
        assert_eq!(parse_size("7"), Ok(7));
        assert!(parse_size("many").is_err());
        assert_eq!(parse_duration("2s"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert!(parse_duration("2d").is_err());
        assert_eq!(show_bytes(1_500_000_000), "1.5 GB");
        assert_eq!(show_bytes(12), "12 B");
    }
}
