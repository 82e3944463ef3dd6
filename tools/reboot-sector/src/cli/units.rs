//! Durations and sizes as they are typed: `90`, `30s`, `2m`, `64MiB`. Pure; flags are read with it.

/// Whole seconds out of `30`, `30s` or `2m`.
pub(crate) fn seconds(text: &str) -> Result<u32, String> {
    let (digits, factor) = match text.strip_suffix('m') {
        Some(minutes) => (minutes, 60),
        None => (text.strip_suffix('s').unwrap_or(text), 1),
    };
    let number: Option<u32> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| "use whole seconds or minutes, as in 30s or 2m".to_owned())
}

/// Bytes out of `512`, `64MiB` or `1GiB`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let units = [("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)];
    let unit = units
        .iter()
        .find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (digits, shift) = unit.unwrap_or((text, 0));
    let number: Option<u64> = digits.parse().ok();
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "use bytes, or a unit as in 64MiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read() {
        assert_eq!(seconds("90"), Ok(90));
        assert_eq!(seconds("30s"), Ok(30));
        assert_eq!(seconds("2m"), Ok(120));
        assert_eq!(bytes("64MiB"), Ok(64 << 20));
        for wrong in ["", "-1", "1.5s", "99999999999m", "s", "m"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert!(bytes("1MB").is_err());
        assert!(bytes("99999999999TiB").is_err());
    }
}
