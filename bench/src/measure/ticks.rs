//! The time-stamp counter, for operations that are shorter than a read of the clock.
//!
//! Fenced on both sides: an operation's instructions neither begin before the first reading nor are
//! unfinished at the second, so a figure cannot flatter by what the processor still has in flight. The
//! reading itself is part of every figure; [`Ticks::own_cost`] says how much. Off x86-64 the monotonic
//! clock takes its place.
#![allow(unsafe_code)]

use super::clock::Clock;
use std::time::{Duration, Instant};

/// A counter and its measured rate.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    /// Ticks of 1,000,000 ns.
    per_ms: u64,
    #[cfg_attr(target_arch = "x86_64", allow(dead_code))]
    clock: Clock,
}

/// How long the rate is measured.
const CALIBRATION: Duration = Duration::from_millis(20);
const COST_READS: usize = 100_000;

impl Ticks {
    /// Measures the counter's rate against the monotonic clock.
    pub fn calibrate() -> Self {
        let mut ticks = Self {
            per_ms: 1_000_000,
            clock: Clock::start(),
        };
        if cfg!(target_arch = "x86_64") {
            let (from, begun) = (ticks.begin(), Instant::now());
            while begun.elapsed() < CALIBRATION {
                std::hint::spin_loop();
            }
            let (to, ns) = (ticks.end(), begun.elapsed().as_nanos());
            let per_ms = u128::from(to.saturating_sub(from)) * 1_000_000 / ns.max(1);
            ticks.per_ms = (per_ms as u64).max(1);
        }
        ticks
    }

    /// Reads the counter before an operation.
    #[inline(always)]
    pub fn begin(&self) -> u64 {
        #[cfg(target_arch = "x86_64")]
        {
            // SAFETY: both instructions are part of x86-64 and touch no memory.
            unsafe {
                std::arch::x86_64::_mm_lfence();
                let now = std::arch::x86_64::_rdtsc();
                std::arch::x86_64::_mm_lfence();
                now
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.clock.now_ns()
    }

    /// Reads the counter after an operation.
    #[inline(always)]
    pub fn end(&self) -> u64 {
        #[cfg(target_arch = "x86_64")]
        {
            let mut processor = 0;
            // SAFETY: the instruction is part of every x86-64 of this century; it writes only `processor`.
            unsafe { std::arch::x86_64::__rdtscp(&raw mut processor) }
        }
        #[cfg(not(target_arch = "x86_64"))]
        self.clock.now_ns()
    }

    /// Ticks as ns.
    pub fn ns(&self, ticks: u64) -> u64 {
        (u128::from(ticks) * 1_000_000 / u128::from(self.per_ms)) as u64
    }

    /// What a measured nothing takes: the distribution of two readings with nothing between them.
    pub fn own_cost(&self) -> TickHistogram {
        let mut histogram = TickHistogram::new();
        for _ in 0..COST_READS {
            let begin = self.begin();
            histogram.record(self.end().saturating_sub(begin));
        }
        histogram
    }
}

/// Ticks that are told apart; what takes longer counts as this, and in the maximum as it is.
const TICKS_MAX: usize = 1 << 20;

/// How often an operation took so many ticks. Exact, and recording costs one increment.
#[derive(Clone, Debug)]
pub struct TickHistogram {
    counts: Vec<u32>,
    count: u64,
    max: u64,
}

impl Default for TickHistogram {
    fn default() -> Self {
        Self::new()
    }
}

impl TickHistogram {
    pub fn new() -> Self {
        Self {
            // Not zeroed pages of the kernel's: they must be there before the first record.
            counts: (0..TICKS_MAX).map(|tick| (tick >> 32) as u32).collect(),
            count: 0,
            max: 0,
        }
    }

    #[inline(always)]
    pub fn record(&mut self, ticks: u64) {
        self.counts[(ticks as usize).min(TICKS_MAX - 1)] += 1;
        self.count += 1;
        self.max = self.max.max(ticks);
    }

    pub fn max(&self) -> u64 {
        self.max
    }

    /// Ticks that so many in a million of the operations did not exceed.
    pub fn at_ppm(&self, ppm: u64) -> u64 {
        let wanted = (u128::from(self.count) * u128::from(ppm)).div_ceil(1_000_000) as u64;
        let mut seen = 0;
        for (ticks, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted && *count != 0 {
                return ticks as u64;
            }
        }
        self.max
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_exact() {
        let mut histogram = TickHistogram::new();
        for ticks in 1..=1000 {
            histogram.record(ticks);
        }
        assert_eq!(histogram.at_ppm(500_000), 500);
        assert_eq!(histogram.at_ppm(999_000), 999);
        assert_eq!(histogram.at_ppm(1_000_000), 1000);
        histogram.record(1 << 40);
        assert_eq!(histogram.max(), 1 << 40);
        assert_eq!(histogram.at_ppm(1_000_000), TICKS_MAX as u64 - 1);
        assert_eq!(TickHistogram::new().at_ppm(500_000), 0);
    }

    /// The counter's rate is that of the clock, within what a busy host may take away in between.
    #[test]
    fn ticks_measure_time() {
        let ticks = Ticks::calibrate();
        let (begun, from) = (Instant::now(), ticks.begin());
        std::thread::sleep(Duration::from_millis(20));
        let measured = ticks.ns(ticks.end() - from);
        let longest = begun.elapsed().as_nanos() as u64;
        assert!(
            measured <= longest + longest / 10,
            "{measured} of {longest} ns"
        );
        assert!(measured >= 10_000_000, "{measured} ns for a sleep of 20 ms");
        assert!(ticks.own_cost().max() > 0);
    }
}
