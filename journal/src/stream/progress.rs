//! How far each stream is written: told by the writer, read by any number of readers, without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is in a stream's file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Packets; also the number of the last one.
    pub count: u64,
    pub bytes: u64,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Slot {
    count: AtomicU64,
    bytes: AtomicU64,
}

/// One slot per stream, in the order the writer made them.
#[derive(Debug)]
pub struct StreamProgress {
    /// Odd while a trading session begins.
    day: AtomicU64,
    slots: Box<[Slot]>,
}

impl StreamProgress {
    pub(super) fn new(slots: usize) -> Arc<Self> {
        let slots = (0..slots).map(|_| Slot::default()).collect();
        Arc::new(Self {
            day: AtomicU64::new(0),
            slots,
        })
    }

    pub(super) fn begin_day(&self) {
        self.day.fetch_add(1, Ordering::SeqCst);
        for slot in &self.slots {
            slot.count.store(0, Ordering::SeqCst);
            slot.bytes.store(0, Ordering::SeqCst);
        }
        self.day.fetch_add(1, Ordering::SeqCst);
    }

    /// Identifies the trading session; never 0 once one has begun.
    pub fn day(&self) -> u64 {
        self.day.load(Ordering::SeqCst)
    }

    /// The bytes are in the file before this is called; they never shrink within a day but by a cut
    /// before readers exist.
    pub(super) fn publish(&self, slot: usize, written: Written) {
        if let Some(slot) = self.slots.get(slot) {
            slot.bytes.store(written.bytes, Ordering::Release);
            slot.count.store(written.count, Ordering::Release);
        }
    }

    /// What is in the file of `slot` in trading session `day`; `None` if that is over.
    ///
    /// `bytes` may already count packets behind `count`.
    pub fn written(&self, slot: usize, day: u64) -> Option<Written> {
        let slot = self.slots.get(slot)?;
        let before = self.day();
        let count = slot.count.load(Ordering::Acquire);
        let bytes = slot.bytes.load(Ordering::Acquire);
        (before == day && self.day() == day).then_some(Written { count, bytes })
    }
}
