//! A consumer's end of the log buffer: batches in order, in place, without a copy.

use super::layout::COMMIT_POSITION;
use super::mapping::RingReader;
use crate::LogPosition;
use crate::batch::{BATCH_HEADER_LENGTH, BATCH_MAGIC, BatchHeader, BatchView};
use std::sync::atomic::Ordering;

/// Reads each batch once. What it has been given stays valid until the next call: the ring's writer
/// cannot pass it.
#[derive(Debug)]
pub struct LogBufferReader {
    ring: RingReader,
    segment_data_length: u64,
    /// Behind the last batch given out; released at the next call.
    position: LogPosition,
}

impl LogBufferReader {
    pub(super) fn new(ring: RingReader, segment_data_length: u64) -> Self {
        let position = ring.position();
        Self {
            ring,
            segment_data_length,
            position,
        }
    }

    /// Behind the last batch given out.
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// The next batch that ends at or before `until` and is published. Gives back the one before.
    #[inline]
    pub fn next_until(&mut self, until: LogPosition) -> Option<BatchView<'_>> {
        self.ring.release(self.position);
        let until = until.min(self.ring.published());
        let (start, length) = self.locate(until)?;
        self.position = start.plus(length);
        Some(BatchView::trusted(self.ring.slice(start, length), start))
    }

    /// The next batch that consensus has committed: what a state machine may apply.
    #[inline]
    pub fn next_committed(&mut self) -> Option<BatchView<'_>> {
        let committed = self.ring.counter(COMMIT_POSITION).load(Ordering::Acquire);
        self.next_until(LogPosition(committed))
    }

    /// The next batch, committed or not: what replication sends.
    pub fn next_published(&mut self) -> Option<BatchView<'_>> {
        self.next_until(LogPosition(u64::MAX))
    }

    /// Gives back all batches given out so far, without asking for another.
    pub fn release(&mut self) {
        self.ring.release(self.position);
    }

    /// Where the next batch begins and how long it is, if it ends at or before `until`.
    fn locate(&self, until: LogPosition) -> Option<(LogPosition, u64)> {
        let mut start = self.position;
        if start >= until {
            return None;
        }
        // No header fits, or none is there: the gap at a segment's end. Something published is behind.
        let left = start.next_segment(self.segment_data_length).0 - start.0;
        if left < BATCH_HEADER_LENGTH as u64 || self.ring.slice(start, 8) != BATCH_MAGIC {
            start = start.next_segment(self.segment_data_length);
        }
        if start >= until {
            return None;
        }
        let header = BatchHeader::parse(self.ring.slice(start, BATCH_HEADER_LENGTH as u64));
        let length = header.length();
        (start.plus(length) <= until).then_some((start, length))
    }
}
