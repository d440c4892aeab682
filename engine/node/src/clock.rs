//! The venue's clock: the only place where wall time enters, at the sequencer, once a batch.

use lockstep_record::Timestamp;
use std::time::{SystemTime, UNIX_EPOCH};

/// A step of the wall clock beyond this, either way, is an alarm and this node refuses to lead on.
pub const LEAP_NS_MAX: u64 = 10 * 1_000_000_000;

/// Where wall time comes from; the simulator has its own.
pub trait WallClock: Send {
    /// ns since the Unix epoch, UTC.
    fn now_ns(&self) -> u64;
}

#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl WallClock for SystemClock {
    #[inline]
    fn now_ns(&self) -> u64 {
        // A clock before 1970 is a leap beyond every bound and refused as one.
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos() as u64)
    }
}

/// Makes batch timestamps: `max(clock, previous + 1)`.
#[derive(Debug)]
pub struct BatchClock<C> {
    clock: C,
    previous: Timestamp,
    /// Wall minus monotonic time at the last stamp, to tell a leap from an idle hour.
    offset_ns: Option<i128>,
}

/// The wall clock moved by more than `LEAP_NS_MAX` against the monotonic clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockLeap {
    pub by_ns: i128,
}

impl<C: WallClock> BatchClock<C> {
    pub fn new(clock: C, previous: Timestamp) -> Self {
        Self {
            clock,
            previous,
            offset_ns: None,
        }
    }

    /// The timestamp for a batch sealed at `monotonic_ns`.
    pub fn stamp(&mut self, monotonic_ns: u64) -> Result<Timestamp, ClockLeap> {
        let wall = self.clock.now_ns();
        let offset = i128::from(wall) - i128::from(monotonic_ns);
        if let Some(before) = self.offset_ns {
            let by_ns = offset - before;
            if by_ns.unsigned_abs() > u128::from(LEAP_NS_MAX) {
                return Err(ClockLeap { by_ns });
            }
        }
        self.offset_ns = Some(offset);
        self.previous = Timestamp(wall.max(self.previous.0 + 1));
        Ok(self.previous)
    }

    /// Wall time now, for deadlines; not a batch's timestamp.
    pub fn wall(&self) -> Timestamp {
        Timestamp(self.clock.now_ns())
    }

    pub fn previous(&self) -> Timestamp {
        self.previous
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Fake(Cell<u64>);
    impl WallClock for Fake {
        fn now_ns(&self) -> u64 {
            self.0.get()
        }
    }

    #[test]
    fn timestamps_only_grow_and_leaps_are_refused() {
        const S: u64 = 1_000_000_000;
        let mut clock = BatchClock::new(Fake(Cell::new(1000 * S)), Timestamp(2000 * S));
        assert_eq!(
            clock.stamp(0),
            Ok(Timestamp(2000 * S + 1)),
            "never before the log's last batch"
        );
        assert_eq!(clock.stamp(0), Ok(Timestamp(2000 * S + 2)));
        clock.clock.0.set(4600 * S);
        assert_eq!(
            clock.stamp(3600 * S),
            Ok(Timestamp(4600 * S)),
            "an idle hour is no leap"
        );
        clock.clock.0.set(4600 * S - 11 * S);
        assert!(clock.stamp(3600 * S).is_err());
        clock.clock.0.set(4600 * S - 9 * S);
        assert_eq!(
            clock.stamp(3600 * S),
            Ok(Timestamp(4600 * S + 1)),
            "a small step back is absorbed"
        );
    }
}
