//! Calendar arithmetic of the trading day: integers only, UTC with the venue's fixed offset.

use crate::config::DayConfig;
use lockstep_record::PartTag;
use lockstep_record::command::DayOpen;
use std::fs::File;
use std::io::Read;

const DAY_NS: i128 = 86_400 * 1_000_000_000;
const SECOND_NS: i128 = 1_000_000_000;
const MINUTE_NS: i128 = 60 * SECOND_NS;

/// The venue's day that holds an instant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VenueDay {
    /// YYYYMMDD.
    pub date: u32,
    /// ns since the Unix epoch of its midnight.
    pub midnight_ns: u64,
    /// ns since the Unix epoch at which it is to be closed, if configured.
    pub close_ns: Option<u64>,
}

/// The day at `now_ns` since the Unix epoch; `None` before 1970 or beyond what 64 bits hold.
pub fn venue_day(config: &DayConfig, now_ns: u64) -> Option<VenueDay> {
    let offset = i128::from(config.utc_offset_minutes) * MINUTE_NS;
    let days = (i128::from(now_ns) + offset).div_euclid(DAY_NS);
    let midnight = days * DAY_NS - offset;
    let seconds = i128::from(config.close_at_seconds) * SECOND_NS;
    let close = config
        .close_at_minutes
        .map(|m| midnight + i128::from(m) * MINUTE_NS + seconds);
    Some(VenueDay {
        date: date_of(i64::try_from(days).ok()?)?,
        midnight_ns: u64::try_from(midnight).ok()?,
        close_ns: close.and_then(|at| u64::try_from(at).ok()),
    })
}

/// YYYYMMDD of a count of days since 1970-01-01 (Gregorian; eras of 400 years, years from March).
fn date_of(days: i64) -> Option<u32> {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    u32::try_from(year * 10_000 + month * 100 + day).ok()
}

/// The part of an opening that seeds the day's random displays: the operating system's random bytes, so that
/// nobody outside can foresee them; without any, the state keeps its seed.
pub fn random_seed() -> Vec<(PartTag, Vec<u8>)> {
    let mut seed = [0; 8];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed));
    read.map_or_else(
        |_| Vec::new(),
        |()| vec![(PartTag::RANDOM_SEED, seed.to_vec())],
    )
}

/// The command that opens `day`. The Soup session is named after the date.
pub fn day_open(day: &VenueDay) -> DayOpen {
    let mut session_name = [b' '; 10];
    let mut rest = day.date;
    for digit in session_name.iter_mut().rev().take(8) {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    DayOpen {
        midnight: day.midnight_ns,
        date: day.date,
        session_name,
        _reserved: [0; 10],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(offset: i32, seconds: u64) -> VenueDay {
        let config = DayConfig {
            utc_offset_minutes: offset,
            close_at_minutes: Some(60),
            close_at_seconds: 7,
            ..DayConfig::default()
        };
        venue_day(&config, seconds * SECOND).unwrap()
    }

    #[test]
    fn known_dates() {
        assert_eq!(at(0, 0).date, 19_700_101);
        assert_eq!(at(0, 951_782_400).date, 20_000_229);
        assert_eq!(at(0, 1_795_219_200).date, 20_261_121);
        assert_eq!(at(0, 1_795_219_199).date, 20_261_120);
        assert_eq!(
            at(0, 4_107_542_400).date,
            21_000_301,
            "2100 is no leap year"
        );
        let new_york = at(-300, 1_795_219_200);
        assert_eq!(new_york.date, 20_261_120);
        assert_eq!(
            new_york.midnight_ns,
            (1_795_219_200 - 86_400 + 5 * 3600) * SECOND
        );
        assert_eq!(
            new_york.close_ns,
            Some(new_york.midnight_ns + 3607 * SECOND)
        );
    }

    #[test]
    fn the_session_is_named_after_the_date() {
        assert_eq!(&day_open(&at(0, 1_795_219_200)).session_name, b"  20261121");
    }
}
