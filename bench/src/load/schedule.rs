//! When the requests of an open loop are due: a function of rate, profile and seed alone.
//!
//! ```text
//! even        request i at i / rate
//! bursts:N    N requests at once, the bursts evenly spaced
//! market      gaps drawn from the flow model's, which are those of a recorded day: most requests come
//!             in bursts, and then there is a pause
//! ```
//! All have the same mean rate. It must never look at a clock or an answer.

use crate::flow::options::Behaviour;
use crate::flow::quantile_mean;
use crate::random::Random;
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// Requests of one burst at most.
pub const BURST_MAX: u64 = 1_000_000;

/// How an open loop's requests are spread over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    #[default]
    Even,
    Bursts {
        requests: u64,
    },
    Market,
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let complaint =
            || "a profile is even, market, or bursts:N with N from 1 to 1,000,000".to_owned();
        match (text, text.strip_prefix("bursts:")) {
            ("even", _) => Ok(Self::Even),
            ("market", _) => Ok(Self::Market),
            (_, Some(requests)) => match requests.parse() {
                Ok(requests) if (1..=BURST_MAX).contains(&requests) => {
                    Ok(Self::Bursts { requests })
                }
                _ => Err(complaint()),
            },
            _ => Err(complaint()),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Even => f.write_str("evenly spaced"),
            Self::Bursts { requests } => write!(f, "in bursts of {requests}"),
            Self::Market => f.write_str("spaced as in a recorded market"),
        }
    }
}

/// The due times, one after the other.
#[derive(Clone, Debug)]
pub struct Schedule {
    profile: Profile,
    per_s: u64,
    random: Random,
    number: u64,
    /// Gaps of `Market` so far, in millionths of their table's mean.
    gaps_ppm: u128,
    gap_table: &'static [u64],
    gap_mean_ppm: u64,
}

impl Schedule {
    pub fn new(profile: Profile, per_s: u64, seed: u64) -> Self {
        let gap_table = Behaviour::default().gaps_ppm;
        Self {
            profile,
            per_s: per_s.max(1),
            // Apart from the sessions' generators, which are parts 0, 1, 2 …
            random: Random::part(seed, u64::MAX),
            number: 0,
            gaps_ppm: 0,
            gap_table,
            gap_mean_ppm: quantile_mean(gap_table).max(1),
        }
    }

    /// How many were due before the next one.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// When the next request is due, ns since the first.
    #[inline]
    pub fn due_ns(&self) -> u64 {
        let per_s = u128::from(self.per_s);
        let even = |number: u64| u128::from(number) * 1_000_000_000 / per_s;
        let due = match self.profile {
            Profile::Even => even(self.number),
            Profile::Bursts { requests } => even(self.number - self.number % requests.max(1)),
            Profile::Market => {
                self.gaps_ppm * 1_000_000_000 / (per_s * u128::from(self.gap_mean_ppm))
            }
        };
        // Half of the range, so that a start time can be added.
        u64::try_from(due).unwrap_or(u64::MAX).min(u64::MAX / 2)
    }

    #[inline]
    pub fn advance(&mut self) {
        self.number += 1;
        if self.profile == Profile::Market {
            self.gaps_ppm += u128::from(self.random.from_quantiles(self.gap_table));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(profile: Profile, count: usize, seed: u64) -> Vec<u64> {
        let mut schedule = Schedule::new(profile, 1_000, seed);
        let mut times = Vec::new();
        for _ in 0..count {
            times.push(schedule.due_ns());
            schedule.advance();
        }
        times
    }

    #[test]
    fn every_profile_keeps_the_rate_and_never_goes_back() {
        for profile in [
            Profile::Even,
            Profile::Bursts { requests: 50 },
            Profile::Market,
        ] {
            let times = times(profile, 200_000, 1);
            assert!(times.is_sorted(), "{profile}");
            let mean_ns = times[199_999] / 199_999;
            assert!(mean_ns.abs_diff(1_000_000) < 30_000, "{profile}: {mean_ns}");
        }
    }

    #[test]
    fn bursts_are_bursts() {
        let times = times(Profile::Bursts { requests: 4 }, 9, 1);
        assert_eq!(
            times,
            [
                0, 0, 0, 0, 4_000_000, 4_000_000, 4_000_000, 4_000_000, 8_000_000
            ]
        );
        let market = self::times(Profile::Market, 10_000, 1);
        let short = market.windows(2).filter(|pair| pair[1] - pair[0] < 100_000);
        assert!(
            short.count() > 4_000,
            "most gaps are far below the mean of 1 ms"
        );
        assert_eq!(market, self::times(Profile::Market, 10_000, 1));
        assert_ne!(market, self::times(Profile::Market, 10_000, 2));
    }

    #[test]
    fn profiles_are_read_and_wrong_ones_named() {
        assert_eq!("even".parse(), Ok(Profile::Even));
        assert_eq!("market".parse(), Ok(Profile::Market));
        assert_eq!("bursts:32".parse(), Ok(Profile::Bursts { requests: 32 }));
        for wrong in ["", "bursts", "bursts:0", "bursts:x", "bursts:1000001"] {
            let said = wrong.parse::<Profile>().expect_err(wrong);
            assert!(said.contains("bursts:N"), "{said}");
        }
    }
}
