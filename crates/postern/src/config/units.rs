//! Durations and amounts of memory as a person writes them.

use std::time::Duration;

/// A whole number and one of `ms`, `s`, `m`, `h`, `d`; zero is not a duration here.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    let total = number.checked_mul(millis).filter(|millis| *millis > 0)?;
    Some(Duration::from_millis(total))
}

/// A whole number and one of `B`, `KiB`, `MiB`, `GiB`.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let factor = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(end)?;
    Some((number.parse().ok()?, unit.trim_start()))
}

/// A duration in the form that [`duration`] reads, in the largest unit that holds it exactly.
pub(crate) fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    match units.into_iter().find(|(_, size)| millis > 0 && millis.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", millis / size),
        None => format!("{millis}ms"),
    }
}

/// An amount of memory in the form that [`bytes`] reads, in the largest unit that holds it exactly.
pub(crate) fn bytes_text(bytes: u64) -> String {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, size)| bytes > 0 && bytes.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", bytes / size),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_read_and_printed_in_its_unit() {
        let check = |text: &str, seconds: Option<u64>| {
            assert_eq!(duration(text), seconds.map(Duration::from_secs), "{text}");
        };
        check("10s", Some(10));
        check("1 h", Some(3600));
        check("2d", Some(172_800));
        check("10", None);
        check("h", None);
        check("0s", None);
        check("1.5h", None);
        check("99999999999999999999d", None);
        check("9999999999999999d", None);
        assert_eq!(duration_text(Duration::from_secs(5400)), "90m");
        assert_eq!(duration_text(Duration::from_millis(1500)), "1500ms");
    }

    #[test]
    fn an_amount_is_read_and_printed_in_its_unit() {
        assert_eq!(bytes("256MiB"), Some(256 << 20));
        assert_eq!(bytes("1 GiB"), Some(1 << 30));
        assert_eq!(bytes("5MB"), None);
        assert_eq!(bytes("18446744073709551615GiB"), None);
        assert_eq!(bytes_text(256 << 20), "256MiB");
        assert_eq!(bytes_text(1000), "1000B");
    }
}
