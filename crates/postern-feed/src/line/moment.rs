//! Times as most feeds write them, which is the half of what a line says that is the same in every
//! line: UTC, with or without microseconds. Everything else is for jiff to read.

use postern_model::Timestamp;

/// The moment, if it is written as `2026-01-02T03:04:05Z` or `2026-01-02T03:04:05.123456Z`. Source
/// of the date arithmetic: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `days_from_civil`.
pub(super) fn usual(text: &str) -> Option<Timestamp> {
    let (whole, part) = text.as_bytes().strip_suffix(b"Z")?.split_at_checked(19)?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T', rest @ ..] = whole else { return None };
    let [h1, h2, b':', n1, n2, b':', s1, s2] = rest else { return None };
    let micros = match part {
        [] => 0,
        [b'.', digits @ ..] if digits.len() == 6 => number(digits.iter())?,
        _ => return None,
    };
    let (year, month) = (number([y1, y2, y3, y4].into_iter())?, number([m1, m2].into_iter())?);
    let day = number([d1, d2].into_iter())?;
    let (hour, minute) = (number([h1, h2].into_iter())?, number([n1, n2].into_iter())?);
    let second = number([s1, s2].into_iter())?;
    let is_date = (1..=12).contains(&month) && (1..=days(year, month)).contains(&day);
    // The last days of the year 9999 are beyond what jiff takes.
    if !is_date || year == 9_999 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let shifted = if month > 2 { year } else { year - 1 };
    let (era, year_of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(Timestamp(seconds * 1_000_000 + micros))
}

fn number<'a>(digits: impl Iterator<Item = &'a u8>) -> Option<i64> {
    let mut value = 0;
    for digit in digits {
        value = value * 10 + i64::from(digit.is_ascii_digit().then_some(digit - b'0')?);
    }
    Some(value)
}

fn days(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_here_is_what_jiff_reads() {
        let by_jiff = |text: &str| {
            text.parse::<jiff::Timestamp>().ok().map(|time| Timestamp(time.as_microsecond()))
        };
        let mut read = 0;
        for year in ["0000", "0004", "1600", "1900", "1970", "2000", "2024", "2026", "9998", "9999"]
        {
            for day in 0..=13 * 33 {
                let date = format!("{year}-{:02}-{:02}", day / 33, day % 33);
                for time in ["00:00:00", "23:59:59.999999", "24:00:00", "03:60:00", "03:04:61"] {
                    let text = format!("{date}T{time}Z");
                    let here = usual(&text);
                    if here.is_some() || year != "9999" {
                        assert_eq!(here, by_jiff(&text), "{text}");
                    }
                    read += usize::from(here.is_some());
                }
            }
        }
        assert_eq!(read, 2 * (9 * 365 + 5));
    }

    #[test]
    fn what_is_written_otherwise_is_left_to_jiff() {
        for text in [
            "",
            "Z",
            "2026-01-02T03:04:05",
            "2026-01-02T03:04:05.123Z",
            "2026-01-02T03:04:05+00:00",
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04:60Z",
            "2026-01-0\u{663}T03:04:0Z",
        ] {
            assert_eq!(usual(text), None, "{text}");
        }
    }
}
