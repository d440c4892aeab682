//! How many requests a session may send in a window of time, counted by the batches' timestamps.
//!
//! A window begins with the first request after the last one's end. Every request counts; only what adds
//! risk (orders, replacements) is refused for it.

use lockstep_record::Timestamp;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Throttle {
    /// ns.
    pub window: u64,
    /// 0: any number.
    pub messages_max: u32,
    /// In the window that began at `start`.
    pub count: u32,
    pub start: Timestamp,
}

impl Throttle {
    /// Counts a request; whether it is one too many.
    #[inline(always)]
    pub fn count(&mut self, now: Timestamp) -> bool {
        if now.0.saturating_sub(self.start.0) >= self.window {
            self.start = now;
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.count > self.messages_max
    }
}
