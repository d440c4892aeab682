//! How often a listener takes a connection. Taking one, hearing its login and letting it go costs some ten
//! times what an order costs: a flood of them would show in everybody's latency. So connections beyond a burst
//! are taken at a steady pace, and the rest waits in the kernel's queue.
//!
//! A plain state machine over time; its clock is read only when a connection was taken or one waits.

use std::time::{Duration, Instant};

/// Invariant: `left` is at most the burst, and one more is due at `counted_at + interval`.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Accepts {
    burst: u32,
    interval: Duration,
    left: u32,
    counted_at: Instant,
}

impl Accepts {
    /// `burst` at once, and one more each `interval`; an interval of 0 is no limit.
    pub(crate) fn new(burst: u32, interval: Duration, now: Instant) -> Self {
        Self {
            burst,
            interval,
            left: burst,
            counted_at: now,
        }
    }

    /// One may be taken now, as far as is known without a clock.
    pub(crate) fn may_take(&self) -> bool {
        self.left > 0 || self.interval.is_zero()
    }

    /// One was taken.
    pub(crate) fn taken(&mut self, now: Instant) {
        self.refill(now);
        self.left = self.left.saturating_sub(1);
    }

    /// Time has passed.
    pub(crate) fn refill(&mut self, now: Instant) {
        if self.interval.is_zero() {
            return;
        }
        let passed = now.saturating_duration_since(self.counted_at);
        let due = passed.as_nanos() / self.interval.as_nanos();
        let missing = self.burst - self.left;
        match u32::try_from(due) {
            Ok(due) if due < missing => {
                self.left += due;
                self.counted_at += self.interval * due;
            }
            // Full: counting begins when one is taken.
            _ => {
                self.left = self.burst;
                self.counted_at = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_and_then_a_steady_pace() {
        let start = Instant::now();
        let mut accepts = Accepts::new(3, 4 * MS, start);
        let mut taken = Vec::new();
        for ms in 0..20 {
            let now = start + MS * ms;
            accepts.refill(now);
            while accepts.may_take() {
                accepts.taken(now);
                taken.push(ms);
            }
        }
        assert_eq!(taken, [0, 0, 0, 4, 8, 12, 16]);
        let later = start + Duration::from_secs(3600);
        accepts.refill(later);
        let burst = (0..10)
            .take_while(|_| {
                let may = accepts.may_take();
                accepts.taken(later);
                may
            })
            .count();
        assert_eq!(burst, 3, "rest does not add up beyond the burst");
    }

    #[test]
    fn an_interval_of_zero_is_no_limit() {
        let now = Instant::now();
        let mut accepts = Accepts::new(1, Duration::ZERO, now);
        for _ in 0..100 {
            assert!(accepts.may_take());
            accepts.taken(now);
        }
    }
}
