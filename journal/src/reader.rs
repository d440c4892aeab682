//! Reads a journal's batches in order from mapped segments, without a copy; beside a writer, what may still be written is
//! copied past the page cache.
//!
//! Works on a folder that another process is writing (no lock; it ends where nothing verified follows, and
//! may be asked again later) and, with a known end, on one that recovery has passed, where anything short of
//! that end is damage. It never gives out a batch that does not verify and follow.

use crate::batch::{BATCH_HEADER_LENGTH, BATCH_MAGIC, BatchError, BatchHeader, OrderError};
use crate::folder::JournalMeta;
use crate::position::BLOCK_LENGTH;
use crate::segment::SegmentSource;
use crate::storage::{Storage, StorageError};
use crate::{BatchView, LogPosition, LogTail};
use thiserror::Error;

/// Why nothing follows at a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum EndReason {
    /// Nothing has been written there.
    #[error("zeros")]
    Zeros,
    #[error("the segment is not there or too short")]
    NoSegment,
    #[error("{0}")]
    NotWhole(BatchError),
    #[error("a whole batch that does not follow: {0}")]
    DoesNotFollow(OrderError),
}

#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ReadError {
    #[error(
        "segment {segment}, file offset {offset}: the batch of sequence {sequence} cannot be read: {reason}"
    )]
    Damaged {
        segment: u64,
        offset: u64,
        sequence: u64,
        reason: EndReason,
    },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// What to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadOptions {
    /// The first batch is the one behind this.
    pub from: LogTail,
    /// Where the log ends, if known: reading ends there, and must get there.
    pub until: Option<LogPosition>,
    /// Verify both checksums. Without, batches are only checked to be in order: for bytes that this
    /// process has verified before (replay right behind recovery).
    pub verify: bool,
}

impl ReadOptions {
    /// Everything, verified, as far as it goes.
    pub const ALL: Self = Self {
        from: LogTail::EMPTY,
        until: None,
        verify: true,
    };
}

#[derive(Debug)]
pub struct JournalReader<S: Storage> {
    source: SegmentSource<S>,
    meta: JournalMeta,
    options: ReadOptions,
    tail: LogTail,
    end_reason: Option<EndReason>,
}

impl<S: Storage> JournalReader<S> {
    pub fn new(storage: S, meta: &JournalMeta, options: ReadOptions) -> Self {
        let source = SegmentSource::new(storage, meta.segment_data_length);
        Self::over(source, meta, options)
    }

    /// Of a journal that another thread or process may be writing: as [`Self::new`], and its writer notices nothing.
    /// Verifies, whatever the options say: what is read beside a write may be half of it.
    pub fn beside_writer(storage: S, meta: &JournalMeta, options: ReadOptions) -> Self {
        let source = SegmentSource::beside_writer(storage, meta.segment_data_length);
        let verify = true;
        Self::over(source, meta, ReadOptions { verify, ..options })
    }

    fn over(source: SegmentSource<S>, meta: &JournalMeta, options: ReadOptions) -> Self {
        Self {
            source,
            meta: *meta,
            options,
            tail: options.from,
            end_reason: None,
        }
    }

    /// Begins at the batch that holds `sequence` (or would, if its batch is empty), or behind the last one
    /// if the journal does not reach it. Uses the first batch of each segment; what lies before is not read.
    pub fn seek_sequence(mut self, sequence: u64) -> Result<Self, ReadError> {
        self.seek(|header| header.first_sequence <= sequence)?;
        while self
            .peek()?
            .is_some_and(|header| header.next_sequence() <= sequence)
        {
            self.next_batch()?;
        }
        Ok(self)
    }

    /// As [`Self::seek_sequence`], by batch index.
    pub fn seek_index(mut self, index: u64) -> Result<Self, ReadError> {
        self.seek(|header| header.index <= index)?;
        while self.peek()?.is_some_and(|header| header.index < index) {
            self.next_batch()?;
        }
        Ok(self)
    }

    /// What the last batch read leaves to be continued.
    pub fn tail(&self) -> &LogTail {
        &self.tail
    }

    /// Why the last call gave no batch.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.end_reason
    }

    /// The next batch. `None` at the end; a live journal may have more later.
    #[inline]
    pub fn next_batch(&mut self) -> Result<Option<BatchView<'_>>, ReadError> {
        if self
            .options
            .until
            .is_some_and(|until| self.tail.position >= until)
        {
            return Ok(None);
        }
        let Some((position, header)) = self.locate()? else {
            return self.ended().map(|()| None);
        };
        self.tail = LogTail::after(&header, position);
        let bytes = self.source.log(position)?;
        Ok(Some(BatchView::in_segment(header, bytes, position)))
    }

    /// The next batch's header, without moving on.
    pub fn peek(&mut self) -> Result<Option<BatchHeader>, ReadError> {
        if self
            .options
            .until
            .is_some_and(|until| self.tail.position >= until)
        {
            return Ok(None);
        }
        match self.locate()? {
            Some((_, header)) => Ok(Some(header)),
            None => self.ended().map(|()| None),
        }
    }

    /// Where the next batch is: at the tail, or at the next segment's begin.
    #[inline(always)]
    fn locate(&mut self) -> Result<Option<(LogPosition, BatchHeader)>, StorageError> {
        let here = self.tail.position;
        let reason = match self.batch_at(here)? {
            Ok(header) => return Ok(Some((here, header))),
            Err(reason) => reason,
        };
        if here.offset_in_segment(self.meta.segment_data_length) != 0 {
            let next = here.next_segment(self.meta.segment_data_length);
            if let Ok(header) = self.batch_at(next)? {
                return Ok(Some((next, header)));
            }
        }
        self.end_reason = Some(reason);
        Ok(None)
    }

    #[inline(always)]
    fn batch_at(
        &mut self,
        position: LogPosition,
    ) -> Result<Result<BatchHeader, EndReason>, StorageError> {
        let bytes = self.source.log(position)?;
        let found = check(bytes, position, self.options.verify);
        Ok(found.and_then(|header| {
            let follows = header.follows(&self.tail, self.meta.cluster_id);
            follows.map(|()| header).map_err(EndReason::DoesNotFollow)
        }))
    }

    fn ended(&mut self) -> Result<(), ReadError> {
        if let (Some(_), Some(reason)) = (self.options.until, self.end_reason) {
            let data_length = self.meta.segment_data_length;
            return Err(ReadError::Damaged {
                segment: self.tail.position.segment(data_length),
                offset: BLOCK_LENGTH + self.tail.position.offset_in_segment(data_length),
                sequence: self.tail.next_sequence,
                reason,
            });
        }
        // The next call looks at the file afresh: a live journal grows.
        self.source.refresh();
        Ok(())
    }

    /// Moves to the begin of the newest segment whose first batch is `early` enough.
    fn seek(&mut self, early: impl Fn(&BatchHeader) -> bool) -> Result<(), ReadError> {
        for number in self.source.numbers()?.into_iter().rev() {
            let begin = LogPosition(number * self.meta.segment_data_length);
            if begin <= self.tail.position {
                break;
            }
            let bytes = self.source.log(begin)?;
            if let Ok(header) = check(bytes, begin, true)
                && header.cluster_id == self.meta.cluster_id
                && early(&header)
            {
                self.tail = before(&header, begin);
                break;
            }
        }
        Ok(())
    }
}

/// A tail that `header`, at `position`, follows.
pub(crate) fn before(header: &BatchHeader, position: LogPosition) -> LogTail {
    LogTail {
        position,
        index: header.index - 1,
        term: header.term,
        next_sequence: header.first_sequence,
        timestamp: header.timestamp.saturating_sub(1),
        header_checksum: header.previous_checksum,
    }
}

/// The batch at the begin of `bytes`, which reach to the end of the segment's data.
#[inline(always)]
pub(crate) fn check(
    bytes: &[u8],
    position: LogPosition,
    verify: bool,
) -> Result<BatchHeader, EndReason> {
    if bytes.len() < BATCH_HEADER_LENGTH {
        return Err(if crate::bytes::all_zero(bytes) && !bytes.is_empty() {
            EndReason::Zeros
        } else {
            EndReason::NoSegment
        });
    }
    if bytes[..8] != BATCH_MAGIC {
        let zeros = crate::bytes::all_zero(&bytes[..BATCH_HEADER_LENGTH]);
        return Err(if zeros {
            EndReason::Zeros
        } else {
            EndReason::NotWhole(BatchError::NotABatch)
        });
    }
    if verify {
        let view = BatchView::verified(bytes, position).map_err(EndReason::NotWhole)?;
        return Ok(view.header);
    }
    let header = BatchHeader::parse(bytes);
    if header.length() > bytes.len() as u64 {
        let available = bytes.len() as u64;
        return Err(EndReason::NotWhole(BatchError::Short { available }));
    }
    Ok(header)
}

#[cfg(test)]
mod tests;
