//! Instants for people: RFC 3339 in UTC with nanoseconds, to and from ns since the Unix epoch.
//!
//! Integers only; the proleptic Gregorian calendar; no time zones, no leap seconds.

use std::fmt;

const DAY_SECONDS: u64 = 86_400;
const SECOND_NS: u64 = 1_000_000_000;

/// ns since the Unix epoch; prints as `2026-01-02T09:30:00.123456789Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Utc(pub u64);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, ns) = (self.0 / SECOND_NS, self.0 % SECOND_NS);
        let (days, second) = (seconds / DAY_SECONDS, seconds % DAY_SECONDS);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ns:09}Z"
        )
    }
}

/// Year, month, day of a count of days since 1970-01-01 (years from March, eras of 400 years).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// Days since 1970-01-01; `None` if there is no such date or it is earlier.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year > 9999 {
        return None;
    }
    let year_from_march = if month <= 2 {
        year.checked_sub(1)?
    } else {
        year
    };
    let (era, of_era) = (year_from_march / 400, year_from_march % 400);
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    let shifted = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    let days = shifted.checked_sub(719_468)?;
    // The 31st of a short month would have become another day.
    (civil(days) == (year, month, day)).then_some(days)
}

/// ns since the Unix epoch, as digits, or `YYYY-MM-DD[THH:MM[:SS[.fraction]]][Z]` in UTC.
pub fn parse(text: &str) -> Result<Utc, String> {
    let wrong = || {
        format!(
            "`{text}` is no time: give ns since the Unix epoch or UTC as 2026-01-02T09:30:00.5Z"
        )
    };
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map(Utc).map_err(|_| wrong());
    }
    parse_civil(text).map(Utc).ok_or_else(wrong)
}

fn parse_civil(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, clock) = text.split_once(['T', ' ']).unwrap_or((text, ""));
    let mut parts = date.split('-').map(digits);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    let ns = if clock.is_empty() {
        0
    } else {
        parse_clock(clock)?
    };
    days(year, month, day)?
        .checked_mul(DAY_SECONDS * SECOND_NS)?
        .checked_add(ns)
}

/// ns since midnight.
fn parse_clock(text: &str) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let mut parts = whole.split(':').map(digits);
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    if parts.next().is_some() || hour > 23 || minute > 59 || second > 59 || fraction.len() > 9 {
        return None;
    }
    let scale = 10u64.pow(9 - fraction.len() as u32);
    Some(((hour * 60 + minute) * 60 + second) * SECOND_NS + digits(fraction)? * scale)
}

fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_print_and_parse() {
        for (ns, text) in [
            (0, "1970-01-01T00:00:00.000000000Z"),
            (951_782_400_000_000_001, "2000-02-29T00:00:00.000000001Z"),
            (1_767_346_200_123_456_789, "2026-01-02T09:30:00.123456789Z"),
            (u64::MAX, "2554-07-21T23:34:33.709551615Z"),
        ] {
            assert_eq!(Utc(ns).to_string(), text);
            assert_eq!(parse(text), Ok(Utc(ns)));
            assert_eq!(parse(&ns.to_string()), Ok(Utc(ns)));
        }
        assert_eq!(parse("2026-01-02"), parse("2026-01-02T00:00"));
        assert_eq!(
            parse("2026-01-02 09:30:00.5"),
            parse("2026-01-02T09:30:00.500000000Z")
        );
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in 0..146_097 + 366 {
            let (year, month, date) = civil(day);
            assert_eq!(days(year, month, date), Some(day));
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2026-13-01",
            "2026-02-29",
            "2026-01-02T24:00",
            "2026-01-02T09:30:60",
            "2026-01-02T09:30:00.1234567890",
            "1969-12-31",
            "2026-01",
            "2600-01-01",
            "-5",
            "2026-01-02T09:30:00+01:00",
            "99999999999999999999999",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
