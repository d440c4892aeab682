//! The journal's writer: from the log buffer to segments, right behind the sequencer.
//!
//! An agent without a thread: [`JournalWriter::do_work`] never waits. It takes everything between the
//! durable and the published position (group commit by draining), rounds to whole blocks, and writes it
//! from the ring's memory without a copy. One write is in flight, so no two ever touch one block; a block
//! that fills later is written again, its acknowledged bytes identical. Any failure is final: the medium's
//! state is then unknown, and a retry would pretend otherwise.

use crate::folder::{AcknowledgementPolicy, JournalFolder};
use crate::position::BLOCK_LENGTH;
use crate::segment::{SegmentSupply, segment_name};
use crate::storage::{
    Completion, LogBytes, Storage, StorageError, StorageFile, WriteLane, WriteMode,
};
use crate::{LogBuffer, LogPosition};
use std::sync::Arc;
use thiserror::Error;

/// Longest single write.
pub const WRITE_LENGTH_MAX: u64 = 1 << 20;
/// Segments kept prepared beyond the one being written.
pub const SEGMENTS_AHEAD: u64 = 1;

const _: () = assert!(WRITE_LENGTH_MAX.is_multiple_of(BLOCK_LENGTH));

const WRITE_TOKEN: u64 = 1;
const SYNC_TOKEN: u64 = 2;

/// Fatal: stop the node; nothing beyond the durable position may be acknowledged under `durable`.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum JournalError {
    #[error("journal write failed, stopping: {0}")]
    Write(StorageError),
    #[error("segment {number} could not be prepared, stopping: {source}")]
    Prepare { number: u64, source: StorageError },
}

/// Counts since the start; plain numbers for the node's counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WriterCounts {
    pub writes: u64,
    pub bytes: u64,
    /// Duty cycles in which the next segment was needed and not there yet.
    pub stalls: u64,
}

#[derive(Debug)]
struct OpenSegment<F> {
    number: u64,
    file: F,
}

#[derive(Debug)]
pub struct JournalWriter<S: Storage> {
    buffer: Arc<LogBuffer>,
    storage: S,
    data_length: u64,
    mode: WriteMode,
    supply: Arc<SegmentSupply>,
    /// Made by the first duty cycle, on the thread that makes it.
    lane: Option<S::Lane>,
    current: Option<OpenSegment<S::File>>,
    next: Option<OpenSegment<S::File>>,
    /// The segment before, until its sync has ended (policies that do not sync each write).
    retiring: Option<OpenSegment<S::File>>,
    /// Durable position once the write in flight completes.
    in_flight: Option<LogPosition>,
    counts: WriterCounts,
    failure: Option<JournalError>,
}

impl<S: Storage> JournalWriter<S> {
    /// `supply` is shared with the [`crate::segment::SegmentPreparer`] of the same folder.
    pub fn new(
        folder: &JournalFolder<S>,
        buffer: Arc<LogBuffer>,
        policy: AcknowledgementPolicy,
        supply: Arc<SegmentSupply>,
    ) -> Self {
        let data_length = folder.meta().segment_data_length;
        assert_eq!(
            data_length,
            buffer.identity().segment_data_length,
            "of one journal"
        );
        let segment = buffer.durable_position().segment(data_length);
        supply.want(segment + 1 + SEGMENTS_AHEAD);
        Self {
            buffer,
            storage: folder.storage().clone(),
            data_length,
            mode: policy.write_mode(),
            supply,
            lane: None,
            current: None,
            next: None,
            retiring: None,
            in_flight: None,
            counts: WriterCounts::default(),
            failure: None,
        }
    }

    pub fn counts(&self) -> WriterCounts {
        self.counts
    }

    /// How writes are made (`io_uring`, `pwrite`); known after the first duty cycle.
    pub fn driver(&self) -> Option<&'static str> {
        self.lane.as_ref().map(WriteLane::driver)
    }

    /// One duty cycle: completions, then the next write. Returns how much was done; after a failure,
    /// the same failure for ever.
    pub fn do_work(&mut self) -> Result<usize, JournalError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let result = self.work();
        if let Err(error) = &result {
            self.failure = Some(error.clone());
        }
        result
    }

    /// Whether everything published is in the segments and nothing is in flight.
    pub fn is_drained(&self) -> bool {
        self.in_flight.is_none()
            && self.retiring.is_none()
            && self.buffer.durable_position() == self.buffer.published_position()
    }

    /// Orderly stop, after [`Self::is_drained`]: waits until all is on the medium under any policy.
    pub fn sync(&mut self) -> Result<(), JournalError> {
        assert!(self.is_drained(), "drain before the last sync");
        let Some(current) = &self.current else {
            return Ok(());
        };
        let result = current.file.sync().map_err(JournalError::Write);
        if let Err(error) = &result {
            self.failure = Some(error.clone());
        }
        result
    }

    fn work(&mut self) -> Result<usize, JournalError> {
        let completed = self.complete()?;
        if self.in_flight.is_some() {
            return Ok(completed);
        }
        let from = self.buffer.durable_position();
        let published = self.buffer.published_position();
        if published > from {
            return Ok(completed + self.write(from, published)?);
        }
        Ok(completed + self.open_ahead()?)
    }

    fn complete(&mut self) -> Result<usize, JournalError> {
        let mut count = 0;
        let lane = match &mut self.lane {
            Some(lane) => lane,
            empty => {
                let lane = self.storage.lane(Arc::clone(&self.buffer));
                empty.insert(lane.map_err(JournalError::Write)?)
            }
        };
        while let Some(Completion { token, result }) = lane.poll().map_err(JournalError::Write)? {
            result.map_err(JournalError::Write)?;
            count += 1;
            if token == SYNC_TOKEN {
                self.retiring = None;
            } else if let Some(durable) = self.in_flight.take() {
                self.buffer.publish_durable(durable);
            }
        }
        Ok(count)
    }

    /// Submits the blocks from that of `from` on, up to `published`, the segment's end or the bound.
    fn write(&mut self, from: LogPosition, published: LogPosition) -> Result<usize, JournalError> {
        let begin = from.block_floor();
        if !self.ready(begin.segment(self.data_length))? {
            self.counts.stalls += 1;
            return Ok(0);
        }
        let (Some(current), Some(lane)) = (&self.current, &mut self.lane) else {
            return Ok(0);
        };
        let end = published
            .block_ceil()
            .min(begin.next_segment(self.data_length))
            .min(begin.plus(WRITE_LENGTH_MAX));
        let offset = BLOCK_LENGTH + begin.offset_in_segment(self.data_length);
        let bytes = LogBytes::new(&self.buffer, begin, end.0 - begin.0);
        lane.submit_write(&current.file, offset, bytes, WRITE_TOKEN)
            .map_err(JournalError::Write)?;
        self.in_flight = Some(end.min(published));
        self.counts.writes += 1;
        self.counts.bytes += end.0 - begin.0;
        Ok(1)
    }

    /// Makes segment `number` the current one; `false` if it is not prepared yet.
    fn ready(&mut self, number: u64) -> Result<bool, JournalError> {
        if self
            .current
            .as_ref()
            .is_some_and(|current| current.number == number)
        {
            return Ok(true);
        }
        if self.retiring.is_some() || !self.open_segment(number)? {
            return Ok(false);
        }
        let next = self.next.take();
        self.retire()?;
        self.current = next;
        self.supply.want(number + 1 + SEGMENTS_AHEAD);
        Ok(true)
    }

    /// Leaves the current segment: synced behind our back where its writes were not.
    fn retire(&mut self) -> Result<(), JournalError> {
        let Some(full) = self.current.take() else {
            return Ok(());
        };
        if self.mode != WriteMode::DirectSync
            && let Some(lane) = &mut self.lane
        {
            lane.submit_sync(&full.file, SYNC_TOKEN)
                .map_err(JournalError::Write)?;
            self.retiring = Some(full);
        }
        Ok(())
    }

    /// Uses an idle cycle to open the segment that comes next, so that rotation costs no system call.
    fn open_ahead(&mut self) -> Result<usize, JournalError> {
        let Some(current) = &self.current else {
            return Ok(0);
        };
        if self.next.is_some() || self.supply.prepared() <= current.number + 1 {
            return Ok(0);
        }
        let number = current.number + 1;
        Ok(usize::from(self.open_segment(number)?))
    }

    /// Opens `number` as `next` if it is prepared.
    fn open_segment(&mut self, number: u64) -> Result<bool, JournalError> {
        if self.next.as_ref().is_some_and(|next| next.number == number) {
            return Ok(true);
        }
        if self.supply.prepared() <= number {
            self.supply.want(number + 1);
            return match self.supply.failure() {
                Some(source) => Err(JournalError::Prepare {
                    number,
                    source: source.clone(),
                }),
                None => Ok(false),
            };
        }
        let opened = self.storage.open(&segment_name(number), self.mode);
        let file = opened.map_err(JournalError::Write)?;
        self.next = Some(OpenSegment { number, file });
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
