//! The bench's clock: nanoseconds since the run began, monotonic.
//!
//! `Instant`, that is `clock_gettime(CLOCK_MONOTONIC)` through the vDSO: 20–30 ns a read here, no
//! system call, comparable across cores and steered by the kernel. The bare time-stamp counter would
//! save some 15 ns of a round trip of several microseconds, at the price of unsafe code and of trusting
//! its calibration; not worth it for wire latency. `read_cost_ns` is printed with every figure.

use std::hint::black_box;
use std::time::Instant;

/// The clock's own cost is the least mean of so many rounds of so many reads.
const COST_ROUNDS: u32 = 20;
const COST_READS: u32 = 5_000;

/// A clock with its origin at its making.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self::start()
    }
}

impl Clock {
    pub fn start() -> Self {
        Self {
            origin: Instant::now(),
        }
    }

    /// ns since the clock's origin; wraps after 584 years.
    #[inline(always)]
    pub fn now_ns(&self) -> u64 {
        let elapsed = self.origin.elapsed();
        elapsed.as_secs() * 1_000_000_000 + u64::from(elapsed.subsec_nanos())
    }

    /// What one read costs on this machine while nothing else interferes, ns, rounded up.
    pub fn read_cost_ns() -> u64 {
        let round = |_| {
            let clock = Self::start();
            for _ in 0..COST_READS {
                black_box(clock.now_ns());
            }
            clock.now_ns().div_ceil(u64::from(COST_READS))
        };
        (0..COST_ROUNDS).map(round).min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_forward_and_costs_something() {
        let clock = Clock::start();
        let first = clock.now_ns();
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(clock.now_ns() - first >= 2_000_000);
        assert!((1..100_000).contains(&Clock::read_cost_ns()));
    }
}
