//! Sizes, rates and durations as people write and read them.

use std::time::Duration;

use grappe_proto::units::Rate;

/// Reads `900mbit`, `1.5gbit`, `80MB` (bytes per second, `/s` optional): the units of `tc(8)`.
pub(crate) fn parse_rate(text: &str) -> Result<Rate, String> {
    let (number, unit) = split(text.trim_end_matches("/s").trim_end_matches("ps"))?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "bit" => 1.0 / 8.0,
        "kbit" => 1e3 / 8.0,
        "mbit" => 1e6 / 8.0,
        "gbit" => 1e9 / 8.0,
        "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        _ => return Err("expected a number and a unit, such as 900mbit, 1gbit or 80MB/s".into()),
    };
    let bytes = number * factor;
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
    fn rates_are_read_as_tc_reads_them() {
        let rate = |text| parse_rate(text).map(Rate::bytes_per_second);
        assert_eq!(rate("900mbit"), Ok(112_500_000));
        assert_eq!(rate("1.5gbit"), Ok(187_500_000));
        assert_eq!(rate("80MB/s"), Ok(80_000_000));
        assert!(rate("900").is_err());
        assert!(rate("fast").is_err());
        assert!(rate("0mbit").is_err());
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
