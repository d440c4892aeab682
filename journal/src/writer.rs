//! The journal's writer: from the log buffer to segments, right behind the sequencer.
//!
//! An agent without a thread: [`JournalWriter::do_work`] never waits. It takes everything between the
//! durable and the published position (group commit by draining), rounds to whole blocks, and writes it
//! from the ring's memory without a copy. Up to [`WriterOptions::depth`] writes are in flight; no two touch one
//! block, whatever order they end in, and the durable position moves over them in order. A block that fills
//! later is written again, its acknowledged bytes identical. Any failure is final: the medium's state is then
//! unknown, and a retry would pretend otherwise.

use crate::folder::{AcknowledgementPolicy, JournalFolder};
use crate::position::BLOCK_LENGTH;
use crate::segment::{SegmentSupply, segment_name};
use crate::storage::{
    Completion, LANE_DEPTH_MAX, LogBytes, Storage, StorageError, StorageFile, WriteLane, WriteMode,
};
use crate::{LogBuffer, LogPosition};
use std::collections::VecDeque;
use std::sync::Arc;
use thiserror::Error;

/// Longest single write.
pub const WRITE_LENGTH_MAX: u64 = 4 << 20;
/// Segments kept prepared beyond the one being written.
pub const SEGMENTS_AHEAD: u64 = 1;

const _: () = assert!(WRITE_LENGTH_MAX.is_multiple_of(BLOCK_LENGTH));

/// With a depth above 1: so much is worth a write of its own while others are in flight.
pub const PIPELINED_LENGTH_MIN: u64 = 64 << 10;

/// With less than this to write, whoever waits for the write that just ended is told before the next one is
/// submitted: its submission alone takes the core some 20 µs (a virtual disk's doorbell). With more, the medium
/// should not wait.
pub const HELD_LENGTH_MAX: u64 = 8 << 10;
/// Duty cycles for which the next write is held back then: in one the commit is published and applied, at the
/// begin of the next the answers leave.
const HELD_CYCLES: u32 = 2;
/// A write costs the core that submits it some 55 µs (doorbell, interrupt, kernel worker). While each duty cycle
/// brings as much as [`GATHERING_LENGTH_MIN`] that time is better spent on the log: a write waits until there is so
/// much for it …
pub const GATHERED_LENGTH_MAX: u64 = 256 << 10;
/// … or a cycle has brought less: some seventy orders, which only a saturated thread finds again and again. So it
/// waits for 64 cycles at most. Not with a depth above 1: the medium is to be kept busy then.
pub const GATHERING_LENGTH_MIN: u64 = 4 << 10;

const SYNC_TOKEN: u64 = u64::MAX;

/// How the writer works; the policy says what a completed write means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WriterOptions {
    /// Writes in flight, 1 to [`LANE_DEPTH_MAX`]; clamped. More than 1 helps only when batches come faster than
    /// the medium takes them.
    pub depth: usize,
}

impl Default for WriterOptions {
    fn default() -> Self {
        Self { depth: 1 }
    }
}

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

/// What is published and not on the medium yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unfinished {
    /// Not submitted yet.
    pub bytes: u64,
    /// Writes.
    pub in_flight: usize,
    /// The full segment whose sync has not ended.
    pub syncing: Option<u64>,
}

#[derive(Debug)]
struct OpenSegment<F> {
    number: u64,
    file: F,
}

/// A write in flight.
#[derive(Clone, Copy, Debug)]
struct Flight {
    token: u64,
    /// Durable position once it and all before it have ended.
    end: LogPosition,
    ended: bool,
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
    depth: usize,
    /// In the order of the log.
    in_flight: VecDeque<Flight>,
    /// Everything before it is durable or in flight.
    submitted: LogPosition,
    /// Duty cycles to go before the next write may be submitted.
    held_cycles: u32,
    /// What the last duty cycle found published.
    seen: LogPosition,
    next_token: u64,
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
        let durable = buffer.durable_position();
        let segment = durable.segment(data_length);
        supply.want(segment + 1 + SEGMENTS_AHEAD);
        supply.advance(durable);
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
            depth: 1,
            in_flight: VecDeque::with_capacity(LANE_DEPTH_MAX),
            submitted: durable,
            held_cycles: 0,
            seen: durable,
            next_token: 0,
            counts: WriterCounts::default(),
            failure: None,
        }
    }

    /// Before the first duty cycle.
    pub fn with_options(mut self, options: WriterOptions) -> Self {
        self.depth = options.depth.clamp(1, LANE_DEPTH_MAX);
        self
    }

    pub fn counts(&self) -> WriterCounts {
        self.counts
    }

    #[cfg(test)]
    pub(crate) fn in_flight_count(&self) -> usize {
        self.in_flight.len()
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
        self.in_flight.is_empty()
            && self.retiring.is_none()
            && self.buffer.durable_position() == self.buffer.published_position()
    }

    /// What [`Self::is_drained`] still waits for.
    pub fn unfinished(&self) -> Unfinished {
        Unfinished {
            bytes: self.buffer.published_position().0 - self.submitted.0,
            in_flight: self.in_flight.len(),
            syncing: self.retiring.as_ref().map(|segment| segment.number),
        }
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
        let mut work = self.complete()?;
        let published = self.buffer.published_position();
        if self.is_held(work > 0, published) {
            return Ok(work);
        }
        while let Some(end) = self.next_end(published) {
            if !self.write(end, published)? {
                return Ok(work);
            }
            work += 1;
        }
        if self.in_flight.is_empty() {
            work += self.open_ahead()?;
        }
        Ok(work)
    }

    /// Whether the next write gives way to the answers of those that ended (`ended`: in this duty cycle), or to more
    /// of the log.
    fn is_held(&mut self, ended: bool, published: LogPosition) -> bool {
        let pending = published.0 - self.submitted.0;
        let brought = published.0 - self.seen.0;
        self.seen = published;
        let is_little = pending < HELD_LENGTH_MAX;
        let is_gathering = !is_little
            && pending < GATHERED_LENGTH_MAX
            && brought >= GATHERING_LENGTH_MIN
            && self.depth == 1;
        if is_gathering {
            return true;
        }
        self.held_cycles = match (ended, is_little) {
            (_, false) => 0,
            (true, true) => HELD_CYCLES,
            (false, true) => self.held_cycles.saturating_sub(1),
        };
        self.held_cycles > 0
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
            } else if let Some(flight) = self.in_flight.iter_mut().find(|f| f.token == token) {
                flight.ended = true;
            }
        }
        while let Some(first) = self.in_flight.front().copied().filter(|first| first.ended) {
            self.in_flight.pop_front();
            self.buffer.publish_durable(first.end);
        }
        Ok(count)
    }

    /// Where the next write is to end, a multiple of the block; `None` if none is to be made now.
    fn next_end(&self, published: LogPosition) -> Option<LogPosition> {
        let (begin, whole) = (self.submitted.block_floor(), published.block_floor());
        let limit = begin
            .next_segment(self.data_length)
            .min(begin.plus(WRITE_LENGTH_MAX));
        if published <= self.submitted || self.in_flight.len() == self.depth {
            return None;
        }
        let pipelined = whole.min(limit);
        let worthwhile = pipelined.0.saturating_sub(begin.0) >= PIPELINED_LENGTH_MIN;
        if self.in_flight.is_empty() {
            // Leaving the last block alone lets the next write go while this one is in flight.
            let alone = self.depth > 1 && worthwhile;
            return Some(if alone {
                pipelined
            } else {
                published.block_ceil().min(limit)
            });
        }
        // A write in flight that ends within a block has that block.
        let free = self.submitted == begin;
        (free && worthwhile).then_some(pipelined)
    }

    /// Submits the blocks from that of the submitted position up to `end`; `false` if the segment is not
    /// there yet.
    fn write(&mut self, end: LogPosition, published: LogPosition) -> Result<bool, JournalError> {
        let begin = self.submitted.block_floor();
        if !self.ready(begin.segment(self.data_length))? {
            return Ok(false);
        }
        let (Some(current), Some(lane)) = (&self.current, &mut self.lane) else {
            return Ok(false);
        };
        let offset = BLOCK_LENGTH + begin.offset_in_segment(self.data_length);
        let bytes = LogBytes::new(&self.buffer, begin, end.0 - begin.0);
        let token = self.next_token;
        lane.submit_write(&current.file, offset, bytes, token)
            .map_err(JournalError::Write)?;
        self.next_token += 1;
        self.submitted = end.min(published);
        self.in_flight.push_back(Flight {
            token,
            end: self.submitted,
            ended: false,
        });
        self.supply.advance(end);
        self.counts.writes += 1;
        self.counts.bytes += end.0 - begin.0;
        Ok(true)
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
        // A sync covers what has ended, so all of the segment's writes must have.
        let busy = self.retiring.is_some() || !self.in_flight.is_empty();
        if busy || !self.open_segment(number)? {
            self.counts.stalls += u64::from(!busy);
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
